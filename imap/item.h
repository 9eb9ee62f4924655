/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Values of FETCH items that are as nearly all servers write them: there the
 * check that makes a value fit for libetpan would be the whole parse already,
 * so it is. What is only a little different is left to etpan.h. For the readers
 * of FETCH responses; one thread.
 */
#ifndef IMAPFS_IMAP_ITEM_H
#define IMAPFS_IMAP_ITEM_H

#include "imap/mail.h"
#include "imap/scan.h"

/* The texts that a row points to, until the next response is read. */
struct item_store {
	char keywords[MAIL_KEYWORDS_MAX + 1];
	char fields[N_FIELDS * (MAIL_FIELD_MAX + 1)];
};

/*
 * A list of the system flags of RFC 9051 and of keywords of letters, digits,
 * `$`, `-`, `_` and `.`, parted by one blank: sets `flags` and `keywords`.
 * False, and nothing has moved or changed but the store: it is not such a list.
 */
bool item_flags(struct scan *s, struct item_store *store, struct mail_row *row);

/* What date_internal() reads, in quotes: sets `internaldate`. False: as above.
 */
bool item_date(struct scan *s, struct mail_row *row);

/* A system flag as its bit (\Recent: 0), or false. In any case of letters. */
bool item_system_flag(const char *p, size_t n, uint32_t *ret);

/*
 * Add a word to a list of them that are parted by one blank, unless it does
 * not fit any more; control characters become `?`.
 */
void item_add_word(char *words, size_t size, const char *w, size_t n);

#endif
