/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "cache/blob.h"

/*
 * Keeping the bodies below their bound: when a commit has brought them over
 * it, the writer removes the least recently read, whole or partial, until
 * 95 % are left. What is open stays. Runs in the writer thread only.
 */

#define LOT 256

struct candidate {
	bool is_part;
	blob_hash key;
	uint64_t id;
};

static int read_lot(struct cache *c, struct candidate *lot, size_t *ret_n)
{
	sqlite3_stmt *st = c->write.stmt[S_BLOB_OLDEST];
	size_t n = 0;
	int r = 0;

	while (n < LOT && (r = db_step(&c->write, S_BLOB_OLDEST)) == 1) {
		struct candidate *at = &lot[n++];

		at->is_part = sqlite3_column_type(st, 0) == SQLITE_NULL;
		at->id = (uint64_t)sqlite3_column_int64(st, 1);
		if (sqlite3_column_bytes(st, 0) == KEY_BYTES)
			memcpy(at->key, sqlite3_column_blob(st, 0), KEY_BYTES);
	}
	db_reset(&c->write, S_BLOB_OLDEST);
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

static int evict_one(struct cache *c, const struct candidate *what,
		     bool *ret_gone)
{
	bool is_open = what->is_part ? body_is_open(c, what->id)
				     : body_has_key_open(c, what->key);

	*ret_gone = !is_open;
	if (is_open)
		return 0;
	c->bodies.add_evicted++;
	if (what->is_part)
		return parts_remove(c, what->id);
	return blob_remove(c, what->key);
}

static int run_evict(struct cache *c, struct op *op)
{
	uint64_t goal = c->bodies.stats.max_bytes / 100 * 95;
	struct candidate lot[LOT];
	bool progress = true;
	size_t n;
	int r = 0;

	(void)op;
	r = touches_write(c); /* who was read last is known only now */
	while (r == 0 && progress && bytes_now(c) > goal) {
		progress = false;
		r = read_lot(c, lot, &n);
		for (size_t i = 0; r == 0 && i < n; i++) {
			bool gone;

			if (bytes_now(c) <= goal)
				break;
			r = evict_one(c, &lot[i], &gone);
			progress |= gone;
		}
	}
	return r;
}

static void evict_done(struct cache *c, struct op *op, int err)
{
	(void)op;
	(void)err;
	lock_take(&c->bodies.lock);
	c->bodies.evicting = false;
	lock_drop(&c->bodies.lock);
}

/* Note that an eviction is on its way; false: not needed, or there is one. */
static bool note_eviction(struct bodies *all)
{
	bool due;

	lock_take(&all->lock);
	due = all->stats.max_bytes > 0 && !all->evicting &&
	      all->stats.body_bytes > all->stats.max_bytes;
	if (due)
		all->evicting = true;
	lock_drop(&all->lock);
	return due;
}

void evict_if_over(struct cache *c)
{
	struct op *op;

	if (!note_eviction(&c->bodies))
		return;
	op = op_new(sizeof(*op), run_evict, 0);
	if (!op) {
		evict_done(c, NULL, 0); /* the next body tries again */
		return;
	}
	op->done = evict_done;
	writer_push(c, op);
}
