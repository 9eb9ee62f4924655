/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/account.h"
#include "imap/srv.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

/*
 * Sources as users write them, and what an answer of DNS makes of them.
 */

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *source, *host;
	unsigned port;
	enum imap_tls tls;
	const char *user, *mailbox;
	bool lookup_srv;
} good_sources[] = {
#define TLS IMAP_TLS_IMPLICIT
#define START IMAP_TLS_STARTTLS
	{"alice@gmail.com", "imap.gmail.com", 993, TLS, "alice@gmail.com", NULL,
	 false},
	{"Al.Ice+x@GoogleMail.com", "imap.gmail.com", 993, TLS,
	 "Al.Ice+x@GoogleMail.com", NULL, false},
	{"a@hotmail.com", "outlook.office365.com", 993, TLS, "a@hotmail.com",
	 NULL, false},
	{"a@mail.com", "imap.mail.com", 993, TLS, "a@mail.com", NULL, false},
	{"a@gmx.de", "imap.gmx.net", 993, TLS, "a@gmx.de", NULL, false},
	{"a@t-online.de", "secureimap.t-online.de", 993, TLS, "a@t-online.de",
	 NULL, false},
	{"a@me.com", "imap.mail.me.com", 993, TLS, "a@me.com", NULL, false},
	{"a@Example.ORG", "imap.example.org", 993, TLS, "a@Example.ORG", NULL,
	 true},
	{"a@xn--mller-kva.de", "imap.xn--mller-kva.de", 993, TLS,
	 "a@xn--mller-kva.de", NULL, true},
	{"imaps://alice%40example.com@imap.gmail.com/", "imap.gmail.com", 993,
	 TLS, "alice@example.com", NULL, false},
	{"imaps://alice@IMAP.GMAIL.COM", "imap.gmail.com", 993, TLS, "alice",
	 NULL, false},
	{"IMAPS://a@example.org:10993", "example.org", 10993, TLS, "a", NULL,
	 false},
	{"imap://a@example.org", "example.org", 143, START, "a", NULL, false},
	{"imap://a@127.0.0.1:1143/", "127.0.0.1", 1143, START, "a", NULL,
	 false},
	{"imaps://a@[::1]:993/", "::1", 993, TLS, "a", NULL, false},
	{"imaps://a@[2001:db8::1]", "2001:db8::1", 993, TLS, "a", NULL, false},
	{"imaps://a@h.example:/", "h.example", 993, TLS, "a", NULL, false},
	{"imaps://a@h.example./", "h.example", 993, TLS, "a", NULL, false},
	{"imaps://a;AUTH=*@h.example/", "h.example", 993, TLS, "a", NULL,
	 false},
	{"imaps://a;auth=plain@h.example/", "h.example", 993, TLS, "a", NULL,
	 false},
	{"imaps://a@b.example@h.example/Work%2fA%20b%C3%A4/", "h.example", 993,
	 TLS, "a@b.example", "Work/A b\xc3\xa4", false},
	{"imaps://a%3Ab%25@h.example//INBOX", "h.example", 993, TLS, "a:b%",
	 "INBOX", false},
};

static void good_sources_give_a_server(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(good_sources); i++) {
		struct imap_error why = {0};
		struct account a;

		if (account_parse(good_sources[i].source, &a, &why) != 0)
			fail_msg("%s: %s", good_sources[i].source, why.text);
		assert_string_equal(a.host, good_sources[i].host);
		assert_int_equal(a.port, good_sources[i].port);
		assert_int_equal(a.tls, good_sources[i].tls);
		assert_string_equal(a.user, good_sources[i].user);
		if (good_sources[i].mailbox)
			assert_string_equal(a.mailbox, good_sources[i].mailbox);
		else
			assert_null(a.mailbox);
		assert_int_equal(a.lookup_srv, good_sources[i].lookup_srv);
		account_finish(&a);
	}
}

static void bad_sources_are_refused_with_the_reason(void **state)
{
	static const struct {
		const char *source, *word;
	} cases[] = {
		{"", "neither"},
		{"alice", "neither"},
		{"@example.org", "neither"},
		{"alice@", "host name"},
		{"a b@example.org", "neither"},
		{"alice@exa mple.org", "neither"},
		{"alice@exa_mple..org", "not valid"},
		{"alice@.org", "not valid"},
		{"alice@m\xc3\xbcller.de", "xn--"},
		{"al\x01ice@example.org", "control"},
		{"al\xff@example.org", "UTF-8"},
		{"alice@proton.me", "Bridge"},
		{"alice@protonmail.com", "127.0.0.1:1143"},
		{"http://a@example.org/", "'http'"},
		{"pop3://a@example.org/", "imaps://"},
		{"://a@example.org/", "password"},
		{"imaps://example.org/", "no user"},
		{"imaps://@example.org/", "no user"},
		{"imaps://;AUTH=*@example.org/", "no user"},
		{"imaps://", "no user"},
		{"imaps://a@", "host name"},
		{"imaps://a@/INBOX", "host name"},
		{"imaps://a@h:0/", "1 to 65535"},
		{"imaps://a@h:65536/", "1 to 65535"},
		{"imaps://a@h:99999999999999999999/", "1 to 65535"},
		{"imaps://a@h:12x/", "port"},
		{"imaps://a@h:-1/", "port"},
		{"imaps://a@[::1/", "]"},
		{"imaps://a@[::1]x/", "]"},
		{"imaps://a@[example]/", "IPv6"},
		{"imaps://a@[]/", "IPv6"},
		{"imaps://a@m\xc3\xbcller.de/", "xn--"},
		{"imaps://a%@h/", "%"},
		{"imaps://a%4@h/", "%"},
		{"imaps://a%zz@h/", "%"},
		{"imaps://a%00@h/", "%"},
		{"imaps://a%0d%0aX@h/", "control"},
		{"imaps://a%ff@h/", "UTF-8"},
		{"imaps://a@h/%0a", "control"},
		{"imaps://a@h/%c3", "UTF-8"},
		{"imaps://a@h/%", "%"},
		{"imaps://a@h/INBOX;UIDVALIDITY=3/;UID=4", "only a mailbox"},
		{"imaps://a@h/INBOX?SUBJECT%20x", "only a mailbox"},
		{"imaps://a@h?x", "only a mailbox"},
		{"imaps://a;AUTH=GSSAPI@h/", "GSSAPI"},
		{"imaps://a;AUTH=@h/", "AUTH"},
		{"imaps://a;X=1@h/", "AUTH"},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct imap_error why = {0};
		struct account a;

		if (account_parse(cases[i].source, &a, &why) != -EINVAL)
			fail_msg("accepted: %s", cases[i].source);
		if (!strstr(why.text, cases[i].word))
			fail_msg("%s: %s", cases[i].source, why.text);
		assert_int_equal(why.code, -EINVAL);
	}
}

static void passwords_are_refused_and_not_repeated(void **state)
{
	static const char *const sources[] = {
		"imaps://alice:hunter2@example.org/",
		"imap://alice:hunter2@example.org",
		"imaps://alice:hunter2/x@example.org/",
		"imaps://alice:hunter2@x@example.org/",
		"imaps://alice:hunter2;AUTH=*@example.org/",
		"imaps://:hunter2@example.org/",
		"imaps://alice:@example.org/",
		"alice:hunter2@gmail.com",
	};

	(void)state;
	for (size_t i = 0; i < N(sources); i++) {
		struct imap_error why = {0};
		struct account a;

		assert_int_equal(account_parse(sources[i], &a, &why), -EINVAL);
		if (!strstr(why.text, "password") ||
		    !strstr(why.text, "passfile="))
			fail_msg("%s: %s", sources[i], why.text);
		assert_null(strstr(why.text, "hunter2"));
	}
}

static void a_host_or_user_without_end_is_refused(void **state)
{
	struct imap_error why;
	struct account a;
	char source[3000];

	(void)state;
	memset(source, 'a', sizeof(source));
	memcpy(source, "imaps://u@", 10);
	source[sizeof(source) - 1] = '\0';
	assert_int_equal(account_parse(source, &a, &why), -EINVAL);
	memcpy(source, "imaps://ua", 10);
	memcpy(source + sizeof(source) - 6, "@h.de", 6);
	assert_int_equal(account_parse(source, &a, &why), -EINVAL);
}

static void keys_are_one_path_component_and_tell_accounts_apart(void **state)
{
	static const struct {
		const char *source, *key;
	} cases[] = {
		{"alice@gmail.com", "alice@gmail.com@imap.gmail.com"},
		{"imaps://a@h.example/", "a@h.example"},
		{"imap://a@h.example/", "a@h.example"},
		{"imaps://a@h.example:143/", "a@h.example:143"},
		{"imaps://a%2Fb@h.example/", "a%2Fb@h.example"},
		{"imaps://a%25b@h.example/", "a%25b@h.example"},
		{"imaps://\xc3\xa4@h.example/", "%C3%A4@h.example"},
		{"imaps://a@[::1]:9/", "a@%3A%3A1:9"},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct imap_error why;
		struct account a;
		char *key;

		assert_int_equal(account_parse(cases[i].source, &a, &why), 0);
		key = account_key(&a);
		assert_string_equal(key, cases[i].key);
		free(key);
		account_finish(&a);
	}
}

static void long_keys_are_cut_and_stay_apart(void **state)
{
	char user[400];
	struct account a = {.user = user, .host = (char *)"h", .port = 993};
	char *one, *two;

	(void)state;
	memset(user, '/', sizeof(user));
	user[sizeof(user) - 1] = '\0';
	one = account_key(&a);
	user[sizeof(user) - 2] = 'x';
	two = account_key(&a);
	assert_true(strlen(one) <= 200 && strlen(two) <= 200);
	assert_string_not_equal(one, two);
	assert_null(strchr(one, '/'));
	free(one);
	free(two);
}

static void a_target_elsewhere_is_only_suggested(void **state)
{
	static const struct {
		const char *target;
		bool is_authentic, taken;
	} cases[] = {
		{"mail.example.org", false, true},
		{"example.org", false, true},
		{"MAIL.Example.ORG", false, true},
		{"imap.fastmail.com", false, true},
		{"mail.evil.test", false, false},
		{"mail.evil.test", true, true},
		{"notexample.org", false, false},
		{"example.org.evil.test", false, false},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct srv_answer answer = {.port = 1143,
					    .is_starttls = true,
					    .is_authentic =
						    cases[i].is_authentic};
		struct imap_error why;
		struct account a;

		snprintf(answer.host, sizeof(answer.host), "%s",
			 cases[i].target);
		assert_int_equal(account_parse("a@example.org", &a, &why), 0);
		account_take_srv(&a, &answer);
		if (cases[i].taken) {
			assert_true(strcasecmp(a.host, cases[i].target) == 0);
			assert_int_equal(a.port, 1143);
			assert_int_equal(a.tls, IMAP_TLS_STARTTLS);
			assert_null(a.suggested);
		} else {
			assert_string_equal(a.host, "imap.example.org");
			assert_int_equal(a.port, 993);
			assert_int_equal(a.tls, IMAP_TLS_IMPLICIT);
			assert_string_equal(a.suggested, cases[i].target);
		}
		account_finish(&a);
	}
}

static void a_target_that_is_no_host_name_is_left_alone(void **state)
{
	struct srv_answer answer = {.host = "a b\\000.example.org", .port = 1};
	struct imap_error why;
	struct account a;

	(void)state;
	assert_int_equal(account_parse("a@example.org", &a, &why), 0);
	account_take_srv(&a, &answer);
	assert_string_equal(a.host, "imap.example.org");
	account_finish(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_sources_give_a_server),
		cmocka_unit_test(bad_sources_are_refused_with_the_reason),
		cmocka_unit_test(passwords_are_refused_and_not_repeated),
		cmocka_unit_test(a_host_or_user_without_end_is_refused),
		cmocka_unit_test(
			keys_are_one_path_component_and_tell_accounts_apart),
		cmocka_unit_test(long_keys_are_cut_and_stay_apart),
		cmocka_unit_test(a_target_elsewhere_is_only_suggested),
		cmocka_unit_test(a_target_that_is_no_host_name_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
