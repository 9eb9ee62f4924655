/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/flush_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/budget.h"
#include "fs/folder.h"
#include "fs/keep.h"
#include "imap/log.h"

/*
 * From the journal to batches. The records are read in their order; each goes
 * to the batch of its kind, folders and (flags) difference, as far as one may
 * begin: one batch a lane at a time, of those in doubt one a destination, and
 * FLUSH_BATCHES in all; new messages as far as the day's traffic allows. A
 * batch whose folders are busy is given up again; the folders remember that
 * they are wanted, and whoever ends there wakes the thread.
 */

/* From here on nothing is added: its messages have their place. */
static void link_batch(struct flush *fl, struct batch *b)
{
	batch_sort(b);
	b->next = fl->batches;
	fl->batches = b;
	fl->n_batches++;
}

/* --- folders --- */

static void stop_waiting(struct flush *fl)
{
	for (size_t i = 0; i < fl->n_waiting; i++) {
		folder_flush_waits(fl->waiting[i], false);
		keep_look_again(fl->fs, fl->waiting[i]);
	}
	fl->n_waiting = 0;
}

/* Without memory its jobs take precedence. */
static void wait_for(struct flush *fl, struct folder *f)
{
	size_t room = fl->waiting_room ? fl->waiting_room * 2 : 8;
	struct folder **v;

	if (fl->n_waiting == fl->waiting_room) {
		v = realloc(fl->waiting, room * sizeof(struct folder *));
		if (!v)
			return;
		fl->waiting = v;
		fl->waiting_room = room;
	}
	fl->waiting[fl->n_waiting++] = f;
	folder_flush_waits(f, true);
}

static bool hold(struct flush *fl, struct folder *f)
{
	if (!f || folder_flush_begin(fl->fs, f))
		return true;
	wait_for(fl, f);
	return false;
}

static bool hold_both(struct flush *fl, const struct batch *b)
{
	struct folder *to = b->to == b->from ? NULL : b->to;

	if (!hold(fl, b->from))
		return false;
	if (hold(fl, to))
		return true;
	if (b->from)
		folder_flush_end(fl->fs, b->from);
	return false;
}

/* --- which records --- */

/* While it may be in either place, nothing else is done to a message. */
static enum journal_part next_part(const struct journal_entry *e)
{
	unsigned what = e->doubt ? e->doubt : e->what;

	return (enum journal_part)(what & -what);
}

/* It may have gone where it is not to go any more. */
static bool is_only_looked_for(const struct journal_entry *e)
{
	return e->doubt && e->sent_to != e->at;
}

static struct folder *folder_of(struct flush *fl, uint64_t id)
{
	struct folder *f = id ? tree_find(fl->fs->tree, id) : NULL;

	return f && !f->gone ? f : NULL;
}

/* False: it cannot be sent as things are. */
static bool find_way(struct flush *fl, const struct journal_entry *e,
		     struct way *ret)
{
	bool has_from, has_to, is_look = is_only_looked_for(e);

	if (!is_look && (e->waits_for != 0 || e->what == 0))
		return false;
	*ret = (struct way){.part = next_part(e), .is_look = is_look};
	has_from = ret->part != JOURNAL_APPEND;
	has_to = ret->part == JOURNAL_APPEND || ret->part == JOURNAL_COPY ||
		 ret->part == JOURNAL_MOVE;
	ret->from = has_from ? folder_of(fl, e->origin.folder) : NULL;
	ret->to = has_to ? folder_of(fl, is_look ? e->sent_to : e->at) : NULL;
	ret->uidvalidity = has_from ? e->origin.uidvalidity : 0;
	return (ret->from || !has_from) && (ret->to || !has_to);
}

/* One at a time of a lane; and of what is in doubt, of a destination. */
static bool excludes(const struct batch *b, const struct way *w)
{
	if (b->is_doubted && w->is_doubted && b->to == w->to)
		return true;
	return b->part == w->part && b->from == w->from && b->to == w->to;
}

static bool is_running(const struct flush *fl, const struct way *w)
{
	for (const struct batch *b = fl->batches; b; b = b->next)
		if (excludes(b, w))
			return true;
	return false;
}

static void note_doubt(const struct journal_entry *e, struct way *w)
{
	w->is_doubted = e->doubt != 0;
	if (!w->is_doubted)
		return;
	w->to_uidvalidity = e->sent_uidvalidity;
	w->to_uidnext = e->sent_uidnext;
}

/* The mailbox has other UIDs than the record: they are looked for first. */
static bool has_other_uids(struct flush *fl, const struct way *w,
			   struct lane *l)
{
	struct cache_state s;

	if (!w->from)
		return false;
	folder_state(w->from, &s);
	if (s.uidvalidity == w->uidvalidity)
		return false;
	folder_resync(fl->fs, w->from);
	flush_pause_lane(fl, l);
	return true;
}

static uint64_t bytes_of(struct flush *fl, const struct way *w, uint64_t id)
{
	struct cache_msg m = {0};
	struct box *box;

	if (folder_get(fl->fs, w->to, &box) != 0)
		return 0;
	if (box_find_id(box, id, &m) != 0)
		m.size = 0;
	folder_put(fl->fs, w->to);
	return m.size;
}

/* What is drafted in one round: batches that have not begun. */
struct draft {
	struct batch *v[FLUSH_BATCHES];
	unsigned n, room;
	uint64_t sending; /* bytes of new messages, with what is on its way */
	bool no_more;     /* of them */
};

static uint64_t bytes_sent_now(const struct flush *fl)
{
	uint64_t sum = 0;

	for (const struct batch *b = fl->batches; b; b = b->next)
		sum += b->bytes;
	return sum;
}

/* One that does not fit holds up those behind it, or it would never go. */
static bool is_for_today(struct flush *fl, struct draft *d, uint64_t bytes)
{
	if (!d->no_more)
		d->no_more = !budget_may_send(fl->fs, bytes, d->sending);
	return !d->no_more;
}

/*
 * Who waits for what is not sent today is told so. While others are on their
 * way it is not known yet: the end of those has it planned again.
 */
static void note_day(struct flush *fl, const struct draft *d)
{
	bool over = d->no_more && d->sending == 0, news;

	lock_take(&fl->lock);
	news = over && !fl->day_is_over;
	fl->day_is_over = over;
	lock_drop(&fl->lock);
	if (over)
		fl->replan_ms = clock_earlier(
			fl->replan_ms, clock_now_ms() + budget_wait_ms(fl->fs));
	if (news)
		flush_tell(fl);
}

static bool is_full(struct batch *b, const struct lane *l, uint64_t bytes)
{
	if (b->n >= l->limit)
		return true;
	return b->part == JOURNAL_APPEND && b->n > 0 &&
	       (b->n >= FLUSH_APPENDS || b->bytes + bytes > FLUSH_APPEND_BYTES);
}

/* The batch that takes this record; NULL: none does now. */
static struct batch *find_draft(struct flush *fl, struct draft *d,
				const struct way *w,
				const struct journal_entry *e)
{
	struct batch *b;

	for (unsigned i = 0; i < d->n; i++) {
		if (batch_goes(d->v[i], w, e))
			return d->v[i];
		/* In the order of records. */
		if (excludes(d->v[i], w))
			return NULL;
	}
	if (d->n == d->room)
		return NULL;
	b = batch_new(fl, w, e);
	if (b)
		d->v[d->n++] = b;
	return b;
}

static bool is_paused(struct flush *fl, const struct lane *l)
{
	if (l->retry_ms <= clock_now_ms())
		return false;
	fl->replan_ms = clock_earlier(fl->replan_ms, l->retry_ms);
	return true;
}

static void draft_one(struct flush *fl, struct draft *d,
		      const struct journal_entry *e)
{
	uint64_t bytes = 0;
	struct batch *b;
	struct lane *l;
	struct way w;

	if (!find_way(fl, e, &w))
		return;
	note_doubt(e, &w);
	if (is_running(fl, &w))
		return;
	l = flush_lane(fl, w.part, w.from, w.to);
	if (!l || is_paused(fl, l) || has_other_uids(fl, &w, l))
		return;
	if (w.part == JOURNAL_APPEND && !w.is_look) {
		bytes = bytes_of(fl, &w, e->id);
		if (!is_for_today(fl, d, bytes))
			return;
	}
	b = find_draft(fl, d, &w, e);
	if (!b || is_full(b, l, bytes) || batch_add(b, e) != 0)
		return;
	b->bytes += bytes;
	d->sending += bytes;
}

static void begin_drafts(struct flush *fl, struct draft *d)
{
	for (unsigned i = 0; i < d->n; i++) {
		struct batch *b = d->v[i];

		if (b->n == 0 || !hold_both(fl, b)) {
			batch_free(b);
			continue;
		}
		link_batch(fl, b);
		flush_begin(b);
	}
}

void flush_plan(struct flush *fl)
{
	const struct journal_filter all = {.phases = 1u << JOURNAL_QUEUED};
	struct draft d = {.room = FLUSH_BATCHES - fl->n_batches,
			  .sending = bytes_sent_now(fl)};
	struct journal_list *list;
	int r;

	stop_waiting(fl);
	fl->replan_ms = CLOCK_NEVER;
	if (!fl->fs->online || fl->n_batches >= FLUSH_BATCHES)
		return;
	r = journal_read(fl->fs->cache, &all, &list);
	if (r != 0) {
		log_warn("flush: cannot read what is queued: %s",
			 strerrordesc_np(-r));
		fl->replan_ms = clock_now_ms() + fl->retry_ms;
		return;
	}
	for (size_t i = 0; i < list->n; i++)
		draft_one(fl, &d, &list->v[i]);
	free(list);
	note_day(fl, &d);
	begin_drafts(fl, &d);
}

/* --- what was sent before the start --- */

/* Where it went, as it was sent. */
static bool find_sent_way(struct flush *fl, const struct journal_entry *e,
			  struct way *ret)
{
	struct journal_entry sent = *e;

	sent.what = e->sent;
	sent.doubt = 0;
	sent.at = e->sent_to;
	sent.waits_for = 0;
	return find_way(fl, &sent, ret) && ret->part != JOURNAL_REMOVE;
}

static struct batch *find_sent_batch(struct flush *fl, const struct way *w,
				     const struct journal_entry *e)
{
	struct batch *b;

	for (b = fl->batches; b; b = b->next)
		if (batch_goes(b, w, e) && b->n < IMAP_CHANGE_UIDS_MAX &&
		    b->to_uidvalidity == e->sent_uidvalidity &&
		    b->to_uidnext == e->sent_uidnext)
			return b;
	b = batch_new(fl, w, e);
	if (!b)
		return NULL;
	b->to_uidvalidity = e->sent_uidvalidity;
	b->to_uidnext = e->sent_uidnext;
	b->unknown = true;
	b->state = BATCH_PAUSED;
	b->resume_ms = CLOCK_NEVER;
	(void)hold_both(fl, b); /* nothing runs yet */
	link_batch(fl, b);
	return b;
}

/*
 * Removals may be asked for twice. What cannot be looked for, since a folder of
 * it is not shown in this mount, is in doubt until it can.
 */
static int send_again(struct flush *fl, const struct journal_entry *e)
{
	struct journal_result v = {
		.id = e->id, .rest = JOURNAL_AGAIN, .doubt = true};

	return journal_settle(fl->fs->cache, &v, 1, NULL);
}

int flush_find_sent(struct flush *fl)
{
	const struct journal_filter sent = {.phases = 1u << JOURNAL_SENT};
	struct journal_list *list;
	struct batch *b;
	struct way w;
	int r;

	r = journal_read(fl->fs->cache, &sent, &list);
	if (r != 0)
		return r;
	for (size_t i = 0; r == 0 && i < list->n; i++) {
		const struct journal_entry *e = &list->v[i];

		if (!find_sent_way(fl, e, &w)) {
			r = send_again(fl, e);
			continue;
		}
		b = find_sent_batch(fl, &w, e);
		r = b ? batch_add(b, e) : -ENOMEM;
		if (r == 0)
			batch_sort(b);
	}
	free(list);
	return r;
}
