/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The FUSE edge: the operations, and what they share. Every error of theirs
 * leaves through ops_reply_err(), which shows as EIO what the manual does not
 * list.
 */
#ifndef IMAPFS_FS_OPS_H
#define IMAPFS_FS_OPS_H

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 314
#endif
#include <fuse_lowlevel.h>

#include "fs/control.h"
#include "fs/fs.h"
#include "fs/park.h"
#include "fs/tree.h"

/* What the kernel may keep for ever: it is told of every change. */
#define OPS_FOREVER (10.0 * 365 * 86400)

void ops_fill(struct fuse_lowlevel_ops *ops);

struct fs *ops_fs(fuse_req_t req);

/* `error` is negative. */
void ops_reply_err(fuse_req_t req, int error);

/* 0 and `*ret`, or -ENOENT and its like. */
MUST_CHECK int ops_stat(struct fs *fs, uint64_t ino, struct stat *ret);

/*
 * Try `once` now; as long as it answers -EAGAIN, park the request and go on
 * when its key moves. `once` replies unless it returns -EAGAIN; `how` says
 * how to wait and gives the generation, both asked anew each time.
 */
struct waiting {
	int (*once)(struct request *r);
	void (*how)(struct request *r, struct parking *ret);
	uint64_t (*gen)(struct request *r);
	park_resume_fn resume;
};
void ops_run(struct request *r, const struct waiting *w);

/*
 * A change (change.h). It is made when it can be; with the option sync, the
 * reply waits for the server's answer. The names or values of `r` are put
 * together by ops_edit_texts(). Everything but a reply in `make` and `reply`.
 */
struct change_end;
struct edit_op {
	int (*make)(struct request *r, struct change_end *end);
	void (*reply)(struct request *r); /* of success; NULL: an empty one */
};
/* -ENOMEM. The second one has `n` bytes, and a NUL is put behind it. */
MUST_CHECK int ops_edit_texts(struct request *r, const char *name,
			      const char *second, size_t n);
void ops_edit(struct request *r, const struct edit_op *op);

/* Is this a change in a mount that is read-only? Then it is refused, here. */
bool ops_refuse_ro(fuse_req_t req);

/* One that has no meaning in mail, whoever asks. */
void ops_refuse(fuse_req_t req, int error);

/*
 * Is it the helper, which replays what has happened elsewhere? Then it is
 * counted.
 */
bool ops_is_replay(fuse_req_t req);

/* How a request waits for the body of the message r->ino. */
void ops_body_how(struct request *r, struct parking *ret);
uint64_t ops_body_gen(struct request *r);

/* How long the kernel may keep these attributes, in seconds. */
double ops_attr_timeout(const struct stat *st);

/* The generation of the directory r->ino. */
uint64_t ops_folder_gen(struct request *r);

/* An entry for the kernel; raises the lookup count of what it names. */
void ops_entry_of_folder(struct fs *fs, struct folder *f,
			 struct fuse_entry_param *ret);
/* -ENOENT if the message went meanwhile. */
MUST_CHECK int ops_entry_of_message(struct fs *fs, struct folder *f,
				    const struct cache_msg *m,
				    struct fuse_entry_param *ret);

/* Give back what an entry that the kernel did not get had raised. */
void ops_unhold(struct fs *fs, uint64_t ino, uint64_t n);

void ops_lookup(fuse_req_t req, fuse_ino_t dir, const char *name);
void ops_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n);
void ops_forget_multi(fuse_req_t req, size_t n,
		      struct fuse_forget_data *forgets);
void ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		 struct fuse_file_info *fi);
void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		     struct fuse_file_info *fi);
void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	      struct fuse_file_info *fi);
void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_create(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode,
		struct fuse_file_info *fi);
void ops_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
	       off_t off, struct fuse_file_info *fi);
void ops_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t off_from,
			 struct fuse_file_info *fi_from, fuse_ino_t to,
			 off_t off_to, struct fuse_file_info *fi_to, size_t len,
			 int flags);
void ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset,
		   off_t length, struct fuse_file_info *fi);

/* MKNOD by the user: a regular file is made as by CREATE. */
void ops_make_node(fuse_req_t req, fuse_ino_t dir, const char *name,
		   mode_t mode);
/* SETATTR of the size; answers. */
void ops_truncate(struct request *r, off_t size);
/* The times of what was not sent. -ENOENT: it was. */
MUST_CHECK int ops_set_times(struct fs *fs, uint64_t ino,
			     const struct stat *attr, int what);

void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int what,
		 struct fuse_file_info *fi);
void ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
	       struct fuse_file_info *fi);
void ops_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
		  struct fuse_file_info *fi);
void ops_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		  size_t size);
void ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void ops_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		  const char *value, size_t size, int flags);
void ops_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
void ops_statfs(fuse_req_t req, fuse_ino_t ino);
void ops_mknod(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode,
	       dev_t dev);
void ops_unlink(fuse_req_t req, fuse_ino_t dir, const char *name);
void ops_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t dir, const char *name);
void ops_mkdir(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode);
void ops_rmdir(fuse_req_t req, fuse_ino_t dir, const char *name);
void ops_rename(fuse_req_t req, fuse_ino_t dir, const char *name, fuse_ino_t to,
		const char *to_name, unsigned flags);

/* --- ops_replay.c: the same, from the helper --- */

void ops_replay_unlink(fuse_req_t req, fuse_ino_t dir, const char *name);
void ops_replay_mkdir(fuse_req_t req, struct folder *parent, const char *name);
void ops_replay_rmdir(fuse_req_t req, struct folder *parent, const char *name);
void ops_replay_rename(fuse_req_t req, struct folder *parent, const char *name,
		       struct folder *to, const char *to_name);

/* --- ops_folder.c --- */

/* A RENAME of a directory. */
struct mailboxes_rename; /* mailboxes.h */
void ops_rename_folder(fuse_req_t req, const struct mailboxes_rename *what,
		       unsigned flags);

#endif
