/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "changed.h"

/* The list of what was refused. */

static char *text_of(struct changed *t)
{
	char *text;

	assert_int_equal(journal_failed_text(t->s->c, &text), 0);
	return text;
}

static void the_newest_lines_are_kept(void **state)
{
	struct changed *t = *state;
	char why[32], *text;
	size_t lines = 0;

	text = text_of(t);
	assert_string_equal(text, "");
	free(text);
	for (int i = 0; i < JOURNAL_FAILED_MAX + 50; i++) {
		struct journal_failure f = {.what = "move", .why = why};

		snprintf(why, sizeof(why), "reason %d.", i);
		assert_int_equal(journal_note_failure(t->s->c, &f), 0);
	}
	changed_reopen(t);
	text = text_of(t);
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, JOURNAL_FAILED_MAX);
	assert_null(strstr(text, "reason 49."));
	assert_non_null(strstr(text, "reason 50."));
	assert_true(strstr(text, "reason 50.") < strstr(text, "reason 1049."));
	free(text);
}

static void texts_of_strangers_stay_in_their_line(void **state)
{
	struct changed *t = *state;
	char long_text[2000], *text;
	struct journal_failure f = {.what = "send",
				    .why = "NO\r\n2026 forged\x1b[2J \xc2\x9b"
					   "1m \x7f \xc3\xa4",
				    .file = long_text};

	memset(long_text, 'x', sizeof(long_text) - 1);
	memcpy(long_text + 498, "\xe2\x82\xac", 3); /* cut in the middle */
	long_text[sizeof(long_text) - 1] = '\0';
	assert_int_equal(journal_note_failure(t->s->c, &f), 0);
	text = text_of(t);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	assert_null(strchr(text, '\r'));
	assert_null(strchr(text, '\x1b'));
	assert_null(strchr(text, '\x7f'));
	assert_null(strstr(text, "\xc2\x9b"));
	assert_non_null(strstr(text, "\xc3\xa4"));
	assert_null(strchr(text, '\xe2'));
	assert_non_null(strstr(text, "xx': NO  2026 forged [2J"));
	assert_true(strlen(text) < 700);
	free(text);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, changed_setup, changed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_newest_lines_are_kept),
		T(texts_of_strangers_stay_in_their_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
