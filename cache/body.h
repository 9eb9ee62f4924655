/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The inside of `struct body`, shared by body.c (opening, checking, reading)
 * and arrive.c (bytes that come, and the end).
 */
#ifndef IMAPFS_CACHE_BODY_H
#define IMAPFS_CACHE_BODY_H

#include "cache/blob.h"

/* A run of bytes that are here: start <= x < end. */
struct span {
	uint64_t start, end;
};

enum chunk_bit {
	CHUNK_HASHED = 1 << 0,  /* its hash is known ... */
	CHUNK_CHECKED = 1 << 1, /* ... and the file has been compared with it */
	CHUNK_BUSY = 1 << 2,    /* somebody compares it now */
};

/*
 * All fields are guarded by the lock of the table of bodies (RANK_BLOB),
 * which is dropped for every file operation; `writing` keeps other writers
 * out meanwhile, CHUNK_BUSY other checkers.
 */
struct body {
	struct cache *c; /* fixed, as what follows */
	uint64_t id;
	struct body *next; /* in the bucket */
	unsigned refs;
	bool loading; /* body_open() reads the rows: wait */
	bool writing; /* bytes are being written or hashed */
	bool whole;
	bool published; /* a row knows it */
	bool was_read;
	uint64_t size;
	uint64_t gen;  /* moves when the content is thrown away */
	blob_hash key; /* if whole */

	int fd;       /* -1: none */
	int *retired; /* of files that were thrown away; readers may use them */
	size_t n_retired;

	struct span *span; /* ascending, none touching another */
	size_t n_span;
	size_t n_chunks; /* allocated */
	blob_hash *hash;
	unsigned char *chunk; /* enum chunk_bit */
	size_t n_recorded;    /* chunks that are recorded as parts */
};

/* Are all bytes of the range here? */
bool body_covers_locked(const struct body *b, uint64_t start, uint64_t end)
	REQUIRES(b->c->bodies.lock);
/* The first gap at or after `from`, up to `end`; false: none. */
bool body_gap_locked(const struct body *b, uint64_t from, uint64_t end,
		     struct span *ret) REQUIRES(b->c->bodies.lock);
MUST_CHECK int body_add_span_locked(struct body *b, uint64_t start,
				    uint64_t end) REQUIRES(b->c->bodies.lock);
MUST_CHECK int body_cut_span_locked(struct body *b, uint64_t start,
				    uint64_t end) REQUIRES(b->c->bodies.lock);
/* A recorded chunk is not here any more: its row goes. */
void body_drop_record_locked(struct body *b, uint64_t chunk)
	REQUIRES(b->c->bodies.lock);
/* Room for the chunks of a body of `size`. */
MUST_CHECK int body_size_chunks_locked(struct body *b, uint64_t size)
	REQUIRES(b->c->bodies.lock);

#endif
