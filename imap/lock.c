/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/lock.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/*
 * Ranked mutexes. Each thread remembers the ranks it holds, in the order it
 * took them, in a small array; taking a rank that is not above the last one
 * is a bug of ours and aborts at once, so that a deadlock is found by the
 * first test that comes near it and not by the hundredth that meets it.
 */

#define HELD_MAX 16

#ifndef NDEBUG
static _Thread_local enum lock_rank held[HELD_MAX];
static _Thread_local unsigned n_held;

static void note_held(const struct lock *l)
{
	assert(n_held < HELD_MAX);
	held[n_held++] = l->rank;
}

static void note_take(const struct lock *l)
{
	if (n_held > 0 && held[n_held - 1] >= l->rank) {
		fprintf(stderr, "lock: rank %d taken while %d is held\n",
			l->rank, held[n_held - 1]);
		abort();
	}
	note_held(l);
}

static void note_drop(const struct lock *l)
{
	for (unsigned i = n_held; i-- > 0;) {
		if (held[i] != l->rank)
			continue;
		for (; i + 1 < n_held; i++)
			held[i] = held[i + 1];
		n_held--;
		return;
	}
	abort();
}
#else
static void note_held(const struct lock *l)
{
	(void)l;
}

static void note_take(const struct lock *l)
{
	(void)l;
}

static void note_drop(const struct lock *l)
{
	(void)l;
}
#endif

void lock_init(struct lock *l, enum lock_rank rank)
{
	l->rank = rank;
	if (pthread_mutex_init(&l->mutex, NULL) != 0)
		abort();
}

void lock_finish(struct lock *l)
{
	pthread_mutex_destroy(&l->mutex);
}

NO_LOCK_ANALYSIS void lock_take(struct lock *l)
{
	note_take(l);
	pthread_mutex_lock(&l->mutex);
}

NO_LOCK_ANALYSIS void lock_take_both(struct lock *a, struct lock *b)
{
	struct lock *first = a < b ? a : b;
	struct lock *second = a < b ? b : a;

	assert(a != b && a->rank == b->rank);
	lock_take(first);
	note_held(second);
	pthread_mutex_lock(&second->mutex);
}

NO_LOCK_ANALYSIS void lock_drop(struct lock *l)
{
	note_drop(l);
	pthread_mutex_unlock(&l->mutex);
}

void lock_assert_none(void)
{
#ifndef NDEBUG
	if (n_held > 0) {
		fprintf(stderr, "lock: rank %d held at a door\n",
			held[n_held - 1]);
		abort();
	}
#endif
}

void lock_cond_init(struct lock_cond *c)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (pthread_cond_init(&c->cond, &attr) != 0)
		abort();
	pthread_condattr_destroy(&attr);
}

void lock_cond_finish(struct lock_cond *c)
{
	pthread_cond_destroy(&c->cond);
}

void lock_cond_wake(struct lock_cond *c)
{
	pthread_cond_signal(&c->cond);
}

void lock_cond_wake_all(struct lock_cond *c)
{
	pthread_cond_broadcast(&c->cond);
}

NO_LOCK_ANALYSIS bool lock_cond_wait(struct lock_cond *c, struct lock *l,
				     int64_t deadline_ms)
{
	struct timespec at;

	if (deadline_ms == CLOCK_NEVER)
		return pthread_cond_wait(&c->cond, &l->mutex) == 0;

	at.tv_sec = (time_t)(deadline_ms / 1000);
	at.tv_nsec = (long)(deadline_ms % 1000) * 1000000L;
	return pthread_cond_timedwait(&c->cond, &l->mutex, &at) == 0;
}

int64_t clock_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
