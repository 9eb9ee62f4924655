/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/small.h"

#include "cache/blob.h"
#include "cache/recall.h"
#include "cache/writer.h"

/*
 * Small bodies for whoever reads many, one after the other: their rows are
 * found a range of ids at a time, and each is read and checked in one go, with
 * no struct body, no map and no lock. What cannot be read like that (partial,
 * large, damaged, wiped) is left to body_open().
 */

static bool is_small(uint64_t size)
{
	return size > 0 && size <= CACHE_CHUNK;
}

/* The row's message, if it is in `v` from `at` on; `n` if it is not. */
static size_t find_row(sqlite3_stmt *st, const struct cache_small *v, size_t at,
		       size_t n)
{
	uint64_t id = (uint64_t)sqlite3_column_int64(st, 0);

	while (at < n && v[at].id < id)
		at++;
	if (at < n && v[at].id == id && is_small(v[at].size) &&
	    sqlite3_column_bytes(st, 1) == KEY_BYTES)
		return at;
	return n;
}

size_t cache_find_small(struct cache *c, struct cache_small *v, size_t n)
{
	sqlite3_stmt *st = c->read.stmt[S_DETAIL_BLOBS];
	size_t got = 0, at = 0, found;

	if (n == 0)
		return 0;
	/* Another label may have brought it just now. */
	if (cache_may_recall(c))
		(void)writer_drain(c, 0);
	lock_take(&c->read_lock);
	db_bind_int(&c->read, S_DETAIL_BLOBS, 1, (int64_t)v[0].id);
	db_bind_int(&c->read, S_DETAIL_BLOBS, 2, (int64_t)v[n - 1].id);
	while (db_step(&c->read, S_DETAIL_BLOBS) == 1) {
		found = find_row(st, v, at, n);
		if (found == n)
			continue;
		at = found + 1;
		v[got] = v[found];
		memcpy(v[got++].key, sqlite3_column_blob(st, 1), KEY_BYTES);
	}
	db_reset(&c->read, S_DETAIL_BLOBS);
	lock_drop(&c->read_lock);
	return got;
}

static int read_file(struct cache *c, const struct cache_small *s, void *buf)
{
	char *path = blob_path(c, s->key);
	size_t done = 0;
	ssize_t n = 1;
	int fd;

	if (!path)
		return -ENOMEM;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	free(path);
	if (fd < 0)
		return -ENODATA;
	while (n > 0 && done < s->size) {
		n = read(fd, (char *)buf + done, s->size - done);
		if (n > 0)
			done += (size_t)n;
	}
	close(fd);
	return done == s->size ? 0 : -ENODATA;
}

int cache_read_small(struct cache *c, const struct cache_small *s, void *buf)
{
	blob_hash hash, key;
	int r;

	r = read_file(c, s, buf);
	if (r != 0)
		return r;

	/* One chunk: its hash and its size make the key (blob.h). */
	blob_hash_bytes(c, buf, s->size, hash);
	r = blob_make_key(c, &hash, 1, s->size, key);
	if (r != 0)
		return r;
	if (memcmp(key, s->key, KEY_BYTES) != 0)
		return -ENODATA; /* body_open() will find that out, and say it
				  */
	blob_touch(c, s->key);
	return 0;
}
