/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uninorm.h>
#include <unistr.h>

#include <cmocka.h>

/*
 * Names of messages, from friendly and hostile input. Names are
 * compared without the six letters of the hash, but where it is the subject.
 */

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define DATE "Sat, 21 Nov 2026 15:30:12 +0100"

static void make(const char *date, const char *from, const char *subject,
		 char ret[NAME_BUFFER])
{
	struct mail_row row = {.has = ROW_FIELDS};

	row.field[FIELD_DATE] = date;
	row.field[FIELD_FROM] = from;
	row.field[FIELD_SUBJECT] = subject;
	assert_int_equal(name_of_message(&row, ret), 0);
	assert_true(strlen(ret) <= NAME_MAX_BYTES);
	assert_true(name_is_possible(ret));
	assert_null(u8_check((const uint8_t *)ret, strlen(ret)));
}

/* The name without `_HASH.eml`. */
static void assert_name(const char *date, const char *from, const char *subject,
			const char *want)
{
	char name[NAME_BUFFER];
	size_t n;

	make(date, from, subject, name);
	n = strlen(name);
	assert_true(n > 11);
	assert_string_equal(name + n - 4, ".eml");
	assert_int_equal(name[n - 11], '_');
	assert_int_equal(
		strspn(name + n - 10, "abcdefghijklmnopqrstuvwxyz234567"), 6);
	name[n - 11] = '\0';
	assert_string_equal(name, want);
}

static void a_name_is_made_of_date_from_and_subject(void **state)
{
	(void)state;
	assert_name(DATE, "Alice Example <alice@example.org>",
		    "Re: Hello world",
		    "2026-11-21T1430Z_Alice-Example_Re-Hello-world");
	assert_name(DATE, "alice@example.org", "x",
		    "2026-11-21T1430Z_alice@example.org_x");
	assert_name("Fri, 31 Dec 1999 23:59:59 -0001", "a@b.c", "x",
		    "2000-01-01T0000Z_a@b.c_x");
}

static void what_is_missing_gives_way(void **state)
{
	(void)state;
	assert_name(NULL, NULL, NULL, "no-date_nobody_no-subject");
	assert_name("", "", "", "no-date_nobody_no-subject");
	assert_name("yesterday", "<>", "!!! ???", "no-date_nobody_no-subject");
	assert_name(NULL, "\"...\" <a@b.c>", "\xf0\x9f\x98\x80",
		    "no-date_a@b.c_no-subject");
	/* Nothing but what shows nothing. */
	assert_name(NULL, NULL, "\xe2\x80\x8b\xe3\x85\xa4\xe2\x80\x8d",
		    "no-date_nobody_no-subject");
}

static const struct {
	const char *subject, *want;
} subjects[] = {
	{"a/b\\c", "a-b-c"},
	{"../../etc/passwd", "etc-passwd"},
	{"--help", "help"},
	{".hidden", "hidden"},
	{"a  \t b", "a-b"},
	{"it's \"quoted\" `x` $(y) ;|&<>*?[]{}!#~^", "it-s-quoted-x-y"},
	{"under_score", "under-score"},
	{"v1.2.3, 50% off at a@b.c", "v1.2.3-50-off-at-a@b.c"},
	{"1,5+2=3,5", "1,5+2=3,5"},
	{"C++ and ...", "C-and"},
	{"a..b", "a-b"},
	{"trailing.", "trailing"},
	/* Scripts stay; full-width letters too, their slash does not.
	 */
	{"\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82 "
	 "\xe4\xbd\xa0\xe5\xa5\xbd",
	 "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82-"
	 "\xe4\xbd\xa0\xe5\xa5\xbd"},
	{"\xef\xbc\xa1\xef\xbc\x8f\xef\xbc\x91", "\xef\xbc\xa1-\xef\xbc\x91"},
	{"\xe0\xa4\xb9\xe0\xa4\xbf\xe0\xa4\x82",
	 "\xe0\xa4\xb9\xe0\xa4\xbf\xe0\xa4\x82"},
	/* Blanks, quotes and slashes of Unicode. */
	{"a\xc2\xa0"
	 "b\xe3\x80\x80"
	 "c\xe2\x80\x9cq\xe2\x80\x9d\xe2\x88\x95z",
	 "a-b-c-q-z"},
	/* NFC; a lone mark; a mark behind punctuation. */
	{"e\xcc\x81", "\xc3\xa9"},
	{"\xcc\x81"
	 "abc",
	 "abc"},
	{"a -\xcc\xb8 b", "a-b"},
	{"a = \xcc\xb8", "a"},
	/* Bidi overrides, joiners, soft hyphens, BOM, tags. */
	{"gnp\xe2\x80\xae.exe", "gnp.exe"},
	{"a\xe2\x80\x8d"
	 "b\xc2\xad"
	 "c\xef\xbb\xbf"
	 "d\xf3\xa0\x81\x81",
	 "abcd"},
	/* A letter and its accent with a joiner between: still NFC. */
	{"e\xe2\x80\x8c\xcc\x81", "\xc3\xa9"},
	/* NFC makes a backquote and a semicolon of these. */
	{"a\xe1\xbf\xaf"
	 "b\xcd\xbe"
	 "c",
	 "a-b-c"},
	/* Private use, unassigned, noncharacters. */
	{"a\xee\x80\x80"
	 "b\xef\xbf\xbf"
	 "c\xf4\x8f\xbf\xbf"
	 "d",
	 "a-b-c-d"},
	{"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Gr\xc3\xbc\xc3\x9f"
					"e"},
	{"=?utf-8?b?Li4vLi4v?= x", "x"},
	{"broken \xef\xbf\xbd word", "broken-word"},
};

static void subjects_keep_words_and_lose_what_could_be_misread(void **state)
{
	char want[NAME_BUFFER], joined[NAME_BUFFER];

	(void)state;
	for (size_t i = 0; i < N(subjects); i++) {
		snprintf(want, sizeof(want), "no-date_nobody_%s",
			 subjects[i].want);
		assert_name(NULL, NULL, subjects[i].subject, want);
		/* A joiner goes, and takes ASCII the way of all the rest. */
		snprintf(joined, sizeof(joined), "%s\u200d",
			 subjects[i].subject);
		assert_name(NULL, NULL, joined, want);
	}
}

static void long_names_are_cut_at_a_character(void **state)
{
	/* a; two-, three- and four-byte letters; a letter with marks. */
	static const char *const units[] = {"a",
					    "\xc3\xa9",
					    "\xe4\xbd\xa0",
					    "\xf0\x90\x8c\xb0",
					    "q\xcc\x81\xcc\x83",
					    "\xe1\x84\x80\xe1\x85\xa1",
					    "a ",
					    "a."};
	char text[1001], name[NAME_BUFFER];

	(void)state;
	for (size_t i = 0; i < N(units); i++) {
		size_t n = strlen(units[i]);

		for (size_t shift = 0; shift < 6; shift++) {
			size_t len = shift;

			memset(text, 'x', shift);
			for (; len + n < sizeof(text); len += n)
				memcpy(text + len, units[i], n);
			text[len] = '\0';
			make(DATE, text, text, name);
			assert_true(strlen(name) > 190);
			assert_null(strstr(name, "-_"));
			assert_null(strstr(name, "._"));
		}
	}
	/* One grapheme over the limit is cut within. */
	memset(text, 0, sizeof(text));
	text[0] = 'a';
	for (size_t i = 1; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xcc\x9f", 2);
	make(DATE, "a@b.c", text, name);
	assert_true(strlen(name) > 190);
}

static void a_mark_is_not_cut_from_its_letter(void **state)
{
	char text[400] = "", name[NAME_BUFFER], *end;

	(void)state;
	for (size_t shift = 0; shift < 4; shift++) {
		size_t n = shift;

		memset(text, 'x', shift);
		for (; n + 3 < sizeof(text); n += 3)
			memcpy(text + n, "q\xcc\x83", 3);
		text[n] = '\0';
		make(NULL, NULL, text, name);
		end = strrchr(name, '_');
		assert_memory_equal(end - 2, "\xcc\x83", 2);
	}
}

static void from_has_at_most_60_bytes(void **state)
{
	char from[301], name[NAME_BUFFER];

	(void)state;
	memset(from, 'f', 300);
	memcpy(from + 290, " <a@b.c>", 9);
	make(NULL, from, "s", name);
	assert_int_equal(strspn(name + strlen("no-date_"), "f"), 60);
}

static void names_are_in_nfc(void **state)
{
	char name[NAME_BUFFER];
	uint8_t *nfc;
	size_t n;

	(void)state;
	make(NULL, "A\xcc\x8a <a@b.c>",
	     "\xe1\x84\x80\xe1\x85\xa1 \xe2\x84\xab \xe0\xa5\x98 o\xcc\xa3\xcc"
	     "\x82",
	     name);
	nfc = u8_normalize(UNINORM_NFC, (uint8_t *)name, strlen(name), NULL,
			   &n);
	assert_non_null(nfc);
	assert_int_equal(n, strlen(name));
	assert_memory_equal(nfc, name, n);
	free(nfc);
}

static void the_hash_covers_four_fields_and_nothing_else(void **state)
{
	static const enum mail_field in[] = {FIELD_DATE, FIELD_FROM,
					     FIELD_SUBJECT, FIELD_MESSAGE_ID};
	struct mail_row row = {.has = ROW_FIELDS};
	char before[NAME_BUFFER], after[NAME_BUFFER];

	(void)state;
	assert_int_equal(name_of_message(&row, before), 0);
	/* XXH3-64 of four LF: the same on every machine, and for ever. */
	assert_string_equal(before, "no-date_nobody_no-subject_lihmol.eml");
	for (size_t i = 0; i < N(in); i++) {
		row.field[in[i]] = "!";
		assert_int_equal(name_of_message(&row, after), 0);
		assert_string_not_equal(before, after);
		row.field[in[i]] = "";
		assert_int_equal(name_of_message(&row, after), 0);
		assert_string_equal(before, after);
		row.field[in[i]] = NULL;
	}
	row.uid = 7;
	row.internaldate = 7;
	row.flags = MAIL_SEEN;
	row.size = 9;
	row.field[FIELD_TO] = row.field[FIELD_CC] = "b@c.d";
	assert_int_equal(name_of_message(&row, after), 0);
	assert_string_equal(before, after);
}

static void names_by_uid(void **state)
{
	char name[NAME_BUFFER];

	(void)state;
	name_of_uid(12345, name);
	assert_string_equal(name, "12345.eml");
	assert_true(name_is_possible(name));
	name_of_uid(UINT32_MAX, name);
	assert_string_equal(name, "4294967295.eml");
}

static void impossible_names_are_known(void **state)
{
	static const char *const possible[] = {
		"12345.eml", "a.2.eml", "no-date_nobody_no-subject_aaaaaa.eml",
		"\xc3\xa9.eml", "a@b.c+d=e%f,g.eml"};
	static const char *const impossible[] = {"",
						 ".eml",
						 "a.txt",
						 "a.eml~",
						 ".a.eml",
						 "-a.eml",
						 "a b.eml",
						 "a'b.eml",
						 "a\nb.eml",
						 "a\xff.eml",
						 "a\"b.eml",
						 "eml",
						 "a/b.eml",
						 "a\xe2\x80\xae.eml",
						 "a\xc2\xa0.eml",
						 "\xf0\x9f\x98\x80.eml",
						 "a.EML",
						 ".text",
						 "core"};
	char name[400];

	(void)state;
	for (size_t i = 0; i < N(possible); i++)
		if (!name_is_possible(possible[i]))
			fail_msg("%s", possible[i]);
	for (size_t i = 0; i < N(impossible); i++)
		if (name_is_possible(impossible[i]))
			fail_msg("%s", impossible[i]);
	memset(name, 'a', sizeof(name));
	memcpy(name + sizeof(name) - 5, ".eml", 5);
	assert_false(name_is_possible(name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_made_of_date_from_and_subject),
		cmocka_unit_test(what_is_missing_gives_way),
		cmocka_unit_test(
			subjects_keep_words_and_lose_what_could_be_misread),
		cmocka_unit_test(long_names_are_cut_at_a_character),
		cmocka_unit_test(a_mark_is_not_cut_from_its_letter),
		cmocka_unit_test(from_has_at_most_60_bytes),
		cmocka_unit_test(names_are_in_nfc),
		cmocka_unit_test(the_hash_covers_four_fields_and_nothing_else),
		cmocka_unit_test(names_by_uid),
		cmocka_unit_test(impossible_names_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
