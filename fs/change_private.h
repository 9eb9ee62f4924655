/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What change.c (moving and removing), change_marks.c (flags), change_labels.c
 * and trash.c share.
 */
#ifndef IMAPFS_FS_CHANGE_PRIVATE_H
#define IMAPFS_FS_CHANGE_PRIVATE_H

#include "fs/change.h"

/*
 * The journal says -EBUSY: somebody has to find out which message of the server
 * it is. What change.h promises: -EAGAIN with `end->waits`, or why that cannot
 * be found out.
 */
MUST_CHECK int change_wait_for_uids(struct fs *fs, struct folder *f,
				    struct change_end *end);

/* Does the server know nothing of this message? */
bool change_is_only_here(struct fs *fs, const struct cache_msg *m);

/* For change_end: 0 if it is still being written, and not on its way. */
uint64_t change_id_to_wait_for(struct fs *fs, uint64_t id);

/* Can messages of the folder be taken away, and put there? -EACCES, -EROFS. */
MUST_CHECK int change_may_leave(struct fs *fs, struct folder *f);
MUST_CHECK int change_may_arrive(struct fs *fs, struct folder *f);

/* A change of flags, keywords and labels of one message. */
struct journal_flags;
MUST_CHECK int change_row_flags(struct fs *fs, const struct journal_flags *v,
				struct change_end *end);

/*
 * Where a message of this folder goes when it is removed: the folder with the
 * attribute \Trash, else one of a usual name. NULL: it goes for good. -EPERM:
 * nowhere; the log says so. -EACCES, -EROFS: it may not go. -ENOMEM.
 */
MUST_CHECK int trash_of(struct fs *fs, struct folder *f, struct folder **ret);

#endif
