/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "imap/lock.h"
#include "imap/net.h"
#include "imap/resume.h"
#include "imap/tls.h"
#include "tls_server.h"

/*
 * Resumed TLS sessions. First the store by itself, with both ends in this
 * thread and memory between them; then whole connections.
 */

#define DAY 86400L

static char folder[] = "/tmp/imapfs-test-resume-XXXXXX";
static char cafile[64];
static struct cert ca;
static struct cert good;
static struct net *net;
static struct imap_error why;

/* --- the store --- */

static struct resume store;
static SSL_CTX *client_ctx;
static SSL_CTX *server_ctx;

static SSL_CTX *make_server(const struct cert *cert, int version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	assert_int_equal(SSL_CTX_use_certificate(ctx, cert->x509), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, cert->key), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
	return ctx;
}

static void begin(const struct cert *cert, int version)
{
	resume_init(&store);
	client_ctx = SSL_CTX_new(TLS_client_method());
	resume_allow(&store, client_ctx);
	server_ctx = make_server(cert, version);
}

static void end(void)
{
	resume_finish(&store);
	SSL_CTX_free(client_ctx);
	SSL_CTX_free(server_ctx);
}

/* Shake hands as with `host`, and exchange a byte: was it resumed? */
static bool meet(const char *host)
{
	struct tls_verdict verdict = {0};
	SSL *client = SSL_new(client_ctx);
	SSL *server = SSL_new(server_ctx);
	BIO *a, *b;
	bool resumed;
	char c = 'x';

	(void)snprintf(verdict.name, sizeof(verdict.name), "%s", host);
	assert_int_equal(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	SSL_set_bio(client, a, a);
	SSL_set_bio(server, b, b);
	SSL_set_app_data(client, &verdict);
	SSL_set_connect_state(client);
	SSL_set_accept_state(server);
	resume_offer(&store, host, client);
	for (int i = 0; i < 10; i++) {
		(void)SSL_do_handshake(client);
		(void)SSL_do_handshake(server);
	}
	assert_int_equal(SSL_write(server, &c, 1), 1);
	assert_int_equal(SSL_read(client, &c, 1), 1);
	resumed = SSL_session_reused(client) == 1;
	/* No farewell: as if the connection had been cut. */
	SSL_free(client);
	SSL_free(server);
	return resumed;
}

static void the_second_connection_resumes_the_first(void **state)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	(void)state;
	for (int i = 0; i < 2; i++) {
		begin(&good, versions[i]);
		assert_false(meet("localhost"));
		assert_true(store.n > 0);
		for (int n = 0; n < 20; n++)
			assert_true(meet("LocalHost"));
		assert_true(store.n > 0 && store.n <= RESUME_MAX);
		end();
	}
}

static void a_session_is_for_its_host_only(void **state)
{
	(void)state;
	begin(&good, TLS1_3_VERSION);
	assert_false(meet("localhost"));
	assert_false(meet("elsewhere.test"));
	/* The store is of one host at a time. */
	assert_false(meet("localhost"));
	assert_true(meet("localhost"));
	end();
}

static void a_ticket_is_used_once(void **state)
{
	SSL *client;
	unsigned n;

	(void)state;
	begin(&good, TLS1_3_VERSION);
	assert_false(meet("localhost"));
	n = store.n;
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(store.n, n - i);
		client = SSL_new(client_ctx);
		resume_offer(&store, "localhost", client);
		assert_non_null(SSL_get0_session(client));
		SSL_free(client);
	}
	assert_int_equal(store.n, 0);
	assert_false(meet("localhost"));
	end();
}

static void an_old_session_is_dropped(void **state)
{
	(void)state;
	begin(&good, TLS1_3_VERSION);
	assert_false(meet("localhost"));
	for (unsigned i = 0; i < store.n; i++)
		(void)SSL_SESSION_set_time(store.kept[i],
					   (long)time(NULL) - RESUME_AGE_MAX_S);
	assert_false(meet("localhost"));
	assert_true(meet("localhost"));
	end();
}

static void an_expired_certificate_is_not_resumed(void **state)
{
	struct cert old =
		cert_new("localhost", "DNS:localhost", &ca, -9 * DAY, -DAY);

	(void)state;
	begin(&old, TLS1_3_VERSION);
	assert_false(meet("localhost"));
	assert_true(store.n > 0);
	assert_false(meet("localhost"));
	end();
	cert_free(&old);
}

static void what_is_forgotten_is_not_resumed(void **state)
{
	(void)state;
	begin(&good, TLS1_3_VERSION);
	assert_false(meet("localhost"));
	resume_forget(&store);
	assert_false(meet("localhost"));
	assert_true(meet("localhost"));
	/* Without a name nothing is kept: the name did not fit. */
	assert_false(meet(""));
	assert_false(meet(""));
	end();
}

/* --- connections --- */

static int64_t soon(void)
{
	return clock_now_ms() + 10000;
}

/* Connect as `host`, let the tickets come, close. The result. */
static int visit(const struct server *s, struct net_tls *tls, const char *host,
		 bool *ret_resumed)
{
	char c = 'x';
	int r;

	assert_int_equal(
		net_connect(net, "127.0.0.1", s->port, true, soon(), &why), 0);
	r = net_start_tls(net, tls, host, soon(), &why);
	*ret_resumed = net_is_resumed(net);
	if (r == 0) {
		assert_int_equal(net_write(net, &c, 1), 1);
		while (net_read(net, &c, 1) == 0)
			assert_true(net_wait(net, false, soon()) &
				    NET_READABLE);
	}
	net_close(net);
	assert_false(net_is_resumed(net));
	return r;
}

static void a_reconnect_is_resumed_but_not_to_another_name(void **state)
{
	static const int versions[] = {TLS1_2_VERSION, 0};
	bool resumed;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct server s = {.mode = SERVE_ECHO,
				   .cert = &good,
				   .max_version = versions[i],
				   .connections = 5};
		struct net_tls *tls;

		assert_int_equal(net_tls_new(cafile, NULL, &tls, &why), 0);
		server_start(&s);
		assert_int_equal(visit(&s, tls, "localhost", &resumed), 0);
		assert_false(resumed);
		assert_int_equal(visit(&s, tls, "localhost", &resumed), 0);
		assert_true(resumed);
		assert_int_equal(visit(&s, tls, "127.0.0.1", &resumed), 0);
		assert_false(resumed);
		/* Never a way around the name: and all is forgotten then. */
		assert_int_equal(visit(&s, tls, "elsewhere.test", &resumed),
				 -EPROTO);
		assert_int_equal(visit(&s, tls, "127.0.0.1", &resumed), 0);
		assert_false(resumed);
		server_stop(&s);
		net_tls_free(tls);
	}
}

static void a_pinned_certificate_is_resumed_and_compared(void **state)
{
	struct cert self = cert_new("any", "DNS:any", NULL, -9 * DAY, 9 * DAY);
	struct server s = {.mode = SERVE_ECHO, .cert = &self, .connections = 3};
	struct net_tls *tls, *other;
	bool resumed;
	char pin[65];

	(void)state;
	cert_pin(&self, pin);
	assert_int_equal(net_tls_new(NULL, pin, &tls, &why), 0);
	pin[0] = pin[0] == '0' ? '1' : '0';
	assert_int_equal(net_tls_new(NULL, pin, &other, &why), 0);
	server_start(&s);
	assert_int_equal(visit(&s, tls, "localhost", &resumed), 0);
	assert_int_equal(visit(&s, tls, "localhost", &resumed), 0);
	assert_true(resumed);
	assert_int_equal(visit(&s, other, "localhost", &resumed), -EPROTO);
	assert_non_null(strstr(why.text, "not the pinned one"));
	server_stop(&s);
	net_tls_free(tls);
	net_tls_free(other);
	cert_free(&self);
}

/* --- running --- */

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(cafile, sizeof(cafile), "%s/ca.pem", folder);
	ca = cert_new("Test CA", NULL, NULL, -2000 * DAY, 9 * DAY);
	cert_save(&ca, cafile);
	good = cert_new("localhost", "DNS:localhost,IP:127.0.0.1", &ca, -DAY,
			9 * DAY);
	return net_new(&net);
}

static int tear_down(void **state)
{
	(void)state;
	net_free(net);
	cert_free(&ca);
	cert_free(&good);
	(void)unlink(cafile);
	(void)rmdir(folder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_second_connection_resumes_the_first),
		cmocka_unit_test(a_session_is_for_its_host_only),
		cmocka_unit_test(a_ticket_is_used_once),
		cmocka_unit_test(an_old_session_is_dropped),
		cmocka_unit_test(an_expired_certificate_is_not_resumed),
		cmocka_unit_test(what_is_forgotten_is_not_resumed),
		cmocka_unit_test(
			a_reconnect_is_resumed_but_not_to_another_name),
		cmocka_unit_test(a_pinned_certificate_is_resumed_and_compared),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
