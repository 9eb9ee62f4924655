/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr.h"
#include "fs/folder.h"
#include "fs/keep.h"
#include "fs/notify.h"
#include "fs/replay.h"
#include "imap/log.h"

/*
 * What all operations share, the table of them, and those that this mount
 * refuses. With `ro` it is read-only by its own word (EROFS from here), not by
 * the kernel's, which would refuse the helper's replays too.
 *
 * OPEN, ACCESS and FLUSH are answered ENOSYS: the kernel then stops asking
 * (default_permissions checks for it), and reading a file that it holds costs
 * no request at all.
 */

/* The errors that may leave, as mount.imapfs(8) lists them; and ENOSYS, which
 * only the kernel hears. */
static const int errors[] = {
	EACCES,     EBADMSG, EDQUOT,   EFBIG,        EINTR,     EINVAL,
	EIO,        EEXIST,  EISDIR,   ENAMETOOLONG, ENODATA,   ENOENT,
	ENOMEM,     ENOSPC,  ENOTCONN, ENOTDIR,      ENOTEMPTY, ENOSYS,
	EOPNOTSUPP, EPERM,   ERANGE,   EROFS,        ETIMEDOUT,
};

void ops_reply_err(fuse_req_t req, int error)
{
	int positive = EIO;

	/* Jobs that end because the program does. */
	if (error == -ECANCELED)
		error = -ENOTCONN;

	lock_assert_none();
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i] == -error)
			positive = -error;
	if (error == 0)
		positive = 0;
	else if (positive != -error)
		log_warn("ops: '%s' is shown as EIO", strerrordesc_np(-error));
	fuse_reply_err(req, positive);
}

struct fs *ops_fs(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

void ops_run(struct request *r, const struct waiting *w)
{
	struct parking how = {0};
	uint64_t gen, ticket;

	for (;;) {
		gen = w->gen(r);
		if (w->once(r) != -EAGAIN)
			break;

		if (r->began_ms == 0)
			r->began_ms = clock_now_ms();
		w->how(r, &how);
		how.resume = w->resume;
		ticket = park_put(r->fs->park, r, &how);
		if (ticket == 0) {
			if (how.gone)
				how.gone(r);
			ops_reply_err(r->req, -ENOTCONN);
			break;
		}
		/* From here on it is somebody else's, unless claimed back. */
		if (w->gen(r) == gen || !park_claim(r->fs->park, ticket, r))
			return;
	}
	free(r->name);
	r->name = NULL;
}

uint64_t ops_folder_gen(struct request *r)
{
	struct folder *f = tree_find(r->fs->tree, r->ino);

	return f ? folder_gen(f) : 0;
}

double ops_attr_timeout(const struct stat *st)
{
	/* A size that is not known (ops_attr.c). */
	return S_ISREG(st->st_mode) && st->st_size == 0 ? 0 : OPS_FOREVER;
}

void ops_entry_of_folder(struct fs *fs, struct folder *f,
			 struct fuse_entry_param *ret)
{
	memset(ret, 0, sizeof(*ret));
	folder_hold(f);
	/* Somebody may watch it who never enters it. */
	if (keep_is_inbox(fs, f))
		keep_note_used(fs, f);
	ret->ino = f->id;
	ret->attr_timeout = OPS_FOREVER;
	ret->entry_timeout = OPS_FOREVER;
	attr_of_folder(fs, f, &ret->attr);
}

int ops_entry_of_message(struct fs *fs, struct folder *f,
			 const struct cache_msg *m,
			 struct fuse_entry_param *ret)
{
	struct cache_msg now;
	struct box *box;
	int r;

	notify_note_heard(fs->notify, m->id);
	r = folder_get(fs, f, &box);
	if (r != 0)
		return r;
	r = box_hold(box, m->id);
	/*
	 * Read once more: who changes it from here on sees that it is held,
	 * and tells the kernel; who did before was too early to be heard.
	 */
	if (r == 0)
		r = box_find_id(box, m->id, &now);
	folder_put(fs, f);
	if (r != 0)
		return r;

	memset(ret, 0, sizeof(*ret));
	ret->ino = m->id;
	ret->entry_timeout = OPS_FOREVER;
	attr_of_message(fs, &now, &ret->attr);
	ret->attr_timeout = ops_attr_timeout(&ret->attr);
	return 0;
}

/* --- what the kernel and we agree on --- */

static void ops_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->want |= conn->capable &
		      (FUSE_CAP_READDIRPLUS | FUSE_CAP_EXPLICIT_INVAL_DATA |
		       FUSE_CAP_ASYNC_READ | FUSE_CAP_NO_OPEN_SUPPORT |
		       FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_SPLICE_WRITE |
		       FUSE_CAP_CACHE_SYMLINKS);
	/*
	 * READDIRPLUS always: programs that walk a tree read all names before
	 * the first stat, and would then ask for each. Without
	 * ATOMIC_O_TRUNC, since nothing of an open reaches us.
	 */
	conn->want &= ~(
		unsigned)(FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_AUTO_INVAL_DATA |
			  FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_SPLICE_READ);
	/* A dozen parked reads (the default) would stop all others. */
	conn->max_background = 512;
	conn->congestion_threshold = 512;
}

static void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	control_count(ops_fs(req)->control, REQ_OPEN);
	ops_reply_err(req, -ENOSYS);
}

static void ops_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	ops_reply_err(req, -ENOSYS);
}

static void ops_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
	(void)ino;
	(void)mask;
	ops_reply_err(req, -ENOSYS);
}

/* --- what is refused --- */

void ops_refuse(fuse_req_t req, int error)
{
	control_count(ops_fs(req)->control, REQ_REFUSED);
	ops_reply_err(req, error);
}

bool ops_refuse_ro(fuse_req_t req)
{
	if (!ops_fs(req)->opt->read_only)
		return false;
	ops_refuse(req, -EROFS);
	return true;
}

static void ops_symlink(fuse_req_t req, const char *target, fuse_ino_t dir,
			const char *name)
{
	(void)target;
	(void)dir;
	(void)name;
	if (!ops_refuse_ro(req))
		ops_refuse(req, -EPERM);
}

void ops_fill(struct fuse_lowlevel_ops *ops)
{
	*ops = (struct fuse_lowlevel_ops){
		.init = ops_init,
		.lookup = ops_lookup,
		.forget = ops_forget,
		.forget_multi = ops_forget_multi,
		.getattr = ops_getattr,
		.setattr = ops_setattr,
		.mknod = ops_mknod,
		.unlink = ops_unlink,
		.open = ops_open,
		.read = ops_read,
		.flush = ops_flush,
		.opendir = ops_opendir,
		.readdir = ops_readdir,
		.readdirplus = ops_readdirplus,
		.releasedir = ops_releasedir,
		.statfs = ops_statfs,
		.fsync = ops_fsync,
		.fsyncdir = ops_fsyncdir,
		.getxattr = ops_getxattr,
		.listxattr = ops_listxattr,
		.access = ops_access,
		.mkdir = ops_mkdir,
		.rmdir = ops_rmdir,
		.symlink = ops_symlink,
		.link = ops_link,
		.rename = ops_rename,
		.create = ops_create,
		.write = ops_write,
		.copy_file_range = ops_copy_file_range,
		.setxattr = ops_setxattr,
		.removexattr = ops_removexattr,
		.fallocate = ops_fallocate,
	};
}
