/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/pace.h"

/*
 * One slow moment of the server is no slow line: down it goes by halves, up at
 * once, for too little asked costs a round trip, and too much only the wait of
 * who comes meanwhile.
 */

#define MEASURE_MS 50 /* shorter times measure nothing */

static unsigned within(uint64_t v)
{
	if (v < PACE_MIN)
		return PACE_MIN;
	return v > PACE_MAX ? PACE_MAX : (unsigned)v;
}

unsigned pace_window(const struct pace *p)
{
	if (p->ahead == 0)
		return PACE_WINDOW_FIRST;
	return p->ahead / 2 < PACE_WINDOW_MAX ? p->ahead / 2 : PACE_WINDOW_MAX;
}

void pace_begin(struct pace *p, int64_t now_ms)
{
	p->rows = 0;
	p->since_ms = now_ms;
}

static void start(struct pace *p, int64_t took_ms, int64_t rtt_ms)
{
	int64_t on_line_ms = took_ms - rtt_ms;

	p->ahead = PACE_START;
	if (on_line_ms > p->slow_ms)
		p->ahead = within((uint64_t)p->rows * PACE_LATE_MS /
				  (uint64_t)on_line_ms);
}

void pace_answered(struct pace *p, int64_t now_ms, int64_t rtt_ms)
{
	int64_t took_ms = now_ms - p->since_ms;
	unsigned ahead;

	if (p->ahead == 0) {
		start(p, took_ms, rtt_ms);
		return;
	}
	if (took_ms < MEASURE_MS || took_ms < rtt_ms)
		return;
	ahead = within((uint64_t)p->rows * (uint64_t)(rtt_ms + PACE_LATE_MS) /
		       (uint64_t)took_ms);
	p->ahead = ahead < p->ahead ? (ahead + p->ahead) / 2 : ahead;
	pace_begin(p, now_ms);
}
