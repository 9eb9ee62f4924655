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
 * Servers that say to a sync what cannot be of who is there and who is gone: no
 * message may count as gone by a guess, and what is in doubt is asked plainly.
 */

/* --- VANISHED --- */

/* What the server sends with its answer to EXAMINE, and that is all. */
static struct seen vanished(const char *line)
{
	return seen_synced(STEPS(QRESYNC_ASKED, NUMBERS("3", "100", "60"), line,
				 "S: A3 OK done", "S: A4 OK done"),
			   50);
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
		struct seen seen = seen_synced(
			STEPS(QRESYNC_ASKED, NUMBERS("3", "100", "60"),
			      bad[i].line, "S: A3 OK done", "S: A4 OK done",
			      ALL_FLAGS("A5")),
			50);

		assert_int_equal(seen.result, 0);
		assert_string_equal(seen.told, bad[i].told);
		assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
	}
}

/* Whose change is it, if the mailbox has not been told yet? */
static void what_comes_too_early_needs_all_flags(void **state)
{
	struct seen seen =
		seen_synced(STEPS(QRESYNC_ASKED, "S: * VANISHED (EARLIER) 5",
				  NUMBERS("3", "100", "60"), "S: A3 OK done",
				  "S: A4 OK done", ALL_FLAGS("A5")),
			    50);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open rows(4)");
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
}

static void what_is_of_the_mailbox_before_is_not_told(void **state)
{
	struct seen seen = seen_synced(
		STEPS(QRESYNC_ASKED, "S: * 9 EXISTS",
		      "S: * OK [UIDVALIDITY 7] ok", "S: * OK [UIDNEXT 9] ok",
		      "S: * VANISHED 5", "S: * 1 FETCH (UID 6 FLAGS ())",
		      "S: * OK [CLOSED] other", NUMBERS("3", "100", "60"),
		      "S: * VANISHED (EARLIER) 7", "S: A3 OK done",
		      "S: A4 OK done"),
		50);

	(void)state;
	assert_string_equal(seen.told, "open gone(7)");
	assert_int_equal(seen.end.method, IMAP_SYNC_QRESYNC);
}

static void part_of_the_changes_is_not_all(void **state)
{
	struct seen seen =
		seen_synced(STEPS(QRESYNC_ASKED, NUMBERS("3", "100", "60"),
				  "S: * VANISHED (EARLIER) 5",
				  "S: A3 OK [MESSAGELIMIT 1000 50] done",
				  "S: A4 OK done", ALL_FLAGS("A5")),
			    50);

	(void)state;
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
}

static void a_history_that_was_not_asked_for_is_skipped(void **state)
{
	struct seen seen =
		seen_synced(STEPS(CONDSTORE_OPEN, "S: A3 OK done",
				  "S: * VANISHED (EARLIER) 4",
				  "S: * ESEARCH (TAG \"A4\") UID ALL 4",
				  "S: A4 OK done", "S: A5 OK done"),
			    50);

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
		struct seen seen =
			seen_synced(STEPS(CONDSTORE_OPEN, "S: A3 OK done",
					  bad[i].line, "S: A4 OK done",
					  "S: A5 OK done", ALL_FLAGS("A6")),
				    50);

		assert_int_equal(seen.result, 0);
		assert_string_equal(seen.told, bad[i].told);
		assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
	}
}

static void what_is_there_is_told_of_known_messages_only(void **state)
{
	struct seen seen = seen_synced(
		STEPS(CONDSTORE_OPEN, "S: A3 OK done",
		      "S: * ESEARCH (TAG \"A4\") UID MIN 1 COUNT 3 ALL "
		      "200:300,1:4294967295 MODSEQ 9",
		      "S: A4 OK done", "S: A5 OK done"),
		50);

	(void)state;
	assert_string_equal(seen.told, "open here(1:99)");
	assert_int_equal(seen.end.method, IMAP_SYNC_CONDSTORE);
}

static void nobody_left_is_an_answer(void **state)
{
	struct seen seen = seen_synced(STEPS(CONDSTORE_OPEN, "S: A3 OK done",
					     "S: * ESEARCH (TAG \"A4\") UID",
					     "S: A4 OK done", "S: A5 OK done"),
				       50);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open");
	assert_int_equal(seen.end.method, IMAP_SYNC_CONDSTORE);
}

static void what_is_refused_is_asked_plainly(void **state)
{
	struct seen changed = seen_synced(
		STEPS(CONDSTORE_OPEN, "S: A3 BAD what", "S: A4 OK done",
		      "S: A5 OK done", ALL_FLAGS("A6")),
		50);
	struct seen search = seen_synced(STEPS(CONDSTORE_OPEN, "S: A3 OK done",
					       "S: A4 NO what", "S: A5 OK done",
					       ALL_FLAGS("A6")),
					 50);
	struct seen over = seen_synced(STEPS(CONDSTORE_OPEN,
					     "S: A3 NO [OVERQUOTA] bandwidth",
					     "S: A4 OK done", "S: A5 OK done"),
				       50);

	(void)state;
	assert_int_equal(changed.end.method, IMAP_SYNC_FLAGS);
	assert_int_equal(search.end.method, IMAP_SYNC_FLAGS);
	assert_int_equal(over.result, -EDQUOT);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
