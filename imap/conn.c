/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imap/alive.h"
#include "imap/log.h"

/*
 * A connection's thread. It waits until it is wanted, connects, and then goes
 * round: take jobs that fit, open their mailbox, let each send what the window
 * has room for, wait for the server, hand out what came, end what is finished.
 *
 * Everything that talks (session, jobs, callbacks) runs without the lock; the
 * lock is taken to look at the queue and to publish what others decide by. A
 * mailbox is opened only while nothing is in flight, so an answer can never be
 * taken for one of another mailbox.
 *
 * When somebody waits in read(2) for another mailbox and no other connection
 * can be had, long jobs make room: they begin nothing new, and are put back
 * into the queue when the last of their commands is over.
 */

int conn_init(struct conn *c, struct imap *im, unsigned index)
{
	c->im = im;
	(void)snprintf(c->name, sizeof(c->name), "imap-%u", index + 1);
	lock_cond_init(&c->wake);
	c->look_at_ms = CLOCK_NEVER;
	c->session.cfg = &im->cfg;
	c->session.tls = im->tls;
	c->session.ops = &route_ops;
	c->session.ctx = c;
	c->session.name = c->name;
	return session_init(&c->session);
}

void conn_finish(struct conn *c)
{
	session_finish(&c->session);
	lock_cond_finish(&c->wake);
	free(c->mailbox);
}

void conn_wake_locked(struct conn *c)
{
	if (c->state == CONN_READY || atomic_load(&c->im->stop))
		net_wake(c->session.net);
	lock_cond_wake(&c->wake);
}

unsigned conn_in_flight(const struct conn *c)
{
	const struct session *s = &c->session;
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_slots; i++)
		n += s->slots[i].call.job != NULL;
	return n;
}

/* Somebody has a reason to doubt all connections. */
static void follow_probe_locked(struct imap *im, struct conn *c)
	REQUIRES(im->lock)
{
	if (c->probes != im->probes)
		session_probe(&c->session, im->probe_ms);
	c->probes = im->probes;
}

/*
 * When to look for the watcher again, after a look at `looked_ms`. A time that
 * was over by then is no time to wait for; one that comes while the look is
 * taken is.
 */
static int64_t look_again_ms(struct imap *im, const struct conn *c,
			     int64_t looked_ms) REQUIRES(im->lock)
{
	int64_t at_ms = pool_watch_at_locked(im, c);

	return at_ms > looked_ms ? at_ms : CLOCK_NEVER;
}

static void take_jobs(struct conn *c)
{
	struct imap *im = c->im;
	int64_t now_ms = clock_now_ms();
	bool yield = false;
	struct job *j;

	do {
		lock_take(&im->lock);
		follow_probe_locked(im, c);
		conn_publish_locked(im, c);
		j = atomic_load(&im->stop) ? NULL : pool_take_locked(im, c);
		if (j) {
			j->taken_ms = clock_now_ms();
			jobs_push(&c->running, j);
			conn_publish_locked(im, c);
		} else {
			yield = pool_yields_locked(im, c);
			c->look_at_ms = look_again_ms(im, c, now_ms);
		}
		lock_drop(&im->lock);
		if (j)
			route_begin(c, j);
	} while (j);
	for (j = c->running.first; j; j = j->next)
		j->yield = yield;
}

/*
 * Put back what runs and is not finished; what was cancelled by now, and what
 * is finished, ends. In one step: a job that is neither running nor queued
 * could not be cancelled.
 */
static void put_back(struct conn *c)
{
	struct imap *im = c->im;
	struct job_list again = {0};
	struct job_list ended = {0};
	struct job *j;

	lock_take(&im->lock);
	while ((j = jobs_pop(&c->running)) != NULL) {
		if (atomic_load(&j->cancelled))
			job_finish(j, -ECANCELED, NULL);
		j->started = false;
		j->yield = false;
		if (j->finished)
			jobs_push(&ended, j);
		else
			jobs_push_front(&again, j);
	}
	while ((j = jobs_pop(&again)) != NULL)
		pool_requeue_locked(im, j);
	conn_publish_locked(im, c);
	lock_drop(&im->lock);
	while ((j = jobs_pop(&ended)) != NULL)
		keeper_end_job(j);
}

/* Everything that runs makes room, if nothing of it is out any more. */
static bool make_room(struct conn *c)
{
	if (!c->running.first || c->reopen || conn_in_flight(c) > 0)
		return false;
	for (struct job *j = c->running.first; j; j = j->next) {
		if (!j->yield || !j->started || !j->class->pause(j) ||
		    j->finished)
			return false;
	}
	put_back(c);
	return true;
}

/* It cannot be done now, or not so, and waits for another time. */
static void put_off(struct conn *c, struct job *j)
{
	struct imap *im = c->im;

	job_begin_anew(j);
	lock_take(&im->lock);
	(void)jobs_remove(&c->running, j);
	pool_requeue_locked(im, j);
	conn_publish_locked(im, c);
	pool_kick_locked(im);
	lock_drop(&im->lock);
}

/* End what is finished or cancelled. */
static void reap_jobs(struct conn *c)
{
	struct imap *im = c->im;
	struct job *next;

	route_note_sent(c);
	for (struct job *j = c->running.first; j; j = next) {
		next = j->next;
		if (atomic_load(&j->cancelled))
			job_finish(j, -ECANCELED, NULL);
		if (!j->finished)
			continue;
		route_forget(c, j);
		if (c->body_job == j)
			c->body_job = NULL;
		if (j->class->lasting || j->again) {
			put_off(c, j);
			continue;
		}
		lock_take(&im->lock);
		(void)jobs_remove(&c->running, j);
		c->job_ms = clock_now_ms();
		conn_publish_locked(im, c);
		pool_kick_locked(im);
		lock_drop(&im->lock);
		keeper_end_job(j);
	}
}

static void pump_jobs(struct conn *c)
{
	for (unsigned p = 0; p <= JOB_PRIO_LASTING; p++) {
		for (struct job *j = c->running.first; j; j = j->next) {
			if (j->prio == p && !j->finished)
				route_pump(c, j);
		}
	}
}

/* For people who look: what a job says that it does may change at any time. */
static void publish_word(struct conn *c)
{
	struct imap *im = c->im;
	const struct job *j = c->running.first;

	if (!j || j->word == c->word)
		return;
	lock_take(&im->lock);
	c->word = j->word;
	lock_drop(&im->lock);
}

/* Ready: until the connection is lost (negative) or to be closed (0). */
static int serve(struct conn *c)
{
	int r;

	for (;;) {
		if (atomic_load(&c->im->stop))
			return 0;
		take_jobs(c);
		route_reopen(c);
		pump_jobs(c);
		reap_jobs(c);
		if (make_room(c))
			continue;
		if (conn_is_superfluous(c))
			return 0;
		r = conn_keep_alive(c);
		if (r < 0)
			return r;
		publish_word(c);
		r = session_step(&c->session, conn_next_deadline(c));
		if (r < 0)
			return r;
	}
}

/*
 * Once; but what takes all connections away is met on each of them, and counts
 * as one loss. After a time-out, who has waited all that time has waited long
 * enough. A server that ends the session in the middle of an answer may do so
 * each time: then it can be asked for less.
 */
static bool may_repeat(const struct conn *c, struct job *j, int result)
{
	int64_t waited_ms = clock_now_ms() - j->taken_ms;
	unsigned timeout_ms = atomic_load(&c->session.timeout_ms);
	bool is_cut = c->session.ended && j->class->cut && j->class->cut(j);

	return (is_cut || j->lost == 0 || c->login <= j->lost) &&
	       (result == -ENOTCONN ||
		(result == -ETIMEDOUT && waited_ms < timeout_ms));
}

/* What was running when the connection was lost: begins again, or ends. */
static void drop_jobs(struct conn *c, int result)
{
	c->body_job = NULL;
	c->reopen = false;
	route_note_sent(c);
	/* Without the lock: a body that was coming is ended here. */
	for (struct job *j = c->running.first; j; j = j->next) {
		/* It may have been refused at the very moment of the loss. */
		if (j->class->lasting || j->again) {
			job_begin_anew(j);
			continue;
		}
		if (atomic_load(&j->cancelled))
			job_finish(j, -ECANCELED, NULL);
		if (j->finished)
			continue;
		if (!may_repeat(c, j, result) || !j->class->repeat(j))
			job_finish(j, result, &c->session.why);
		else if (j->lost == 0)
			j->lost = atomic_load(&c->im->logins);
	}
	put_back(c);
}

static void note_failure(struct conn *c, int r)
{
	struct imap *im = c->im;
	const struct imap_error *why = &c->session.why;

	lock_take(&im->lock);
	c->state = CONN_CLOSED;
	c->wanted = false;
	im->near_until_ms = CLOCK_NEVER;
	im->attempts++;
	im->last_error = *why;
	if (im->n_ready > 0) {
		keeper_put_off_extra_locked(im);
		/* A refused login is not tried again while others are good. */
		if (why->fault == FAULT_LIMIT || why->fault == FAULT_AUTH)
			im->limit = im->n_ready;
		if (why->fault == FAULT_LIMIT)
			im->limit_until_ms =
				clock_now_ms() + POOL_BACKOFF_LIMIT_MS;
		else if (why->fault == FAULT_AUTH)
			im->limit_until_ms = CLOCK_NEVER;
		if (r != -ECANCELED) /* else nothing goes on: we end */
			log_warn("imap: going on with %u connections: %s",
				 im->n_ready, why->text);
		/* What waited for this one has to share another. */
		pool_kick_locked(im);
		if (r == -ETIMEDOUT)
			pool_probe_locked(im, im->doubt_ms);
	} else if ((c->beside || im->just_lost) && r == -ENOTCONN) {
		/*
		 * What took the good ones away took it along: that there is no
		 * way is for the next try to say. (Not a refusal of ours.)
		 */
		im->just_lost = false;
		log_debug("imap: %s: %s", c->name, why->text);
	} else {
		im->fails++;
		im->fail_until_ms = clock_now_ms() + POOL_FAIL_FAST_MS;
		keeper_back_off_locked(im, why);
		pool_fail_locked(im, r == -EACCES ? r : -ENOTCONN, why);
	}
	pool_kick_locked(im); /* who waited for this one */
	lock_cond_wake_all(&im->attempted);
	lock_drop(&im->lock);
	keeper_tell(im);
}

static void note_ready(struct conn *c)
{
	struct imap *im = c->im;

	c->login = atomic_fetch_add(&im->logins, 1) + 1;
	lock_take(&im->lock);
	c->state = CONN_READY;
	c->wanted = false;
	im->near_until_ms = CLOCK_NEVER;
	im->n_ready++;
	keeper_note_login_locked(im);
	im->just_lost = false;
	im->attempts++;
	c->useful = false;
	if (im->n_ready == 1)
		pool_watch_anew_locked(im);
	if (im->n_ready == 1 && im->limit_until_ms == CLOCK_NEVER)
		im->limit_until_ms = 0; /* the login is good again */
	im->refused = false;
	im->extra_failures = 0;
	im->extra_at_ms = im->fail_until_ms = 0;
	im->retry_at_ms = CLOCK_NEVER;
	c->probes = im->probes;
	/* Who waits for the first connection has something to ask. */
	c->job_ms = im->n_ready == 1 ? clock_now_ms() : 0;
	conn_publish_locked(im, c);
	lock_cond_wake_all(&im->attempted);
	lock_cond_wake(
		&im->keeper_wake); /* it watches the clocks from now on */
	lock_drop(&im->lock);
	keeper_tell(im);
}

static void note_closed(struct conn *c, int r)
{
	struct imap *im = c->im;

	lock_take(&im->lock);
	c->state = CONN_CLOSED;
	im->n_ready--;
	if (r < 0)
		im->last_error = c->session.why;
	/* What swallowed this one may have swallowed the others. */
	if (r == -ETIMEDOUT)
		pool_probe_locked(im, im->doubt_ms);
	lock_drop(&im->lock);

	drop_jobs(c, r < 0 ? r : -ECANCELED);
	if (r == 0)
		session_logout(&c->session);
	session_close(&c->session);

	lock_take(&im->lock);
	conn_publish_locked(im, c);
	/* A server that lets us in only to throw us out counts as failing. */
	if (c->useful && !keeper_is_rush_locked(im))
		im->failures = im->put_offs = 0;
	if (im->n_ready == 0 && !atomic_load(&im->stop)) {
		im->just_lost = true;
		keeper_back_off_locked(im, &c->session.why);
		if (keeper_is_rush_locked(im))
			pool_fail_locked(im, -ENOTCONN, &c->session.why);
		lock_cond_wake(&im->keeper_wake);
	}
	keeper_stay_refused_locked(im);
	pool_kick_locked(im);
	lock_drop(&im->lock);
	keeper_tell(im);
}

static bool wait_wanted(struct conn *c)
{
	struct imap *im = c->im;
	bool go;

	lock_take(&im->lock);
	while (!c->wanted && !atomic_load(&im->stop))
		(void)lock_cond_wait(&c->wake, &im->lock, CLOCK_NEVER);
	go = !atomic_load(&im->stop);
	if (go) {
		c->state = CONN_CONNECTING;
		c->beside = im->n_ready > 0;
	}
	lock_drop(&im->lock);
	return go;
}

void *conn_main(void *arg)
{
	struct conn *c = arg;
	int r;

	pthread_setname_np(pthread_self(), c->name);
	while (wait_wanted(c)) {
		/* A wake-up that was meant for its life before counts not. */
		do {
			r = session_open(&c->session);
		} while (r == -ECANCELED && !atomic_load(&c->im->stop));
		if (r < 0) {
			note_failure(c, r);
			continue;
		}
		note_ready(c);
		r = serve(c);
		note_closed(c, r);
	}
	return NULL;
}
