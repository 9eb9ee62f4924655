/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/again.h"

/*
 * A line that is lost every 20 s has to be watched again each time, and a
 * server that ends every IDLE, or the connection with it, must not be logged in
 * to in a loop. What tells them apart is how long it went well.
 */

static int64_t wait_ms(struct again *a, int64_t held_ms, int64_t max_ms)
{
	int64_t ms = a->first_ms;

	if (held_ms >= AGAIN_STEADY_MS) {
		a->short_ones = 0;
		return 0;
	}
	for (unsigned i = 0; i < a->short_ones && ms < max_ms; i++)
		ms *= 2;
	a->short_ones++;
	return ms < max_ms ? ms : max_ms;
}

int64_t again_lost(struct again *a, int64_t held_ms)
{
	return wait_ms(a, held_ms, a->lost_max_ms);
}

int64_t again_refused(struct again *a, int64_t held_ms)
{
	return wait_ms(a, held_ms, AGAIN_REFUSED_MAX_MS);
}

void again_idle_ended(struct again *a, int64_t lasted_ms, int64_t now_ms)
{
	if (lasted_ms >= AGAIN_IDLE_MIN_MS) {
		again_idle_kept(a);
		return;
	}
	a->idle_failures++;
	a->idle_failed_ms = now_ms;
}

void again_idle_refused(struct again *a, int64_t now_ms)
{
	a->idle_failures = AGAIN_IDLE_FAILURES;
	a->idle_failed_ms = now_ms;
}

void again_idle_kept(struct again *a)
{
	a->idle_failures = 0;
}

bool again_may_idle(const struct again *a, int64_t now_ms)
{
	return a->idle_failures < AGAIN_IDLE_FAILURES ||
	       now_ms - a->idle_failed_ms >= AGAIN_IDLE_MS;
}
