/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/heard.h"

/*
 * What the server says of messages that have a record: the changes that it has
 * not seen are laid over its flags; the record of one that is gone goes; one
 * that has another UID now takes its record along.
 *
 * Rows without a record are changed by change.c and moor.c, which call this
 * first: what is handled here is taken out of their operation.
 */

/* --- flags --- */

/* What is left of a delta, now that the server says what it has. */
static int rebase(struct delta *d, const struct flagset *now)
{
	unsigned known = (now->words ? KNOWS_WORDS : 0) |
			 (now->labels ? KNOWS_LABELS : 0);
	struct delta left;
	int r = delta_rebase(d, now, known, &left);

	if (r != 0)
		return r;
	delta_finish(d);
	*d = left;
	return 0;
}

/* Takes `from`, which may be NULL: "" then. */
static int take_text(char **from, char **to)
{
	free(*to);
	*to = *from ? *from : strdup("");
	*from = NULL;
	return *to ? 0 : -ENOMEM;
}

/* The keywords and labels of the row: the server's, and ours over them. */
static int lay_words(struct step *s, const struct flagset *now,
		     const struct delta *d)
{
	struct flagset more, all = {0};
	int r = flagset_combine(now, SET_PLUS, &d->add, &more);

	if (r != 0)
		return r;
	r = flagset_combine(&more, SET_MINUS, &d->remove, &all);
	flagset_finish(&more);
	if (r == 0 && now->words)
		r = take_text(&all.words, &s->keywords);
	if (r == 0 && now->words)
		s->row.keywords = cache_keywords_hash(s->keywords);
	if (r == 0 && now->labels)
		r = take_text(&all.labels, &s->labels);
	flagset_finish(&all);
	return r;
}

int server_lay_flags(struct step *s, const struct flagset *now)
{
	uint32_t words = s->row.keywords;
	uint64_t flags;
	int r = rebase(&s->next->delta, now);

	if (r == 0)
		r = rebase(&s->next->sent_delta, now);
	if (r == 0)
		r = lay_words(s, now, &s->next->delta);
	if (r != 0)
		return r;
	flags = ((now->flags & RECORD_FLAGS) | s->next->delta.add.flags) &
		~s->next->delta.remove.flags;
	if (flags != (s->row.state & RECORD_FLAGS) ||
	    words != s->row.keywords || now->labels)
		s->row.changed_at = (uint32_t)time(NULL);
	s->row.state = (s->row.state & ~(uint64_t)RECORD_FLAGS) | flags;
	return 0;
}

static int plan_flags(struct plan *p, struct box *b, struct change *old,
		      const struct cache_flags *v) REQUIRES(p->c->journal.lock)
{
	/* The words are borrowed. */
	const struct flagset now = {v->flags, (char *)v->keywords,
				    (char *)v->labels};
	struct step *s;
	int r = plan_step_locked(p, v->id, old, &s);

	if (r == 0)
		r = step_load_row(s, b);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = server_lay_flags(s, &now);
	if (r == 0)
		step_drop_if_done(s, box_uidvalidity(b));
	return r;
}

int server_flags_locked(struct plan *p, struct box *b,
			const struct cache_flags *v, struct flags_op *op)
{
	struct change *old;
	int r = 0;

	for (size_t i = 0; r == 0 && p->c->journal.n > 0 && i < op->n; i++) {
		old = journal_find_locked(&p->c->journal, v[i].id);
		if (!old)
			continue;
		op->row[i].id = 0;
		/* Of a message that is pending here it can say nothing. */
		if (old->at == old->origin.folder && old->at == b->folder)
			r = plan_flags(p, b, old, &v[i]);
	}
	if (r == 0)
		r = plan_commit_locked(p);
	plan_finish_locked(p);
	return r;
}

/* Which of these rows are of messages that are elsewhere? Gives how many. */
static size_t find_movers(struct cache *c, struct journal_place from,
			  const struct mail_row *rows, size_t n,
			  struct journal_result *v)
{
	const struct change *mover;
	size_t found = 0;

	lock_take(&c->journal.lock);
	for (size_t i = 0; c->journal.n > 0 && i < n; i++) {
		from.uid = rows[i].uid;
		if (!(rows[i].has & ROW_FLAGS) ||
		    !journal_has_left_locked(&c->journal, &from))
			continue;
		mover = journal_find_mover_locked(&c->journal, &from);
		if (!mover)
			continue;
		v[found++] = (struct journal_result){
			.id = mover->id,
			.rest = JOURNAL_HEARD,
			.has_flags = true,
			.flags = rows[i].flags,
			.keywords = rows[i].keywords,
			.labels = rows[i].has & ROW_LABELS ? rows[i].gm_labels
							   : NULL,
		};
	}
	lock_drop(&c->journal.lock);
	return found;
}

int journal_hear(struct cache *c, struct journal_place from,
		 const struct mail_row *rows, size_t n,
		 struct journal_effects **ret)
{
	struct journal_result *v = calloc(n + 1, sizeof(*v));
	size_t found;
	int r = 0;

	if (!v)
		return -ENOMEM;
	if (ret)
		*ret = NULL;
	found = find_movers(c, from, rows, n, v);
	if (found > 0)
		r = journal_settle(c, v, found, ret);
	free(v);
	return r;
}

/* --- removal --- */

/* Is its row in this folder, as the server has it? */
static bool is_home(const struct change *c, struct box *b)
{
	struct record rec;
	char name[CACHE_NAME_MAX + 1];

	return c->at == b->folder && c->origin.folder == b->folder &&
	       box_read_row(b, c->id, &rec, name) == 0 &&
	       (rec.uid != 0 || (rec.state & RECORD_UNMOORED));
}

int server_gone_locked(struct plan *p, struct box *b, struct remove_op *op)
{
	struct change *old;
	struct step *s;
	int r = 0;

	for (size_t i = 0; r == 0 && p->c->journal.n > 0 && i < op->n; i++) {
		old = journal_find_locked(&p->c->journal, op->id[i]);
		if (!old)
			continue;
		if (!is_home(old, b)) {
			op->id[i] = 0;
			continue;
		}
		r = plan_step_locked(p, old->id, old, &s);
		if (r != 0)
			break;
		change_free(s->next);
		s->next = NULL;
	}
	/* Order matters: its record is off the disk before its row is. */
	if (r == 0)
		r = plan_commit_locked(p);
	plan_finish_locked(p);
	return r;
}

/* --- other UIDs --- */

int server_rebase_locked(struct plan *p, const struct journal_place *from,
			 const struct journal_place *to)
{
	struct change *c = NULL;
	struct step *s;
	int r = 0;

	while (r == 0 &&
	       (c = journal_same_origin_locked(&p->c->journal, from, c))) {
		r = plan_step_locked(p, c->id, c, &s);
		/* It may have another one by now, in this very plan. */
		if (r == 0 && place_is_equal(&s->next->origin, from))
			s->next->origin = *to;
		if (r == -ENOENT)
			r = 0; /* it goes */
	}
	return r;
}

static int plan_moor(struct plan *p, struct box *b, struct change *old,
		     uint32_t uid) REQUIRES(p->c->journal.lock)
{
	struct journal_place to = {b->folder, box_uidvalidity(b), uid};
	struct step *s;
	int r = server_rebase_locked(p, &old->origin, &to);

	if (r == 0)
		r = plan_step_locked(p, old->id, old, &s);
	if (r == 0)
		r = step_load_row(s, b);
	if (r == 0)
		step_drop_if_done(s, to.uidvalidity);
	return r;
}

int server_moored_locked(struct plan *p, struct box *b, struct cache_moor *v,
			 size_t n)
{
	struct change *old;
	int r = 0;

	for (size_t i = 0; r == 0 && p->c->journal.n > 0 && i < n; i++) {
		old = v[i].id ? journal_find_locked(&p->c->journal, v[i].id)
			      : NULL;
		if (!old)
			continue;
		r = plan_moor(p, b, old, v[i].uid);
		v[i].id = 0;
	}
	if (r == 0)
		r = plan_commit_locked(p);
	plan_finish_locked(p);
	return r;
}

/* --- a UID that is somebody else's --- */

/* Who has this UID now; 0: nobody. */
static uint64_t uid_owner(struct box *b, uint32_t uid)
{
	uint64_t id = 0;
	size_t pos;

	lock_take(&b->lock);
	pos = index_find_uid(&b->index, uid);
	if (pos != INDEX_NONE)
		id = index_at(&b->index, pos)->id;
	lock_drop(&b->lock);
	return id;
}

/* The row goes, and what was to be changed of it cannot be any more. */
static int drop_row(struct step *s)
{
	static const struct journal_failure why = {
		.what = "to change a message",
		.why = "it was another one's second row, which has gone"};
	bool had_change = s->next != NULL;

	step_row_to(s, ROW_NONE, NULL);
	change_free(s->next);
	s->next = NULL;
	return had_change ? step_fail(s, &why) : 0;
}

int server_drop_uid_locked(struct plan *p, struct box *b, uint32_t uid,
			   uint64_t id)
{
	uint64_t other = uid_owner(b, uid);
	struct step *s;
	int r;

	if (other == 0 || other == id)
		return 0;
	r = plan_step_locked(p, other,
			     journal_find_locked(&p->c->journal, other), &s);
	if (r == 0)
		r = step_load_row(s, b);
	if (r != 0)
		return r == -ENOENT ? 0 : r;
	return drop_row(s);
}

int server_drop_twins_locked(struct plan *p, const struct box *b, uint32_t uid,
			     uint64_t id)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->n; i++) {
		struct step *s = p->v[i];

		if (s->id != id && s->will == ROW_BOX && s->to == b &&
		    s->row.uid == uid)
			r = drop_row(s);
	}
	return r;
}
