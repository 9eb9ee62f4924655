/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/pool.h"

#include <errno.h>
#include <time.h>

#include "imap/alive.h"
#include "imap/log.h"

/*
 * The keeper: a thread that does what no connection can be asked to do. It
 * ends jobs that never got one (cancelled, or connecting failed), starts the
 * next try to connect when its time has come, lets the others make room when
 * one takes too long, and compares the clocks: when the machine was asleep
 * (CLOCK_BOOTTIME went on, CLOCK_MONOTONIC did not) or this process was stopped
 * (a look at the clocks came much too late), routers on the way may have
 * forgotten the connections, and each is asked to prove itself.
 *
 * Events are told by whatever thread made them, one at a time: who finds
 * another one telling leaves its news to that one, so the owner can never hear
 * "offline" behind an "online" that came later.
 */

void keeper_end_job(struct job *j)
{
	lock_assert_none();
	log_debug("imap: %s of '%s': %d", j->class->name,
		  j->mailbox ? j->mailbox : "", j->result);
	j->class->done(j);
	j->class->free(j);
}

void keeper_tell(struct imap *im)
{
	struct imap_error why;

	lock_take(&im->lock);
	if (im->telling) {
		lock_drop(&im->lock);
		return;
	}
	im->telling = true;
	for (;;) {
		bool online = im->n_ready > 0;

		/* Going down because the owner says so is no news. */
		if (atomic_load(&im->stop) ||
		    (online == im->told_online &&
		     (online || im->told_fails == im->fails)))
			break;
		im->told_online = online;
		im->told_fails = im->fails;
		why = im->last_error;
		lock_drop(&im->lock);
		lock_assert_none();
		if (online && im->events.online)
			im->events.online(im->ctx);
		else if (!online && im->events.offline)
			im->events.offline(im->ctx, &why);
		lock_take(&im->lock);
	}
	im->telling = false;
	lock_drop(&im->lock);
}

/* The next wait, behind so many failures; one more now. */
static int64_t doubled(int64_t wait, unsigned *before, int64_t max)
{
	for (unsigned i = 0; i < *before && wait < max; i++)
		wait *= 2;
	(*before)++;
	return clock_earlier(wait, max);
}

void keeper_back_off_locked(struct imap *im, const struct imap_error *why)
{
	bool put_off = why->fault == FAULT_LIMIT;
	int64_t max = put_off ? POOL_BACKOFF_LIMIT_MS : POOL_BACKOFF_MAX_MS;
	unsigned *before = put_off ? &im->put_offs : &im->failures;
	int64_t wait = im->backoff_ms;

	if (why->fault == FAULT_AUTH) {
		im->refused = true;
		im->retry_at_ms = CLOCK_NEVER;
		return;
	}
	wait = doubled(wait, before, max);
	/* Up to a quarter more, so that clients of one server spread out. */
	im->jitter = im->jitter * 1664525u + 1013904223u;
	wait += (int64_t)((uint64_t)wait * (im->jitter >> 16) / 65536 / 4);
	im->retry_at_ms = clock_now_ms() + wait;
}

/*
 * A firewall that lets no more connections through answers to none: each try
 * takes the whole time-out.
 */
void keeper_put_off_extra_locked(struct imap *im)
{
	im->extra_at_ms =
		clock_now_ms() +
		doubled(im->extra_ms, &im->extra_failures, POOL_BACKOFF_MAX_MS);
}

bool keeper_is_rush_locked(struct imap *im)
{
	int64_t n = (clock_now_ms() - im->rush_at_ms) / im->rush_ms;

	im->rush -= n < im->rush ? (unsigned)n : im->rush;
	im->rush_at_ms += n * im->rush_ms;
	return im->rush >= im->rush_max;
}

void keeper_note_login_locked(struct imap *im)
{
	if (!keeper_is_rush_locked(im))
		im->rush++;
}

/*
 * As long as there are good connections, those do it. Without any, one last
 * login finds out; if that was refused by now, what waits ends.
 */
void keeper_stay_refused_locked(struct imap *im)
{
	if (im->limit_until_ms == CLOCK_NEVER && im->n_ready > 0)
		im->limit = im->n_ready;
	if (im->refused && im->n_ready == 0)
		pool_fail_locked(im, -EACCES, &im->last_error);
}

/* Is it time for another try, and nobody is at it? */
static bool retry_due(struct imap *im) REQUIRES(im->lock)
{
	if (im->n_ready > 0 || im->refused || clock_now_ms() < im->retry_at_ms)
		return false;
	for (unsigned i = 0; i < im->cfg.connections; i++) {
		if (im->conn[i].wanted || im->conn[i].state != CONN_CLOSED)
			return false;
	}
	return true;
}

/* Is there anything that sleep could change? */
static bool is_awake(struct imap *im) REQUIRES(im->lock)
{
	return im->n_ready > 0 ||
	       (!im->refused && im->retry_at_ms != CLOCK_NEVER);
}

int64_t keeper_asleep_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 - clock_now_ms();
}

/* What the clocks said last. */
struct clocks {
	int64_t at_ms; /* 0: nobody needs to know */
	int64_t asleep_ms;
};

static struct clocks read_clocks(struct imap *im)
{
	return (struct clocks){clock_now_ms(), im->asleep_ms()};
}

static void woke_up(struct imap *im) REQUIRES(im->lock)
{
	log_debug("imap: the machine or this process did not run for a while");
	pool_probe_locked(im, im->awake_ms);
	im->failures = im->put_offs = 0;
	if (im->n_ready == 0)
		im->retry_at_ms = clock_now_ms();
}

static void compare_clocks(struct imap *im, struct clocks *last)
	REQUIRES(im->lock)
{
	struct clocks now;
	int64_t due_ms;

	if (!is_awake(im)) {
		last->at_ms = 0;
		return;
	}
	now = read_clocks(im);
	due_ms = last->at_ms + im->tick_ms;
	if (last->at_ms != 0 && now.at_ms < due_ms)
		return;
	if (last->at_ms != 0 &&
	    (now.asleep_ms - last->asleep_ms >= im->late_ms ||
	     now.at_ms - due_ms >= im->late_ms))
		woke_up(im);
	*last = now;
}

/* The connection that is being made takes too long: the others make room. */
static void stop_waiting_for_help(struct imap *im) REQUIRES(im->lock)
{
	im->near_until_ms = CLOCK_NEVER;
	if (im->n_ready > 0)
		pool_kick_locked(im);
}

static int64_t next_look(struct imap *im, const struct clocks *last)
	REQUIRES(im->lock)
{
	int64_t tick_ms =
		last->at_ms != 0 ? last->at_ms + im->tick_ms : CLOCK_NEVER;

	tick_ms = clock_earlier(tick_ms, im->near_until_ms);
	if (im->n_ready > 0 || im->refused || clock_now_ms() >= im->retry_at_ms)
		return tick_ms;
	return clock_earlier(im->retry_at_ms, tick_ms);
}

void *keeper_main(void *arg)
{
	struct imap *im = arg;
	struct clocks last = {0};
	struct job *j;

	pthread_setname_np(pthread_self(), "imap-keeper");
	lock_take(&im->lock);
	for (;;) {
		j = jobs_pop(&im->ended);
		if (j) {
			lock_drop(&im->lock);
			keeper_end_job(j);
			lock_take(&im->lock);
			continue;
		}
		if (atomic_load(&im->stop))
			break;
		compare_clocks(im, &last);
		if (retry_due(im))
			pool_want_locked(im, &im->conn[0]);
		if (clock_now_ms() >= im->near_until_ms)
			stop_waiting_for_help(im);
		(void)lock_cond_wait(&im->keeper_wake, &im->lock,
				     next_look(im, &last));
	}
	lock_drop(&im->lock);
	return NULL;
}
