/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a stat(2) says: of a folder, of a message (DESIGN A2, A3).
 */
#ifndef IMAPFS_FS_ATTR_H
#define IMAPFS_FS_ATTR_H

#include "fs/tree.h"

#include <sys/stat.h>

void attr_of_folder(struct fs *fs, struct folder *f, struct stat *ret);
void attr_of_message(struct fs *fs, const struct cache_msg *m,
		     struct stat *ret);

/* Of `.imapfs` and what is in it. */
struct control_entry;
void attr_of_control(struct fs *fs, const struct control_entry *e,
		     struct stat *ret);

/*
 * Which message is this inode? 0, or -ENOENT. `*ret_f` is the folder that it
 * is in.
 */
MUST_CHECK int attr_find_message(struct fs *fs, uint64_t ino,
				 struct cache_msg *ret, struct folder **ret_f);

#endif
