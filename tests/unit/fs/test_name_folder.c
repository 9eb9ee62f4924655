/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/name.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uninorm.h>
#include <unistr.h>

#include <cmocka.h>

/*
 * Names of folders, from friendly and hostile input.
 */

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void folder_names_stay_but_for_what_cannot_be(void **state)
{
	static const struct {
		const char *wire;
		size_t n; /* 0: strlen */
		const char *want;
	} cases[] = {
		{"INBOX", 0, "INBOX"},
		{"All Mail", 0, "All Mail"},
		{"[Gmail]", 0, "[Gmail]"},
		{"Entw&APw-rfe", 0, "Entw\xc3\xbcrfe"},
		{"R&-D", 0, "R&D"},
		{"a/b", 0, "a%2Fb"},
		{".", 0, "%2E"},
		{"..", 0, "%2E."},
		{".text", 0, "%2Etext"},
		{"a.b", 0, "a.b"},
		{"100%", 0, "100%"},
		{"5%~x", 0, "5%25~x"},
		{"%/", 0, "%%2F"},
		{"%2F", 0, "%252F"},
		{"%fa%g0", 0, "%25fa%g0"},
		{"a\x01\x7f\nb", 0, "a%01%7F%0Ab"},
		{"a\0b", 3, "a%00b"},
		{"a&b", 0, "a%26b"},
		{"&", 0, "%26"},
		{"a\xc3\xa9", 0, "a%C3%A9"},
		{"../x", 0, "%2E.%2Fx"},
		/* U+202E, U+0085, U+2028, all encoded well. */
		{"a&IC4-b", 0, "a%E2%80%AEb"},
		{"a&AIU-b", 0, "a%C2%85b"},
		{"a&ICg-b", 0, "a%E2%80%A8b"},
		/* A joined emoji is a name like any other. */
		{"&2D3caCAN2D3caQ-", 0,
		 "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9"},
	};
	char name[NAME_BUFFER];

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		size_t n = cases[i].n ? cases[i].n : strlen(cases[i].wire);

		assert_int_equal(name_of_folder(cases[i].wire, n, name), 0);
		assert_string_equal(name, cases[i].want);
	}
	assert_int_equal(name_of_folder("", 0, name), 0);
	assert_string_equal(name, "%00");
	/* Only `n` bytes are looked at. */
	assert_int_equal(name_of_folder("Work/Clients", 4, name), 0);
	assert_string_equal(name, "Work");
}

static void long_folder_names_are_cut_and_stay_apart(void **state)
{
	char wire[402], one[NAME_BUFFER], two[NAME_BUFFER];

	(void)state;
	memset(wire, 'a', 401);
	wire[401] = '\0';
	assert_int_equal(name_of_folder(wire, 200, one), 0);
	assert_int_equal(strlen(one), 200);
	assert_null(strchr(one, '%'));
	assert_int_equal(name_of_folder(wire, 300, one), 0);
	assert_int_equal(name_of_folder(wire, 301, two), 0);
	assert_int_equal(strlen(one), 200);
	assert_memory_equal(one + 190, "%~", 2);
	assert_string_not_equal(one, two);
	/* Escapes are not cut in two. */
	for (size_t shift = 0; shift < 3; shift++) {
		memset(wire, 'a', shift);
		memset(wire + shift, '/', 300);
		assert_int_equal(name_of_folder(wire, 300, one), 0);
		assert_true(strlen(one) <= 200);
		assert_memory_equal(strstr(one, "%~") - 3, "%2F", 3);
	}
	/* Nor characters: U+4F60 from base64, 64 times. */
	wire[0] = '&';
	for (size_t i = 0; i < 32; i++)
		memcpy(wire + 1 + 8 * i, "T2BPYE9g", 8);
	memcpy(wire + 257, "-", 2);
	assert_int_equal(name_of_folder(wire, strlen(wire), one), 0);
	assert_null(u8_check((uint8_t *)one, strlen(one)));
	assert_true(strlen(one) > 190 && strlen(one) <= 200);
}

static void twins_differ_by_the_hash_of_their_wire_name(void **state)
{
	char one[NAME_BUFFER], two[NAME_BUFFER], again[NAME_BUFFER];

	(void)state;
	assert_int_equal(name_of_folder_twin("a", 1, one), 0);
	assert_int_equal(name_of_folder_twin("A", 1, two), 0);
	assert_int_equal(name_of_folder_twin("a", 1, again), 0);
	assert_string_equal(one, again);
	assert_memory_equal(one, "a%~", 3);
	assert_int_equal(strlen(one), 11);
	assert_string_not_equal(one + 1, two + 1);
	assert_int_equal(name_of_folder_twin("", 0, one), 0);
	assert_memory_equal(one, "%00%~", 5);
}

static void a_name_is_made_a_mailbox_if_it_would_be_shown_so(void **state)
{
	static const struct {
		const char *name, *wire;
		int error;
	} cases[] = {
		{"Work", "Work", 0},
		{"R&D", "R&-D", 0},
		{"Entw\xc3\xbcrfe", "Entw&APw-rfe", 0},
		{"a b [c]", "a b [c]", 0},
		{"a%2Fb", "a/b", 0},
		{"100%", "100%", 0},
		{"100%25", NULL, -EINVAL}, /* is shown as `100%` */
		{"a%252F", "a%2F", 0},
		{"a%2fb", NULL, -EINVAL}, /* is shown with an F */
		{"a%00b", NULL, -EINVAL},
		{"%41", NULL, -EINVAL},
		{"a\nb", NULL, -EINVAL},
		{"a%0Ab", "a&AAo-b", 0},
		{".x", NULL, -EINVAL},
		{"\xff", NULL, -EINVAL},
		{"a%~abcdefgh", NULL, -EINVAL},
		{"2026_a_b_abcdef.eml", NULL, -EINVAL},
	};
	char longest[NAME_MAX_BYTES + 2];
	char *wire;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		wire = NULL;
		assert_int_equal(name_to_wire(cases[i].name, &wire),
				 cases[i].error);
		if (cases[i].wire)
			assert_string_equal(wire, cases[i].wire);
		free(wire);
	}
	memset(longest, 'a', sizeof(longest));
	longest[NAME_MAX_BYTES + 1] = '\0';
	assert_int_equal(name_to_wire(longest, &wire), -ENAMETOOLONG);
	longest[NAME_MAX_BYTES] = '\0';
	assert_int_equal(name_to_wire(longest, &wire), 0);
	free(wire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folder_names_stay_but_for_what_cannot_be),
		cmocka_unit_test(long_folder_names_are_cut_and_stay_apart),
		cmocka_unit_test(
			a_name_is_made_a_mailbox_if_it_would_be_shown_so),
		cmocka_unit_test(twins_differ_by_the_hash_of_their_wire_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
