/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "cache/blob.h"

/*
 * Keeping the bodies below their bound: when a commit has brought them over
 * it, the writer removes the least recently read, whole or partial, until
 * 95 % are left. What is open stays, and what is of a folder whose bodies are
 * kept; if these alone are more than that, the next attempt is made when
 * another hundredth of the bound has come. What is open goes later: the cache
 * is not full by that. Runs in the writer thread only.
 */

#define LOT 256

struct candidate {
	bool is_part;
	blob_hash key;
	uint64_t id;
	int64_t read_at;
	uint64_t bytes;
};

/* The next lot of those that were read after `*at`, which moves on. */
static int read_lot(struct cache *c, int64_t *at, struct candidate *lot,
		    size_t *ret_n)
{
	sqlite3_stmt *st = c->write.stmt[S_BLOB_OLDEST];
	size_t n = 0;
	int r = 0;

	db_bind_int(&c->write, S_BLOB_OLDEST, 1, *at);
	while (n < LOT && (r = db_step(&c->write, S_BLOB_OLDEST)) == 1) {
		struct candidate *to = &lot[n++];

		to->is_part = sqlite3_column_type(st, 0) == SQLITE_NULL;
		to->id = (uint64_t)sqlite3_column_int64(st, 1);
		to->read_at = sqlite3_column_int64(st, 2);
		to->bytes = (uint64_t)sqlite3_column_int64(st, 3) *
			    (to->is_part ? CACHE_CHUNK : 1);
		if (sqlite3_column_bytes(st, 0) == KEY_BYTES)
			memcpy(to->key, sqlite3_column_blob(st, 0), KEY_BYTES);
	}
	db_reset(&c->write, S_BLOB_OLDEST);
	if (n > 0)
		*at = lot[n - 1].read_at;
	*ret_n = n;
	return r < 0 ? r : 0;
}

/* Bytes stored, as they will be after this transaction. */
static uint64_t bytes_now(struct cache *c)
{
	uint64_t bytes;

	lock_take(&c->bodies.lock);
	bytes = c->bodies.stats.body_bytes + (uint64_t)c->bodies.add_bytes;
	lock_drop(&c->bodies.lock);
	return bytes;
}

/* 1: it is of a folder whose bodies are kept; 0: it is not; or an errno. */
static int is_kept(struct cache *c, const struct candidate *what)
{
	enum stmt s = what->is_part ? S_PART_KEPT : S_BLOB_KEPT;
	int r;

	if (what->is_part)
		db_bind_int(&c->write, s, 1, (int64_t)what->id);
	else
		db_bind_blob(&c->write, s, 1, what->key, KEY_BYTES);
	r = db_step(&c->write, s);
	db_reset(&c->write, s);
	return r;
}

struct evict_op {
	struct op op;
	/* Of the last attempt to run it: bytes left, and those that are open
	 * and may go. More may come behind it in the same transaction. */
	uint64_t left, open_bytes;
};

static int evict_one(struct cache *c, const struct candidate *what,
		     struct evict_op *op)
{
	bool is_open = what->is_part ? body_is_open(c, what->id)
				     : body_has_key_open(c, 0, what->key);
	int r;

	r = is_kept(c, what);
	if (r != 0)
		return r < 0 ? r : 0;
	if (is_open) {
		op->open_bytes += what->bytes;
		return 0;
	}
	c->bodies.add_evicted++;
	if (what->is_part)
		return parts_remove(c, what->id);
	return blob_remove(c, what->key);
}

static uint64_t goal(const struct cache *c)
{
	return c->bodies.stats.max_bytes / 100 * 95;
}

/* Note that an eviction is on its way; false: not needed, or there is one. */
static bool note_eviction(struct bodies *all)
{
	bool due;

	lock_take(&all->lock);
	due = all->stats.max_bytes > 0 && !all->evicting &&
	      all->stats.body_bytes > all->stats.max_bytes &&
	      all->stats.body_bytes > all->evict_above;
	if (due)
		all->evicting = true;
	lock_drop(&all->lock);
	return due;
}

static int run_evict(struct cache *c, struct op *op)
{
	struct candidate lot[LOT];
	struct evict_op *e = (struct evict_op *)op;
	int64_t at = INT64_MIN;
	size_t n = LOT;
	int r;

	e->open_bytes = 0;
	r = touches_write(c); /* who was read last is known only now */
	while (r == 0 && n == LOT && bytes_now(c) > goal(c)) {
		r = read_lot(c, &at, lot, &n);
		for (size_t i = 0; r == 0 && i < n; i++) {
			if (bytes_now(c) <= goal(c))
				break;
			r = evict_one(c, &lot[i], e);
		}
	}
	e->left = bytes_now(c);
	return r;
}

static void evict_done(struct cache *c, struct op *op, int err)
{
	const struct evict_op *e = (struct evict_op *)op;
	struct bodies *all = &c->bodies;
	uint64_t max = all->stats.max_bytes;

	lock_take(&all->lock);
	all->evicting = false;
	if (err == 0) {
		all->stats.full = e->left > max + e->open_bytes;
		all->evict_above = e->left > goal(c) ? e->left + max / 100 : 0;
	}
	lock_drop(&all->lock);
	if (err == 0)
		evict_if_over(c); /* by what came behind it */
}

void evict_if_over(struct cache *c)
{
	struct evict_op *op;

	if (!note_eviction(&c->bodies))
		return;
	op = op_new(sizeof(*op), run_evict, 0);
	if (op) {
		op->op.done = evict_done;
		writer_push(c, &op->op);
		return;
	}
	lock_take(&c->bodies.lock);
	c->bodies.evicting = false; /* the next body tries again */
	lock_drop(&c->bodies.lock);
}

void evict_again(struct cache *c)
{
	lock_take(&c->bodies.lock);
	c->bodies.evict_above = 0;
	lock_drop(&c->bodies.lock);
	evict_if_over(c);
}

void evict_count_queued(struct cache *c, int64_t bytes)
{
	lock_take(&c->bodies.lock);
	c->bodies.queued_bytes += (uint64_t)bytes;
	lock_drop(&c->bodies.lock);
}

void cache_get_stats(struct cache *c, struct cache_stats *ret)
{
	const struct bodies *all = &c->bodies;

	lock_take(&c->bodies.lock);
	*ret = all->stats;
	ret->deciding = all->evicting ||
			(all->queued_bytes > 0 && ret->max_bytes > 0 &&
			 ret->body_bytes + all->queued_bytes > ret->max_bytes);
	lock_drop(&c->bodies.lock);
}
