/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The writer of commands: the only place where bytes for the server are made.
 *
 * A command is built piece by piece into a buffer. Whatever a piece is given,
 * CR, LF and NUL can never pass into the line: a string that cannot be an
 * atom or a quoted string is refused (-EINVAL, remembered: command_end()
 * returns it), so that no name or search word can smuggle in a second
 * command. 8-bit bytes go only where `command_string` makes a literal.
 */
#ifndef IMAPFS_IMAP_COMMAND_H
#define IMAPFS_IMAP_COMMAND_H

#include "imap/mail.h"

struct command {
	char *bytes;  /* what has been built, with literals */
	size_t n;
	size_t size;
	int error;    /* the first failure */
	/*
	 * Offsets at which the writer must wait for `+` before it goes on
	 * (synchronising literals). Empty with LITERAL+/LITERAL-.
	 */
	size_t wait_at[4];
	unsigned n_waits;
	bool literal_plus; /* LITERAL+ (any size); set after init */
	bool literal_minus; /* LITERAL- (up to 4096 bytes) */
	bool secret;  /* never to be logged */
};

/* Begins with `tag` and a blank. */
void command_init(struct command *c, const char *tag);
void command_finish(struct command *c); /* frees; wipes if secret */

/* Text of ours: constant, printable ASCII; may be printf-like. */
void command_text(struct command *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* An astring (RFC 9051 section 9): atom, quoted string, or literal. */
void command_astring(struct command *c, const char *s);

/*
 * A mailbox name in wire form: INBOX in capitals, else quoted. -EINVAL unless
 * all bytes are 0x20..0x7e; names with other bytes as a literal, since servers
 * that list such names want them back as they were.
 */
void command_mailbox(struct command *c, const char *wire);

/* A sequence set of ascending numbers, ranges joined: 1:3,7. */
void command_uids(struct command *c, const uint32_t *uids, size_t n);

/* CRLF. 0, or the first error of any piece: -EINVAL, -ENOMEM. */
MUST_CHECK int command_end(struct command *c);

#endif
