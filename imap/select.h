/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The open mailbox of a session: how it is opened, and what the server says of
 * it, then and later. Thread of the session.
 */
#ifndef IMAPFS_IMAP_SELECT_H
#define IMAPFS_IMAP_SELECT_H

#include "imap/session.h"

/* The parameters of EXAMINE or SELECT; all zero: none. */
struct select_how {
	enum select_with with;
	/* SELECT_QRESYNC: what is known, of the messages below `uidnext`. */
	uint32_t uidvalidity;
	uint32_t uidnext;
	uint64_t modseq;
};

/*
 * Open a mailbox, with EXAMINE, or with SELECT if it `writes`. Nothing of the
 * session may be in flight whose answer depends on the mailbox. Negative: none
 * is open.
 */
MUST_CHECK int select_send(struct session *s, const char *wire, bool writes,
			   const struct select_how *how,
			   const struct call *call);

/*
 * The answer. SELECT_AGAIN: no mailbox is open, ask again. The server may not
 * like the parameters: without those, then; if that helps, they are not used
 * any more on this connection. Or it was busy making the mailbox.
 */
enum select_result { SELECT_OPEN, SELECT_REFUSED, SELECT_AGAIN };
enum select_result select_answered(struct session *s, const struct status *st);

/* The opening of a mailbox is given up: none is open. */
void select_forget(struct session *s);

/* What the server says of the mailbox: a response code, or EXISTS and such. */
void select_take_code(struct session *s, const struct status *st);
void select_take(struct session *s, const struct response *r);

/*
 * What this mailbox keeps (PERMANENTFLAGS), of system flags, and of keywords. A
 * list that is missing or empty is one that the server did not care to make.
 */
unsigned select_kept_flags(const struct session *s, unsigned flags);
bool select_keeps_keyword(const struct session *s, const char *word, size_t n);

/*
 * While the mailbox is being opened: all of its numbers have been said, so
 * what comes now is surely of it.
 */
bool select_is_told(const struct session *s);

/*
 * The HIGHESTMODSEQ that may be remembered when all that this opening of the
 * mailbox told was handed out. `before`: the one that was remembered so far.
 */
uint64_t select_settled(const struct session *s, uint64_t before);

#endif
