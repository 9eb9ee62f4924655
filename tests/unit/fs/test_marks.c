/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/marks.h"

/* Flags and keywords in modes, in user.imap.flags and as tags. */

static char none[] = "";

static struct marks marks(uint32_t flags, char *keywords)
{
	return (struct marks){flags, keywords};
}

/* --- modes --- */

static void the_four_modes_say_read_and_starred(void **state)
{
	(void)state;
	assert_int_equal(marks_to_mode(0), 0600);
	assert_int_equal(marks_to_mode(MAIL_SEEN), 0644);
	assert_int_equal(marks_to_mode(MAIL_FLAGGED), 0700);
	assert_int_equal(marks_to_mode(MAIL_SEEN | MAIL_FLAGGED), 0744);
	for (uint32_t flags = 0; flags < 32; flags++)
		assert_int_equal(marks_from_mode(marks_to_mode(flags)),
				 flags & MARKS_OF_MODE);
}

static void other_bits_of_a_mode_mean_nothing(void **state)
{
	(void)state;
	assert_int_equal(marks_from_mode(07633 & ~0100), 0);
	assert_int_equal(marks_from_mode(0640), MAIL_SEEN);
	assert_int_equal(marks_from_mode(0755), MAIL_SEEN | MAIL_FLAGGED);
}

/* --- flags --- */

static void expect_text(uint32_t flags, char *keywords, const char *text)
{
	struct marks m = marks(flags, keywords), back;
	char *got;

	assert_int_equal(marks_to_text(&m, &got), 0);
	assert_string_equal(got, text);
	assert_int_equal(marks_from_text(got, strlen(got), &back), 0);
	assert_int_equal(back.flags, flags);
	assert_string_equal(back.keywords, keywords);
	marks_finish(&back);
	free(got);
}

static void flags_read_back_as_they_were_written(void **state)
{
	char two[] = "$Work later", one[] = "x";

	(void)state;
	expect_text(0, none, "");
	expect_text(MAIL_SEEN, none, "\\Seen");
	expect_text(MAIL_SEEN | MAIL_DRAFT, two, "\\Seen \\Draft $Work later");
	expect_text(0, one, "x");
	expect_text(31, none, "\\Seen \\Answered \\Flagged \\Deleted \\Draft");
}

static void flags_are_read_in_any_case_and_with_any_blanks(void **state)
{
	static const char text[] = "  \\sEEN   a  \\Recent \\FLAGGED b ";
	struct marks m;

	(void)state;
	assert_int_equal(marks_from_text(text, strlen(text), &m), 0);
	assert_int_equal(m.flags, MAIL_SEEN | MAIL_FLAGGED);
	assert_string_equal(m.keywords, "a b");
	marks_finish(&m);
}

static void what_no_server_takes_is_refused(void **state)
{
	static const char *const bad[] = {
		"\\Nothing", "\\",  "\\Seenn",     "a(b",      "a\"b",
		"a*",        "50%", "a]",          "a\r\nx b", "\x01",
		"a\\b",      "{3}", "caf\xc3\xa9",
	};
	struct marks m = {.flags = 77};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(marks_from_text(bad[i], strlen(bad[i]), &m),
				 -EINVAL);
	assert_int_equal(marks_from_text("a\0b", 3, &m), -EINVAL);
	assert_int_equal(m.flags, 77);
}

static void more_keywords_than_a_message_can_have_are_refused(void **state)
{
	char *text = malloc(MAIL_KEYWORDS_MAX + 2);
	struct marks m;

	(void)state;
	assert_non_null(text);
	memset(text, 'k', MAIL_KEYWORDS_MAX + 1);
	assert_int_equal(marks_from_text(text, MAIL_KEYWORDS_MAX + 1, &m),
			 -EINVAL);
	assert_int_equal(marks_from_text(text, MAIL_KEYWORDS_MAX, &m), 0);
	marks_finish(&m);
	free(text);
}

/* --- tags --- */

static void expect_keywords(const char *tags, char *old, const char *expected)
{
	struct marks before = marks(MAIL_SEEN, old), after;

	assert_int_equal(marks_from_tags(tags, strlen(tags), &before, &after),
			 0);
	assert_string_equal(after.keywords, expected);
	assert_int_equal(after.flags, MAIL_SEEN);
	marks_finish(&after);
}

static void tags_are_the_keywords_of_the_user(void **state)
{
	char old[] = "$Forwarded work $label1 home";

	(void)state;
	expect_keywords("work,home", old, "$Forwarded $label1 work home");
	expect_keywords("To Do", old, "$Forwarded $label1 To_Do");
	expect_keywords("", old, "$Forwarded $label1");
	expect_keywords(" a , ,b,", none, "a b");
	expect_keywords("B\xc3\xbcro", none, "B&APw-ro");
}

static void expect_tags(char *keywords, const char *expected)
{
	struct marks m = marks(MAIL_SEEN, keywords);
	char *tags;

	assert_int_equal(marks_to_tags(&m, &tags), 0);
	assert_string_equal(tags, expected);
	free(tags);
}

static void keywords_show_as_tags(void **state)
{
	char mixed[] = "$Forwarded work To_Do B&APw-ro", odd[] = "a&b x";
	char only[] = "$Junk";
	struct marks m = marks(0, only);
	char *tags = none;

	(void)state;
	expect_tags(mixed, "work,To Do,B\xc3\xbcro");
	expect_tags(odd, "a&b,x");
	assert_int_equal(marks_to_tags(&m, &tags), -ENODATA);
	m.keywords = none;
	assert_int_equal(marks_to_tags(&m, &tags), -ENODATA);
	assert_ptr_equal(tags, none);
}

static void a_keyword_that_cannot_be_a_tag_is_left_alone(void **state)
{
	char comma[] = "a,b c";

	(void)state;
	expect_tags(comma, "c");
	expect_keywords("d", comma, "a,b d");
}

static void what_cannot_be_a_tag_is_refused(void **state)
{
	static const char *const bad[] = {"a\"b", "50%", "$Junk", "\\Seen",
					  "\xff", "a*",  "a\nb"};
	struct marks old = marks(0, none), m;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
			marks_from_tags(bad[i], strlen(bad[i]), &old, &m),
			-EINVAL);
}

/* --- differences --- */

static void the_difference_is_what_has_to_be_said(void **state)
{
	char was[] = "a B c", is[] = "b c d";
	struct marks from = marks(MAIL_SEEN | MAIL_DRAFT, was);
	struct marks to = marks(MAIL_SEEN | MAIL_FLAGGED, is);
	struct marks_delta d;

	(void)state;
	assert_int_equal(marks_compare(&from, &to, &d), 0);
	assert_int_equal(d.add.flags, MAIL_FLAGGED);
	assert_int_equal(d.remove.flags, MAIL_DRAFT);
	assert_string_equal(d.add.keywords, "d");
	assert_string_equal(d.remove.keywords, "a");
	assert_false(marks_delta_is_empty(&d));
	marks_delta_finish(&d);

	assert_int_equal(marks_compare(&from, &from, &d), 0);
	assert_true(marks_delta_is_empty(&d));
	marks_delta_finish(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_four_modes_say_read_and_starred),
		cmocka_unit_test(other_bits_of_a_mode_mean_nothing),
		cmocka_unit_test(flags_read_back_as_they_were_written),
		cmocka_unit_test(
			flags_are_read_in_any_case_and_with_any_blanks),
		cmocka_unit_test(what_no_server_takes_is_refused),
		cmocka_unit_test(
			more_keywords_than_a_message_can_have_are_refused),
		cmocka_unit_test(tags_are_the_keywords_of_the_user),
		cmocka_unit_test(keywords_show_as_tags),
		cmocka_unit_test(a_keyword_that_cannot_be_a_tag_is_left_alone),
		cmocka_unit_test(what_cannot_be_a_tag_is_refused),
		cmocka_unit_test(the_difference_is_what_has_to_be_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
