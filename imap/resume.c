/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/resume.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "imap/tls.h"

/*
 * A short stack of sessions, the newest on top; when it is full the oldest
 * goes. OpenSSL's own cache is not used: it knows nothing of hosts, and it
 * drops the session of every connection that was cut, which is exactly when a
 * reconnect could use it. For the same reason copies are kept: OpenSSL marks a
 * cut connection's own session as not resumable.
 *
 * Every connection's thread comes here, under one lock; OpenSSL is only asked
 * for what it has in memory.
 */

void resume_init(struct resume *r)
{
	*r = (struct resume){0};
	lock_init(&r->lock, RANK_TLS);
}

static void forget_locked(struct resume *r) REQUIRES(r->lock)
{
	for (unsigned i = 0; i < r->n; i++)
		SSL_SESSION_free(r->kept[i]);
	r->n = 0;
}

void resume_forget(struct resume *r)
{
	lock_take(&r->lock);
	forget_locked(r);
	lock_drop(&r->lock);
}

void resume_finish(struct resume *r)
{
	resume_forget(r);
	lock_finish(&r->lock);
}

static bool is_v13(const SSL_SESSION *s)
{
	return SSL_SESSION_get_protocol_version(s) == TLS1_3_VERSION;
}

static void drop_oldest_locked(struct resume *r) REQUIRES(r->lock)
{
	SSL_SESSION_free(r->kept[0]);
	r->n--;
	for (unsigned i = 0; i < r->n; i++)
		r->kept[i] = r->kept[i + 1];
}

/* Keep a copy of a session that was verified for `host`. */
static void keep(struct resume *r, const char *host, const SSL_SESSION *session)
{
	SSL_SESSION *copy;

	if (!SSL_SESSION_is_resumable(session) || host[0] == '\0' ||
	    strlen(host) >= sizeof(r->host))
		return;
	copy = SSL_SESSION_dup(session);
	if (!copy)
		return;

	lock_take(&r->lock);
	/* An account has one host; a new one makes the old ones worthless. */
	if (strcasecmp(r->host, host) != 0)
		forget_locked(r);
	(void)snprintf(r->host, sizeof(r->host), "%s", host);
	if (r->n == RESUME_MAX)
		drop_oldest_locked(r);
	r->kept[r->n++] = copy;
	lock_drop(&r->lock);
}

/*
 * The server gave a session that can be resumed: within the handshake (TLS
 * 1.2), or some time after it, in front of other data (1.3). Called only
 * behind a handshake that was verified. Returns 0: OpenSSL keeps its own.
 */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	const struct tls_verdict *v = SSL_get_app_data(ssl);

	keep(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)), v->name, session);
	return 0;
}

void resume_allow(struct resume *r, SSL_CTX *ctx)
{
	SSL_CTX_set_app_data(ctx, r);
	(void)SSL_CTX_set_session_cache_mode(
		ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
}

/* May it stand for a full handshake still? */
static bool is_fresh(const SSL_SESSION *s)
{
	X509 *cert = SSL_SESSION_get0_peer((SSL_SESSION *)s);
	long age_s = (long)time(NULL) - SSL_SESSION_get_time(s);

	return cert && age_s >= 0 && age_s < RESUME_AGE_MAX_S &&
	       age_s < SSL_SESSION_get_timeout(s) &&
	       X509_cmp_current_time(X509_get0_notBefore(cert)) < 0 &&
	       X509_cmp_current_time(X509_get0_notAfter(cert)) > 0;
}

/* The newest that is good; the caller's to free. NULL: none. */
static SSL_SESSION *pick_locked(struct resume *r) REQUIRES(r->lock)
{
	while (r->n > 0) {
		SSL_SESSION *s = r->kept[r->n - 1];

		if (!is_fresh(s)) {
			SSL_SESSION_free(s);
			r->n--;
			continue;
		}
		/* TLS 1.2 may resume one often, and gives no new one. */
		if (!is_v13(s))
			return SSL_SESSION_dup(s);
		r->n--;
		return s;
	}
	return NULL;
}

void resume_offer(struct resume *r, const char *host, SSL *ssl)
{
	SSL_SESSION *s = NULL;

	lock_take(&r->lock);
	if (strcasecmp(r->host, host) == 0)
		s = pick_locked(r);
	lock_drop(&r->lock);
	/* Refused, it only means a full handshake. */
	if (s)
		(void)SSL_set_session(ssl, s);
	SSL_SESSION_free(s);
}
