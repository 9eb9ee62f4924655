/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "imap/lock.h"

/*
 * One connection, one certificate authority and one good certificate, which
 * the tests of a program share one after the other.
 */

char folder[] = "/tmp/imapfs-test-net-XXXXXX";
char cafile[64];
struct cert ca;
struct cert good;
struct net *net;
struct imap_error why;

int64_t soon(void)
{
	return clock_now_ms() + 60000;
}

struct net_tls *trusting(const char *file, const char *pin)
{
	struct net_tls *tls = NULL;

	assert_int_equal(net_tls_new(file, pin, &tls, &why), 0);
	return tls;
}

/* A fresh connection to `s` as `host`; the result of the handshake. */
int shake(struct server *s, struct net_tls *tls, const char *host)
{
	server_start(s);
	memset(&why, 0, sizeof(why));
	assert_int_equal(
		net_connect(net, "127.0.0.1", s->port, true, soon(), &why), 0);
	return net_start_tls(net, tls, host, soon(), &why);
}

void done(struct server *s, struct net_tls *tls)
{
	net_close(net);
	server_stop(s);
	net_tls_free(tls);
}

void send_all(const char *bytes, size_t n)
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

long read_some(char *buf, size_t size)
{
	long r = net_read(net, buf, size);

	while (r == 0) {
		assert_true(net_wait(net, false, soon()) & NET_READABLE);
		r = net_read(net, buf, size);
	}
	return r;
}

void echo_works(void)
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

int set_up(void **state)
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

int tear_down(void **state)
{
	(void)state;
	cert_free(&ca);
	cert_free(&good);
	(void)unlink(cafile);
	(void)rmdir(folder);
	return 0;
}

int open_net(void **state)
{
	(void)state;
	return net_new(&net);
}

int free_net(void **state)
{
	(void)state;
	net_free(net);
	return 0;
}
