/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/pool.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/*
 * The queue, and the rules of who may take what.
 *
 * A job goes to a connection that has its mailbox open, else to an idle one,
 * else a new connection is made for it, else it waits; and a busy connection
 * that meets a waiting job which nobody can take stops taking others, so that
 * it drains and can turn to it. Work in the background never occupies the last
 * connection: somebody who waits in read(2) finds one.
 *
 * Connection threads pull (pool_take_locked()); who adds work wakes them
 * (pool_kick_locked()).
 */

void jobs_push(struct job_list *l, struct job *j)
{
	j->next = NULL;
	if (l->last)
		l->last->next = j;
	else
		l->first = j;
	l->last = j;
}

void jobs_push_front(struct job_list *l, struct job *j)
{
	j->next = l->first;
	l->first = j;
	if (!l->last)
		l->last = j;
}

bool jobs_remove(struct job_list *l, struct job *j)
{
	struct job *before = NULL;

	for (struct job *i = l->first; i; before = i, i = i->next) {
		if (i != j)
			continue;
		if (before)
			before->next = j->next;
		else
			l->first = j->next;
		if (l->last == j)
			l->last = before;
		j->next = NULL;
		return true;
	}
	return false;
}

struct job *jobs_pop(struct job_list *l)
{
	struct job *j = l->first;

	if (j)
		(void)jobs_remove(l, j);
	return j;
}

static bool is_background(enum imap_priority prio)
{
	return prio >= IMAP_PRIO_SYNC;
}

/* May there be work in the background on `c` (NULL: on a new connection)? */
static bool background_allowed(struct imap *im, const struct conn *c)
	REQUIRES(im->lock)
{
	unsigned busy = 0;

	if (im->limit <= 1 || (c && c->n_background > 0))
		return true;
	for (unsigned i = 0; i < im->cfg.connections; i++) {
		if (im->conn[i].n_background > 0)
			busy++;
	}
	return busy + 1 < im->limit;
}

/* Is the mailbox of this job open there, in the way in which it needs it? */
static bool has_open(const struct conn *c, const struct job *j)
{
	return j->mailbox && c->mailbox &&
	       strcmp(c->mailbox, j->mailbox) == 0 &&
	       (c->writable || !j->class->writes);
}

/* Can this connection run this job right now? */
static bool fits(struct imap *im, const struct conn *c, const struct job *j)
	REQUIRES(im->lock)
{
	bool idle = c->n_running == 0 && c->in_flight == 0;

	if (c->state != CONN_READY || c->n_running >= POOL_RUNNING_MAX)
		return false;
	if (is_background(j->prio) && !background_allowed(im, c))
		return false;
	if (idle || !j->mailbox)
		return true;
	if (j->class->fresh || !has_open(c, j))
		return false;
	/* A reader may wait behind a little more: it is near, and it is next.
	 */
	return c->expected < (j->prio == IMAP_PRIO_READER
				      ? 2 * POOL_EXPECTED_MAX
				      : POOL_EXPECTED_MAX);
}

/* The connection that should run it now; NULL: none can. */
static struct conn *best(struct imap *im, const struct job *j)
	REQUIRES(im->lock)
{
	struct conn *found = NULL;

	for (unsigned i = 0; i < im->cfg.connections; i++) {
		struct conn *c = &im->conn[i];

		if (!fits(im, c, j))
			continue;
		if (has_open(c, j))
			return c;
		if (!found || c->n_running < found->n_running)
			found = c;
	}
	return found;
}

struct job *pool_take_locked(struct imap *im, struct conn *c)
{
	for (unsigned p = 0; p < N_IMAP_PRIO; p++) {
		for (struct job *j = im->queue[p].first; j; j = j->next) {
			struct conn *to = best(im, j);

			if (to && to != c) {
				conn_wake_locked(to);
				continue;
			}
			if (to == c) {
				(void)jobs_remove(&im->queue[p], j);
				im->n_queued--;
				return j;
			}
			/* Held back on purpose: no reason to drain. */
			if (is_background(j->prio) &&
			    !background_allowed(im, c))
				continue;
			/* Nobody can: let this connection drain for it. */
			if (!has_open(c, j) || j->class->fresh)
				return NULL;
		}
	}
	return NULL;
}

static struct conn *spare(struct imap *im) REQUIRES(im->lock)
{
	struct conn *found = NULL;
	int64_t now = clock_now_ms();

	if (im->limit < im->cfg.connections && now >= im->limit_until_ms)
		im->limit = im->cfg.connections;

	for (unsigned i = 0; i < im->cfg.connections; i++) {
		struct conn *c = &im->conn[i];

		if (c->state == CONN_CONNECTING || c->wanted)
			return NULL; /* one at a time */
		if (c->state == CONN_CLOSED && !found &&
		    (im->n_ready == 0 || now >= c->not_before_ms))
			found = c;
	}
	return im->n_ready < im->limit ? found : NULL;
}

/* All that `c` runs could be interrupted, and is less urgent than this. */
static bool may_yield(const struct conn *c, enum imap_priority prio)
{
	for (unsigned k = 0; k < c->n_running; k++) {
		if (c->running_job[k]->prio <= prio ||
		    !c->running_job[k]->class->pause)
			return false;
	}
	return c->state == CONN_READY && c->n_running > 0;
}

bool pool_yields_locked(struct imap *im, const struct conn *c)
{
	unsigned last = IMAP_PRIO_READER;

	for (unsigned i = 0; i < im->cfg.connections; i++) {
		if (im->conn[i].wanted || im->conn[i].state == CONN_CONNECTING)
			return false; /* help is near */
	}
	for (unsigned p = 0; p <= last; p++) {
		for (struct job *j = im->queue[p].first; j; j = j->next) {
			if (best(im, j) || spare(im) || has_open(c, j))
				continue;
			/* One of several is enough. */
			for (unsigned i = 0; i < im->cfg.connections; i++) {
				if (may_yield(&im->conn[i], p))
					return c == &im->conn[i];
			}
		}
	}
	return false;
}

void pool_kick_locked(struct imap *im)
{
	if (atomic_load(&im->stop))
		return;
	for (unsigned p = 0; p < N_IMAP_PRIO; p++) {
		for (struct job *j = im->queue[p].first; j; j = j->next) {
			struct conn *c = best(im, j);

			if (c) {
				conn_wake_locked(c);
				return;
			}
			if (is_background(j->prio) && im->n_ready > 0 &&
			    !background_allowed(im, NULL))
				continue;
			c = spare(im);
			if (c)
				pool_want_locked(im, c);
			return;
		}
	}
}

void pool_want_locked(struct imap *im, struct conn *c)
{
	pthread_attr_t attr;
	sigset_t all;
	sigset_t old;

	c->wanted = true;
	if (c->has_thread) {
		conn_wake_locked(c);
		return;
	}
	/* Signals are for the threads of the program that expect them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, POOL_STACK);
	c->has_thread = pthread_create(&c->thread, &attr, conn_main, c) == 0;
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!c->has_thread) {
		struct imap_error why = {
			.code = -ENOMEM,
			.text = "no memory for another thread",
		};

		c->wanted = false;
		im->attempts++;
		im->last_error = why;
		if (im->n_ready == 0)
			pool_fail_locked(im, -ENOMEM, &why);
		lock_cond_wake_all(&im->attempted);
	}
}

void pool_requeue_locked(struct imap *im, struct job *j)
{
	jobs_push_front(&im->queue[j->prio], j);
	im->n_queued++;
}

void pool_fail_locked(struct imap *im, int result, const struct imap_error *why)
{
	struct job *j;

	for (unsigned p = 0; p < N_IMAP_PRIO; p++) {
		while ((j = jobs_pop(&im->queue[p])) != NULL) {
			job_finish(j, result, why);
			jobs_push(&im->ended, j);
		}
	}
	im->n_queued = 0;
	lock_cond_wake(&im->keeper_wake);
}

/* Why a job can not even be queued; 0: it can. */
static int refusal(struct imap *im) REQUIRES(im->lock)
{
	if (atomic_load(&im->stop))
		return -ECANCELED;
	if (im->n_ready > 0)
		return 0;
	if (im->refused)
		return -EACCES;
	if (clock_now_ms() < im->fail_until_ms)
		return -ENOTCONN;
	return 0;
}

int pool_submit(struct imap *im, struct job *j, enum imap_priority prio,
		imap_job *ret)
{
	int r;

	lock_take(&im->lock);
	r = refusal(im);
	if (r == 0) {
		j->id = ++im->last_id;
		j->prio = prio;
		/* Written before the job can run: its callbacks may need it. */
		*ret = j->id;
		jobs_push(&im->queue[prio], j);
		im->n_queued++;
		pool_kick_locked(im);
	}
	lock_drop(&im->lock);
	if (r < 0)
		j->class->free(j);
	return r;
}

/* Find a queued job. */
static struct job *queued(struct imap *im, imap_job id) REQUIRES(im->lock)
{
	for (unsigned p = 0; p < N_IMAP_PRIO; p++) {
		for (struct job *j = im->queue[p].first; j; j = j->next) {
			if (j->id == id)
				return j;
		}
	}
	return NULL;
}

void imap_cancel(struct imap *im, imap_job job)
{
	struct job *j;

	lock_take(&im->lock);
	j = queued(im, job);
	if (j) {
		(void)jobs_remove(&im->queue[j->prio], j);
		im->n_queued--;
		job_finish(j, -ECANCELED, NULL);
		jobs_push(&im->ended, j);
		lock_cond_wake(&im->keeper_wake);
	}
	for (unsigned i = 0; !j && i < im->cfg.connections; i++) {
		struct conn *c = &im->conn[i];

		for (unsigned k = 0; k < c->n_running; k++) {
			if (c->running_id[k] != job)
				continue;
			atomic_store(&c->running_job[k]->cancelled, true);
			conn_wake_locked(c);
		}
	}
	lock_drop(&im->lock);
}

void imap_hurry(struct imap *im, imap_job job, enum imap_priority prio)
{
	struct job *j;

	lock_take(&im->lock);
	j = queued(im, job);
	if (j && prio < j->prio) {
		(void)jobs_remove(&im->queue[j->prio], j);
		j->prio = prio;
		jobs_push(&im->queue[prio], j);
		pool_kick_locked(im);
	}
	lock_drop(&im->lock);
}
