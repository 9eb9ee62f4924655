/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "imap/pool.h"
#include "script.h"

/*
 * Jobs and connections against scripted servers: who shares one, what happens
 * when it goes, hangs or is full, and when a job is called off.
 */

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
	(void)seen_fetch(im, &first, &four, 1);
	seen_wait_begun(&first);
	(void)seen_fetch(im, &second, &six, 1);
	seen_wait(&first);
	seen_wait(&second);
	assert_int_equal(server_connections(s), 1);
	account_end(im, s);
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
	struct seen stuck = {0};
	struct seen seen = {0};

	(void)state;
	(void)seen_fetch(im, &stuck, &four, 1);
	seen_wait_begun(&stuck);
	(void)seen_list_of(im, "Other", &seen);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(seen.result, 0);
	/* imap_free() ended it, and its body first. */
	assert_true(stuck.done);
	assert_int_equal(stuck.result, -ECANCELED);
	assert_int_equal(stuck.ended, 1);
}

/* When the second one came, the connection of the first was idle still. */
static void jobs_that_come_together_do_not_wait_for_each_other(void **state)
{
	struct server *s = SERVER(STEPS(LOGIN, "C: EXAMINE \"A\"", "H:"),
				  STEPS(LOGIN, "C: EXAMINE \"B\"",
					"S: * 0 EXISTS", "S: $T OK done"));
	struct imap *im = account_connected(s, 2);
	struct seen a = {0};
	struct seen b = {0};

	(void)state;
	(void)seen_list_of(im, "A", &a);
	(void)seen_list_of(im, "B", &b);
	seen_wait(&b);
	account_end(im, s);
	assert_int_equal(b.result, 0);
	assert_int_equal(a.result, -ECANCELED);
}

static void a_full_server_shrinks_the_pool(void **state)
{
	static const uint32_t four = 4;
	struct server *s = SERVER(
		STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 4 ",
		      "S: * 1 FETCH (UID 4 BODY[] {3}", "R: a", "H:"),
		STEPS("S: * BYE Too many simultaneous connections", "X:"));
	struct imap *im = account_connected(s, 3);
	struct imap_state now;
	struct seen body = {0};
	struct seen seen = {0};

	(void)state;
	(void)seen_fetch(im, &body, &four, 1);
	seen_wait_begun(&body);
	(void)seen_list_of(im, "Other", &seen);
	WAIT_STATE(im, now, now.last_error.code != 0);
	assert_int_equal(now.last_error.fault, FAULT_LIMIT);
	assert_true(now.online);
	assert_int_equal(now.jobs_queued, 1);
	assert_int_equal(account_offline(), 0);
	account_end(im, s);
	assert_int_equal(seen.result, -ECANCELED);
	assert_int_equal(body.result, -ECANCELED);
}

/* A message is listed by the last of so many connections; one is cut first. */
static void listing_is_repeated(struct server *s, unsigned connections)
{
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	seen_list(im, &seen, 0);
	seen_wait(&seen);
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.opened, 2);
	assert_int_equal(seen.n, 1);
	assert_int_equal(server_connections(s), connections);
	account_end(im, s);
}

static void a_lost_job_is_repeated_once(void **state)
{
	struct server *s =
		SERVER(STEPS(LOGIN, EXAMINE("1"), "C: FETCH 1 ",
			     "S: * BYE later", "X:"),
		       STEPS(LOGIN, EXAMINE("1"), "C: FETCH 1 ",
			     "S: " ROW("1", "6") ")", "S: $T OK done"));

	(void)state;
	listing_is_repeated(s, 2);
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
	seen_list(im, &seen, 0);
	seen_wait(&seen);
	assert_int_equal(seen.result, -ENOTCONN);
	assert_int_equal(seen.opened, 2);
	account_free(im);
	server_stop(s);
}

#define EMPTY "S: * 0 EXISTS", "S: $T OK done"

/* A server that ends all sessions at once is met on each of them. */
static void connections_lost_together_are_one_loss(void **state)
{
	struct server *s = SERVER(STEPS(LOGIN, "C: EXAMINE \"A\"", "V:", EMPTY,
					"C: EXAMINE \"C\"", "X:"),
				  STEPS(LOGIN, "C: EXAMINE \"B\"", EMPTY,
					"C: EXAMINE \"C\"", "X:"),
				  STEPS(LOGIN, "C: EXAMINE \"C\"", EMPTY));
	struct imap *im = account_connected(s, 2);
	struct seen seen[3] = {0};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		const char wire[] = {(char)('A' + i), '\0'};

		(void)seen_list_of(im, wire, &seen[i]);
		if (i == 1) {
			seen_wait(&seen[1]);
			server_go_too(s);
			seen_wait(&seen[0]);
		}
	}
	seen_wait(&seen[2]);
	assert_int_equal(seen[2].result, 0);
	assert_int_equal(server_connections(s), 3);
	account_end(im, s);
}

/* What cut a connection may take the next one, too, before it is logged in. */
static void a_try_right_behind_a_loss_is_not_the_last(void **state)
{
	struct server *s = SERVER(
		STEPS(LOGIN, EXAMINE("1"), "C: FETCH 1 ", "X:"), STEPS("X:"),
		STEPS(LOGIN, EXAMINE("1"), "C: FETCH 1 ",
		      "S: " ROW("1", "6") ")", "S: $T OK done"));

	(void)state;
	listing_is_repeated(s, 3);
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
	(void)seen_fetch(im, &seen, uids, 2);
	seen_wait(&seen);
	account_end(im, s);
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
	struct server *s =
		SERVER(STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 4 ",
			     "S: * 1 FETCH (UID 4 BODY[] {3}", "R: a", "H:"),
		       STEPS(LOGIN, EXAMINE("0")));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};
	struct seen next = {0};

	(void)state;
	(void)seen_fetch(im, &seen, &four, 1);
	seen_wait_body(&seen);
	account_hurry(im, 0, 50);
	seen_wait(&seen);
	assert_int_equal(seen.result, -ETIMEDOUT);
	assert_int_equal(seen.end_result, -ETIMEDOUT);
	seen_list(im, &next, 0);
	seen_wait(&next);
	assert_int_equal(next.result, 0);
	assert_int_equal(account_online(), 2);
	account_end(im, s);
}

/* Who came last has not waited for long, and may ask elsewhere. */
static void a_time_out_ends_who_waited_all_the_time(void **state)
{
	static const uint32_t four = 4;
	static const uint32_t six = 6;
	const struct timespec a_while = {.tv_sec = 1};
	struct server *s =
		SERVER(STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 4 ",
			     "S: * 1 FETCH (UID 4 BODY[] {3}", "R: a", "H:"),
		       STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 6 ",
			     "S: * 2 FETCH (UID 6 BODY[] {3}", "R: def)\r\n",
			     "S: $T OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen first = {0};
	struct seen second = {0};

	(void)state;
	(void)seen_fetch(im, &first, &four, 1);
	seen_wait_body(&first);
	nanosleep(&a_while, NULL); /* some of the time-out */
	(void)seen_fetch(im, &second, &six, 1);
	account_hurry(im, 0, 2500);
	seen_wait(&first);
	seen_wait(&second);
	account_end(im, s);
	assert_int_equal(first.result, -ETIMEDOUT);
	assert_int_equal(second.result, 0);
	assert_string_equal(second.body, "def");
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
	seen_list(im, &seen, 0);
	seen_wait(&seen);
	assert_int_equal(seen.result, -ENOTCONN);
	r = imap_list(im, "INBOX", IMAP_PRIO_LISTING, &req, &seen_list_ops,
		      &seen, &job);
	assert_int_equal(r, -ENOTCONN);
	account_end(im, s);
}

static void a_queued_job_can_be_cancelled(void **state)
{
	static const uint32_t four = 4;
	struct server *s =
		SERVER(STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 4 ",
			     "S: * 1 FETCH (UID 4 BODY[] {3}", "R: a", "H:"));
	struct imap *im = account_connected(s, 1);
	struct seen stuck = {0};
	struct seen seen = {0};
	imap_job job;

	(void)state;
	(void)seen_fetch(im, &stuck, &four, 1);
	seen_wait_begun(&stuck);
	job = seen_list_of(im, "Other", &seen);
	imap_cancel(im, job);
	seen_wait(&seen);
	assert_int_equal(seen.result, -ECANCELED);
	account_end(im, s);
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
	job = seen_fetch(im, &seen, &four, 1);
	seen_wait_begun(&seen);
	imap_cancel(im, job);
	seen_wait(&seen);
	assert_int_equal(seen.result, -ECANCELED);
	assert_int_equal(seen.end_result, -ECANCELED);
	account_end(im, s);
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
	account_end(im, s);
}

static void who_is_thrown_out_does_not_log_in_in_a_loop(void **state)
{
	const script login = STEPS(LOGIN, EXAMINE("3"), "C: FETCH", "X:");
	const struct account_options o = {.tls = IMAP_TLS_NONE};
	struct server *s = SERVER(login, login, login, login);
	struct imap *im = account_new(s, &o);
	struct imap_error why;
	struct seen seen = {0};
	imap_job job;

	(void)state;
	im->backoff_ms = 60000;
	im->rush_max = 2;
	im->rush_ms = 3600000;
	assert_int_equal(imap_connect(im, &why), 0);
	seen_list(im, &seen, 0);
	seen_wait(&seen);
	assert_int_equal(seen.result, -ENOTCONN);
	assert_int_equal(imap_list_folders(im, IMAP_PRIO_READER,
					   &seen_no_status, &seen_folders_ops,
					   &seen, &job),
			 -ENOTCONN);
	assert_int_equal(server_connections(s), 2);
	account_end(im, s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_of_one_mailbox_share_its_connection),
		cmocka_unit_test(another_mailbox_gets_another_connection),
		cmocka_unit_test(
			jobs_that_come_together_do_not_wait_for_each_other),
		cmocka_unit_test(a_full_server_shrinks_the_pool),
		cmocka_unit_test(a_lost_job_is_repeated_once),
		cmocka_unit_test(a_job_lost_twice_ends),
		cmocka_unit_test(connections_lost_together_are_one_loss),
		cmocka_unit_test(a_try_right_behind_a_loss_is_not_the_last),
		cmocka_unit_test(only_unfinished_bodies_are_repeated),
		cmocka_unit_test(a_hanging_literal_times_out),
		cmocka_unit_test(a_time_out_ends_who_waited_all_the_time),
		cmocka_unit_test(offline_jobs_fail_at_once),
		cmocka_unit_test(a_queued_job_can_be_cancelled),
		cmocka_unit_test(a_running_job_can_be_cancelled),
		cmocka_unit_test(names_that_are_no_mailbox_are_refused),
		cmocka_unit_test(who_is_thrown_out_does_not_log_in_in_a_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
