/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "imap/lock.h"
#include "imap/net.h"
#include "tls_server.h"

#define DAY 86400L

static char folder[] = "/tmp/imapfs-test-net-XXXXXX";
static char cafile[64];
static struct cert ca;
static struct cert good; /* localhost and 127.0.0.1, by `ca` */
static struct net *net;
static struct imap_error why;

static int64_t soon(void)
{
	return clock_now_ms() + 10000;
}

static struct net_tls *trusting(const char *file, const char *pin)
{
	struct net_tls *tls = NULL;

	assert_int_equal(net_tls_new(file, pin, &tls, &why), 0);
	return tls;
}

/* A fresh connection to `s` as `host`; the result of the handshake. */
static int shake(struct server *s, struct net_tls *tls, const char *host)
{
	server_start(s);
	memset(&why, 0, sizeof(why));
	assert_int_equal(
		net_connect(net, "127.0.0.1", s->port, true, soon(), &why), 0);
	return net_start_tls(net, tls, host, soon(), &why);
}

static void done(struct server *s, struct net_tls *tls)
{
	net_close(net);
	server_stop(s);
	net_tls_free(tls);
}

static void send_all(const char *bytes, size_t n)
{
	while (n > 0) {
		long r = net_write(net, bytes, n);

		assert_true(r >= 0);
		bytes += r;
		n -= (size_t)r;
		if (r == 0)
			assert_true(net_wait(net, true, soon()) != NET_TIMEOUT);
	}
}

static long read_some(char *buf, size_t size)
{
	long r = net_read(net, buf, size);

	while (r == 0) {
		assert_true(net_wait(net, false, soon()) & NET_READABLE);
		r = net_read(net, buf, size);
	}
	return r;
}

static void echo_works(void)
{
	char buf[64] = "";
	uint64_t in = net_bytes_in(net);
	uint64_t out = net_bytes_out(net);

	send_all("hello", 5);
	assert_int_equal(read_some(buf, sizeof(buf)), 5);
	assert_string_equal(buf, "hello");
	assert_true(net_bytes_in(net) >= in + 5);
	assert_true(net_bytes_out(net) >= out + 5);
}

static void plain_bytes_pass(void **state)
{
	struct server s = {.mode = SERVE_ECHO};

	(void)state;
	server_start(&s);
	assert_false(net_is_open(net));
	assert_int_equal(
		net_connect(net, "127.0.0.1", s.port, false, soon(), &why), 0);
	assert_true(net_is_open(net) && !net_is_tls(net));
	echo_works();
	assert_int_equal(net_bytes_in(net), 5);
	done(&s, NULL);
	assert_false(net_is_open(net));
	assert_int_equal(net_read(net, &s, 1), -ENOTCONN);
	assert_int_equal(net_write(net, &s, 1), -ENOTCONN);
}

static void a_trusted_chain_is_accepted_and_named_by_sni(void **state)
{
	struct server s = {.mode = SERVE_ECHO, .cert = &good};
	struct net_tls *tls = trusting(cafile, NULL);

	(void)state;
	assert_int_equal(shake(&s, tls, "localhost"), 0);
	assert_true(net_is_tls(net));
	echo_works();
	done(&s, tls);
	assert_string_equal(s.sni, "localhost");
}

static void an_address_is_verified_as_one(void **state)
{
	struct server s = {.mode = SERVE_ECHO, .cert = &good};
	struct net_tls *tls = trusting(cafile, NULL);

	(void)state;
	assert_int_equal(shake(&s, tls, "127.0.0.1"), 0);
	done(&s, tls);
	assert_string_equal(s.sni, "");
	s = (struct server){.mode = SERVE_ECHO, .cert = &good};
	tls = trusting(cafile, NULL);
	assert_int_equal(shake(&s, tls, "127.0.0.2"), -EPROTO);
	assert_non_null(strstr(why.text, "not for '127.0.0.2'"));
	done(&s, tls);
}

/* `cert` is refused, with all of `a` and `b` in the sentence. */
static void refused(const struct cert *cert, const char *host, const char *a,
		    const char *b)
{
	struct server s = {.mode = SERVE_ECHO, .cert = cert};
	struct net_tls *tls = trusting(cafile, NULL);

	assert_int_equal(shake(&s, tls, host), -EPROTO);
	assert_int_equal(why.code, -EPROTO);
	assert_int_equal(why.fault, FAULT_TLS);
	assert_non_null(strstr(why.text, a));
	assert_non_null(strstr(why.text, b));
	assert_false(net_is_open(net));
	done(&s, tls);
}

static void a_wrong_name_is_refused(void **state)
{
	(void)state;
	refused(&good, "imap.example.org", "is for 'localhost', '127.0.0.1'",
		"not for 'imap.example.org'");
}

static void an_expired_certificate_is_refused_with_its_date(void **state)
{
	struct cert c = cert_new("localhost", "DNS:localhost", &ca, -1000 * DAY,
				 -1 * DAY);
	struct cert later =
		cert_new("localhost", "DNS:localhost", &ca, DAY, 2 * DAY);

	(void)state;
	refused(&c, "localhost", "'localhost' is not trusted",
		"it expired on 2");
	refused(&later, "localhost", "'localhost'", "not valid before 2");
	cert_free(&c);
	cert_free(&later);
}

static void an_unknown_issuer_is_refused_by_name(void **state)
{
	struct cert other = cert_new("Evil\n'CA", NULL, NULL, -DAY, DAY);
	struct cert c =
		cert_new("localhost", "DNS:localhost", &other, -DAY, DAY);

	(void)state;
	refused(&c, "localhost", "issued by 'Evil??CA'",
		"not in the trust store");
	cert_free(&c);
	cert_free(&other);
}

static void a_self_signed_certificate_needs_its_pin(void **state)
{
	struct cert c =
		cert_new("whatever", "DNS:whatever", NULL, -9 * DAY, -DAY);
	struct cert self =
		cert_new("localhost", "DNS:localhost", NULL, -DAY, DAY);
	struct server s = {.mode = SERVE_ECHO, .cert = &c};
	struct net_tls *tls;
	char pin[65];

	(void)state;
	refused(&self, "localhost", "is self-signed (SHA-256 ",
		"pin-sha256= accepts it");

	/* With a pin neither name nor date nor chain count. */
	cert_pin(&c, pin);
	tls = trusting(NULL, pin);
	assert_int_equal(shake(&s, tls, "localhost"), 0);
	echo_works();
	done(&s, tls);

	/* Another certificate, however good, is not the pinned one. */
	s = (struct server){.mode = SERVE_ECHO, .cert = &good};
	tls = trusting(cafile, pin);
	assert_int_equal(shake(&s, tls, "localhost"), -EPROTO);
	assert_non_null(strstr(why.text, "is not the pinned one"));
	done(&s, tls);
	cert_free(&c);
	cert_free(&self);
}

static void settings_that_cannot_work_are_refused(void **state)
{
	static const char *const pins[] = {"", "12", "zz"};
	char colons[97];
	char path[80];
	struct net_tls *tls = NULL;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(net_tls_new(NULL, pins[i], &tls, &why),
				 -EINVAL);
		assert_non_null(strstr(why.text, "64 hexadecimal digits"));
	}
	for (int i = 0; i < 32; i++)
		memcpy(colons + (size_t)3 * i, "Ab:", 3);
	colons[95] = '\0';
	tls = trusting(NULL, colons);
	net_tls_free(tls);

	(void)snprintf(path, sizeof(path), "%s/none", folder);
	assert_int_equal(net_tls_new(path, NULL, &tls, &why), -EINVAL);
	assert_non_null(strstr(why.text, "No such file"));
	assert_int_equal(net_tls_new("/dev/null", NULL, &tls, &why), -EINVAL);
	assert_non_null(strstr(why.text, "no certificate"));
}

static void a_server_without_tls_is_named(void **state)
{
	struct server s = {.mode = SERVE_TEXT};
	struct net_tls *tls = trusting(cafile, NULL);

	(void)state;
	assert_int_equal(shake(&s, tls, "localhost"), -EPROTO);
	assert_non_null(strstr(why.text, "does not speak TLS"));
	done(&s, tls);

	s = (struct server){.mode = SERVE_CLOSE};
	tls = trusting(cafile, NULL);
	assert_int_equal(shake(&s, tls, "localhost"), -ENOTCONN);
	assert_int_equal(why.fault, FAULT_NETWORK);
	done(&s, tls);
}

static void old_versions_of_tls_are_refused(void **state)
{
	struct server s = {.mode = SERVE_ECHO,
			   .cert = &good,
			   .max_version = TLS1_1_VERSION};
	struct net_tls *tls = trusting(cafile, NULL);

	(void)state;
	assert_int_equal(shake(&s, tls, "localhost"), -EPROTO);
	assert_non_null(strstr(why.text, "version 1.2"));
	done(&s, tls);
	s = (struct server){.mode = SERVE_ECHO,
			    .cert = &good,
			    .max_version = TLS1_2_VERSION};
	tls = trusting(cafile, NULL);
	assert_int_equal(shake(&s, tls, "localhost"), 0);
	echo_works();
	done(&s, tls);
}

static void large_transfers_arrive_whole(void **state)
{
	static char buf[100000];
	const struct cert *certs[] = {&good, NULL};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct server s = {.mode = SERVE_BIG, .cert = certs[i]};
		struct net_tls *tls = trusting(cafile, NULL);
		size_t sum = 0;

		if (certs[i]) {
			assert_int_equal(shake(&s, tls, "localhost"), 0);
		} else {
			server_start(&s);
			assert_int_equal(net_connect(net, "127.0.0.1", s.port,
						     true, soon(), &why),
					 0);
		}
		send_all("x", 1);
		/* Odd sizes leave bytes in the buffers of TLS. */
		while (sum < SERVER_BIG)
			sum += (size_t)read_some(buf, 1 + sum % 9999);
		assert_int_equal(sum, SERVER_BIG);
		assert_int_equal(net_wait(net, false, clock_now_ms() + 10),
				 NET_TIMEOUT);
		done(&s, tls);
	}
}

static void what_tls_has_buffered_is_readable(void **state)
{
	struct server s = {.mode = SERVE_ECHO, .cert = &good};
	struct net_tls *tls = trusting(cafile, NULL);
	char c;

	(void)state;
	assert_int_equal(shake(&s, tls, "localhost"), 0);
	send_all("ab", 2);
	assert_int_equal(read_some(&c, 1), 1);
	assert_int_equal(net_wait(net, false, clock_now_ms()), NET_READABLE);
	assert_int_equal(net_read(net, &c, 1), 1);
	assert_int_equal(c, 'b');
	assert_int_equal(net_wait(net, false, clock_now_ms()), NET_TIMEOUT);
	done(&s, tls);
}

static void a_closed_connection_is_an_error_and_no_signal(void **state)
{
	const struct cert *certs[] = {&good, NULL};
	char buf[65536] = "";

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct server s = {.mode = SERVE_CLOSE, .cert = certs[i]};
		struct net_tls *tls = trusting(cafile, NULL);
		long r = 0;

		if (certs[i]) {
			assert_int_equal(shake(&s, tls, "localhost"), 0);
		} else {
			server_start(&s);
			assert_int_equal(net_connect(net, "127.0.0.1", s.port,
						     true, soon(), &why),
					 0);
		}
		assert_int_equal(read_some(buf, sizeof(buf)), -ENOTCONN);
		/* SIGPIPE has its default action in this program: death. */
		for (int n = 0; n < 100000 && r >= 0; n++) {
			r = net_write(net, buf, sizeof(buf));
			if (r == 0 && net_wait(net, true, soon()) == 0)
				break;
		}
		assert_int_equal(r, -ENOTCONN);
		done(&s, tls);
	}
}

static void nobody_at_the_port_is_a_refusal(void **state)
{
	struct server s = {.mode = SERVE_CLOSE};

	(void)state;
	server_start(&s);
	server_stop(&s);
	assert_int_equal(
		net_connect(net, "127.0.0.1", s.port, true, soon(), &why),
		-ENOTCONN);
	assert_int_equal(why.fault, FAULT_NETWORK);
	assert_non_null(strstr(why.text, "refuses connections"));
}

static void an_unknown_host_is_named(void **state)
{
	char host[100] = "";

	(void)state;
	/* A label of DNS has at most 63 bytes, so nobody is asked. */
	memset(host, 'a', 70);
	assert_int_equal(net_connect(net, host, 1, false, soon(), &why),
			 -ENOTCONN);
	assert_int_equal(why.fault, FAULT_NETWORK);
	assert_non_null(strstr(why.text, "host 'aaa"));
}

static void names_are_resolved(void **state)
{
	struct server s = {.mode = SERVE_ECHO};

	(void)state;
	server_start(&s);
	assert_int_equal(
		net_connect(net, "localhost", s.port, true, soon(), &why), 0);
	echo_works();
	done(&s, NULL);
}

static void loopback_only_means_it(void **state)
{
	(void)state;
	assert_int_equal(net_connect(net, "192.0.2.1", 143, true, soon(), &why),
			 -EINVAL);
	assert_non_null(strstr(why.text, "loopback"));
}

static void silence_ends_at_the_deadline(void **state)
{
	struct server s = {.mode = SERVE_SILENT};
	struct net_tls *tls = trusting(cafile, NULL);
	int64_t start = clock_now_ms();

	(void)state;
	server_start(&s);
	assert_int_equal(
		net_connect(net, "127.0.0.1", s.port, true, soon(), &why), 0);
	assert_int_equal(net_start_tls(net, tls, "localhost", start + 50, &why),
			 -ETIMEDOUT);
	assert_non_null(strstr(why.text, "no answer from 'localhost'"));
	assert_true(clock_now_ms() >= start + 50);
	done(&s, tls);
}

static void *wake_later(void *arg)
{
	net_wake(arg);
	return NULL;
}

static void a_wake_ends_any_wait_once(void **state)
{
	struct server s = {.mode = SERVE_SILENT};
	struct net_tls *tls = trusting(cafile, NULL);
	pthread_t thread;

	(void)state;
	server_start(&s);
	assert_int_equal(
		net_connect(net, "127.0.0.1", s.port, true, soon(), &why), 0);
	assert_int_equal(pthread_create(&thread, NULL, wake_later, net), 0);
	assert_int_equal(net_wait(net, false, CLOCK_NEVER), NET_WOKEN);
	pthread_join(thread, NULL);
	assert_int_equal(net_wait(net, false, clock_now_ms()), NET_TIMEOUT);

	net_wake(net);
	assert_int_equal(
		net_start_tls(net, tls, "localhost", CLOCK_NEVER, &why),
		-ECANCELED);
	assert_int_equal(why.code, -ECANCELED);
	done(&s, tls);
}

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
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	cert_free(&ca);
	cert_free(&good);
	(void)unlink(cafile);
	(void)rmdir(folder);
	return 0;
}

static int open_net(void **state)
{
	(void)state;
	return net_new(&net);
}

static int free_net(void **state)
{
	(void)state;
	net_free(net);
	return 0;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, open_net, free_net)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(plain_bytes_pass),
		CASE(a_trusted_chain_is_accepted_and_named_by_sni),
		CASE(an_address_is_verified_as_one),
		CASE(a_wrong_name_is_refused),
		CASE(an_expired_certificate_is_refused_with_its_date),
		CASE(an_unknown_issuer_is_refused_by_name),
		CASE(a_self_signed_certificate_needs_its_pin),
		CASE(settings_that_cannot_work_are_refused),
		CASE(a_server_without_tls_is_named),
		CASE(old_versions_of_tls_are_refused),
		CASE(large_transfers_arrive_whole),
		CASE(what_tls_has_buffered_is_readable),
		CASE(a_closed_connection_is_an_error_and_no_signal),
		CASE(nobody_at_the_port_is_a_refusal),
		CASE(an_unknown_host_is_named),
		CASE(names_are_resolved),
		CASE(loopback_only_means_it),
		CASE(silence_ends_at_the_deadline),
		CASE(a_wake_ends_any_wait_once),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
