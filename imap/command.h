/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The writer of commands: the only place where bytes for the server are made.
 *
 * A command is built piece by piece into a buffer. Whatever a piece is given,
 * CR, LF and NUL can never pass into the line: such a string is refused
 * (-EINVAL, remembered: command_end() returns it), so that no name or search
 * word can smuggle in a second command. 8-bit bytes and other control
 * characters go only as literals.
 */
#ifndef IMAPFS_IMAP_COMMAND_H
#define IMAPFS_IMAP_COMMAND_H

#include "imap/mail.h"

struct command {
	char *bytes; /* what has been built, with literals */
	size_t n;
	size_t size;
	int error; /* the first failure */
	/*
	 * Offsets (of the first byte behind `{n}` CRLF) at which the writer
	 * must wait for `+` before it goes on (synchronising literals). Empty
	 * with LITERAL+/LITERAL-.
	 */
	size_t wait_at[4];
	unsigned n_waits;
	bool literal_plus;  /* LITERAL+ (any size); set after init */
	bool literal_minus; /* LITERAL- (up to 4096 bytes) */
	bool secret; /* never to be logged; set before the secret is added */

	/* Bytes of a file that come in at `file_at`: see command_file(). */
	bool has_file;
	int file; /* ours */
	size_t file_at;
	uint64_t file_offset;
	uint64_t file_left; /* not read yet */
};

/* Begins with `tag` and a blank. */
void command_init(struct command *c, const char *tag);
void command_finish(struct command *c); /* frees; wipes if secret */

/* Text of ours: constant, printable ASCII; may be printf-like. */
void command_text(struct command *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * An astring (RFC 9051 section 9): atom, quoted string, or literal. -EINVAL:
 * CR or LF in it, or a fifth synchronising literal.
 */
void command_astring(struct command *c, const char *s);

/*
 * A mailbox name in wire form: INBOX in capitals, else quoted; names with
 * bytes outside 0x20..0x7e as a literal, since servers that list such names
 * want them back as they were. -EINVAL: CR or LF in it, empty, or longer than
 * MAIL_WIRE_NAME_MAX.
 */
void command_mailbox(struct command *c, const char *wire);

/*
 * IDLE (RFC 2177), with the DONE that ends it, and between the two a place to
 * wait at: the server's `+` must have come, and the idling must be over.
 */
void command_idle(struct command *c);

/*
 * A sequence set of ascending numbers, ranges joined: 1:3,7. -EINVAL: none at
 * all, a 0, or not ascending.
 */
void command_uids(struct command *c, const uint32_t *uids, size_t n);

/* Of `n` ascending numbers, how many can be written in `room` bytes? */
size_t command_uids_fit(const uint32_t *uids, size_t n, size_t room);

/*
 * A list of flags: system ones (enum mail_flag), then keywords, which are
 * joined by one blank ("" or NULL: none). -EINVAL: one that is no atom.
 */
void command_flags(struct command *c, unsigned flags, const char *keywords);

/* A list of labels, as words of labels.h. -EINVAL: none, or they are none. */
void command_labels(struct command *c, const char *words);

/*
 * A literal of `size` bytes of a file, once in a command. The descriptor is
 * duplicated; the bytes are read while they are sent, by command_file_read().
 */
void command_file(struct command *c, int fd, uint64_t offset, uint64_t size);

/* The next of them, at most `room`. -EIO: the file ends, or is not readable. */
MUST_CHECK long command_file_read(struct command *c, char *buf, size_t room);

/* CRLF. 0, or the first error of any piece: -EINVAL, -ENOMEM. */
MUST_CHECK int command_end(struct command *c);

#endif
