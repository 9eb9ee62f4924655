/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmocka.h wants these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "fs/content.h"

/* What can be a message, and its line ends. */

#define LONG_NAME 1100

static void the_first_bytes_tell(void **state)
{
	static const struct {
		const char *text;
		enum content_head head;
	} cases[] = {
		{"", CONTENT_UNKNOWN},
		{"S", CONTENT_UNKNOWN},
		{"Subject", CONTENT_UNKNOWN},
		{"Subject ", CONTENT_UNKNOWN},
		{"Subject:", CONTENT_MESSAGE},
		{"Subject \t: x", CONTENT_MESSAGE},
		{"X-~!'|{}: x", CONTENT_MESSAGE},
		{"Subject: x\r\n\r\nbody", CONTENT_MESSAGE},
		{":", CONTENT_OTHER},
		{" Subject: x", CONTENT_OTHER},
		{"\r\nbody", CONTENT_OTHER},
		{"\nbody", CONTENT_OTHER},
		{"Subject\r\n", CONTENT_OTHER},
		{"From bob Mon Jan  1", CONTENT_OTHER},
		{"#!/bin/sh\n", CONTENT_OTHER},
		{"\xef\xbb\xbfSubject: x", CONTENT_OTHER},
		{"PK\003\004", CONTENT_OTHER},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum content_head head =
			content_head(cases[i].text, strlen(cases[i].text));

		if (head != cases[i].head)
			fail_msg("'%s': %d", cases[i].text, head);
	}
	assert_int_equal(content_head("Sub\0ect: x", 10), CONTENT_UNKNOWN);
}

static void a_name_that_does_not_end_is_none(void **state)
{
	char text[LONG_NAME];

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(content_head(text, CONTENT_HEAD_MAX - 1),
			 CONTENT_UNKNOWN);
	assert_int_equal(content_head(text, CONTENT_HEAD_MAX), CONTENT_OTHER);
	assert_int_equal(content_head(text, sizeof(text)), CONTENT_OTHER);
}

/* The slow and simple way. */
static size_t convert_bytes(const char *p, size_t n, char *to)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n' && (i == 0 || p[i - 1] != '\r'))
			to[out++] = '\r';
		to[out++] = p[i];
	}
	return out;
}

/* Numbers below `n`, always the same ones (xorshift). */
static size_t below(size_t n)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (size_t)(x % n);
}

static void line_ends_become_crlf_however_they_are_cut(void **state)
{
	static const char letters[] = "ab\r\n\n\r";
	char text[40], want[80], got[80];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct content c = {0}, fed = {0}, after = {0};
		size_t n = below(sizeof(text) + 1), out = 0, want_n;

		for (size_t i = 0; i < n; i++)
			text[i] = letters[below(6)];
		want_n = convert_bytes(text, n, want);
		for (size_t at = 0, step; at < n; at += step) {
			step = 1 + below(n - at);
			out += content_convert(&c, text + at, step, got + out);
			content_feed(&fed, text + at, step);
		}
		assert_int_equal(out, want_n);
		assert_memory_equal(got, want, want_n);
		assert_int_equal(c.size, n);
		assert_int_equal(content_size(&c), want_n);
		assert_int_equal(fed.size, c.size);
		assert_int_equal(fed.bare_lf, c.bare_lf);
		assert_int_equal(fed.after_cr, c.after_cr);
		/* Once is enough. */
		content_feed(&after, got, out);
		assert_int_equal(after.bare_lf, 0);
	}
}

static void a_nul_is_seen_wherever_it_is(void **state)
{
	static const char text[] = "ab\0cd";

	(void)state;
	for (size_t n = 1; n <= sizeof(text) - 1; n++) {
		struct content c = {0}, two = {0};

		content_feed(&c, text, n);
		assert_int_equal(c.has_nul, n > 2);
		content_feed(&two, text, n);
		content_feed(&two, "x", 1);
		assert_int_equal(two.has_nul, n > 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_bytes_tell),
		cmocka_unit_test(a_name_that_does_not_end_is_none),
		cmocka_unit_test(line_ends_become_crlf_however_they_are_cut),
		cmocka_unit_test(a_nul_is_seen_wherever_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
