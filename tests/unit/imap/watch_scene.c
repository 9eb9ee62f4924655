/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "watch_scene.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/*
 * See the header. The callbacks run on connections' threads and only count,
 * under a lock; tests wait for a count, with a deadline.
 */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static struct told now;

static void on_moved(void *ctx, const char *wire)
{
	size_t n;

	(void)ctx;
	pthread_mutex_lock(&mutex);
	now.moved++;
	(void)snprintf(now.last, sizeof(now.last), "%s", wire);
	n = strlen(now.names);
	(void)snprintf(now.names + n, sizeof(now.names) - n, "%s ", wire);
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&mutex);
}

static void on_folders(void *ctx)
{
	(void)ctx;
	pthread_mutex_lock(&mutex);
	now.folders++;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&mutex);
}

static void on_begun(void *ctx, const struct mail_folder *box)
{
	size_t n;

	(void)ctx;
	pthread_mutex_lock(&mutex);
	n = strlen(now.begun);
	if (!box)
		(void)snprintf(now.begun + n, sizeof(now.begun) - n, "; ");
	else if (!box->has_status)
		(void)snprintf(now.begun + n, sizeof(now.begun) - n, "%s ",
			       box->wire);
	else
		(void)snprintf(now.begun + n, sizeof(now.begun) - n, "%s:%u ",
			       box->wire, box->messages);
	now.rounds += !box;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&mutex);
}

static int64_t or_else(int64_t v, int64_t otherwise)
{
	return v != 0 ? v : otherwise;
}

struct imap *watching(struct server *s, const struct watch_options *o)
{
	static const struct imap_watch_ops ops = {on_moved, on_folders,
						  on_begun};
	const struct account_options a = {.tls = IMAP_TLS_NONE,
					  .connections = o->connections,
					  .timeout_ms = o->timeout_ms};
	struct imap *im = account_new(s, &a);

	pthread_mutex_lock(&mutex);
	now = (struct told){0};
	pthread_mutex_unlock(&mutex);
	/* It takes the second connection, however slowly that is made. */
	im->quiet_ms = or_else(o->quiet_ms, o->connections > 1 ? 500 : 1);
	im->anew_ms = or_else(o->anew_ms, im->anew_ms);
	im->renew_ms = or_else(o->renew_ms, im->renew_ms);
	im->soon_ms = or_else(o->soon_ms, im->soon_ms);
	im->noop_ms = or_else(o->noop_ms, im->noop_ms);
	im->burst_ms = or_else(o->burst_ms, im->burst_ms);
	im->idle_ms = or_else(o->idle_ms, im->idle_ms);
	im->near_ms = or_else(o->near_ms, im->near_ms);
	im->extra_ms = or_else(o->extra_ms, im->extra_ms);
	im->tick_ms = or_else(o->tick_ms, im->tick_ms);
	im->late_ms = or_else(o->late_ms, im->late_ms);
	im->awake_ms = or_else(o->awake_ms, im->awake_ms);
	im->doubt_ms = or_else(o->doubt_ms, im->doubt_ms);
	if (o->asleep_ms)
		im->asleep_ms = o->asleep_ms;
	assert_int_equal(imap_watch(im, "INBOX", &ops, NULL), 0);
	account_connect(im);
	return im;
}

struct told told(void)
{
	struct told copy;

	pthread_mutex_lock(&mutex);
	copy = now;
	pthread_mutex_unlock(&mutex);
	return copy;
}

static void wait_for(const unsigned *count, unsigned n)
{
	struct timespec at;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += PATIENCE_MS / 1000;
	pthread_mutex_lock(&mutex);
	while (*count < n && r == 0)
		r = pthread_cond_clockwait(&cond, &mutex, CLOCK_MONOTONIC, &at);
	pthread_mutex_unlock(&mutex);
	if (r != 0)
		fail_msg("not told: %u moved ('%s'), %u folders, %u rounds",
			 now.moved, now.names, now.folders, now.rounds);
}

void told_wait_moved(unsigned n)
{
	wait_for(&now.moved, n);
}

void told_wait_folders(unsigned n)
{
	wait_for(&now.folders, n);
}

void told_wait_rounds(unsigned n)
{
	wait_for(&now.rounds, n);
}

void wait_online(unsigned n)
{
	int64_t until_ms = clock_now_ms() + PATIENCE_MS;

	while (account_online() < n)
		wait_a_bit(until_ms);
}

static bool has_state(struct imap *im, const char *word)
{
	struct imap_state st;

	imap_get_state(im, &st);
	for (unsigned i = 0; i < st.n_connections; i++) {
		if (strcmp(st.conn[i].state, word) == 0)
			return true;
	}
	return false;
}

static void wait_until(struct imap *im, const char *word, bool there)
{
	int64_t until_ms = clock_now_ms() + PATIENCE_MS;
	const struct timespec a_bit = {.tv_nsec = 1000000};

	while (has_state(im, word) != there) {
		if (clock_now_ms() > until_ms)
			fail_msg("'%s' does not %s", word,
				 there ? "come" : "go");
		nanosleep(&a_bit, NULL);
	}
}

void wait_state(struct imap *im, const char *word)
{
	wait_until(im, word, true);
}

void wait_no_state(struct imap *im, const char *word)
{
	wait_until(im, word, false);
}
