/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Windows of sequence numbers that a server refused to describe, cut in two
 * until the message that it cannot describe is alone. Plain values.
 */
#ifndef IMAPFS_IMAP_HALVES_H
#define IMAPFS_IMAP_HALVES_H

#include "imap/mail.h"

#define HALVES_MAX 64

struct halves {
	struct mail_range v[HALVES_MAX];
	unsigned n;
};

/* The uppermost, which is to be asked for next; NULL: there is none. */
const struct mail_range *halves_upper(const struct halves *h);
/* The same, taken out; there is one. */
struct mail_range halves_take(struct halves *h);

/*
 * Both halves of a window, or what is left of it where the mailbox has only so
 * many `messages` any more; a single one as it is. False: there is no room.
 */
bool halves_add(struct halves *h, struct mail_range w, uint32_t messages);

/* Is this number yet to be asked for? */
bool halves_has(const struct halves *h, uint32_t seq);

#endif
