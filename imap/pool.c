/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/pool.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

/*
 * The queue: jobs come, wait, are put back, called off, and fail. Who may take
 * which is in place.c.
 */

void pool_want_locked(struct imap *im, struct conn *c)
{
	pthread_attr_t attr;
	sigset_t all;
	sigset_t old;

	c->wanted = true;
	im->near_until_ms = clock_now_ms() + im->near_ms;
	lock_cond_wake(&im->keeper_wake);
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
		im->near_until_ms = CLOCK_NEVER;
		im->attempts++;
		im->last_error = why;
		if (im->n_ready == 0)
			pool_fail_locked(im, -ENOMEM, &why);
		lock_cond_wake_all(&im->attempted);
	}
}

void pool_requeue_locked(struct imap *im, struct job *j)
{
	if (j->class->lasting) {
		im->watcher = j;
		im->watcher_ms = clock_now_ms();
		return;
	}
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
	if (im->watcher && atomic_load(&im->stop)) {
		job_finish(im->watcher, result, why);
		jobs_push(&im->ended, im->watcher);
		im->watcher = NULL;
	}
	lock_cond_wake(&im->keeper_wake);
}

void pool_probe_locked(struct imap *im, int64_t ms)
{
	im->probes++;
	im->probe_ms = ms;
	for (unsigned i = 0; i < im->cfg.connections; i++) {
		if (im->conn[i].state == CONN_READY)
			conn_wake_locked(&im->conn[i]);
	}
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
	if (clock_now_ms() < im->fail_until_ms || keeper_is_rush_locked(im))
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

int pool_watch(struct imap *im, struct job *j)
{
	int r = 0;

	lock_take(&im->lock);
	if (im->has_watcher) {
		r = -EINVAL;
	} else {
		j->id = ++im->last_id;
		j->prio = JOB_PRIO_LASTING;
		im->has_watcher = true;
		im->watcher = j;
		im->watcher_ms = clock_now_ms();
	}
	lock_drop(&im->lock);
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
