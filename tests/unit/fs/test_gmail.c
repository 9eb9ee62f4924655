/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/gmail.h"

/* Gmail's labels as text, and what a change of the text asks for. */

static void expect_text(const char *words, const char *text)
{
	char *got, *back;

	assert_int_equal(gmail_labels_to_text(words, &got), 0);
	assert_string_equal(got, text);
	assert_int_equal(gmail_labels_from_text(got, strlen(got), words, &back),
			 0);
	assert_string_equal(back, words);
	free(back);
	free(got);
}

static void what_is_shown_means_the_same_labels(void **state)
{
	(void)state;
	expect_text("", "");
	expect_text("\\Inbox work", "\\Inbox work");
	expect_text("Two%20words 100%25 %2520", "\"Two words\" 100% %20");
	expect_text("a,b say%20\"x\" \"", "\"a,b\" \"say \\\"x\\\"\" \"\\\"\"");
	expect_text("back\\slash \\a\\b", "\"back\\\\slash\" \"\\\\a\\\\b\"");
	expect_text("Gr&APYA3w-e a&-b", "Gr\303\266\303\237e a&b");
	/* Not as Gmail writes them: as they are. */
	expect_text("a&b \303\251", "a&b \303\251");
	/* Two that look alike are two. */
	expect_text("a&b a&-b", "a&b a&b");
	expect_text("work Work", "work Work");
}

static void expect_words(const char *text, const char *shown, const char *words)
{
	char *got;

	assert_int_equal(
		gmail_labels_from_text(text, strlen(text), shown, &got), 0);
	assert_string_equal(got, words);
	free(got);
}

static void there_are_many_ways_to_write_them(void **state)
{
	(void)state;
	expect_words("Work,\"Two words\",\\Starred", "",
		     "Work Two%20words \\Starred");
	expect_words(" ,a , b,,c  ", "", "a b c");
	expect_words("a a \"a\"", "", "a");
	expect_words("\"\\\\Inbox\" \\important", "", "\\Inbox \\Important");
	expect_words("WORK", "work home", "work");
	expect_words("WORK", "Work WORK", "WORK");
	expect_words("\303\266", "", "&APY-");
	expect_words("\"\\w\\\"\"", "", "w\"");
}

static void what_is_no_list_is_refused(void **state)
{
	static const char *const bad[] = {
		"\"",   "\"a",      "a\"",  "a\"b\"", "\"a\"b",  "\"\"",
		"a\nb", "\"a\tb\"", "\177", "\377",   "\"a\\\"", "\303("};
	char long_one[MAIL_KEYWORDS_MAX + 2], *got = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(gmail_labels_from_text(bad[i], strlen(bad[i]),
							"", &got),
				 -EINVAL);
	assert_int_equal(gmail_labels_from_text("a\0b", 3, "", &got), -EINVAL);
	memset(long_one, 'a', sizeof(long_one) - 1);
	long_one[sizeof(long_one) - 1] = '\0';
	assert_int_equal(
		gmail_labels_from_text(long_one, strlen(long_one), "", &got),
		-EINVAL);
	assert_null(got);
}

static void expect_delta(const char *shown, const char *wanted, const char *own,
			 const struct gmail_delta *want)
{
	struct gmail_delta d;

	assert_int_equal(gmail_labels_compare(shown, wanted, own, &d), 0);
	assert_string_equal(d.add, want->add);
	assert_string_equal(d.remove, want->remove);
	assert_int_equal(d.add_flags, want->add_flags);
	assert_int_equal(d.remove_flags, want->remove_flags);
	assert_int_equal(d.leaves, want->leaves);
	gmail_delta_finish(&d);
}

static void only_what_differs_is_changed(void **state)
{
	static char none[] = "", ac[] = "a c", b[] = "b", inbox[] = "\\Inbox";

	(void)state;
	expect_delta("b x", "a x c", NULL,
		     &(struct gmail_delta){.add = ac, .remove = b});
	expect_delta("\\Starred", "\\Inbox", NULL,
		     &(struct gmail_delta){.add = inbox,
					   .remove = none,
					   .remove_flags = MAIL_FLAGGED});
	expect_delta("\\Inbox", "\\Starred", NULL,
		     &(struct gmail_delta){.add = none,
					   .remove = inbox,
					   .add_flags = MAIL_FLAGGED});
	/* The folder's own: if it is not named, and if it was. */
	expect_delta("", "Work", "work",
		     &(struct gmail_delta){.add = none, .remove = none});
	expect_delta("b work", "", "work",
		     &(struct gmail_delta){
			     .add = none, .remove = b, .leaves = true});
	/* What cannot be set stays. */
	expect_delta("\\Sent \\Muted b", "", "\\Sent",
		     &(struct gmail_delta){.add = none, .remove = b});
}

static void labels_that_cannot_be_set_are_refused(void **state)
{
	static const char *const bad[] = {"\\Sent", "\\Draft", "\\Trash", "\\",
					  "\\X"};
	struct gmail_delta d;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(gmail_labels_compare("", bad[i], NULL, &d),
				 -EINVAL);
		expect_delta(bad[i], bad[i], NULL,
			     &(struct gmail_delta){.add = (char[]){""},
						   .remove = (char[]){""}});
	}
}

static void a_star_is_a_flag(void **state)
{
	char *words;

	(void)state;
	assert_int_equal(gmail_labels_shown("\\Starred a", 0, &words), 0);
	assert_string_equal(words, "a");
	free(words);
	assert_int_equal(gmail_labels_shown("a", MAIL_FLAGGED, &words), 0);
	assert_string_equal(words, "\\Starred a");
	free(words);
}

static void folders_have_labels(void **state)
{
	static const struct {
		const char *wire;
		uint32_t attrs;
		const char *word; /* NULL: none */
	} cases[] = {
		{"inbox", 0, "\\Inbox"},
		{"[Gmail]/Sent", FOLDER_SENT, "\\Sent"},
		{"[Gmail]/Stars", FOLDER_FLAGGED, "\\Starred"},
		{"[Gmail]/Drafts", FOLDER_DRAFTS, "\\Draft"},
		{"[Gmail]/I", FOLDER_IMPORTANT, "\\Important"},
		{"[Gmail]/All", FOLDER_ALL, NULL},
		{"[Gmail]/Trash", FOLDER_TRASH, NULL},
		{"[Gmail]/Spam", FOLDER_JUNK, NULL},
		{"a b/&APY-%", FOLDER_SUBSCRIBED, "a%20b/&APY-%25"},
	};
	char wire[64], *word;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t attr;

		assert_int_equal(
			gmail_label_of(cases[i].wire, cases[i].attrs, &word),
			0);
		if (!cases[i].word) {
			assert_null(word);
			continue;
		}
		assert_string_equal(word, cases[i].word);
		attr = gmail_mailbox_of(word, strlen(word), wire);
		if (i == 0)
			assert_string_equal(wire, "INBOX");
		else if (word[0] == '\\')
			assert_int_equal(attr, cases[i].attrs);
		else
			assert_string_equal(wire, cases[i].wire);
		free(word);
	}
	assert_int_equal(gmail_mailbox_of("\\Muted", 6, wire), 0);
	assert_string_equal(wire, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_shown_means_the_same_labels),
		cmocka_unit_test(there_are_many_ways_to_write_them),
		cmocka_unit_test(what_is_no_list_is_refused),
		cmocka_unit_test(only_what_differs_is_changed),
		cmocka_unit_test(labels_that_cannot_be_set_are_refused),
		cmocka_unit_test(a_star_is_a_flag),
		cmocka_unit_test(folders_have_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
