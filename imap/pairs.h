/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * COPYUID (RFC 4315): which message became which. What a server says is
 * believed only as far as it speaks of what was asked for; the rest is no
 * pair, and then the one who asked has to look.
 *
 * Not thread-safe; no input or output.
 */
#ifndef IMAPFS_IMAP_PAIRS_H
#define IMAPFS_IMAP_PAIRS_H

#include "imap/change.h"
#include "imap/status.h"

struct pairs {
	const uint32_t *uids; /* what was asked for, ascending; borrowed */
	size_t n;
	uint32_t *to;           /* of each; 0: not known */
	uint32_t uidvalidity;   /* of the destination; 0: not known */
	bool broken;            /* what was said contradicts itself */
	struct imap_pair *pair; /* made by pairs_list() */
};

/* -ENOMEM. `uids` must outlive it. */
MUST_CHECK int pairs_init(struct pairs *p, const uint32_t *uids, size_t n);
void pairs_finish(struct pairs *p);

/* Was this COPYUID about messages that were asked for, and no others? */
bool pairs_match(const struct pairs *p, const struct status *st);

/* Take what it says; nothing, unless pairs_match(). */
void pairs_take(struct pairs *p, const struct status *st);

/* All that is known, in ascending order of `from`; valid until the end. */
size_t pairs_list(struct pairs *p, const struct imap_pair **ret);

/* APPENDUID: the UID of the one message; 0: it does not say. */
uint32_t pairs_appended(const struct status *st);

#endif
