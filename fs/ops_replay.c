/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ops.h"

#include <errno.h>

#include "fs/folder.h"
#include "fs/replay.h"

/*
 * The operations by which the helper replays what became of messages and
 * mailboxes on the server. They are answered from the box and the tree, which
 * know what is to come.
 */

bool ops_is_replay(fuse_req_t req)
{
	struct fs *fs = ops_fs(req);
	bool yes = replay_is_helper(fs->replay, fuse_req_ctx(req)->pid);

	if (yes)
		control_count(fs->control, REQ_REPLAY);
	return yes;
}

void ops_mkdir(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode)
{
	struct fs *fs = ops_fs(req);
	struct folder *parent = tree_find(fs->tree, dir), *f;
	struct fuse_entry_param e;

	(void)mode;
	if (!ops_is_replay(req)) {
		ops_refuse(req, -EROFS);
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
		ops_refuse(req, -EROFS);
	else if (parent && tree_take_rmdir(fs->tree, parent, name))
		ops_reply_err(req, 0);
	else
		ops_reply_err(req, -EPERM); /* it has come back meanwhile */
}

void ops_replay_rename(fuse_req_t req, fuse_ino_t dir, const char *name,
		       fuse_ino_t to, const char *to_name)
{
	struct fs *fs = ops_fs(req);
	struct folder *parent = tree_find(fs->tree, dir);
	struct folder *target = tree_find(fs->tree, to);

	if (parent && target &&
	    tree_take_rename(fs->tree, parent, name, target, to_name))
		ops_reply_err(req, 0);
	else
		ops_reply_err(req, -EPERM);
}

void ops_replay_unlink(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	struct fs *fs = ops_fs(req);
	struct folder *f = tree_find(fs->tree, dir);
	struct cache_msg m;
	struct box *box;
	int error;

	error = f ? folder_get(fs, f, &box) : -ENOENT;
	if (error != 0) {
		ops_reply_err(req, error == -ENODATA ? -ENOENT : error);
		return;
	}
	error = box_find_name(box, name, &m);
	if (error == 0 && !m.doomed)
		error = -ENOENT;
	if (error == 0)
		error = box_remove(box, &m.id, 1);
	folder_put(fs, f);
	ops_reply_err(req, error);
}
