/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What change.c (moving), change_remove.c, change_marks.c (flags),
 * change_labels.c and trash.c share.
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

/* Are folders labels, as Gmail's are? Known without a connection, too. */
bool change_folders_are_labels(struct fs *fs);

/* Does the server know nothing of this message? */
bool change_is_only_here(struct fs *fs, const struct cache_msg *m);

/* For change_end: 0 if it is still being written, and not on its way. */
uint64_t change_id_to_wait_for(struct fs *fs, uint64_t id);

/* Gone on the server, and its replay has not come: as if it had. */
MUST_CHECK int change_finish_doomed(struct box *box, const struct cache_msg *m);

/* A message has come to the Trash, where nobody has named it. */
void change_tell_arrival(struct fs *fs, struct folder *trash, uint64_t id);

/* What change_remove() does, of a message of an open box. */
MUST_CHECK int change_remove_one(struct fs *fs, struct folder *f,
				 struct box *box, const struct cache_msg *m);

/*
 * May it be removed for good where it is? Where folders are labels, not before
 * it is in Trash or Junk on the server, too: out of the label that it has there
 * it would only be archived. -EAGAIN, -ENOTCONN as in change.h.
 */
MUST_CHECK int change_may_vanish(struct fs *fs, const struct cache_msg *m);

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
