/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rows that arrive from the server, on their way into a folder's box: what
 * the first listing and the sync have in common.
 */
#ifndef IMAPFS_FS_ARRIVE_H
#define IMAPFS_FS_ARRIVE_H

#include "fs/folder.h"

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
 * Say which header fields of the rows are known under another label. What came
 * there while this folder is being listed is found when it has reached the
 * disk; what came before the call only with `settled`, which may wait for it.
 */
void arrive_recall(struct fs *fs, bool settled, const struct mail_row *rows,
		   size_t n, imap_recalled_fn found, void *to);

#endif
