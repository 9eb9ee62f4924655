/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/imap.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imap/alive.h"
#include "imap/pace.h"
#include "imap/pool.h"
#include "imap/why.h"

/*
 * The account: made, connected, looked at, freed. What it does in between is
 * in pool.c and conn.c.
 */

static int copy_string(const char *from, const char **to)
{
	*to = NULL;
	if (!from)
		return 0;
	*to = strdup(from);
	return *to ? 0 : -ENOMEM;
}

static int copy_config(const struct imap_config *from, struct imap_config *to)
{
	*to = *from;
	to->host = to->user = to->cafile = to->pin_sha256 = to->version = NULL;
	if (copy_string(from->host, &to->host) < 0 ||
	    copy_string(from->user, &to->user) < 0 ||
	    copy_string(from->cafile, &to->cafile) < 0 ||
	    copy_string(from->pin_sha256, &to->pin_sha256) < 0 ||
	    copy_string(from->version ? from->version : "", &to->version) < 0)
		return -ENOMEM;
	return 0;
}

static bool is_valid(const struct imap_config *cfg)
{
	return cfg->host && cfg->user && cfg->secret && cfg->port > 0 &&
	       cfg->connections >= 1 &&
	       cfg->connections <= IMAP_CONNECTIONS_MAX && cfg->timeout_ms > 0;
}

static int start_keeper(struct imap *im)
{
	sigset_t all;
	sigset_t old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&im->keeper, NULL, keeper_main, im);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	im->has_keeper = r == 0;
	return -r;
}

static int build(struct imap *im, const struct imap_config *cfg,
		 struct imap_error *why)
{
	int r = copy_config(cfg, &im->cfg);

	if (r < 0)
		return r;
	if (cfg->tls != IMAP_TLS_NONE) {
		r = net_tls_new(im->cfg.cafile, im->cfg.pin_sha256, &im->tls,
				why);
		if (r < 0)
			return r;
	}
	for (unsigned i = 0; i < cfg->connections; i++) {
		r = conn_init(&im->conn[i], im, i);
		if (r < 0)
			return r;
	}
	return start_keeper(im);
}

int imap_new(const struct imap_config *cfg, const struct imap_events *events,
	     void *ctx, struct imap **ret, struct imap_error *why)
{
	struct imap *im;
	int r;

	*why = (struct imap_error){0};
	if (!is_valid(cfg))
		return -EINVAL;
	im = calloc(1, sizeof(*im));
	if (!im)
		return -ENOMEM;
	if (events)
		im->events = *events;
	im->ctx = ctx;
	lock_init(&im->lock, RANK_POOL);
	lock_cond_init(&im->keeper_wake);
	lock_cond_init(&im->attempted);
	im->limit = cfg->connections;
	im->retry_at_ms = im->near_until_ms = CLOCK_NEVER;
	im->idle_ms = POOL_IDLE_MS;
	im->keepalive_ms = POOL_KEEPALIVE_MS;
	im->near_ms = POOL_NEAR_MS;
	im->extra_ms = POOL_EXTRA_RETRY_MS;
	im->tick_ms = POOL_TICK_MS;
	im->late_ms = ALIVE_LATE_MS;
	im->awake_ms = ALIVE_PROBE_MS;
	im->doubt_ms = cfg->timeout_ms;
	im->backoff_ms = POOL_BACKOFF_MIN_MS;
	im->quiet_ms = POOL_QUIET_MS;
	im->anew_ms = POOL_ANEW_MS;
	im->renew_ms = POOL_RENEW_MS;
	im->soon_ms = POOL_SOON_MS;
	im->slow_ms = PACE_SLOW_MS;
	im->noop_ms = POOL_NOOP_MS;
	im->burst_ms = POOL_BURST_MS;
	im->asleep_ms = keeper_asleep_ms;
	im->rush_max = POOL_RUSH_MAX;
	im->rush_ms = POOL_RUSH_MS;
	im->rush_at_ms = clock_now_ms();
	im->jitter = (uint32_t)clock_now_ms();

	r = build(im, cfg, why);
	if (r < 0) {
		imap_free(im);
		return r;
	}
	*ret = im;
	return 0;
}

/*
 * An attempt that goes on, but nothing was ever heard from the server, for
 * longer than connecting may take: no network, or one that swallows all.
 */
static bool is_silent(struct imap *im, int64_t deadline_ms)
{
	return clock_now_ms() >= deadline_ms &&
	       net_bytes_in(im->conn[0].session.net) == 0;
}

int imap_connect(struct imap *im, struct imap_error *why)
{
	int64_t deadline_ms = clock_now_ms() + im->cfg.connect_timeout_ms;
	uint64_t before;
	int r = 0;

	lock_assert_none();
	lock_take(&im->lock);
	before = im->attempts;
	im->refused = false;
	im->fail_until_ms = 0;
	if (im->n_ready == 0)
		pool_want_locked(im, &im->conn[0]);
	while (im->n_ready == 0 && im->attempts == before &&
	       !atomic_load(&im->stop) && !is_silent(im, deadline_ms))
		(void)lock_cond_wait(&im->attempted, &im->lock,
				     clock_now_ms() < deadline_ms
					     ? deadline_ms
					     : CLOCK_NEVER);
	if (im->n_ready == 0 && im->attempts == before) {
		r = net_fail(why, -ETIMEDOUT, FAULT_NETWORK,
			     "no answer from '%s' port %u within %u s%s",
			     im->cfg.host, im->cfg.port,
			     (im->cfg.connect_timeout_ms + 999) / 1000,
			     session_silence_hint(&im->cfg));
	} else if (im->n_ready == 0) {
		*why = im->last_error;
		r = why->code < 0 ? why->code : -ENOTCONN;
	} else {
		*why = (struct imap_error){0};
	}
	lock_drop(&im->lock);
	return r;
}

void imap_retry(struct imap *im)
{
	lock_take(&im->lock);
	im->refused = false;
	im->failures = im->put_offs = im->rush = 0;
	im->fail_until_ms = 0;
	if (im->limit_until_ms == CLOCK_NEVER)
		im->limit_until_ms = 0;
	if (im->n_ready == 0 && im->retry_at_ms != CLOCK_NEVER)
		im->retry_at_ms = clock_now_ms();
	lock_cond_wake(&im->keeper_wake);
	lock_drop(&im->lock);
}

static void stop(struct imap *im)
{
	struct job *j;

	lock_take(&im->lock);
	atomic_store(&im->stop, true);
	pool_fail_locked(im, -ECANCELED, NULL);
	for (unsigned i = 0; i < im->cfg.connections; i++) {
		if (im->conn[i].has_thread)
			conn_wake_locked(&im->conn[i]);
	}
	lock_cond_wake_all(&im->attempted);
	lock_drop(&im->lock);

	for (unsigned i = 0; i < im->cfg.connections; i++) {
		if (im->conn[i].has_thread)
			pthread_join(im->conn[i].thread, NULL);
	}
	lock_take(&im->lock);
	pool_fail_locked(im, -ECANCELED, NULL);
	lock_drop(&im->lock);
	pthread_join(im->keeper, NULL);
	/*
	 * What a connection put back when it was lost at this very moment: the
	 * keeper may have left before. Nobody else is here any more.
	 */
	for (;;) {
		lock_take(&im->lock);
		j = jobs_pop(&im->ended);
		lock_drop(&im->lock);
		if (!j)
			break;
		keeper_end_job(j);
	}
}

void imap_free(struct imap *im)
{
	if (!im)
		return;
	lock_assert_none();
	if (im->has_keeper)
		stop(im);
	for (unsigned i = 0; i < im->cfg.connections; i++) {
		if (im->conn[i].im)
			conn_finish(&im->conn[i]);
	}
	net_tls_free(im->tls);
	lock_cond_finish(&im->keeper_wake);
	lock_cond_finish(&im->attempted);
	lock_finish(&im->lock);
	free((void *)im->cfg.host);
	free((void *)im->cfg.user);
	free((void *)im->cfg.cafile);
	free((void *)im->cfg.pin_sha256);
	free((void *)im->cfg.version);
	free(im);
}

static const char *state_word(const struct conn *c)
{
	if (c->state == CONN_CLOSED)
		return "closed";
	if (c->state == CONN_CONNECTING)
		return "connecting";
	if (c->n_running == 0)
		return "ready";
	return c->word ? c->word : "busy";
}

void imap_get_state(struct imap *im, struct imap_state *ret)
{
	*ret = (struct imap_state){.retry_in_ms = -1};
	lock_take(&im->lock);
	ret->online = im->n_ready > 0;
	memcpy(ret->server, im->server, sizeof(ret->server));
	ret->n_connections = im->cfg.connections;
	for (unsigned i = 0; i < im->cfg.connections; i++) {
		const struct conn *c = &im->conn[i];
		struct imap_connection_state *to = &ret->conn[i];

		to->state = state_word(c);
		(void)snprintf(to->mailbox, sizeof(to->mailbox), "%s",
			       c->mailbox ? c->mailbox : "");
		to->bytes_in = c->bytes_in;
		to->bytes_out = c->bytes_out;
		to->compressed = c->compressed;
		ret->jobs_running += c->n_running - c->watching;
	}
	ret->jobs_queued = im->n_queued;
	ret->last_error = im->last_error;
	if (!ret->online && !im->refused && im->retry_at_ms != CLOCK_NEVER) {
		ret->retry_in_ms = im->retry_at_ms - clock_now_ms();
		if (ret->retry_in_ms < 0)
			ret->retry_in_ms = 0;
	}
	lock_drop(&im->lock);
}

void imap_get_traffic(const struct imap *im, struct imap_traffic *ret)
{
	*ret = (struct imap_traffic){0};
	for (unsigned i = 0; i < im->cfg.connections; i++) {
		ret->in += net_plain_in(im->conn[i].session.net);
		ret->out += net_plain_out(im->conn[i].session.net);
		ret->throttled += atomic_load(&im->conn[i].session.throttled);
	}
}

enum imap_watched imap_watched(struct imap *im, const char *wire,
			       int64_t *ret_since_ms)
{
	enum imap_watched how = IMAP_WATCHED_NOT;

	lock_take(&im->lock);
	for (unsigned i = 0; i < im->cfg.connections; i++) {
		const struct conn *c = &im->conn[i];
		bool is_it = c->mailbox && strcmp(c->mailbox, wire) == 0;
		bool notifies;

		if (!c->watching || c->state != CONN_READY || !c->word)
			continue;
		notifies = strcmp(c->word, WORD_NOTIFY) == 0;
		if (notifies)
			how = IMAP_WATCHED_NOTIFY;
		else if (is_it && strcmp(c->word, WORD_IDLE) == 0)
			how = IMAP_WATCHED_IDLE;
		*ret_since_ms =
			is_it ? im->watched_since_ms : im->notified_since_ms;
	}
	lock_drop(&im->lock);
	return how;
}
