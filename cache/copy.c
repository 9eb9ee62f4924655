/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/changes.h"
#include "cache/spool.h"

/*
 * A second message of the same content. What the server has it copies: the
 * record has the origin of the source, and follows it if that is moved. What it
 * has not is to be sent twice, from two files.
 *
 * A new row, or one that is being written (`into`): a program that copies a
 * file makes the new one first.
 */

struct source {
	struct record row;
	char name[CACHE_NAME_MAX + 1];
	const struct change *change; /* NULL: it is as the server has it */
};

static int find_source(struct plan *p, struct box *b, uint64_t id,
		       struct source *ret) REQUIRES(p->c->journal.lock)
{
	int r = box_read_row(b, id, &ret->row, ret->name);

	ret->change = journal_find_locked(&p->c->journal, id);
	if (r != 0)
		return r;
	if (!ret->change)
		return ret->row.uid != 0 ? 0 : -EBUSY;
	return ret->change->phase >= JOURNAL_QUEUED ? 0 : -EBUSY;
}

static bool is_unsent(const struct source *src)
{
	return src->change && src->change->origin.folder == 0;
}

/* --- of what the server has --- */

/* The record of the copy; the deltas are those of the source. */
static int fill_change(struct change *c, struct box *from,
		       const struct source *src)
{
	delta_finish(&c->delta);
	if (src->change) {
		c->origin = src->change->origin;
		return delta_copy(&src->change->delta, &c->delta);
	}
	c->origin = (struct journal_place){from->folder, box_uidvalidity(from),
					   src->row.uid};
	return 0;
}

static int plan_new(struct plan *p, struct box *from, const struct source *src,
		    const struct journal_copy *how, uint64_t id)
	REQUIRES(p->c->journal.lock)
{
	struct step *s;
	struct change *c;
	int r = plan_step_locked(p, id, NULL, &s);

	if (r != 0)
		return r;
	c = plan_new_change_locked(p, s);
	if (!c)
		return -ENOMEM;
	c->how = JOURNAL_COPIES;
	r = fill_change(c, from, src);
	s->was = ROW_NONE;
	s->row = src->row;
	s->row.id = (uint32_t)id;
	s->row.uid = 0;
	s->row.state &= RECORD_FLAGS;
	memcpy(s->name, how->name, strlen(how->name) + 1);
	s->is_twin = true;
	s->copy_of = src->row.id;
	step_row_to(s, ROW_BOX, how->to);
	return r;
}

/* The flags that the server will give to the copy. */
static uint32_t base_flags(const struct source *src, const struct delta *d)
{
	return ((src->row.state & RECORD_FLAGS) & ~d->add.flags) |
	       d->remove.flags;
}

static int plan_into(struct plan *p, struct box *from, const struct source *src,
		     const struct journal_copy *how)
	REQUIRES(p->c->journal.lock)
{
	struct change *old = journal_find_locked(&p->c->journal, how->into), *c;
	uint32_t base, flags;
	struct step *s;
	int r;

	if (!old || old->phase != JOURNAL_WRITING || !old->spool)
		return -EBUSY;
	r = plan_step_locked(p, how->into, old, &s);
	if (r == 0)
		r = step_load_row(s, how->to);
	if (r == 0)
		r = fill_change(s->next, from, src);
	if (r != 0)
		return r;

	c = s->next;
	flags = s->row.state & RECORD_FLAGS;
	base = base_flags(src, &c->delta);
	c->delta.add.flags = flags & ~base;
	c->delta.remove.flags = base & ~flags;
	c->how = JOURNAL_COPIES;
	c->phase = JOURNAL_QUEUED;
	s->row.size = src->row.size;
	s->row.internaldate = src->row.internaldate;
	s->row.keywords = src->row.keywords;
	s->row.changed_at = (uint32_t)time(NULL);
	s->copy_of = src->row.id;
	s->is_new_key = true;
	s->fate = SPOOL_DELETED;
	s->spool = c->spool;
	c->spool = NULL;
	return 0;
}

/* --- of what it has not --- */

/* The new file is there, under the name that the new id gives. */
static int plan_unsent(struct plan *p, const struct source *src,
		       const struct journal_copy *how, uint64_t id)
	REQUIRES(p->c->journal.lock)
{
	struct step *s;
	int r = plan_new(p, how->to, src, how, id);

	if (r != 0)
		return r;
	s = p->v[p->n - 1];
	s->next->how = JOURNAL_MOVES;
	s->next->spool = spool_name(id);
	return s->next->spool ? 0 : -ENOMEM;
}

/*
 * The file is copied with no lock held. -EAGAIN: the source has changed
 * meanwhile; it may have been sent.
 */
static int copy_unsent(struct box *from, const struct journal_copy *how,
		       uint64_t source, uint64_t gen, uint64_t id)
{
	struct cache *c = from->c;
	char *name = NULL, *new_name = spool_name(id);
	struct source src = {0};
	struct plan p;
	int r;

	plan_init(&p, c);
	p.is_trial = true;
	lock_take(&p.c->journal.lock);
	r = find_source(&p, from, source, &src);
	if (r == 0 && (!src.change || src.change->gen != gen))
		r = -EAGAIN;
	if (r == 0 && src.change->spool)
		name = strdup(src.change->spool);
	lock_drop(&p.c->journal.lock);
	if (r == 0)
		r = name && new_name ? spool_copy(c, name, new_name) : -ENOMEM;
	if (r == 0) {
		lock_take(&p.c->journal.lock);
		r = find_source(&p, from, source, &src);
		if (r == 0 && (!src.change || src.change->gen != gen))
			r = -EAGAIN;
		if (r == 0)
			r = plan_unsent(&p, &src, how, id);
		if (r == 0)
			r = plan_commit_locked(&p);
		plan_finish_locked(&p);
		lock_drop(&p.c->journal.lock);
		if (r != 0)
			spool_unlink(c, new_name);
	}
	free(name);
	free(new_name);
	return r;
}

/* --- the whole --- */

/* 1: the source is unsent, and has this generation. */
static int copy_once(struct box *from, uint64_t id,
		     const struct journal_copy *how, uint64_t new_id,
		     uint64_t *ret_gen)
{
	struct cache *c = from->c;
	struct source src = {0};
	struct plan p;
	int r;

	plan_init(&p, c);
	p.is_trial = true;
	lock_take(&p.c->journal.lock);
	r = find_source(&p, from, id, &src);
	if (r == 0 && is_unsent(&src)) {
		*ret_gen = src.change->gen;
		r = how->into ? -EBUSY : 1;
	} else if (r == 0) {
		r = how->into ? plan_into(&p, from, &src, how)
			      : plan_new(&p, from, &src, how, new_id);
	}
	if (r == 0)
		r = plan_commit_locked(&p);
	plan_finish_locked(&p);
	lock_drop(&p.c->journal.lock);
	return r;
}

int journal_copy(struct box *from, uint64_t id, const struct journal_copy *how,
		 uint64_t *ret)
{
	uint64_t new_id = how->into, gen = 0;
	int r = journal_ready(from->c);

	if (r == 0 && !how->into &&
	    !index_name_is_valid(how->name, strlen(how->name)))
		r = -EINVAL;
	if (r == 0 && !how->into)
		r = cache_new_ids(from->c, 1, &new_id);
	if (r != 0)
		return r;
	do {
		r = copy_once(from, id, how, new_id, &gen);
		if (r == 1)
			r = copy_unsent(from, how, id, gen, new_id);
	} while (r == -EAGAIN);
	if (r == 0)
		*ret = new_id;
	return r;
}
