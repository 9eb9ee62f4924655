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
 * How changes end: on connections that go, in time or called off, and by a
 * refusal. Nothing is ever sent twice, and what is not known is told.
 */

static void what_was_not_sent_is_sent_on_the_next_connection(void **state)
{
	struct server *s =
		SERVER(STEPS(CAPS, "C: SELECT", "X:"),
		       STEPS(CAPS, SELECT, "C: UID MOVE",
			     "S: $T OK [COPYUID 11 4:5,9 21:23] done"));
	struct imap *im = account_connected(s, 1);
	struct told t = {0};
	imap_job job;

	(void)state;
	assert_int_equal(told_move(im, &t, &job), 0);
	told_wait(&t);
	account_end(im, s);
	told_expect(&t, 0, false, "4>21 5>22 9>23");
}

static void what_was_never_sent_is_not_unknown(void **state)
{
	struct server *s = SERVER(STEPS(CAPS, "C: SELECT", "X:"),
				  STEPS(CAPS, "C: SELECT", "X:"));
	struct imap *im = account_connected(s, 1);
	struct told t = {0};
	imap_job job;

	(void)state;
	assert_int_equal(told_move(im, &t, &job), 0);
	told_wait(&t);
	account_end(im, s);
	told_expect(&t, -ENOTCONN, false, "");
}

static void what_was_sent_is_never_sent_again(void **state)
{
	static const told_starter all[] = {told_flag, told_move, told_remove};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct told t =
			told_run(all[i], STEPS(CAPS, SELECT, "C: UID ", "X:"));

		told_expect(&t, -ENOTCONN, true, "");
		t = told_run(all[i], STEPS(CAPS, SELECT, "E: 9", "X:"));
		told_expect(&t, -ENOTCONN, true, "");
		t = told_run(all[i], STEPS(CAPS, SELECT, "C: UID ",
					   "S: * BYE so long", "X:"));
		told_expect(&t, -ENOTCONN, true, "");
		assert_non_null(strstr(t.end.why.text, "so long"));
	}
}

static void one_of_two_answers_is_no_end(void **state)
{
	struct told t = told_run(
		told_remove, STEPS(CAPS, SELECT, "C: UID STORE",
				   "C: UID EXPUNGE", "S: A3 OK done", "X:"));

	(void)state;
	told_expect(&t, -ENOTCONN, true, "");
}

static void pairs_that_came_before_the_cut_are_told(void **state)
{
	struct told t =
		told_run(told_move, STEPS(CAPS, SELECT, "C: UID MOVE",
					  "S: * OK [COPYUID 11 4:5,9 21:23] x",
					  "S: * 1 EXPUNGE", "X:"));

	(void)state;
	told_expect(&t, -ENOTCONN, true, "4>21 5>22 9>23");
	assert_int_equal(t.end.uidvalidity, 11);
}

static void an_answer_that_never_comes_is_unknown(void **state)
{
	struct server *s =
		SERVER(STEPS(CAPS, SELECT, "C: UID MOVE", "M:", "N:"));
	struct imap *im = account_connected(s, 1);
	struct told t = {0};
	imap_job job;

	(void)state;
	assert_int_equal(told_move(im, &t, &job), 0);
	server_wait(s);
	account_hurry(im, 0, 50);
	told_wait(&t);
	account_end(im, s);
	told_expect(&t, -ETIMEDOUT, true, "");
}

static void a_change_called_off_is_unknown_once_it_was_sent(void **state)
{
	struct server *s = SERVER(
		STEPS(CAPS, SELECT, "C: A3 UID MOVE",
		      "M:", "W:", "S: A3 OK [COPYUID 11 4:5,9 21:23] done",
		      "C: A4 UID STORE", "C: A5 UID STORE", "S: A4 OK done",
		      "S: A5 OK done"));
	struct imap *im = account_connected(s, 1);
	struct told moved = {0};
	struct told flagged = {0};
	imap_job job;

	(void)state;
	assert_int_equal(told_move(im, &moved, &job), 0);
	server_wait(s);
	imap_cancel(im, job);
	told_wait(&moved);
	assert_int_equal(told_flag(im, &flagged, &job), 0);
	server_go(s);
	told_wait(&flagged);
	account_end(im, s);
	told_expect(&moved, -ECANCELED, true, "");
	told_expect(&flagged, 0, false, "");
}

static void a_change_called_off_before_it_was_sent_is_not(void **state)
{
	struct server *s = SERVER(STEPS(CAPS, "C: SELECT", "M:", "N:"));
	struct imap *im = account_connected(s, 1);
	struct told t = {0};
	imap_job job;

	(void)state;
	assert_int_equal(told_move(im, &t, &job), 0);
	server_wait(s);
	imap_cancel(im, job);
	told_wait(&t);
	account_end(im, s);
	told_expect(&t, -ECANCELED, false, "");
}

static int uidnext(struct imap *im, struct told *t, imap_job *ret)
{
	return imap_uidnext(im, "A", told_uidnext, t, ret);
}

/* The line is cut behind `command`, and the password is not good any more. */
static void expect_no_login(told_starter start, const char *command)
{
	struct server *s = SERVER(
		STEPS(CAPS, command, "X:"),
		STEPS(GREETING, "C: AUTHENTICATE",
		      "S: $T NO [AUTHENTICATIONFAILED] not any more", "N:"));
	struct imap *im = account_connected(s, 1);
	struct told t = {0};
	imap_job job;

	assert_int_equal(start(im, &t, &job), 0);
	told_wait(&t);
	assert_int_equal(start(im, &t, &job), -ENOTCONN);
	account_end(im, s);
	told_expect(&t, -ENOTCONN, false, "");
	assert_int_equal(t.end.why.fault, FAULT_AUTH);
}

static void a_refused_login_refuses_no_change(void **state)
{
	(void)state;
	expect_no_login(told_move, "C: SELECT");
	expect_no_login(uidnext, "C: STATUS");
}
static void each_refusal_has_its_class(void **state)
{
	static const struct {
		const char *answer;
		int result;
		bool for_now;
	} rows[] = {
		{"S: $T NO [UNAVAILABLE] x", -EAGAIN, true},
		{"S: $T NO [LIMIT] UID MOVE Rate limit hit", -EAGAIN, true},
		{"S: $T NO [THROTTLED] x", -EAGAIN, true},
		{"S: $T NO [EXPUNGEISSUED] x", -EAGAIN, true},
		{"S: $T NO System Error (Failure)", -EAGAIN, true},
		{"S: $T NO [OVERQUOTA] Account exceeded command or bandwidth "
		 "limits. (Failure)",
		 -EAGAIN, true},
		{"S: $T BAD Request is throttled. Suggested Backoff Time: 9 "
		 "milliseconds",
		 -EAGAIN, true},
		{"S: $T BAD Command Error. 12", -EAGAIN, true},
		{"S: $T NO Server Unavailable. 15", -EAGAIN, true},
		{"S: $T NO [EXPIRED] x", -EAGAIN, true},
		{"S: $T NO [AUTHENTICATIONFAILED] x", -EAGAIN, true},
		{"S: $T NO [INUSE] x", -EBUSY, true},
		{"S: $T NO [OVERQUOTA] x", -EDQUOT, false},
		{"S: $T NO [ALERT] You exceeded your mail quota.", -EDQUOT,
		 false},
		{"S: $T NO [TOOBIG] x", -EFBIG, false},
		{"S: $T NO [READ-ONLY] x", -EROFS, false},
		{"S: $T NO [NOPERM] x", -EACCES, false},
		{"S: $T NO [CANNOT] x", -EPERM, false},
		{"S: $T NO [ALREADYEXISTS] x", -EEXIST, false},
		{"S: $T NO [NONEXISTENT] x", -ENOENT, false},
		{"S: $T NO [HASCHILDREN] x", -ENOTEMPTY, false},
		{"S: $T NO Error in IMAP command received by server.", -EPERM,
		 false},
		{"S: $T BAD x", -EPERM, false},
		{"S: $T BAD [CLIENTBUG] x", -EPERM, false},
		{"S: $T NO", -EIO, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct told t =
			told_run(told_move, STEPS(CAPS, SELECT, "C: UID MOVE",
						  rows[i].answer));

		told_expect(&t, rows[i].result, false, "");
		assert_int_equal(imap_is_for_now(t.end.result),
				 rows[i].for_now);
	}
	assert_true(imap_is_for_now(-ENOTCONN));
	assert_true(imap_is_for_now(-ETIMEDOUT));
}

static void so_has_what_is_asked_before_a_change(void **state)
{
	static const struct {
		const char *answer;
		int result;
		enum imap_fault fault;
	} rows[] = {
		{"S: $T NO [UNAVAILABLE] x", -EAGAIN, FAULT_LIMIT},
		{"S: $T NO [THROTTLED] x", -EAGAIN, FAULT_LIMIT},
		{"S: $T NO [INUSE] x", -EBUSY, FAULT_NONE},
		{"S: $T NO [NOPERM] x", -EACCES, FAULT_NONE},
		{"S: $T BAD x", -EPERM, FAULT_NONE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct told t = told_run(
			uidnext, STEPS(CAPS, "C: STATUS", rows[i].answer));

		told_expect(&t, rows[i].result, false, "");
		assert_int_equal(t.end.why.fault, rows[i].fault);
	}
}

static int told_tag(struct imap *im, struct told *t, imap_job *ret)
{
	const struct imap_flag_delta delta = {.add_keywords = "red"};

	return imap_store(im, &told_messages, &delta, told_change, t, ret);
}

static int told_star(struct imap *im, struct told *t, imap_job *ret)
{
	const struct imap_flag_delta delta = {.add_flags = MAIL_FLAGGED};

	return imap_store(im, &told_messages, &delta, told_change, t, ret);
}

/* Keywords may be too many for ever, commands are only for a while. */
static void a_limit_of_keywords_is_a_refusal(void **state)
{
	static const struct {
		told_starter start;
		const char *answer;
		int result;
	} rows[] = {
		{told_tag, "S: $T NO [LIMIT] At most 32 flags in one mailbox",
		 -EPERM},
		{told_tag, "S: $T NO [LIMIT] UID STORE Rate limit hit",
		 -EAGAIN},
		{told_star, "S: $T NO [LIMIT] x", -EAGAIN},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct told t = told_run(
			rows[i].start,
			STEPS(CAPS, SELECT, "C: UID STORE", rows[i].answer));

		told_expect(&t, rows[i].result, false, "");
	}
}

static void what_a_bug_of_the_server_has_done_is_unknown(void **state)
{
	const char *bug = "S: $T NO [SERVERBUG] Internal error occurred.";
	struct told t =
		told_run(told_move, STEPS(CAPS, SELECT, "C: UID MOVE", bug));

	(void)state;
	told_expect(&t, -EAGAIN, true, "");
	t = told_run_append(STEPS(LOGIN, APPEND, bug), 0);
	told_expect(&t, -EAGAIN, true, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			what_was_not_sent_is_sent_on_the_next_connection),
		cmocka_unit_test(what_was_never_sent_is_not_unknown),
		cmocka_unit_test(what_was_sent_is_never_sent_again),
		cmocka_unit_test(a_limit_of_keywords_is_a_refusal),
		cmocka_unit_test(one_of_two_answers_is_no_end),
		cmocka_unit_test(pairs_that_came_before_the_cut_are_told),
		cmocka_unit_test(an_answer_that_never_comes_is_unknown),
		cmocka_unit_test(
			a_change_called_off_is_unknown_once_it_was_sent),
		cmocka_unit_test(a_change_called_off_before_it_was_sent_is_not),
		cmocka_unit_test(a_refused_login_refuses_no_change),
		cmocka_unit_test(each_refusal_has_its_class),
		cmocka_unit_test(so_has_what_is_asked_before_a_change),
		cmocka_unit_test(what_a_bug_of_the_server_has_done_is_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
