/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libetpan as a parser of single items of a FETCH response. The only door to
 * that library in this program.
 */
#ifndef IMAPFS_IMAP_ETPAN_H
#define IMAPFS_IMAP_ETPAN_H

#include "imap/mail.h"

struct etpan;

/* An item that may be given to libetpan, made by etpan_may_have(). */
struct etpan_item {
	const char *name;
	const char *p;
	size_t n;
	bool is_literal; /* p is its content */
};

MUST_CHECK int etpan_new(struct etpan **ret);
void etpan_free(struct etpan *e);

/*
 * May the value [p, p + n) of this item be given to libetpan? It leaks memory
 * when it refuses one, so only well-formed ones are. Names, in any case: FLAGS,
 * INTERNALDATE, and BODY[HEADER with whatever follows.
 */
MUST_CHECK bool etpan_may_have(const char *name, size_t n_name, const char *p,
			       size_t n, struct etpan_item *ret);

/*
 * Parse them, and set the members of `row` that come from them; what they
 * point to lives until the next call. False: libetpan refuses them.
 */
MUST_CHECK bool etpan_parse(struct etpan *e, const struct etpan_item *item,
			    unsigned n, struct mail_row *row);

/*
 * Add a word to a list of them that are parted by one blank, unless it does
 * not fit any more; control characters become `?`.
 */
void etpan_add_word(char *words, size_t size, const char *w, size_t n);

#endif
