/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lists of keywords as the whole program has them: joined by one blank, "" or
 * NULL if there is none. Pure functions.
 */
#ifndef IMAPFS_IMAP_KEYWORDS_H
#define IMAPFS_IMAP_KEYWORDS_H

#include "imap/mail.h"

/* The word at `*p`, which then stands behind it. False: there is none. */
bool keywords_next(const char **p, const char **ret, size_t *ret_n);

/* Is the word in the list, in any case (RFC 9051 section 2.3.2)? */
bool keywords_have(const char *list, const char *word, size_t n);

/* A list of at most MAIL_KEYWORDS_MAX bytes, each word of which `is_word`? */
bool keywords_each_is(const char *list,
		      bool (*is_word)(const char *word, size_t n));

/* A list of atoms, of at most MAIL_KEYWORDS_MAX bytes? */
bool keywords_are_valid(const char *list);

#endif
