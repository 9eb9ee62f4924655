/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ops.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#include "fs/change.h"
#include "fs/draft.h"
#include "fs/flush.h"
#include "fs/folder.h"
#include "fs/mailboxes.h"
#include "fs/rejected.h"

/*
 * Changes: what they share, then RENAME, UNLINK and LINK. SETATTR and SETXATTR
 * are in ops_attr.c and ops_xattr_set.c.
 *
 * A change is made in one step (change.h), but may have to wait twice: before
 * it, until it is known which message of the server is meant (a mailbox with
 * other UIDs is being matched), or that is where it is to be removed, and with
 * the option sync after it, until the server has answered. The kernel has the
 * directories locked meanwhile.
 */

/* --- what changes share --- */

int ops_edit_texts(struct request *r, const char *name, const char *second,
		   size_t n)
{
	size_t len = strlen(name) + 1;

	r->name = malloc(len + n + 1);
	if (!r->name)
		return -ENOMEM;
	memcpy(r->name, name, len);
	r->edit.second = r->name + len;
	memcpy(r->edit.second, second, n);
	r->edit.second[n] = '\0';
	return 0;
}

static void reply_done(struct request *r)
{
	if (r->edit.op->reply)
		r->edit.op->reply(r);
	else
		ops_reply_err(r->req, 0);
}

/* The server's answer to what was made: 0, -EAGAIN, or its refusal. */
static int answer_of(struct request *r)
{
	int error = 0;

	for (int i = 0; error == 0 && i < 2; i++)
		if (r->edit.sent[i] != 0)
			error = flush_state(r->fs, r->edit.sent[i]);
	return error;
}

static int make_op(void *ctx, struct change_end *end)
{
	struct request *r = ctx;

	return r->edit.op->make(r, end);
}

static int make(struct request *r)
{
	struct change_end end = {0};
	int error = change_durably(r->fs, make_op, r, &end);

	if (error == -EAGAIN)
		r->edit.waits = end.waits ? tree_ino(r->fs->tree, end.waits)
					  : FLUSH_INO;
	if (error != 0)
		return error;
	r->edit.made = true;
	if (r->fs->opt->sync)
		memcpy(r->edit.sent, end.ids, sizeof(r->edit.sent));
	return 0;
}

static int edit_once(struct request *r)
{
	int error = r->edit.made ? 0 : make(r);

	if (error == 0)
		error = answer_of(r);
	if (error == -EAGAIN)
		return error;
	if (error != 0)
		ops_reply_err(r->req, error);
	else
		reply_done(r);
	return 0;
}

static void edit_how(struct request *r, struct parking *ret)
{
	*ret = (struct parking){
		.key = r->edit.made ? FLUSH_INO : r->edit.waits,
		.locked = {r->ino, r->edit.to},
		.deadline_ms = r->edit.made ? clock_now_ms() + r->fs->timeout_ms
					    : r->began_ms + FS_LISTING_WAIT_MS,
		.late_error = -ETIMEDOUT,
	};
}

static uint64_t edit_gen(struct request *r)
{
	struct folder *f;

	if (r->edit.made || r->edit.waits == FLUSH_INO)
		return flush_gen(r->fs);
	f = r->edit.waits ? tree_find(r->fs->tree, r->edit.waits) : NULL;
	return (f ? folder_gen(f) : 0) + draft_gen(r->fs);
}

static void edit_resume(struct request *r);

static const struct waiting edit_waiting = {edit_once, edit_how, edit_gen,
					    edit_resume};

static void edit_resume(struct request *r)
{
	ops_run(r, &edit_waiting);
}

void ops_edit(struct request *r, const struct edit_op *op)
{
	r->edit.op = op;
	ops_run(r, &edit_waiting);
}

/* --- RENAME --- */

static int make_rename(struct request *r, struct change_end *end)
{
	const struct change_move how = {
		.from = tree_find(r->fs->tree, r->ino),
		.name = r->name,
		.to = tree_find(r->fs->tree, r->edit.to),
		.to_name = r->edit.second,
		.no_replace = r->edit.flags & RENAME_NOREPLACE,
	};
	int64_t waited = r->began_ms ? clock_now_ms() - r->began_ms : 0;

	/* `.imapfs` has nothing that could be moved, and takes nothing. */
	if (!how.from || !how.to)
		return -EPERM;
	if (draft_needs_watch(r->fs, how.from, how.name) &&
	    draft_watch(r->fs, how.to, waited) == -EAGAIN) {
		end->waits = how.to;
		return -EAGAIN;
	}
	return change_move(r->fs, &how, end);
}

static const struct edit_op rename_op = {.make = make_rename};

/* Is it a directory that is renamed? Then that is done, or refused. */
static bool rename_folder(const struct request *r, const char *name,
			  const char *to_name)
{
	struct tree *t = r->fs->tree;
	struct folder *parent = tree_find(t, r->ino);
	struct mailboxes_rename what = {
		.f = parent ? tree_child(t, parent, name) : NULL,
		.parent = tree_find(t, r->edit.to),
		.name = to_name,
	};

	if (!what.f)
		return false;
	if (!what.parent) {
		ops_refuse(r->req, -EPERM);
		return true;
	}
	what.onto = tree_child(t, what.parent, to_name);
	ops_rename_folder(r->req, &what, r->edit.flags);
	return true;
}

void ops_rename(fuse_req_t req, fuse_ino_t dir, const char *name, fuse_ino_t to,
		const char *to_name, unsigned flags)
{
	struct request r = {.req = req,
			    .fs = ops_fs(req),
			    .ino = dir,
			    .edit = {.to = to, .flags = flags}};
	struct folder *parent = tree_find(r.fs->tree, dir);
	struct folder *target = tree_find(r.fs->tree, to);
	int error;

	if (parent && target && ops_is_replay(req)) {
		ops_replay_rename(req, parent, name, target, to_name);
		return;
	}
	if (ops_refuse_ro(req) || rename_folder(&r, name, to_name))
		return;
	error = flags & ~(unsigned)RENAME_NOREPLACE ? -EINVAL : 0;
	if (error == 0 && strlen(to_name) > CACHE_NAME_MAX)
		error = -ENAMETOOLONG;
	if (error == 0)
		error = ops_edit_texts(&r, name, to_name, strlen(to_name));
	if (error != 0)
		ops_reply_err(req, error);
	else
		ops_edit(&r, &rename_op);
}

/* --- UNLINK --- */

static int make_unlink(struct request *r, struct change_end *end)
{
	struct folder *f = tree_find(r->fs->tree, r->ino);

	return f ? change_remove(r->fs, f, r->name, end) : -EPERM;
}

static const struct edit_op unlink_op = {.make = make_unlink};

void ops_unlink(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	struct request r = {.req = req, .fs = ops_fs(req), .ino = dir};
	int error;

	if (ops_is_replay(req)) {
		ops_replay_unlink(req, dir, name);
		return;
	}
	if (ops_refuse_ro(req))
		return;
	if (dir == CONTROL_REJECTED_INO) {
		ops_reply_err(req, rejected_remove(r.fs, name));
		return;
	}
	error = ops_edit_texts(&r, name, "", 0);
	if (error != 0)
		ops_reply_err(req, error);
	else
		ops_edit(&r, &unlink_op);
}

/* --- LINK --- */

/*
 * A message in two folders is two messages. Programs that link in order to
 * deliver fall back to rename(2); made into a copy it would double mail.
 */
void ops_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t dir, const char *name)
{
	(void)ino;
	(void)dir;
	(void)name;
	if (!ops_refuse_ro(req))
		ops_refuse(req, -EPERM);
}
