/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/blob.h"

/*
 * Small bodies for whoever reads many, one after the other: their rows are
 * found a range of ids at a time, and each is read and checked in one go, with
 * no struct body, no map and no lock. What cannot be read like that (partial,
 * large, damaged, wiped) is left to body_open().
 */

static bool take_row(sqlite3_stmt *st, struct cache_small *ret)
{
	int64_t size = sqlite3_column_int64(st, 2);

	if (size <= 0 || size > CACHE_CHUNK ||
	    sqlite3_column_bytes(st, 1) != KEY_BYTES)
		return false;
	ret->id = (uint64_t)sqlite3_column_int64(st, 0);
	ret->size = (uint64_t)size;
	memcpy(ret->key, sqlite3_column_blob(st, 1), KEY_BYTES);
	return true;
}

size_t cache_find_small(struct cache *c, uint64_t first, uint64_t last,
			struct cache_small *ret, size_t n)
{
	sqlite3_stmt *st = c->read.stmt[S_BLOB_RANGE];
	size_t got = 0;

	lock_take(&c->read_lock);
	db_bind_int(&c->read, S_BLOB_RANGE, 1, (int64_t)first);
	db_bind_int(&c->read, S_BLOB_RANGE, 2, (int64_t)last);
	while (got < n && db_step(&c->read, S_BLOB_RANGE) == 1)
		got += take_row(st, &ret[got]);
	db_reset(&c->read, S_BLOB_RANGE);
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
