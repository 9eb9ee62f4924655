/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sequence sets as servers send them (RFC 9051 section 9): `1:3,7`, in
 * VANISHED, ESEARCH, APPENDUID and COPYUID. One may name four thousand million
 * messages in a dozen bytes, so a set is walked run by run and never expanded.
 */
#ifndef IMAPFS_IMAP_SET_H
#define IMAPFS_IMAP_SET_H

#include "imap/scan.h"

/*
 * A run as it stands. `last` may be below `first`: in COPYUID the order says
 * which message became which.
 */
struct set_run {
	uint32_t first;
	uint32_t last;
};

struct set {
	struct scan at;
	bool begun;
};

/* Walk the set that begins at the cursor. */
void set_begin(struct set *set, const struct scan *at);

/*
 * The next run: 1. 0: there is none, and `set->at` stands behind the set, which
 * was empty if there was never one. -EBADMSG: it is no set any more (a 0, `*`,
 * a number over 32 bits, a comma too many); the runs so far were good.
 */
MUST_CHECK int set_next(struct set *set, struct set_run *ret);

/* The same messages, ascending. */
struct mail_range set_range(struct set_run run);

/* How many they are. */
uint64_t set_count(struct set_run run);

#endif
