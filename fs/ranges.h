/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A set of UIDs, kept as ranges: what a server names in one word takes eight
 * bytes here, too. Plain memory, no locks.
 */
#ifndef IMAPFS_FS_RANGES_H
#define IMAPFS_FS_RANGES_H

#include "imap/mail.h"

/* Zeroes: the empty set. */
struct ranges {
	struct mail_range *v;
	size_t n, size;
	bool sorted; /* ascending, and neither overlapping nor touching */
};

void ranges_clear(struct ranges *r); /* and give its memory back */

/* `first` <= `last`. In any order, also again. -ENOMEM. */
MUST_CHECK int ranges_add(struct ranges *r, uint32_t first, uint32_t last);
/* The same for many; those that end before they begin are left out. */
MUST_CHECK int ranges_add_all(struct ranges *to, const struct mail_range *v,
			      size_t n);

/* How many UIDs are in it; of those below `end`. */
uint64_t ranges_count(struct ranges *r);
uint64_t ranges_count_below(struct ranges *r, uint32_t end);

bool ranges_has(struct ranges *r, uint32_t uid);

#endif
