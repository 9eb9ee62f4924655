/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync_script.h"

/*
 * Which method a sync takes, and what makes it take another one.
 */

static void another_uidvalidity_is_estale(void **state)
{
	struct seen seen = seen_synced(
		STEPS(QRESYNC_ASKED, "S: * 90 EXISTS",
		      "S: * OK [UIDVALIDITY 8] ok", "S: * OK [UIDNEXT 102] ok",
		      "S: * OK [HIGHESTMODSEQ 60] ok",
		      "S: * VANISHED (EARLIER) 1:99", "S: A3 OK done",
		      NEW("1", "100"), "S: A4 OK done"),
		50);

	(void)state;
	assert_int_equal(seen.result, -ESTALE);
	assert_string_equal(seen.told, "open");
	assert_int_equal(seen.box.uidvalidity, 8);
}

static void nomodseq_needs_all_flags(void **state)
{
	struct seen seen = seen_synced(
		STEPS(CONDSTORE_ASKED, "S: * 3 EXISTS",
		      "S: * OK [UIDVALIDITY 7] ok", "S: * OK [NOMODSEQ] none",
		      "S: A2 OK done", "S: A3 BAD no CHANGEDSINCE",
		      "S: * ESEARCH (TAG \"A4\") UID ALL 4", "S: A4 OK done",
		      "S: A5 OK done", ALL_FLAGS("A6")),
		50);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open rows(4)");
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
	assert_int_equal(seen.end.highestmodseq, 0);
	assert_true(seen.box.no_modseq);
}

/* A mailbox that was restored, or whose index was made anew. */
static void a_modseq_that_went_back_needs_all_flags(void **state)
{
	struct seen seen = seen_synced(
		STEPS(QRESYNC_ASKED, NUMBERS("3", "100", "20"), "S: A3 OK done",
		      "S: A4 OK done", ALL_FLAGS("A5")),
		50);

	(void)state;
	assert_string_equal(seen.told, "open rows(4)");
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
	assert_int_equal(seen.end.highestmodseq, 20);
}

#define CONDSTORE_FLIGHT(a, b, c, d)                                           \
	"C: " a " EXAMINE INBOX (CONDSTORE)", "C: " b " UID FETCH 1:99 ",      \
		"C: " c " UID SEARCH ", "C: " d " UID FETCH 100:*",            \
		NUMBERS("3", "100", "60"), "S: " a " OK done",                 \
		"S: " b " OK done",                                            \
		"S: * ESEARCH (TAG \"" c "\") UID ALL 1:99",                   \
		"S: " c " OK done", "S: " d " OK done"

static void what_is_not_to_be_asked_by_qresync_is_not(void **state)
{
	static const char *const signs[] = {
		"S: $T OK [CAPABILITY IMAP4rev1 ENABLE QRESYNC ESEARCH "
		"XAPPLEPUSHSERVICE] in",
		"S: $T OK [CAPABILITY IMAP4rev1 ENABLE QRESYNC ESEARCH "
		"UIDONLY] in",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++) {
		struct seen seen = seen_synced(
			STEPS(GREETING, "C: AUTHENTICATE", signs[i],
			      "C: A2 ENABLE CONDSTORE", "S: A2 OK nothing",
			      CONDSTORE_FLIGHT("A3", "A4", "A5", "A6")),
			50);

		assert_int_equal(seen.result, 0);
		assert_int_equal(seen.end.method, IMAP_SYNC_CONDSTORE);
	}
}

static void a_refused_enable_and_qresync_cost_a_round_trip(void **state)
{
	struct seen seen = seen_synced(
		STEPS(LOGIN_WITH("ENABLE QRESYNC ESEARCH"), "C: A2 ENABLE",
		      "C: A3 EXAMINE INBOX (QRESYNC", "C: A4 UID FETCH 100:*",
		      "S: A2 BAD no", "S: A3 BAD not enabled",
		      "S: A4 BAD no mailbox",
		      CONDSTORE_FLIGHT("A5", "A6", "A7", "A8")),
		50);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open here(1:99)");
	assert_int_equal(seen.end.method, IMAP_SYNC_CONDSTORE);
}

static void a_refused_condstore_is_not_asked_again(void **state)
{
	struct server *s = SERVER(
		STEPS(CONDSTORE_ASKED, "S: A2 NO Error in IMAP command",
		      "S: A3 NO x", "S: A4 NO x", "S: A5 NO x",
		      "C: A6 EXAMINE INBOX", "C: A7 UID FETCH 1:99 (UID FLAGS)",
		      "C: A8 UID FETCH 100:*", NUMBERS("3", "100", "60"),
		      "S: A6 OK done", "S: A7 OK done", "S: A8 OK done",
		      "C: A9 EXAMINE INBOX", "C: UID FETCH 1:99 (UID FLAGS)",
		      "C: UID FETCH 100:*", NUMBERS("3", "100", "60"),
		      "S: A9 OK done", "S: A10 OK done", "S: A11 OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen seen[2] = {0};

	(void)state;
	for (int i = 0; i < 2; i++) {
		seen_sync(im, &seen[i], 50);
		seen_wait(&seen[i]);
		assert_int_equal(seen[i].result, 0);
		assert_string_equal(seen[i].told, "open");
		assert_int_equal(seen[i].end.method, IMAP_SYNC_FLAGS);
	}
	account_end(im, s);
}

static void a_mailbox_that_is_refused_costs_no_method(void **state)
{
	struct server *s = SERVER(STEPS(
		QRESYNC_ASKED, "S: A3 NO go away", "S: A4 BAD x",
		"C: A5 EXAMINE INBOX (CONDSTORE)", "C: A6 UID FETCH 1:99 ",
		"C: A7 UID SEARCH ", "C: A8 UID FETCH 100:*",
		"S: A5 NO go away", "S: A6 BAD x", "S: A7 BAD x", "S: A8 BAD x",
		"C: A9 EXAMINE INBOX", "C: A10 UID FETCH 1:99 (UID FLAGS)",
		"C: A11 UID FETCH 100:*", "S: A9 NO go away", "S: A10 BAD x",
		"S: A11 BAD x", "C: A12 EXAMINE INBOX (QRESYNC",
		"C: A13 UID FETCH 100:*", "S: A12 NO [INUSE] later",
		"S: A13 BAD x", "C: A14 EXAMINE INBOX (QRESYNC",
		"C: A15 UID FETCH 100:*", NUMBERS("3", "100", "50"),
		"S: A14 OK done", "S: A15 OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen seen[3] = {0};

	(void)state;
	for (int i = 0; i < 3; i++) {
		seen_sync(im, &seen[i], 50);
		seen_wait(&seen[i]);
	}
	account_end(im, s);
	assert_int_equal(seen[0].result, -EIO);
	assert_int_equal(seen[1].result, -EIO);
	assert_int_equal(seen[2].result, 0);
	assert_int_equal(seen[2].end.method, IMAP_SYNC_QRESYNC);
}

/* One that takes the parameter, and then does not know what to do with it. */
static void a_change_that_nobody_names_is_asked_for(void **state)
{
	struct seen seen = seen_synced(
		STEPS(QRESYNC_ASKED, NUMBERS("3", "100", "60"), "S: A3 OK done",
		      "S: A4 OK done",
		      "C: A5 UID FETCH 1:99 (UID FLAGS) (CHANGEDSINCE 50)",
		      "C: A6 UID SEARCH RETURN (ALL) UID 1:99",
		      "S: * 2 FETCH (UID 5 FLAGS ())", "S: A5 OK done",
		      "S: * ESEARCH (TAG \"A6\") UID ALL 4:6", "S: A6 OK done"),
		50);

	(void)state;
	assert_string_equal(seen.told, "open rows(5) here(4:6)");
	assert_int_equal(seen.end.method, IMAP_SYNC_CONDSTORE);
	assert_int_equal(seen.end.highestmodseq, 60);
}

/* Hostinger: the number stands still, the mail does not. */
static void news_are_told_though_the_modseq_stands_still(void **state)
{
	struct seen seen = seen_synced(
		STEPS(QRESYNC_ASKED, NUMBERS("4", "101", "50"), "S: A3 OK done",
		      NEW("4", "100"), "S: A4 OK done"),
		50);

	(void)state;
	assert_string_equal(seen.told, "open new(100)");
	assert_int_equal(seen.end.highestmodseq, 50);
}

static void gmail_is_believed_a_minute_later(void **state)
{
	struct seen first = seen_synced(
		STEPS(LOGIN_WITH("CONDSTORE ESEARCH X-GM-EXT-1"),
		      "C: A2 EXAMINE", "C: A3 UID FETCH 1:99 (UID FLAGS",
		      "C: A4 UID FETCH 100:*", NUMBERS("1", "100", "5000"),
		      "S: A2 OK done", "S: A3 OK done", "S: A4 OK done"),
		0);
	struct seen later =
		seen_synced(STEPS(LOGIN_WITH("CONDSTORE ESEARCH X-GM-EXT-1"),
				  CONDSTORE_FLIGHT("A2", "A3", "A4", "A5")),
			    50);

	(void)state;
	/* Nothing is known to have settled: some of it is asked twice. */
	assert_int_equal(first.end.highestmodseq, 4000);
	assert_int_equal(later.end.highestmodseq, 50);
}

static void gmails_labels_are_asked_for_from_a_change_before(void **state)
{
	struct seen seen = seen_synced(
		STEPS(LOGIN_WITH("CONDSTORE ESEARCH X-GM-EXT-1"),
		      "C: A2 EXAMINE INBOX (CONDSTORE)",
		      "C: A3 UID FETCH 1:99 (UID FLAGS X-GM-LABELS)"
		      " (CHANGEDSINCE 49)",
		      "C: A4 UID SEARCH ", "C: A5 UID FETCH 100:*",
		      NUMBERS("3", "100", "50"), "S: A2 OK done",
		      "S: * 1 FETCH (UID 4 FLAGS () X-GM-LABELS (work))",
		      "S: * 2 FETCH (UID 5 X-GM-LABELS (work) MODSEQ (50))",
		      "S: A3 OK done", "S: * ESEARCH (TAG \"A4\") UID ALL 4:6",
		      "S: A4 OK done", "S: A5 OK done",
		      "C: A6 UID FETCH 5 (UID FLAGS X-GM-LABELS)",
		      "S: * 2 FETCH (UID 5 FLAGS () X-GM-LABELS (work))",
		      "S: A6 OK done"),
		50);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 2);
	for (unsigned i = 0; i < seen.n; i++)
		assert_true(seen.has[i] & ROW_LABELS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_uidvalidity_is_estale),
		cmocka_unit_test(nomodseq_needs_all_flags),
		cmocka_unit_test(a_modseq_that_went_back_needs_all_flags),
		cmocka_unit_test(what_is_not_to_be_asked_by_qresync_is_not),
		cmocka_unit_test(
			a_refused_enable_and_qresync_cost_a_round_trip),
		cmocka_unit_test(a_refused_condstore_is_not_asked_again),
		cmocka_unit_test(a_mailbox_that_is_refused_costs_no_method),
		cmocka_unit_test(a_change_that_nobody_names_is_asked_for),
		cmocka_unit_test(news_are_told_though_the_modseq_stands_still),
		cmocka_unit_test(gmail_is_believed_a_minute_later),
		cmocka_unit_test(
			gmails_labels_are_asked_for_from_a_change_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
