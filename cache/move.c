/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/changes.h"
#include "cache/spool.h"

/*
 * Moving, renaming, removing and copying as the user does: each is a plan of
 * one message, or of two if one replaces another.
 *
 * Whether there is anything for the server to do is not decided here: the row
 * goes where it is to be, and step_drop_if_done() looks at the difference. What
 * the server never saw needs no limbo: it goes altogether, but while a command
 * for it is under way or in doubt its row waits there, for the server may have
 * it.
 */

/* --- steps --- */

int move_load_locked(struct plan *p, struct box *b, uint64_t id,
		     struct step **ret)
{
	struct change *old = journal_find_locked(&p->c->journal, id);
	int r = plan_step_locked(p, id, old, ret);

	return r == 0 ? step_load_row(*ret, b) : r;
}

/* A record for a row that leaves its folder, with the name that it has there.
 */
static int note_origin(struct plan *p, struct step *s)
	REQUIRES(p->c->journal.lock)
{
	struct change *c;
	int r = plan_first_change_locked(p, s);

	if (r != 0)
		return r;
	c = s->next;
	if (c->name || c->how != JOURNAL_MOVES || c->at != c->origin.folder)
		return 0;
	c->name = strdup(s->name);
	return c->name ? 0 : -ENOMEM;
}

/* Does the server know nothing of it, and cannot have learned it meanwhile? */
static bool is_only_here(const struct change *c)
{
	return c && change_unanswered(c) == 0 &&
	       (c->origin.folder == 0 || c->how == JOURNAL_COPIES);
}

/* Away for good. */
static int remove_step(struct plan *p, struct step *s)
	REQUIRES(p->c->journal.lock)
{
	int r;

	if (is_only_here(s->next))
		return step_drop(s, NULL);
	r = note_origin(p, s);
	if (r != 0)
		return r;
	s->next->after = 0;
	s->row.uid = 0;
	s->row.state &= ~(uint64_t)RECORD_UNMOORED;
	step_row_to(s, ROW_LIMBO, NULL);
	return 0;
}

static int move_step(struct plan *p, struct step *s, struct box *to)
	REQUIRES(p->c->journal.lock)
{
	/* Within its folder there is no change for the server. */
	int r = to == s->from ? 0 : note_origin(p, s);

	if (r != 0)
		return r;
	if (s->next)
		s->next->after = 0;
	step_row_to(s, ROW_BOX, to);
	if (s->next)
		step_drop_if_done(s, box_uidvalidity(to));
	return 0;
}

/* --- moving --- */

/* Who has the name in the folder; 0: nobody. */
static uint64_t name_owner(struct box *b, const char *name)
{
	uint64_t id = 0;
	size_t pos;

	lock_take(&b->lock);
	pos = index_find_name(&b->index, name, strlen(name));
	if (pos != INDEX_NONE)
		id = index_at(&b->index, pos)->id;
	lock_drop(&b->lock);
	return id;
}

/* May others wait for this one? A scratch file never is there. */
static bool will_arrive(const struct step *s)
{
	return s->next && s->next->phase != JOURNAL_SCRATCH;
}

/* What waited for a new message that goes unsent waits for the one instead. */
static int pass_on_waiters(struct plan *p, const struct step *gone,
			   const struct step *by) REQUIRES(p->c->journal.lock)
{
	uint64_t after = will_arrive(by) ? by->id : 0;
	struct change *other;
	struct step *s;
	size_t at = 0;
	int r = 0;

	if (gone->old->waiters == 0)
		return 0;
	while (r == 0 && (other = journal_next_locked(&p->c->journal, &at))) {
		if (other->after != gone->id || other->id == by->id)
			continue;
		r = plan_step_locked(p, other->id, other, &s);
		if (r == 0)
			s->next->after = after;
		if (r == -ENOENT)
			r = 0; /* it goes, too */
	}
	return r;
}

/*
 * The one that has the name makes room. If that is to be sent it waits for the
 * new one, which must be there before.
 */
static int replace(struct plan *p, uint64_t id, const struct journal_move *how,
		   struct step *by, struct step **ret)
	REQUIRES(p->c->journal.lock)
{
	struct step *s;
	int r = move_load_locked(p, how->to, id, &s);

	if (r != 0)
		return r;
	if (how->trash && how->trash != how->to && !is_only_here(s->next)) {
		s->is_twin = true;
		s->hide = true;
		r = move_step(p, s, how->trash);
	} else {
		r = remove_step(p, s);
	}
	if (r == 0 && s->next && will_arrive(by))
		s->next->after = by->id;
	if (r == 0 && !s->next && s->old)
		r = pass_on_waiters(p, s, by);
	*ret = s;
	return r;
}

static void note_moved(const struct step *s, const struct step *other,
		       struct journal_moved *ret)
{
	*ret = (struct journal_moved){0};
	memcpy(ret->name, s->name, sizeof(ret->name));
	if (!other)
		return;
	ret->replaced = other->id;
	if (other->will != ROW_BOX)
		return;
	ret->replaced_to = other->will_be_in;
	memcpy(ret->replaced_name, other->name, sizeof(ret->replaced_name));
}

/* `s` is loaded; what stands in its way is looked after. */
static int plan_move(struct plan *p, struct step *s,
		     const struct journal_move *how, struct step **ret_other)
	REQUIRES(p->c->journal.lock)
{
	uint64_t owner = name_owner(how->to, how->name);
	int r;

	if (owner == s->id)
		owner = 0;
	if (owner != 0 && how->onto == JOURNAL_EXACT)
		return -EEXIST;
	if (how->only != 0 && owner != how->only &&
	    how->onto == JOURNAL_REPLACE)
		return -EEXIST;
	s->is_twin = how->onto == JOURNAL_TWIN;
	s->hide = how->hide;
	if (how->make_message && s->next && s->next->phase == JOURNAL_SCRATCH)
		s->next->phase = JOURNAL_WRITING;
	r = move_step(p, s, how->to);
	memcpy(s->name, how->name, strlen(how->name) + 1);
	if (r == 0 && owner != 0 && how->onto == JOURNAL_REPLACE)
		r = replace(p, owner, how, s, ret_other);
	return r;
}

/*
 * Order matters: what is in the file is kept, whatever comes, before it counts
 * as a message's.
 */
static int keep_file(struct cache *c, uint64_t id)
{
	const struct change *v;
	char *name = NULL;
	int r = 0;

	lock_take(&c->journal.lock);
	v = journal_find_locked(&c->journal, id);
	if (v && v->phase == JOURNAL_SCRATCH) {
		name = strdup(v->spool);
		r = name ? 0 : -ENOMEM;
	}
	lock_drop(&c->journal.lock);
	if (name)
		r = spool_keep(c, name);
	free(name);
	return r;
}

int journal_move(struct box *from, uint64_t id, const struct journal_move *how,
		 struct journal_moved *ret)
{
	struct cache *c = from->c;
	struct step *s, *other = NULL;
	struct plan p;
	int r = index_name_is_valid(how->name, strlen(how->name)) ? 0 : -EINVAL;

	if (r == 0)
		r = journal_ready(c);
	if (r == 0 && how->make_message)
		r = keep_file(c, id);
	if (r != 0)
		return r;
	plan_init(&p, c);
	p.is_trial = true;
	lock_take(&p.c->journal.lock);
	r = move_load_locked(&p, from, id, &s);
	if (r == 0)
		r = plan_move(&p, s, how, &other);
	if (r == 0)
		r = plan_commit_locked(&p);
	/* The steps are the writer's now, but stay while we have the lock. */
	if (r == 0 && ret)
		note_moved(s, other, ret);
	plan_finish_locked(&p);
	lock_drop(&p.c->journal.lock);
	return r;
}

/* --- removing --- */

int journal_remove(struct box *b, uint64_t id)
{
	struct cache *c = b->c;
	struct step *s;
	struct plan p;
	int r = journal_ready(c);

	if (r != 0)
		return r;
	plan_init(&p, c);
	p.is_trial = true;
	lock_take(&p.c->journal.lock);
	r = move_load_locked(&p, b, id, &s);
	if (r == 0)
		r = remove_step(&p, s);
	if (r == 0)
		r = plan_commit_locked(&p);
	plan_finish_locked(&p);
	lock_drop(&p.c->journal.lock);
	return r;
}
