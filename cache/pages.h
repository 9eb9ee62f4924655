/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Memory straight from the kernel, for what is large or would fragment the
 * heap: what is given back is free for everybody at once.
 */
#ifndef IMAPFS_CACHE_PAGES_H
#define IMAPFS_CACHE_PAGES_H

#include <stdbool.h>
#include <stddef.h>

/* So many bytes in whole pages. */
size_t pages_round(size_t bytes);

/*
 * At least `bytes` (not 0), zeroed; NULL: there is no memory. `fill`: all of
 * it will be used, and is made ready now. Free with pages_unmap() and the same
 * number.
 */
void *pages_map(size_t bytes, bool fill);
void pages_unmap(void *p, size_t bytes);

#endif
