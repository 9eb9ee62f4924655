/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "imap/lock.h"
#include "imap/net.h"
#include "tls_server.h"

/* Certificates that no honest authority would make. */

static void odd_addresses_in_a_certificate_are_not_read_beyond(void **state)
{
	/* A subjectAltName with one iPAddress of a single byte. */
	static const char odd[] = "DER:30:03:87:01:41";
	char path[300];
	struct cert ca = cert_new("Odd CA", NULL, NULL, -60, 3600);
	struct cert leaf = cert_new("odd", odd, &ca, -60, 3600);
	struct server s = {.mode = SERVE_CLOSE, .cert = &leaf};
	int64_t soon = clock_now_ms() + 10000;
	struct imap_error why = {0};
	struct net_tls *tls;
	struct net *net;

	(void)state;
	snprintf(path, sizeof(path), "%s/imapfs-test-tls-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	close(mkstemp(path));
	cert_save(&ca, path);
	server_start(&s);
	assert_int_equal(net_tls_new(path, NULL, &tls, &why), 0);
	assert_int_equal(net_new(&net), 0);
	assert_int_equal(
		net_connect(net, "127.0.0.1", s.port, true, soon, &why), 0);
	assert_true(net_start_tls(net, tls, "127.0.0.1", soon, &why) < 0);
	assert_non_null(strstr(why.text, "is for 'odd', not for '127.0.0.1'"));
	net_free(net);
	server_stop(&s);
	net_tls_free(tls);
	cert_free(&leaf);
	cert_free(&ca);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			odd_addresses_in_a_certificate_are_not_read_beyond),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
