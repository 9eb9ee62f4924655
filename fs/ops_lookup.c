/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr.h"
#include "fs/draft.h"
#include "fs/folder.h"
#include "fs/name.h"
#include "fs/replay.h"

/*
 * Names: LOOKUP, and FORGET, its opposite.
 *
 * The kernel keeps what a LOOKUP found, and what it did not find, until it is
 * told otherwise. In a folder that is still being listed a name may yet come:
 * such a LOOKUP waits, and is never answered with an ENOENT to be kept. The
 * kernel holds a lock of the directory meanwhile, so it waits for
 * FS_LISTING_WAIT_MS at most.
 */

/* --- LOOKUP --- */

static void reply_missing(struct request *r, struct folder *f)
{
	/* The kernel remembers it, and is told when the name appears. */
	struct fuse_entry_param e = {.entry_timeout = OPS_FOREVER};

	f->told_missing = true;
	fuse_reply_entry(r->req, &e);
}

static void reply_entry(struct request *r, const struct fuse_entry_param *e)
{
	lock_assert_none();
	if (fuse_reply_entry(r->req, e) == -ENOENT)
		ops_unhold(r->fs, e->ino, 1);
}

static void reply_control(struct request *r, const struct control_entry *c)
{
	struct fuse_entry_param e = {.ino = c->ino};

	attr_of_control(r->fs, c, &e.attr);
	/* Directories are always the same; what changes in them is asked for,
	 * and snapshots never change. */
	e.attr_timeout = c->ino == CONTROL_REJECTED_INO ? 0 : OPS_FOREVER;
	e.entry_timeout = c->is_dir ? OPS_FOREVER : 0;
	reply_entry(r, &e);
}

static void lookup_control(struct request *r)
{
	struct control_entry c;
	int error = control_lookup(r->fs, r->ino, r->name, &c);

	if (error != 0)
		ops_reply_err(r->req, error);
	else
		reply_control(r, &c);
}

static void lookup_control_dir(struct request *r)
{
	struct control_entry c;

	if (control_stat(r->fs, CONTROL_DIR_INO, &c) == 0)
		reply_control(r, &c);
	else
		ops_reply_err(r->req, -ENOENT);
}

/* Not among the messages: is that final? Replies, or -EAGAIN. */
static int lookup_missing(struct request *r, struct folder *f)
{
	int error = folder_more(r->fs, f);

	if (error == 0) {
		reply_missing(r, f);
		return 0;
	}
	if (!name_is_possible(r->name)) {
		/* No listing will bring it, but a new mailbox could. */
		ops_reply_err(r->req, -ENOENT);
		return 0;
	}
	if (error == -EAGAIN)
		return error;
	ops_reply_err(r->req, error);
	return 0;
}

/*
 * A message that is not announced is shown to who knows its name (it was
 * removed a moment ago, and this is the Trash), but the kernel is to ask for it
 * each time: so the mknod that announces it still finds that there is no such
 * name, as the helper is told.
 */
static int entry_of(struct request *r, struct folder *f,
		    const struct cache_msg *m, struct fuse_entry_param *ret)
{
	int error;

	if (!m->announced &&
	    replay_is_helper(r->fs->replay, fuse_req_ctx(r->req)->pid))
		return -EBUSY;
	error = ops_entry_of_message(r->fs, f, m, ret);
	if (error == 0 && !m->announced)
		ret->entry_timeout = 0;
	return error;
}

static int lookup_message(struct request *r, struct folder *f)
{
	struct fuse_entry_param e;
	struct cache_msg m;
	struct box *box;
	int error;

	error = folder_get(r->fs, f, &box);
	if (error == -ENODATA) {
		reply_missing(r, f);
		return 0;
	}
	if (error != 0) {
		ops_reply_err(r->req, error);
		return 0;
	}

	error = box_find_name(box, r->name, &m);
	if (error == 0)
		error = entry_of(r, f, &m, &e);
	folder_put(r->fs, f);
	if (error == 0)
		reply_entry(r, &e);
	else if (error == -EBUSY)
		ops_reply_err(r->req, -ENOENT);
	else
		return lookup_missing(r, f);
	return 0;
}

static int lookup_once(struct request *r)
{
	struct folder *f, *child;
	struct fuse_entry_param e;

	if (control_is_dir(r->ino)) {
		lookup_control(r);
		return 0;
	}
	f = tree_find(r->fs->tree, r->ino);
	if (!f) {
		ops_reply_err(r->req, -ENOENT);
		return 0;
	}
	if (r->ino == FS_ROOT_INO && strcmp(r->name, CONTROL_DIR_NAME) == 0) {
		lookup_control_dir(r);
		return 0;
	}
	child = tree_child(r->fs->tree, f, r->name);
	if (child) {
		ops_entry_of_folder(r->fs, child, &e);
		reply_entry(r, &e);
		return 0;
	}
	if (tree_is_coming(r->fs->tree, f, r->name)) {
		/* Its mkdir, or its rename, is on the way. */
		ops_reply_err(r->req, -ENOENT);
		return 0;
	}
	return lookup_message(r, f);
}

static void lookup_resume(struct request *r);

static void lookup_how(struct request *r, struct parking *ret)
{
	ret->key = r->ino;
	ret->deadline_ms = r->began_ms + FS_LISTING_WAIT_MS;
	ret->late_error = -ETIMEDOUT;
}

static const struct waiting lookup_waiting = {lookup_once, lookup_how,
					      ops_folder_gen, lookup_resume};

static void lookup_resume(struct request *r)
{
	ops_run(r, &lookup_waiting);
}

void ops_lookup(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	struct request r = {.req = req, .fs = ops_fs(req), .ino = dir};

	control_count(r.fs->control, REQ_LOOKUP);
	if (strlen(name) > CACHE_NAME_MAX) {
		ops_reply_err(req, -ENAMETOOLONG);
		return;
	}
	r.name = strdup(name);
	if (!r.name) {
		ops_reply_err(req, -ENOMEM);
		return;
	}
	ops_run(&r, &lookup_waiting);
}

/* --- FORGET --- */

void ops_unhold(struct fs *fs, uint64_t ino, uint64_t n)
{
	uint64_t id, before = 0;
	struct folder *f;

	if (ino == 0 || ino == FS_ROOT_INO || control_is_dir(ino))
		return;
	if (ino >= CONTROL_INO_FIRST) {
		control_forget(fs, ino, n);
		return;
	}
	f = tree_find(fs->tree, ino);
	if (f) {
		folder_release(fs, f, n);
		return;
	}
	/* It may be moved between the two questions. */
	while ((id = cache_folder_of(fs->cache, ino)) != before) {
		f = tree_find(fs->tree, id);
		if (!f || folder_forget_message(fs, f, ino, n))
			break;
		before = id;
	}
	draft_forgotten(fs, ino);
}

void ops_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	struct fs *fs = ops_fs(req);

	control_count(fs->control, REQ_FORGET);
	ops_unhold(fs, ino, n);
	fuse_reply_none(req);
}

void ops_forget_multi(fuse_req_t req, size_t n,
		      struct fuse_forget_data *forgets)
{
	struct fs *fs = ops_fs(req);

	for (size_t i = 0; i < n; i++) {
		control_count(fs->control, REQ_FORGET);
		ops_unhold(fs, forgets[i].ino, forgets[i].nlookup);
	}
	fuse_reply_none(req);
}
