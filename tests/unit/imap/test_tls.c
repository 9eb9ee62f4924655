/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "net_scene.h"

/* TLS: which certificates and settings are refused, and how it is said. */

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_trusted_chain_is_accepted_and_named_by_sni),
		CASE(an_address_is_verified_as_one),
		CASE(a_wrong_name_is_refused),
		CASE(an_expired_certificate_is_refused_with_its_date),
		CASE(an_unknown_issuer_is_refused_by_name),
		CASE(a_self_signed_certificate_needs_its_pin),
		CASE(settings_that_cannot_work_are_refused),
		CASE(a_server_without_tls_is_named),
		CASE(old_versions_of_tls_are_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
