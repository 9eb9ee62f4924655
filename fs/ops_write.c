/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ops.h"

#include <errno.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr.h"
#include "fs/draft.h"
#include "fs/folder.h"
#include "fs/load.h"

/*
 * Files that are made and written to: CREATE, MKNOD, WRITE, truncation, times,
 * COPY_FILE_RANGE, FALLOCATE.
 *
 * What makes a draft is answered only when its folder is watched (draft.h), or
 * its close could be missed: the request is parked for the microseconds that
 * takes. The first write to a message marked \Draft waits for its body, too.
 */

static int64_t waited_ms(const struct request *r)
{
	return r->began_ms ? clock_now_ms() - r->began_ms : 0;
}

static void edit_how(struct request *r, struct parking *ret)
{
	struct folder *f;

	if (r->edit.waits == 0) {
		ops_body_how(r, ret);
		return;
	}
	f = tree_find(r->fs->tree, r->edit.waits);
	ret->key = f ? tree_ino(r->fs->tree, f) : r->edit.waits;
	ret->deadline_ms = clock_now_ms() + DRAFT_WATCH_WAIT_MS;
	/* Then it goes on without. */
	ret->late_error = 0;
}

static uint64_t edit_gen(struct request *r)
{
	return draft_gen(r->fs) + load_gen(r->fs);
}

/* -EAGAIN: the watch is on its way. */
static int need_watch(struct request *r, struct folder *f)
{
	int error = draft_watch(r->fs, f, waited_ms(r));

	r->edit.waits = error == -EAGAIN ? f->id : 0;
	return error;
}

/* --- CREATE, MKNOD --- */

static void reply_new(struct request *r, struct folder *f, uint64_t id)
{
	struct fuse_file_info fi = {0};
	struct fuse_entry_param e;
	struct cache_msg m = {.id = id};
	int error = ops_entry_of_message(r->fs, f, &m, &e);

	lock_assert_none();
	if (error != 0)
		ops_reply_err(r->req, error);
	else if (r->edit.is_node)
		error = fuse_reply_entry(r->req, &e);
	else
		error = fuse_reply_create(r->req, &e, &fi);
	/* Nobody waits for the answer any more. */
	if (error == -ENOENT)
		ops_unhold(r->fs, e.ino, 1);
}

static int create_once(struct request *r)
{
	struct folder *f = tree_find(r->fs->tree, r->ino);
	uint64_t id;
	int error = f ? 0 : -EPERM;

	if (error == 0 && tree_child(r->fs->tree, f, r->name))
		error = -EEXIST;
	if (error == 0 && !draft_is_scratch(r->name))
		error = need_watch(r, f);
	if (error == -EAGAIN)
		return error;
	if (error == 0)
		error = draft_create(r->fs, f, r->name, r->edit.flags, &id);
	if (error != 0)
		ops_reply_err(r->req, error);
	else
		reply_new(r, f, id);
	return 0;
}

static void create_resume(struct request *r);

static const struct waiting create_waiting = {create_once, edit_how, edit_gen,
					      create_resume};

static void create_resume(struct request *r)
{
	ops_run(r, &create_waiting);
}

static void create(fuse_req_t req, fuse_ino_t dir, const char *name,
		   mode_t mode, bool is_node)
{
	struct request r = {.req = req, .fs = ops_fs(req), .ino = dir};

	control_count(r.fs->control, REQ_CREATE);
	if (ops_refuse_ro(req))
		return;
	if (strlen(name) > CACHE_NAME_MAX) {
		ops_reply_err(req, -ENAMETOOLONG);
		return;
	}
	r.edit.flags = mode;
	r.edit.is_node = is_node;
	r.name = strdup(name);
	if (!r.name) {
		ops_reply_err(req, -ENOMEM);
		return;
	}
	ops_run(&r, &create_waiting);
}

void ops_create(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode,
		struct fuse_file_info *fi)
{
	(void)fi;
	create(req, dir, name, mode, false);
}

void ops_make_node(fuse_req_t req, fuse_ino_t dir, const char *name,
		   mode_t mode)
{
	if (S_ISREG(mode)) {
		create(req, dir, name, mode, true);
		return;
	}
	if (!ops_refuse_ro(req))
		ops_refuse(req, -EPERM);
}

/* --- WRITE --- */

/*
 * A file that is not being written to yet: its folder must be watched first,
 * unless it is a scratch file or cannot be written to anyway.
 */
static int prepare(struct request *r)
{
	struct cache_msg m;
	struct folder *f;
	int error;

	if (r->ino >= CONTROL_INO_FIRST || tree_find(r->fs->tree, r->ino))
		return -EPERM;
	if (draft_is_written(r->fs, r->ino))
		return 0;
	error = attr_find_message(r->fs, r->ino, &m, &f);
	if (error != 0)
		return error;
	if (m.uid == 0 ? draft_is_scratch(m.name)
		       : !(m.flags & MAIL_DRAFT) &&
				 !draft_is_fresh_copy(r->fs, r->ino))
		return 0;
	return need_watch(r, f);
}

/* -EAGAIN, or it is answered. */
static int write_bytes(struct request *r, const char *bytes)
{
	int error = prepare(r);

	if (error == 0)
		error = draft_write(r->fs, r->ino, bytes, r->size,
				    (uint64_t)r->off);
	if (error == -EAGAIN)
		return error;
	if (error != 0)
		ops_reply_err(r->req, error);
	else
		fuse_reply_write(r->req, r->size);
	return 0;
}

/* Of a write that was parked `name` has the bytes. */
static int write_once(struct request *r)
{
	return write_bytes(r, r->name);
}

static void write_resume(struct request *r);

static const struct waiting write_waiting = {write_once, edit_how, edit_gen,
					     write_resume};

static void write_resume(struct request *r)
{
	ops_run(r, &write_waiting);
}

void ops_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
	       off_t off, struct fuse_file_info *fi)
{
	struct request r = {.req = req,
			    .fs = ops_fs(req),
			    .ino = ino,
			    .size = size,
			    .off = off};

	(void)fi;
	control_count(r.fs->control, REQ_WRITE);
	if (ops_refuse_ro(req))
		return;
	/* Nearly all go through at once, and need no copy of their bytes. */
	if (write_bytes(&r, buf) != -EAGAIN)
		return;
	r.name = malloc(size ? size : 1);
	if (!r.name) {
		ops_reply_err(req, -ENOMEM);
		return;
	}
	memcpy(r.name, buf, size);
	ops_run(&r, &write_waiting);
}

/* --- truncation, times --- */

static int truncate_once(struct request *r)
{
	struct stat st;
	int error = prepare(r);

	if (error == 0)
		error = draft_truncate(r->fs, r->ino, (uint64_t)r->off);
	if (error == -EAGAIN)
		return error;
	if (error == 0 && r->edit.is_node) {
		ops_reply_err(r->req, 0);
		return 0;
	}
	if (error == 0)
		error = ops_stat(r->fs, r->ino, &st);
	if (error != 0)
		ops_reply_err(r->req, error);
	else
		fuse_reply_attr(r->req, &st, ops_attr_timeout(&st));
	return 0;
}

static void truncate_resume(struct request *r);

static const struct waiting truncate_waiting = {truncate_once, edit_how,
						edit_gen, truncate_resume};

static void truncate_resume(struct request *r)
{
	ops_run(r, &truncate_waiting);
}

void ops_truncate(struct request *r, off_t size)
{
	r->off = size;
	ops_run(r, &truncate_waiting);
}

int ops_set_times(struct fs *fs, uint64_t ino, const struct stat *attr,
		  int what)
{
	int64_t date = attr->st_mtim.tv_sec;

	if (what & FUSE_SET_ATTR_MTIME_NOW)
		date = time(NULL);
	else if (!(what & FUSE_SET_ATTR_MTIME))
		return 0; /* nobody keeps when a message was read */
	return draft_set_date(fs, ino, date);
}

void ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset,
		   off_t length, struct fuse_file_info *fi)
{
	struct request r = {.req = req, .fs = ops_fs(req), .ino = ino};
	struct stat st;

	(void)fi;
	if (ops_refuse_ro(req))
		return;
	if (mode & ~FALLOC_FL_KEEP_SIZE) {
		ops_reply_err(req, -EOPNOTSUPP);
		return;
	}
	r.off = offset + length;
	if (ops_stat(r.fs, ino, &st) != 0) {
		ops_reply_err(req, -ENOENT);
		return;
	}
	/* Room is not reserved: only the size is seen. */
	if ((mode & FALLOC_FL_KEEP_SIZE) || r.off < st.st_size)
		r.off = st.st_size;
	r.edit.is_node = true; /* no attributes are wanted */
	ops_run(&r, &truncate_waiting);
}

/* --- COPY_FILE_RANGE --- */

/* NOLINTNEXTLINE(readability-function-size): libfuse's parameters */
void ops_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t off_from,
			 struct fuse_file_info *fi_from, fuse_ino_t to,
			 off_t off_to, struct fuse_file_info *fi_to, size_t len,
			 int flags)
{
	struct fs *fs = ops_fs(req);
	struct cache_msg m;
	struct folder *f;
	int error = -EOPNOTSUPP;

	(void)fi_from;
	(void)fi_to;
	(void)flags;
	/* Only all of a message can be copied on the server; for all else this
	 * answer makes the kernel read and write. */
	if (!fs->opt->read_only && off_from == 0 && off_to == 0 &&
	    attr_find_message(fs, from, &m, &f) == 0 && m.size > 0 &&
	    len >= m.size)
		error = draft_copy(fs, from, to);
	if (error != 0)
		ops_reply_err(req, error);
	else
		fuse_reply_write(req, m.size);
}
