/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/changes.h"

/*
 * A transaction of the journal while it is made: what is to happen to each of
 * some messages, their rows, records and files. commit.c does it.
 *
 * One thread makes and commits a plan, with the lock of the journal held from
 * the first look at a record to the end, so nothing moves meanwhile but what
 * the kernel holds.
 */

void plan_init(struct plan *p, struct cache *c)
{
	*p = (struct plan){.c = c};
}

static void free_step(struct journal *j, struct step *s) REQUIRES(j->lock)
{
	change_unref_locked(j, s->next);
	free(s->texts);
	free(s->keywords);
	free(s->labels);
	delta_finish(&s->words);
	free(s->spool);
	free(s->rejected);
	free(s->failure);
	free(s);
}

void plan_free_steps(struct journal *j, struct step **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free_step(j, v[i]);
	free(v);
}

void plan_finish_locked(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->v[i]->old)
			p->v[i]->old->step = NULL;
	}
	plan_free_steps(&p->c->journal, p->v, p->n);
	p->v = NULL;
	p->n = 0;
}

static int grow(struct plan *p)
{
	size_t room = p->room ? p->room * 2 : 4;
	struct step **v;

	if (p->n < p->room)
		return 0;
	v = realloc(p->v, room * sizeof(struct step *));
	if (!v)
		return -ENOMEM;
	p->v = v;
	p->room = room;
	return 0;
}

int plan_step_locked(struct plan *p, uint64_t id, struct change *old,
		     struct step **ret)
{
	struct step *s;

	if (old && old->step) {
		*ret = old->step;
		return old->step->next ? 0 : -ENOENT;
	}
	if (grow(p) != 0)
		return -ENOMEM;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->id = id;
	if (old) {
		s->next = change_copy(old);
		if (!s->next) {
			free(s);
			return -ENOMEM;
		}
		s->old = old;
		old->step = s;
	}
	p->v[p->n++] = s;
	*ret = s;
	return 0;
}

struct change *plan_new_change_locked(struct plan *p, struct step *s)
{
	struct change *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->id = s->id;
	c->seq = p->c->journal.next_seq++;
	c->how = JOURNAL_MOVES;
	c->phase = JOURNAL_QUEUED;
	c->queued_at = time(NULL);
	c->refs = 1;
	s->next = c;
	s->is_new_key = true;
	return c;
}

uint32_t box_uidvalidity(struct box *b)
{
	uint32_t v;

	lock_take(&b->lock);
	v = b->state.uidvalidity;
	lock_drop(&b->lock);
	return v;
}

int plan_first_change_locked(struct plan *p, struct step *s)
{
	struct journal_place origin = {s->was_in, box_uidvalidity(s->from),
				       s->row.uid};
	struct change *c;

	if (s->next)
		return 0;
	/* Nobody knows at the moment which one it is on the server. */
	if (origin.uid == 0 || origin.uidvalidity == 0)
		return -EBUSY;
	c = plan_new_change_locked(p, s);
	if (!c)
		return -ENOMEM;
	c->origin = origin;
	c->at = origin.folder;
	return 0;
}

int plan_release_locked(struct plan *p, const struct change *c)
{
	struct change *other;
	struct step *s;
	size_t at = 0;
	int r = 0;

	if (c->waiters == 0)
		return 0;
	while (r == 0 && (other = journal_next_locked(&p->c->journal, &at))) {
		if (other->after != c->id)
			continue;
		r = plan_step_locked(p, other->id, other, &s);
		/* In this plan it may have got another one to wait for. */
		if (r == 0 && s->next->after == c->id)
			s->next->after = 0;
		if (r == -ENOENT)
			r = 0; /* it goes, too */
	}
	return r;
}

/* --- rows --- */

int box_read_row(struct box *b, uint64_t id, struct record *ret, char *ret_name)
{
	const struct record *rec;
	size_t pos;

	lock_take(&b->lock);
	pos = box_find_living(b, id);
	if (pos != INDEX_NONE) {
		rec = index_at(&b->index, pos);
		*ret = *rec;
		memcpy(ret_name, index_name(&b->index, rec), rec->name_len);
		ret_name[rec->name_len] = '\0';
	}
	lock_drop(&b->lock);
	/* One that is gone on the server can be changed no more. */
	return pos == INDEX_NONE || (ret->state & RECORD_DOOMED) ? -ENOENT : 0;
}

int step_load_row(struct step *s, struct box *b)
{
	int r;

	if (s->was != ROW_SAME)
		return s->will == ROW_NONE ? -ENOENT : 0;
	if (!b) {
		s->was = s->will = ROW_LIMBO;
		s->was_in = s->will_be_in = JOURNAL_LIMBO;
		s->row = s->old->row;
		memcpy(s->name, s->old->row_name, strlen(s->old->row_name) + 1);
		return 0;
	}
	r = box_read_row(b, s->id, &s->row, s->name);
	if (r != 0)
		return r;
	s->was = s->will = ROW_BOX;
	s->from = s->to = b;
	s->was_in = s->will_be_in = b->folder;
	return 0;
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void step_row_to(struct step *s, enum row_place will, struct box *to)
{
	s->will = will;
	s->to = to;
	s->will_be_in = to ? to->folder : JOURNAL_LIMBO;
	s->now_ns = now_ns();
	s->row.changed_at = (uint32_t)time(NULL);
	if (s->next)
		s->next->at = s->will_be_in;
}

/* A command may be taking the message away from its origin, or has done so. */
static bool is_leaving(const struct change *c)
{
	return change_unanswered(c) & (JOURNAL_MOVE | JOURNAL_REMOVE);
}

void step_drop_if_done(struct step *s, uint32_t uidvalidity)
{
	struct change *c = s->next;
	bool is_home = c->origin.folder != 0 && c->how == JOURNAL_MOVES &&
		       c->at == c->origin.folder && !is_leaving(c);

	s->row.state &= ~(uint64_t)RECORD_UNMOORED;
	s->row.uid = 0;
	if (is_home && c->origin.uidvalidity == uidvalidity)
		s->row.uid = c->origin.uid;
	else if (is_home)
		s->row.state |= RECORD_UNMOORED;
	if (is_home) {
		free(c->name);
		c->name = NULL;
	}
	if (is_home && c->phase == JOURNAL_QUEUED && change_what(c) == 0) {
		change_free(c);
		s->next = NULL;
	}
}
