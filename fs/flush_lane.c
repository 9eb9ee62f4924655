/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/flush_private.h"

#include <stdlib.h>

/*
 * What is remembered of batches between one pair of folders: how many messages
 * the server takes at a time, and when to try again. The flusher's thread.
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

void flush_free_lanes(struct flush *fl)
{
	struct lane *next;

	for (struct lane *l = fl->lanes; l; l = next) {
		next = l->next;
		free(l);
	}
	fl->lanes = NULL;
}
