/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "script.h"

/*
 * Servers that say to a sync what cannot be, or not all of it, or are cut off:
 * no message may count as gone by a guess, what is in doubt is asked for
 * plainly, and it always ends. The messages below UID 100 are known, up to
 * HIGHESTMODSEQ 50.
 */

#define NUMBERS                                                                \
	"S: * 3 EXISTS", "S: * OK [UIDVALIDITY 7] ok",                         \
		"S: * OK [UIDNEXT 100] ok", "S: * OK [HIGHESTMODSEQ 60] ok"

/* EXAMINE is A3, the news are A4, what is asked then is A5. */
#define QRESYNC                                                                \
	LOGIN_WITH("ENABLE QRESYNC ESEARCH"), "C: A2 ENABLE", "S: A2 OK done", \
		"C: A3 EXAMINE INBOX (QRESYNC", "C: A4 UID FETCH 100:*"

/* EXAMINE is A2, the changes A3, the search A4, the news A5, and then A6. */
#define CONDSTORE                                                              \
	LOGIN_WITH("CONDSTORE ESEARCH"), "C: A2 EXAMINE INBOX (CONDSTORE)",    \
		"C: A3 UID FETCH 1:99 (UID FLAGS) (CHANGEDSINCE 50)",          \
		"C: A4 UID SEARCH RETURN (ALL) UID 1:99",                      \
		"C: A5 UID FETCH 100:*", NUMBERS, "S: A2 OK done"

#define ALL_FLAGS(tag)                                                         \
	"C: " tag " UID FETCH 1:99 (UID FLAGS)",                               \
		"S: * 1 FETCH (UID 4 FLAGS ())", "S: " tag " OK done"

static struct seen sync_on(script steps)
{
	struct server *s = SERVER(steps);
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	seen_sync(im, &seen, 50);
	seen_wait(&seen);
	account_end(im, s);
	return seen;
}

/* --- VANISHED --- */

/* What the server sends with its answer to EXAMINE, and that is all. */
static struct seen vanished(const char *line)
{
	return sync_on(STEPS(QRESYNC, NUMBERS, line, "S: A3 OK done",
			     "S: A4 OK done"));
}

static void a_giant_range_costs_nothing(void **state)
{
	struct seen seen = vanished("S: * VANISHED (EARLIER) 1:4294967295");

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open gone(1:4294967295)");
}

static void unknown_and_descending_ranges_are_told(void **state)
{
	struct seen seen =
		vanished("S: * VANISHED (EARLIER) 9:7,4000000000,5,6:6,7");

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open gone(7:9,4000000000,5:7)");
}

static void many_ranges_come_in_portions(void **state)
{
	char line[16384] = "S: * VANISHED (EARLIER) 1";
	struct seen seen;
	size_t n = strlen(line);

	(void)state;
	for (unsigned uid = 3; uid < 2000; uid += 2)
		n += (size_t)snprintf(line + n, sizeof(line) - n, ",%u", uid);
	seen = vanished(line);
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n_ranges, 1000);
}

/* And what stands in front of the nonsense is handed on, as it is a set. */
static void a_set_that_is_none_needs_all_flags(void **state)
{
	static const struct {
		const char *line;
		const char *told;
	} bad[] = {
		{"S: * VANISHED (EARLIER) 1:*", "open rows(4)"},
		{"S: * VANISHED (EARLIER) 0", "open rows(4)"},
		{"S: * VANISHED (EARLIER) 5,,6", "open gone(5) rows(4)"},
		{"S: * VANISHED (EARLIER) 5,", "open gone(5) rows(4)"},
		{"S: * VANISHED (EARLIER) 4294967296", "open rows(4)"},
		{"S: * VANISHED (EARLIER) 18446744073709551617:2",
		 "open rows(4)"},
		{"S: * VANISHED (EARLIER) x", "open rows(4)"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct seen seen = sync_on(
			STEPS(QRESYNC, NUMBERS, bad[i].line, "S: A3 OK done",
			      "S: A4 OK done", ALL_FLAGS("A5")));

		assert_int_equal(seen.result, 0);
		assert_string_equal(seen.told, bad[i].told);
		assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
	}
}

/* Whose change is it, if the mailbox has not been told yet? */
static void what_comes_too_early_needs_all_flags(void **state)
{
	struct seen seen = sync_on(STEPS(QRESYNC, "S: * VANISHED (EARLIER) 5",
					 NUMBERS, "S: A3 OK done",
					 "S: A4 OK done", ALL_FLAGS("A5")));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open rows(4)");
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
}

static void what_is_of_the_mailbox_before_is_not_told(void **state)
{
	struct seen seen = sync_on(
		STEPS(QRESYNC, "S: * 9 EXISTS", "S: * OK [UIDVALIDITY 7] ok",
		      "S: * OK [UIDNEXT 9] ok", "S: * VANISHED 5",
		      "S: * 1 FETCH (UID 6 FLAGS ())", "S: * OK [CLOSED] other",
		      NUMBERS, "S: * VANISHED (EARLIER) 7", "S: A3 OK done",
		      "S: A4 OK done"));

	(void)state;
	assert_string_equal(seen.told, "open gone(7)");
	assert_int_equal(seen.end.method, IMAP_SYNC_QRESYNC);
}

static void part_of_the_changes_is_not_all(void **state)
{
	struct seen seen =
		sync_on(STEPS(QRESYNC, NUMBERS, "S: * VANISHED (EARLIER) 5",
			      "S: A3 OK [MESSAGELIMIT 1000 50] done",
			      "S: A4 OK done", ALL_FLAGS("A5")));

	(void)state;
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
}

static void a_history_that_was_not_asked_for_is_skipped(void **state)
{
	struct seen seen = sync_on(STEPS(CONDSTORE, "S: A3 OK done",
					 "S: * VANISHED (EARLIER) 4",
					 "S: * ESEARCH (TAG \"A4\") UID ALL 4",
					 "S: A4 OK done", "S: A5 OK done"));

	(void)state;
	assert_string_equal(seen.told, "open here(4)");
}

/* --- SEARCH and ESEARCH --- */

static void a_search_without_a_good_answer_needs_all_flags(void **state)
{
	static const struct {
		const char *line;
		const char *told;
	} bad[] = {
		{"S: * ESEARCH (TAG \"A3\") UID ALL 1:99", "open rows(4)"},
		{"S: * ESEARCH (TAG \"A44\") UID ALL 1:99", "open rows(4)"},
		{"S: * ESEARCH UID ALL 1:99", "open rows(4)"},
		{"S: * ESEARCH (TAG \"A4\") ALL 1:99", "open rows(4)"},
		{"S: * ESEARCH (TAG \"A4\") UID ALL", "open rows(4)"},
		{"S: * ESEARCH (TAG \"A4\") UID ALL 7,x",
		 "open here(7) rows(4)"},
		{"S: * ESEARCH (TAG) UID ALL 1:99", "open rows(4)"},
		{"S: * SEARCH 5 6 four", "open here(5:6) rows(4)"},
		{"S: * SEARCH 0", "open rows(4)"},
		{"S: * OK nothing", "open rows(4)"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct seen seen = sync_on(STEPS(
			CONDSTORE, "S: A3 OK done", bad[i].line,
			"S: A4 OK done", "S: A5 OK done", ALL_FLAGS("A6")));

		assert_int_equal(seen.result, 0);
		assert_string_equal(seen.told, bad[i].told);
		assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
	}
}

static void what_is_there_is_told_of_known_messages_only(void **state)
{
	struct seen seen =
		sync_on(STEPS(CONDSTORE, "S: A3 OK done",
			      "S: * ESEARCH (TAG \"A4\") UID MIN 1 COUNT 3 ALL "
			      "200:300,1:4294967295 MODSEQ 9",
			      "S: A4 OK done", "S: A5 OK done"));

	(void)state;
	assert_string_equal(seen.told, "open here(1:99)");
	assert_int_equal(seen.end.method, IMAP_SYNC_CONDSTORE);
}

static void nobody_left_is_an_answer(void **state)
{
	struct seen seen = sync_on(STEPS(CONDSTORE, "S: A3 OK done",
					 "S: * ESEARCH (TAG \"A4\") UID",
					 "S: A4 OK done", "S: A5 OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open");
	assert_int_equal(seen.end.method, IMAP_SYNC_CONDSTORE);
}

static void what_is_refused_is_asked_plainly(void **state)
{
	struct seen changed =
		sync_on(STEPS(CONDSTORE, "S: A3 BAD what", "S: A4 OK done",
			      "S: A5 OK done", ALL_FLAGS("A6")));
	struct seen search =
		sync_on(STEPS(CONDSTORE, "S: A3 OK done", "S: A4 NO what",
			      "S: A5 OK done", ALL_FLAGS("A6")));
	struct seen over =
		sync_on(STEPS(CONDSTORE, "S: A3 NO [OVERQUOTA] bandwidth",
			      "S: A4 OK done", "S: A5 OK done"));

	(void)state;
	assert_int_equal(changed.end.method, IMAP_SYNC_FLAGS);
	assert_int_equal(search.end.method, IMAP_SYNC_FLAGS);
	assert_int_equal(over.result, -EDQUOT);
}

/* --- rows --- */

static void rows_without_flags_are_asked_for_again(void **state)
{
	struct seen seen = sync_on(
		STEPS(CONDSTORE, "S: * 2 FETCH (UID 5 MODSEQ (55))",
		      "S: * 1 FETCH (UID 4)", "S: * 3 FETCH (UID 6 FLAGS)",
		      "S: A3 OK done", "S: * ESEARCH (TAG \"A4\") UID ALL 4:6",
		      "S: A4 OK done", "S: A5 OK done",
		      "C: A6 UID FETCH 4:6 (UID FLAGS)",
		      "S: * 2 FETCH (UID 5 FLAGS (\\Seen))",
		      "S: * 3 FETCH (UID 6 FLAGS ())", "S: A6 OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open here(4:6) rows(5,6)");
	assert_int_equal(seen.end.highestmodseq, 60);
}

static void flags_that_stay_unknown_hold_the_modseq_back(void **state)
{
	struct seen seen = sync_on(STEPS(
		CONDSTORE, "S: * 1 FETCH (UID 4 MODSEQ (55))", "S: A3 OK done",
		"S: * ESEARCH (TAG \"A4\") UID ALL 4:6", "S: A4 OK done",
		"S: A5 OK done", "C: A6 UID FETCH 4 (UID FLAGS)",
		"S: * 1 FETCH (UID 4 MODSEQ (55))", "S: A6 OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open here(4:6) here(4)");
	assert_int_equal(seen.end.method, IMAP_SYNC_CONDSTORE);
	assert_int_equal(seen.end.highestmodseq, 50);
}

static void a_message_without_flags_is_not_gone(void **state)
{
	struct seen refused = sync_on(STEPS(
		LOGIN, "C: EXAMINE", "C: A3 UID FETCH 1:99 ",
		"C: A4 UID FETCH 100:*", NUMBERS, "S: A2 OK done",
		"S: * 1 FETCH (UID 4)", "S: A3 OK done", "S: A4 OK done",
		"C: A5 UID FETCH 4 (UID FLAGS)", "S: A5 NO I do not know"));

	(void)state;
	assert_int_equal(refused.result, 0);
	assert_string_equal(refused.told, "open here(4)");
	assert_int_equal(refused.end.highestmodseq, 50);
}

/* More than can be asked for one by one: all are. */
static void a_hundred_rows_without_flags_need_all(void **state)
{
	const char *steps[256] = {CONDSTORE};
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
	seen = sync_on(steps);
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 99);
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
	assert_int_equal(seen.end.highestmodseq, 60);
}

static void rows_that_nobody_asked_for_do_no_harm(void **state)
{
	struct seen seen = sync_on(STEPS(
		CONDSTORE, "S: * 9 FETCH (UID 4000000000 FLAGS ())",
		"S: * 9 FETCH (UID 0 FLAGS (\\Seen) MODSEQ (70))",
		"S: * 9 FETCH ()", "S: * 4294967295 FETCH (UID 77 FLAGS ())",
		"S: A3 OK done", "S: * ESEARCH (TAG \"A4\") UID ALL 4:6",
		"S: A4 OK done", "S: A5 OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	/* One that may not exist is told: who knows no such message, skips. */
	assert_string_equal(seen.told, "open rows(77) here(4:6)");
}

static void a_change_of_an_unnamed_message_needs_all_flags(void **state)
{
	struct seen seen = sync_on(STEPS(
		CONDSTORE, "S: * 1 FETCH (FLAGS (\\Seen))", "S: A3 OK done",
		"S: A4 OK done", "S: A5 OK done", ALL_FLAGS("A6")));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
}

static void nobody_is_gone_by_a_guess(void **state)
{
	struct seen seen =
		sync_on(STEPS(LOGIN, "C: EXAMINE", "C: A3 UID FETCH 1:99 ",
			      "C: A4 UID FETCH 100:*", NUMBERS, "S: A2 OK done",
			      "S: * 1 FETCH (FLAGS () UID x)", "S: A3 OK done",
			      "S: A4 OK done"));

	(void)state;
	assert_int_equal(seen.result, -EBADMSG);
	assert_false(seen.has_end);
}

#define HALVES(low, high)                                                      \
	"C: UID FETCH 1:" low " (", "P: $T OK [MESSAGELIMIT 1] x",             \
		"C: UID FETCH " high " (", "S: * OK go on"

static void half_an_answer_for_ever_ends(void **state)
{
	struct seen seen = sync_on(
		STEPS(LOGIN, "C: EXAMINE", "C: A3 UID FETCH 1:99 ",
		      "C: A4 UID FETCH 100:*", NUMBERS, "S: A2 OK done",
		      "S: A3 OK [MESSAGELIMIT 1] x", HALVES("50", "51:99"),
		      HALVES("25", "26:50"), HALVES("13", "14:25"),
		      HALVES("7", "8:13"), HALVES("4", "5:7"),
		      HALVES("2", "3:4"), HALVES("1", "2:2")));

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
		seen = sync_on(cut);
		if (at == n)
			assert_string_equal(seen.told, told);
		assert_int_equal(seen.result, at == n ? 0 : -ENOTCONN);
		assert_true(seen.has_end == (at == n));
	}
}

static void a_cut_line_never_tells_half(void **state)
{
	(void)state;
	cut_every_way(STEPS(QRESYNC, NUMBERS, "S: * VANISHED (EARLIER) 5",
			    "S: * 1 FETCH (UID 4 FLAGS ())", "S: A3 OK done",
			    "S: " ROW("3", "100") ")", "S: A4 OK done"),
		      6, "open gone(5) rows(4) new(100)");
	cut_every_way(STEPS(CONDSTORE, "S: * 1 FETCH (UID 4 FLAGS ())",
			    "S: A3 OK done",
			    "S: * ESEARCH (TAG \"A4\") UID ALL 4",
			    "S: A4 OK done", "S: " ROW("3", "100") ")",
			    "S: A5 OK done"),
		      4, "open rows(4) here(4) new(100)");
}

static void what_has_told_nothing_yet_is_repeated(void **state)
{
	struct server *s = SERVER(
		STEPS(CONDSTORE, "X:"),
		STEPS(GREETING, "C: A6 AUTHENTICATE",
		      "S: A6 OK [CAPABILITY IMAP4rev1] in",
		      "C: A7 EXAMINE INBOX", "C: A8 UID FETCH 1:99 (UID FLAGS)",
		      "C: A9 UID FETCH 100:*", NUMBERS, "S: A7 OK done",
		      "S: * 1 FETCH (UID 4 FLAGS ())", "S: A8 OK done",
		      "S: A9 OK done"));
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

static void an_answer_in_front_of_examine_is_a_lie(void **state)
{
	struct seen seen = sync_on(STEPS(
		LOGIN, "C: A2 EXAMINE", "C: A3 UID FETCH 1:99 ",
		"C: A4 UID FETCH 100:*", "S: * 1 FETCH (UID 4 FLAGS ())",
		"S: A3 OK done", NUMBERS, "S: A2 OK done", "S: A4 OK done"));

	(void)state;
	assert_int_equal(seen.result, -EPROTO);
	assert_string_equal(seen.told, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_giant_range_costs_nothing),
		cmocka_unit_test(unknown_and_descending_ranges_are_told),
		cmocka_unit_test(many_ranges_come_in_portions),
		cmocka_unit_test(a_set_that_is_none_needs_all_flags),
		cmocka_unit_test(what_comes_too_early_needs_all_flags),
		cmocka_unit_test(what_is_of_the_mailbox_before_is_not_told),
		cmocka_unit_test(part_of_the_changes_is_not_all),
		cmocka_unit_test(a_history_that_was_not_asked_for_is_skipped),
		cmocka_unit_test(
			a_search_without_a_good_answer_needs_all_flags),
		cmocka_unit_test(what_is_there_is_told_of_known_messages_only),
		cmocka_unit_test(nobody_left_is_an_answer),
		cmocka_unit_test(what_is_refused_is_asked_plainly),
		cmocka_unit_test(rows_without_flags_are_asked_for_again),
		cmocka_unit_test(flags_that_stay_unknown_hold_the_modseq_back),
		cmocka_unit_test(a_message_without_flags_is_not_gone),
		cmocka_unit_test(a_hundred_rows_without_flags_need_all),
		cmocka_unit_test(rows_that_nobody_asked_for_do_no_harm),
		cmocka_unit_test(
			a_change_of_an_unnamed_message_needs_all_flags),
		cmocka_unit_test(nobody_is_gone_by_a_guess),
		cmocka_unit_test(half_an_answer_for_ever_ends),
		cmocka_unit_test(a_cut_line_never_tells_half),
		cmocka_unit_test(what_has_told_nothing_yet_is_repeated),
		cmocka_unit_test(an_answer_in_front_of_examine_is_a_lie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
