/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The bytes that came from the server and went to it, since a day began.
 *
 * A day is 24 hours from its first byte on. Google (the only one known to limit
 * an account's IMAP traffic by the day) tells no hour at which its own begins:
 * "Gmail bandwidth limits", support.google.com/a/answer/1071518, only says so
 * much "per day", and that an account over it is suspended for up to 24 hours.
 * Midnight, in whatever place, would be a guess, and begin anew a moment after
 * a limit was used up; this way that takes as long as a suspension.
 */
#ifndef IMAPFS_CACHE_BUDGET_H
#define IMAPFS_CACHE_BUDGET_H

#include "cache/cache.h"

#define BUDGET_DAY_S 86400
#define BUDGET_BYTES_MAX (1ULL << 60) /* more is not counted */

struct budget_day {
	int64_t begun_at; /* seconds since the epoch; 0: nothing has come yet */
	uint64_t down;
	uint64_t up;
};

/*
 * Count more bytes at `now`. A day that is over ends, whether there are any or
 * not. If the clock was set back, what is left of the day begins now: the bytes
 * stay counted, and not for longer than a day.
 */
void budget_day_add(struct budget_day *d, int64_t now, uint64_t down,
		    uint64_t up);

/* Keep it over restarts. Queued. Errors of cache_set_value(). */
MUST_CHECK int cache_save_budget(struct cache *c, const struct budget_day *d);

/*
 * What was saved last; as it was then: budget_day_add() tells what is left of
 * it. False, and zeroes: nothing was, or it cannot be believed.
 */
bool cache_load_budget(struct cache *c, struct budget_day *ret);

#endif
