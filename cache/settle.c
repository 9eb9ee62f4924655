/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/server.h"
#include "cache/settle.h"

/*
 * What the server answered, put into records and rows.
 *
 *     done      the origin and the flags of the record are the server's now
 *     AGAIN     the record is QUEUED with what is left
 *     UNSURE    the same, though flags may have been stored
 *     UNDO      what was sent is taken back, as far as it is still so
 *     GONE      row and record go; what it was to replace comes back
 *     HEARD     nothing was sent, but the server's flags are known
 *
 * Then what is left of the difference decides whether the record stays. The
 * boxes of all folders concerned are opened before the journal is locked
 * (batch.c), for that may wait for the disk.
 */

/* What the command carried; of one that was not sent, what it would. */
struct carried {
	unsigned parts;
	uint64_t to;
	struct delta delta;
};

static int what_was_carried(const struct change *c, struct carried *ret)
{
	if (c->phase == JOURNAL_SENT) {
		ret->parts = c->sent;
		ret->to = c->sent_to;
		return delta_copy(&c->sent_delta, &ret->delta);
	}
	ret->parts = change_what(c);
	ret->to = c->at;
	return change_carries(c, ret->parts, &ret->delta);
}

/* The row as it is; if it cannot be found only the record is looked after. */
static int load_row(struct batch *b, struct step *s)
{
	struct box *box = batch_box(b, s->next->at);
	int r;

	if (s->next->at != JOURNAL_LIMBO && !box)
		return 0;
	r = step_load_row(s, box);
	return r == -ENOENT ? 0 : r;
}

/* --- done --- */

/* The message has another place on the server. */
static int set_origin(struct batch *b, struct step *s,
		      const struct journal_result *v, uint64_t to,
		      unsigned done) REQUIRES(b->plan.c->journal.lock)
{
	struct journal_place from = s->next->origin;
	struct journal_place now = {to, v->uidvalidity, v->uid};
	int r = 0;

	if (v->uid == 0 || v->uidvalidity == 0)
		return -EINVAL;
	s->next->origin = now;
	if (done & JOURNAL_MOVE)
		r = server_rebase_locked(&b->plan, &from, &now);
	s->next->how = JOURNAL_MOVES;
	free(s->next->name);
	s->next->name = NULL;
	if (r == 0)
		r = batch_learn_uidvalidity(b, to, v->uidvalidity);
	return r;
}

/* Its file is the server's now. */
static void give_up_file(struct step *s, const struct journal_result *v)
{
	if (s->next->spool) {
		s->fate = SPOOL_DELETED;
		s->spool = s->next->spool;
		s->next->spool = NULL;
	}
	if (v->size != 0 && v->size <= MAIL_SIZE_MAX)
		s->row.size = v->size;
}

static int apply_done(struct batch *b, struct step *s,
		      const struct journal_result *v,
		      const struct carried *sent, unsigned done)
	REQUIRES(b->plan.c->journal.lock)
{
	struct delta left;
	int r = 0;

	if (done & (JOURNAL_STORE | JOURNAL_APPEND)) {
		r = delta_done(&s->next->delta, &sent->delta, &left);
		if (r != 0)
			return r;
		delta_finish(&s->next->delta);
		s->next->delta = left;
	}
	if (done & (JOURNAL_APPEND | JOURNAL_COPY | JOURNAL_MOVE)) {
		r = set_origin(b, s, v, sent->to, done);
		/* Who waits does so for it to be where it is wanted. */
		if (r == 0 &&
		    (s->next->at == sent->to || s->next->at == JOURNAL_LIMBO))
			r = plan_release_locked(&b->plan, s->old);
	}
	if (done & JOURNAL_APPEND)
		give_up_file(s, v);
	return r;
}

/* --- undone --- */

static int undo_flags(struct step *s, const struct delta *sent)
{
	struct change *c = s->next;
	struct delta real, left;
	int r = delta_undone(&c->delta, sent, &real, &left);

	if (r != 0)
		return r;
	delta_finish(&c->delta);
	c->delta = left;
	delta_finish(&s->words);
	s->words = real;
	s->row.state =
		(s->row.state | real.add.flags) & ~(uint64_t)real.remove.flags;
	s->row.keywords += cache_keywords_hash(real.add.words) -
			   cache_keywords_hash(real.remove.words);
	s->row.changed_at = (uint32_t)time(NULL);
	return 0;
}

/* Back to where the server has it, under the name that it had there. */
static int bring_back(struct batch *b, struct step *s)
{
	struct change *c = s->next;
	struct box *box = batch_box(b, c->origin.folder);

	/* No such folder: nothing can be where nothing is. */
	if (!box)
		return step_drop(s, NULL);
	if (c->name && index_name_is_valid(c->name, strlen(c->name)))
		memcpy(s->name, c->name, strlen(c->name) + 1);
	s->is_twin = true;
	s->hide = true;
	step_row_to(s, ROW_BOX, box);
	return 0;
}

/* What is in its file is kept. -EAGAIN: there is no name for it there yet. */
static int drop_kept(struct batch *b, struct step *s)
{
	const char *rejected = batch_rejected(b, s->id);

	return rejected ? step_drop(s, rejected) : -EAGAIN;
}

/*
 * If the user has moved it on meanwhile, what is left is another difference,
 * which nobody has refused.
 */
static int undo(struct batch *b, struct step *s, const struct carried *sent,
		unsigned parts)
{
	bool is_there = s->next->at == sent->to;
	bool is_limbo = s->next->at == JOURNAL_LIMBO;
	int r = 0;

	if (s->was == ROW_SAME)
		return 0;
	if ((parts & JOURNAL_STORE) && !b->is_undoing)
		r = undo_flags(s, &sent->delta);
	if (r != 0)
		return r;
	if ((parts & JOURNAL_APPEND) && is_limbo)
		return step_drop(s, NULL);
	if ((parts & JOURNAL_APPEND) && is_there)
		return drop_kept(b, s);
	if ((parts & JOURNAL_COPY) && (is_there || is_limbo))
		return step_drop(s, NULL);
	if ((parts & (JOURNAL_MOVE | JOURNAL_REMOVE)) && is_there)
		return bring_back(b, s);
	return 0;
}

/* --- one answer --- */

static int go(struct batch *b, struct step *s, const struct journal_result *v)
	REQUIRES(b->plan.c->journal.lock)
{
	bool was_wanted = s->next->at == JOURNAL_LIMBO;
	bool is_text = change_is_text(s->next, &s->row);
	const char *rejected = was_wanted ? NULL : batch_rejected(b, s->id);
	int r = 0;

	if (s->was == ROW_SAME) {
		/* No row: the record alone. */
		change_free(s->next);
		s->next = NULL;
	} else if (is_text && !was_wanted && !rejected) {
		r = -EAGAIN; /* there is no name for it yet */
	} else {
		r = step_drop(s, rejected);
	}
	/* What it was to replace comes back, for nothing comes in its place. */
	if (r == 0 && !was_wanted)
		r = batch_undo_waiters(b, s->old);
	return r == 0 && v->why && !was_wanted ? step_fail(s, v->why) : r;
}

/*
 * A sync may have made a second row for the UID that is ours now, wherever our
 * own is. Where UIDs are other ones than the answer's it is another message's.
 */
static int drop_second_row(struct batch *b, struct step *s,
			   const struct journal_place *at, bool is_told)
	REQUIRES(b->plan.c->journal.lock)
{
	struct box *box = batch_box(b, at->folder);
	int r = 0;

	if (!box || box_uidvalidity(box) != at->uidvalidity)
		return 0;
	if (is_told)
		r = server_drop_twins_locked(&b->plan, box, at->uid, s->id);
	if (r == 0)
		r = server_drop_uid_locked(&b->plan, box, at->uid, s->id);
	return r;
}

/*
 * What is left of the difference; `is_new`: nothing of it was sent. `arrived`:
 * the origin is where it was sent.
 */
static int finish(struct batch *b, struct step *s, bool is_new, bool arrived)
	REQUIRES(b->plan.c->journal.lock)
{
	struct change *c = s->next;
	struct box *box = batch_box(b, c->at);
	struct journal_place origin = c->origin;
	bool is_home = false;

	if (is_new) {
		c->seq = b->plan.c->journal.next_seq++;
		c->queued_at = time(NULL);
		c->tries = 0;
	}
	/* What the user has removed meanwhile, and the server never got. */
	if (c->at == JOURNAL_LIMBO && change_what(c) == 0 &&
	    change_doubt(c) == 0)
		return step_drop(s, NULL);
	if (s->was == ROW_SAME)
		return 0;
	if (box) {
		step_drop_if_done(s, box_uidvalidity(box));
		is_home = s->row.uid != 0;
	}
	return arrived || is_home ? drop_second_row(b, s, &origin, arrived) : 0;
}

#define ARRIVES ((unsigned)JOURNAL_APPEND | JOURNAL_COPY | JOURNAL_MOVE)

/*
 * Is it in doubt from now on, or still? Who takes back what is not sent yet
 * says nothing of what was sent before.
 */
static bool stays_in_doubt(const struct change *c,
			   const struct journal_result *v)
{
	if (c->phase != JOURNAL_SENT)
		return v->rest == JOURNAL_UNDO;
	return v->rest == JOURNAL_AGAIN && v->done == 0 && v->doubt &&
	       (c->sent & ARRIVES);
}

static void clear_sent(struct change *c, const struct journal_result *v)
{
	bool doubt = stays_in_doubt(c, v);

	if (c->phase == JOURNAL_SENT)
		c->phase = JOURNAL_QUEUED;
	c->sent = 0;
	if (doubt)
		return;
	delta_finish(&c->sent_delta);
	c->sent_to = 0;
	c->sent_uidvalidity = c->sent_uidnext = 0;
}

/*
 * Whether they were stored or not, in the end they are as they are wanted. What
 * the server has is taken out at once: a difference that is none would swallow
 * the change that takes it back (delta_step()).
 */
static int doubt_flags(struct step *s, const struct delta *sent,
		       const struct journal_result *v)
{
	/* The strings are borrowed: nothing here frees this set. */
	const struct flagset now = {v->flags, (char *)v->keywords,
				    (char *)v->labels};
	unsigned known = KNOWS_WORDS | (v->labels ? KNOWS_LABELS : 0);
	struct delta both, left;
	int r = delta_unsure(&s->next->delta, sent, &both);

	if (r == 0 && v->has_flags) {
		r = delta_rebase(&both, &now, known, &left);
		delta_finish(&both);
		both = left;
	}
	if (r != 0)
		return r;
	delta_finish(&s->next->delta);
	s->next->delta = both;
	return 0;
}

/*
 * Of a move that is a copy and a removal: the mark for the removal is set, so
 * the copy was there, and somebody has taken it away. The next one is not to
 * have that mark, and the first cannot arrive any more.
 */
static void take_back_mark(struct step *s, const struct journal_result *v)
{
	struct change *c = s->next;

	if (!v->has_flags || !(v->flags & MAIL_DELETED) ||
	    (s->row.state & MAIL_DELETED))
		return;
	c->delta.remove.flags |= MAIL_DELETED;
	c->sent_to = 0;
	c->sent_uidvalidity = c->sent_uidnext = 0;
}

/* The parts that were not done. */
static int apply_rest(struct batch *b, struct step *s,
		      const struct journal_result *v,
		      const struct carried *sent, unsigned rest)
	REQUIRES(b->plan.c->journal.lock)
{
	int r;

	if (v->rest != JOURNAL_UNDO) {
		s->next->tries++;
		if (v->rest == JOURNAL_AGAIN && (rest & JOURNAL_MOVE))
			take_back_mark(s, v);
		return v->rest == JOURNAL_UNSURE && (rest & JOURNAL_STORE)
			       ? doubt_flags(s, &sent->delta, v)
			       : 0;
	}
	r = undo(b, s, sent, rest);
	if (r == 0)
		r = batch_undo_waiters(b, s->old);
	return r == 0 && v->why ? step_fail(s, v->why) : r;
}

/* Its row may be gone by now, or in a folder that is. */
static int hear(struct step *s, const struct journal_result *v)
{
	/* The strings are borrowed: nothing here frees this set. */
	const struct flagset now = {v->flags, (char *)v->keywords,
				    (char *)v->labels};

	return s->was != ROW_SAME ? server_lay_flags(s, &now) : 0;
}

/* A file that is no message yet: it can only go. */
static bool is_draft(const struct change *c)
{
	return c->phase == JOURNAL_SCRATCH || c->phase == JOURNAL_WRITING;
}

int settle_one_locked(struct batch *b, const struct journal_result *v)
{
	struct change *old = journal_find_locked(&b->plan.c->journal, v->id);
	struct carried sent;
	struct step *s;
	unsigned done;
	int r = old ? plan_step_locked(&b->plan, v->id, old, &s) : -ENOENT;

	if (r == 0)
		r = load_row(b, s);
	if (r != 0)
		return r == -ENOENT ? 0 : r; /* it is settled, or goes */
	if (v->rest == JOURNAL_GONE ||
	    (v->rest == JOURNAL_UNDO && is_draft(s->next)))
		return go(b, s, v);
	if (v->rest == JOURNAL_HEARD)
		return hear(s, v);

	r = what_was_carried(s->next, &sent);
	if (r != 0)
		return r;
	done = v->done & sent.parts;
	clear_sent(s->next, v);
	if (done & JOURNAL_REMOVE)
		r = step_drop(s, NULL);
	else
		r = apply_done(b, s, v, &sent, done);
	if (r == 0 && s->next && (sent.parts & ~done) != 0)
		r = apply_rest(b, s, v, &sent, sent.parts & ~done);
	if (r == 0 && s->next)
		r = finish(b, s, done != 0 && done == sent.parts,
			   done & ARRIVES);
	delta_finish(&sent.delta);
	return r;
}
