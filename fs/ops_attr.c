/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ops.h"

#include <errno.h>
#include <sys/statvfs.h>

#include "fs/attr.h"
#include "fs/change.h"
#include "fs/draft.h"
#include "fs/folder.h"
#include "fs/keep.h"
#include "fs/load.h"
#include "fs/notify.h"
#include "fs/quota.h"
#include "fs/replay.h"

/*
 * Attributes: GETATTR, SETATTR, STATFS. ops_xattr.c has the extended ones.
 */

/* --- GETATTR --- */

int ops_stat(struct fs *fs, uint64_t ino, struct stat *ret)
{
	struct control_entry c;
	struct cache_msg m;
	struct folder *f;
	int r;

	if (ino >= CONTROL_INO_FIRST) {
		r = control_stat(fs, ino, &c);
		if (r == 0)
			attr_of_control(fs, &c, ret);
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
	struct fs *fs = ops_fs(req);
	struct stat st;
	int r;

	notify_note_heard(fs->notify, ino);
	r = ops_stat(fs, ino, &st);
	if (r != 0)
		ops_reply_err(req, r);
	else
		fuse_reply_attr(req, &st,
				ino == CONTROL_REJECTED_INO
					? 0
					: ops_attr_timeout(&st));
	notify_note_heard(fs->notify, ino);
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

/* --- SETATTR --- */

#define SET_TIMES                                                              \
	(FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW | \
	 FUSE_SET_ATTR_MTIME_NOW | FUSE_SET_ATTR_CTIME)

static void reply_edited(struct request *r)
{
	reply_attr(r->req, r->ino);
}

static int make_chmod(struct request *r, struct change_end *end)
{
	return change_flags(r->fs, r->ino, MARKS_OF_MODE, r->edit.flags, end);
}

static const struct edit_op chmod_op = {make_chmod, reply_edited};

/* To oneself: nothing. */
static int check_owner(const struct stat *now, const struct stat *to, int what)
{
	if ((what & FUSE_SET_ATTR_UID) && to->st_uid != now->st_uid)
		return -EPERM;
	if ((what & FUSE_SET_ATTR_GID) && to->st_gid != now->st_gid)
		return -EPERM;
	return 0;
}

/*
 * What is on the server has the date of its arrival, which nobody can change.
 * When it was read last is kept nowhere.
 */
static int check_times(const struct stat *now, const struct stat *to, int what)
{
	if (!(what & FUSE_SET_ATTR_MTIME))
		return 0;
	if (what & FUSE_SET_ATTR_MTIME_NOW)
		return -EPERM;
	return to->st_mtim.tv_sec == now->st_mtim.tv_sec ? 0 : -EPERM;
}

static void set_message(struct request *r, const struct stat *to, int what)
{
	struct stat now;
	int error;

	/* Truncation comes alone, or with times that follow from it. */
	if (what & FUSE_SET_ATTR_SIZE) {
		ops_truncate(r, to->st_size);
		return;
	}
	error = ops_stat(r->fs, r->ino, &now);

	if (error == 0)
		error = check_owner(&now, to, what);
	if (error == 0 && (what & SET_TIMES)) {
		error = ops_set_times(r->fs, r->ino, to, what);
		if (error == -ENOENT)
			error = check_times(&now, to, what);
	}
	r->edit.flags = marks_from_mode(to->st_mode);
	if (error != 0)
		ops_reply_err(r->req, error);
	else if ((what & FUSE_SET_ATTR_MODE) &&
		 r->edit.flags != marks_from_mode(now.st_mode))
		ops_edit(r, &chmod_op);
	else
		reply_attr(r->req, r->ino);
}

/*
 * Times set on a folder mean: look at the server now (`touch FOLDER`), which
 * changes nothing there; on one without messages: which folders are there? A
 * server that cannot be reached, or that has refused the login, is tried again.
 * Its mode cannot be changed, which tar and rsync need not know.
 */
static void set_folder(struct request *r, struct folder *f,
		       const struct stat *to, int what)
{
	struct stat now;
	int error;

	attr_of_folder(r->fs, f, &now);
	error = check_owner(&now, to, what);
	if (error == 0 && (what & ~SET_TIMES) != 0 && r->fs->opt->read_only)
		error = -EROFS;
	if (error != 0) {
		ops_reply_err(r->req, error);
		return;
	}
	if ((what & SET_TIMES) && !r->fs->online)
		imap_retry(r->fs->imap);
	if ((what & SET_TIMES) && (f->attrs & FOLDER_NOSELECT))
		(void)keep_ask_folders(r->fs, IMAP_PRIO_LISTING);
	else if (what & SET_TIMES)
		folder_resync(r->fs, f);
	reply_attr(r->req, r->ino);
}

void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int what,
		 struct fuse_file_info *fi)
{
	struct request r = {.req = req, .fs = ops_fs(req), .ino = ino};
	struct folder *f = tree_find(r.fs->tree, ino);

	(void)fi;
	control_count(r.fs->control, REQ_SETATTR);
	if (replay_is_helper(r.fs->replay, fuse_req_ctx(req)->pid))
		reply_attr(req, ino);
	else if (f)
		set_folder(&r, f, attr, what);
	else if (ino >= CONTROL_INO_FIRST)
		ops_refuse(req, -EROFS);
	else if (!ops_refuse_ro(req))
		set_message(&r, attr, what);
}

/* --- STATFS --- */

/* Servers that do not say how much room there is: plenty, all of it free. */
void ops_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = ops_fs(req);
	struct imap_quota quota;
	struct statvfs v = {
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_blocks = 1ULL << 30,
		.f_bfree = 1ULL << 30,
		.f_files = 1ULL << 32,
		.f_ffree = 1ULL << 32,
		.f_favail = 1ULL << 32,
		.f_namemax = CACHE_NAME_MAX,
	};

	(void)ino;
	control_count(fs->control, REQ_STATFS);
	quota_refresh(fs);
	if (quota_get(fs, &quota)) {
		v.f_blocks = quota.limit_kib / 4;
		v.f_bfree = quota.used_kib < quota.limit_kib
				    ? (quota.limit_kib - quota.used_kib) / 4
				    : 0;
	}
	v.f_bavail = v.f_bfree;
	fuse_reply_statfs(req, &v);
}
