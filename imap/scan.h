/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A cursor over one framed response: the words that every IMAP grammar is
 * made of (RFC 9051 section 9). It never reads past the end, never recurses
 * and never allocates; a function that returns false has not moved.
 *
 * Servers are read generously: keywords in any case, blanks doubled, an atom,
 * a quoted string or a literal wherever a string may stand.
 */
#ifndef IMAPFS_IMAP_SCAN_H
#define IMAPFS_IMAP_SCAN_H

#include "imap/mail.h"

struct scan {
	const char *p;
	const char *end;
};

enum scan_kind { SCAN_NIL, SCAN_ATOM, SCAN_QUOTED, SCAN_LITERAL };

/* A string as it stands in the response: for SCAN_QUOTED with its escapes. */
struct scan_string {
	enum scan_kind kind;
	const char *p;
	size_t n;
};

/* Over `n` bytes of a response, without the CRLF at its end. */
void scan_init(struct scan *s, const char *text, size_t n);

bool scan_at_end(const struct scan *s);
bool scan_blanks(struct scan *s); /* at least one */
bool scan_char(struct scan *s, char c);

/* This word, in any case, followed by a blank, `(`, `)` or the end. */
bool scan_word(struct scan *s, const char *word);

/* Digits only; false if there are none or it passes 64 bits. */
bool scan_number(struct scan *s, uint64_t *ret);

/* The same, at most `max`. */
bool scan_number_max(struct scan *s, uint64_t max, uint64_t *ret);

/* Bytes up to a blank or a parenthesis; brackets keep both inside. */
bool scan_item(struct scan *s, const char **ret, size_t *ret_n);

/* An astring or nstring (RFC 9051), also a literal8. */
bool scan_string(struct scan *s, struct scan_string *ret);

/* One value of any kind: a string, an atom, or a list with all inside. */
bool scan_skip(struct scan *s);

/* The text of a string, escapes undone, into `buf` of at least str->n bytes. */
size_t scan_text(const struct scan_string *str, char *buf);

#endif
