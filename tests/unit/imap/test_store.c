/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "told.h"

/*
 * Flags and keywords against scripted servers: they go as deltas, and what a
 * mailbox does not keep is told.
 */

static int words(struct imap *im, struct told *t, imap_job *ret)
{
	const struct imap_flag_delta delta = {.add_flags = MAIL_DRAFT,
					      .remove_flags = MAIL_SEEN,
					      .add_keywords = "$Junk new",
					      .remove_keywords =
						      "old $mdnsent"};

	return imap_store(im, &told_messages, &delta, told_change, t, ret);
}

static void flags_go_as_deltas_one_behind_the_other(void **state)
{
	struct told t = told_run(
		told_flag,
		STEPS(LOGIN, SELECT,
		      "C: A3 UID STORE 4:5,9 +FLAGS.SILENT (\\Flagged)",
		      "C: A4 UID STORE 4:5,9 -FLAGS.SILENT (\\Seen)",
		      "S: A4 OK done", "S: A3 OK done"));

	(void)state;
	told_expect(&t, 0, false, "");
	assert_int_equal(t.end.left_flags, 0);
	assert_string_equal(t.left_keywords, "");
}

static void what_a_mailbox_does_not_keep_is_told(void **state)
{
	struct told t = told_run(
		words,
		STEPS(LOGIN, SELECT_KEEPING("\\Seen \\Flagged $junk $MDNSent"),
		      "C: UID STORE 4:5,9 +FLAGS.SILENT ($Junk)",
		      "C: UID STORE 4:5,9 -FLAGS.SILENT (\\Seen $mdnsent)",
		      "S: A3 OK done", "S: A4 OK done"));

	(void)state;
	told_expect(&t, 0, false, "");
	assert_int_equal(t.end.left_flags, MAIL_DRAFT);
	assert_string_equal(t.left_keywords, "new old");
}

static int one_word(struct imap *im, struct told *t, imap_job *ret)
{
	const struct imap_flag_delta delta = {.add_keywords = "new",
					      .remove_keywords = "old"};

	return imap_store(im, &told_messages, &delta, told_change, t, ret);
}

static void one_keyword_is_not_too_many(void **state)
{
	struct told t = told_run(one_word,
				 STEPS(LOGIN, SELECT,
				       "C: UID STORE 4:5,9 +FLAGS.SILENT (new)",
				       "C: UID STORE 4:5,9 -FLAGS.SILENT (old)",
				       "S: A3 OK done", "S: A4 OK done"));

	(void)state;
	told_expect(&t, 0, false, "");
	assert_string_equal(t.left_keywords, "");
}

static void one_keyword_that_is_not_kept_is_told(void **state)
{
	struct told t = told_run(one_word,
				 STEPS(LOGIN, SELECT_KEEPING("\\Seen old"),
				       "C: UID STORE 4:5,9 -FLAGS.SILENT (old)",
				       "S: A3 OK done"));

	(void)state;
	told_expect(&t, 0, false, "");
	assert_string_equal(t.left_keywords, "new");
}

static void nothing_is_sent_if_nothing_is_kept(void **state)
{
	struct told t = told_run(told_flag,
				 STEPS(LOGIN, SELECT_KEEPING("\\Draft"), "N:"));

	(void)state;
	told_expect(&t, 0, false, "");
	assert_int_equal(t.end.left_flags, MAIL_FLAGGED | MAIL_SEEN);
}

static void a_server_that_names_none_keeps_all(void **state)
{
	struct told t = told_run(
		words,
		STEPS(LOGIN, "C: SELECT", "S: * OK [UIDVALIDITY 7] ok",
		      "S: $T OK done", "C: +FLAGS.SILENT (\\Draft $Junk new)",
		      "S: $T OK done", "C: -FLAGS.SILENT (\\Seen old $mdnsent)",
		      "S: $T OK done"));

	(void)state;
	told_expect(&t, 0, false, "");
	t = told_run(words, STEPS(LOGIN, SELECT_KEEPING(""),
				  "C: +FLAGS.SILENT (\\Draft $Junk new)",
				  "S: $T OK done",
				  "C: -FLAGS.SILENT (\\Seen old $mdnsent)",
				  "S: $T OK done"));
	told_expect(&t, 0, false, "");
	assert_int_equal(t.end.left_flags, 0);
}

static int labels(struct imap *im, struct told *t, imap_job *ret)
{
	const struct imap_flag_delta delta = {.add_flags = MAIL_FLAGGED,
					      .add_labels = "two%20words x",
					      .remove_labels = "\\Inbox"};

	return imap_store(im, &told_messages, &delta, told_change, t, ret);
}

static void labels_go_as_deltas_of_their_own(void **state)
{
	struct told t = told_run(
		labels,
		STEPS(LOGIN_WITH("X-GM-EXT-1"), SELECT,
		      "C: UID STORE 4:5,9 +FLAGS.SILENT (\\Flagged)",
		      "S: $T OK done",
		      "C: UID STORE 4:5,9 +X-GM-LABELS.SILENT (\"two words\" "
		      "x)",
		      "S: $T OK done",
		      "C: UID STORE 4:5,9 -X-GM-LABELS.SILENT (\"\\\\Inbox\")",
		      "S: $T OK done"));

	(void)state;
	told_expect(&t, 0, false, "");
}

static void a_server_without_labels_is_not_asked_for_them(void **state)
{
	struct told t = told_run(labels, STEPS(LOGIN, SELECT, "N:"));

	(void)state;
	told_expect(&t, -EOPNOTSUPP, false, "");
}

static void what_is_no_delta_is_refused_at_once(void **state)
{
	static const struct imap_flag_delta deltas[] = {
		{0},
		{.add_flags = MAIL_SEEN, .remove_flags = MAIL_SEEN},
		{.add_flags = 1 << 9},
		{.add_keywords = "a b", .remove_keywords = "c B"},
		{.add_keywords = "\\Seen"},
		{.add_keywords = "a  b"},
		{.add_keywords = " a"},
		{.add_keywords = "a "},
		{.add_keywords = "a\r\nb"},
		{.remove_keywords = "gr\303\274n"},
		{.remove_keywords = "a]"},
		{.add_labels = "a b", .remove_labels = "c b"},
		{.add_labels = "a%"},
		{.remove_labels = "a\r\nb"},
	};
	struct server *s = SERVER(STEPS(LOGIN, "N:"));
	struct imap *im = account_connected(s, 1);
	struct told t = {0};
	imap_job job;

	(void)state;
	for (size_t i = 0; i < sizeof(deltas) / sizeof(deltas[0]); i++)
		assert_int_equal(imap_store(im, &told_messages, &deltas[i],
					    told_change, &t, &job),
				 -EINVAL);
	account_end(im, s);
	assert_int_equal(t.calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_go_as_deltas_one_behind_the_other),
		cmocka_unit_test(what_a_mailbox_does_not_keep_is_told),
		cmocka_unit_test(one_keyword_is_not_too_many),
		cmocka_unit_test(one_keyword_that_is_not_kept_is_told),
		cmocka_unit_test(nothing_is_sent_if_nothing_is_kept),
		cmocka_unit_test(a_server_that_names_none_keeps_all),
		cmocka_unit_test(labels_go_as_deltas_of_their_own),
		cmocka_unit_test(a_server_without_labels_is_not_asked_for_them),
		cmocka_unit_test(what_is_no_delta_is_refused_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
