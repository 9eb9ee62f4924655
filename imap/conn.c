/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
 */

int conn_init(struct conn *c, struct imap *im, unsigned index)
{
	c->im = im;
	(void)snprintf(c->name, sizeof(c->name), "imap-%u", index + 1);
	lock_cond_init(&c->wake);
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

static bool is_background(const struct job *j)
{
	return j->prio >= IMAP_PRIO_SYNC;
}

/* Commands whose meaning, or answer, depends on the mailbox. */
static unsigned count_in_flight(const struct session *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_slots; i++)
		n += s->slots[i].call.job != NULL;
	return n;
}

/* Let the others see what they decide by. */
static void publish_locked(struct imap *im, struct conn *c) REQUIRES(im->lock)
{
	struct session *s = &c->session;
	unsigned n = 0;

	c->n_background = 0;
	for (struct job *j = c->running.first; j; j = j->next) {
		c->running_id[n] = j->id;
		c->running_job[n++] = j;
		c->n_background += is_background(j);
	}
	c->n_running = n;
	c->in_flight = count_in_flight(s);
	c->expected = session_expected(s);
	c->bytes_in = net_bytes_in(s->net);
	c->bytes_out = net_bytes_out(s->net);
	c->compressed = net_is_compressed(s->net);
	if (c->state == CONN_READY)
		memcpy(im->server, s->server, sizeof(s->server));
	if ((s->mailbox == NULL) != (c->mailbox == NULL) ||
	    (s->mailbox && strcmp(s->mailbox, c->mailbox) != 0)) {
		free(c->mailbox);
		c->mailbox = s->mailbox ? strdup(s->mailbox) : NULL;
	}
}

/* Nobody waits any more for the commands of this job; they still run. */
static void forget_calls(struct conn *c, const struct job *j)
{
	struct session *s = &c->session;

	for (unsigned i = 0; i < s->n_slots; i++) {
		if (s->slots[i].call.job != j)
			continue;
		s->slots[i].call.job = &c->opener;
		s->slots[i].call.kind = CALL_FORGOTTEN;
	}
}

/* EXAMINE, for the first job that needs a mailbox. Nothing is in flight. */
static int open_mailbox(struct conn *c, const struct job *j)
{
	const struct call call = {.job = &c->opener, .kind = CALL_EXAMINE};
	struct session *s = &c->session;
	struct command cmd;
	char *name = strdup(j->mailbox);

	if (!name)
		return -ENOMEM;
	free(s->mailbox);
	s->mailbox = name;
	s->box = (struct imap_mailbox){0};
	c->opening = true;
	session_begin(s, &cmd);
	command_text(&cmd, "EXAMINE ");
	command_mailbox(&cmd, name);
	return session_send(s, &cmd, &call);
}

/* Make a job that was just taken ready to run. */
static void begin_job(struct conn *c, struct job *j)
{
	struct session *s = &c->session;
	bool is_open =
		s->mailbox && j->mailbox && strcmp(s->mailbox, j->mailbox) == 0;
	int r;

	if (!j->mailbox || (is_open && !c->opening && !j->class->fresh)) {
		j->started = true;
		j->class->start(j, s);
	} else if (!c->opening) {
		r = open_mailbox(c, j);
		if (r < 0) {
			c->opening = false;
			free(s->mailbox);
			s->mailbox = NULL;
			job_finish(j, r, NULL);
		}
	}
}

static void take_jobs(struct conn *c)
{
	struct imap *im = c->im;
	struct job *j;

	for (;;) {
		lock_take(&im->lock);
		publish_locked(im, c);
		j = atomic_load(&im->stop) ? NULL : pool_take_locked(im, c);
		if (j) {
			jobs_push(&c->running, j);
			publish_locked(im, c);
		}
		lock_drop(&im->lock);
		if (!j)
			return;
		begin_job(c, j);
	}
}

/* End what is finished or cancelled. */
static void reap_jobs(struct conn *c)
{
	struct imap *im = c->im;
	struct job *next;

	for (struct job *j = c->running.first; j; j = next) {
		next = j->next;
		if (atomic_load(&j->cancelled))
			job_finish(j, -ECANCELED, NULL);
		if (!j->finished)
			continue;
		forget_calls(c, j);
		if (c->body_job == j)
			c->body_job = NULL;
		lock_take(&im->lock);
		(void)jobs_remove(&c->running, j);
		publish_locked(im, c);
		pool_kick_locked(im);
		lock_drop(&im->lock);
		keeper_end_job(j);
	}
}

static void pump_jobs(struct conn *c)
{
	for (unsigned p = 0; p < N_IMAP_PRIO; p++) {
		for (struct job *j = c->running.first; j; j = j->next) {
			if (j->prio == p && j->started && !j->finished)
				j->class->pump(j, &c->session);
		}
	}
}

static int keep_alive(struct conn *c)
{
	static const struct call nobody = {0};
	struct session *s = &c->session;
	struct command cmd;

	if (s->n_slots > 0 || clock_now_ms() - s->used_ms < POOL_KEEPALIVE_MS)
		return 0;
	session_begin(s, &cmd);
	command_text(&cmd, "NOOP");
	return session_send(s, &cmd, &nobody);
}

/* An extra connection that nobody has used for long may go. */
static bool is_superfluous(struct conn *c)
{
	struct imap *im = c->im;
	bool others = false;

	if (c->running.first ||
	    clock_now_ms() - c->session.used_ms < POOL_IDLE_MS)
		return false;
	/* The first one stays: so two can never both leave it to the other. */
	lock_take(&im->lock);
	for (struct conn *i = im->conn; i < c; i++)
		others = others || i->state == CONN_READY;
	lock_drop(&im->lock);
	return others;
}

static int64_t next_deadline(const struct conn *c)
{
	return c->session.used_ms +
	       (clock_now_ms() - c->session.used_ms < POOL_IDLE_MS
			? POOL_IDLE_MS
			: POOL_KEEPALIVE_MS);
}

/* Ready: until the connection is lost (negative) or to be closed (0). */
static int serve(struct conn *c)
{
	int r;

	for (;;) {
		if (atomic_load(&c->im->stop))
			return 0;
		take_jobs(c);
		pump_jobs(c);
		reap_jobs(c);
		if (is_superfluous(c))
			return 0;
		r = keep_alive(c);
		if (r < 0)
			return r;
		r = session_step(&c->session, next_deadline(c));
		if (r < 0)
			return r;
	}
}

/*
 * What was running when the connection was lost: begins again, once, or ends.
 * After a time-out nothing is repeated: who asked has waited long enough.
 */
static void drop_jobs(struct conn *c, int result)
{
	struct imap *im = c->im;
	struct job_list again = {0};
	struct job *j;

	c->body_job = NULL;
	c->opening = false;
	for (;;) {
		lock_take(&im->lock);
		j = jobs_pop(&c->running);
		publish_locked(im, c);
		lock_drop(&im->lock);
		if (!j)
			break;
		if (atomic_load(&j->cancelled))
			job_finish(j, -ECANCELED, NULL);
		if (!j->finished && result == -ENOTCONN && !j->repeated &&
		    j->class->repeat(j)) {
			j->repeated = true;
			j->started = false;
			jobs_push_front(&again, j);
			continue;
		}
		job_finish(j, result, &c->session.why);
		keeper_end_job(j);
	}
	lock_take(&im->lock);
	while ((j = jobs_pop(&again)) != NULL)
		pool_requeue_locked(im, j);
	lock_drop(&im->lock);
}

static void note_failure(struct conn *c, int r)
{
	struct imap *im = c->im;
	const struct imap_error *why = &c->session.why;

	lock_take(&im->lock);
	c->state = CONN_CLOSED;
	c->wanted = false;
	im->attempts++;
	im->last_error = *why;
	c->not_before_ms = clock_now_ms() + POOL_EXTRA_RETRY_MS;
	if (im->n_ready > 0) {
		if (why->fault == FAULT_LIMIT) {
			im->limit = im->n_ready;
			im->limit_until_ms =
				clock_now_ms() + POOL_BACKOFF_LIMIT_MS;
		}
		log_warn("imap: going on with %u connections: %s", im->n_ready,
			 why->text);
	} else {
		im->fails++;
		im->fail_until_ms = clock_now_ms() + POOL_FAIL_FAST_MS;
		keeper_back_off_locked(im, why);
		pool_fail_locked(im, r == -EACCES ? r : -ENOTCONN, why);
	}
	lock_cond_wake_all(&im->attempted);
	lock_drop(&im->lock);
	keeper_tell(im);
}

static void note_ready(struct conn *c)
{
	struct imap *im = c->im;

	lock_take(&im->lock);
	c->state = CONN_READY;
	c->wanted = false;
	im->n_ready++;
	im->attempts++;
	im->failures = 0;
	im->refused = false;
	im->fail_until_ms = 0;
	im->retry_at_ms = CLOCK_NEVER;
	publish_locked(im, c);
	lock_cond_wake_all(&im->attempted);
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
	lock_drop(&im->lock);

	drop_jobs(c, r < 0 ? r : -ECANCELED);
	if (r == 0)
		session_logout(&c->session);
	session_close(&c->session);

	lock_take(&im->lock);
	publish_locked(im, c);
	if (im->n_ready == 0 && !atomic_load(&im->stop)) {
		im->retry_at_ms = clock_now_ms() + POOL_BACKOFF_MIN_MS;
		lock_cond_wake(&im->keeper_wake);
	}
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
	if (go)
		c->state = CONN_CONNECTING;
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
