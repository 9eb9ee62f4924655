/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Text as mail writes it: mailbox names in modified UTF-7 (RFC 9051 section
 * A / RFC 3501 section 5.1.3), header fields with encoded words (RFC 2047).
 * Pure functions, no state; thread-safe.
 */
#ifndef IMAPFS_IMAP_NAMES_H
#define IMAPFS_IMAP_NAMES_H

#include "imap/mail.h"

/*
 * Modified UTF-7 to UTF-8. -EILSEQ: not valid modified UTF-7 (raw 8-bit, a
 * lone `&`, base64 that ends in mid-character, an encoded NUL or printable
 * ASCII character, lone surrogates, two encoded runs in a row: anything that
 * utf7_encode() would have written otherwise): the caller shows the wire bytes
 * escaped. Encoded control characters are decoded. The result is yours to
 * free. -ENOMEM.
 */
MUST_CHECK int utf7_decode(const char *wire, char **ret);

/* UTF-8 to modified UTF-7. -EILSEQ: not valid UTF-8. -ENOMEM. */
MUST_CHECK int utf7_encode(const char *utf8, char **ret);

/*
 * Decode encoded words and raw 8-bit text of a header field's value to valid
 * UTF-8. Raw bytes that are not UTF-8 are taken as windows-1252, the usual
 * guess; what cannot be decoded inside an encoded word becomes U+FFFD or `?`;
 * a word in a character set that we do not know stays as it is. Control
 * characters become blanks. Never fails on content; -ENOMEM. Input is cut at
 * MAIL_FIELD_MAX.
 */
MUST_CHECK int header_decode(const char *raw, char **ret);

/*
 * The first mailbox of an address list (RFC 5322 section 3.4), decoded:
 * display name (quotes, escapes and comments removed; the comment itself in
 * the old form `address (name)`), or "" if there is none, and address, or "".
 * Tolerates anything. Both are yours to free. -ENOMEM.
 */
MUST_CHECK int header_first_address(const char *raw, char **ret_name,
				    char **ret_addr);

/*
 * Seconds since the epoch of a Date field (RFC 5322 section 3.3, with the
 * obsolete forms). -EINVAL: not a date, or a year outside 1900..9999.
 */
MUST_CHECK int header_date(const char *raw, int64_t *ret);

/*
 * Seconds since the epoch of an INTERNALDATE of the plain form ` 1-Feb-2026
 * 03:04:05 +0130` (RFC 9051 section 9, `date-time`, without its quotes) and of
 * the years 1900 to 9999. False: it is not that, or not quite.
 */
bool date_internal(const char *p, size_t n, int64_t *ret);

/*
 * Cut a header block (as BODY[HEADER.FIELDS ...] gives it) into the fields of
 * a row, by the rules of struct mail_row. Writes into `store`, which holds at
 * least N_FIELDS * (MAIL_FIELD_MAX + 1) bytes, and sets `field` to point there.
 */
void header_fields(const char *block, size_t n, char *store,
		   const char *field[N_FIELDS]);

#endif
