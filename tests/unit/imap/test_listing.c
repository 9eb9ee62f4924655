/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "imap/listing.h"
#include "imap/pace.h"
#include "script.h"

/*
 * Listings of mailboxes and of one mailbox against scripted servers: the order
 * of the rows, rows that are wrong, what changes meanwhile.
 */

/* List a mailbox on a server that plays this behind the login. */
static struct seen list_on(script steps)
{
	struct server *s = SERVER(steps);
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	seen_list(im, &seen, 0);
	seen_wait(&seen);
	account_end(im, s);
	return seen;
}

static void a_listing_comes_newest_first(void **state)
{
	struct seen seen =
		list_on(STEPS(LOGIN, EXAMINE("3"), "C: FETCH 1:3 (UID",
			      "S: " ROW("1", "5") ")", "S: " ROW("2", "6") ")",
			      "S: " ROW("3", "9") ")", "S: $T OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.opened, 1);
	assert_int_equal(seen.box.uidvalidity, 7);
	assert_int_equal(seen.box.messages, 3);
	assert_int_equal(seen.n, 3);
	assert_int_equal(seen.uid[0], 9);
	assert_int_equal(seen.uid[2], 5);
}

static void an_empty_mailbox_needs_no_fetch(void **state)
{
	struct seen seen = list_on(STEPS(LOGIN, EXAMINE("0"), "H:"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 0);
}

static void later_windows_answered_first_are_handed_on_in_order(void **state)
{
	struct seen seen = list_on(STEPS(
		LOGIN, EXAMINE("1101"), "C: FETCH 1002:1101 ",
		"S: " ROW("1101", "90") ")", "S: $T OK done",
		"C: A4 FETCH 502:1001 ", "C: A5 FETCH 2:501 ",
		"C: A6 FETCH 1 (", "S: " ROW("1", "10") ")", "S: A6 OK done",
		"S: " ROW("700", "50") ")", "S: " ROW("3", "20") ")",
		"S: A5 OK done", "S: " ROW("800", "60") ")", "S: A4 OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 5);
	assert_int_equal(seen.uid[0], 90);
	assert_int_equal(seen.uid[1], 60);
	assert_int_equal(seen.uid[2], 50);
	assert_int_equal(seen.uid[3], 20);
	assert_int_equal(seen.uid[4], 10);
}

static void expunge_during_a_listing_loses_nobody(void **state)
{
	struct seen seen = list_on(STEPS(
		LOGIN, EXAMINE("101"), "C: FETCH 2:101 ",
		"S: " ROW("2", "11") ")", "S: * 1 EXPUNGE", "S: * 100 EXISTS",
		"S: " ROW("100", "95") ")", "S: $T OK done", "C: FETCH 1 ",
		"S: " ROW("1", "11") ")", "S: $T OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.uid[0], 95);
	assert_int_equal(seen.uid[1], 11);
}

/* The same, of a server on which QRESYNC was enabled. */
static void vanished_during_a_listing_loses_nobody(void **state)
{
	struct seen seen = list_on(STEPS(
		LOGIN_WITH("ENABLE QRESYNC"), "C: ENABLE", "S: $T OK done",
		EXAMINE("102"), "C: FETCH 3:102 ", "S: " ROW("3", "12") ")",
		"S: * VANISHED 10:11", "S: " ROW("100", "95") ")",
		"S: $T NO not all", "C: FETCH 3:100 ",
		"S: " ROW("100", "95") ")", "S: $T OK done", "C: FETCH 1:2 ",
		"S: " ROW("1", "12") ")", "S: $T OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.uid[0], 95);
	assert_int_equal(seen.uid[1], 12);
}

static void a_modseq_that_runs_ahead_is_not_told(void **state)
{
	struct seen seen = list_on(
		STEPS(LOGIN_WITH("CONDSTORE X-GM-EXT-1"), "C: EXAMINE INBOX",
		      "S: * 0 EXISTS", "S: * OK [UIDVALIDITY 7] ok",
		      "S: * OK [HIGHESTMODSEQ 5000] ok", "S: $T OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.box.highestmodseq, 4000);
}

static void emailids_are_asked_for_where_there_are_some(void **state)
{
	struct seen seen = list_on(STEPS(
		LOGIN_WITH("OBJECTID"), EXAMINE("1"),
		"C: FETCH 1 (UID FLAGS RFC822.SIZE INTERNALDATE BODY.PEEK"
		"[HEADER.FIELDS (DATE FROM TO CC SUBJECT MESSAGE-ID)] EMAILID)",
		"S: " ROW("1", "5") " EMAILID (M1))", "S: $T OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_true(seen.has[0] & ROW_EMAILID);
}

static void a_listing_goes_on_below_a_uid(void **state)
{
	struct server *s = SERVER(
		STEPS(LOGIN, EXAMINE("9"), "C: SEARCH RETURN (MAX) UID 1:49",
		      "S: * ESEARCH (TAG \"$T\") MAX 2", "S: $T OK done",
		      "C: FETCH 1:2 ", "S: " ROW("1", "5") ")",
		      "S: " ROW("2", "48") ")", "S: " ROW("3", "50") ")",
		      "S: $T OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	(void)state;
	seen_list(im, &seen, 50);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.uid[0], 48);
}

static void a_bad_row_is_asked_for_once_more(void **state)
{
	struct seen seen = list_on(STEPS(
		LOGIN, EXAMINE("3"), "C: FETCH 1:3 ",
		"S: * 1 FETCH (UID 5 FLAGS () RFC822.SIZE x INTERNALDATE NIL)",
		"S: * 2 FETCH (UID 6 RFC822.SIZE -1 INTERNALDATE \"01-Feb-2026 "
		"03:04:05 +0000\")",
		"S: " ROW("3", "9") ")", "S: $T OK done", "C: UID FETCH 6 (",
		"S: " ROW("2", "6") ")", "S: $T OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	/* 5 has no item that only a listing has: it was an update of flags. */
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.uid[0], 9);
	assert_int_equal(seen.uid[1], 6);
}

static void a_row_that_stays_bad_is_left_out(void **state)
{
	struct seen seen = list_on(STEPS(
		LOGIN, EXAMINE("2"), "C: FETCH 1:2 ",
		"S: * 1 FETCH (UID 6 RFC822.SIZE 5)", "S: " ROW("2", "9") ")",
		"S: $T OK done", "C: UID FETCH 6 (",
		"S: * 1 FETCH (UID 6 RFC822.SIZE 5)", "S: $T OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.uid[0], 9);
}

/* Dovecot, of a message that another session expunges at that moment. */
#define ROW_WITHOUT_HEADER(seq, uid)                                           \
	"S: * " seq " FETCH (UID " uid " FLAGS () RFC822.SIZE 10 "             \
	"INTERNALDATE \"01-Jan-1970 00:00:00 +0000\" "                         \
	"BODY[HEADER.FIELDS (DATE FROM TO CC SUBJECT MESSAGE-ID)] NIL)"

static void a_message_that_goes_is_not_listed_without_its_header(void **state)
{
	struct seen seen = list_on(
		STEPS(LOGIN, EXAMINE("2"), "C: FETCH 1:2 ",
		      ROW_WITHOUT_HEADER("1", "6"), "S: " ROW("2", "9") ")",
		      "S: $T OK done", "C: A4 UID FETCH 6 (",
		      ROW_WITHOUT_HEADER("1", "6"), "S: * 1 EXPUNGE",
		      "S: $T OK done", "C: A5 UID FETCH 6 (", "S: $T OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.uid[0], 9);
}

static void a_message_without_a_header_is_listed(void **state)
{
	struct seen seen = list_on(
		STEPS(LOGIN, EXAMINE("2"), "C: FETCH 1:2 ",
		      ROW_WITHOUT_HEADER("1", "6"), "S: " ROW("2", "9") ")",
		      "S: $T OK done", "C: A4 UID FETCH 6 (",
		      ROW_WITHOUT_HEADER("1", "6"), "S: $T OK done",
		      "C: A5 UID FETCH 6 (", ROW_WITHOUT_HEADER("1", "6"),
		      "S: $T OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.uid[0], 9);
	assert_int_equal(seen.uid[1], 6);
	assert_int_equal(seen.has[1] & ROW_FULL, ROW_FULL);
}

static void a_row_without_uid_is_asked_for_by_number(void **state)
{
	struct seen seen = list_on(STEPS(
		LOGIN, EXAMINE("1"), "C: FETCH 1 ",
		"S: * 1 FETCH (RFC822.SIZE 5)", "S: $T OK done",
		"C: A4 FETCH 1 (", "S: " ROW("1", "6") ")", "S: $T OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.uid[0], 6);
}

static void a_refused_window_is_asked_for_in_halves(void **state)
{
	struct seen seen = list_on(STEPS(
		LOGIN, EXAMINE("2"), "C: FETCH 1:2 ",
		"S: $T NO some messages could not be fetched", "C: A4 FETCH 2 ",
		"C: A5 FETCH 1 ", "S: " ROW("2", "9") ")", "S: A4 OK done",
		"S: A5 NO this one", "C: A6 FETCH 1 ", "S: A6 NO this one"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.uid[0], 9);
}

static void what_is_refused_for_now_is_not_left_out(void **state)
{
	struct seen seen = list_on(
		STEPS(LOGIN, EXAMINE("2"), "C: FETCH 1:2 ",
		      "S: $T NO System Error (Failure)", "C: A4 FETCH 2 ",
		      "C: A5 FETCH 1 ", "S: " ROW("2", "9") ")",
		      "S: A4 OK done", "S: A5 NO System Error (Failure)",
		      "C: A6 FETCH 1 ", "S: A6 NO System Error (Failure)"));

	(void)state;
	assert_int_equal(seen.result, -EIO);
}

static void half_a_window_is_asked_for_in_halves(void **state)
{
	struct seen seen = list_on(STEPS(
		LOGIN, EXAMINE("2"), "C: FETCH 1:2 ", "S: " ROW("2", "9") ")",
		"S: $T OK [MESSAGELIMIT 1 9] x", "C: A4 FETCH 2 ",
		"C: A5 FETCH 1 ", "S: " ROW("2", "9") ")", "S: A4 OK done",
		"S: " ROW("1", "8") ")", "S: A5 OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.uid[0], 9);
	assert_int_equal(seen.uid[1], 8);
}

static unsigned after_first(int64_t took_ms, int64_t rtt_ms)
{
	struct pace p = {.slow_ms = PACE_SLOW_MS};

	assert_int_equal(pace_window(&p), 100);
	pace_begin(&p, 1000);
	p.rows = 100;
	pace_answered(&p, 1000 + took_ms, rtt_ms);
	return p.ahead;
}

static void measured(struct pace *p, unsigned rows, int64_t took_ms)
{
	p->rows = rows;
	pace_answered(p, p->since_ms + took_ms, took_ms);
}

/* As much as the line brings in a while is asked for, and it is measured. */
static void what_the_line_brings_is_asked_for(void **state)
{
	struct pace p = {.ahead = 2000};

	(void)state;
	/* 40 KB, at 1 Mbit/s, at 5 and at 100. */
	assert_int_equal(after_first(370, 50), 125);
	assert_int_equal(after_first(120, 50), 571);
	assert_int_equal(after_first(53, 50), PACE_START);
	/* It brings as much as was asked for, each round trip: ask for more. */
	pace_begin(&p, 1000);
	measured(&p, 2000, 100);
	assert_int_equal(p.ahead, 10000);
	assert_int_equal(pace_window(&p), 500);
	/* A moment is no line. */
	measured(&p, 0, 49);
	assert_int_equal(p.ahead, 10000);
	measured(&p, 0, 50);
	assert_int_equal(p.ahead, (10000 + PACE_MIN) / 2);
	for (int i = 0; i < 20; i++)
		measured(&p, 20, 50);
	assert_in_range(p.ahead, 20 * 450 / 50, 20 * 450 / 50 + 1);
	for (int i = 0; i < 20; i++)
		measured(&p, 0, 50);
	assert_in_range(p.ahead, PACE_MIN, PACE_MIN + 1);
	assert_int_equal(pace_window(&p), PACE_MIN / 2);
	for (int i = 0; i < 20; i++)
		measured(&p, 100000, 50);
	assert_int_equal(p.ahead, PACE_MAX);
}

/*
 * Twelve windows fly. Eleven are answered late, with nothing: only six fly
 * then, so behind one that is refused its half is what is asked for next.
 */
static void a_slow_line_has_few_windows_in_flight(void **state)
{
	struct seen seen = list_on(STEPS(
		LOGIN, EXAMINE("12101"), "C: FETCH 12002:12101 ",
		"S: $T OK done", "C: A4 FETCH 11502:12001 ", "C: A5 ", "C: A6 ",
		"C: A7 ", "C: A8 ", "C: A9 ", "C: A10 ", "C: A11 ", "C: A12 ",
		"C: A13 ", "C: A14 ", "C: A15 FETCH 6002:6501 ", "L: 900",
		"S: A4 OK\r\nA5 OK\r\nA6 OK\r\nA7 OK\r\nA8 OK\r\nA9 OK\r\n"
		"A10 OK\r\nA11 OK\r\nA12 OK\r\nA13 OK\r\nA14 OK",
		"L: 0", "C: A16 FETCH 5502:6001 ", "C: A17 ", "C: A18 ",
		"C: A19 ", "C: A20 FETCH 3502:4001 ", "S: A15 NO cannot",
		"C: A21 FETCH 6252:6501 ", "S: A21 NO [NONEXISTENT] gone"));

	(void)state;
	assert_int_equal(seen.result, -ENOENT);
}

static void a_mailbox_that_is_not_there_is_enoent(void **state)
{
	struct seen seen = list_on(
		STEPS(LOGIN, "C: EXAMINE INBOX", "S: $T NO [NONEXISTENT] no"));

	(void)state;
	assert_int_equal(seen.result, -ENOENT);
	assert_int_equal(seen.opened, 0);
	assert_int_equal(list_on(STEPS(LOGIN, "C: EXAMINE",
				       "S: $T NO Mailbox was deleted under us"))
				 .result,
			 -ENOENT);
	assert_int_equal(
		list_on(STEPS(LOGIN, "C: EXAMINE", "S: $T NO [NOPERM] no"))
			.result,
		-EACCES);
	assert_int_equal(
		list_on(STEPS(LOGIN, "C: EXAMINE", "S: $T BAD no")).result,
		-EIO);
}

static void opened_may_stop_a_job(void **state)
{
	struct server *s = SERVER(STEPS(LOGIN, EXAMINE("3"), "H:"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {.opened_returns = -ESTALE};

	(void)state;
	seen_list(im, &seen, 0);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(seen.result, -ESTALE);
}

static void folders_come_with_status_or_plain(void **state)
{
	struct server *s = SERVER(STEPS(
		GREETING, "C: AUTHENTICATE",
		"S: $T OK [CAPABILITY IMAP4rev1 ID LIST-EXTENDED LIST-STATUS "
		"SPECIAL-USE] in",
		"C: ID (\"name\" \"mount.imapfs\" \"version\" \"1\")",
		"C: LIST \"\" \"*\" RETURN (SUBSCRIBED SPECIAL-USE STATUS "
		"(MESSAGES UIDNEXT UIDVALIDITY))",
		"S: * LIST (\\Sent) \"/\" Gone", "S: $T BAD no such thing",
		"C: LIST \"\" \"*\"", "S: * LIST () \"/\" inbox",
		"R: * LIST () \"/\" {3}\r\na b\r\n",
		"S: * LIST (\\Trash) \"/\" \"a b\"",
		"S: * STATUS \"a b\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)",
		"S: $T OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};
	imap_job job;

	(void)state;
	assert_int_equal(imap_list_folders(im, IMAP_PRIO_LISTING,
					   &seen_no_status, &seen_folders_ops,
					   &seen, &job),
			 0);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n_folders, 2);
	assert_string_equal(seen.folder[0].wire, "INBOX");
	assert_string_equal(seen.folder[1].wire, "a b");
	assert_int_equal(seen.folder[1].attrs, FOLDER_TRASH);
	assert_true(seen.folder[1].has_status);
	assert_int_equal(seen.folder[1].uidnext, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_listing_comes_newest_first),
		cmocka_unit_test(an_empty_mailbox_needs_no_fetch),
		cmocka_unit_test(
			later_windows_answered_first_are_handed_on_in_order),
		cmocka_unit_test(expunge_during_a_listing_loses_nobody),
		cmocka_unit_test(vanished_during_a_listing_loses_nobody),
		cmocka_unit_test(a_modseq_that_runs_ahead_is_not_told),
		cmocka_unit_test(emailids_are_asked_for_where_there_are_some),
		cmocka_unit_test(a_listing_goes_on_below_a_uid),
		cmocka_unit_test(a_bad_row_is_asked_for_once_more),
		cmocka_unit_test(a_row_that_stays_bad_is_left_out),
		cmocka_unit_test(
			a_message_that_goes_is_not_listed_without_its_header),
		cmocka_unit_test(a_message_without_a_header_is_listed),
		cmocka_unit_test(a_row_without_uid_is_asked_for_by_number),
		cmocka_unit_test(a_refused_window_is_asked_for_in_halves),
		cmocka_unit_test(what_is_refused_for_now_is_not_left_out),
		cmocka_unit_test(half_a_window_is_asked_for_in_halves),
		cmocka_unit_test(what_the_line_brings_is_asked_for),
		cmocka_unit_test(a_slow_line_has_few_windows_in_flight),
		cmocka_unit_test(a_mailbox_that_is_not_there_is_enoent),
		cmocka_unit_test(opened_may_stop_a_job),
		cmocka_unit_test(folders_come_with_status_or_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
