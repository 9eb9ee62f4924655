/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ops.h"

#include <errno.h>

/*
 * MKDIR, RMDIR and RENAME: the operations by which the helper replays what
 * became of mailboxes on the server. They are answered from the tree, which
 * knows what is to come, and refused to everybody else.
 */

void ops_mkdir(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode)
{
	struct fs *fs = ops_fs(req);
	struct folder *parent = tree_find(fs->tree, dir), *f;
	struct fuse_entry_param e;

	(void)mode;
	if (!ops_is_replay(req)) {
		ops_reply_err(req, -EROFS);
		return;
	}
	f = parent ? tree_take_mkdir(fs->tree, parent, name) : NULL;
	if (!f) {
		ops_reply_err(req, -ENOENT);
		return;
	}
	ops_entry_of_folder(fs, f, &e);
	if (fuse_reply_entry(req, &e) == -ENOENT)
		ops_unhold(fs, e.ino, 1);
}

void ops_rmdir(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	struct fs *fs = ops_fs(req);
	struct folder *parent = tree_find(fs->tree, dir);

	if (!ops_is_replay(req))
		ops_reply_err(req, -EROFS);
	else if (parent && tree_take_rmdir(fs->tree, parent, name))
		ops_reply_err(req, 0);
	else
		ops_reply_err(req, -EPERM); /* it has come back meanwhile */
}

void ops_rename(fuse_req_t req, fuse_ino_t dir, const char *name, fuse_ino_t to,
		const char *to_name, unsigned flags)
{
	struct fs *fs = ops_fs(req);
	struct folder *parent = tree_find(fs->tree, dir);
	struct folder *target = tree_find(fs->tree, to);

	(void)flags;
	if (!ops_is_replay(req))
		ops_reply_err(req, -EROFS);
	else if (parent && target &&
		 tree_take_rename(fs->tree, parent, name, target, to_name))
		ops_reply_err(req, 0);
	else
		ops_reply_err(req, -EPERM);
}
