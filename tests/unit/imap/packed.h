/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The other end of COMPRESS=DEFLATE, by zlib alone: what a server does. For
 * tests; whatever goes wrong here aborts.
 */
#ifndef IMAPFS_TEST_PACKED_H
#define IMAPFS_TEST_PACKED_H

#include <stddef.h>

struct packed;

struct packed *packed_new(void);
void packed_free(struct packed *p);

/* Pack `n` bytes and flush; how many are in `out`. All must fit. */
size_t packed_pack(struct packed *p, const void *in, size_t n, void *out,
		   size_t size);

/* The same, and the stream ends. */
size_t packed_finish(struct packed *p, const void *in, size_t n, void *out,
		     size_t size);

/* Unpack `n` bytes, all that came; how many are in `out`. */
size_t packed_unpack(struct packed *p, const void *in, size_t n, void *out,
		     size_t size);

#endif
