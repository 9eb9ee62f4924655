/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/flush_private.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "fs/park.h"
#include "imap/log.h"

/*
 * The thread of the flusher, and what others ask it. It sleeps until something
 * was queued, an answer has come, a folder is idle, or a pause is over; then it
 * takes every batch a step further and begins those that may begin. It waits
 * for the disk (settling), never for the network.
 */

/* --- words to the thread --- */

static void wake_locked(struct flush *fl) REQUIRES(fl->lock)
{
	lock_cond_wake_all(&fl->cond);
}

void flush_wake(struct fs *fs)
{
	struct flush *fl = fs->flush;

	lock_take(&fl->lock);
	fl->last_ms = clock_now_ms();
	if (fl->first_ms == 0)
		fl->first_ms = fl->last_ms;
	if (fs->opt->sync)
		fl->hurry = true;
	wake_locked(fl);
	lock_drop(&fl->lock);
	/* What was queued may have been taken back: nothing is left to send. */
	flush_tell(fl);
}

void flush_folder_idle(struct fs *fs)
{
	struct flush *fl = fs->flush;

	if (!fl)
		return;
	lock_take(&fl->lock);
	fl->arrived = true;
	wake_locked(fl);
	lock_drop(&fl->lock);
	/* What was queued may be of messages that are gone, by what it heard.
	 */
	flush_tell(fl);
}

void flush_online(struct fs *fs)
{
	struct flush *fl = fs->flush;

	if (!fl)
		return;
	lock_take(&fl->lock);
	fl->came_online = fs->online;
	fl->arrived = true;
	wake_locked(fl);
	lock_drop(&fl->lock);
	flush_tell(fl);
}

void flush_expect(struct batch *b, int n)
{
	lock_take(&b->flush->lock);
	b->pending += (unsigned)n;
	lock_drop(&b->flush->lock);
}

void flush_arrived(struct batch *b)
{
	struct flush *fl = b->flush;

	lock_take(&fl->lock);
	if (--b->pending == 0) {
		fl->arrived = true;
		wake_locked(fl);
	}
	lock_drop(&fl->lock);
}

/* --- what others want to know --- */

void flush_tell(struct flush *fl)
{
	lock_take(&fl->lock);
	fl->gen++;
	lock_drop(&fl->lock);
	park_wake(fl->fs->park, FLUSH_INO);
}

uint64_t flush_gen(struct fs *fs)
{
	uint64_t gen;

	lock_take(&fs->flush->lock);
	gen = fs->flush->gen;
	lock_drop(&fs->flush->lock);
	return gen;
}

void flush_remember(struct flush *fl, uint64_t id, int error)
{
	size_t at = FLUSH_REFUSALS;

	lock_take(&fl->lock);
	for (size_t i = 0; i < FLUSH_REFUSALS && at == FLUSH_REFUSALS; i++)
		if (fl->refusal[i].id == id)
			at = i;
	if (at < FLUSH_REFUSALS) {
		fl->refusal[at] = (struct refusal){error ? id : 0, error};
	} else if (error != 0) {
		fl->refusal[fl->next_refusal] = (struct refusal){id, error};
		fl->next_refusal = (fl->next_refusal + 1) % FLUSH_REFUSALS;
	}
	lock_drop(&fl->lock);
}

/* Something is unsent, and somebody waits for it. */
static int hurry(struct fs *fs)
{
	struct flush *fl = fs->flush;

	if (!fs->online)
		return -ENOTCONN;
	lock_take(&fl->lock);
	if (fl->first_ms == 0)
		fl->first_ms = clock_now_ms();
	fl->hurry = true;
	wake_locked(fl);
	lock_drop(&fl->lock);
	return -EAGAIN;
}

static int refused(struct flush *fl, uint64_t id)
{
	int error = 0;

	lock_take(&fl->lock);
	for (size_t i = 0; i < FLUSH_REFUSALS && error == 0; i++)
		if (fl->refusal[i].id == id)
			error = fl->refusal[i].error;
	lock_drop(&fl->lock);
	return error;
}

/* Its text has not been sent. */
static bool is_new(const struct journal_entry *e)
{
	return e->phase == JOURNAL_QUEUED && (e->what & JOURNAL_APPEND) != 0;
}

bool flush_waits_for_day(struct fs *fs)
{
	bool waits;

	lock_take(&fs->flush->lock);
	waits = fs->flush->day_is_over;
	lock_drop(&fs->flush->lock);
	return waits;
}

int flush_state(struct fs *fs, uint64_t id)
{
	struct journal_list *list;
	bool is_queued, waits;
	int r;

	r = journal_get(fs->cache, id, &list);
	if (r == -ENOENT)
		return refused(fs->flush, id);
	if (r != 0)
		return r;
	/* What is still written to, or empty, is not under way. */
	is_queued = list->v[0].phase >= JOURNAL_QUEUED;
	waits = is_new(&list->v[0]) && flush_waits_for_day(fs);
	free(list);
	if (is_queued && waits)
		return -ENOTCONN;
	return is_queued ? hurry(fs) : 0;
}

int flush_drained(struct fs *fs)
{
	struct journal_counts n;

	journal_count(fs->cache, &n);
	if (n.queued + n.sent == 0)
		return 0;
	return fs->online && flush_waits_for_day(fs) ? -EDQUOT : hurry(fs);
}

/* --- the thread --- */

static int64_t wait_until_locked(struct flush *fl, bool *ret_plan)
	REQUIRES(fl->lock)
{
	int64_t at = fl->replan_ms, gathered;

	for (struct batch *b = fl->batches; b; b = b->next)
		if (b->state == BATCH_PAUSED && b->resume_ms < at)
			at = b->resume_ms;
	*ret_plan = clock_now_ms() >= fl->replan_ms;
	if (fl->first_ms == 0)
		return at;
	gathered = clock_earlier(fl->last_ms + FLUSH_QUIET_MS,
				 fl->first_ms + FLUSH_GATHER_MS);
	if (fl->hurry || fl->stopping || gathered <= clock_now_ms()) {
		*ret_plan = true;
		return 0;
	}
	return clock_earlier(at, gathered);
}

/*
 * Sleep until there is something to do. False: the thread ends; `ret_plan`: new
 * batches may begin.
 */
static bool wait_for_work(struct flush *fl, bool *ret_plan)
{
	bool goes_on = true;
	int64_t until;

	lock_take(&fl->lock);
	for (;;) {
		until = wait_until_locked(fl, ret_plan);
		if (fl->stopping && clock_now_ms() >= fl->deadline_ms)
			goes_on = false;
		if (!goes_on || fl->arrived || *ret_plan ||
		    until <= clock_now_ms())
			break;
		if (fl->stopping)
			until = clock_earlier(until, fl->deadline_ms);
		(void)lock_cond_wait(&fl->cond, &fl->lock, until);
	}
	/* Who waited for an answer may begin now, if it was gathered. */
	if (fl->arrived && (fl->first_ms == 0 || fl->hurry || fl->stopping))
		*ret_plan = true;
	fl->arrived = false;
	if (fl->came_online) {
		flush_forget_pauses(fl);
		fl->came_online = false;
	}
	if (*ret_plan) {
		fl->first_ms = 0;
		fl->hurry = false;
	}
	lock_drop(&fl->lock);
	return goes_on;
}

static bool has_come(struct batch *b)
{
	bool come;

	lock_take(&b->flush->lock);
	come = b->pending == 0;
	lock_drop(&b->flush->lock);
	return come;
}

/* Every batch that has an answer, or whose pause is over, goes on. */
static void step_all(struct flush *fl)
{
	int64_t now = clock_now_ms();
	struct batch *next;

	for (struct batch *b = fl->batches; b; b = next) {
		next = b->next;
		if (b->state != BATCH_PAUSED) {
			if (has_come(b))
				flush_step(b);
			continue;
		}
		if (b->resume_ms > now && b->resume_ms != CLOCK_NEVER)
			continue;
		/* flush_online() wakes the thread. */
		if (fl->fs->online || b->is_settling)
			flush_go_on(b);
		else
			b->resume_ms = CLOCK_NEVER;
	}
}

/* At the end: nothing that could still be sent at once. */
static bool is_finished(struct flush *fl)
{
	struct journal_counts n;

	if (!fl->fs->online)
		return true;
	journal_count(fl->fs->cache, &n);
	if (n.queued + n.sent == 0)
		return true;
	/* What the server may take another time stays queued. */
	return !fl->batches && fl->n_waiting == 0;
}

static void *flush_thread(void *arg)
{
	struct flush *fl = arg;
	bool plan, stopping;

	pthread_setname_np(pthread_self(), "flush");
	while (wait_for_work(fl, &plan)) {
		step_all(fl);
		if (plan || fl->n_waiting > 0)
			flush_plan(fl);
		lock_take(&fl->lock);
		stopping = fl->stopping;
		lock_drop(&fl->lock);
		if (stopping && is_finished(fl))
			break;
	}
	return NULL;
}

/* --- life --- */

int flush_new(struct fs *fs, struct flush **ret)
{
	struct flush *fl = calloc(1, sizeof(*fl));
	int r;

	if (!fl)
		return -ENOMEM;
	fl->fs = fs;
	fl->retry_ms = FLUSH_RETRY_MS;
	fl->again_ms = FLUSH_LOOK_AGAIN_MS;
	fl->replan_ms = CLOCK_NEVER;
	fl->first_ms = clock_now_ms(); /* what was left by the last mount */
	fl->has_ended = true;
	lock_init(&fl->lock, RANK_FLUSH);
	lock_cond_init(&fl->cond);
	r = cache_new_ids(fs->cache, 1, &fl->first_id);
	if (r == 0)
		r = flush_find_sent(fl);
	if (r == 0 && pthread_create(&fl->thread, NULL, flush_thread, fl) != 0)
		r = -EAGAIN;
	if (r != 0) {
		flush_free(fl);
		return r;
	}
	fl->has_ended = false;
	*ret = fl;
	return 0;
}

void flush_stop(struct flush *fl)
{
	struct journal_counts n;

	if (fl->has_ended)
		return;
	journal_count(fl->fs->cache, &n);
	if (n.queued + n.sent > 0)
		log_info("flush: %zu changes are still to be sent",
			 n.queued + n.sent);
	lock_take(&fl->lock);
	fl->stopping = true;
	fl->deadline_ms = clock_now_ms() + FLUSH_AT_END_MS;
	fl->arrived = true;
	fl->came_online = true; /* no pause is worth waiting for */
	wake_locked(fl);
	lock_drop(&fl->lock);
	pthread_join(fl->thread, NULL);
	fl->has_ended = true;
	journal_count(fl->fs->cache, &n);
	if (n.queued + n.sent > 0)
		log_warn("flush: %zu changes were not sent: they stay queued",
			 n.queued + n.sent);
}

void flush_free(struct flush *fl)
{
	struct batch *next;

	if (!fl)
		return;
	for (struct batch *b = fl->batches; b; b = next) {
		next = b->next;
		batch_free(b);
	}
	flush_free_lanes(fl);
	free(fl->waiting);
	lock_cond_finish(&fl->cond);
	lock_finish(&fl->lock);
	free(fl);
}
