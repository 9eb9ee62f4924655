/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rows that arrive from the server, on their way into a folder's box: what
 * the first listing and the sync have in common.
 */
#ifndef IMAPFS_FS_ARRIVE_H
#define IMAPFS_FS_ARRIVE_H

#include "fs/folder.h"

/* Context of a folder's job; the job's `done` frees it. */
struct arrive_job {
	struct fs *fs;
	struct folder *f;
};

/* NULL: out of memory. */
struct arrive_job *arrive_job_new(struct fs *fs, struct folder *f);

/* Nanoseconds since the epoch. */
int64_t arrive_now_ns(void);

/*
 * Name the rows and put them into the box, with the state that covers them;
 * `ids` as for box_add(). -ENOMEM and the errors of box_add().
 */
MUST_CHECK int arrive_add_rows(struct fs *fs, struct box *box,
			       const struct mail_row *rows, size_t n,
			       bool announced, const struct cache_state *state,
			       uint64_t *ids);

/*
 * The mailbox is another one than it was (UIDVALIDITY, RFC 9051 section
 * 2.3.1.1): every row goes, the kernel is told, the state is empty. -ESTALE if
 * that was done: the folder is to be listed from the start.
 */
MUST_CHECK int arrive_made_anew(struct fs *fs, struct folder *f,
				struct box *box);

#endif
