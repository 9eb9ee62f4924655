/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistr.h>

#include "imap/names.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

struct pair {
	const char *in;
	const char *out;
};

static void check_decode(const struct pair *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *out = NULL;

		assert_int_equal(header_decode(rows[i].in, &out), 0);
		assert_string_equal(out, rows[i].out);
		free(out);
	}
}

static void encoded_words_are_decoded(void **state)
{
	static const struct pair rows[] = {
		{"", ""},
		{"plain text", "plain text"},
		{"=?utf-8?Q?caf=C3=A9_x?=", "café x"},
		{"=?UTF-8?b?w5xiZXI=?= x", "Über x"},
		{"a =?iso-8859-1?Q?caf=E9?= b", "a café b"},
		{"=?utf-8?Q?a?= =?utf-8?Q?b?=", "ab"},
		{"=?utf-8?Q?a?= c =?utf-8?Q?b?=", "a c b"},
		{"=?utf-8?B?w5w=?=\t =?iso-8859-1?Q?=DC?=", "ÜÜ"},
		/* One character over two words. */
		{"=?utf-8?Q?=C3?= =?utf-8?Q?=A9?=", "é"},
		{"=?utf-8*de?Q?x=C3=A4?=", "xä"},
		{"(=?koi8-r?B?8NLJ18XU?=)", "(Привет)"},
		{"=?gb2312?B?xOO6ww==?=", "你好"},
		{"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"},
	};

	(void)state;
	check_decode(rows, N_OF(rows));
}

static void what_is_no_encoded_word_stays(void **state)
{
	static const struct pair rows[] = {
		{"=?", "=?"},
		{"=?utf-8?Q?open", "=?utf-8?Q?open"},
		{"=?x-none?Q?a?=", "=?x-none?Q?a?="},
		{"=?../../tmp/x?Q?a?=", "=?../../tmp/x?Q?a?="},
		{"=?utf-8//IGNORE?Q?a?=", "=?utf-8//IGNORE?Q?a?="},
		{"=?utf-8?X?a?=", "=?utf-8?X?a?="},
		{"1=2=3", "1=2=3"},
	};

	(void)state;
	check_decode(rows, N_OF(rows));
}

static void raw_bytes_become_utf8(void **state)
{
	static const struct pair rows[] = {
		{"caf\xc3\xa9", "café"},
		{"caf\xe9 \x80 \x93x\x94", "café € “x”"},
		{"\x81", "\xef\xbf\xbd"},
		{"a\tb\x01", "a b "},
	};

	(void)state;
	check_decode(rows, N_OF(rows));
}

static void results_are_always_valid_utf8(void **state)
{
	static const char *const bad[] = {
		"=?utf-8?Q?a=FFb?=",      "=?utf-8?B?/w==?=",
		"=?utf-8?B?w5xiw?=",      "=?utf-8?Q?=?=",
		"=?utf-8?Q?==?=",         "=?utf-16?B?2D0=?=",
		"=?utf-8?Q?=0D=0A=00x?=",
	};

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		char *out = NULL;

		assert_int_equal(header_decode(bad[i], &out), 0);
		assert_null(u8_check((uint8_t *)out, strlen(out)));
		assert_null(strpbrk(out, "\r\n"));
		free(out);
	}
}

static void long_input_is_cut_at_a_character(void **state)
{
	char in[3 * MAIL_FIELD_MAX];
	char *out = NULL;

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(in); i += 2)
		memcpy(in + i, "\xc3\xa9", 2);
	in[sizeof(in) - 2] = '\0';
	assert_int_equal(header_decode(in + 1, &out), 0);
	assert_null(u8_check((uint8_t *)out, strlen(out)));
	free(out);
	assert_int_equal(header_decode(in, &out), 0);
	assert_int_equal(strlen(out), MAIL_FIELD_MAX);
	free(out);
	in[0] = 'x';
	in[1] = 'y';
	in[2] = 'z';
	memcpy(in + 3, "\xc3\xa9\xc3\xa9", 4);
	for (size_t i = 3; i + 2 < sizeof(in); i += 2)
		memcpy(in + i, "\xc3\xa9", 2);
	assert_int_equal(header_decode(in, &out), 0);
	assert_int_equal(strlen(out), MAIL_FIELD_MAX - 1);
	free(out);
}

static void the_first_mailbox_is_found(void **state)
{
	static const struct {
		const char *in;
		const char *name;
		const char *addr;
	} rows[] = {
		{"", "", ""},
		{"alice@example.com", "", "alice@example.com"},
		{"Alice Example <alice@example.com>", "Alice Example",
		 "alice@example.com"},
		{"\"Example, Alice\" <a@x>, b@y", "Example, Alice", "a@x"},
		{"\"A \\\"B\\\" C\" <a@x>", "A \"B\" C", "a@x"},
		{"a@x (Alice (the) Example)", "Alice (the) Example", "a@x"},
		{"Alice (work) <a@x> (home)", "Alice", "a@x"},
		{"=?utf-8?Q?J=C3=B6rg?= <j@x>", "Jörg", "j@x"},
		{"\"=?utf-8?Q?J=C3=B6rg?=\" <j@x>", "Jörg", "j@x"},
		{"=?utf-8?Q?M,_\"J?= <j@x>", "M, \"J", "j@x"},
		{"J\xf6rg <j@x>", "Jörg", "j@x"},
		{"<a@x>", "", "a@x"},
		{"Alice <@r1,@r2:a@x>", "Alice", "a@x"},
		{",, ,a@x", "", "a@x"},
		{"a@x, Bob <b@y>", "", "a@x"},
		{"Smith, John <js@x>", "Smith, John", "js@x"},
		{"Friends: Bob <b@y>, c@z;", "Bob", "b@y"},
		{"undisclosed-recipients:;", "", ""},
		{"Alice a@x", "Alice", "a@x"},
		{"\"unterminated <a@x>", "unterminated", "a@x"},
		{"\"john doe\"@x.org", "", "john doe@x.org"},
		{"\"a@fake\" <real@x>", "a@fake", "real@x"},
		{"Alice <a@x", "Alice", "a@x"},
		{"Alice <>", "Alice", ""},
		{"root", "", "root"},
		{"Mail Delivery System", "Mail Delivery System", ""},
		{"(only a comment", "only a comment", ""},
		{"\"", "", ""},
		{"\\", "", "\\"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		char *name = NULL;
		char *addr = NULL;

		assert_int_equal(header_first_address(rows[i].in, &name, &addr),
				 0);
		assert_string_equal(name, rows[i].name);
		assert_string_equal(addr, rows[i].addr);
		free(name);
		free(addr);
	}
}

/* Leave on the stack what no code may take for its own. */
static __attribute__((noinline)) void dirty_the_stack(void)
{
	volatile char bytes[16384];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = 1;
}

static void a_word_of_any_length_is_an_address(void **state)
{
	char in[MAIL_FIELD_MAX + 1];

	(void)state;
	for (size_t n = 1; n < sizeof(in); n++) {
		char *name = NULL, *addr = NULL;

		memset(in, 'x', n);
		in[n] = '\0';
		dirty_the_stack();
		assert_int_equal(header_first_address(in, &name, &addr), 0);
		assert_string_equal(name, "");
		assert_string_equal(addr, in);
		free(name);
		free(addr);
	}
}

static void dates_of_every_form_are_read(void **state)
{
	static const struct {
		const char *in;
		int64_t out;
	} rows[] = {
		{"Thu, 01 Jan 1970 00:00:00 +0000", 0},
		{"Sat, 21 Nov 2026 14:30:05 +0100", 1795267805},
		{"21 Nov 2026 14:30:05 +0100", 1795267805},
		{"2026-11-21 13:30:05", 1795267805},
		{"Sat,21 Nov 26 14:30:05 +0100 (CET)", 1795267805},
		{"21 nov 126 13:30:05", 1795267805},
		{"Sat, 21 Nov 2026 08:30:05 EST", 1795267805},
		{"Sat, 21 Nov 2026 06:30:05 PDT", 1795267805},
		{"Sat, 21 Nov 2026 13:30:05 Z", 1795267805},
		{"Sat, 21 Nov 2026 13:30:05 A", 1795267805},
		{"Sat, 21 Nov 2026 13:30:05 -0000", 1795267805},
		{"Sat, 21 Nov 2026 14:30:05 +01:00", 1795267805},
		{"Sat, 21-Nov-2026 13:30:05 GMT", 1795267805},
		{"Sat Nov 21 13:30:05 2026", 1795267805},
		{"Sat Nov 21 13:30:05 UTC 2026", 1795267805},
		{"Sat (a (b\\)) c), 21 (d)Nov 2026 13 : 30 : 05 GMT",
		 1795267805},
		{"21 Nov 2026 13:30 GMT", 1795267800},
		{"1 Jan 00 0:00 GMT", 946684800},
		{"1 Jan 50 0:00 GMT", -631152000},
		{"1 Jan 1900 00:00:00 +0000", -2208988800},
		{"31 Dec 9999 23:59:60 GMT", 253402300800},
		{"29 Feb 2024 00:00:00 GMT", 1709164800},
		{"Fri, 29 Feb 2008 12:00:00 -0330", 1204299000},
		{"Sat, 21 Nov 2026 14:30:05 +0100 (CET (x))", 1795267805},
		{"Mar, 21 Nov 2026 13:30:05 +0000", 1774099805},
		{"Sat, 21 Nov 2026 13:30:05 +0069", 1795267805},
		{"Sat, 1 Nov 2026 13:30:05 +0000", 1793539805},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		char behind[80];
		int64_t out = 0;

		assert_int_equal(header_date(rows[i].in, &out), 0);
		assert_int_equal(out, rows[i].out);
		/* The usual form is read by columns, this one by words. */
		(void)snprintf(behind, sizeof(behind), "() %s", rows[i].in);
		assert_int_equal(header_date(behind, &out), 0);
		assert_int_equal(out, rows[i].out);
	}
}

static void what_is_no_date_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"yesterday",
		"21 Nov 2026",
		"14:30:05",
		"30 Feb 2026 10:00:00 GMT",
		"29 Feb 1900 10:00:00 GMT",
		"0 Jan 2026 10:00:00 GMT",
		"32 Jan 2026 10:00:00 GMT",
		"1 Jan 2026 24:00:00 GMT",
		"1 Jan 2026 10:60:00 GMT",
		"1 Jan 2026 10:00:61 GMT",
		"1 Jan 1899 10:00:00 GMT",
		"1 Jan 10000 10:00:00 GMT",
		"1 Jan 99999999999999999999 10:00:00 GMT",
		"1 Jan 2026 2027 10:00:00 GMT",
		"1 Foo 2026 10:00:00 GMT",
		"2026-13-01 10:00:00",
		"Mon, 30 Feb 2026 10:00:00 +0000",
		"Mon, 1 Jan 2026 24:00:00 +0000",
	};

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		int64_t out = 42;

		assert_int_equal(header_date(bad[i], &out), -EINVAL);
		assert_int_equal(out, 42);
	}
}

static char store[N_FIELDS * (MAIL_FIELD_MAX + 1)];

static void fields_are_cut_out_and_unfolded(void **state)
{
	static const char block[] = "Received: x\r\n\tDate: not this one\r\n"
				    "SUBJECT :  a\r\n\tb\r\n  c  \r\n"
				    "Subject: second\r\n"
				    "From:\r\n alice@x\r\n"
				    "no colon here\r\n"
				    "to:\r\n"
				    "Message-Id: <1@x>\n"
				    "Date: \x01\x7f d\0e\r\n"
				    "\r\n"
				    "Cc: in the body\r\n";
	const char *field[N_FIELDS];

	(void)state;
	header_fields(block, sizeof(block) - 1, store, field);
	assert_string_equal(field[FIELD_SUBJECT], "a b  c");
	assert_string_equal(field[FIELD_FROM], "alice@x");
	assert_string_equal(field[FIELD_TO], "");
	assert_string_equal(field[FIELD_MESSAGE_ID], "<1@x>");
	assert_string_equal(field[FIELD_DATE], "d e");
	assert_null(field[FIELD_CC]);
}

static void every_prefix_of_a_block_is_safe(void **state)
{
	static const char block[] = "From: a\r\n b\r\nSubject: x\r\n\r\n";
	const char *field[N_FIELDS];

	(void)state;
	for (size_t n = 0; n < sizeof(block); n++) {
		char *copy = malloc(n + 1);

		assert_non_null(copy);
		memcpy(copy, block, n);
		copy = realloc(copy, n ? n : 1);
		assert_non_null(copy);
		header_fields(copy, n, store, field);
		if (n >= 13)
			assert_string_equal(field[FIELD_FROM], "a b");
		free(copy);
	}
}

static void long_fields_are_cut(void **state)
{
	static char block[5000] = "To: ";
	static const char tail[] = "\nCc: y\n\n";
	const char *field[N_FIELDS];

	(void)state;
	memset(block + 4, 'x', sizeof(block) - 4);
	memcpy(block + 4900, tail, sizeof(tail));
	header_fields(block, 4908, store, field);
	assert_int_equal(strlen(field[FIELD_TO]), MAIL_FIELD_MAX);
	assert_string_equal(field[FIELD_CC], "y");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encoded_words_are_decoded),
		cmocka_unit_test(what_is_no_encoded_word_stays),
		cmocka_unit_test(raw_bytes_become_utf8),
		cmocka_unit_test(results_are_always_valid_utf8),
		cmocka_unit_test(long_input_is_cut_at_a_character),
		cmocka_unit_test(the_first_mailbox_is_found),
		cmocka_unit_test(a_word_of_any_length_is_an_address),
		cmocka_unit_test(dates_of_every_form_are_read),
		cmocka_unit_test(what_is_no_date_is_refused),
		cmocka_unit_test(fields_are_cut_out_and_unfolded),
		cmocka_unit_test(every_prefix_of_a_block_is_safe),
		cmocka_unit_test(long_fields_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
