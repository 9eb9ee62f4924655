/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/flush_private.h"

#include <stdlib.h>

/*
 * What is remembered of batches between one pair of folders: how many messages
 * the server takes at a time, and when to try again; and what they have put
 * into a folder. The flusher's thread.
 */

struct lane *flush_lane(struct flush *fl, enum journal_part part,
			struct folder *from, struct folder *to)
{
	struct lane *l = fl->lanes;

	while (l && !(l->part == part && l->from == from && l->to == to))
		l = l->next;
	if (l)
		return l;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	*l = (struct lane){.next = fl->lanes,
			   .part = part,
			   .from = from,
			   .to = to,
			   .limit = IMAP_CHANGE_UIDS_MAX};
	fl->lanes = l;
	return l;
}

void flush_pause_lane(struct flush *fl, struct lane *l)
{
	int64_t pause = l->pause_ms ? l->pause_ms * 2 : fl->retry_ms;

	l->pause_ms = clock_earlier(pause, FLUSH_RETRY_MAX_MS);
	l->retry_ms = clock_now_ms() + l->pause_ms;
	fl->replan_ms = clock_earlier(fl->replan_ms, l->retry_ms);
}

void flush_forget_pauses(struct flush *fl)
{
	for (struct lane *l = fl->lanes; l; l = l->next)
		l->retry_ms = l->pause_ms = 0;
}

/* --- what has arrived --- */

static struct arrivals *find_arrivals(struct flush *fl, const struct folder *to)
{
	struct arrivals *a = fl->arrivals;

	while (a && a->to != to)
		a = a->next;
	return a;
}

static struct arrivals *make_arrivals(struct flush *fl, struct folder *to,
				      uint32_t uidvalidity)
{
	struct arrivals *a = find_arrivals(fl, to);

	if (!a) {
		a = calloc(1, sizeof(*a));
		if (!a)
			return NULL;
		a->to = to;
		a->next = fl->arrivals;
		fl->arrivals = a;
	}
	if (a->uidvalidity != uidvalidity) {
		ranges_clear(&a->uids);
		a->is_incomplete = false;
		a->uidvalidity = uidvalidity;
	}
	return a;
}

void flush_note_arrivals(struct batch *b)
{
	struct arrivals *a = NULL;

	for (size_t i = 0; b->to && i < b->n; i++) {
		uint32_t uid = b->v[i].to;

		if (b->v[i].verdict != VERDICT_DONE || uid == 0)
			continue;
		if (!a)
			a = make_arrivals(b->flush, b->to,
					  b->heard_uidvalidity
						  ? b->heard_uidvalidity
						  : b->to_uidvalidity);
		if (!a) /* then nothing that is new is believed to be late */
			b->flush->first_id = UINT64_MAX;
		else if (ranges_add(&a->uids, uid, uid) != 0)
			a->is_incomplete = true;
	}
}

bool flush_has_arrived(struct flush *fl, const struct folder *to,
		       uint32_t uidvalidity, uint32_t uid)
{
	struct arrivals *a = find_arrivals(fl, to);

	return a && a->uidvalidity == uidvalidity &&
	       (a->is_incomplete || ranges_has(&a->uids, uid));
}

void flush_free_lanes(struct flush *fl)
{
	struct arrivals *a;
	struct lane *l;

	while ((l = fl->lanes) != NULL) {
		fl->lanes = l->next;
		free(l);
	}
	while ((a = fl->arrivals) != NULL) {
		fl->arrivals = a->next;
		ranges_clear(&a->uids);
		free(a);
	}
}
