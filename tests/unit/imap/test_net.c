/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "imap/lock.h"
#include "net_scene.h"

/* Bytes, ends, deadlines and names, with and without TLS. */

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

/* The socket whose peer has this port; of a process that has few. */
static int socket_to(uint16_t port)
{
	for (int fd = 3; fd < 256; fd++) {
		struct sockaddr_in peer = {0};
		socklen_t n = sizeof(peer);

		if (getpeername(fd, (struct sockaddr *)&peer, &n) == 0 &&
		    peer.sin_family == AF_INET && ntohs(peer.sin_port) == port)
			return fd;
	}
	return -1;
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t n = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &n), 0);
	return value;
}

/* Also one that waits for nothing: the kernel asks it. */
static void a_peer_that_is_gone_is_noticed(void **state)
{
	struct server s = {.mode = SERVE_ECHO};
	int fd;

	(void)state;
	server_start(&s);
	net_set_patience(net, 12345);
	assert_int_equal(
		net_connect(net, "127.0.0.1", s.port, false, soon(), &why), 0);
	fd = socket_to(s.port);
	assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 60);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 12345);
	echo_works();
	done(&s, NULL);
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
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	/* It is taken, so that no server of another program can be there. */
	assert_int_equal(bind(fd, (struct sockaddr *)&at, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
	assert_int_equal(net_connect(net, "127.0.0.1", ntohs(at.sin_port), true,
				     soon(), &why),
			 -ENOTCONN);
	close(fd);
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

/* One of this link without the name of the link: connect(2) says EINVAL. */
static void an_address_that_does_not_do_is_not_reached(void **state)
{
	(void)state;
	assert_int_equal(net_connect(net, "fe80::1", 9, false, soon(), &why),
			 -ENOTCONN);
	assert_int_equal(why.fault, FAULT_NETWORK);
	assert_null(strstr(why.text, "loopback"));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(plain_bytes_pass),
		CASE(a_peer_that_is_gone_is_noticed),
		CASE(large_transfers_arrive_whole),
		CASE(what_tls_has_buffered_is_readable),
		CASE(a_closed_connection_is_an_error_and_no_signal),
		CASE(nobody_at_the_port_is_a_refusal),
		CASE(an_unknown_host_is_named),
		CASE(names_are_resolved),
		CASE(an_address_that_does_not_do_is_not_reached),
		CASE(loopback_only_means_it),
		CASE(silence_ends_at_the_deadline),
		CASE(a_wake_ends_any_wait_once),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
