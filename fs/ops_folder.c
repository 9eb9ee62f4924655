/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ops.h"

#include <errno.h>
#include <stdio.h>

#include "fs/mailboxes.h"

/*
 * MKDIR, RMDIR, and RENAME of a directory (ops_change.c has the others): what
 * the user does to mailboxes (mailboxes.h), and what the helper replays
 * (ops_replay.c).
 *
 * The kernel holds locks of directories while these wait for the server: of the
 * one that the name is in, which is the key they are parked on, of the other
 * one of a rename, and of the directories that go or move. Nothing that needs
 * one of them gets into the kernel from here meanwhile (park.h).
 */

static int reply_end(struct request *r, int error)
{
	if (error != -EAGAIN)
		ops_reply_err(r->req, error);
	return error == -EAGAIN ? error : 0;
}

/* Its time is up, or its caller is let go. */
static void give_up(struct request *r)
{
	mailboxes_abandon(r->fs, r->mailbox.op);
}

static void mailbox_how(struct request *r, struct parking *ret)
{
	ret->key = r->ino;
	for (unsigned i = 0; i < 3; i++)
		ret->locked[i] = r->mailbox.locked[i];
	ret->deadline_ms = r->began_ms + MAILBOXES_WAIT_MS;
	ret->late_error = -ETIMEDOUT;
	ret->gone = give_up;
}

static uint64_t mailbox_gen(struct request *r)
{
	return mailboxes_gen(r->fs);
}

/* --- RMDIR and RENAME: no more than whether it was done is replied --- */

static int change_once(struct request *r)
{
	return reply_end(r, mailboxes_end(r->fs, r->mailbox.op, NULL));
}

static void change_resume(struct request *r);

static const struct waiting change_waiting = {change_once, mailbox_how,
					      mailbox_gen, change_resume};

static void change_resume(struct request *r)
{
	ops_run(r, &change_waiting);
}

void ops_rmdir(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	struct request r = {.req = req, .fs = ops_fs(req), .ino = dir};
	struct folder *parent = tree_find(r.fs->tree, dir), *f = NULL;
	int error = -ENOTDIR;

	if (ops_is_replay(req)) {
		if (parent)
			ops_replay_rmdir(req, parent, name);
		else
			ops_reply_err(req, -EPERM);
		return;
	}
	if (parent)
		f = tree_child(r.fs->tree, parent, name);
	else
		error = -EROFS; /* .imapfs */
	if (f) {
		r.mailbox.locked[0] = f->id;
		error = mailboxes_rmdir(r.fs, f, dir, &r.mailbox.op);
	}
	if (error != 0)
		ops_reply_err(req, error);
	else
		ops_run(&r, &change_waiting);
}

void ops_rename_folder(fuse_req_t req, const struct mailboxes_rename *what,
		       unsigned flags)
{
	struct request r = {.req = req, .fs = ops_fs(req)};
	struct tree *t = r.fs->tree;
	int error = 0;

	r.ino = tree_parent_ino(t, what->f);
	r.mailbox.locked[0] = tree_ino(t, what->parent);
	r.mailbox.locked[1] = what->f->id;
	r.mailbox.locked[2] = what->onto ? what->onto->id : 0;
	if (flags & ~(unsigned)RENAME_NOREPLACE)
		error = -EINVAL;
	else if (what->onto && (flags & RENAME_NOREPLACE))
		error = -EEXIST;
	if (error == 0)
		error = mailboxes_rename(r.fs, what, r.ino, &r.mailbox.op);
	if (error != 0)
		ops_reply_err(req, error);
	else
		ops_run(&r, &change_waiting);
}

/* --- MKDIR --- */

static int mkdir_once(struct request *r)
{
	struct fuse_entry_param e;
	struct folder *f = NULL;
	int error;

	error = mailboxes_end(r->fs, r->mailbox.op, &f);
	if (error != 0 || !f)
		return reply_end(r, error);
	ops_entry_of_folder(r->fs, f, &e);
	lock_assert_none();
	if (fuse_reply_entry(r->req, &e) == -ENOENT)
		ops_unhold(r->fs, e.ino, 1);
	return 0;
}

static void mkdir_resume(struct request *r);

static const struct waiting mkdir_waiting = {mkdir_once, mailbox_how,
					     mailbox_gen, mkdir_resume};

static void mkdir_resume(struct request *r)
{
	ops_run(r, &mkdir_waiting);
}

void ops_mkdir(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode)
{
	struct request r = {.req = req, .fs = ops_fs(req), .ino = dir};
	struct folder *parent = tree_find(r.fs->tree, dir);
	int error = -EROFS; /* .imapfs */

	(void)mode;
	if (ops_is_replay(req)) {
		if (parent)
			ops_replay_mkdir(req, parent, name);
		else
			ops_reply_err(req, -ENOENT);
		return;
	}
	if (parent)
		error = mailboxes_mkdir(r.fs, parent, name, dir, &r.mailbox.op);
	if (error != 0)
		ops_reply_err(req, error);
	else
		ops_run(&r, &mkdir_waiting);
}
