/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "told.h"

#include "imap/lock.h"

/*
 * Copies, moves and removals against scripted servers: what is sent, and what
 * is told.
 */

#define MESSAGES(array)                                                        \
	{                                                                      \
		.wire = "A", .uidvalidity = 7, .uids = (array),                \
		.n_uids = sizeof(array) / sizeof((array)[0])                   \
	}

/* --- copies --- */

static void a_copy_needs_no_select_and_tells_pairs(void **state)
{
	struct told t = told_run(
		told_copy, STEPS(CAPS, EXAMINED, "C: UID COPY 4:5,9 \"B\"",
				 "S: * 1 FETCH (UID 4 FLAGS ())",
				 "S: $T OK [COPYUID 11 4:5,9 21:23] done"));

	(void)state;
	told_expect(&t, 0, false, "4>21 5>22 9>23");
	assert_int_equal(t.end.uidvalidity, 11);
}

static void a_move_tells_pairs_before_its_answer(void **state)
{
	struct told t = told_run(told_move,
				 STEPS(CAPS, SELECT, "C: UID MOVE 4:5,9 \"B\"",
				       "S: * OK [COPYUID 11 4:5,9 21:23] moved",
				       "S: * 2 EXPUNGE", "S: * 1 EXPUNGE",
				       "S: $T OK [HIGHESTMODSEQ 8] done"));

	(void)state;
	told_expect(&t, 0, false, "4>21 5>22 9>23");
}

static void codes_without_ok_count(void **state)
{
	struct told t = told_run(told_copy,
				 STEPS(CAPS, EXAMINED, "C: UID COPY",
				       "S: * [COPYUID 11 9,5,4 23,22,21] done",
				       "S: $T OK done"));

	(void)state;
	told_expect(&t, 0, false, "4>21 5>22 9>23");
	assert_int_equal(t.end.uidvalidity, 11);
}

static void without_uidplus_there_are_no_pairs(void **state)
{
	struct told t =
		told_run(told_copy, STEPS(LOGIN, EXAMINED, "C: UID COPY",
					  "S: $T OK done"));

	(void)state;
	told_expect(&t, 0, false, "");
	assert_int_equal(t.end.uidvalidity, 0);
}

static void pairs_of_others_are_not_taken(void **state)
{
	struct told t = told_run(told_copy,
				 STEPS(CAPS, EXAMINED, "C: UID COPY",
				       "S: * OK [COPYUID 11 7 30] x",
				       "S: * OK [COPYUID 11 1:4294967295 "
				       "1:4294967295] x",
				       "S: $T OK [COPYUID 11 4:6 21:23] done"));

	(void)state;
	told_expect(&t, 0, false, "");
}

/* It was made anew meanwhile, and this session is one of what it was. */
static void a_mailbox_that_is_behind_is_opened_anew(void **state)
{
	struct server *s = SERVER(
		STEPS(CAPS, "C: EXAMINE", "S: * OK [UIDVALIDITY 6] ok",
		      "S: $T OK done", EXAMINED, "C: UID COPY 4:5,9 \"B\"",
		      "S: $T OK [COPYUID 11 4:5,9 21:23] done"));
	struct imap *im = account_connected(s, 1);
	struct told stale = {0};
	struct told t = {0};
	int64_t now_ms;
	imap_job job;

	(void)state;
	assert_int_equal(told_copy(im, &stale, &job), 0);
	told_wait(&stale);
	now_ms = clock_now_ms();
	while (clock_now_ms() == now_ms)
		wait_a_bit(now_ms + PATIENCE_MS);
	assert_int_equal(told_copy(im, &t, &job), 0);
	told_wait(&t);
	account_end(im, s);
	told_expect(&stale, -ESTALE, false, "");
	told_expect(&t, 0, false, "4>21 5>22 9>23");
}

static void a_server_without_move_is_not_asked(void **state)
{
	struct server *s = SERVER(STEPS(LOGIN, SELECT, "N:"));
	struct imap *im = account_connected(s, 1);
	struct told t = {0};
	imap_job job;

	(void)state;
	assert_false(imap_has_move(im));
	assert_int_equal(told_move(im, &t, &job), 0);
	told_wait(&t);
	account_end(im, s);
	told_expect(&t, -EOPNOTSUPP, false, "");
}

static void a_missing_destination_is_told(void **state)
{
	struct told t = told_run(told_move, STEPS(CAPS, SELECT, "C: UID MOVE",
						  "S: $T NO [TRYCREATE] no B"));

	(void)state;
	told_expect(&t, -ENOENT, false, "");
	assert_true(t.end.try_create);
	assert_non_null(strstr(t.end.why.text, "no B"));
	t = told_run(told_move,
		     STEPS(CAPS, "C: SELECT", "S: $T NO [NONEXISTENT] no A"));
	told_expect(&t, -ENOENT, false, "");
	assert_false(t.end.try_create);
}

static void what_was_moved_before_a_refusal_is_told(void **state)
{
	struct told t = told_run(told_move, STEPS(CAPS, SELECT, "C: UID MOVE",
						  "S: * OK [COPYUID 11 4 21] x",
						  "S: * 1 EXPUNGE",
						  "S: $T NO [OVERQUOTA] full"));

	(void)state;
	told_expect(&t, -EDQUOT, false, "4>21");
}

/* --- removals --- */

static void only_named_messages_are_expunged(void **state)
{
	struct told t = told_run(
		told_remove,
		STEPS(CAPS, SELECT,
		      "C: A3 UID STORE 4:5,9 +FLAGS.SILENT (\\Deleted)",
		      "C: A4 UID EXPUNGE 4:5,9", "S: A3 OK done",
		      "S: * 1 EXPUNGE", "S: A4 OK done"));

	(void)state;
	told_expect(&t, 0, false, "");
	assert_false(t.end.only_flagged);
}

static void without_uidplus_nothing_is_expunged(void **state)
{
	struct told t =
		told_run(told_remove,
			 STEPS(LOGIN, SELECT,
			       "C: UID STORE 4:5,9 +FLAGS.SILENT (\\Deleted)",
			       "S: $T OK done", "N:"));

	(void)state;
	told_expect(&t, 0, false, "");
	assert_true(t.end.only_flagged);
}

static void a_refused_expunge_leaves_the_flag(void **state)
{
	struct told t =
		told_run(told_remove,
			 STEPS(CAPS, SELECT, "C: UID STORE", "C: UID EXPUNGE",
			       "S: A3 OK done", "S: A4 BAD what"));

	(void)state;
	told_expect(&t, -EPERM, false, "");
	assert_true(t.end.only_flagged);
	t = told_run(told_remove,
		     STEPS(CAPS, SELECT, "C: UID STORE", "C: UID EXPUNGE",
			   "S: A3 NO [NOPERM] no", "S: A4 OK done"));
	told_expect(&t, -EACCES, false, "");
	assert_false(t.end.only_flagged);
}

static void where_deleted_is_not_kept_nothing_is_removed(void **state)
{
	struct told t = told_run(told_remove,
				 STEPS(CAPS, SELECT_KEEPING("\\Seen"), "N:"));

	(void)state;
	told_expect(&t, -EPERM, false, "");
}

/* --- mailboxes that are not what they were --- */

/* Whatever is to be changed in such a mailbox, nothing is sent. */
static void refused(const char *uidvalidity, const char *more, int result)
{
	static const told_starter all[] = {told_flag, told_copy, told_move,
					   told_remove};

	for (size_t i = 0; i < 4; i++) {
		struct told t = told_run(
			all[i], STEPS(CAPS, i == 1 ? "C: EXAMINE" : "C: SELECT",
				      uidvalidity, more,
				      "S: $T OK [READ-WRITE] done", "N:"));

		told_expect(&t, result, false, "");
	}
}

static void another_uidvalidity_is_stale(void **state)
{
	(void)state;
	refused("S: * OK [UIDVALIDITY 8] ok", "S: * OK go on", -ESTALE);
}

static void uids_that_do_not_last_name_nothing(void **state)
{
	(void)state;
	refused("S: * OK [UIDVALIDITY 7] ok",
		"S: * NO [UIDNOTSTICKY] they do not last", -EROFS);
}

static void a_mailbox_for_reading_only_is_left_alone(void **state)
{
	static const told_starter all[] = {told_flag, told_move, told_remove};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct told t = told_run(
			all[i],
			STEPS(CAPS, "C: SELECT", "S: * OK [UIDVALIDITY 7] ok",
			      "S: $T OK [READ-ONLY] done", "N:"));

		told_expect(&t, -EROFS, false, "");
	}
}

/* --- lists --- */

static void long_lists_are_cut_into_lines(void **state)
{
	uint32_t uids[IMAP_CHANGE_UIDS_MAX];
	const struct imap_messages odd = MESSAGES(uids);
	/* UIDONLY is a sign of a server that takes 1000 bytes a line. */
	struct server *s = SERVER(
		STEPS(LOGIN_WITH("MOVE UIDONLY"), SELECT,
		      "C: A3 UID MOVE 1000001,1000003,", "C: A4 UID MOVE ",
		      "C: A5 UID MOVE ", "C: A6 UID MOVE ", "C: A7 UID MOVE ",
		      "C: A8 UID MOVE ", "C: A9 UID MOVE ", "C: A10 UID MOVE ",
		      "C: A11 UID MOVE ", "C: ,1001997,1001999 \"B\"",
		      "S: A4 OK [COPYUID 11 1000219 22] x",
		      "S: A3 OK [COPYUID 11 1000001 21] x", "S: A5 OK x",
		      "S: A6 OK x", "S: A7 OK x", "S: A8 OK x", "S: A9 OK x",
		      "S: A10 OK x", "S: A11 OK x",
		      "S: A12 OK [COPYUID 11 1001999 23] x"));
	struct imap *im = account_connected(s, 1);
	struct told t = {0};
	imap_job job;

	(void)state;
	for (uint32_t i = 0; i < IMAP_CHANGE_UIDS_MAX; i++)
		uids[i] = 1000001 + 2 * i;
	assert_int_equal(imap_move(im, &odd, "B", told_change, &t, &job), 0);
	told_wait(&t);
	account_end(im, s);
	told_expect(&t, 0, false, "1000001>21 1000219>22 1001999>23");
}

static void nothing_new_follows_a_refusal(void **state)
{
	uint32_t uids[IMAP_CHANGE_UIDS_MAX];
	const struct imap_messages odd = MESSAGES(uids);
	/* Thirteen lines; ten are as much as is sent at one time. */
	struct server *s = SERVER(
		STEPS(LOGIN_WITH("MOVE UIDONLY"), SELECT, "C: A3 UID",
		      "C: A4 UID", "C: A5 UID", "C: A6 UID", "C: A7 UID",
		      "C: A8 UID", "C: A9 UID", "C: A10 UID", "C: A11 UID",
		      "C: A12 UID", "S: A3 NO [OVERQUOTA] full", "S: A4 OK x",
		      "S: A5 OK x", "S: A6 OK x", "S: A7 OK x", "S: A8 OK x",
		      "S: A9 OK x", "S: A10 OK x", "S: A11 NO [CANNOT] x",
		      "S: A12 OK [COPYUID 11 4000001900 21] x", "N:"));
	struct imap *im = account_connected(s, 1);
	struct told t = {0};
	imap_job job;

	(void)state;
	for (uint32_t i = 0; i < IMAP_CHANGE_UIDS_MAX; i++)
		uids[i] = 4000000000u + 2 * i;
	assert_int_equal(imap_move(im, &odd, "B", told_change, &t, &job), 0);
	told_wait(&t);
	account_end(im, s);
	told_expect(&t, -EDQUOT, false, "4000001900>21");
}

static void a_mailbox_that_was_opened_before_is_opened_again(void **state)
{
	static const uint32_t uids[] = {4};
	struct imap_messages one = MESSAGES(uids);
	struct server *s =
		SERVER(STEPS(CAPS, SELECT, "C: UID MOVE 4 \"B\"", "S: $T OK x",
			     "C: UID MOVE 4 \"B\"", "S: $T OK x", SELECT,
			     "C: UID MOVE 4 \"B\"", "S: $T OK x", "N:"));
	struct imap *im = account_connected(s, 1);
	imap_job job;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct told t = {0};

		/* What came meanwhile the connection may not know of. */
		if (i == 2)
			one.since_ms = clock_now_ms();
		assert_int_equal(
			imap_move(im, &one, "B", told_change, &t, &job), 0);
		told_wait(&t);
		assert_int_equal(t.end.result, 0);
	}
	account_end(im, s);
}

static void neighbours_are_one_run(void **state)
{
	uint32_t uids[IMAP_CHANGE_UIDS_MAX];
	const struct imap_messages all = MESSAGES(uids);
	struct server *s =
		SERVER(STEPS(CAPS, SELECT, "C: UID MOVE 1:1000 \"B\"",
			     "S: $T OK [COPYUID 11 1:1000 1001:2000] x"));
	struct imap *im = account_connected(s, 1);
	struct told t = {0};
	imap_job job;

	(void)state;
	for (uint32_t i = 0; i < IMAP_CHANGE_UIDS_MAX; i++)
		uids[i] = i + 1;
	assert_int_equal(imap_move(im, &all, "B", told_change, &t, &job), 0);
	told_wait(&t);
	account_end(im, s);
	assert_int_equal(t.end.n_pairs, 1000);
}

static void what_is_no_message_is_refused_at_once(void **state)
{
	static const uint32_t zero[] = {0, 4};
	static const uint32_t back[] = {5, 4};
	static const struct imap_messages bad[] = {
		MESSAGES(zero),
		MESSAGES(back),
		{.wire = "A", .uidvalidity = 7, .uids = zero, .n_uids = 0},
		{.wire = "A\r\nB", .uids = zero, .n_uids = 1},
		{.wire = "", .uids = zero, .n_uids = 1},
	};
	struct server *s = SERVER(STEPS(LOGIN, "N:"));
	struct imap *im = account_connected(s, 1);
	struct told t = {0};
	imap_job job;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
			imap_remove(im, &bad[i], told_change, &t, &job),
			-EINVAL);
	assert_int_equal(
		imap_copy(im, &told_messages, "B\n", told_change, &t, &job),
		-EINVAL);
	account_end(im, s);
	assert_int_equal(t.calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_needs_no_select_and_tells_pairs),
		cmocka_unit_test(a_move_tells_pairs_before_its_answer),
		cmocka_unit_test(codes_without_ok_count),
		cmocka_unit_test(without_uidplus_there_are_no_pairs),
		cmocka_unit_test(pairs_of_others_are_not_taken),
		cmocka_unit_test(a_mailbox_that_is_behind_is_opened_anew),
		cmocka_unit_test(a_server_without_move_is_not_asked),
		cmocka_unit_test(a_missing_destination_is_told),
		cmocka_unit_test(what_was_moved_before_a_refusal_is_told),
		cmocka_unit_test(only_named_messages_are_expunged),
		cmocka_unit_test(without_uidplus_nothing_is_expunged),
		cmocka_unit_test(a_refused_expunge_leaves_the_flag),
		cmocka_unit_test(where_deleted_is_not_kept_nothing_is_removed),
		cmocka_unit_test(another_uidvalidity_is_stale),
		cmocka_unit_test(a_mailbox_for_reading_only_is_left_alone),
		cmocka_unit_test(uids_that_do_not_last_name_nothing),
		cmocka_unit_test(long_lists_are_cut_into_lines),
		cmocka_unit_test(nothing_new_follows_a_refusal),
		cmocka_unit_test(neighbours_are_one_run),
		cmocka_unit_test(
			a_mailbox_that_was_opened_before_is_opened_again),
		cmocka_unit_test(what_is_no_message_is_refused_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
