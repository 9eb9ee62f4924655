/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "script.h"

/*
 * Listings and syncs in two steps: header fields that are known from another
 * mailbox are not asked for. In these tests messages with an X-GM-MSGID below
 * 100 are.
 */

#define GMAIL LOGIN_WITH("ESEARCH X-GM-EXT-1")
#define BARE(seq, uid, gm)                                                     \
	"S: * " seq " FETCH (X-GM-THRID 1 X-GM-MSGID " gm " X-GM-LABELS () "   \
	"UID " uid " FLAGS () RFC822.SIZE 10 "                                 \
	"INTERNALDATE \"01-Feb-2026 03:04:05 +0000\")"
#define HEADER(seq, uid, subject)                                              \
	"S: * " seq " FETCH (UID " uid " BODY[HEADER.FIELDS (DATE FROM TO CC " \
	"SUBJECT MESSAGE-ID)] \"Subject: " subject "\")"
#define FIRST(set) "C: FETCH " set " (UID FLAGS RFC822.SIZE INTERNALDATE X-GM"
#define SECOND(set) "C: UID FETCH " set " (UID BODY.PEEK[HEADER.FIELDS "
#define WHOLE(uid) "C: UID FETCH " uid " (UID FLAGS RFC822.SIZE"
#define DONE "S: $T OK done"
#define REFUSED "S: $T NO bad"

/* What the rows of the last listing had: "uid:subject ...". */
static char told[256];

static void tell(const struct mail_row *rows, size_t n)
{
	size_t at;

	for (size_t i = 0; i < n; i++) {
		at = strlen(told);
		(void)snprintf(told + at, sizeof(told) - at, "%s%u:%s",
			       at ? " " : "", rows[i].uid,
			       rows[i].has & ROW_FIELDS
				       ? rows[i].field[FIELD_SUBJECT]
				       : "(none)");
	}
}

static int on_rows(void *ctx, const struct mail_row *rows, size_t n)
{
	tell(rows, n);
	return seen_list_ops.rows(ctx, rows, n);
}

static void recall(void *ctx, const struct mail_row *rows, size_t n,
		   imap_recalled_fn found, void *to)
{
	const char *const field[N_FIELDS] = {[FIELD_SUBJECT] = "known"};

	(void)ctx;
	for (size_t i = 0; i < n; i++) {
		assert_false(rows[i].has & ROW_FIELDS);
		if ((rows[i].has & ROW_GM) && rows[i].gm_msgid < 100)
			found(to, i, field);
	}
}

static int on_new_rows(void *ctx, const struct mail_row *rows, size_t n)
{
	tell(rows, n);
	return seen_sync_ops.rows(ctx, rows, n);
}

/* List INBOX on this server, to the end. */
static struct seen list_on(struct server *s)
{
	const struct imap_list_request req = {.recall = recall};
	struct imap_list_ops ops = seen_list_ops;
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};
	imap_job job;

	ops.rows = on_rows;
	told[0] = '\0';
	assert_int_equal(imap_list(im, "INBOX", IMAP_PRIO_LISTING, &req, &ops,
				   &seen, &job),
			 0);
	seen_wait(&seen);
	account_end(im, s);
	return seen;
}

static void expect(script steps, const char *rows)
{
	struct seen seen = list_on(SERVER(steps));

	assert_int_equal(seen.result, 0);
	assert_string_equal(told, rows);
}

static void only_unknown_fields_are_fetched(void **state)
{
	(void)state;
	expect(STEPS(GMAIL, EXAMINE("3"), FIRST("1:3"), BARE("1", "5", "7"),
		     BARE("2", "6", "200"), BARE("3", "9", "8"), DONE,
		     SECOND("6"), HEADER("2", "6", "new"), DONE, "N:"),
	       "9:known 6:new 5:known");
}

static void fields_that_are_all_known_need_no_second_step(void **state)
{
	(void)state;
	expect(STEPS(GMAIL, EXAMINE("2"), FIRST("1:2"), BARE("1", "5", "7"),
		     BARE("2", "6", "8"), DONE, "N:"),
	       "6:known 5:known");
}

static void other_servers_are_asked_in_one_step(void **state)
{
	(void)state;
	expect(STEPS(LOGIN, EXAMINE("1"),
		     "C: FETCH 1 (UID FLAGS RFC822.SIZE INTERNALDATE BODY.PEEK",
		     "S: " ROW("1", "5") ")", DONE, "N:"),
	       "5:x");
}

static void the_next_window_is_in_flight_with_the_second_step(void **state)
{
	(void)state;
	expect(STEPS(GMAIL, EXAMINE("101"), FIRST("2:101"),
		     BARE("101", "90", "200"), DONE, "C: A4 UID FETCH 90 ",
		     "C: A5 FETCH 1 ", BARE("1", "3", "7"), "S: A5 OK done",
		     HEADER("101", "90", "new"), "S: A4 OK done", "N:"),
	       "90:new 3:known");
}

static void a_connection_lost_between_the_steps_begins_again(void **state)
{
	struct seen seen = list_on(SERVER(
		STEPS(GMAIL, EXAMINE("1"), FIRST("1"), BARE("1", "5", "200"),
		      DONE, SECOND("5"), "X:"),
		STEPS(GMAIL, EXAMINE("1"), FIRST("1"), BARE("1", "5", "200"),
		      DONE, SECOND("5"), HEADER("1", "5", "new"), DONE, "N:")));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.opened, 2);
	assert_string_equal(told, "5:new");
}

/* Fields that nobody asked for change nothing, wherever they belong to. */
static void fields_that_were_not_asked_for_are_ignored(void **state)
{
	(void)state;
	expect(STEPS(GMAIL, EXAMINE("3"), FIRST("1:3"), BARE("1", "5", "7"),
		     HEADER("1", "5", "early"), BARE("2", "6", "200"),
		     BARE("3", "9", "8"), DONE, SECOND("6"),
		     HEADER("1", "5", "lie"), HEADER("7", "77", "lie"),
		     HEADER("2", "6", "new"), HEADER("2", "6", "twice"), DONE,
		     "N:"),
	       "9:known 6:new 5:known");
}

static void a_message_without_fields_is_asked_for_once_more(void **state)
{
	(void)state;
	expect(STEPS(GMAIL, EXAMINE("2"), FIRST("1:2"), BARE("1", "5", "200"),
		     BARE("2", "6", "201"), DONE, SECOND("5:6"),
		     HEADER("2", "6", "new"), DONE, WHOLE("5"),
		     "S: " ROW("1", "5") ")", DONE, "N:"),
	       "6:new 5:x");
}

static void a_message_that_is_gone_between_the_steps_is_left_out(void **state)
{
	(void)state;
	expect(STEPS(GMAIL, EXAMINE("2"), FIRST("1:2"), BARE("1", "5", "200"),
		     BARE("2", "6", "201"), DONE, SECOND("5:6"),
		     "S: * 1 EXPUNGE", HEADER("1", "6", "new"), DONE,
		     WHOLE("5"), DONE, "N:"),
	       "6:new");
}

static void a_message_that_never_has_fields_is_left_out(void **state)
{
	(void)state;
	expect(STEPS(GMAIL, EXAMINE("2"), FIRST("1:2"), BARE("1", "5", "200"),
		     BARE("2", "6", "7"), DONE, SECOND("5"), DONE, WHOLE("5"),
		     BARE("1", "5", "200"), DONE, "N:"),
	       "6:known");
}

static void a_refused_second_step_is_halved(void **state)
{
	(void)state;
	expect(STEPS(GMAIL, EXAMINE("3"), FIRST("1:3"), BARE("1", "5", "200"),
		     BARE("2", "6", "201"), BARE("3", "9", "202"), DONE,
		     SECOND("5:6,9"), "S: $T NO not that", SECOND("9"),
		     HEADER("3", "9", "new"), DONE, SECOND("5:6"),
		     "S: $T NO not that", SECOND("6"), "S: $T NO not that",
		     SECOND("6"), "S: $T NO not that", SECOND("5"),
		     HEADER("1", "5", "old"), DONE, "N:"),
	       "9:new 5:old");
}

static void a_second_step_in_part_is_gone_on_with(void **state)
{
	(void)state;
	expect(STEPS(GMAIL, EXAMINE("2"), FIRST("1:2"), BARE("1", "5", "200"),
		     BARE("2", "6", "201"), DONE, SECOND("5:6"),
		     HEADER("2", "6", "new"),
		     "S: $T OK [MESSAGELIMIT 1] not all", SECOND("5"),
		     HEADER("1", "5", "old"), DONE, "N:"),
	       "6:new 5:old");
}

static void messages_without_a_number_are_fetched(void **state)
{
	(void)state;
	expect(STEPS(GMAIL, EXAMINE("1"), FIRST("1"),
		     "S: * 1 FETCH (UID 6 FLAGS () RFC822.SIZE 10 "
		     "INTERNALDATE \"01-Feb-2026 03:04:05 +0000\")",
		     DONE, SECOND("6"), HEADER("1", "6", "new"), DONE, "N:"),
	       "6:new");
}

/* --- what is new of a mailbox that was listed --- */

#define KNOWN                                                                  \
	"C: UID FETCH 1:99 (UID FLAGS X-GM-LABELS)",                           \
		"S: * 1 FETCH (UID 5 FLAGS ())", DONE
#define NEW(set) "C: UID FETCH " set " (UID FLAGS RFC822.SIZE INTERNALDATE X-GM"
#define EXAMINED(uidnext)                                                      \
	"C: EXAMINE", "S: * 3 EXISTS", "S: * OK [UIDVALIDITY 7] ok",           \
		"S: * OK [UIDNEXT " uidnext "] ok", DONE

/* Sync INBOX, whose messages below UID 100 are known, on this server. */
static struct seen sync_new(struct server *s)
{
	const struct imap_sync_request req = {
		.uidvalidity = 7, .uidnext = 100, .recall = recall};
	struct imap_sync_ops ops = seen_sync_ops;
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};
	imap_job job;

	ops.rows = on_new_rows;
	told[0] = '\0';
	assert_int_equal(
		imap_sync(im, "INBOX", IMAP_PRIO_SYNC, &req, &ops, &seen, &job),
		0);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(seen.result, 0);
	return seen;
}

static void expect_new(struct server *s, const char *rows)
{
	(void)sync_new(s);
	assert_string_equal(told, rows);
}

static void of_new_messages_only_unknown_fields_are_fetched(void **state)
{
	(void)state;
	expect_new(SERVER(STEPS(GMAIL, EXAMINED("103"), KNOWN, NEW("100:599"),
				BARE("2", "100", "7"), BARE("3", "102", "200"),
				DONE, SECOND("102"), HEADER("3", "102", "new"),
				DONE, "N:")),
		   "5:(none) 100:known 102:new");
}

static void nothing_new_needs_no_second_step(void **state)
{
	(void)state;
	expect_new(SERVER(STEPS(GMAIL, EXAMINED("100"), KNOWN, NEW("100:599"),
				DONE, "N:")),
		   "5:(none)");
}

static void many_new_messages_are_asked_for_in_ranges(void **state)
{
	(void)state;
	expect_new(SERVER(STEPS(GMAIL, EXAMINED("1101"), KNOWN, NEW("100:599"),
				BARE("2", "110", "7"), DONE, NEW("600:1099"),
				DONE, NEW("1100:1599"),
				BARE("3", "1100", "200"), DONE, SECOND("1100"),
				HEADER("3", "1100", "new"), DONE, "N:")),
		   "5:(none) 110:known 1100:new");
}

static void a_range_in_part_is_asked_for_in_halves(void **state)
{
	(void)state;
	expect_new(SERVER(STEPS(GMAIL, EXAMINED("610"), KNOWN, NEW("100:599"),
				BARE("2", "100", "7"),
				"S: $T OK [MESSAGELIMIT 1] not all",
				NEW("100:349"), BARE("2", "100", "7"), DONE,
				NEW("350:599"), DONE, NEW("600:1099"),
				BARE("3", "605", "8"), DONE, "N:")),
		   "5:(none) 100:known 605:known");
}

/* The last one of a range, which does not end the sync. */
static void one_that_is_refused_keeps_no_range_from_being_asked_for(
	void **state)
{
	(void)state;
	expect_new(SERVER(STEPS(GMAIL, EXAMINED("610"), KNOWN, NEW("100:599"),
				REFUSED, NEW("100:349"), DONE, NEW("350:599"),
				REFUSED, NEW("350:474"), DONE, NEW("475:599"),
				REFUSED, NEW("475:537"), DONE, NEW("538:599"),
				REFUSED, NEW("538:568"), DONE, NEW("569:599"),
				REFUSED, NEW("569:584"), DONE, NEW("585:599"),
				REFUSED, NEW("585:592"), DONE, NEW("593:599"),
				REFUSED, NEW("593:596"), DONE, NEW("597:599"),
				REFUSED, NEW("597:598"), DONE, NEW("599"),
				REFUSED, NEW("600:1099"),
				"C: A22 UID FETCH 599 (", BARE("3", "605", "8"),
				"S: A21 OK done", "S: A22 NO bad", "N:")),
		   "5:(none) 605:known");
}

/* Without UIDNEXT nobody knows where to stop. */
static void without_uidnext_the_rest_is_asked_for_in_one_step(void **state)
{
	(void)state;
	expect_new(SERVER(STEPS(GMAIL, "C: EXAMINE", "S: * 3 EXISTS",
				"S: * OK [UIDVALIDITY 7] ok", DONE, KNOWN,
				NEW("100:599"), BARE("2", "100", "7"), DONE,
				"C: UID FETCH 600:* (UID FLAGS RFC822.SIZE "
				"INTERNALDATE BODY.PEEK",
				"S: " ROW("3", "900") ")", DONE, "N:")),
		   "5:(none) 100:known 900:x");
}

#define MANY 80 /* more than are asked for once more */

static void the_last_range_of_two_steps_takes_both(void **state)
{
	static char text[2 * MANY][256];
	const char *steps[2 * MANY + 24] = {GMAIL,
					    "C: EXAMINE",
					    "S: * 90 EXISTS",
					    "S: * OK [UIDVALIDITY 7] ok",
					    DONE,
					    KNOWN,
					    NEW("100:599")};
	size_t n = 0;

	(void)state;
	while (steps[n])
		n++;
	for (unsigned i = 0; i < 2 * MANY; i++) {
		if (i == MANY) {
			steps[n++] = DONE;
			steps[n++] = SECOND("100:179");
		}
		(void)snprintf(text[i], sizeof(text[i]),
			       i < MANY ? BARE("%u", "%u", "200")
					: HEADER("%u", "%u", "n"),
			       i % MANY + 2, i % MANY + 100);
		steps[n++] = text[i];
	}
	steps[n++] = DONE;
	steps[n++] = "C: UID FETCH 600:* (UID FLAGS RFC822.SIZE INTERNALDATE "
		     "BODY.PEEK";
	steps[n++] = "S: " ROW("82", "900") ")";
	steps[n++] = DONE;
	steps[n++] = "N:";
	assert_true(n < sizeof(steps) / sizeof(*steps));
	assert_int_equal(sync_new(SERVER(steps)).n, 1 + MANY + 1);
}

static void a_sync_that_loses_its_connection_begins_again(void **state)
{
	(void)state;
	expect_new(SERVER(STEPS(GMAIL, EXAMINED("101"),
				"C: UID FETCH 1:99 (UID FLAGS X-GM-LABELS)",
				DONE, NEW("100:599"), BARE("2", "100", "200"),
				DONE, SECOND("100"), "X:"),
			  STEPS(GMAIL, EXAMINED("101"), KNOWN, NEW("100:599"),
				BARE("2", "100", "200"), DONE, SECOND("100"),
				HEADER("9", "999", "lie"), DONE, WHOLE("100"),
				"S: " ROW("2", "100") ")", DONE, "N:")),
		   "5:(none) 100:x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_unknown_fields_are_fetched),
		cmocka_unit_test(fields_that_are_all_known_need_no_second_step),
		cmocka_unit_test(other_servers_are_asked_in_one_step),
		cmocka_unit_test(
			the_next_window_is_in_flight_with_the_second_step),
		cmocka_unit_test(
			a_connection_lost_between_the_steps_begins_again),
		cmocka_unit_test(fields_that_were_not_asked_for_are_ignored),
		cmocka_unit_test(
			a_message_without_fields_is_asked_for_once_more),
		cmocka_unit_test(
			a_message_that_is_gone_between_the_steps_is_left_out),
		cmocka_unit_test(a_message_that_never_has_fields_is_left_out),
		cmocka_unit_test(a_refused_second_step_is_halved),
		cmocka_unit_test(a_second_step_in_part_is_gone_on_with),
		cmocka_unit_test(messages_without_a_number_are_fetched),
		cmocka_unit_test(
			of_new_messages_only_unknown_fields_are_fetched),
		cmocka_unit_test(nothing_new_needs_no_second_step),
		cmocka_unit_test(many_new_messages_are_asked_for_in_ranges),
		cmocka_unit_test(a_range_in_part_is_asked_for_in_halves),
		cmocka_unit_test(
			one_that_is_refused_keeps_no_range_from_being_asked_for),
		cmocka_unit_test(
			without_uidnext_the_rest_is_asked_for_in_one_step),
		cmocka_unit_test(the_last_range_of_two_steps_takes_both),
		cmocka_unit_test(a_sync_that_loses_its_connection_begins_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
