/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the readers of header fields share: header.c and address.c only.
 */
#ifndef IMAPFS_IMAP_HEADER_H
#define IMAPFS_IMAP_HEADER_H

#include "imap/names.h"

#define HEADER_UTF8_SIZE (3 * MAIL_FIELD_MAX + 1)

/*
 * Copy `n` bytes, at most MAIL_FIELD_MAX, as valid UTF-8 with a NUL into `to`,
 * which has HEADER_UTF8_SIZE bytes: wrong bytes are taken as windows-1252,
 * control characters become blanks, a character that the limit cut goes.
 * Returns the length.
 */
size_t header_to_utf8(char *to, const char *from, size_t n);

/*
 * The length of the encoded word that begins at `p`
 * (=?charset[*language]?B?text?=, RFC 2047), or 0: there is none that can be
 * decoded.
 */
size_t header_word_length(const char *p);

#endif
