/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "cache/blob.h"
#include "cache/writer.h"

/*
 * When bodies were read last. Whoever goes through a folder reads thousands of
 * bodies a second, and a row each would cost more than the reading: the reads
 * are kept in memory, and written when there are many, when somebody reads and
 * the first of them is some minutes old, before anything is evicted, and at the
 * end. A kill loses some of the order of eviction, nothing else. What is read
 * again and again is in it once, or soon will be; and what comes and goes while
 * programs walk a mount all day does not stay in it.
 *
 * They are written in the order of the table, many at a time: so each of its
 * pages is changed, and goes to the WAL, once for all the rows that are in it.
 */

#define TOUCHES_FIRST 256
#define TOUCHES_MAX 32768
#define TOUCHES_KEPT_MS 600000

struct touch {
	blob_hash key;
	int64_t read_at;
};

/* Take the list out; yours to free. */
static struct touch *take(struct cache *c, size_t *ret_n)
{
	struct touch *v;

	lock_take(&c->bodies.lock);
	v = c->bodies.touches;
	*ret_n = c->bodies.n_touches;
	c->bodies.touches = NULL;
	c->bodies.n_touches = 0;
	c->bodies.touches_room = 0;
	lock_drop(&c->bodies.lock);
	return v;
}

static int by_key(const void *a, const void *b)
{
	const struct touch *x = a, *y = b;
	int r = memcmp(x->key, y->key, KEY_BYTES);

	if (r != 0)
		return r;
	return (x->read_at > y->read_at) - (x->read_at < y->read_at);
}

int touches_write(struct cache *c)
{
	size_t n;
	struct touch *v = take(c, &n);
	int r = 0;

	if (n > 0)
		qsort(v, n, sizeof(*v), by_key);
	for (size_t i = 0; r == 0 && i < n; i++) {
		db_bind_int(&c->write, S_BLOB_TOUCH, 1, v[i].read_at);
		db_bind_blob(&c->write, S_BLOB_TOUCH, 2, v[i].key, KEY_BYTES);
		r = db_run(&c->write, S_BLOB_TOUCH);
	}
	free(v);
	return r;
}

static int run_touches(struct cache *c, struct op *op)
{
	(void)op;
	return touches_write(c);
}

void touches_queue(struct cache *c)
{
	struct op *op = op_new(sizeof(*op), run_touches, 0);

	if (op)
		writer_push(c, op);
}

/* Only the last read of each body counts. */
static void merge_locked(struct bodies *all) REQUIRES(all->lock)
{
	struct touch *v = all->touches;
	size_t n = 0;

	qsort(v, all->n_touches, sizeof(*v), by_key);
	for (size_t i = 0; i < all->n_touches; i++) {
		if (n > 0 && memcmp(v[n - 1].key, v[i].key, KEY_BYTES) == 0)
			n--;
		v[n++] = v[i];
	}
	all->n_touches = n;
}

/* Without memory, or with a writer that cannot write, a read is forgotten. */
static bool make_room_locked(struct bodies *all) REQUIRES(all->lock)
{
	size_t room = all->touches_room ? 2 * all->touches_room : TOUCHES_FIRST;
	struct touch *v;

	if (all->n_touches < all->touches_room)
		return true;
	if (room > TOUCHES_MAX)
		return false;
	if (all->n_touches > 0)
		merge_locked(all);
	/* Or it would be sorted again too soon. */
	if (all->n_touches < all->touches_room / 2)
		return true;
	v = realloc(all->touches, room * sizeof(*v));
	if (!v)
		return false;
	all->touches = v;
	all->touches_room = room;
	return true;
}

void blob_touch(struct cache *c, const blob_hash key)
{
	int64_t now = blob_read_stamp(c), now_ms = clock_now_ms();
	struct bodies *all = &c->bodies;
	bool due = false;

	lock_take(&all->lock);
	if (all->n_touches == 0)
		all->touches_from_ms = now_ms;
	if (make_room_locked(all)) {
		struct touch *t = &all->touches[all->n_touches++];

		memcpy(t->key, key, KEY_BYTES);
		t->read_at = now;
		due = all->n_touches == TOUCHES_MAX;
	}
	due |= now_ms - all->touches_from_ms >= TOUCHES_KEPT_MS;
	if (due)
		all->touches_from_ms = now_ms; /* not asked for once more */
	lock_drop(&all->lock);
	/* A writer whose disk is full gets nothing more to keep. */
	if (due && writer_failing(c) == 0)
		touches_queue(c);
}
