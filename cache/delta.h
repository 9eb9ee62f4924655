/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sets of flags, keywords and labels, and deltas between two of them: what the
 * user sees and what the server has. Pure values; the rules for a delta when
 * either side moves.
 *
 * A delta says only what is so: `add` are flags that the row has and the server
 * has not, `remove` the reverse. So it can be taken back, too.
 */
#ifndef IMAPFS_CACHE_DELTA_H
#define IMAPFS_CACHE_DELTA_H

#include "imap/mail.h"

struct flagset {
	uint32_t flags; /* enum mail_flag */
	/* Owned, each joined by one blank; NULL: none. */
	char *words;  /* keywords */
	char *labels; /* Gmail's, as in struct mail_row */
};

struct delta {
	struct flagset add, remove;
};

void flagset_finish(struct flagset *s);
bool delta_is_empty(const struct delta *d);
void delta_finish(struct delta *d);
MUST_CHECK int delta_copy(const struct delta *d, struct delta *ret);

/* `a` joined by `b`, without it, or what both have. -ENOMEM. */
enum flagset_op { SET_PLUS, SET_MINUS, SET_AND };
MUST_CHECK int flagset_combine(const struct flagset *a, enum flagset_op op,
			       const struct flagset *b, struct flagset *ret);

/*
 * The user wants `want` of a row that has `row`: `ret_real` is what of it is
 * new to the row, `ret` the delta afterwards.
 */
MUST_CHECK int delta_step(const struct delta *d, const struct flagset *row,
			  const struct delta *want, struct delta *ret_real,
			  struct delta *ret);

/* The server has done `sent`: what is left of `d`, or has to be undone. */
MUST_CHECK int delta_done(const struct delta *d, const struct delta *sent,
			  struct delta *ret);

/*
 * The server may have done `sent`, wholly or in part: `ret` brings about what
 * is wanted in either case.
 */
MUST_CHECK int delta_unsure(const struct delta *d, const struct delta *sent,
			    struct delta *ret);

/*
 * The server has refused `sent`: `ret` is left of `d`; the row has to lose
 * `ret_real->remove` and to get `ret_real->add`.
 */
MUST_CHECK int delta_undone(const struct delta *d, const struct delta *sent,
			    struct delta *ret_real, struct delta *ret);

/*
 * The server says that it has `now`, of which `known` means something: what is
 * left of `d`.
 */
enum flagset_known { KNOWS_WORDS = 1 << 0, KNOWS_LABELS = 1 << 1 };
MUST_CHECK int delta_rebase(const struct delta *d, const struct flagset *now,
			    unsigned known, struct delta *ret);

#endif
