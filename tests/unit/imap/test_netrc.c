/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/netrc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/*
 * Files as curl, msmtp and Gnus know them, and broken ones.
 */

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void netrc_entries_are_found_by_host_user_and_port(void **state)
{
	static const struct {
		const char *text, *want; /* NULL: none */
	} cases[] = {
		{"machine h.example login alice@example.org password pw", "pw"},
		{"machine H.Example password pw", "pw"},
		{"machine example.org\n\tpassword pw\n", "pw"},
		{"machine h.example login bob password no\n"
		 "machine h.example login alice@example.org password pw",
		 "pw"},
		{"machine h.example password one machine h.example password "
		 "two",
		 "one"},
		{"machine other password no default password pw", "pw"},
		{"default login bob password no", NULL},
		{"machine h.example port 993 password pw", "pw"},
		{"machine h.example port imaps password pw", "pw"},
		{"machine h.example port 25 password no", NULL},
		{"machine h.example port smtp password no\n"
		 "machine h.example password pw",
		 "pw"},
		{"machine h.example password \"p w\\\"\\\\\"", "p w\"\\"},
		{"machine h.example login \"alice@example.org\" password x",
		 "x"},
		{"# machine h.example password no\nmachine h.example # why\n"
		 "password #pw,1",
		 "#pw,1"},
		{"machine h.example account x password pw", "pw"},
		{"macdef init\nmachine h.example password no\n\n"
		 "machine h.example password pw",
		 "pw"},
		{"machine h.example login", NULL},
		{"machine h.example password", NULL},
		{"machine h.example\nmachine other password no", NULL},
		{"machine", NULL},
		{"machine \"h.example", NULL},
		{"password no", NULL},
		{"", NULL},
		{"machine h.example.org password no", NULL},
		{"machine h password no", NULL},
	};
	const struct netrc_query q = {"h.example", "alice@example.org", 993};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		size_t len = strlen(cases[i].text), n = 0;
		char *text = malloc(len + 1); /* exact: reads behind show */
		char buf[64] = "";
		int r;

		assert_non_null(text);
		memcpy(text, cases[i].text, len);
		text = realloc(text, len ? len : 1);
		r = netrc_find(text, len, &q, buf, sizeof(buf) - 1, &n);
		free(text);
		buf[n] = '\0';
		if (r != (cases[i].want ? 0 : -ENOENT) ||
		    (r == 0 && strcmp(buf, cases[i].want) != 0))
			fail_msg("%s: %d '%s'", cases[i].text, r, buf);
	}
}

static void netrc_passwords_that_do_not_fit_are_refused(void **state)
{
	const struct netrc_query q = {"h", "u", 993};
	const char text[] = "machine h password 12345";
	char buf[4];
	size_t n;

	(void)state;
	assert_int_equal(
		netrc_find(text, strlen(text), &q, buf, sizeof(buf), &n),
		-EFBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(netrc_entries_are_found_by_host_user_and_port),
		cmocka_unit_test(netrc_passwords_that_do_not_fit_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
