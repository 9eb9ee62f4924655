/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "imap/names.h"

static const struct {
	const char *wire;
	const char *text;
} pairs[] = {
	{"", ""},
	{"INBOX", "INBOX"},
	{"A&-B", "A&B"},
	{"&-&-", "&&"},
	{"Entw&APw-rfe/&-&ZeVnLA-", "Entwürfe/&日本"},
	{"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"},
	{"&2D3cSA-", "\xf0\x9f\x91\x88"},
	{"&2D3cSADp-x", "\xf0\x9f\x91\x88\xc3\xa9x"},
	{"a&AAE-b", "a\x01"
		    "b"},
	{"&AOk-&-", "é&"},
	{"~", "~"},
};

static void names_are_decoded_and_encoded_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		char *text = NULL;
		char *wire = NULL;

		assert_int_equal(utf7_decode(pairs[i].wire, &text), 0);
		assert_string_equal(text, pairs[i].text);
		assert_int_equal(utf7_encode(pairs[i].text, &wire), 0);
		assert_string_equal(wire, pairs[i].wire);
		free(text);
		free(wire);
	}
}

static void other_spellings_are_refused(void **state)
{
	static const char *const bad[] = {
		"\xc3\xa4",                  /* raw 8-bit */
		"a\tb",                      /* raw control */
		"&",          "a&b", "&AOk", /* not ended */
		"&AO-",                      /* in mid-character */
		"&AOkA-",                    /* more base64 than characters */
		"&AOl-",      /* bits set behind the last character */
		"&AGE-",      /* an encoded letter */
		"&ACY-",      /* an encoded & */
		"&AAA-",      /* NUL */
		"&2D0-",      /* a high surrogate alone */
		"&3Ek-",      /* a low one alone */
		"&2D0A6Q-",   /* a high one, then something else */
		"&AOk-&AOk-", /* two runs in a row */
		"&AO/-",      /* the base64 of MIME */
		"&A=-",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *text = (char *)"untouched";

		assert_int_equal(utf7_decode(bad[i], &text), -EILSEQ);
		assert_string_equal(text, "untouched");
	}
}

static void invalid_utf8_is_not_encoded(void **state)
{
	static const char *const bad[] = {"\xff", "a\xc3", "\xed\xa0\x80",
					  "\xc0\x80", "\xf4\x90\x80\x80"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *wire = NULL;

		assert_int_equal(utf7_encode(bad[i], &wire), -EILSEQ);
		assert_null(wire);
	}
}

static void the_longest_forms_fit(void **state)
{
	char text[2 * 300 + 1];
	char *wire = NULL;
	char *again = NULL;

	(void)state;
	for (int i = 0; i < 300; i++)
		memcpy(text + (size_t)2 * i, "\x01&", 2);
	text[600] = '\0';
	assert_int_equal(utf7_encode(text, &wire), 0);
	assert_int_equal(strlen(wire), 300 * 7);
	assert_int_equal(utf7_decode(wire, &again), 0);
	assert_string_equal(again, text);
	free(wire);
	free(again);

	for (int i = 0; i < 200; i++)
		memcpy(text + (size_t)3 * i, "\xe6\x97\xa5", 3);
	assert_int_equal(utf7_encode(text, &wire), 0);
	assert_int_equal(utf7_decode(wire, &again), 0);
	assert_string_equal(again, text);
	free(wire);
	free(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_decoded_and_encoded_back),
		cmocka_unit_test(other_spellings_are_refused),
		cmocka_unit_test(invalid_utf8_is_not_encoded),
		cmocka_unit_test(the_longest_forms_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
