/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What may still come from the server, and go to it, today.
 *
 * Gmail limits the IMAP traffic of an account, and suspends one that goes over
 * it for up to 24 hours, for all of its clients. So where messages have labels
 * (X-GM-EXT-1), and everywhere if the option daily_limit= is given, the bytes
 * of a day are counted (cache/budget.h says which day), over remounts:
 *
 *  - at BUDGET_AHEAD_PERCENT of the limit down, nothing is fetched that nobody
 *    waits for: no read-ahead, no bodies of folders that are kept;
 *  - at BUDGET_READ_PERCENT, bodies are not fetched at all: who reads one that
 *    is not in the cache gets -EDQUOT. What is left is for listings and syncs,
 *    which go on;
 *  - at the limit up, new messages wait in the queue.
 *
 * What was asked for before still comes, so a limit is met but for what is on
 * its way: a few MiB.
 *
 * The server may say by itself that it has enough, of any account: when it
 * refuses a body with -EDQUOT, none is asked for during a pause, which is
 * longer each time it happens again. When Gmail adds to an answer that the
 * account is near its limits, the same is so of what nobody waits for.
 *
 * Each of these is said once in the log, with the time at which it ends. Every
 * function may be called from any thread with no lock held.
 */
#ifndef IMAPFS_FS_BUDGET_H
#define IMAPFS_FS_BUDGET_H

#include "cache/budget.h"
#include "fs/fs.h"

/* Of Gmail: support.google.com/a/answer/1071518. */
#define BUDGET_GMAIL_DOWN 2500000000u
#define BUDGET_GMAIL_UP 500000000u
/* What daily_limit= does not say is in proportion. */
#define BUDGET_UP_PART (BUDGET_GMAIL_DOWN / BUDGET_GMAIL_UP)

#define BUDGET_AHEAD_PERCENT 60
#define BUDGET_READ_PERCENT 98
#define BUDGET_PAUSE_S 60
#define BUDGET_PAUSE_MAX_S 3600
/* A kill loses what was counted in so long. */
#define BUDGET_SAVE_MS 5000
/* The longest wait before it is looked again: clocks are set. */
#define BUDGET_LOOK_MS 600000

struct budget;

/* With what was counted before. -ENOMEM. */
MUST_CHECK int budget_new(struct fs *fs, struct budget **ret);
/* NULL is fine. */
void budget_free(struct budget *b);

/* Bytes of bodies that may be fetched though nobody waits for them. */
uint64_t budget_ahead_left(struct fs *fs);

/* May a body be fetched for its reader? Else -EDQUOT is the answer. */
bool budget_may_read(struct fs *fs);

/*
 * May a new message of so many bytes be sent while `beside` bytes of others are
 * on their way? One that is larger than nearly the whole limit goes alone,
 * before others: it would wait for ever.
 */
bool budget_may_send(struct fs *fs, uint64_t bytes, uint64_t beside);

/* When one of the three has said no: in how many ms to ask again. */
int64_t budget_wait_ms(struct fs *fs);

/* How a fetch of bodies has ended: 0, or an error of imap_fetch(). */
void budget_fetched(struct fs *fs, int result);

/*
 * Have what was counted saved, if it is more. When to call it again: a time, or
 * CLOCK_NEVER: nothing is counted here.
 */
int64_t budget_save(struct fs *fs, int64_t now_ms);

struct budget_report {
	struct budget_day day;
	uint64_t down_limit; /* 0: none */
	uint64_t up_limit;
	bool near_limits; /* as the server says */
	bool ahead_stops; /* budget_ahead_left() is 0 */
	bool reads_stop;  /* budget_may_read() is false ... */
	bool sends_stop;  /* ... and budget_may_send() for any message; for
			   * those that wait ask flush_waits_for_day() */
	int64_t until;    /* time(2) when all three are over; 0: none stops */
};
/* False: nothing is counted, and nothing stops. */
bool budget_get(struct fs *fs, struct budget_report *ret);

/* Local time, for people. */
#define BUDGET_TIME 64
void budget_print_time(int64_t at, char ret[BUDGET_TIME]);

#endif
