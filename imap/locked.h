/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Memory for secrets: locked (not swapped out) where the limits allow it, left
 * out of core dumps, wiped when freed.
 */
#ifndef IMAPFS_IMAP_LOCKED_H
#define IMAPFS_IMAP_LOCKED_H

#include <stddef.h>

/* `n` zero bytes; NULL: out of memory. */
void *locked_alloc(size_t n);

/* Wipes; `n` as given to locked_alloc(). NULL is fine. */
void locked_free(void *p, size_t n);

/*
 * Lock again: locks do not pass through fork(2), though the memory does. Of
 * no effect where it is locked.
 */
void locked_again(void *p, size_t n);

/* Children of fork(2) from now on find zeroes there. */
void locked_stay(void *p, size_t n);

#endif
