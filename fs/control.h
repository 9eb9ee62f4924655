/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `.imapfs`: what the program tells about itself. Each lookup of a file in it
 * makes a snapshot with a node of its own, which lives until the kernel
 * forgets it: under no_open the kernel would serve old pages otherwise. The
 * same holds for the files of `.imapfs/rejected`. What stat(2) shows as inode
 * number is that of the file, the same for all of its snapshots: cp and mv
 * refuse a file that is another one when they open it.
 */
#ifndef IMAPFS_FS_CONTROL_H
#define IMAPFS_FS_CONTROL_H

#include "fs/fs.h"

#include <sys/types.h>

#define CONTROL_DIR_NAME ".imapfs"
#define CONTROL_INO_FIRST (1ULL << 32)
#define CONTROL_DIR_INO CONTROL_INO_FIRST

enum control_file {
	CONTROL_STATUS,
	CONTROL_STATUS_JSON,
	CONTROL_LOG,
	CONTROL_QUEUE,
	CONTROL_FAILED,
	N_CONTROL_FILES
};

/* A directory in it; what the listing shows of the files lies between. */
#define CONTROL_REJECTED_NAME "rejected"
#define CONTROL_REJECTED_INO (CONTROL_DIR_INO + 1 + N_CONTROL_FILES)

/* What stat(2) shows of a file: the number of the listing; or, in `rejected`,
 * the one that it has on the disk, out of the way of all others. */
#define CONTROL_FILE_INO(file) (CONTROL_DIR_INO + 1 + (uint64_t)(file))
#define CONTROL_KEPT_INO(ino) ((uint64_t)(ino) | 1ULL << 63)

/* Requests, counted by kind: what `status` shows of them. */
enum control_request {
	REQ_LOOKUP,
	REQ_FORGET,
	REQ_GETATTR,
	REQ_SETATTR,
	REQ_OPEN,
	REQ_READ,
	REQ_CREATE,
	REQ_WRITE,
	REQ_OPENDIR,
	REQ_READDIR,
	REQ_GETXATTR,
	REQ_LISTXATTR,
	REQ_STATFS,
	REQ_REFUSED,
	REQ_REPLAY,
	N_REQUESTS
};

/* -ENOMEM. */
MUST_CHECK int control_new(struct fs *fs, struct control **ret);
void control_free(struct control *c);

void control_count(struct control *c, enum control_request what);

uint64_t control_counted(struct control *c, enum control_request what);

/* Name of the file, for listings. */
const char *control_name(enum control_file file);

struct control_entry {
	uint64_t ino;   /* the kernel's handle */
	uint64_t shown; /* what stat(2) shows */
	size_t size;
	int64_t mtime;
	bool is_dir;
	bool is_removable;
};

/* Is this number a directory of ours? */
bool control_is_dir(uint64_t ino);

/*
 * The file of this name in this directory: a snapshot, held once; or a
 * directory, which needs not be held. -ENOENT, -EIO, -EBADMSG, -ENOMEM.
 */
MUST_CHECK int control_lookup(struct fs *fs, uint64_t dir, const char *name,
			      struct control_entry *ret);

/* -ENOENT: no such snapshot (any more). */
MUST_CHECK int control_stat(struct fs *fs, uint64_t ino,
			    struct control_entry *ret);

/* Is it a snapshot of this file? */
bool control_is(struct fs *fs, uint64_t ino, enum control_file file);

/* Bytes read, at most `n`. -ENOENT, -EIO. */
MUST_CHECK long control_read(struct fs *fs, uint64_t ino, char *buf, size_t n,
			     off_t off);

void control_forget(struct fs *fs, uint64_t ino, uint64_t n);

#endif
