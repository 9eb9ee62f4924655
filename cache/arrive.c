/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/body.h"

/*
 * Bodies that arrive: bytes go to cache_dir/parts/ID, each whole chunk is
 * hashed as soon as it is complete, and at the end the file is renamed to its
 * key. What came once is not written again: a second fetch of the same bytes
 * must not change what was hashed already.
 *
 * One thread at a time writes to a body (`writing`); the lock is dropped for
 * the writes and the hashing. No fsync: after a power loss the hashes show
 * what did not reach the disk, and it is fetched again.
 */

static int io_errno(int error)
{
	switch (error) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return -ENOSPC;
	case ENOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

/* Become the one who writes; false: the body is whole. */
static bool begin_writing(struct body *b)
{
	bool ok;

	lock_take(&b->c->bodies.lock);
	while (b->writing)
		(void)lock_cond_wait(&b->c->bodies.cond, &b->c->bodies.lock,
				     CLOCK_NEVER);
	ok = !b->whole;
	b->writing = ok;
	lock_drop(&b->c->bodies.lock);
	return ok;
}

static void end_writing(struct body *b)
{
	lock_take(&b->c->bodies.lock);
	b->writing = false;
	lock_cond_wake_all(&b->c->bodies.cond);
	lock_drop(&b->c->bodies.lock);
}

/* --- the file --- */

static int create_part(const char *path)
{
	int flags = O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
	int fd = open(path, flags, 0600), r = 0;

	if (fd < 0 && errno == ENOENT) {
		r = blob_make_dir(path);
		if (r == 0)
			fd = open(path, flags, 0600);
	}
	if (r != 0)
		return r;
	return fd >= 0 ? fd : io_errno(errno);
}

/* Only who writes changes the descriptor, so it is stable afterwards. */
static int ensure_file(struct body *b)
{
	char *path;
	int fd = body_fd(b);

	if (fd >= 0)
		return fd;
	fd = home_keep_lock(b->c);
	if (fd < 0)
		return fd;
	path = blob_part_path(b->c, b->id);
	fd = path ? create_part(path) : -ENOMEM;
	free(path);
	if (fd < 0)
		return fd;
	lock_take(&b->c->bodies.lock);
	b->fd = fd;
	lock_drop(&b->c->bodies.lock);
	return fd;
}

static int write_all(int fd, const char *bytes, size_t n, uint64_t offset)
{
	while (n > 0) {
		ssize_t done = pwrite(fd, bytes, n, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return io_errno(errno);
		bytes += done;
		offset += (uint64_t)done;
		n -= (size_t)done;
	}
	return 0;
}

/* --- chunks --- */

static int hash_chunk(struct body *b, int fd, size_t k, size_t n)
{
	blob_hash hash;
	int r = blob_hash_file(b->c, fd, (uint64_t)k * CACHE_CHUNK, n, hash);

	if (r != 0)
		return r;
	lock_take(&b->c->bodies.lock);
	memcpy(b->hash[k], hash, KEY_BYTES);
	b->chunk[k] |= CHUNK_HASHED | CHUNK_CHECKED;
	lock_drop(&b->c->bodies.lock);
	return 0;
}

static bool chunk_needs_hash(struct body *b, size_t k, uint64_t end)
{
	bool yes;

	lock_take(&b->c->bodies.lock);
	yes = k < b->n_chunks && !(b->chunk[k] & CHUNK_HASHED) &&
	      body_covers_locked(b, (uint64_t)k * CACHE_CHUNK, end);
	lock_drop(&b->c->bodies.lock);
	return yes;
}

/* A whole chunk of a larger body is worth keeping over a restart. */
static void record_chunk(struct body *b, size_t k)
{
	struct part_chunk record = {.chunk = k,
				    .read_at = blob_read_stamp(b->c)};
	uint64_t size;

	lock_take(&b->c->bodies.lock);
	memcpy(record.hash, b->hash[k], KEY_BYTES);
	size = b->size;
	lock_drop(&b->c->bodies.lock);
	/* If it is not recorded, it is fetched again after a restart. */
	if (size <= CACHE_CHUNK || writer_wait_room(b->c) != 0)
		return;
	lock_take(&b->c->bodies.lock);
	b->refs++;
	if (parts_queue_chunk(b->c, b, size, &record) == 0)
		b->n_recorded++;
	else
		b->refs--;
	lock_drop(&b->c->bodies.lock);
}

static int hash_complete(struct body *b, int fd, uint64_t start, uint64_t end)
{
	int r = 0;

	for (size_t k = (size_t)(start / CACHE_CHUNK);
	     r == 0 && (uint64_t)k * CACHE_CHUNK < end; k++) {
		if (!chunk_needs_hash(b, k, (uint64_t)(k + 1) * CACHE_CHUNK))
			continue;
		r = hash_chunk(b, fd, k, CACHE_CHUNK);
		if (r == 0)
			record_chunk(b, k);
	}
	return r;
}

/* --- bytes --- */

/* Grow the believed size if more comes than was promised. */
static int make_room(struct body *b, uint64_t end)
{
	int r = 0;

	lock_take(&b->c->bodies.lock);
	if (end > b->size)
		b->size = end;
	r = body_size_chunks_locked(b, b->size);
	lock_drop(&b->c->bodies.lock);
	return r;
}

/* Write what is not here yet of the range. */
static int fill_gaps(struct body *b, int fd, uint64_t offset, const char *bytes,
		     uint64_t end)
{
	uint64_t at = offset;
	int r = 0;

	while (r == 0) {
		struct span gap;
		bool found;

		lock_take(&b->c->bodies.lock);
		found = body_gap_locked(b, at, end, &gap);
		lock_drop(&b->c->bodies.lock);
		if (!found)
			break;
		r = write_all(fd, bytes + (gap.start - offset),
			      (size_t)(gap.end - gap.start), gap.start);
		if (r != 0)
			break;
		lock_take(&b->c->bodies.lock);
		r = body_add_span_locked(b, gap.start, gap.end);
		lock_drop(&b->c->bodies.lock);
		at = gap.end;
	}
	return r;
}

int body_write(struct body *b, uint64_t offset, const void *bytes, size_t n)
{
	int fd, r;

	if (offset > MAIL_SIZE_MAX || n > MAIL_SIZE_MAX - offset)
		return -EOVERFLOW;
	if (n == 0 || !begin_writing(b))
		return 0;
	r = make_room(b, offset + n);
	fd = r == 0 ? ensure_file(b) : r;
	r = fd < 0 ? fd : fill_gaps(b, fd, offset, bytes, offset + n);
	/*
	 * A hash that cannot be made now is made at the end, so only bytes
	 * that were not written are an error here.
	 */
	if (r == 0)
		(void)hash_complete(b, fd, offset, offset + n);
	end_writing(b);
	return r;
}

/* --- the end --- */

/* Correct the size; what is beyond it goes. */
static int set_size(struct body *b, uint64_t size, bool *ret_all_here)
{
	int r, fd;

	lock_take(&b->c->bodies.lock);
	r = body_size_chunks_locked(b, size);
	if (r == 0 && size < b->size) {
		size_t k = (size_t)(size / CACHE_CHUNK);
		uint64_t cut = size;

		/* Bytes of an earlier mount that nothing vouches for any more.
		 */
		if (k < b->n_chunks && b->chunk[k] == CHUNK_HASHED)
			cut = (uint64_t)k * CACHE_CHUNK;
		r = body_cut_span_locked(b, cut, UINT64_MAX);
		/* The chunk that the end now cuts has another hash. */
		for (; r == 0 && k < b->n_chunks; k++)
			b->chunk[k] = 0;
	}
	if (r == 0)
		b->size = size;
	*ret_all_here = r == 0 && body_covers_locked(b, 0, size);
	fd = b->fd;
	lock_drop(&b->c->bodies.lock);
	if (r == 0 && *ret_all_here && fd >= 0 &&
	    ftruncate(fd, (off_t)size) != 0)
		r = io_errno(errno);
	return r;
}

/* What cannot be read back is not here: it is fetched again. */
static void lose_chunk(struct body *b, uint64_t start, uint64_t end)
{
	lock_take(&b->c->bodies.lock);
	(void)!body_cut_span_locked(b, start, end);
	lock_drop(&b->c->bodies.lock);
}

static int hash_rest(struct body *b, int fd, uint64_t size)
{
	int r = 0;

	for (size_t k = 0; r == 0 && k < blob_chunks(size); k++) {
		size_t n = blob_chunk_bytes(size, k);
		uint64_t start = (uint64_t)k * CACHE_CHUNK;

		if (chunk_needs_hash(b, k, start + n))
			r = hash_chunk(b, fd, k, n);
		if (r == -EIO)
			lose_chunk(b, start, start + n);
	}
	return r;
}

static int move_into_place(struct body *b, const blob_hash key)
{
	char *from = blob_part_path(b->c, b->id);
	char *to = blob_path(b->c, key);
	int r = from && to ? 0 : -ENOMEM;

	if (r == 0 && rename(from, to) != 0) {
		r = errno == ENOENT ? blob_make_dir(to) : io_errno(errno);
		/* Still not there: the user wiped the file under us. */
		if (r == 0 && rename(from, to) != 0)
			r = errno == ENOENT ? -ENODATA : io_errno(errno);
	}
	free(from);
	free(to);
	return r;
}

/*
 * Order matters: the body is `whole` with its key before its file appears, so
 * that no eviction takes it for one that nobody has open; the row comes last.
 */
static int publish(struct body *b, uint64_t size)
{
	struct cache *c = b->c;
	struct blob blob = {.size = size, .n_chunks = blob_chunks(size)};
	int r;

	r = blob_make_key(c, b->hash, blob.n_chunks, size, blob.key);
	if (r != 0)
		return r;
	blob.hash = b->hash;
	lock_take(&b->c->bodies.lock);
	memcpy(b->key, blob.key, KEY_BYTES);
	b->whole = true;
	b->n_recorded = 0;
	b->refs++; /* the queue's */
	lock_drop(&b->c->bodies.lock);

	r = move_into_place(b, blob.key);
	if (r == 0)
		r = blob_queue_publish(c, b, b->id, &blob);
	lock_take(&b->c->bodies.lock);
	if (r != 0) {
		b->refs--;
		/* Wiped: it can be read as long as it is open. */
		b->whole = r == -ENODATA;
	} else {
		b->published = true;
	}
	lock_drop(&b->c->bodies.lock);
	return r == -ENODATA ? 0 : r;
}

int body_end(struct body *b, uint64_t size)
{
	bool all_here = false;
	int r, fd = -1;

	if (size > MAIL_SIZE_MAX)
		return -EOVERFLOW;
	if (!begin_writing(b))
		return 0;
	r = set_size(b, size, &all_here);
	if (r == 0 && all_here)
		r = writer_wait_room(b->c);
	if (r == 0 && all_here) {
		fd = ensure_file(b);
		r = fd < 0 ? fd : hash_rest(b, fd, size);
		if (r == 0)
			r = publish(b, size);
	}
	end_writing(b);
	return r;
}
