/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When the watcher begins again, and whether by IDLE: what its ends so far say
 * of the server and the line.
 *
 * A watch that lasted for AGAIN_STEADY_MS has cost nobody anything, and the
 * next one begins at once. After shorter ones the pause doubles, since each may
 * cost a login. But beginning again is also how a mailbox is asked what moved
 * meanwhile. So a lost connection is never waited out for longer than a mailbox
 * that is asked by NOOP would wait; only a refusal is.
 *
 * That all connections were lost at once is no doing of the watcher's. The pool
 * cuts the pause short then (pool_watch_anew_locked()).
 *
 * IDLE that is refused once, or that ends too soon again and again, be it with
 * the connection, is left alone for an hour; NOOP asks in its place.
 *
 * Plain values; no thread of its own.
 */
#ifndef IMAPFS_IMAP_AGAIN_H
#define IMAPFS_IMAP_AGAIN_H

#include "imap/mail.h"

#define AGAIN_STEADY_MS 15000
#define AGAIN_REFUSED_MAX_MS 300000
#define AGAIN_IDLE_MIN_MS 1000 /* IDLE that ends earlier failed */
#define AGAIN_IDLE_FAILURES 3  /* ... so often: it is left alone */
#define AGAIN_IDLE_MS 3600000  /* ... for so long */

struct again {
	int64_t first_ms;       /* the first pause; fixed */
	int64_t lost_max_ms;    /* the longest behind a loss; fixed */
	unsigned short_ones;    /* watches, one after the other */
	unsigned idle_failures; /* likewise */
	int64_t idle_failed_ms;
};

/* How long to wait, after a watch of `held_ms` (0: it did not begin). */
int64_t again_lost(struct again *a, int64_t held_ms);
int64_t again_refused(struct again *a, int64_t held_ms);

/* The server ended IDLE after so long (-1: it never granted it). */
void again_idle_ended(struct again *a, int64_t lasted_ms, int64_t now_ms);
void again_idle_refused(struct again *a, int64_t now_ms);
/* It ended because we wished so. */
void again_idle_kept(struct again *a);

bool again_may_idle(const struct again *a, int64_t now_ms);

#endif
