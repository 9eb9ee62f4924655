/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "script.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "imap/net.h"
#include "imap/pool.h"
#include "imap/secret.h"

/*
 * Accounts on scripted servers. Their events are counted on threads of the
 * account, under a mutex.
 */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned online;
static unsigned offline;
#define LONG_MS 3600000

static struct secret *password;

static void on_online(void *ctx)
{
	(void)ctx;
	pthread_mutex_lock(&mutex);
	online++;
	pthread_mutex_unlock(&mutex);
}

static void on_offline(void *ctx, const struct imap_error *why)
{
	(void)ctx;
	(void)why;
	pthread_mutex_lock(&mutex);
	offline++;
	pthread_mutex_unlock(&mutex);
}

unsigned account_online(void)
{
	unsigned n;

	pthread_mutex_lock(&mutex);
	n = online;
	pthread_mutex_unlock(&mutex);
	return n;
}

unsigned account_offline(void)
{
	unsigned n;

	pthread_mutex_lock(&mutex);
	n = offline;
	pthread_mutex_unlock(&mutex);
	return n;
}

static void make_secret(const struct account_options *o)
{
	const struct secret_sources from = {
		.tokencmd = o->tokencmd, .user = "u", .host = "127.0.0.1"};
	const char *text = o->password ? o->password : "p w";
	struct imap_error why;

	if (!o->tokencmd)
		assert_int_equal(secret_new(SECRET_PASSWORD, text, strlen(text),
					    &password),
				 0);
	else if (secret_find(&from, &password, &why) < 0)
		fail_msg("%s", why.text);
}

struct imap *account_new(struct server *s, const struct account_options *o)
{
	static const struct imap_events events = {on_online, on_offline};
	struct imap_config cfg = {
		.tls = o->tls,
		.user = "u",
		.version = "1",
		.connections = o->connections ? o->connections : 1,
		.timeout_ms = o->timeout_ms ? o->timeout_ms : LONG_MS,
		.connect_timeout_ms = LONG_MS,
	};
	struct imap_error why;
	struct imap *im;

	online = 0;
	offline = 0;
	make_secret(o);
	cfg.host = server_address(s, &cfg.port);
	cfg.secret = password;
	assert_int_equal(imap_new(&cfg, &events, NULL, &im, &why), 0);
	/* A busy machine is no slow line, and has not been asleep. */
	im->slow_ms = LONG_MS;
	im->late_ms = LONG_MS;
	im->near_ms = LONG_MS;
	for (unsigned i = 0; i < cfg.connections; i++)
		im->conn[i].session.late_ms = LONG_MS;
	im->backoff_ms = 10;
	im->rush_max = UINT_MAX; /* a test may lose many connections */
	return im;
}

void account_free(struct imap *im)
{
	imap_free(im);
	secret_free(password);
	password = NULL;
}

void wait_a_bit(int64_t until_ms)
{
	const struct timespec a_bit = {.tv_nsec = 1000000};

	if (clock_now_ms() > until_ms)
		fail_msg("what is waited for does not come");
	nanosleep(&a_bit, NULL);
}

void account_hurry(struct imap *im, unsigned i, unsigned timeout_ms)
{
	struct session *s = &im->conn[i].session;

	atomic_store(&s->timeout_ms, timeout_ms);
	net_wake(s->net);
}

/*
 * A connection that comes to its end too early does not follow the script; or
 * the kernel, which has the same time-out, finds it dead.
 */
void account_times_out(script steps, struct imap_error *why)
{
	const script scripts[] = {steps, NULL};
	struct account_options o = {.tls = IMAP_TLS_NONE, .timeout_ms = 200};
	char not_followed[SERVER_WHY];
	bool followed = false;

	for (; !followed; o.timeout_ms *= 4) {
		struct server *s = server_start(scripts);
		struct imap *im = account_new(s, &o);
		int r = imap_connect(im, why);

		account_free(im);
		followed = server_followed(s, not_followed) && r == -ETIMEDOUT;
		if (!followed && o.timeout_ms > PATIENCE_MS)
			fail_msg("it does not time out: %s", why->text);
	}
}

void account_connect(struct imap *im)
{
	struct imap_error why;
	bool was_online;
	int r = imap_connect(im, &why);

	lock_take(&im->lock);
	was_online = im->caps != 0;
	lock_drop(&im->lock);
	if (r < 0 && !was_online)
		fail_msg("%s", why.text);
}

struct imap *account_connected(struct server *s, unsigned connections)
{
	const struct account_options o = {.connections = connections,
					  .tls = IMAP_TLS_NONE};
	struct imap *im = account_new(s, &o);

	account_connect(im);
	return im;
}

void account_end(struct imap *im, struct server *s)
{
	account_free(im);
	server_stop(s);
}
