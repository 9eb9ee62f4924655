/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/draft_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr.h"
#include "fs/effects.h"
#include "fs/flush.h"
#include "fs/folder.h"
#include "fs/park.h"
#include "fs/replay.h"
#include "imap/log.h"

/*
 * When is a draft complete?
 *
 *   OPEN --due, asked--> ASKING --nobody--> CLEAR --taken--> BUSY --> gone
 *    ^ ^                  |  |
 *    | +---- a writer ----+  +--no leases--> BLIND --due--> CLEAR
 *    +--- a write, a rename, ... (from any of them)
 *
 * It is due DRAFT_QUIET_MS after the last thing that happened to it (to be
 * closed is one: a program may open it again at once), if it was closed; else
 * DRAFT_WRITTEN_MS. The lease is asked for only then, once, since
 * its answer is exact: so nothing but the last look decides, and a draft that
 * is written to while it is asked about is OPEN again.
 *
 * A few threads: each asks, and completes what is clear, which is mostly
 * waiting for the disk, and one wait of several threads takes as long as that
 * of one. The helper's answers come in the replay thread.
 */

#define AT_ONCE 8 /* drafts that a thread takes in one round */

/* --- time --- */

static int64_t due_ms(const struct draft *d)
{
	int64_t quiet = DRAFT_WRITTEN_MS, due;

	if (d->kind == DRAFT_GHOST || d->life == LIFE_ASKING ||
	    d->life == LIFE_BUSY)
		return CLOCK_NEVER;
	if (d->life == LIFE_BLIND)
		quiet = DRAFT_BLIND_MS;
	else if (d->closed_ms != 0)
		quiet = DRAFT_QUIET_MS;
	due = d->touched_ms + quiet;
	/* Neither a program that sets times again and again ... */
	if (d->closed_ms != 0 && due > d->closed_ms + DRAFT_CLOSED_MS)
		due = d->closed_ms + DRAFT_CLOSED_MS;
	if (d->is_hurried || d->life == LIFE_CLEAR)
		due = 0;
	return due > d->not_before_ms ? due : d->not_before_ms;
}

void draft_look_locked(struct drafts *ds, int64_t at_ms)
{
	if (at_ms >= ds->look_ms)
		return;
	ds->look_ms = at_ms;
	lock_cond_wake(&ds->cond);
}

void draft_touch_locked(struct drafts *ds, struct draft *d)
{
	d->touched_ms = clock_now_ms();
	d->touches++;
	d->not_before_ms = 0;
	d->failed = 0;
	if (d->life == LIFE_CLEAR || d->life == LIFE_BUSY)
		d->life = LIFE_OPEN;
	draft_look_locked(ds, due_ms(d));
}

void draft_note_failure(struct drafts *ds, struct draft *d, int error)
{
	lock_take(&ds->lock);
	d->failed = error;
	lock_drop(&ds->lock);
}

/* --- what the helper says --- */

void draft_closed(struct fs *fs, uint64_t folder, const char *name)
{
	struct drafts *ds = fs->drafts;
	struct folder *f = tree_find(fs->tree, folder);
	struct cache_msg m;
	struct draft *d;
	struct box *box;
	int r;

	if (!f || folder_get(fs, f, &box) != 0)
		return;
	r = box_find_name(box, name, &m);
	folder_put(fs, f);
	if (r != 0)
		return;
	lock_take(&ds->lock);
	d = draft_find_locked(ds, m.id);
	if (d) {
		d->touched_ms = clock_now_ms();
		if (d->closed_ms == 0)
			d->closed_ms = d->touched_ms;
		draft_look_locked(ds, due_ms(d));
	}
	lock_drop(&ds->lock);
}

static void note_answer_locked(struct drafts *ds, struct draft *d, int error)
	REQUIRES(ds->lock)
{
	int64_t now = clock_now_ms();

	d->life = LIFE_OPEN;
	switch (error) {
	case 0:
		/* Unless something has happened since it was asked. */
		if (d->touches == d->asked_touches)
			d->life = LIFE_CLEAR;
		break;
	case -EAGAIN:
		d->closed_ms = 0;
		d->is_hurried = false;
		d->not_before_ms = now + DRAFT_WRITTEN_MS;
		break;
	case -ENOENT:
		/* Renamed just now. */
		d->not_before_ms = now + DRAFT_QUIET_MS;
		break;
	default:
		d->is_hurried = false;
		d->life = LIFE_BLIND;
		break;
	}
	ds->gen++;
	draft_look_locked(ds, due_ms(d));
}

void draft_asked(struct fs *fs, uint64_t id, int error)
{
	struct drafts *ds = fs->drafts;
	struct draft *d;

	lock_take(&ds->lock);
	d = draft_find_locked(ds, id);
	if (d && d->life == LIFE_ASKING)
		note_answer_locked(ds, d, error);
	lock_drop(&ds->lock);
	park_wake(fs->park, DRAFT_KEY(id));
	park_wake(fs->park, DRAFT_KEY(0));
}

/* --- the threads --- */

/* Is a writer left? Where it is now is asked of the cache. */
static void ask(struct fs *fs, struct draft *d)
{
	struct cache_msg m;
	struct folder *f;

	if (attr_find_message(fs, d->id, &m, &f) != 0) {
		/* The kernel has forgotten it. */
		draft_asked(fs, d->id, 0);
		return;
	}
	/* One that was removed elsewhere has no name any more to be asked by.
	 */
	if (m.dead || !replay_ask_writers(fs->replay, f, d->id, m.name))
		draft_asked(fs, d->id, -ENOTCONN);
}

/* A scratch file rests: what is known of it goes into its row. */
static void rest(struct fs *fs, struct draft *d)
{
	lock_take(&d->lock);
	draft_save_row(fs, d);
	draft_leave(fs->drafts, d);
	lock_drop(&d->lock);
}

/* It is looked at again. What was renamed just now mostly is once more. */
static void try_again(struct drafts *ds, struct draft *d, int error)
{
	int64_t pause = DRAFT_QUIET_MS;

	if (error != -EAGAIN) {
		log_warn("drafts: cannot queue what was written: %s",
			 strerrordesc_np(-error));
		pause = DRAFT_CLOSED_MS;
		draft_note_failure(ds, d, error);
	}
	lock_take(&ds->lock);
	if (error != -EAGAIN)
		d->is_hurried = false;
	d->life = LIFE_OPEN;
	d->not_before_ms = clock_now_ms() + pause;
	draft_look_locked(ds, d->not_before_ms);
	lock_drop(&ds->lock);
}

static void complete(struct fs *fs, struct draft *d)
{
	struct journal_effects *undone = NULL;
	struct drafts *ds = fs->drafts;
	bool is_mine;
	int r = 0;

	lock_take(&d->lock);
	lock_take(&ds->lock);
	/* Nobody has written since the answer came: writers take the lock. */
	is_mine = d->is_in_table && d->life == LIFE_BUSY;
	lock_drop(&ds->lock);
	if (is_mine)
		r = draft_complete(fs, d, &undone);
	lock_drop(&d->lock);
	effects_tell(fs, undone);
	free(undone);
	if (is_mine && r == 0)
		flush_wake(fs);
	if (r != 0)
		try_again(ds, d, r);
	park_wake(fs->park, DRAFT_KEY(d->id));
	park_wake(fs->park, DRAFT_KEY(0));
}

enum draft_step { STEP_REST, STEP_ASK, STEP_COMPLETE };

static void look_at(struct fs *fs, struct draft *d, enum draft_step step)
{
	if (step == STEP_ASK)
		ask(fs, d);
	else if (step == STEP_COMPLETE)
		complete(fs, d);
	else
		rest(fs, d);
}

/* What is to be done with one that is due. It is not due any more then. */
static enum draft_step next_step_locked(struct draft *d)
{
	if (d->kind != DRAFT_SCRATCH && d->life == LIFE_OPEN) {
		d->life = LIFE_ASKING;
		d->asked_touches = d->touches;
		return STEP_ASK;
	}
	d->life = LIFE_BUSY;
	return d->kind == DRAFT_SCRATCH ? STEP_REST : STEP_COMPLETE;
}

struct round {
	struct draft *v[AT_ONCE];
	enum draft_step step[AT_ONCE];
	size_t n;
	struct watch *idle;
};

static void collect_locked(struct drafts *ds, struct round *r)
	REQUIRES(ds->lock)
{
	int64_t now = clock_now_ms(), look = CLOCK_NEVER;

	r->n = 0;
	for (size_t i = 0; i < DRAFT_SLOTS; i++) {
		for (struct draft *d = ds->slots[i]; d; d = d->next) {
			int64_t due = due_ms(d);

			if (due <= now && r->n < AT_ONCE) {
				r->v[r->n] = d;
				r->step[r->n++] = next_step_locked(d);
				d->refs++;
			} else if (due < look) {
				look = due;
			}
		}
	}
	r->idle = draft_idle_watches_locked(ds, now, &look);
	ds->look_ms = look;
	if (look <= now)
		lock_cond_wake(&ds->cond); /* there is enough for another one */
}

/* One that is to be completed; or NULL. */
static struct draft *any_left(struct drafts *ds)
{
	struct draft *found = NULL;

	lock_take(&ds->lock);
	for (size_t i = 0; !found && i < DRAFT_SLOTS; i++)
		for (struct draft *d = ds->slots[i]; d && !found; d = d->next)
			if (!d->is_given_up && d->kind != DRAFT_GHOST)
				found = d;
	if (found) {
		found->is_given_up = true;
		found->life = LIFE_BUSY;
		found->refs++;
	}
	lock_drop(&ds->lock);
	return found;
}

/* At the end nobody writes any more: each is tried once. */
static void finish_all(struct fs *fs)
{
	struct drafts *ds = fs->drafts;
	struct draft *d;

	while ((d = any_left(ds)) != NULL) {
		if (d->kind == DRAFT_SCRATCH)
			rest(fs, d);
		else
			complete(fs, d);
		draft_put(ds, d);
	}
}

static void *drafts_thread(void *arg)
{
	struct fs *fs = arg;
	struct drafts *ds = fs->drafts;
	struct round r;

	pthread_setname_np(pthread_self(), "drafts");
	for (;;) {
		lock_take(&ds->lock);
		while (!ds->stopping && ds->look_ms > clock_now_ms())
			(void)lock_cond_wait(&ds->cond, &ds->lock, ds->look_ms);
		if (ds->stopping) {
			lock_drop(&ds->lock);
			finish_all(fs);
			return NULL;
		}
		collect_locked(ds, &r);
		lock_drop(&ds->lock);

		draft_end_watches(fs, r.idle);
		for (size_t i = 0; i < r.n; i++) {
			look_at(fs, r.v[i], r.step[i]);
			draft_put(ds, r.v[i]);
		}
	}
}

/* --- hurry --- */

void draft_hurry(struct fs *fs, uint64_t id)
{
	struct drafts *ds = fs->drafts;

	lock_take(&ds->lock);
	for (size_t i = 0; i < DRAFT_SLOTS; i++) {
		for (struct draft *d = ds->slots[i]; d; d = d->next) {
			if ((id != 0 && d->id != id) ||
			    d->kind == DRAFT_SCRATCH ||
			    d->kind == DRAFT_GHOST || d->life == LIFE_BLIND)
				continue;
			d->is_hurried = true;
			d->failed = 0;
			d->not_before_ms = 0;
			draft_look_locked(ds, due_ms(d));
		}
	}
	lock_drop(&ds->lock);
}

/* Of all of them: what is not known yet comes before what has failed. */
static int state_of_all_locked(struct drafts *ds) REQUIRES(ds->lock)
{
	int r = 0;

	for (size_t i = 0; i < DRAFT_SLOTS; i++) {
		for (struct draft *d = ds->slots[i]; d; d = d->next) {
			if (d->is_hurried)
				return -EAGAIN;
			if (r == 0)
				r = d->failed;
		}
	}
	return r;
}

int draft_state(struct fs *fs, uint64_t id)
{
	struct drafts *ds = fs->drafts;
	struct draft *d;
	int r = 0;

	lock_take(&ds->lock);
	d = id != 0 ? draft_find_locked(ds, id) : NULL;
	if (id == 0)
		r = state_of_all_locked(ds);
	else if (d && d->is_hurried)
		r = -EAGAIN;
	else if (d)
		r = d->outcome != 0 ? d->outcome : d->failed;
	lock_drop(&ds->lock);
	return r;
}

/* --- up and down --- */

int drafts_start(struct fs *fs)
{
	struct drafts *ds = fs->drafts;
	int r = draft_find_rest(fs);

	if (r != 0)
		return r;
	for (; ds->n_threads < DRAFT_THREADS; ds->n_threads++)
		if (pthread_create(&ds->threads[ds->n_threads], NULL,
				   drafts_thread, fs) != 0)
			return -EAGAIN;
	return 0;
}

void drafts_stop(struct fs *fs)
{
	struct drafts *ds = fs->drafts;

	if (!ds)
		return;
	lock_take(&ds->lock);
	ds->stopping = true;
	lock_cond_wake_all(&ds->cond);
	lock_drop(&ds->lock);
	while (ds->n_threads > 0)
		pthread_join(ds->threads[--ds->n_threads], NULL);
	finish_all(fs);
}
