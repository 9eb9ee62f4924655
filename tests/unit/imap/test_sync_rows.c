/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sync_script.h"

/*
 * Servers that describe messages wrongly to a sync, or not all of them, or are
 * cut off: no message may count as gone by a guess, and it always ends.
 */

/* --- rows --- */

static void a_new_message_that_is_refused_hides_no_other(void **state)
{
	struct seen seen = seen_synced(
		STEPS(FLAGS_ASKED, NUMBERS("3", "103", "60"), "S: A2 OK done",
		      "S: A3 OK done", "S: A4 NO some cannot be fetched",
		      "C: A5 UID FETCH 100:101 (", "C: A6 UID FETCH 102:* (",
		      "S: A5 NO some cannot be fetched", NEW("3", "102"),
		      "S: A6 OK done", "C: A7 UID FETCH 100 (",
		      "C: A8 UID FETCH 101 (", NEW("1", "100"), "S: A7 OK done",
		      "S: A8 NO it cannot be fetched", "C: A9 UID FETCH 101 (",
		      "S: A9 NO it cannot be fetched"),
		50);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open new(102) new(100)");
}

/* It may be that just now none can be had. */
static void the_only_new_message_is_not_left_out(void **state)
{
	struct seen seen = seen_synced(
		STEPS(FLAGS_ASKED, NUMBERS("1", "101", "60"), "S: A2 OK done",
		      "S: A3 OK done", "S: A4 NO hm", "C: A5 UID FETCH 100 (",
		      "S: A5 NO hm"),
		50);

	(void)state;
	assert_int_equal(seen.result, -EIO);
	seen = seen_synced(STEPS(FLAGS_ASKED, NUMBERS("2", "102", "60"),
				 "S: A2 OK done", "S: A3 OK done",
				 "S: A4 NO [UNAVAILABLE] not now", "N:"),
			   50);
	assert_int_equal(seen.result, -EIO);
}

static void rows_without_flags_are_asked_for_again(void **state)
{
	struct seen seen = seen_synced(
		STEPS(CONDSTORE_OPEN, "S: * 2 FETCH (UID 5 MODSEQ (55))",
		      "S: * 1 FETCH (UID 4)", "S: * 3 FETCH (UID 6 FLAGS)",
		      "S: A3 OK done", "S: * ESEARCH (TAG \"A4\") UID ALL 4:6",
		      "S: A4 OK done", "S: A5 OK done",
		      "C: A6 UID FETCH 4:6 (UID FLAGS)",
		      "S: * 2 FETCH (UID 5 FLAGS (\\Seen))",
		      "S: * 3 FETCH (UID 6 FLAGS ())", "S: A6 OK done"),
		50);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open here(4:6) rows(5,6)");
	assert_int_equal(seen.end.highestmodseq, 60);
}

static void flags_that_stay_unknown_hold_the_modseq_back(void **state)
{
	struct seen seen = seen_synced(
		STEPS(CONDSTORE_OPEN, "S: * 1 FETCH (UID 4 MODSEQ (55))",
		      "S: A3 OK done", "S: * ESEARCH (TAG \"A4\") UID ALL 4:6",
		      "S: A4 OK done", "S: A5 OK done",
		      "C: A6 UID FETCH 4 (UID FLAGS)",
		      "S: * 1 FETCH (UID 4 MODSEQ (55))", "S: A6 OK done"),
		50);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open here(4:6) here(4)");
	assert_int_equal(seen.end.method, IMAP_SYNC_CONDSTORE);
	assert_int_equal(seen.end.highestmodseq, 50);
}

static void a_message_without_flags_is_not_gone(void **state)
{
	struct seen refused = seen_synced(
		STEPS(FLAGS_ASKED, NUMBERS("3", "100", "60"), "S: A2 OK done",
		      "S: * 1 FETCH (UID 4)", "S: A3 OK done", "S: A4 OK done",
		      "C: A5 UID FETCH 4 (UID FLAGS)",
		      "S: A5 NO I do not know"),
		50);

	(void)state;
	assert_int_equal(refused.result, 0);
	assert_string_equal(refused.told, "open here(4)");
	assert_int_equal(refused.end.highestmodseq, 50);
}

/* More than can be asked for one by one: all are. */
static void a_hundred_rows_without_flags_need_all(void **state)
{
	const char *steps[256] = {CONDSTORE_OPEN};
	static char line[100][64];
	struct seen seen;
	size_t n = 0;

	(void)state;
	while (steps[n])
		n++;
	for (size_t i = 1; i < 100; i++) {
		(void)snprintf(line[i], sizeof(line[i]),
			       "S: * %zu FETCH (UID %zu MODSEQ (55))", i, i);
		steps[n++] = line[i];
	}
	steps[n++] = "S: A3 OK done";
	steps[n++] = "S: A4 OK done";
	steps[n++] = "S: A5 OK done";
	steps[n++] = "C: A6 UID FETCH 1:99 (UID FLAGS)";
	for (size_t i = 1; i < 100; i++) {
		static char full[100][64];

		(void)snprintf(full[i], sizeof(full[i]),
			       "S: * %zu FETCH (UID %zu FLAGS ())", i, i);
		steps[n++] = full[i];
	}
	steps[n++] = "S: A6 OK done";
	seen = seen_synced(steps, 50);
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 99);
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
	assert_int_equal(seen.end.highestmodseq, 60);
}

/* What comes late of the question in doubt is not taken for the new one's. */
static void rows_of_an_answer_in_doubt_do_not_count(void **state)
{
	struct server *s = SERVER(
		STEPS(CONDSTORE_OPEN, "S: * ESEARCH (TAG \"A4\") UID ALL 7,x",
		      "S: A4 OK done", "W:", "S: * 2 FETCH (UID 5 MODSEQ (55))",
		      "S: * 3 FETCH (UID x FLAGS ())", "S: A5 OK done",
		      "S: A3 OK done", ALL_FLAGS("A6")));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	(void)state;
	seen_sync(im, &seen, 50);
	seen_wait_begun(&seen);
	server_go(s);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open here(7) rows(4)");
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
}

static void rows_that_nobody_asked_for_do_no_harm(void **state)
{
	struct seen seen = seen_synced(
		STEPS(CONDSTORE_OPEN, "S: * 9 FETCH (UID 4000000000 FLAGS ())",
		      "S: * 9 FETCH (UID 0 FLAGS (\\Seen) MODSEQ (70))",
		      "S: * 9 FETCH ()",
		      "S: * 4294967295 FETCH (UID 77 FLAGS ())",
		      "S: A3 OK done", "S: * ESEARCH (TAG \"A4\") UID ALL 4:6",
		      "S: A4 OK done", "S: A5 OK done"),
		50);

	(void)state;
	assert_int_equal(seen.result, 0);
	/* One that may not exist is told: who knows no such message, skips. */
	assert_string_equal(seen.told, "open rows(77) here(4:6)");
}

static void a_change_of_an_unnamed_message_needs_all_flags(void **state)
{
	struct seen seen = seen_synced(STEPS(CONDSTORE_OPEN,
					     "S: * 1 FETCH (FLAGS (\\Seen))",
					     "S: A3 OK done", "S: A4 OK done",
					     "S: A5 OK done", ALL_FLAGS("A6")),
				       50);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
}

static void nobody_is_gone_by_a_guess(void **state)
{
	struct seen seen = seen_synced(
		STEPS(FLAGS_ASKED, NUMBERS("3", "100", "60"), "S: A2 OK done",
		      "S: * 1 FETCH (FLAGS () UID x)", "S: A3 OK done",
		      "S: A4 OK done"),
		50);

	(void)state;
	assert_int_equal(seen.result, -EBADMSG);
	assert_false(seen.has_end);
}

#define HALVES(low, high)                                                      \
	"C: UID FETCH 1:" low " (", "P: $T OK [MESSAGELIMIT 1] x",             \
		"C: UID FETCH " high " (", "S: * OK go on"

static void half_an_answer_for_ever_ends(void **state)
{
	struct seen seen = seen_synced(
		STEPS(FLAGS_ASKED, NUMBERS("3", "100", "60"), "S: A2 OK done",
		      "S: A3 OK [MESSAGELIMIT 1] x", HALVES("50", "51:99"),
		      HALVES("25", "26:50"), HALVES("13", "14:25"),
		      HALVES("7", "8:13"), HALVES("4", "5:7"),
		      HALVES("2", "3:4"), HALVES("1", "2:2")),
		50);

	(void)state;
	assert_int_equal(seen.result, -EPROTO);
}

/* --- the line --- */

/* Cut behind each step from `first` on: it ends, and never with half of it for
 * all. */
static void cut_every_way(script play, size_t first, const char *told)
{
	size_t n = 0;

	while (play[n])
		n++;
	for (size_t at = first; at <= n; at++) {
		const char *cut[64] = {0};
		struct seen seen;

		memcpy(cut, play, at * sizeof(*cut));
		cut[at] = at < n ? "X:" : "H:";
		seen = seen_synced(cut, 50);
		if (at == n)
			assert_string_equal(seen.told, told);
		assert_int_equal(seen.result, at == n ? 0 : -ENOTCONN);
		assert_true(seen.has_end == (at == n));
	}
}

static void a_cut_line_never_tells_half(void **state)
{
	(void)state;
	cut_every_way(STEPS(QRESYNC_ASKED, NUMBERS("3", "100", "60"),
			    "S: * VANISHED (EARLIER) 5",
			    "S: * 1 FETCH (UID 4 FLAGS ())", "S: A3 OK done",
			    "S: " ROW("3", "100") ")", "S: A4 OK done"),
		      6, "open gone(5) rows(4) new(100)");
	cut_every_way(STEPS(CONDSTORE_OPEN, "S: * 1 FETCH (UID 4 FLAGS ())",
			    "S: A3 OK done",
			    "S: * ESEARCH (TAG \"A4\") UID ALL 4",
			    "S: A4 OK done", "S: " ROW("3", "100") ")",
			    "S: A5 OK done"),
		      4, "open rows(4) here(4) new(100)");
}

static void what_has_told_nothing_yet_is_repeated(void **state)
{
	struct server *s = SERVER(
		STEPS(CONDSTORE_OPEN, "X:"),
		STEPS(GREETING, "C: A6 AUTHENTICATE",
		      "S: A6 OK [CAPABILITY IMAP4rev1] in",
		      "C: A7 EXAMINE INBOX", "C: A8 UID FETCH 1:99 (UID FLAGS)",
		      "C: A9 UID FETCH 100:*", NUMBERS("3", "100", "60"),
		      "S: A7 OK done", "S: * 1 FETCH (UID 4 FLAGS ())",
		      "S: A8 OK done", "S: A9 OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	(void)state;
	seen_sync(im, &seen, 50);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open open rows(4)");
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
}

/* Who asked is told that it begins anew: what was heard before is void. */
static void what_has_told_half_is_repeated(void **state)
{
	struct server *s = SERVER(
		STEPS(FLAGS_ASKED, NUMBERS("3", "101", "60"), "S: A2 OK done",
		      "S: * 1 FETCH (UID 4 FLAGS ())", "S: A3 OK done", "X:"),
		STEPS(LOGIN, "C: A6 EXAMINE INBOX",
		      "C: A7 UID FETCH 1:99 (UID FLAGS)",
		      "C: A8 UID FETCH 100:*", NUMBERS("2", "101", "60"),
		      "S: A6 OK done", "S: * 1 FETCH (UID 5 FLAGS ())",
		      "S: A7 OK done", NEW("2", "100"), "S: A8 OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	(void)state;
	seen_sync(im, &seen, 50);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open rows(4) open rows(5) new(100)");
}

static void an_answer_in_front_of_examine_is_a_lie(void **state)
{
	struct seen seen =
		seen_synced(STEPS(FLAGS_ASKED, "S: * 1 FETCH (UID 4 FLAGS ())",
				  "S: A3 OK done", NUMBERS("3", "100", "60"),
				  "S: A2 OK done", "S: A4 OK done"),
			    50);

	(void)state;
	assert_int_equal(seen.result, -EPROTO);
	assert_string_equal(seen.told, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_message_that_is_refused_hides_no_other),
		cmocka_unit_test(the_only_new_message_is_not_left_out),
		cmocka_unit_test(rows_without_flags_are_asked_for_again),
		cmocka_unit_test(flags_that_stay_unknown_hold_the_modseq_back),
		cmocka_unit_test(a_message_without_flags_is_not_gone),
		cmocka_unit_test(a_hundred_rows_without_flags_need_all),
		cmocka_unit_test(rows_of_an_answer_in_doubt_do_not_count),
		cmocka_unit_test(rows_that_nobody_asked_for_do_no_harm),
		cmocka_unit_test(
			a_change_of_an_unnamed_message_needs_all_flags),
		cmocka_unit_test(nobody_is_gone_by_a_guess),
		cmocka_unit_test(half_an_answer_for_ever_ends),
		cmocka_unit_test(a_cut_line_never_tells_half),
		cmocka_unit_test(what_has_told_nothing_yet_is_repeated),
		cmocka_unit_test(what_has_told_half_is_repeated),
		cmocka_unit_test(an_answer_in_front_of_examine_is_a_lie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
