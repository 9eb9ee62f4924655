/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ops.h"

#include <errno.h>
#include <sys/statvfs.h>

#include "fs/attr.h"
#include "fs/draft.h"
#include "fs/folder.h"
#include "fs/keep.h"
#include "fs/load.h"
#include "fs/replay.h"

/*
 * Attributes: GETATTR, SETATTR, STATFS. ops_xattr.c has the extended ones.
 */

/* --- GETATTR, SETATTR --- */

int ops_stat(struct fs *fs, uint64_t ino, struct stat *ret)
{
	struct cache_msg m;
	struct folder *f;
	int64_t mtime;
	size_t size;
	int r;

	if (ino == CONTROL_DIR_INO) {
		attr_of_control(fs, ino, S_IFDIR | 0500, 0, fs->mounted_at,
				ret);
		return 0;
	}
	if (ino >= CONTROL_INO_FIRST) {
		r = control_stat(fs, ino, &size, &mtime);
		if (r == 0)
			attr_of_control(fs, ino, S_IFREG | 0400, size, mtime,
					ret);
		return r;
	}
	f = tree_find(fs->tree, ino);
	if (f) {
		attr_of_folder(fs, f, ret);
		return 0;
	}
	r = attr_find_message(fs, ino, &m, &f);
	if (r == 0)
		attr_of_message(fs, &m, ret);
	return r;
}

static void reply_attr(fuse_req_t req, uint64_t ino)
{
	struct stat st;
	int r = ops_stat(ops_fs(req), ino, &st);

	if (r != 0)
		ops_reply_err(req, r);
	else
		fuse_reply_attr(req, &st, ops_attr_timeout(&st));
}

/*
 * A size of 0 is no size of a message: the server does not know it, or lies.
 * Such attributes are kept by nobody, so that a read(2) asks for them first;
 * then the body is fetched, and says how long it is.
 */
static int getattr_once(struct request *r)
{
	struct cache_msg m;
	struct folder *f;
	struct body *b;
	int error;

	error = attr_find_message(r->fs, r->ino, &m, &f);
	if (error == 0 && m.size == 0 && !m.dead && m.uid != 0 &&
	    !draft_is_written(r->fs, r->ino)) {
		error = load_read(r->fs, f, &m, 0, 1, &b);
		if (error == 0)
			body_put(b);
	}
	if (error == -EAGAIN)
		return error;
	if (error != 0)
		ops_reply_err(r->req, error);
	else
		reply_attr(r->req, r->ino);
	return 0;
}

static void getattr_resume(struct request *r);

static const struct waiting getattr_waiting = {getattr_once, ops_body_how,
					       ops_body_gen, getattr_resume};

static void getattr_resume(struct request *r)
{
	ops_run(r, &getattr_waiting);
}

void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct request r = {.req = req, .fs = ops_fs(req), .ino = ino};

	control_count(r.fs->control, REQ_GETATTR);
	/* `fi`: not a stat(2), but a read(2) that is about to happen. */
	if (fi && ino < CONTROL_INO_FIRST && !tree_find(r.fs->tree, ino))
		ops_run(&r, &getattr_waiting);
	else
		reply_attr(req, ino);
}

/*
 * Times set on a folder mean: look at the server now (`touch FOLDER`), which
 * changes nothing there; on one without messages: which folders are there?
 * Everything else is a change.
 */
void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int what,
		 struct fuse_file_info *fi)
{
	const int times = FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME |
			  FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW |
			  FUSE_SET_ATTR_CTIME;
	struct fs *fs = ops_fs(req);
	struct folder *f = tree_find(fs->tree, ino);

	(void)fi;
	control_count(fs->control, REQ_SETATTR);
	if (replay_is_helper(fs->replay, fuse_req_ctx(req)->pid)) {
		reply_attr(req, ino);
	} else if (f && (what & ~times) == 0) {
		if (f->attrs & FOLDER_NOSELECT)
			(void)keep_ask_folders(fs, IMAP_PRIO_LISTING);
		else
			folder_resync(fs, f);
		reply_attr(req, ino);
	} else if (!fs->opt->read_only && (what & FUSE_SET_ATTR_SIZE)) {
		ops_truncate(req, ino, attr->st_size);
	} else if (!fs->opt->read_only && (what & ~times) == 0 &&
		   ops_set_times(fs, ino, attr, what) == 0) {
		reply_attr(req, ino);
	} else {
		ops_reply_err(req, -EROFS);
	}
}

/* --- STATFS --- */

/* Servers seldom say how much room there is: plenty, all of it free. */
void ops_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs v = {
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_blocks = 1ULL << 30,
		.f_bfree = 1ULL << 30,
		.f_bavail = 1ULL << 30,
		.f_files = 1ULL << 32,
		.f_ffree = 1ULL << 32,
		.f_favail = 1ULL << 32,
		.f_namemax = CACHE_NAME_MAX,
	};

	(void)ino;
	control_count(ops_fs(req)->control, REQ_STATFS);
	fuse_reply_statfs(req, &v);
}
