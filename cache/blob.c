/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/blob.h"
#include "cache/recall.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "imap/log.h"

/*
 * The rows of whole bodies, and which messages share them.
 *
 * A blob lives as long as a message refers to it; the reference is the column
 * details.blob, and the partial index on it answers `does anybody else have
 * this one?`. Functions named run_* and those in the last section of the
 * header are called by the writer thread in a transaction; files are unlinked
 * there before the row is committed as gone, because a row without a file
 * heals by itself and a file without a row only wastes space.
 */

const struct sql db_blob_sql[] = {
	{S_BLOB_GET, "SELECT size, hashes FROM blobs WHERE key = ?"},
	{S_BLOB_PUT, "INSERT INTO blobs (key, size, hashes, read_at)"
		     " VALUES (?, ?, ?, ?) ON CONFLICT (key) DO NOTHING"},
	{S_BLOB_REMOVE, "DELETE FROM blobs WHERE key = ? RETURNING size"},
	{S_BLOB_NEXT, "SELECT key FROM blobs WHERE key > ? ORDER BY key"
		      " LIMIT 1"},
	{S_BLOB_TOUCH, "UPDATE blobs SET read_at = ? WHERE key = ?"},
	{S_BLOB_SUM, "SELECT count(*), total(size) FROM blobs"},
	{S_BLOB_OLDEST,
	 "SELECT key, 0, read_at, size FROM blobs"
	 " WHERE read_at > ?1 UNION ALL"
	 " SELECT NULL, id, read_at,"
	 " (SELECT count(*) FROM part_chunks c WHERE c.id = p.id)"
	 " FROM parts p WHERE read_at > ?1 ORDER BY 3 LIMIT 256"},
	{S_BLOB_KEPT, "SELECT 1 FROM details d CROSS JOIN folders f"
		      " CROSS JOIN messages m WHERE d.blob = ? AND f.kept <> 0"
		      " AND m.folder = f.id AND m.id = d.id LIMIT 1"},
	{0, NULL},
};

int64_t blob_read_stamp(struct cache *c)
{
	struct timespec t;
	int64_t now;

	clock_gettime(CLOCK_REALTIME, &t);
	now = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
	lock_take(&c->bodies.lock);
	if (now <= c->bodies.last_read)
		now = c->bodies.last_read + 1;
	c->bodies.last_read = now;
	lock_drop(&c->bodies.lock);
	return now;
}

/* --- statistics --- */

int blob_count(struct cache *c)
{
	struct cache_stats *stats = &c->bodies.stats;
	int r = db_step(&c->write, S_BLOB_SUM);

	if (r == 1) {
		sqlite3_stmt *st = c->write.stmt[S_BLOB_SUM];

		stats->bodies = (uint64_t)sqlite3_column_int64(st, 0);
		stats->body_bytes = (uint64_t)sqlite3_column_int64(st, 1);
		db_reset(&c->write, S_BLOB_SUM);
		r = db_step(&c->write, S_PART_SUM);
	}
	if (r == 1) {
		sqlite3_stmt *st = c->write.stmt[S_PART_SUM];

		stats->body_bytes +=
			(uint64_t)sqlite3_column_int64(st, 0) * CACHE_CHUNK;
		db_reset(&c->write, S_PART_SUM);
		r = 0;
	}
	return r;
}

void blob_begin_batch(struct cache *c)
{
	c->bodies.add_bodies = 0;
	c->bodies.add_bytes = 0;
	c->bodies.add_evicted = 0;
	c->bodies.add_lost = 0;
}

void blob_end_batch(struct cache *c)
{
	struct bodies *all = &c->bodies;

	lock_take(&all->lock);
	all->stats.bodies += (uint64_t)all->add_bodies;
	all->stats.body_bytes += (uint64_t)all->add_bytes;
	all->stats.evicted += all->add_evicted;
	all->stats.lost += all->add_lost;
	if (all->stats.body_bytes <= all->stats.max_bytes)
		all->stats.full = false;
	lock_drop(&all->lock);
	if (all->add_bytes > 0)
		evict_if_over(c);
}

/* --- removing --- */

static int remove_row(struct cache *c, const blob_hash key)
{
	struct db *db = &c->write;
	int r;

	db_bind_blob(db, S_BLOB_REMOVE, 1, key, KEY_BYTES);
	r = db_step(db, S_BLOB_REMOVE);
	if (r == 1) {
		c->bodies.add_bodies--;
		c->bodies.add_bytes -=
			sqlite3_column_int64(db->stmt[S_BLOB_REMOVE], 0);
	}
	db_reset(db, S_BLOB_REMOVE);
	if (r < 0)
		return r;
	db_bind_blob(db, S_DETAIL_CLEAR_BLOB, 1, key, KEY_BYTES);
	return db_run(db, S_DETAIL_CLEAR_BLOB);
}

int blob_remove(struct cache *c, const blob_hash key)
{
	char *path = blob_path(c, key);

	if (!path)
		return -ENOMEM;
	(void)unlink(path); /* it may have been wiped */
	free(path);
	return remove_row(c, key);
}

/* Message `id` refers to it no more. */
static int remove_if_unused(struct cache *c, uint64_t id, const blob_hash key)
{
	int r;

	/* It may have come again, for another one whose row comes behind. */
	if (body_has_key_open(c, id, key))
		return 0;
	db_bind_blob(&c->write, S_DETAIL_USES_BLOB, 1, key, KEY_BYTES);
	r = db_step(&c->write, S_DETAIL_USES_BLOB);
	db_reset(&c->write, S_DETAIL_USES_BLOB);
	if (r != 0)
		return r < 0 ? r : 0;
	return blob_remove(c, key);
}

int blob_forget_message(struct cache *c, uint64_t id)
{
	struct db *db = &c->write;
	blob_hash key;
	bool has_key = false;
	int r;

	db_bind_int(db, S_DETAIL_BLOB, 1, (int64_t)id);
	r = db_step(db, S_DETAIL_BLOB);
	if (r == 1) {
		sqlite3_stmt *st = db->stmt[S_DETAIL_BLOB];

		has_key = sqlite3_column_bytes(st, 0) == KEY_BYTES;
		if (has_key)
			memcpy(key, sqlite3_column_blob(st, 0), KEY_BYTES);
	}
	db_reset(db, S_DETAIL_BLOB);
	if (r < 0)
		return r;

	db_bind_int(db, S_DETAIL_REMOVE, 1, (int64_t)id);
	r = db_run(db, S_DETAIL_REMOVE);
	if (r == 0)
		r = parts_remove(c, id);
	if (r == 0 && has_key)
		r = remove_if_unused(c, id, key);
	return r;
}

/* --- publishing and sharing --- */

/*
 * What a body that is open weighs in the writer's queue: so a writer that is
 * slow, or has no room, never keeps more of them open than some hundred.
 */
#define OPEN_BYTES (16u << 10)

struct blob_op {
	struct op op;
	struct body *body; /* held; or NULL */
	uint64_t id;
	blob_hash key;
	uint64_t size;
	int64_t read_at;
	size_t n_chunks;
	blob_hash hash[];
};

static struct blob_op *new_op(int (*run)(struct cache *c, struct op *op),
			      const blob_hash key, size_t n_chunks)
{
	struct blob_op *op =
		op_new(sizeof(*op) + n_chunks * sizeof(op->hash[0]), run, 0);

	if (op)
		memcpy(op->key, key, KEY_BYTES);
	return op;
}

/* Let the message refer to the blob; if it is gone, so may the blob be. */
static int refer(struct cache *c, const struct blob_op *b)
{
	int r;

	db_bind_blob(&c->write, S_DETAIL_SET_BLOB, 1, b->key, KEY_BYTES);
	db_bind_int(&c->write, S_DETAIL_SET_BLOB, 2, (int64_t)b->id);
	r = db_run(&c->write, S_DETAIL_SET_BLOB);
	if (r == 0 && sqlite3_changes(c->write.handle) == 0)
		r = remove_if_unused(c, b->id, b->key);
	return r;
}

static int run_publish(struct cache *c, struct op *op)
{
	struct blob_op *b = (struct blob_op *)op;
	struct db *db = &c->write;
	int r;

	db_bind_blob(db, S_BLOB_PUT, 1, b->key, KEY_BYTES);
	db_bind_int(db, S_BLOB_PUT, 2, (int64_t)b->size);
	db_bind_blob(db, S_BLOB_PUT, 3, b->hash,
		     b->n_chunks * sizeof(b->hash[0]));
	db_bind_int(db, S_BLOB_PUT, 4, b->read_at);
	r = db_run(db, S_BLOB_PUT);
	if (r != 0)
		return r;

	if (sqlite3_changes(db->handle) > 0) {
		c->bodies.add_bodies++;
		c->bodies.add_bytes += (int64_t)b->size;
	}
	r = parts_remove(c, b->id);
	return r == 0 ? refer(c, b) : r;
}

static void publish_done(struct cache *c, struct op *op, int err)
{
	struct blob_op *b = (struct blob_op *)op;

	(void)err; /* the file stays; the sweep finds it */
	evict_count_queued(c, -(int64_t)b->size);
	body_put(b->body);
}

int blob_queue_publish(struct cache *c, struct body *b, uint64_t id,
		       const struct blob *blob)
{
	struct blob_op *op = new_op(run_publish, blob->key, blob->n_chunks);

	if (!op)
		return -ENOMEM;
	op->op.done = publish_done;
	op->op.more = b ? OPEN_BYTES : 0;
	op->body = b;
	op->id = id;
	op->size = blob->size;
	op->read_at = blob_read_stamp(c);
	op->n_chunks = blob->n_chunks;
	if (blob->n_chunks > 0)
		memcpy(op->hash, blob->hash,
		       blob->n_chunks * sizeof(op->hash[0]));
	evict_count_queued(c, (int64_t)blob->size);
	writer_push(c, &op->op);
	return 0;
}

static int run_share(struct cache *c, struct op *op)
{
	struct blob_op *b = (struct blob_op *)op;
	int r;

	/* It may have been evicted since. */
	db_bind_blob(&c->write, S_BLOB_GET, 1, b->key, KEY_BYTES);
	r = db_step(&c->write, S_BLOB_GET);
	db_reset(&c->write, S_BLOB_GET);
	return r == 1 ? refer(c, b) : r;
}

/* The message shares a blob that is stored. */
static int queue_share(struct cache *c, uint64_t id, const blob_hash key)
{
	struct blob_op *op = new_op(run_share, key, 0);

	if (!op)
		return -ENOMEM;
	op->id = id;
	writer_push(c, &op->op);
	return 0;
}

static int run_gone(struct cache *c, struct op *op)
{
	struct blob_op *b = (struct blob_op *)op;
	char *path = blob_path(c, b->key);
	bool is_back;

	if (!path)
		return -ENOMEM;
	/*
	 * Somebody may have fetched it again meanwhile, or do so now: so only
	 * the row goes, and the one that is queued behind this puts it back.
	 */
	is_back = access(path, F_OK) == 0;
	free(path);
	return is_back ? 0 : remove_row(c, b->key);
}

int blob_queue_gone(struct cache *c, const blob_hash key)
{
	struct blob_op *op = new_op(run_gone, key, 0);

	if (!op)
		return -ENOMEM;
	writer_push(c, &op->op);
	return 0;
}

/* --- finding --- */

/* What the row of a message says of its body. */
struct key_found {
	bool has_key;
	bool is_twin;   /* that of another copy */
	bool has_twins; /* by their EMAILID, whose bodies may be coming */
};

/* 1: there is a row. */
static int read_key(struct cache *c, uint64_t id, blob_hash key,
		    struct key_found *ret) REQUIRES(c->read_lock)
{
	sqlite3_stmt *st = c->read.stmt[S_DETAIL_BLOB];
	int r;

	db_bind_int(&c->read, S_DETAIL_BLOB, 1, (int64_t)id);
	r = db_step(&c->read, S_DETAIL_BLOB);
	if (r == 1) {
		ret->has_key = sqlite3_column_bytes(st, 0) == KEY_BYTES;
		if (ret->has_key)
			memcpy(key, sqlite3_column_blob(st, 0), KEY_BYTES);
		ret->is_twin = sqlite3_column_int(st, 1) != 0;
		ret->has_twins = sqlite3_column_int(st, 2) != 0;
	}
	db_reset(&c->read, S_DETAIL_BLOB);
	return r;
}

static int copy_blob(sqlite3_stmt *st, struct blob *ret)
{
	int64_t size = sqlite3_column_int64(st, 0);
	const void *hashes = sqlite3_column_blob(st, 1);
	size_t bytes = (size_t)sqlite3_column_bytes(st, 1);

	if (size < 0 || size > (int64_t)MAIL_SIZE_MAX ||
	    bytes != blob_chunks((uint64_t)size) * KEY_BYTES)
		return -ENODATA;
	ret->hash = malloc(bytes + 1);
	if (!ret->hash)
		return -ENOMEM;
	if (bytes > 0)
		memcpy(ret->hash, hashes, bytes);
	ret->size = (uint64_t)size;
	ret->n_chunks = bytes / KEY_BYTES;
	return 0;
}

static int read_blob(struct cache *c, uint64_t id, struct blob *ret,
		     struct key_found *found) REQUIRES(c->read_lock)
{
	int r = read_key(c, id, ret->key, found);

	if (r <= 0)
		return r == 0 ? -ENOENT : r;
	if (!found->has_key)
		return -ENODATA;

	db_bind_blob(&c->read, S_BLOB_GET, 1, ret->key, KEY_BYTES);
	r = db_step(&c->read, S_BLOB_GET);
	if (r == 1)
		r = copy_blob(c->read.stmt[S_BLOB_GET], ret);
	else if (r == 0)
		r = -ENODATA;
	db_reset(&c->read, S_BLOB_GET);
	return r;
}

/*
 * A row that is still on its way to the disk, or a body that has just come
 * under another label, or for another copy?
 */
static bool may_be_coming(struct cache *c, int r, const struct key_found *found)
{
	return r == -ENOENT ||
	       (r == -ENODATA && (found->has_twins || cache_may_recall(c)));
}

int blob_find(struct cache *c, uint64_t id, struct blob *ret)
{
	struct key_found found = {0};
	blob_hash key;
	int r = -ENOENT;

	*ret = (struct blob){0};
	for (int tries = 0; tries < 2; tries++) {
		if (tries > 0 && writer_drain(c, 0) != 0)
			break;
		lock_take(&c->read_lock);
		r = read_blob(c, id, ret, &found);
		lock_drop(&c->read_lock);
		if (!may_be_coming(c, r, &found))
			break;
	}
	if (r == -EBADMSG)
		store_mark_damaged(c);
	if (r != 0)
		return r == -ENOENT ? -ENODATA : r;

	/* The key vouches for the list of hashes. */
	r = blob_make_key(c, ret->hash, ret->n_chunks, ret->size, key);
	if (r == 0 && memcmp(key, ret->key, KEY_BYTES) != 0)
		r = -ENODATA;
	if (r == 0 && found.is_twin)
		(void)queue_share(c, id, ret->key);
	if (r != 0) {
		free(ret->hash);
		ret->hash = NULL;
	}
	return r;
}
