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

void ops_replay_mkdir(fuse_req_t req, struct folder *parent, const char *name)
{
	struct fs *fs = ops_fs(req);
	struct folder *f = tree_take_mkdir(fs->tree, parent, name);
	struct fuse_entry_param e;

	if (!f) {
		ops_reply_err(req, -ENOENT);
		return;
	}
	ops_entry_of_folder(fs, f, &e);
	if (fuse_reply_entry(req, &e) == -ENOENT)
		ops_unhold(fs, e.ino, 1);
}

void ops_replay_rmdir(fuse_req_t req, struct folder *parent, const char *name)
{
	/* It may have come back meanwhile. */
	ops_reply_err(req, tree_take_rmdir(ops_fs(req)->tree, parent, name)
				   ? 0
				   : -EPERM);
}

void ops_replay_rename(fuse_req_t req, struct folder *parent, const char *name,
		       struct folder *to, const char *to_name)
{
	ops_reply_err(req, tree_take_rename(ops_fs(req)->tree, parent, name, to,
					    to_name)
				   ? 0
				   : -EPERM);
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
	if (error == 0)
		error = m.doomed ? box_remove(box, &m.id, 1) : -EPERM;
	else if (error == -ENOENT)
		error = 0; /* its row has left already (folder_left()) */
	folder_put(fs, f);
	ops_reply_err(req, error);
}
