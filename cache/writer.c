/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/blob.h"
#include "cache/internal.h"
#include "cache/spool.h"
#include "imap/log.h"

/*
 * The writer thread. It sleeps until something is queued, lets a few
 * milliseconds pass so that neighbours share a transaction, takes up to
 * BATCH_BYTES of the queue, and runs it.
 *
 * States: idle, gathering, writing, failing (the batch stays; one attempt a
 * second), broken (the database is damaged: operations are given up, because
 * everything in it can be fetched again after it was set aside).
 *
 * Durability: a commit is a write to the WAL, which survives the death of the
 * program; the WAL is fsynced for cache_sync(), when all that it is to cover is
 * written, and once a second while there is something new in it. That is what
 * synchronous=FULL does at each commit.
 *
 * queue.c has the side of those who push.
 */

#define BATCH_BYTES (1u << 20)
#define HURRY_BYTES (256u << 10)
#define GATHER_MS 4
#define RETRY_MS 1000
#define SYNC_MS 1000

static int run_batch(struct cache *c, struct op *batch)
{
	int r = db_run(&c->write, S_BEGIN);

	if (r != 0)
		return r;
	blob_begin_batch(c);
	for (struct op *op = batch; r == 0 && op; op = op->next)
		r = op->run(c, op);
	if (r == 0)
		r = db_run(&c->write, S_COMMIT);
	if (r == 0)
		blob_end_batch(c);
	if (r != 0 && !sqlite3_get_autocommit(c->write.handle))
		(void)db_run(&c->write, S_ROLLBACK);
	return r;
}

/* With the database damaged only operations that can do without it run. */
static void run_broken(struct cache *c, struct op *batch)
{
	for (struct op *op = batch; op; op = op->next) {
		int r = op->when_broken ? op->run(c, op) : -EBADMSG;

		if (op->done)
			op->done(c, op, r);
		op->done = NULL;
	}
}

static void free_batch(struct cache *c, struct op *batch, int err)
{
	while (batch) {
		struct op *next = batch->next;

		if (batch->done)
			batch->done(c, batch, err);
		op_free(batch);
		batch = next;
	}
}

static bool sync_is_due_locked(const struct writer *w) REQUIRES(w->lock)
{
	if (w->synced == w->applied)
		return false;
	if (w->stop || clock_now_ms() >= w->synced_at + SYNC_MS)
		return true;
	return w->synced < w->sync_wanted && w->applied >= w->sync_wanted;
}

/* When must the thread wake even if nobody wakes it? */
static int64_t deadline_locked(const struct writer *w, int64_t gather_until)
	REQUIRES(w->lock)
{
	int64_t at = CLOCK_NEVER;

	if (w->holds > 0)
		return at;
	if (w->synced < w->applied)
		at = w->synced_at + SYNC_MS;
	if (w->failing != 0)
		return w->retry_at;
	if (w->head && gather_until < at)
		at = gather_until;
	return at;
}

static bool work_is_due_locked(const struct writer *w, int64_t gather_until)
	REQUIRES(w->lock)
{
	if (w->holds > 0)
		return false;
	if (w->stop)
		return true;
	if (w->failing != 0)
		return w->retry || clock_now_ms() >= w->retry_at;
	if (sync_is_due_locked(w))
		return true;
	if (!w->head)
		return false;
	return w->applied < w->commit_wanted || w->bytes >= HURRY_BYTES ||
	       clock_now_ms() >= gather_until;
}

static void wait_for_work_locked(struct writer *w) REQUIRES(w->lock)
{
	int64_t gather_until = CLOCK_NEVER;

	for (;;) {
		if (w->head && gather_until == CLOCK_NEVER)
			gather_until = clock_now_ms() + GATHER_MS;
		if (work_is_due_locked(w, gather_until))
			return;
		(void)lock_cond_wait(&w->work, &w->lock,
				     deadline_locked(w, gather_until));
	}
}

/* Move operations from the queue to the batch. */
static uint64_t take_batch_locked(struct writer *w) REQUIRES(w->lock)
{
	struct op *last = NULL;
	size_t bytes = 0;
	uint64_t n = 0;

	if (w->batch) {
		for (struct op *op = w->batch; op; op = op->next)
			n++;
		return n;
	}
	for (struct op *op = w->head; op && bytes < BATCH_BYTES;
	     op = op->next) {
		bytes += op->bytes + op->more;
		last = op;
		n++;
	}
	if (!last)
		return 0;
	w->batch = w->head;
	w->head = last->next;
	if (!w->head)
		w->tail = NULL;
	last->next = NULL;
	return n;
}

static void note_failure_locked(struct writer *w, int err) REQUIRES(w->lock)
{
	if (w->failing != err)
		log_error("cache: writing the index failed, it is tried "
			  "again every second: %s",
			  strerrordesc_np(-err));
	w->failing = err;
	if (w->first_error == 0)
		w->first_error = err;
	w->retry_at = clock_now_ms() + RETRY_MS;
	w->retry = false;
}

/* The batch is done: `err` 0, or -EBADMSG if it was given up. */
static void finish_batch(struct cache *c, uint64_t n, int err)
{
	struct writer *w = &c->writer;
	struct op *batch;
	size_t bytes = 0;

	lock_take(&w->lock);
	batch = w->batch;
	w->batch = NULL;
	lock_drop(&w->lock);

	for (struct op *op = batch; op; op = op->next)
		bytes += op->bytes + op->more;
	if (err == -EBADMSG)
		run_broken(c, batch);
	free_batch(c, batch, err);

	lock_take(&w->lock);
	w->bytes -= bytes;
	w->applied += n;
	lock_drop(&w->lock);
}

static int sync_wal(struct cache *c, uint64_t upto)
{
	struct writer *w = &c->writer;
	int r = spool_sync_names(c);

	if (r != 0)
		return r;
	if (fdatasync(w->wal_fd) != 0)
		return errno == ENOSPC ? -ENOSPC : -EIO;
	/* Files whose records are gone for certain now (J6). */
	leftovers_clear(c);
	lock_take(&w->lock);
	w->synced = upto;
	w->synced_at = clock_now_ms();
	lock_drop(&w->lock);
	return 0;
}

static void enter_broken(struct cache *c)
{
	log_error("cache: the index in '%s' is damaged; it will be set aside "
		  "at the next mount",
		  c->state_dir);
	store_mark_damaged(c);
	lock_take(&c->writer.lock);
	c->writer.broken = true;
	if (c->writer.first_error == 0)
		c->writer.first_error = -EBADMSG;
	lock_drop(&c->writer.lock);
}

/* One attempt: a batch if there is one, and an fsync if it is due. */
static int attempt(struct cache *c, uint64_t n)
{
	struct writer *w = &c->writer;
	bool broken = writer_is_broken(c);
	bool want_sync;
	uint64_t applied;
	int r = 0;

	if (n > 0 && !broken) {
		r = run_batch(c, w->batch);
		if (r == -EBADMSG) {
			enter_broken(c);
			broken = true;
			r = 0;
		}
	}
	if (r != 0)
		return r;
	if (n > 0)
		finish_batch(c, n, broken ? -EBADMSG : 0);

	lock_take(&w->lock);
	want_sync = sync_is_due_locked(w) && !broken;
	if (broken)
		w->synced = w->applied;
	applied = w->applied;
	lock_drop(&w->lock);
	return want_sync ? sync_wal(c, applied) : 0;
}

static void *writer_main(void *arg)
{
	struct cache *c = arg;
	struct writer *w = &c->writer;

	lock_take(&w->lock);
	for (;;) {
		uint64_t n;
		int r;

		wait_for_work_locked(w);
		n = take_batch_locked(w);
		if (w->stop && n == 0 && w->synced == w->applied)
			break;
		w->busy = true;
		lock_drop(&w->lock);

		r = attempt(c, n);

		lock_take(&w->lock);
		w->busy = false;
		w->attempts++;
		if (r != 0)
			note_failure_locked(w, r);
		else
			w->failing = 0;
		lock_cond_wake_all(&w->done);
		if (r != 0 && w->stop)
			break;
	}
	lock_drop(&w->lock);
	return NULL;
}

int writer_start(struct cache *c)
{
	struct writer *w = &c->writer;

	w->synced_at = clock_now_ms();
	if (pthread_create(&w->thread, NULL, writer_main, c) != 0)
		return -ENOMEM;
	w->started = true;
	return 0;
}

bool writer_stop(struct cache *c)
{
	struct writer *w = &c->writer;
	bool is_lost;

	if (w->started) {
		lock_take(&w->lock);
		w->stop = true;
		lock_cond_wake(&w->work);
		lock_drop(&w->lock);
		pthread_join(w->thread, NULL);
		w->started = false;
	}
	/*
	 * What could not be written is lost. Most of it can be fetched again;
	 * changes of the user's are as if they had not been made. Bodies that
	 * are put back on the way may queue more.
	 */
	is_lost = w->batch || w->head;
	if (is_lost)
		log_error("cache: what was changed last is lost: the index in "
			  "'%s' cannot be written",
			  c->state_dir);
	while (w->batch || w->head) {
		struct op *batch = w->batch ? w->batch : w->head;

		if (w->batch)
			w->batch = NULL;
		else
			w->head = w->tail = NULL;
		free_batch(c, batch, -EIO);
	}
	return !is_lost;
}
