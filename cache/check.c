/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/body.h"
#include "imap/log.h"

/*
 * Reading bodies: what is here, whether it is sound, and the bytes. Bytes
 * from an earlier mount are compared with the hash of their chunk before the
 * first reader sees them; what does not match is thrown away. The file of a
 * body that was thrown away stays open (`retired`) until the last reader has
 * left, because somebody may be reading from its descriptor.
 */

/* --- damage --- */

/* -ENOMEM: the descriptor stays where it is and the file is not replaced. */
static int retire_fd_locked(struct body *b) REQUIRES(b->c->bodies.lock)
{
	int *p = realloc(b->retired, (b->n_retired + 1) * sizeof(*p));

	if (!p)
		return -ENOMEM;
	b->retired = p;
	p[b->n_retired++] = b->fd;
	b->fd = -1;
	return 0;
}

/* The whole body is thrown away. The lock is dropped meanwhile. */
static int drop_whole_locked(struct body *b) REQUIRES(b->c->bodies.lock)
{
	struct cache *c = b->c;
	blob_hash key;
	int fd = b->fd;
	int r = retire_fd_locked(b);

	if (r != 0)
		return r;
	memcpy(key, b->key, KEY_BYTES);
	b->whole = b->published = false;
	b->gen++;
	b->n_span = 0;
	b->n_recorded = 0;
	memset(b->chunk, 0, b->n_chunks);
	c->bodies.stats.damaged++;
	lock_drop(&b->c->bodies.lock);
	log_warn("cache: the stored body of message %llu was damaged",
		 (unsigned long long)b->id);
	/* Order matters: the row goes only if the file is not there. */
	blob_unlink_damaged(c, key, fd);
	(void)blob_queue_gone(c, key);
	lock_take(&b->c->bodies.lock);
	return -EBADMSG;
}

/* Without memory the row stays: it is found wrong once more. */
void body_drop_record_locked(struct body *b, uint64_t chunk)
{
	b->refs++;
	if (parts_queue_drop_chunk(b->c, b, chunk) != 0)
		b->refs--;
}

static int drop_chunk_locked(struct body *b, size_t k)
	REQUIRES(b->c->bodies.lock)
{
	uint64_t start = (uint64_t)k * CACHE_CHUNK;
	int r = body_cut_span_locked(b, start, start + CACHE_CHUNK);

	if (r != 0)
		return r;
	b->chunk[k] = 0;
	b->n_recorded--;
	b->c->bodies.stats.damaged++;
	body_drop_record_locked(b, k);
	return -EBADMSG;
}

/* --- checking --- */

/* Compare one chunk with its hash. The lock is dropped meanwhile. */
static int check_chunk_locked(struct body *b, size_t k)
	REQUIRES(b->c->bodies.lock)
{
	struct cache *c = b->c;
	size_t n = blob_chunk_bytes(b->size, k);
	uint64_t gen = b->gen;
	int fd = b->fd, r;
	blob_hash hash;

	b->chunk[k] |= CHUNK_BUSY;
	lock_drop(&b->c->bodies.lock);
	r = blob_hash_file(c, fd, (uint64_t)k * CACHE_CHUNK, n, hash);
	lock_take(&b->c->bodies.lock);
	lock_cond_wake_all(&c->bodies.cond);
	if (b->gen != gen)
		return -ENODATA; /* somebody else found the damage */
	b->chunk[k] &= (unsigned char)~CHUNK_BUSY;
	if (r == -ENOMEM)
		return r;
	if (r == 0 && memcmp(hash, b->hash[k], KEY_BYTES) == 0) {
		b->chunk[k] |= CHUNK_CHECKED;
		return 0;
	}
	return b->whole ? drop_whole_locked(b) : drop_chunk_locked(b, k);
}

static int check_range_locked(struct body *b, uint64_t start, uint64_t end)
	REQUIRES(b->c->bodies.lock)
{
	int r = 0;

	for (size_t k = (size_t)(start / CACHE_CHUNK);
	     r == 0 && k < b->n_chunks && (uint64_t)k * CACHE_CHUNK < end;
	     k++) {
		while (b->chunk[k] & CHUNK_BUSY)
			(void)lock_cond_wait(&b->c->bodies.cond,
					     &b->c->bodies.lock, CLOCK_NEVER);
		/* While we waited it may have been thrown away. */
		if (!body_covers_locked(b, start, end))
			return -ENODATA;
		if ((b->chunk[k] & (CHUNK_HASHED | CHUNK_CHECKED)) ==
		    CHUNK_HASHED)
			r = check_chunk_locked(b, k);
	}
	return r;
}

int body_check(struct body *b, uint64_t offset, uint64_t n)
{
	uint64_t end;
	int r = 0;

	lock_take(&b->c->bodies.lock);
	end = n < b->size && offset <= b->size - n ? offset + n : b->size;
	if (offset >= b->size)
		r = b->whole ? 0 : -ENODATA;
	else if (!body_covers_locked(b, offset, end))
		r = -ENODATA;
	else
		r = check_range_locked(b, offset, end);
	if (r == 0)
		b->was_read = true;
	lock_drop(&b->c->bodies.lock);
	return r;
}

/* --- reading --- */

bool body_gap(struct body *b, uint64_t from, uint64_t *ret_offset,
	      uint64_t *ret_n)
{
	struct span gap;
	bool found;

	lock_take(&b->c->bodies.lock);
	found = body_gap_locked(b, from, b->size, &gap);
	lock_drop(&b->c->bodies.lock);
	if (!found)
		return false;
	*ret_offset = gap.start;
	*ret_n = gap.end - gap.start;
	return true;
}

/* Are these bytes here, and compared with their hashes where they must be? */
static bool range_is_good_locked(const struct body *b, uint64_t offset,
				 uint64_t n) REQUIRES(b->c->bodies.lock)
{
	if (offset > b->size || n > b->size - offset)
		return false;
	if (!body_covers_locked(b, offset, offset + n))
		return false;
	for (uint64_t k = offset / CACHE_CHUNK; k * CACHE_CHUNK < offset + n;
	     k++) {
		if ((b->chunk[k] & (CHUNK_HASHED | CHUNK_CHECKED)) ==
		    CHUNK_HASHED)
			return false;
	}
	return true;
}

/* The descriptor to read a range from, if all of it is good. */
static int range_fd(struct body *b, uint64_t offset, size_t *n)
{
	int fd = -ENODATA;

	lock_take(&b->c->bodies.lock);
	if (offset >= b->size)
		*n = 0;
	else if (*n > b->size - offset)
		*n = (size_t)(b->size - offset);
	if (*n == 0)
		fd = b->whole || offset < b->size ? 0 : -ENODATA;
	else if (b->fd >= 0 && range_is_good_locked(b, offset, *n))
		fd = b->fd;
	lock_drop(&b->c->bodies.lock);
	return fd;
}

long body_read(struct body *b, void *buf, size_t n, uint64_t offset)
{
	size_t got = 0;
	int fd = range_fd(b, offset, &n);

	if (fd < 0)
		return fd;
	while (got < n) {
		ssize_t r = pread(fd, (char *)buf + got, n - got,
				  (off_t)(offset + got));

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return -EIO; /* checked bytes went: somebody cut it */
		got += (size_t)r;
	}
	return (long)got;
}

int body_range_fd(struct body *b, uint64_t offset, uint64_t n)
{
	int fd = -ENODATA;

	lock_take(&b->c->bodies.lock);
	if (b->fd >= 0 && range_is_good_locked(b, offset, n))
		fd = b->fd;
	lock_drop(&b->c->bodies.lock);
	return fd;
}

int body_fd(struct body *b)
{
	int fd;

	lock_take(&b->c->bodies.lock);
	fd = b->fd;
	lock_drop(&b->c->bodies.lock);
	return fd;
}

bool body_is_whole(struct body *b)
{
	bool whole;

	lock_take(&b->c->bodies.lock);
	whole = b->whole;
	lock_drop(&b->c->bodies.lock);
	return whole;
}

uint64_t body_size(struct body *b)
{
	uint64_t size;

	lock_take(&b->c->bodies.lock);
	size = b->size;
	lock_drop(&b->c->bodies.lock);
	return size;
}
