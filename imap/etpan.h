/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libetpan as a parser of single items of a FETCH response. The only door to
 * that library in this program.
 */
#ifndef IMAPFS_IMAP_ETPAN_H
#define IMAPFS_IMAP_ETPAN_H

#include "imap/item.h"

struct etpan;

/* The items that libetpan reads; ETPAN_HEADER is BODY[HEADER...]. */
enum etpan_item { ETPAN_FLAGS, ETPAN_DATE, ETPAN_HEADER };

MUST_CHECK int etpan_new(struct etpan **ret);
void etpan_free(struct etpan *e);

/*
 * Parse the value [p, p + n) of this item, and set the members of `row` that
 * come from it; their texts go into `store`. False: libetpan refuses it, or
 * it is none that may be given to libetpan, which leaks memory when it refuses
 * one. A header section that is a literal is none: nothing is to be parsed.
 */
MUST_CHECK bool etpan_parse(struct etpan *e, enum etpan_item item,
			    const char *p, size_t n, struct item_store *store,
			    struct mail_row *row);

#endif
