/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/flush_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/folder.h"
#include "fs/keep.h"
#include "imap/log.h"

/*
 * From the journal to batches. The records are read in their order; each goes
 * to the batch of its kind, folders and (flags) difference, as far as one may
 * begin: one batch a lane at a time, FLUSH_BATCHES in all. A batch whose
 * folders are busy is given up again; the folders remember that they are
 * wanted, and whoever ends there wakes the thread.
 */

/* --- batches --- */

static void free_item(struct item *it)
{
	free(it->why);
	free(it->keywords);
}

void batch_free(struct batch *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n; i++)
		free_item(&b->v[i]);
	free(b->v);
	look_clear(&b->look);
	free(b->add_keywords);
	free(b->remove_keywords);
	free(b->left_keywords);
	free(b->why);
	free(b);
}

void batch_drop(struct batch *b, size_t i)
{
	free_item(&b->v[i]);
	memmove(&b->v[i], &b->v[i + 1], (b->n - i - 1) * sizeof(b->v[0]));
	b->n--;
}

static bool is_same_delta(const struct batch *b, const struct journal_entry *e)
{
	return b->add == e->add && b->remove == e->remove &&
	       strcmp(b->add_keywords, e->add_keywords) == 0 &&
	       strcmp(b->remove_keywords, e->remove_keywords) == 0;
}

/* Where a record's next command goes from and to, and what it does. */
struct way {
	enum journal_part part;
	struct folder *from, *to;
	uint32_t uidvalidity;
};

static bool is_way_of(const struct batch *b, const struct way *w,
		      const struct journal_entry *e)
{
	return b->part == w->part && b->from == w->from && b->to == w->to &&
	       b->from_uidvalidity == w->uidvalidity &&
	       (w->part != JOURNAL_STORE || is_same_delta(b, e));
}

static struct batch *new_batch(struct flush *fl, const struct way *w,
			       const struct journal_entry *e)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->flush = fl;
	b->part = w->part;
	b->from = w->from;
	b->to = w->to;
	b->from_uidvalidity = w->uidvalidity;
	b->add = e->add;
	b->remove = e->remove;
	b->add_keywords = strdup(e->add_keywords);
	b->remove_keywords = strdup(e->remove_keywords);
	if (b->add_keywords && b->remove_keywords)
		return b;
	batch_free(b);
	return NULL;
}

static int add_item(struct batch *b, const struct journal_entry *e)
{
	size_t room = b->room ? b->room * 2 : 16;
	struct item *v;

	if (b->n == b->room) {
		v = realloc(b->v, room * sizeof(*v));
		if (!v)
			return -ENOMEM;
		b->v = v;
		b->room = room;
	}
	b->v[b->n++] = (struct item){.batch = b,
				     .id = e->id,
				     .gen = e->gen,
				     .at = e->at,
				     .tries = e->tries,
				     .uid = e->origin.uid};
	return 0;
}

static int by_uid(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* From here on nothing is added: its messages have their place. */
static void link_batch(struct flush *fl, struct batch *b)
{
	if (b->part != JOURNAL_APPEND && b->n > 1)
		qsort(b->v, b->n, sizeof(b->v[0]), by_uid);
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

static enum journal_part first_part(unsigned what)
{
	return (enum journal_part)(what & -what);
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
	bool has_from, has_to;

	if (e->waits_for != 0 || e->what == 0)
		return false;
	ret->part = first_part(e->what);
	has_from = ret->part != JOURNAL_APPEND;
	has_to = ret->part == JOURNAL_APPEND || ret->part == JOURNAL_COPY ||
		 ret->part == JOURNAL_MOVE;
	ret->from = has_from ? folder_of(fl, e->origin.folder) : NULL;
	ret->to = has_to ? folder_of(fl, e->at) : NULL;
	ret->uidvalidity = has_from ? e->origin.uidvalidity : 0;
	return (ret->from || !has_from) && (ret->to || !has_to);
}

static bool is_running(const struct flush *fl, const struct way *w)
{
	for (const struct batch *b = fl->batches; b; b = b->next)
		if (b->part == w->part && b->from == w->from && b->to == w->to)
			return true;
	return false;
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
};

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
		if (is_way_of(d->v[i], w, e))
			return d->v[i];
		/* One at a time of a lane, and in the order of records. */
		if (d->v[i]->part == w->part && d->v[i]->from == w->from &&
		    d->v[i]->to == w->to)
			return NULL;
	}
	if (d->n == d->room)
		return NULL;
	b = new_batch(fl, w, e);
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

	if (!find_way(fl, e, &w) || is_running(fl, &w))
		return;
	l = flush_lane(fl, w.part, w.from, w.to);
	if (!l || is_paused(fl, l) || has_other_uids(fl, &w, l))
		return;
	b = find_draft(fl, d, &w, e);
	if (!b)
		return;
	if (w.part == JOURNAL_APPEND)
		bytes = bytes_of(fl, &w, e->id);
	if (is_full(b, l, bytes))
		return;
	if (add_item(b, e) == 0)
		b->bytes += bytes;
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
	struct draft d = {.room = FLUSH_BATCHES - fl->n_batches};
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
	begin_drafts(fl, &d);
}

/* --- what was sent before the start --- */

/* Where it went, as it was sent. */
static bool find_sent_way(struct flush *fl, const struct journal_entry *e,
			  struct way *ret)
{
	struct journal_entry sent = *e;

	sent.what = e->sent;
	sent.at = e->sent_to;
	sent.waits_for = 0;
	return find_way(fl, &sent, ret) && ret->part != JOURNAL_REMOVE;
}

static struct batch *find_sent_batch(struct flush *fl, const struct way *w,
				     const struct journal_entry *e)
{
	struct batch *b;

	for (b = fl->batches; b; b = b->next)
		if (is_way_of(b, w, e) && b->n < IMAP_CHANGE_UIDS_MAX &&
		    b->to_uidvalidity == e->sent_uidvalidity &&
		    b->to_uidnext == e->sent_uidnext)
			return b;
	b = new_batch(fl, w, e);
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

/* Removals may be asked for twice; so may what cannot be looked up. */
static int send_again(struct flush *fl, const struct journal_entry *e)
{
	struct journal_result v = {.id = e->id, .rest = JOURNAL_AGAIN};

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
		r = b ? add_item(b, e) : -ENOMEM;
		if (r == 0 && w.part != JOURNAL_APPEND)
			qsort(b->v, b->n, sizeof(b->v[0]), by_uid);
	}
	free(list);
	return r;
}
