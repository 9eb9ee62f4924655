/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The bytes of a new message: can they be one, and what has to be changed
 * before they are sent? IMAP takes neither NUL nor bare LF (RFC 9051 section
 * 4.3, RFC 5322 section 2.3), and what does not begin with a header field is
 * something else that was put into the wrong folder. Pure functions, in
 * constant memory however long the message is.
 */
#ifndef IMAPFS_FS_CONTENT_H
#define IMAPFS_FS_CONTENT_H

#include "imap/mail.h"

/* Bytes that decide about the beginning: the longest line of RFC 5322. */
#define CONTENT_HEAD_MAX 998

enum content_head {
	CONTENT_UNKNOWN, /* more bytes are needed to tell */
	CONTENT_MESSAGE, /* it begins with a header field */
	CONTENT_OTHER,
};

/*
 * What do the first `n` bytes show? A NUL, as in a hole that is still to be
 * filled, shows nothing.
 */
enum content_head content_head(const char *p, size_t n);

/* What is known of the bytes from the beginning up to `size`. */
struct content {
	uint64_t size;
	uint64_t bare_lf; /* line ends without CR */
	bool has_nul;
	bool after_cr; /* the last byte is CR */
};

/* The bytes that follow. */
void content_feed(struct content *c, const char *p, size_t n);

/* Its length with CRLF at every line end. */
uint64_t content_size(const struct content *c);

/*
 * The same as content_feed(), and write what follows with CRLF for bare LF to
 * `to`, which has room for 2 * n bytes. Returns how many were written.
 */
size_t content_convert(struct content *c, const char *p, size_t n, char *to);

#endif
