/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/set.h"

#include <errno.h>

/*
 * The walk over a set. What it costs depends on the bytes that a server sent,
 * which the framer limits, and never on the numbers that stand in them.
 *
 * Pure functions: no state but the caller's, any thread.
 */

void set_begin(struct set *set, const struct scan *at)
{
	*set = (struct set){.at = *at};
}

static bool number(struct scan *s, uint32_t *ret)
{
	uint64_t v;

	if (!scan_number_max(s, UINT32_MAX, &v) || v == 0)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static bool is_over(const struct scan *s)
{
	return scan_at_end(s) || *s->p == ' ' || *s->p == '\t' || *s->p == ')';
}

int set_next(struct set *set, struct set_run *ret)
{
	struct set_run run;

	if (is_over(&set->at))
		return 0;
	if (set->begun && !scan_char(&set->at, ','))
		return -EBADMSG;
	if (!number(&set->at, &run.first))
		return -EBADMSG;
	run.last = run.first;
	if (scan_char(&set->at, ':') && !number(&set->at, &run.last))
		return -EBADMSG;

	set->begun = true;
	*ret = run;
	return 1;
}

struct mail_range set_range(struct set_run run)
{
	if (run.first <= run.last)
		return (struct mail_range){run.first, run.last};
	return (struct mail_range){run.last, run.first};
}

uint64_t set_count(struct set_run run)
{
	struct mail_range v = set_range(run);

	return (uint64_t)v.last - v.first + 1;
}
