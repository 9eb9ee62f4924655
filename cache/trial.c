/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/trial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/changes.h"

/*
 * Taking back what the disk does not take.
 *
 * A change is made in memory, then written, then acknowledged. If it cannot be
 * written its operation waits in the writer's queue and would be written when
 * there is room again, though its caller is told that it failed. So the plans
 * of a thread that is in a trial note how everything was before; and when the
 * commit fails, and all of them still wait in the queue, rows and records
 * become as they were, and the steps in the queue do nothing any more. Nothing
 * is added to the queue, so there is no moment at which a kill could find one
 * half of it.
 *
 * That is right only if nothing was laid on top: the record must be the very
 * one that the change has made (a record is never changed, so it is known by
 * its address, which a step keeps), and the row as the change left it. Else the
 * change stays. Trials of other threads that began later may have been laid on
 * top: they have failed, too, for the queue is written in order; so they are
 * waited for. A thread in a trial waits for nothing but the disk, and while
 * that fails no change begins (journal_ready()).
 *
 * The writer is held while the queue is looked at and changed.
 */

/* One step of a plan. */
struct undo {
	uint64_t number;       /* of its operation; 0: it is not pushed yet */
	struct step *step;     /* there as long as that has not run */
	struct change *before; /* with a reference; NULL: no record */
	struct record row;     /* as it was, if it was in a box */
	char name[CACHE_NAME_MAX + 1];
	struct box *from, *to; /* of the step, with references */
};

/* The journal's lock guards it, and the list that it is in. */
struct journal_trial {
	struct journal_trial *next; /* an older one */
	struct cache *c;
	pthread_t thread;
	uint64_t number;
	struct undo *v;
	size_t n, room;
};

/* --- noting --- */

static struct journal_trial *find_trial(const struct cache *c)
	REQUIRES(c->journal.lock)
{
	struct journal_trial *t = c->journal.trials;

	while (t && !pthread_equal(t->thread, pthread_self()))
		t = t->next;
	return t;
}

static struct box *get_box(struct box *b)
{
	if (b) {
		lock_take(&b->c->map.lock);
		b->refs++;
		lock_drop(&b->c->map.lock);
	}
	return b;
}

static void clear_undo(struct cache *c, struct undo *u)
	REQUIRES(c->journal.lock)
{
	change_unref_locked(&c->journal, u->before);
	box_put(u->from);
	box_put(u->to);
}

static void note_step(struct undo *u, struct step *s)
{
	*u = (struct undo){.step = s, .before = s->old};
	if (u->before)
		u->before->refs++;
	u->from = get_box(s->from);
	u->to = get_box(s->to);
	/* A plan is made and committed in one go: the row is there. */
	if (s->was == ROW_BOX &&
	    box_read_row(s->from, s->id, &u->row, u->name) != 0)
		u->name[0] = '\0';
}

int trial_note_locked(struct plan *p)
{
	struct journal_trial *t = p->is_trial ? find_trial(p->c) : NULL;
	struct undo *v;

	if (!t)
		return 0;
	if (t->n + p->n > t->room) {
		v = realloc(t->v, (t->n + p->n) * sizeof(*v));
		if (!v)
			return -ENOMEM;
		t->v = v;
		t->room = t->n + p->n;
	}
	for (size_t i = 0; i < p->n; i++)
		note_step(&t->v[t->n++], p->v[i]);
	return 0;
}

void trial_pushed_locked(struct cache *c, uint64_t number)
{
	struct journal_trial *t = find_trial(c);

	for (size_t i = t ? t->n : 0; i > 0 && t->v[i - 1].number == 0; i--)
		t->v[i - 1].number = number;
}

void trial_forget_locked(struct cache *c)
{
	struct journal_trial *t = find_trial(c);

	while (t && t->n > 0 && t->v[t->n - 1].number == 0)
		clear_undo(c, &t->v[--t->n]);
}

/* --- may it be taken back? --- */

/* The first and the last step of one message. */
struct way {
	struct undo *first, *last;
};

static bool is_same_row(const struct record *a, const struct record *b)
{
	return a->uid == b->uid && a->size == b->size &&
	       a->internaldate == b->internaldate &&
	       a->keywords == b->keywords &&
	       (a->state & RECORD_FLAGS) == (b->state & RECORD_FLAGS);
}

/* Nothing has come between two steps of one message. */
static bool follows(const struct undo *a, const struct undo *b)
{
	const struct step *made = a->step, *next = b->step;

	if (b->before != made->next || next->was != made->will)
		return false;
	return next->was != ROW_BOX ||
	       (b->from == a->to && is_same_row(&b->row, &made->row) &&
		strcmp(b->name, made->name) == 0);
}

/* Is everything as this step has left it? */
static bool is_newest(const struct cache *c, const struct undo *u)
	REQUIRES(c->journal.lock)
{
	const struct step *s = u->step;
	char name[CACHE_NAME_MAX + 1];
	struct record row;

	if (journal_find_locked(&c->journal, s->id) != s->next)
		return false;
	if (s->will != ROW_BOX)
		return true;
	return box_read_row(u->to, s->id, &row, name) == 0 &&
	       is_same_row(&row, &s->row) && strcmp(name, s->name) == 0;
}

/*
 * A file that nobody sees, of a draft, was given up by those who write to it.
 */
static bool is_hidden_file(const struct way *w)
{
	return w->first->before && w->first->before->phase == JOURNAL_SCRATCH &&
	       w->last->step->will == ROW_NONE &&
	       !(w->first->row.state & RECORD_ANNOUNCED);
}

/* A row can go back to where it was, or to nowhere; not into the limbo. */
static bool has_way(const struct way *w)
{
	const struct step *first = w->first->step, *last = w->last->step;

	if (first->was == ROW_SAME || last->will == ROW_SAME)
		return first->was == last->will;
	if (first->was == ROW_BOX)
		return w->first->name[0] != '\0' && !is_hidden_file(w);
	return first->was == ROW_NONE && !(first->next && first->next->spool);
}

static struct way *find_way(struct way *v, size_t n, uint64_t id)
{
	for (size_t i = 0; i < n; i++) {
		if (v[i].first->step->id == id)
			return &v[i];
	}
	return NULL;
}

/* Does the old name belong to nobody but those that go back, too? */
static bool has_name(struct way *v, size_t n, const struct way *w)
{
	struct box *b = w->first->from;
	uint64_t owner = 0;
	size_t pos;

	if (w->first->step->was != ROW_BOX)
		return true;
	lock_take(&b->lock);
	pos = index_find_name(&b->index, w->first->name,
			      strlen(w->first->name));
	if (pos != INDEX_NONE &&
	    !(index_at(&b->index, pos)->state & RECORD_DEAD))
		owner = index_at(&b->index, pos)->id;
	lock_drop(&b->lock);
	return owner == 0 || find_way(v, n, owner);
}

/* The ways of all messages: how many; -EBUSY: it has to stay. */
static int find_ways(const struct cache *c, struct journal_trial *t,
		     struct way *v) REQUIRES(c->journal.lock)
{
	size_t n = 0;
	bool can = true;

	for (size_t i = 0; can && i < t->n; i++) {
		struct undo *u = &t->v[i];
		struct way *w;

		if (writer_has_run(t->c, u->number))
			return -EBUSY;
		w = find_way(v, n, u->step->id);
		if (w)
			can = follows(w->last, u);
		else
			v[n++] = (struct way){.first = u};
		(w ? w : &v[n - 1])->last = u;
	}
	for (size_t i = 0; can && i < n; i++)
		can = is_newest(c, v[i].last) && has_way(&v[i]) &&
		      has_name(v, n, &v[i]);
	return can ? (int)n : -EBUSY;
}

/* --- taking it back --- */

static int plan_way(struct plan *p, const struct way *w)
	REQUIRES(p->c->journal.lock)
{
	const struct step *first = w->first->step, *last = w->last->step;
	struct step *s;
	int r = plan_step_locked(p, first->id, NULL, &s);

	if (r != 0)
		return r;
	s->was = last->will;
	s->from = w->last->to;
	s->was_in = last->will_be_in;
	s->will = first->was;
	s->to = w->first->from;
	s->will_be_in = first->was_in;
	s->row = w->first->row;
	s->hide = !(s->row.state & RECORD_ANNOUNCED);
	memcpy(s->name, w->first->name, sizeof(s->name));
	return 0;
}

/* A step in the queue does nothing any more: earlier ones wrote what was. */
static void empty_step(struct cache *c, struct step *s)
	REQUIRES(c->journal.lock)
{
	change_unref_locked(&c->journal, s->next);
	s->next = NULL;
	s->had_change = false;
	s->was = s->will = ROW_SAME;
	s->fate = SPOOL_STAYS;
	free(s->failure);
	s->failure = NULL;
}

static void put_records_back(struct cache *c, struct journal_trial *t,
			     struct way *v, size_t n) REQUIRES(c->journal.lock)
{
	for (size_t i = 0; i < n; i++) {
		struct change *made = v[i].last->step->next;
		struct change *before = v[i].first->before;

		if (made == before)
			continue; /* there was none, and is none */
		if (before)
			before->refs++;
		journal_swap_locked(&c->journal, made, before);
	}
	journal_count_waiters_locked(&c->journal);
	for (size_t i = 0; i < t->n; i++)
		empty_step(c, t->v[i].step);
}

static int take_back_locked(struct plan *p, struct journal_trial *t)
	REQUIRES(p->c->journal.lock)
{
	struct way *v = calloc(t->n, sizeof(*v));
	int n = v ? find_ways(p->c, t, v) : -ENOMEM, r = n < 0 ? n : 0;

	for (int i = 0; r == 0 && i < n; i++)
		r = plan_way(p, &v[i]);
	if (r == 0)
		r = plan_move_rows_locked(p);
	if (r == 0)
		put_records_back(p->c, t, v, (size_t)n);
	free(v);
	return r;
}

/* --- the whole --- */

/* Is there any that began later than this one, up to `last`? */
static bool has_newer(const struct cache *c, const struct journal_trial *t,
		      uint64_t last) REQUIRES(c->journal.lock)
{
	const struct journal_trial *other = c->journal.trials;

	for (; other && other->number > t->number; other = other->next) {
		if (other->number <= last)
			return true;
	}
	return false;
}

static void wait_for_newer(struct cache *c, struct journal_trial *t)
{
	uint64_t last;

	lock_take(&c->journal.lock);
	last = c->journal.next_trial;
	while (has_newer(c, t, last))
		(void)lock_cond_wait(&c->journal.trial_ended, &c->journal.lock,
				     CLOCK_NEVER);
	lock_drop(&c->journal.lock);
}

/* `r`: why. 0: all of it was written meanwhile. */
static int take_back(struct cache *c, struct journal_trial *t, int made, int r,
		     struct journal_effects **ret)
{
	bool broken;
	struct plan p;

	wait_for_newer(c, t);
	plan_init(&p, c);
	p.wants_effects = true;
	writer_hold(c);
	broken = writer_is_broken(c);
	lock_take(&p.c->journal.lock);
	if (!broken && made == 0 && writer_has_run(c, t->v[t->n - 1].number))
		r = 0;
	else if (!broken && take_back_locked(&p, t) == 0)
		*ret = p.effects;
	plan_finish_locked(&p);
	lock_drop(&p.c->journal.lock);
	writer_release(c);
	return r;
}

static void end_trial(struct cache *c, struct journal_trial *t)
{
	struct journal_trial **at;

	lock_take(&c->journal.lock);
	for (at = &c->journal.trials; *at != t;)
		at = &(*at)->next;
	*at = t->next;
	while (t->n > 0)
		clear_undo(c, &t->v[--t->n]);
	lock_cond_wake_all(&c->journal.trial_ended);
	lock_drop(&c->journal.lock);
	free(t->v);
	free(t);
}

struct journal_trial *journal_begin(struct cache *c)
{
	struct journal_trial *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->c = c;
	t->thread = pthread_self();
	lock_take(&c->journal.lock);
	t->number = c->journal.next_trial++;
	t->next = c->journal.trials;
	c->journal.trials = t;
	lock_drop(&c->journal.lock);
	return t;
}

int journal_end(struct journal_trial *t, int made, bool at_once,
		struct journal_effects **ret)
{
	struct cache *c = t->c;
	int r = made;

	*ret = NULL;
	if (r == 0)
		r = at_once ? cache_commit(c) : cache_commit_gathered(c);
	if (r != 0 && t->n > 0)
		r = take_back(c, t, made, r, ret);
	end_trial(c, t);
	return r;
}
