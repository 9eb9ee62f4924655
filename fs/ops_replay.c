/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ops.h"

#include <errno.h>

/*
 * MKDIR, RMDIR and RENAME as the helper sends them, which replays what became
 * of mailboxes on the server: answered from the tree, which knows what is to
 * come.
 */

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
