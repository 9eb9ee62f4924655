/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Small bodies, for whoever reads many one after the other: no struct body, no
 * lock. Errors and threads are as in cache.h.
 */
#ifndef IMAPFS_CACHE_SMALL_H
#define IMAPFS_CACHE_SMALL_H

#include "cache/cache.h"

/*
 * Whole bodies of at most CACHE_CHUNK bytes, for whoever reads many in a row.
 * `v` has the ids of `n` messages, ascending, and their sizes as listed; those
 * whose body is here, or that of a message with the same X-GM-MSGID, or with
 * the same EMAILID and size, get its key and stay, in order, the others are
 * taken out: how many are left. One that was published within the last
 * milliseconds may be missing; where messages have X-GM-MSGIDs, the writer is
 * waited for instead. No lock may be held.
 */
struct cache_small {
	uint64_t id;
	uint64_t size;
	unsigned char key[16];
};
size_t cache_find_small(struct cache *c, struct cache_small *v, size_t n);

/*
 * Read one, s->size bytes, and check it. -ENODATA: it is not there (any more)
 * as it should be, or has another size; body_open() and body_check() say why.
 * -ENOMEM.
 */
MUST_CHECK int cache_read_small(struct cache *c, const struct cache_small *s,
				void *buf);

#endif
