/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/changes.h"
#include "cache/spool.h"

/*
 * A plan becomes true: first everything that can fail (memory for rows, ids,
 * records and the operation), then the rows and the records, then the
 * operation is pushed. All with the lock of the journal held; the locks of
 * boxes are taken for one row at a time, two of them for a row that goes from
 * one to the other, so that it is always in one of them.
 *
 * A row that comes back from the limbo may have left a dead one in the folder
 * (`home`) from which it was removed, because the kernel holds it: what is held
 * goes along.
 */

/* --- room --- */

static int reserve_row(const struct plan *p, const struct step *s)
{
	struct box *b = s->to;
	int r;

	if (s->will != ROW_BOX)
		return 0;
	lock_take(&b->lock);
	r = index_reserve(&b->index, p->n, p->n * CACHE_NAME_MAX);
	if (r == 0)
		r = index_reserve_order(&b->index, p->n);
	lock_drop(&b->lock);
	return r;
}

static int reserve_limbo(struct step *s)
{
	char *name;

	if (s->will != ROW_LIMBO)
		return 0;
	name = strdup(s->name);
	if (!name)
		return -ENOMEM;
	free(s->next->row_name);
	s->next->row_name = name;
	s->next->row = s->row;
	return 0;
}

/* Comes this row from where no box has it? */
static bool is_fresh(const struct step *s)
{
	return s->will == ROW_BOX && s->was != ROW_BOX && s->was != ROW_SAME;
}

/* The id is this folder's from now on: its page cannot go any more. */
static int map_fresh(struct plan *p, struct step *s)
{
	struct idmap *m = &p->c->map;
	int r;

	if (!is_fresh(s))
		return 0;
	lock_take(&m->lock);
	s->home = box_of_id_locked(m, s->id);
	r = map_reserve_locked(m, s->id, 1);
	if (r == 0)
		map_set_locked(m, s->id, (uint32_t)s->will_be_in);
	lock_drop(&m->lock);
	return r;
}

/* Of the first `n` steps; as far as map_fresh() went. */
static void unmap_fresh(struct plan *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct step *s = p->v[i];
		uint64_t folder = s->home ? s->home->folder : 0;

		if (!is_fresh(s))
			continue;
		lock_take(&p->c->map.lock);
		map_set_locked(&p->c->map, s->id, (uint32_t)folder);
		lock_drop(&p->c->map.lock);
	}
}

static int reserve_memory(struct plan *p) REQUIRES(p->c->journal.lock)
{
	int r = journal_reserve_locked(&p->c->journal, p->n);

	if (r == 0 && p->wants_effects) {
		p->effects = calloc(1, sizeof(*p->effects) +
					       p->n * sizeof(p->effects->v[0]));
		r = p->effects ? 0 : -ENOMEM;
	}
	for (size_t i = 0; r == 0 && i < p->n; i++) {
		r = reserve_row(p, p->v[i]);
		if (r == 0)
			r = reserve_limbo(p->v[i]);
	}
	return r;
}

static int reserve_ids(struct plan *p)
{
	size_t done = 0;
	int r = 0;

	while (r == 0 && done < p->n)
		r = map_fresh(p, p->v[done++]);
	if (r != 0)
		unmap_fresh(p, done);
	return r;
}

static void put_homes(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		box_put(p->v[i]->home);
		p->v[i]->home = NULL;
	}
}

/* All of it. */
static int reserve(struct plan *p) REQUIRES(p->c->journal.lock)
{
	int r = reserve_memory(p);

	if (r == 0)
		r = reserve_ids(p);
	if (r != 0) {
		put_homes(p);
		free(p->effects);
		p->effects = NULL;
	}
	return r;
}

/* --- rows --- */

static struct journal_effect *note_effect(struct plan *p, const struct step *s)
{
	struct journal_effect *e;

	if (!p->effects)
		return NULL;
	e = &p->effects->v[p->effects->n++];
	e->id = s->id;
	e->from = s->was == ROW_BOX ? s->was_in : 0;
	e->to = s->will == ROW_BOX ? s->will_be_in : 0;
	return e;
}

static void note_from(struct journal_effect *e, const struct box *b,
		      const struct record *rec)
{
	if (!e)
		return;
	e->held = rec->held;
	memcpy(e->from_name, index_name(&b->index, rec), rec->name_len);
	e->from_name[rec->name_len] = '\0';
}

static void note_to(struct journal_effect *e, const struct step *s)
{
	if (e)
		memcpy(e->to_name, s->name, strlen(s->name) + 1);
}

static size_t choose_name(const struct box *b, struct step *s)
{
	char name[CACHE_NAME_MAX + 1];
	size_t len;

	if (!s->is_twin)
		return strlen(s->name);
	len = index_free_name(&b->index, s->name, name);
	memcpy(s->name, name, len + 1);
	return len;
}

/* Its mtime moves, though the clock may have been put back since it did. */
static void touch(struct box *b, struct step *s) REQUIRES(b->lock)
{
	int64_t last = b->state.changed_at_ns;

	if (s->now_ns == 0)
		return;
	if (s->now_ns <= last && last < INT64_MAX)
		s->now_ns = last + 1;
	b->state.changed_at_ns = s->now_ns;
}

/* The row stays in its folder. */
static void change_in_place(struct step *s, struct journal_effect *e)
{
	struct box *b = s->to;
	struct record *rec;
	size_t pos, len = strlen(s->name);

	lock_take(&b->lock);
	pos = index_find_id(&b->index, s->id);
	rec = index_at(&b->index, pos);
	note_from(e, b, rec);
	if (rec->name_len != len ||
	    memcmp(index_name(&b->index, rec), s->name, len) != 0) {
		len = choose_name(b, s);
		index_set_name(&b->index, pos, s->name, len);
		touch(b, s);
	}
	if (rec->uid != s->row.uid)
		index_set_uid(&b->index, pos, s->row.uid);
	index_set_unmoored(&b->index, pos, s->row.state & RECORD_UNMOORED);
	rec->state = (rec->state & ~(uint64_t)RECORD_FLAGS) |
		     (s->row.state & RECORD_FLAGS);
	rec->size = s->row.size;
	rec->internaldate = s->row.internaldate;
	rec->changed_at = s->row.changed_at;
	rec->keywords = s->row.keywords;
	lock_drop(&b->lock);
	note_to(e, s);
}

static void put_row(struct box *b, struct step *s, uint32_t held)
	REQUIRES(b->lock)
{
	struct record r = s->row;
	size_t len = choose_name(b, s);

	r.held = held;
	r.state &= RECORD_FLAGS | RECORD_UNMOORED;
	if (!s->hide)
		r.state |= RECORD_ANNOUNCED;
	index_insert(&b->index, &r, s->name, len);
	touch(b, s);
}

/* From one folder to another. Both locks, or it would be in none. */
static void arrive_from(struct box *from, struct step *s,
			struct journal_effect *e)
{
	struct box *to = s->to;
	struct record *rec;
	uint32_t held;
	size_t pos;

	lock_take_both(&from->lock, &to->lock);
	pos = index_find_id(&from->index, s->id);
	held = 0;
	if (pos != INDEX_NONE) {
		rec = index_at(&from->index, pos);
		held = rec->held;
		if (s->was == ROW_BOX)
			note_from(e, from, rec);
		index_take(&from->index, pos);
		touch(from, s);
	}
	put_row(to, s, held);
	lock_drop(&to->lock);
	lock_drop(&from->lock);
}

/* From the limbo or nowhere, perhaps to where its dead row is. */
static void arrive_alone(struct step *s)
{
	struct box *b = s->to;
	uint32_t held = 0;
	size_t pos;

	lock_take(&b->lock);
	pos = index_find_id(&b->index, s->id);
	if (pos != INDEX_NONE)
		held = index_at(&b->index, pos)->held;
	put_row(b, s, held);
	lock_drop(&b->lock);
}

static void leave(struct step *s, struct journal_effect *e)
{
	struct box *b = s->from;
	struct record *rec;
	size_t pos;

	lock_take(&b->lock);
	pos = index_find_id(&b->index, s->id);
	rec = index_at(&b->index, pos);
	note_from(e, b, rec);
	if (rec->held == 0) {
		lock_take(&b->c->map.lock);
		map_clear_locked(&b->c->map, s->id, (uint32_t)b->folder);
		lock_drop(&b->c->map.lock);
	}
	index_kill(&b->index, pos);
	touch(b, s);
	lock_drop(&b->lock);
}

/* Of a row without a record two steps may say that it goes. */
static bool has_gone(const struct step *s)
{
	bool is_here;

	if (s->was != ROW_BOX || s->will != ROW_NONE)
		return false;
	lock_take(&s->from->lock);
	is_here = box_find_living(s->from, s->id) != INDEX_NONE;
	lock_drop(&s->from->lock);
	return !is_here;
}

static void apply_row(struct plan *p, struct step *s)
{
	struct box *from = s->was == ROW_BOX ? s->from : s->home;
	struct journal_effect *e;

	if ((s->was != ROW_BOX && s->will != ROW_BOX) || has_gone(s))
		return;
	e = note_effect(p, s);
	if (s->will != ROW_BOX) {
		if (s->was == ROW_BOX)
			leave(s, e);
		return;
	}
	if (s->was == ROW_BOX && from == s->to) {
		change_in_place(s, e);
		return;
	}
	if (from && from != s->to)
		arrive_from(from, s, e);
	else
		arrive_alone(s);
	lock_take(&p->c->map.lock);
	map_set_locked(&p->c->map, s->id, (uint32_t)s->will_be_in);
	lock_drop(&p->c->map.lock);
	note_to(e, s);
}

/* Not before all rows are in place: the room for them would go. */
static void compact(struct box *b)
{
	if (!b)
		return;
	lock_take(&b->lock);
	index_compact(&b->index);
	lock_drop(&b->lock);
}

static void apply_rows(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		apply_row(p, p->v[i]);
	for (size_t i = 0; i < p->n; i++) {
		compact(p->v[i]->from);
		compact(p->v[i]->home);
	}
	put_homes(p);
}

int plan_move_rows_locked(struct plan *p)
{
	int r = reserve(p);

	if (r == 0)
		apply_rows(p);
	return r;
}

/* --- records, and the whole --- */

static void apply_change(struct journal *j, struct step *s) REQUIRES(j->lock)
{
	s->had_change = s->old != NULL;
	if (s->old)
		s->old->step = NULL;
	if (s->next && s->next->spool && s->was == ROW_NONE)
		j->has_new_files = true;
	if (s->next) {
		s->next->gen = j->next_gen++;
		s->next->refs++; /* the step keeps one, for the writer */
	}
	if (s->old || s->next)
		journal_swap_locked(j, s->old, s->next);
	s->old = NULL;
}

static int release_waiters(struct plan *p) REQUIRES(p->c->journal.lock)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->n; i++) {
		if (p->v[i]->old && !p->v[i]->next)
			r = plan_release_locked(p, p->v[i]->old);
	}
	return r;
}

int plan_commit_locked(struct plan *p)
{
	struct plan_op *op;
	int r = release_waiters(p);

	if (r == 0 && p->n == 0)
		return reserve_memory(p);
	if (r != 0)
		return r;
	op = plan_op_new(p->n);
	if (!op)
		return -ENOMEM;
	r = trial_note_locked(p);
	if (r == 0)
		r = reserve(p);
	if (r != 0) {
		trial_forget_locked(p->c);
		op_free(&op->op);
		return r;
	}

	apply_rows(p);
	for (size_t i = 0; i < p->n; i++)
		apply_change(&p->c->journal, p->v[i]);
	op->v = p->v;
	p->v = NULL;
	p->n = p->room = 0;
	trial_pushed_locked(p->c, writer_push(p->c, &op->op));
	return 0;
}
