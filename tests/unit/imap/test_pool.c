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
 * Jobs against scripted servers: what a server may do at any time, what it
 * does wrongly, and what happens when it goes.
 */

#define STEPS(...)                                                             \
	(script)(const char *const[])                                          \
	{                                                                      \
		__VA_ARGS__, NULL                                              \
	}
#define SERVER(...) server_start((const script[]){__VA_ARGS__, NULL})

/* A whole row, without the last parenthesis. */
#define ROW(seq, uid)                                                          \
	"* " seq " FETCH (UID " uid " FLAGS (\\Seen) RFC822.SIZE 10 "          \
	"INTERNALDATE \"01-Feb-2026 03:04:05 +0000\" "                         \
	"BODY[HEADER.FIELDS (DATE FROM TO CC SUBJECT MESSAGE-ID)] "            \
	"\"Subject: x\""

static void list(struct imap *im, struct seen *seen, uint32_t below)
{
	const struct imap_list_request req = {.below_uid = below};
	imap_job job;

	assert_int_equal(imap_list(im, "INBOX", IMAP_PRIO_LISTING, &req,
				   &seen_list_ops, seen, &job),
			 0);
}

static void sync_from(struct imap *im, struct seen *seen, uint32_t uidnext)
{
	const struct imap_sync_request req = {.uidnext = uidnext};
	imap_job job;

	assert_int_equal(imap_sync(im, "INBOX", IMAP_PRIO_SYNC, &req,
				   &seen_list_ops, seen, &job),
			 0);
}

static imap_job fetch(struct imap *im, struct seen *seen, const uint32_t *uids,
		      size_t n)
{
	const struct imap_body_request req = {
		.uidvalidity = 7, .uids = uids, .n_uids = n};
	imap_job job;

	assert_int_equal(imap_fetch(im, "INBOX", IMAP_PRIO_READER, &req,
				    &seen_body_ops, seen, &job),
			 0);
	return job;
}

static void end(struct imap *im, struct server *s)
{
	account_free(im);
	server_stop(s);
}

/* List a mailbox on a server that plays this behind the login. */
static struct seen list_on(script steps)
{
	struct server *s = SERVER(steps);
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	list(im, &seen, 0);
	seen_wait(&seen);
	end(im, s);
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
	list(im, &seen, 50);
	seen_wait(&seen);
	end(im, s);
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
		"S: A5 NO this one"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.uid[0], 9);
}

static void a_mailbox_that_is_not_there_is_enoent(void **state)
{
	struct seen seen = list_on(
		STEPS(LOGIN, "C: EXAMINE INBOX", "S: $T NO [NONEXISTENT] no"));

	(void)state;
	assert_int_equal(seen.result, -ENOENT);
	assert_int_equal(seen.opened, 0);
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
	list(im, &seen, 0);
	seen_wait(&seen);
	end(im, s);
	assert_int_equal(seen.result, -ESTALE);
}

static void sync_tells_old_flags_and_then_new_rows(void **state)
{
	struct server *s = SERVER(
		STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 1:9 (UID FLAGS)",
		      "C: UID FETCH 10:* (UID FLAGS RFC822.SIZE",
		      "S: * 1 FETCH (FLAGS (\\Seen a%b) UID 4)",
		      "S: * 3 FETCH (FLAGS ())", "S: A3 OK done",
		      "S: " ROW("1", "4") ")", "S: " ROW("3", "12") ")",
		      "S: A4 OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	(void)state;
	sync_from(im, &seen, 10);
	seen_wait(&seen);
	end(im, s);
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.uid[0], 4);
	for (unsigned i = 0; i + 1 < seen.n; i++)
		assert_int_equal(seen.has[i], ROW_UID | ROW_FLAGS);
	assert_int_equal(seen.uid[seen.n - 1], 12);
	assert_true((seen.has[seen.n - 1] & ROW_FIELDS) != 0);
}

static void sync_does_not_guess_who_is_gone(void **state)
{
	struct server *s = SERVER(
		STEPS(LOGIN, EXAMINE("1"), "C: UID FETCH 1:9 (UID FLAGS)",
		      "C: UID FETCH 10:*", "S: * 1 FETCH (FLAGS () UID x)",
		      "S: A3 OK done", "S: A4 OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	(void)state;
	sync_from(im, &seen, 10);
	seen_wait(&seen);
	end(im, s);
	assert_int_equal(seen.result, -EBADMSG);
}

static void sync_of_an_empty_mailbox_asks_nothing(void **state)
{
	struct server *s = SERVER(STEPS(LOGIN, EXAMINE("0"), "H:"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	(void)state;
	sync_from(im, &seen, 10);
	seen_wait(&seen);
	end(im, s);
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 0);
}

/* Fetch the bodies of 4 and 6 from a server that plays this. */
static struct seen fetch_on(script steps, size_t n_uids)
{
	static const uint32_t uids[] = {4, 6};
	struct server *s = SERVER(steps);
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	(void)fetch(im, &seen, uids, n_uids);
	seen_wait(&seen);
	end(im, s);
	return seen;
}

static void bodies_come_in_the_servers_order(void **state)
{
	struct seen seen = fetch_on(
		STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 4,6 (UID BODY.PEEK[])",
		      "S: * 2 FETCH (UID 6 BODY[] {5}", "R: a\r\nbc)\r\n",
		      "S: * 9 EXISTS", "S: * 2 EXPUNGE",
		      "S: * 1 FETCH (UID 5 BODY[] {3}", "R: xxx)\r\n",
		      "S: * 1 FETCH (UID 4 FLAGS () BODY[] \"q\\\"t\")",
		      "S: $T OK done"),
		2);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.begun, 2);
	assert_int_equal(seen.ended, 2);
	assert_int_equal(seen.uid[0], 6);
	assert_int_equal(seen.uid[1], 4);
	assert_string_equal(seen.body, "q\"t");
}

static void a_message_that_is_gone_has_no_body(void **state)
{
	struct seen seen = fetch_on(STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH",
					  "S: * 1 FETCH (UID 4 BODY[] NIL)",
					  "S: $T OK done"),
				    2);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.begun, 0);
}

static void an_empty_body_is_a_body(void **state)
{
	struct seen seen = fetch_on(STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH",
					  "S: * 1 FETCH (UID 4 BODY[] {0}",
					  "R: )\r\n", "S: $T OK done"),
				    1);

	(void)state;
	assert_int_equal(seen.begun, 1);
	assert_int_equal(seen.ended, 1);
	assert_int_equal(seen.end_result, 0);
}

static void a_literal_may_come_in_pieces(void **state)
{
	struct seen seen = fetch_on(
		STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH", "R: * 1 FET",
		      "R: CH (UID 4 BODY[] {6", "R: }", "R: \r", "R: \nab",
		      "R: c", "R: def", "R: )\r", "R: \nA3 OK", "S:  done"),
		1);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.body, "abcdef");
}

static void a_uid_behind_its_body_is_believed_if_there_is_one(void **state)
{
	struct seen seen = fetch_on(STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH",
					  "S: * 1 FETCH (BODY[] {3}",
					  "R: abc UID 4)\r\n", "S: $T OK done"),
				    1);

	(void)state;
	assert_int_equal(seen.ended, 1);
	assert_int_equal(seen.end_result, 0);
	seen = fetch_on(STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH",
			      "S: * 1 FETCH (BODY[] {3}", "R: abc UID 5)\r\n",
			      "S: $T OK done"),
			1);
	assert_int_equal(seen.end_result, -EBADMSG);
}

static void uids_behind_bodies_make_them_come_alone(void **state)
{
	struct seen seen =
		fetch_on(STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 4,6 ",
			       "S: * 1 FETCH (BODY[] {3}", "R: abc UID 4)\r\n",
			       "S: * 2 FETCH (BODY[] {3}", "R: abc UID 6)\r\n",
			       "S: $T OK done", "C: UID FETCH 4 ",
			       "S: * 1 FETCH (BODY[] {3}", "R: abc UID 4)\r\n",
			       "S: $T OK done", "C: UID FETCH 6 ",
			       "S: * 2 FETCH (BODY[] {3}", "R: def UID 6)\r\n",
			       "S: $T OK done"),
			 2);

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.uid[1], 6);
	assert_string_equal(seen.body, "def");
}

static void parts_with_another_origin_are_not_taken(void **state)
{
	static const uint32_t uid = 4;
	const struct imap_body_request req = {.uidvalidity = 7,
					      .uids = &uid,
					      .n_uids = 1,
					      .offset = 10,
					      .length = 3};
	struct server *s = SERVER(STEPS(
		LOGIN, EXAMINE("3"), "C: UID FETCH 4 (UID BODY.PEEK[]<10.3>)",
		"S: * 1 FETCH (UID 4 BODY[]<0> {3}", "R: xxx)\r\n",
		"S: * 1 FETCH (UID 4 BODY[]<10> {3}", "R: abc)\r\n",
		"S: $T OK done", "C: UID FETCH",
		"S: * 1 FETCH (UID 4 BODY[]<10> {4}", "R: abcd)\r\n",
		"S: $T OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};
	struct seen longer = {0};
	imap_job job;

	(void)state;
	assert_int_equal(imap_fetch(im, "INBOX", IMAP_PRIO_READER, &req,
				    &seen_body_ops, &seen, &job),
			 0);
	seen_wait(&seen);
	assert_int_equal(imap_fetch(im, "INBOX", IMAP_PRIO_READER, &req,
				    &seen_body_ops, &longer, &job),
			 0);
	seen_wait(&longer);
	end(im, s);
	assert_int_equal(seen.begun, 1);
	assert_string_equal(seen.body, "abc");
	assert_int_equal(longer.begun, 0);
	assert_int_equal(longer.result, -EBADMSG);
}

static void another_uidvalidity_is_stale(void **state)
{
	struct seen seen =
		fetch_on(STEPS(LOGIN, "C: EXAMINE",
			       "S: * OK [UIDVALIDITY 8] ok", "S: $T OK done"),
			 1);

	(void)state;
	assert_int_equal(seen.result, -ESTALE);
}

static void one_refused_body_does_not_stop_the_others(void **state)
{
	struct seen seen = fetch_on(
		STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 4,6 ", "S: $T NO hm",
		      "C: A4 UID FETCH 4 ", "C: A5 UID FETCH 6 ",
		      "S: * 2 FETCH (UID 6 BODY[] {3}", "R: abc)\r\n",
		      "S: A5 OK done", "S: A4 BAD no"),
		2);

	(void)state;
	assert_int_equal(seen.result, -EIO);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.uid[0], 6);
}

static void readers_of_one_mailbox_share_its_connection(void **state)
{
	static const uint32_t four = 4;
	static const uint32_t six = 6;
	struct server *s = SERVER(STEPS(
		LOGIN, EXAMINE("3"), "C: A3 UID FETCH 4 ",
		"S: * 1 FETCH (UID 4 BODY[] {8}", "R: a", "C: A4 UID FETCH 6 ",
		"R: bcdefgh)\r\n", "S: * 2 FETCH (UID 6 BODY[] {3}",
		"R: def)\r\n", "S: A4 OK done", "S: A3 OK done"));
	struct imap *im = account_connected(s, 3);
	struct seen first = {0};
	struct seen second = {0};

	(void)state;
	(void)fetch(im, &first, &four, 1);
	seen_wait_begun(&first);
	(void)fetch(im, &second, &six, 1);
	seen_wait(&first);
	seen_wait(&second);
	assert_int_equal(server_connections(s), 1);
	end(im, s);
	assert_string_equal(first.body, "abcdefgh");
	assert_string_equal(second.body, "def");
}

static void another_mailbox_gets_another_connection(void **state)
{
	static const uint32_t four = 4;
	struct server *s =
		SERVER(STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 4 ",
			     "S: * 1 FETCH (UID 4 BODY[] {8}", "R: a", "H:"),
		       STEPS(LOGIN, "C: EXAMINE \"Other\"", "S: * 0 EXISTS",
			     "S: $T OK done"));
	struct imap *im = account_connected(s, 2);
	const struct imap_list_request req = {0};
	struct seen stuck = {0};
	struct seen seen = {0};
	imap_job job;

	(void)state;
	(void)fetch(im, &stuck, &four, 1);
	seen_wait_begun(&stuck);
	assert_int_equal(imap_list(im, "Other", IMAP_PRIO_LISTING, &req,
				   &seen_list_ops, &seen, &job),
			 0);
	seen_wait(&seen);
	end(im, s);
	assert_int_equal(seen.result, 0);
	/* imap_free() ended it, and its body first. */
	assert_true(stuck.done);
	assert_int_equal(stuck.result, -ECANCELED);
	assert_int_equal(stuck.ended, 1);
}

static void a_full_server_shrinks_the_pool(void **state)
{
	static const uint32_t four = 4;
	struct server *s = SERVER(
		STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 4 ",
		      "S: * 1 FETCH (UID 4 BODY[] {3}", "R: a", "H:"),
		STEPS("S: * BYE Too many simultaneous connections", "X:"));
	struct imap *im = account_connected(s, 3);
	const struct imap_list_request req = {0};
	struct imap_state now;
	struct seen body = {0};
	struct seen seen = {0};
	imap_job job;

	(void)state;
	(void)fetch(im, &body, &four, 1);
	seen_wait_begun(&body);
	assert_int_equal(imap_list(im, "Other", IMAP_PRIO_LISTING, &req,
				   &seen_list_ops, &seen, &job),
			 0);
	do {
		imap_get_state(im, &now);
	} while (now.last_error.code == 0);
	assert_int_equal(now.last_error.fault, FAULT_LIMIT);
	assert_true(now.online);
	assert_int_equal(now.jobs_queued, 1);
	assert_int_equal(account_offline(), 0);
	end(im, s);
	assert_int_equal(seen.result, -ECANCELED);
	assert_int_equal(body.result, -ECANCELED);
}

static void a_lost_job_is_repeated_once(void **state)
{
	struct server *s =
		SERVER(STEPS(LOGIN, EXAMINE("1"), "C: FETCH 1 ",
			     "S: * BYE later", "X:"),
		       STEPS(LOGIN, EXAMINE("1"), "C: FETCH 1 ",
			     "S: " ROW("1", "6") ")", "S: $T OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	(void)state;
	list(im, &seen, 0);
	seen_wait(&seen);
	end(im, s);
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.opened, 2);
	assert_int_equal(seen.n, 1);
}

static void a_job_lost_twice_ends(void **state)
{
	struct server *s =
		SERVER(STEPS(LOGIN, EXAMINE("1"), "C: FETCH 1 ", "X:"),
		       STEPS(LOGIN, EXAMINE("1"), "C: FETCH 1 ", "X:"),
		       STEPS(LOGIN, EXAMINE("0")));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	(void)state;
	list(im, &seen, 0);
	seen_wait(&seen);
	assert_int_equal(seen.result, -ENOTCONN);
	assert_int_equal(seen.opened, 2);
	account_free(im);
	server_stop(s);
}

static void only_unfinished_bodies_are_repeated(void **state)
{
	static const uint32_t uids[] = {4, 6};
	struct server *s =
		SERVER(STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 4,6 ",
			     "S: * 1 FETCH (UID 4 BODY[] {3}", "R: abc)\r\n",
			     "S: * 2 FETCH (UID 6 BODY[] {3}", "R: d", "X:"),
		       STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 6 ",
			     "S: * 2 FETCH (UID 6 BODY[] {3}", "R: def)\r\n",
			     "S: $T OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	(void)state;
	(void)fetch(im, &seen, uids, 2);
	seen_wait(&seen);
	end(im, s);
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.begun, 3);
	assert_int_equal(seen.ended, 3);
	assert_int_equal(seen.end_result, -ENOTCONN);
	assert_int_equal(seen.n, 2);
	assert_string_equal(seen.body, "def");
}

static void a_hanging_literal_times_out(void **state)
{
	static const uint32_t four = 4;
	const struct account_options o = {.tls = IMAP_TLS_NONE,
					  .timeout_ms = 300};
	struct server *s =
		SERVER(STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 4 ",
			     "S: * 1 FETCH (UID 4 BODY[] {3}", "R: a", "H:"),
		       STEPS(LOGIN, EXAMINE("0")));
	struct imap *im = account_new(s, &o);
	struct imap_error why;
	struct seen seen = {0};
	struct seen next = {0};

	(void)state;
	assert_int_equal(imap_connect(im, &why), 0);
	(void)fetch(im, &seen, &four, 1);
	seen_wait(&seen);
	assert_int_equal(seen.result, -ETIMEDOUT);
	assert_int_equal(seen.end_result, -ETIMEDOUT);
	list(im, &next, 0);
	seen_wait(&next);
	assert_int_equal(next.result, 0);
	assert_int_equal(account_online(), 2);
	end(im, s);
}

static void offline_jobs_fail_at_once(void **state)
{
	struct server *s = SERVER(STEPS(LOGIN, EXAMINE("1"), "C: FETCH", "X:"));
	struct imap *im = account_connected(s, 1);
	const struct imap_list_request req = {0};
	struct seen seen = {0};
	imap_job job;
	int r;

	(void)state;
	list(im, &seen, 0);
	seen_wait(&seen);
	assert_int_equal(seen.result, -ENOTCONN);
	r = imap_list(im, "INBOX", IMAP_PRIO_LISTING, &req, &seen_list_ops,
		      &seen, &job);
	assert_int_equal(r, -ENOTCONN);
	end(im, s);
}

static void a_queued_job_can_be_cancelled(void **state)
{
	static const uint32_t four = 4;
	struct server *s =
		SERVER(STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 4 ",
			     "S: * 1 FETCH (UID 4 BODY[] {3}", "R: a", "H:"));
	struct imap *im = account_connected(s, 1);
	const struct imap_list_request req = {0};
	struct seen stuck = {0};
	struct seen seen = {0};
	imap_job job;

	(void)state;
	(void)fetch(im, &stuck, &four, 1);
	seen_wait_begun(&stuck);
	assert_int_equal(imap_list(im, "Other", IMAP_PRIO_LISTING, &req,
				   &seen_list_ops, &seen, &job),
			 0);
	imap_cancel(im, job);
	seen_wait(&seen);
	assert_int_equal(seen.result, -ECANCELED);
	end(im, s);
}

static void a_running_job_can_be_cancelled(void **state)
{
	static const uint32_t four = 4;
	struct server *s =
		SERVER(STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 4 ",
			     "S: * 1 FETCH (UID 4 BODY[] {3}", "R: a", "H:"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};
	imap_job job;

	(void)state;
	job = fetch(im, &seen, &four, 1);
	seen_wait_begun(&seen);
	imap_cancel(im, job);
	seen_wait(&seen);
	assert_int_equal(seen.result, -ECANCELED);
	assert_int_equal(seen.end_result, -ECANCELED);
	end(im, s);
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
					   &seen_folders_ops, &seen, &job),
			 0);
	seen_wait(&seen);
	end(im, s);
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n_folders, 2);
	assert_string_equal(seen.folder[0].wire, "INBOX");
	assert_string_equal(seen.folder[1].wire, "a b");
	assert_int_equal(seen.folder[1].attrs, FOLDER_TRASH);
	assert_true(seen.folder[1].has_status);
	assert_int_equal(seen.folder[1].uidnext, 2);
}

static void names_that_are_no_mailbox_are_refused(void **state)
{
	struct server *s = SERVER(STEPS(LOGIN));
	struct imap *im = account_connected(s, 1);
	const struct imap_list_request req = {0};
	imap_job job;

	(void)state;
	assert_int_equal(imap_list(im, "a\r\nA9 DELETE x", IMAP_PRIO_LISTING,
				   &req, &seen_list_ops, NULL, &job),
			 -EINVAL);
	assert_int_equal(imap_list(im, "", IMAP_PRIO_LISTING, &req,
				   &seen_list_ops, NULL, &job),
			 -EINVAL);
	end(im, s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_listing_comes_newest_first),
		cmocka_unit_test(an_empty_mailbox_needs_no_fetch),
		cmocka_unit_test(
			later_windows_answered_first_are_handed_on_in_order),
		cmocka_unit_test(expunge_during_a_listing_loses_nobody),
		cmocka_unit_test(a_listing_goes_on_below_a_uid),
		cmocka_unit_test(a_bad_row_is_asked_for_once_more),
		cmocka_unit_test(a_row_that_stays_bad_is_left_out),
		cmocka_unit_test(a_row_without_uid_is_asked_for_by_number),
		cmocka_unit_test(a_refused_window_is_asked_for_in_halves),
		cmocka_unit_test(a_mailbox_that_is_not_there_is_enoent),
		cmocka_unit_test(opened_may_stop_a_job),
		cmocka_unit_test(sync_tells_old_flags_and_then_new_rows),
		cmocka_unit_test(sync_does_not_guess_who_is_gone),
		cmocka_unit_test(sync_of_an_empty_mailbox_asks_nothing),
		cmocka_unit_test(bodies_come_in_the_servers_order),
		cmocka_unit_test(a_message_that_is_gone_has_no_body),
		cmocka_unit_test(an_empty_body_is_a_body),
		cmocka_unit_test(a_literal_may_come_in_pieces),
		cmocka_unit_test(
			a_uid_behind_its_body_is_believed_if_there_is_one),
		cmocka_unit_test(uids_behind_bodies_make_them_come_alone),
		cmocka_unit_test(parts_with_another_origin_are_not_taken),
		cmocka_unit_test(another_uidvalidity_is_stale),
		cmocka_unit_test(one_refused_body_does_not_stop_the_others),
		cmocka_unit_test(readers_of_one_mailbox_share_its_connection),
		cmocka_unit_test(another_mailbox_gets_another_connection),
		cmocka_unit_test(a_full_server_shrinks_the_pool),
		cmocka_unit_test(a_lost_job_is_repeated_once),
		cmocka_unit_test(a_job_lost_twice_ends),
		cmocka_unit_test(only_unfinished_bodies_are_repeated),
		cmocka_unit_test(a_hanging_literal_times_out),
		cmocka_unit_test(offline_jobs_fail_at_once),
		cmocka_unit_test(a_queued_job_can_be_cancelled),
		cmocka_unit_test(a_running_job_can_be_cancelled),
		cmocka_unit_test(folders_come_with_status_or_plain),
		cmocka_unit_test(names_that_are_no_mailbox_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
