/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>

#include "cache/changes.h"
#include "cache/trial.h"

/*
 * J3: before a command goes out, what it carries is on the disk. A record that
 * has moved on since it was read is left out, and so is one that has to wait:
 * whoever sends asks again.
 */

static bool may_be_sent(const struct journal *j, const struct change *c,
			const struct journal_mark *m) REQUIRES(j->lock)
{
	if (!c || c->gen != m->gen || c->phase != JOURNAL_QUEUED ||
	    m->parts == 0)
		return false;
	if (m->is_look)
		return m->parts == change_doubt(c);
	return (m->parts & ~change_what(c)) == 0 &&
	       (change_doubt(c) == 0 || c->sent_to == c->at) &&
	       change_waits_locked(j, c) == 0;
}

static int plan_mark(struct plan *p, struct change *old,
		     const struct journal_mark *m) REQUIRES(p->c->journal.lock)
{
	struct step *s;
	struct change *c;
	int r = plan_step_locked(p, m->id, old, &s);

	if (r != 0)
		return r;
	c = s->next;
	c->phase = JOURNAL_SENT;
	c->sent = m->parts;
	/*
	 * What went out at first is what may be found: if it is sent again, as
	 * it is now, the rest is stored once more.
	 */
	if (change_doubt(old) != 0)
		return 0;
	c->sent_to = c->at;
	c->sent_uidvalidity = m->uidvalidity;
	c->sent_uidnext = m->uidnext;
	delta_finish(&c->sent_delta);
	return change_carries(c, m->parts, &c->sent_delta);
}

static int mark(struct cache *c, struct journal_mark *v, size_t n)
{
	struct change *old;
	struct plan p;
	int r = 0;

	plan_init(&p, c);
	p.is_trial = true;
	lock_take(&p.c->journal.lock);
	for (size_t i = 0; r == 0 && i < n; i++) {
		old = journal_find_locked(&p.c->journal, v[i].id);
		v[i].marked =
			may_be_sent(&p.c->journal, old, &v[i]) && !old->step;
		if (v[i].marked)
			r = plan_mark(&p, old, &v[i]);
	}
	if (r == 0)
		r = plan_commit_locked(&p);
	plan_finish_locked(&p);
	lock_drop(&p.c->journal.lock);
	return r;
}

/* It is on the disk, but perhaps not for long: nothing was sent. */
static void send_again(struct cache *c, struct journal_mark *v, size_t n)
{
	struct journal_result back = {.rest = JOURNAL_AGAIN, .doubt = true};

	for (size_t i = 0; i < n; i++) {
		back.id = v[i].id;
		/* Without memory it stays SENT: it is looked up first. */
		if (v[i].marked)
			(void)!journal_settle(c, &back, 1, NULL);
	}
}

int journal_mark_sent(struct cache *c, struct journal_mark *v, size_t n)
{
	struct journal_effects *back = NULL;
	struct journal_trial *trial;
	bool is_made;
	int r = journal_ready(c);

	if (r != 0)
		return r;
	/* So that it is in nobody's way who takes back what is to be sent. */
	trial = journal_begin(c);
	if (!trial)
		return -ENOMEM;
	r = mark(c, v, n);
	is_made = r == 0;
	if (is_made)
		r = cache_sync(c);
	r = journal_end(trial, r, true, &back);
	if (r != 0 && is_made && !back)
		send_again(c, v, n);
	free(back);
	for (size_t i = 0; r != 0 && i < n; i++)
		v[i].marked = false;
	return r;
}
