/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "imap/log.h"
#include "imap/pool.h"
#include "script.h"

/*
 * Bodies against scripted servers: in whatever order and form they come, only
 * what was asked for is taken.
 */

/* Fetch the bodies of 4 and 6 from a server that plays this. */
static struct seen fetch_on(script steps, size_t n_uids)
{
	static const uint32_t uids[] = {4, 6};
	struct server *s = SERVER(steps);
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	(void)seen_fetch(im, &seen, uids, n_uids);
	seen_wait(&seen);
	account_end(im, s);
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

static void no_body_is_in_the_log(void **state)
{
	struct seen seen;
	char *log;

	(void)state;
	log_setup(LOG_LEVEL_WIRE, LOG_TO_NOWHERE);
	seen = fetch_on(STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH",
			      "S: * 1 FETCH (UID 4 BODY[] \"sesame\")",
			      "S: * 2 Fetch (Uid 6 Body[] \"sesame\")",
			      "S: $T OK done"),
			2);
	log_setup(LOG_LEVEL_INFO, LOG_TO_STDERR);
	assert_int_equal(seen.ended, 2);
	assert_string_equal(seen.body, "sesame");
	log = log_snapshot(NULL);
	assert_non_null(log);
	assert_non_null(strstr(log, "2 Fetch (Uid 6 Body["));
	assert_null(strstr(log, "sesame"));
	free(log);
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
	account_end(im, s);
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

/* It was made anew meanwhile, and this session is one of what it was. */
static void a_mailbox_that_is_behind_is_opened_anew(void **state)
{
	static const uint32_t four = 4;
	struct server *s =
		SERVER(STEPS(LOGIN, "C: A2 EXAMINE", "S: * 0 EXISTS",
			     "S: * OK [UIDVALIDITY 6] ok", "S: $T OK done",
			     "C: A3 EXAMINE", "C: A4 UID FETCH 4 ",
			     "S: * 3 EXISTS", "S: * OK [UIDVALIDITY 7] ok",
			     "S: A3 OK done", "S: * 1 FETCH (UID 4 BODY[] {3}",
			     "R: abc)\r\n", "S: A4 OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen listed = {0};
	struct seen seen = {0};
	int64_t now_ms;

	(void)state;
	seen_list(im, &listed, 0);
	seen_wait(&listed);
	now_ms = clock_now_ms();
	while (clock_now_ms() == now_ms)
		wait_a_bit(now_ms + PATIENCE_MS);
	(void)seen_fetch(im, &seen, &four, 1);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.body, "abc");
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

/* Ask for `n_uids` bodies, listed with so many bytes in all. */
static void fetch_listed(struct imap *im, struct seen *seen,
			 const uint32_t *uids, size_t n_uids, uint64_t bytes)
{
	const struct imap_body_request req = {.uidvalidity = 7,
					      .uids = uids,
					      .n_uids = n_uids,
					      .bytes = bytes};
	imap_job job;

	assert_int_equal(imap_fetch(im, "INBOX", IMAP_PRIO_PREFETCH, &req,
				    &seen_body_ops, seen, &job),
			 0);
}

static void small_bodies_are_asked_for_together(void **state)
{
	uint32_t uids[100];
	struct server *s = SERVER(STEPS(LOGIN, EXAMINE("100"),
					"C: UID FETCH 1:100 (UID BODY.PEEK[])",
					"S: $T OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		uids[i] = i + 1;
	fetch_listed(im, &seen, uids, 100, 100 * 900);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(seen.result, 0);
}

static void a_body_that_came_makes_room_before_the_ok(void **state)
{
	static const uint32_t four = 4, six = 6;
	struct server *s = SERVER(STEPS(
		LOGIN, EXAMINE("3"), "C: A3 UID FETCH 4 ",
		"S: * 1 FETCH (UID 4 BODY[] {3}", "R: a", "W:", "R: bc)\r\n",
		"C: A4 UID FETCH 6 ", "S: * 2 FETCH (UID 6 BODY[] {3}",
		"R: def)\r\n", "S: A3 OK done", "S: A4 OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen first = {0};
	struct seen second = {0};

	(void)state;
	/* As much as may be expected at once, and not one byte less. */
	fetch_listed(im, &first, &four, 1, POOL_EXPECTED_MAX - 1);
	seen_wait_begun(&first);
	fetch_listed(im, &second, &six, 1, 3);
	server_go(s);
	seen_wait(&first);
	seen_wait(&second);
	account_end(im, s);
	assert_int_equal(second.result, 0);
	assert_string_equal(second.body, "def");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_come_in_the_servers_order),
		cmocka_unit_test(a_message_that_is_gone_has_no_body),
		cmocka_unit_test(an_empty_body_is_a_body),
		cmocka_unit_test(no_body_is_in_the_log),
		cmocka_unit_test(a_literal_may_come_in_pieces),
		cmocka_unit_test(
			a_uid_behind_its_body_is_believed_if_there_is_one),
		cmocka_unit_test(uids_behind_bodies_make_them_come_alone),
		cmocka_unit_test(parts_with_another_origin_are_not_taken),
		cmocka_unit_test(another_uidvalidity_is_stale),
		cmocka_unit_test(a_mailbox_that_is_behind_is_opened_anew),
		cmocka_unit_test(one_refused_body_does_not_stop_the_others),
		cmocka_unit_test(small_bodies_are_asked_for_together),
		cmocka_unit_test(a_body_that_came_makes_room_before_the_ok),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
