/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/body.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/spool.h"
#include "imap/log.h"

/*
 * Bodies that somebody has open: finding what is stored, checking it, reading.
 *
 *     nothing --bytes--> partial --all, hashed, renamed--> whole
 *        ^                  |                                |
 *        +---- damaged -----+------------ damaged -----------+
 *
 * One struct an id, in a small table. Its lock is dropped for every file
 * operation. Bytes that came in this mount are believed; bytes from an earlier
 * one are compared with their hash, a chunk at a time, before the first
 * reader sees them. A file that was thrown away stays open until the last
 * reader has left, because somebody may be reading from its descriptor.
 */

/* --- the table --- */

static struct body **bucket(struct cache *c, uint64_t id)
	REQUIRES(c->bodies.lock)
{
	return &c->bodies.bucket[id % BODY_BUCKETS];
}

static struct body *find_locked(struct cache *c, uint64_t id)
	REQUIRES(c->bodies.lock)
{
	struct body *b = *bucket(c, id);

	while (b && b->id != id)
		b = b->next;
	return b;
}

uint64_t body_id(const struct body *b)
{
	return b->id;
}

bool body_is_open(struct cache *c, uint64_t id)
{
	bool yes;

	lock_take(&c->bodies.lock);
	yes = find_locked(c, id) != NULL;
	lock_drop(&c->bodies.lock);
	return yes;
}

bool body_has_key_open(struct cache *c, uint64_t id, const blob_hash key)
{
	bool yes = false;

	lock_take(&c->bodies.lock);
	for (size_t i = 0; !yes && i < BODY_BUCKETS; i++) {
		for (struct body *b = c->bodies.bucket[i]; b; b = b->next)
			yes |= b->whole && b->id != id &&
			       memcmp(b->key, key, KEY_BYTES) == 0;
	}
	lock_drop(&c->bodies.lock);
	return yes;
}

static void free_body(struct body *b)
{
	if (b->fd >= 0)
		close(b->fd);
	for (size_t i = 0; i < b->n_retired; i++)
		close(b->retired[i]);
	free(b->retired);
	free(b->span);
	free(b->hash);
	free(b->chunk);
	free(b);
}

/* --- what is stored --- */

static int open_whole(struct body *b, const struct blob *blob)
{
	char *path = blob_path(b->c, blob->key);
	struct stat st;
	int fd, error;

	if (!path)
		return -ENOMEM;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	error = errno;
	free(path);
	/* What we may not read is fetched again, as if it were not there. */
	if (fd < 0 && error != ENOENT && error != ENOTDIR && error != ELOOP &&
	    error != EACCES)
		return home_errno(error);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (uint64_t)st.st_size == blob->size) {
		b->fd = fd;
		return 0;
	}
	if (fd >= 0) {
		blob_unlink_damaged(b->c, blob->key, fd);
		close(fd);
	}
	(void)blob_queue_gone(b->c, blob->key);
	return -ENODATA;
}

static int load_whole(struct body *b)
{
	struct cache *c = b->c;
	struct blob blob;
	int r = blob_find(c, b->id, &blob);

	if (r != 0)
		return r;
	r = open_whole(b, &blob);
	if (r != 0) {
		free(blob.hash);
		return r;
	}
	lock_take(&b->c->bodies.lock);
	r = body_size_chunks_locked(b, blob.size);
	if (r == 0)
		r = body_add_span_locked(b, 0, blob.size);
	if (r == 0) {
		if (blob.n_chunks > 0)
			memcpy(b->hash, blob.hash, blob.n_chunks * KEY_BYTES);
		memset(b->chunk ? b->chunk : (unsigned char *)"", CHUNK_HASHED,
		       blob.n_chunks);
		b->size = blob.size;
		memcpy(b->key, blob.key, KEY_BYTES);
		b->whole = b->published = true;
	}
	lock_drop(&b->c->bodies.lock);
	free(blob.hash);
	return r;
}

static int add_part_locked(struct body *b, const struct part_chunk *p)
	REQUIRES(b->c->bodies.lock)
{
	uint64_t start = p->chunk * CACHE_CHUNK;
	int r;

	if (start + CACHE_CHUNK > b->size)
		return 0;
	r = body_add_span_locked(b, start, start + CACHE_CHUNK);
	if (r == 0) {
		memcpy(b->hash[p->chunk], p->hash, KEY_BYTES);
		b->chunk[p->chunk] = CHUNK_HASHED;
		b->n_recorded++;
	}
	return r;
}

static int load_part(struct body *b)
{
	struct cache *c = b->c;
	struct part_chunk *list;
	size_t n;
	char *path;
	int r = parts_find(c, b->id, &list, &n);

	if (r != 0)
		return r;
	path = blob_part_path(c, b->id);
	if (path && home_keep_lock(c) == 0)
		b->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	free(path);
	lock_take(&b->c->bodies.lock);
	r = b->fd >= 0 ? body_size_chunks_locked(b, b->size) : -ENODATA;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_part_locked(b, &list[i]);
	/* The file was wiped: its chunks must not be counted any more. */
	for (size_t i = 0; b->fd < 0 && i < n; i++)
		body_drop_record_locked(b, list[i].chunk);
	lock_drop(&b->c->bodies.lock);
	free(list);
	return r;
}

/* What is unsent is in a file of its own, which nothing can damage unseen. */
static int load_unsent(struct body *b)
{
	uint64_t size = 0;
	int r = spool_open_published(b->c, b->id, &b->fd);

	if (r == 0)
		r = spool_size(b->fd, &size);
	if (r != 0)
		return r;
	lock_take(&b->c->bodies.lock);
	r = body_size_chunks_locked(b, size);
	if (r == 0)
		r = body_add_span_locked(b, 0, size);
	if (r == 0) {
		b->size = size;
		b->whole = true;
	}
	lock_drop(&b->c->bodies.lock);
	return r;
}

static int load(struct body *b)
{
	int r = load_unsent(b);

	if (r == -ENODATA)
		r = load_whole(b);
	if (r == -ENODATA)
		r = load_part(b);
	return r == -ENODATA ? 0 : r;
}

/* --- opening --- */

static struct body *new_body(struct cache *c, uint64_t id, uint64_t size)
{
	struct body *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->c = c;
	b->id = id;
	b->size = size < MAIL_SIZE_MAX ? size : MAIL_SIZE_MAX;
	b->refs = 1;
	b->loading = true;
	b->fd = -1;
	return b;
}

static void unlink_locked(struct cache *c, struct body *b)
	REQUIRES(c->bodies.lock)
{
	struct body **at = bucket(c, b->id);

	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
}

/* Wait for another opener of the same id; NULL if it failed. */
static struct body *join_locked(struct cache *c, uint64_t id)
	REQUIRES(c->bodies.lock)
{
	struct body *b;

	while ((b = find_locked(c, id)) && b->loading)
		(void)lock_cond_wait(&c->bodies.cond, &c->bodies.lock,
				     CLOCK_NEVER);
	if (b)
		b->refs++;
	return b;
}

int body_open(struct cache *c, uint64_t id, uint64_t size, struct body **ret)
{
	struct body *mine = new_body(c, id, size), *b;
	int r;

	if (!mine)
		return -ENOMEM;
	lock_take(&c->bodies.lock);
	b = join_locked(c, id);
	if (!b) {
		mine->next = *bucket(c, id);
		*bucket(c, id) = mine;
	}
	lock_drop(&c->bodies.lock);
	if (b) {
		free_body(mine);
		*ret = b;
		return 0;
	}

	r = load(mine);
	lock_take(&c->bodies.lock);
	mine->loading = false;
	if (r != 0)
		unlink_locked(c, mine);
	lock_cond_wake_all(&c->bodies.cond);
	lock_drop(&c->bodies.lock);
	if (r != 0) {
		free_body(mine);
		return r;
	}
	*ret = mine;
	return 0;
}

void body_put(struct body *b)
{
	struct cache *c;
	char *path = NULL;

	if (!b)
		return;
	c = b->c;
	lock_take(&c->bodies.lock);
	if (--b->refs > 0) {
		lock_drop(&c->bodies.lock);
		return;
	}
	/*
	 * What no row would know goes at once. The file is removed with the
	 * lock held, or the next opener's new file could be the one that goes.
	 */
	if (!b->whole && b->fd >= 0 && b->n_recorded == 0)
		path = blob_part_path(c, b->id);
	if (path)
		(void)unlink(path);
	unlink_locked(c, b);
	lock_drop(&c->bodies.lock);
	free(path);
	if (b->published && b->was_read)
		blob_touch(c, b->key);
	free_body(b);
}

bool cache_has_body(struct cache *c, uint64_t id)
{
	struct body *b;
	struct blob blob;
	char *path;
	bool yes;
	int fd;

	lock_take(&c->bodies.lock);
	b = find_locked(c, id);
	yes = b && b->whole;
	lock_drop(&c->bodies.lock);
	if (!yes && spool_open_published(c, id, &fd) == 0) {
		close(fd);
		yes = true;
	}
	if (yes || blob_find(c, id, &blob) != 0)
		return yes;
	path = blob_path(c, blob.key);
	yes = path && access(path, R_OK) == 0;
	free(path);
	free(blob.hash);
	return yes;
}
