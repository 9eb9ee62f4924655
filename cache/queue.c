/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>

#include "cache/internal.h"
#include "cache/pages.h"

/*
 * The callers' side of the writer: pushing, and the things one may wait for.
 * Callers wait for room with no lock held; pushing itself never waits, so that
 * a box can push with its lock held. While the writer fails nobody waits for
 * it: the error is the answer.
 *
 * Large operations are mapped by themselves, or the heap would keep the size
 * that the queue had at its longest; all at once, for all of it will be filled.
 */

#define QUEUE_BYTES (8u << 20)
#define MAP_BYTES (32u << 10)

void *op_new(size_t bytes, int (*run)(struct cache *c, struct op *op),
	     uint64_t folder)
{
	struct op *op;

	op = bytes < MAP_BYTES ? calloc(1, bytes) : pages_map(bytes, true);
	if (!op)
		return NULL;
	op->run = run;
	op->folder = folder;
	op->bytes = bytes;
	return op;
}

void op_free(struct op *op)
{
	if (!op)
		return;
	if (op->bytes < MAP_BYTES)
		free(op);
	else
		pages_unmap(op, op->bytes);
}

uint64_t writer_push(struct cache *c, struct op *op)
{
	struct writer *w = &c->writer;
	uint64_t number;

	lock_take(&w->lock);
	op->next = NULL;
	if (w->tail)
		w->tail->next = op;
	else
		w->head = op;
	w->tail = op;
	w->bytes += op->bytes + op->more;
	number = ++w->pushed;
	lock_cond_wake(&w->work);
	lock_drop(&w->lock);
	return number;
}

void writer_hold(struct cache *c)
{
	struct writer *w = &c->writer;

	lock_take(&w->lock);
	w->holds++;
	while (w->busy)
		(void)lock_cond_wait(&w->done, &w->lock, CLOCK_NEVER);
	lock_drop(&w->lock);
}

void writer_release(struct cache *c)
{
	struct writer *w = &c->writer;

	lock_take(&w->lock);
	w->holds--;
	lock_cond_wake(&w->work);
	lock_drop(&w->lock);
}

bool writer_has_run(struct cache *c, uint64_t number)
{
	bool has;

	lock_take(&c->writer.lock);
	has = c->writer.applied >= number;
	lock_drop(&c->writer.lock);
	return has;
}

int writer_wait_room(struct cache *c)
{
	struct writer *w = &c->writer;
	int r = 0;

	lock_take(&w->lock);
	while (w->bytes > QUEUE_BYTES && w->failing == 0)
		(void)lock_cond_wait(&w->done, &w->lock, CLOCK_NEVER);
	if (w->bytes > QUEUE_BYTES)
		r = w->failing;
	lock_drop(&w->lock);
	return r;
}

static bool list_has(const struct op *op, uint64_t folder)
{
	for (; op; op = op->next) {
		if (op->folder == folder || op->folder == OP_ANY_FOLDER)
			return true;
	}
	return false;
}

static void want_commit_locked(struct writer *w, uint64_t target)
	REQUIRES(w->lock)
{
	if (w->commit_wanted < target)
		w->commit_wanted = target;
	lock_cond_wake(&w->work);
}

static int drain(struct cache *c, uint64_t folder, bool at_once)
{
	struct writer *w = &c->writer;
	uint64_t target;
	int r = 0;

	lock_take(&w->lock);
	target = w->pushed;
	if (folder != 0 && !list_has(w->batch, folder) &&
	    !list_has(w->head, folder))
		target = w->applied;
	while (w->applied < target && w->failing == 0) {
		if (at_once)
			want_commit_locked(w, target);
		(void)lock_cond_wait(&w->done, &w->lock, CLOCK_NEVER);
	}
	if (w->applied < target)
		r = w->failing;
	lock_drop(&w->lock);
	return r;
}

int writer_drain(struct cache *c, uint64_t folder)
{
	return drain(c, folder, true);
}

static int commit(struct cache *c, bool at_once)
{
	int r = drain(c, 0, at_once);

	return r == 0 && writer_is_broken(c) ? -EBADMSG : r;
}

int cache_commit(struct cache *c)
{
	return commit(c, true);
}

int cache_commit_gathered(struct cache *c)
{
	return commit(c, false);
}

int cache_sync(struct cache *c)
{
	struct writer *w = &c->writer;
	uint64_t target, attempts;
	int r = 0;

	lock_take(&w->lock);
	target = w->pushed;
	/* An attempt that runs now may have begun before the last push. */
	attempts = w->attempts + (w->busy ? 2 : 1);
	if (w->synced < target) {
		w->sync_wanted = target;
		w->retry = true;
		want_commit_locked(w, target);
	}
	while (w->synced < target && !w->broken &&
	       (w->failing == 0 || w->attempts < attempts))
		(void)lock_cond_wait(&w->done, &w->lock, CLOCK_NEVER);
	if (w->broken)
		r = -EBADMSG;
	else if (w->synced < target)
		r = w->failing;
	lock_drop(&w->lock);
	return r;
}

int cache_writer_error(struct cache *c)
{
	struct writer *w = &c->writer;
	int r;

	lock_take(&w->lock);
	r = w->first_error;
	w->first_error = 0;
	lock_drop(&w->lock);
	return r;
}

bool writer_is_broken(struct cache *c)
{
	bool broken;

	lock_take(&c->writer.lock);
	broken = c->writer.broken;
	lock_drop(&c->writer.lock);
	return broken;
}

int writer_failing(struct cache *c)
{
	int r;

	lock_take(&c->writer.lock);
	r = c->writer.failing;
	lock_drop(&c->writer.lock);
	return r;
}
