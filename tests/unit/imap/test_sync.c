/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync_script.h"

/*
 * How a sync asks, of servers that can do more or less, and what it tells.
 */

/* --- the methods --- */

static void qresync_is_one_flight(void **state)
{
	struct seen seen = seen_synced(
		STEPS(QRESYNC_ASKED, NUMBERS("90", "102", "60"),
		      "S: * VANISHED (EARLIER) 3:4,9",
		      "S: * 8 FETCH (UID 10 FLAGS (\\Seen) MODSEQ (55))",
		      "S: A3 OK [READ-ONLY] done", NEW("89", "100"),
		      NEW("90", "101"), "S: A4 OK done"),
		50);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told,
			    "open gone(3:4,9) rows(10) new(100,101)");
	assert_int_equal(seen.box.messages, 90);
	assert_int_equal(seen.box.uidnext, 102);
	assert_int_equal(seen.end.method, IMAP_SYNC_QRESYNC);
	assert_int_equal(seen.end.highestmodseq, 60);
}

static void qresync_without_news_asks_nothing_more(void **state)
{
	struct seen seen = seen_synced(
		STEPS(QRESYNC_ASKED, NUMBERS("90", "100", "50"),
		      "S: A3 OK done", NEW("90", "99"), "S: A4 OK done"),
		50);

	(void)state;
	/* The last message comes in any case; its flags are true. */
	assert_string_equal(seen.told, "open rows(99)");
	assert_int_equal(seen.end.method, IMAP_SYNC_QRESYNC);
	assert_int_equal(seen.end.highestmodseq, 50);
}

static void a_tagged_highestmodseq_counts(void **state)
{
	struct seen seen = seen_synced(
		STEPS(QRESYNC_ASKED, NUMBERS("90", "100", "60"),
		      "S: * VANISHED (EARLIER) 3",
		      "S: A3 OK [HIGHESTMODSEQ 61] done", "S: A4 OK done"),
		50);

	(void)state;
	assert_int_equal(seen.end.highestmodseq, 61);
}

static void condstore_is_one_flight(void **state)
{
	struct seen seen = seen_synced(
		STEPS(CONDSTORE_ASKED, NUMBERS("90", "102", "60"),
		      "S: A2 OK done",
		      "S: * 8 FETCH (UID 10 MODSEQ (55) FLAGS ())",
		      "S: * ESEARCH (TAG \"A4\") UID ALL 1:80,90:99",
		      "S: A4 OK done", "S: A3 OK done", NEW("90", "101"),
		      "S: A5 OK done"),
		50);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told,
			    "open rows(10) here(1:80,90:99) new(101)");
	assert_int_equal(seen.end.method, IMAP_SYNC_CONDSTORE);
	assert_int_equal(seen.end.highestmodseq, 60);
}

static void without_esearch_a_search_says_who_is_there(void **state)
{
	struct seen seen = seen_synced(
		STEPS(LOGIN_WITH("CONDSTORE"),
		      "C: A2 EXAMINE INBOX (CONDSTORE)",
		      "C: A3 UID FETCH 1:99 ", "C: A4 UID SEARCH UID 1:99",
		      "C: A5 UID FETCH 100:*", NUMBERS("5", "100", "50"),
		      "S: A2 OK done", "S: A3 OK done",
		      "S: * SEARCH 1 2 3 9 (MODSEQ 4)", "S: * SEARCH 11",
		      "S: A4 OK done", "S: A5 OK done"),
		50);

	(void)state;
	assert_string_equal(seen.told, "open here(1:3,9) here(11)");
	assert_int_equal(seen.end.method, IMAP_SYNC_CONDSTORE);
}

static void without_condstore_all_flags_are_asked(void **state)
{
	struct seen seen = seen_synced(
		STEPS(FLAGS_ASKED, "S: * 3 EXISTS",
		      "S: * OK [UIDVALIDITY 7] ok", "S: A2 OK done",
		      "S: * 1 FETCH (FLAGS (\\Seen a%b) UID 4)",
		      "S: * 3 FETCH (FLAGS ())", "S: A3 OK done", NEW("1", "4"),
		      NEW("3", "112"), "S: A4 OK done"),
		50);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open rows(4) rows(4) new(112)");
	assert_int_equal(seen.has[0], ROW_UID | ROW_FLAGS);
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
	assert_int_equal(seen.end.highestmodseq, 0);
}

/* The first sync: all flags, and a HIGHESTMODSEQ for the next one. */
static void without_a_modseq_all_flags_are_asked(void **state)
{
	struct seen seen = seen_synced(
		STEPS(QRESYNC_LOGIN, "C: A3 EXAMINE INBOX (CONDSTORE)",
		      "C: A4 UID FETCH 1:99 (UID FLAGS)",
		      "C: A5 UID FETCH 100:*", NUMBERS("1", "100", "60"),
		      "S: A3 OK done", "S: * 1 FETCH (UID 4 FLAGS ())",
		      "S: A4 OK done", "S: A5 OK done"),
		0);

	(void)state;
	assert_string_equal(seen.told, "open rows(4)");
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
	assert_int_equal(seen.end.highestmodseq, 60);
}

static void a_doubted_answer_is_asked_for_plainly(void **state)
{
	const struct imap_sync_request req = {.uidvalidity = 7,
					      .uidnext = 100,
					      .highestmodseq = 50,
					      .plain = true};
	struct server *s = SERVER(
		STEPS(QRESYNC_LOGIN, "C: EXAMINE INBOX (CONDSTORE)",
		      "C: A4 UID FETCH 1:99 (UID FLAGS)",
		      "C: A5 UID FETCH 100:*", NUMBERS("1", "100", "60"),
		      "S: A3 OK done", "S: A4 OK done", "S: A5 OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};
	imap_job job;

	(void)state;
	assert_int_equal(imap_sync(im, "INBOX", IMAP_PRIO_SYNC, &req,
				   &seen_sync_ops, &seen, &job),
			 0);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
}

static void a_mailbox_that_was_empty_is_only_asked_for_news(void **state)
{
	const struct imap_sync_request req = {
		.uidvalidity = 7, .uidnext = 1, .highestmodseq = 50};
	struct server *s =
		SERVER(STEPS(QRESYNC_LOGIN, "C: EXAMINE INBOX (CONDSTORE)",
			     "C: A4 UID FETCH 1:*", NUMBERS("1", "6", "60"),
			     "S: A3 OK done", NEW("1", "5"), "S: A4 OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};
	imap_job job;

	(void)state;
	assert_int_equal(imap_sync(im, "INBOX", IMAP_PRIO_SYNC, &req,
				   &seen_sync_ops, &seen, &job),
			 0);
	seen_wait(&seen);
	account_end(im, s);
	assert_string_equal(seen.told, "open new(5)");
	assert_int_equal(seen.end.highestmodseq, 60);
}

/* --- while it runs --- */

static void what_vanishes_in_the_middle_is_told(void **state)
{
	struct seen seen = seen_synced(
		STEPS(QRESYNC_LOGIN, "C: EXAMINE", "C: A4 UID FETCH 1:99 ",
		      "C: A5 UID FETCH 100:*", NUMBERS("3", "102", "60"),
		      "S: A3 OK done", "S: * 1 FETCH (UID 4 FLAGS ())",
		      "S: * VANISHED 4", "S: A4 OK done", NEW("2", "101"),
		      "S: * VANISHED 101", "S: A5 OK done"),
		0);

	(void)state;
	assert_string_equal(seen.told,
			    "open rows(4) gone(4) new(101) gone(101)");
	assert_int_equal(seen.end.highestmodseq, 60);
}

static void expunge_and_changes_in_the_middle_are_harmless(void **state)
{
	struct seen seen = seen_synced(
		STEPS(CONDSTORE_ASKED, NUMBERS("3", "100", "60"),
		      "S: A2 OK done", "S: * 1 FETCH (FLAGS () MODSEQ (61))",
		      "S: * 2 FETCH (UID 5 FLAGS (\\Seen) MODSEQ (62))",
		      "S: A3 OK done", "S: * ESEARCH (TAG \"A4\") UID ALL 4:6",
		      "S: * 1 EXPUNGE", "S: * 3 EXISTS", "S: A4 OK done",
		      "S: * 3 FETCH (FLAGS (\\Recent) UID 100)",
		      "S: A5 OK done"),
		50);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open rows(5) here(4:6)");
	assert_int_equal(seen.end.method, IMAP_SYNC_CONDSTORE);
	assert_int_equal(seen.end.highestmodseq, 60);
}

static void an_empty_mailbox_may_refuse(void **state)
{
	struct seen seen =
		seen_synced(STEPS(FLAGS_ASKED, "S: * 0 EXISTS",
				  "S: * OK [UIDVALIDITY 7] ok", "S: A2 OK done",
				  "S: A3 NO no matching messages",
				  "S: A4 BAD invalid messageset"),
			    50);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open");
}

static void refusing_to_list_nothing_new_is_an_answer(void **state)
{
	struct seen seen = seen_synced(
		STEPS(FLAGS_ASKED, "S: * 1 EXISTS",
		      "S: * OK [UIDVALIDITY 7] ok", "S: * OK [UIDNEXT 100] ok",
		      "S: A2 OK done", "S: * 1 FETCH (UID 4 FLAGS ())",
		      "S: A3 OK done", "S: A4 NO no matching messages"),
		50);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open rows(4)");
}

static void half_an_answer_is_asked_for_in_halves(void **state)
{
	struct seen seen = seen_synced(
		STEPS(CONDSTORE_ASKED, NUMBERS("90", "104", "60"),
		      /* All at once: what is halved first depends on it. */
		      "R: A2 OK done\r\n"
		      "* 8 FETCH (UID 60 FLAGS ())\r\n"
		      "A3 OK [MESSAGELIMIT 10 60] partial\r\n"
		      "* ESEARCH (TAG \"A4\") UID ALL 60:99\r\n"
		      "A4 OK [MESSAGELIMIT 10 60] partial\r\n"
		      "A5 OK [MESSAGELIMIT 10 103] partial\r\n",
		      "C: A6 UID FETCH 100:101 (UID FLAGS RFC822.SIZE",
		      NEW("87", "100"), "S: A6 OK done",
		      "C: A7 UID FETCH 102:* (UID FLAGS RFC822.SIZE",
		      "S: A7 OK done", "C: A8 UID SEARCH RETURN (ALL) UID 1:50",
		      "S: * ESEARCH (TAG \"A8\") UID ALL 2:49", "S: A8 OK done",
		      "C: A9 UID SEARCH RETURN (ALL) UID 51:99",
		      "S: * ESEARCH (TAG \"A9\") UID", "S: A9 OK done",
		      "C: A10 UID FETCH 1:50 (UID FLAGS) (CHANGEDSINCE 50)",
		      "S: A10 OK done", "C: A11 UID FETCH 51:99 (UID FLAGS) (",
		      "S: A11 OK done"),
		50);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told,
			    "open rows(60) here(60:99) new(100) here(2:49)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(qresync_is_one_flight),
		cmocka_unit_test(qresync_without_news_asks_nothing_more),
		cmocka_unit_test(a_tagged_highestmodseq_counts),
		cmocka_unit_test(condstore_is_one_flight),
		cmocka_unit_test(without_esearch_a_search_says_who_is_there),
		cmocka_unit_test(without_condstore_all_flags_are_asked),
		cmocka_unit_test(without_a_modseq_all_flags_are_asked),
		cmocka_unit_test(a_doubted_answer_is_asked_for_plainly),
		cmocka_unit_test(
			a_mailbox_that_was_empty_is_only_asked_for_news),
		cmocka_unit_test(what_vanishes_in_the_middle_is_told),
		cmocka_unit_test(
			expunge_and_changes_in_the_middle_are_harmless),
		cmocka_unit_test(an_empty_mailbox_may_refuse),
		cmocka_unit_test(refusing_to_list_nothing_new_is_an_answer),
		cmocka_unit_test(half_an_answer_is_asked_for_in_halves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
