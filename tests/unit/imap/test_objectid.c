/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <string.h>

#include "fetched.h"

/* What a message is called by a server that has OBJECTID, and what is no id. */

/* RFC 8474 section 5.1. */
static void an_emailid_is_read(void **state)
{
	char longest[300] = "* 1 FETCH (EMAILID (";
	struct fetch f = fetch("* 1 FETCH (EMAILID (M6d99ac3275bb4e_-Z) "
			       "THREADID (T1) UID 4)\r\n");

	(void)state;
	assert_false(f.damaged);
	assert_int_equal(f.row.has, ROW_EMAILID | ROW_UID);
	assert_string_equal(f.row.emailid, "M6d99ac3275bb4e_-Z");
	f = fetch("* 1 FETCH (UID 4 EMAILID ( 7 ))\r\n");
	assert_int_equal(f.row.has, ROW_UID);
	memset(longest + strlen(longest), 'a', 255);
	strcat(longest, ") UID 4)\r\n");
	f = fetch(longest);
	assert_int_equal(f.row.has, ROW_EMAILID | ROW_UID);
	assert_int_equal(strlen(f.row.emailid), 255);
}

/* It costs nothing but itself, and is no reason to ask again. */
static void what_is_no_emailid_is_none(void **state)
{
	static const char *const values[] = {
		"NIL",           "()",           "(NIL)",    "M1",
		"(M1 M2)",       "((M1))",       "(\"M1\")", "({2}\r\nM1)",
		"(M1/../x)",     "(M%1)",        "(M.1)",    "(M*1)",
		"(M1\001)",      "(M\303\2741)", "(\"\")",   "(M1\\)",
		"({3}\r\nM\n1)",
	};
	static const char with_nul[] = "* 1 FETCH (EMAILID (M\0001) UID 4)\r\n";
	char text[600];
	struct fetch f;

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		(void)snprintf(text, sizeof(text),
			       "* 1 FETCH (EMAILID %s UID 4 FLAGS ())\r\n",
			       values[i]);
		f = fetch(text);
		assert_false(f.damaged);
		assert_int_equal(f.row.has, ROW_UID | ROW_FLAGS);
		assert_null(f.row.emailid);
	}
	(void)snprintf(text, sizeof(text),
		       "* 1 FETCH (EMAILID (%0256d) UID 4)\r\n", 1);
	f = fetch(text);
	assert_false(f.damaged);
	assert_int_equal(f.row.has, ROW_UID);
	f = fetch_n(with_nul, sizeof(with_nul) - 1);
	assert_int_equal(f.row.has, ROW_UID);
	f = fetch("* 1 FETCH (UID 4 EMAILID (M1\r\n");
	assert_true(f.damaged);
	assert_int_equal(f.row.has, ROW_UID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_emailid_is_read),
		cmocka_unit_test(what_is_no_emailid_is_none),
	};

	return cmocka_run_group_tests(tests, fetched_setup, fetched_teardown);
}
