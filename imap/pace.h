/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How far ahead a listing asks: for as many rows as the line brings within
 * PACE_LATE_MS, beyond the round trip. A server that describes a hundred
 * messages a millisecond, 50 ms away, wants ten thousand asked for at once; on
 * a slow line a hundredth of that is more than a reader likes to wait behind.
 *
 * What the line brings is measured as it comes. While too little is asked for
 * the measure is of that, and PACE_LATE_MS let it grow with each round trip.
 *
 * Plain values; no thread of its own.
 */
#ifndef IMAPFS_IMAP_PACE_H
#define IMAPFS_IMAP_PACE_H

#include "imap/mail.h"

#define PACE_LATE_MS 400
#define PACE_MIN 100u /* rows; what follows, too */
#define PACE_START 6000u
#define PACE_SLOW_MS 30 /* beyond the round trip, for the first window */
#define PACE_MAX 12000u
/* The first goes alone, or the others would share the line with it. */
#define PACE_WINDOW_FIRST 100u
#define PACE_WINDOW_MAX 500u

struct pace {
	int64_t slow_ms;  /* PACE_SLOW_MS; fixed */
	unsigned ahead;   /* so many may be on their way; 0: the first window */
	unsigned rows;    /* so many have come ... */
	int64_t since_ms; /* ... since then */
};

/* The rows of the next window: two of them are what is asked for ahead. */
unsigned pace_window(const struct pace *p);

/* Nothing was on its way, and something is from now on. */
void pace_begin(struct pace *p, int64_t now_ms);

/*
 * A window has come: from time to time the measure follows. Unless the first
 * one shows that the line is slow, PACE_START is what is asked for behind it.
 */
void pace_answered(struct pace *p, int64_t now_ms, int64_t rtt_ms);

#endif
