/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `.imapfs/rejected`: what was written and refused, as files that can be read
 * and removed. Nothing is kept open: a file is known by its name together with
 * the numbers that the disk's file system gave it.
 *
 * Errors: -ENOENT: it is not there (any more); -EIO, -ENOMEM.
 */
#ifndef IMAPFS_FS_REJECTED_H
#define IMAPFS_FS_REJECTED_H

#include "fs/fs.h"

#include <sys/types.h>

struct rejected {
	dev_t dev;
	ino_t ino;
	size_t size;
	int64_t mtime;
};

MUST_CHECK int rejected_find(struct fs *fs, const char *name,
			     struct rejected *ret);
/* Bytes read, 0 at the end. */
MUST_CHECK long rejected_read(struct fs *fs, const char *name,
			      const struct rejected *which, char *buf, size_t n,
			      off_t off);
MUST_CHECK int rejected_remove(struct fs *fs, const char *name);

/* The names, in one block to be freed, sorted. */
struct rejected_names {
	size_t n;
	const char *v[];
};
MUST_CHECK int rejected_list(struct fs *fs, struct rejected_names **ret);

/* When the last one came or went; 0: unknown. */
int64_t rejected_mtime(struct fs *fs);

#endif
