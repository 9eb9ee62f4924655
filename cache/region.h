/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Memory that is given back all at once. What is small and lives long goes
 * here: on the heap, each piece would keep a page of its own from being given
 * back when all around it is free again.
 */
#ifndef IMAPFS_CACHE_REGION_H
#define IMAPFS_CACHE_REGION_H

#include <stddef.h>

struct region_chunk;

/* Begins zeroed. One thread at a time. */
struct region {
	struct region_chunk *last;
};

/* Zeroed, aligned for anything; NULL: there is no memory. Free with the rest.
 */
void *region_get(struct region *r, size_t bytes);

/* A copy of this text. The same. */
char *region_text(struct region *r, const char *text);

/* Give all of it back; it is as in the beginning. */
void region_free(struct region *r);

#endif
