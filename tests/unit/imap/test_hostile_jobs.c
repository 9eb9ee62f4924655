/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "imap/pool.h"
#include "script.h"

/*
 * Servers that invent, and cut the line at the wrong moment, and many jobs at
 * once on few connections: nothing may hang, be lost or be taken for something
 * else.
 */

#define SENT_ROW(seq, uid) "S: " ROW(seq, uid) ")"

static imap_job fetch(struct imap *im, const char *wire, struct seen *seen,
		      const struct imap_body_request *req)
{
	imap_job job;

	assert_int_equal(imap_fetch(im, wire, IMAP_PRIO_READER, req,
				    &seen_body_ops, seen, &job),
			 0);
	return job;
}

static struct imap *connected(struct server *s, unsigned timeout_ms)
{
	const struct account_options o = {.tls = IMAP_TLS_NONE,
					  .timeout_ms = timeout_ms};
	struct imap *im = account_new(s, &o);
	struct imap_error why;

	assert_int_equal(imap_connect(im, &why), 0);
	return im;
}

static void end(struct imap *im, struct server *s)
{
	account_free(im);
	server_stop(s);
}

/* --- many jobs --- */

#define TWO(x) x, x
#define ANSWERED "C: UID FETCH ", "S: $T OK done"

static void a_listing_without_room_is_not_over(void **state)
{
	enum { READERS = 24, UIDS = 31 };
	struct server *s = SERVER(
		STEPS(LOGIN, "C: EXAMINE", "S: * 2 EXISTS",
		      "S: * OK [UIDVALIDITY 7] ok", "W:", "S: $T OK done",
		      TWO(TWO(TWO(ANSWERED))), TWO(TWO(TWO(ANSWERED))),
		      TWO(TWO(TWO(ANSWERED))), "C: FETCH 1:2 ",
		      SENT_ROW("1", "5"), SENT_ROW("2", "6"), "S: $T OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen body[READERS] = {0};
	struct imap_state now;
	struct seen seen = {0};
	uint32_t uids[UIDS];
	const struct imap_body_request req = {7, uids, UIDS, 0, 10};

	(void)state;
	for (uint32_t i = 0; i < UIDS; i++)
		uids[i] = 4000000000u + 2 * i;
	(void)seen_list_of(im, "INBOX", &seen);
	WAIT_STATE(im, now, now.jobs_running > 0);
	for (int i = 0; i < READERS; i++)
		(void)fetch(im, "INBOX", &body[i], &req);
	WAIT_STATE(im, now, now.jobs_running > READERS);
	server_go(s);
	for (int i = 0; i < READERS; i++)
		seen_wait(&body[i]);
	seen_wait(&seen);
	end(im, s);
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 2);
}

static void a_part_is_not_taken_for_the_whole(void **state)
{
	static const uint32_t four = 4;
	const struct imap_body_request whole = {7, &four, 1, 0, 0};
	const struct imap_body_request part = {7, &four, 1, 0, 3};
	struct server *s = SERVER(STEPS(
		LOGIN, EXAMINE("3"), "C: A3 UID FETCH 4 (UID BODY.PEEK[])",
		"W:", "C: A4 UID FETCH 4 (UID BODY.PEEK[]<0.3>)",
		"S: * 1 FETCH (UID 4 BODY[]<0> {3}", "R: abc)\r\n",
		"S: A4 OK done", "S: * 1 FETCH (UID 4 BODY[] {6}",
		"R: abcdef)\r\n", "S: A3 OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen first = {0};
	struct seen second = {0};

	(void)state;
	(void)fetch(im, "INBOX", &first, &whole);
	(void)fetch(im, "INBOX", &second, &part);
	server_go(s);
	seen_wait(&first);
	seen_wait(&second);
	end(im, s);
	assert_string_equal(first.body, "abcdef");
	assert_string_equal(second.body, "abc");
}

static void a_cancelled_part_is_not_taken_for_another(void **state)
{
	static const uint32_t four = 4;
	const struct imap_body_request small = {7, &four, 1, 0, 3};
	const struct imap_body_request large = {7, &four, 1, 0, 100};
	struct server *s = SERVER(STEPS(
		LOGIN, EXAMINE("3"), "C: UID FETCH 4 (UID BODY.PEEK[]<0.3>)",
		"S: * OK wait", "W:", "S: * 1 FETCH (UID 4 BODY[]<0> {3}",
		"R: abc)\r\n", "S: $T OK done",
		"C: UID FETCH 4 (UID BODY.PEEK[]<0.100>)",
		"S: * 1 FETCH (UID 4 BODY[]<0> {6}", "R: abcdef)\r\n",
		"S: $T OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen first = {0};
	struct seen second = {0};
	struct imap_state now;
	imap_job job;

	(void)state;
	job = fetch(im, "INBOX", &first, &small);
	WAIT_STATE(im, now, now.conn[0].bytes_out >= 32 + 18 + 20);
	(void)fetch(im, "INBOX", &second, &large);
	imap_cancel(im, job);
	seen_wait(&first);
	server_go(s);
	seen_wait(&second);
	end(im, s);
	assert_int_equal(first.result, -ECANCELED);
	assert_string_equal(second.body, "abcdef");
}

static void a_long_listing_makes_room_for_a_reader(void **state)
{
	static const uint32_t four = 4;
	const struct imap_body_request req = {7, &four, 1, 0, 0};
	struct server *s = SERVER(
		STEPS(LOGIN, EXAMINE("5200"), "C: A3 FETCH 5101:5200 ",
		      "S: * OK wait", "W:", SENT_ROW("5200", "9000"),
		      SENT_ROW("5101", "2000"), "S: $T OK done",
		      "C: EXAMINE \"Other\"", "S: * 1 EXISTS",
		      "S: * OK [UIDVALIDITY 7] ok", "S: $T OK done",
		      "C: UID FETCH 4 ", "S: * 1 FETCH (UID 4 BODY[] {3}",
		      "R: abc)\r\n", "S: $T OK done", EXAMINE("5200"),
		      "C: SEARCH RETURN (MAX) UID 1:1999",
		      "S: * ESEARCH (TAG \"$T\") MAX 1", "S: $T OK done",
		      "C: FETCH 1 (", SENT_ROW("1", "7"), "S: $T OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};
	struct seen body = {0};
	struct imap_state now;

	(void)state;
	(void)seen_list_of(im, "INBOX", &seen);
	WAIT_STATE(im, now, now.conn[0].bytes_out >= 32 + 18 + 20);
	(void)fetch(im, "Other", &body, &req);
	server_go(s);
	seen_wait(&body);
	seen_wait(&seen);
	end(im, s);
	assert_string_equal(body.body, "abc");
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.opened, 2);
	assert_int_equal(seen.n, 3);
	assert_int_equal(seen.uid[2], 7);
}

static void freeing_ends_every_job_whatever_the_line_does(void **state)
{
	(void)state;
	for (int i = 0; i < 30; i++) {
		struct server *s =
			SERVER(STEPS(LOGIN, EXAMINE("1"), "W:", "X:"));
		struct imap *im = account_connected(s, 2);
		struct seen seen[3] = {0};

		(void)seen_list_of(im, "INBOX", &seen[0]);
		(void)seen_list_of(im, "Other", &seen[1]);
		(void)seen_list_of(im, "INBOX", &seen[2]);
		seen_wait_begun(&seen[0]);
		server_go(s);
		end(im, s);
		for (int k = 0; k < 3; k++)
			assert_true(seen[k].done);
	}
}

/* --- what a listing must not lose, and what it must not believe --- */

static struct seen list_on(script first, script second)
{
	struct server *s = SERVER(first, second);
	struct imap *im = connected(s, 10000);
	struct seen seen = {0};

	(void)seen_list_of(im, "INBOX", &seen);
	seen_wait(&seen);
	end(im, s);
	return seen;
}

static void nothing_is_handed_on_above_what_is_asked_again(void **state)
{
	/* The line is cut while 9000 is asked for once more. */
	struct seen seen =
		list_on(STEPS(LOGIN, EXAMINE("101"), "C: FETCH 2:101 ",
			      "S: * 101 FETCH (UID 9000 RFC822.SIZE 5)",
			      SENT_ROW("100", "8000"), "S: $T OK done",
			      "C: UID FETCH 9000 ", "C: FETCH 1 ",
			      "S: $T OK done", "X:"),
			STEPS(LOGIN, EXAMINE("1"), "C: FETCH 1 (",
			      SENT_ROW("1", "9000"), "S: $T OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.uid[0], 9000);
}

/* A listing of two messages, one of which is asked for again and refused. */
static struct seen refused_again(const char *answer)
{
	return list_on(STEPS(LOGIN, EXAMINE("2"), "C: FETCH 1:2 (",
			     "S: * 1 FETCH (UID 8 RFC822.SIZE 5)",
			     SENT_ROW("2", "9"), "S: $T OK done",
			     "C: UID FETCH 8 (", answer),
		       STEPS("X:"));
}

static void what_is_refused_for_now_when_asked_again_is_no_end(void **state)
{
	struct seen seen = refused_again("S: $T NO [UNAVAILABLE] later");

	(void)state;
	assert_int_equal(seen.result, -EIO);
	assert_int_equal(seen.n, 0);
	seen = refused_again("S: $T NO [THROTTLED] too fast");
	assert_int_equal(seen.result, -EDQUOT);
}

/* Dovecot says so when it waited for a lock in vain. */
static void what_is_in_use_is_not_left_out(void **state)
{
	const char *in_use = "S: $T NO [INUSE] Timeout while waiting for lock";
	struct seen seen = refused_again(in_use);

	(void)state;
	assert_int_equal(seen.result, -EIO);
	seen = list_on(STEPS(LOGIN, EXAMINE("1"), "C: FETCH 1 (", in_use,
			     "C: FETCH 1 (", in_use),
		       STEPS("X:"));
	assert_int_equal(seen.result, -EIO);
}

static void what_is_refused_or_gone_when_asked_again_is_left_out(void **state)
{
	struct seen seen = refused_again("S: $T NO it does not exist");

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 1);
	seen = refused_again("S: $T NO [EXPUNGEISSUED] it has gone");
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 1);
}

static void two_that_are_refused_alone_keep_none_waiting(void **state)
{
	struct seen seen = list_on(
		STEPS(LOGIN, EXAMINE("3"), "C: FETCH 1:3 (", "S: $T NO bad",
		      "C: A4 FETCH 3 ", "C: A5 FETCH 1:2 ", "S: A4 NO bad",
		      "S: A5 NO bad", "C: A6 FETCH 3 ", "C: A7 FETCH 2 ",
		      "C: A8 FETCH 1 ", SENT_ROW("1", "5"), "S: A7 NO bad",
		      "S: A6 NO bad", "S: A8 OK done", "C: A9 FETCH 2 ",
		      "S: A9 NO bad", "N:"),
		STEPS("X:"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.uid[0], 5);
}

/* All numbers in one answer would be more than is taken in one piece. */
static void a_great_mailbox_is_searched_piece_by_piece(void **state)
{
	struct server *s = SERVER(STEPS(
		LOGIN_WITH("IDLE"), EXAMINE("1200000"),
		"C: SEARCH 700001:1200000 UID 1:49", "S: * SEARCH",
		"S: $T OK done", "C: SEARCH 200001:700000 UID 1:49",
		"S: * 200005 EXISTS", "S: $T OK done", "C: SEARCH UID 1:49",
		"S: * SEARCH 1 2", "S: $T OK done", "C: FETCH 1:2 (",
		SENT_ROW("1", "7"), SENT_ROW("2", "8"), "S: $T OK done"));
	struct imap *im = connected(s, 10000);
	struct seen seen = {0};

	(void)state;
	seen_list(im, &seen, 50);
	seen_wait(&seen);
	end(im, s);
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 2);
}

static void halves_are_handed_on_before_what_is_below(void **state)
{
	struct seen seen = list_on(
		STEPS(LOGIN, EXAMINE("601"), "C: A3 FETCH 502:601 ",
		      "S: A3 OK done", "C: A4 FETCH 2:501 ", "C: A5 FETCH 1 ",
		      "S: A4 NO some could not be fetched", SENT_ROW("1", "5"),
		      "S: A5 OK done", "C: A6 FETCH 252:501 ",
		      "C: A7 FETCH 2:251 ", SENT_ROW("2", "8"), "S: A7 OK done",
		      SENT_ROW("501", "9"), "S: A6 OK done"),
		STEPS("X:"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 3);
	assert_int_equal(seen.uid[0], 9);
	assert_int_equal(seen.uid[1], 8);
	assert_int_equal(seen.uid[2], 5);
}

static void a_mailbox_of_billions_is_not_believed(void **state)
{
	struct seen seen =
		list_on(STEPS(LOGIN, EXAMINE("4000000000"), "H:"), STEPS("X:"));

	(void)state;
	assert_int_equal(seen.result, -EPROTO);
	assert_int_equal(seen.opened, 0);
}

/* So many lines of a header in one step, and so many of those steps. */
#define LINES 4000
#define BLOCKS 25

static void a_long_header_costs_no_other_message(void **state)
{
	static const char line[] = "To: a@b.cc\r\n";
	static char block[LINES * sizeof(line)] = "R: ";
	const char *steps[BLOCKS + 16] = {
		LOGIN, EXAMINE("2"), "C: FETCH 1:2 (",
		"R: * 1 FETCH (UID 8 FLAGS () RFC822.SIZE 10 INTERNALDATE "
		"\"01-Feb-2026 03:04:05 +0000\" BODY[HEADER.FIELDS (DATE "
		"FROM TO CC SUBJECT MESSAGE-ID)] {1200014}\r\nSubject: x\r\n"};
	size_t n = 0;
	char *p = block + 3;
	struct seen seen;

	(void)state;
	for (int i = 0; i < LINES; i++)
		p = stpcpy(p, line);
	while (steps[n])
		n++;
	for (int i = 0; i < BLOCKS; i++)
		steps[n++] = block;
	steps[n++] = "R: \r\n)\r\n";
	steps[n++] = SENT_ROW("2", "9");
	steps[n++] = "S: $T OK done";
	assert_true(n < sizeof(steps) / sizeof(steps[0]));
	seen = list_on(steps, STEPS("X:"));
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.uid[0], 9);
	assert_int_equal(seen.uid[1], 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_listing_without_room_is_not_over),
		cmocka_unit_test(a_part_is_not_taken_for_the_whole),
		cmocka_unit_test(a_cancelled_part_is_not_taken_for_another),
		cmocka_unit_test(a_long_listing_makes_room_for_a_reader),
		cmocka_unit_test(freeing_ends_every_job_whatever_the_line_does),
		cmocka_unit_test(
			nothing_is_handed_on_above_what_is_asked_again),
		cmocka_unit_test(
			what_is_refused_for_now_when_asked_again_is_no_end),
		cmocka_unit_test(what_is_in_use_is_not_left_out),
		cmocka_unit_test(
			what_is_refused_or_gone_when_asked_again_is_left_out),
		cmocka_unit_test(two_that_are_refused_alone_keep_none_waiting),
		cmocka_unit_test(a_great_mailbox_is_searched_piece_by_piece),
		cmocka_unit_test(halves_are_handed_on_before_what_is_below),
		cmocka_unit_test(a_mailbox_of_billions_is_not_believed),
		cmocka_unit_test(a_long_header_costs_no_other_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
