/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libetpan as a parser of single items of a FETCH response. The only door to
 * that library in this program.
 */
#ifndef IMAPFS_IMAP_ETPAN_H
#define IMAPFS_IMAP_ETPAN_H

#include "imap/mail.h"

struct etpan;

/* `NAME value`, as it stands in a framed response. */
struct etpan_item {
	const char *p;
	size_t n;
};

MUST_CHECK int etpan_new(struct etpan **ret);
void etpan_free(struct etpan *e);

/*
 * Parse FLAGS, INTERNALDATE and BODY[HEADER...] items (nothing else may be
 * given to it), and set the members of `row` that come from them; what they
 * point to lives until the next call. False: libetpan refuses them, together;
 * the row may then be half filled.
 */
MUST_CHECK bool etpan_parse(struct etpan *e, const struct etpan_item *item,
			    unsigned n, struct mail_row *row);

/*
 * Add a word to a list of them that are parted by one blank, unless it does
 * not fit any more; control characters become `?`.
 */
void etpan_add_word(char *words, size_t size, const char *w, size_t n);

#endif
