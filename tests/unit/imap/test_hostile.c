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
 * Servers that chatter, refuse, invent, cut the line at the wrong moment, and
 * many jobs at once on few connections: nothing may hang, be lost or be taken
 * for something else.
 */

#define STEPS(...)                                                             \
	(script)(const char *const[])                                          \
	{                                                                      \
		__VA_ARGS__, NULL                                              \
	}
#define SERVER(...) server_start((const script[]){__VA_ARGS__, NULL})
#define SENT_ROW(seq, uid) "S: " ROW(seq, uid) ")"

static void list(struct imap *im, const char *wire, struct seen *seen)
{
	const struct imap_list_request req = {0};
	imap_job job;

	assert_int_equal(imap_list(im, wire, IMAP_PRIO_LISTING, &req,
				   &seen_list_ops, seen, &job),
			 0);
}

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

/* --- time --- */

static void chatter_at(script steps)
{
	const struct account_options o = {.tls = IMAP_TLS_NONE,
					  .timeout_ms = 300};
	struct server *s = SERVER(steps);
	struct imap *im = account_new(s, &o);
	struct imap_error why;

	assert_int_equal(imap_connect(im, &why), -ETIMEDOUT);
	end(im, s);
}

static void chatter_is_no_greeting_and_no_answer(void **state)
{
	(void)state;
	chatter_at(STEPS("D: "));
	chatter_at(STEPS("S: * OK hi", "C: CAPABILITY", "D: * OK wait"));
	chatter_at(STEPS(GREETING, "C: AUTHENTICATE", "D: * OK wait"));
}

static void an_idle_connection_is_kept_alive(void **state)
{
	const struct account_options o = {.tls = IMAP_TLS_NONE};
	struct server *s = SERVER(STEPS(LOGIN, "C: NOOP", "S: $T OK done",
					"C: NOOP", "S: $T OK done"));
	struct imap *im = account_new(s, &o);
	struct imap_error why;
	struct imap_state now;

	(void)state;
	im->idle_ms = 10;
	im->keepalive_ms = 30;
	assert_int_equal(imap_connect(im, &why), 0);
	do {
		imap_get_state(im, &now);
	} while (now.conn[0].bytes_out < 32 + 2 * strlen("A2 NOOP\r\n"));
	end(im, s);
}

static void only_an_extra_connection_closes_when_idle(void **state)
{
	static const uint32_t four = 4;
	const struct imap_body_request req = {7, &four, 1, 0, 0};
	const struct account_options o = {.tls = IMAP_TLS_NONE,
					  .connections = 2};
	struct server *s =
		SERVER(STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 4 ",
			     "S: * 1 FETCH (UID 4 BODY[] {3}", "R: a",
			     "W:", "R: bc)\r\n", "S: $T OK done"),
		       STEPS(LOGIN, "C: EXAMINE \"Other\"", "S: * 0 EXISTS",
			     "S: $T OK done", "C: LOGOUT", "X:"));
	struct imap *im = account_new(s, &o);
	struct imap_error why;
	struct imap_state now;
	struct seen body = {0};
	struct seen seen = {0};

	(void)state;
	im->idle_ms = 30;
	assert_int_equal(imap_connect(im, &why), 0);
	(void)fetch(im, "INBOX", &body, &req);
	seen_wait_begun(&body);
	list(im, "Other", &seen);
	seen_wait(&seen);
	do {
		imap_get_state(im, &now);
	} while (strcmp(now.conn[1].state, "closed") != 0);
	server_go(s);
	seen_wait(&body);
	imap_get_state(im, &now);
	assert_string_not_equal(now.conn[0].state, "closed");
	end(im, s);
	assert_int_equal(body.result, 0);
}

/* --- logins --- */

/* A token command that says "old" once and then "new". */
static void login_with_token(script steps, int result)
{
	char file[] = "/tmp/imapfs-test-token-XXXXXX";
	char command[128];
	const struct account_options o = {
		.tls = IMAP_TLS_NONE, .timeout_ms = 2000, .tokencmd = command};
	struct server *s = SERVER(steps);
	struct imap_error why;
	struct imap *im;

	close(mkstemp(file));
	(void)snprintf(command, sizeof(command),
		       "if [ -e %s ]; then echo old; rm %s; else echo new; fi",
		       file, file);
	im = account_new(s, &o);
	assert_int_equal(imap_connect(im, &why), result);
	assert_int_equal(server_connections(s), 1);
	if (result < 0)
		assert_int_equal(why.fault, FAULT_AUTH);
	end(im, s);
}

#define XOAUTH2_GREETING "S: * OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] hi"
#define BEARER_GREETING                                                        \
	"S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=OAUTHBEARER] hi"

static void a_refused_token_is_renewed_once(void **state)
{
	(void)state;
	/* user=u^Aauth=Bearer old^A^A, without and with SASL-IR. */
	login_with_token(STEPS(XOAUTH2_GREETING, "C: A1 AUTHENTICATE XOAUTH2",
			       "S: + ", "C: dXNlcj11AWF1dGg9QmVhcmVyIG9sZAEB",
			       "S: + eyJzdGF0dXMiOiI0MDEifQ==", "C: ",
			       "S: A1 NO no", "C: A2 AUTHENTICATE XOAUTH2",
			       "S: + ", "C: dXNlcj11AWF1dGg9QmVhcmVyIG5ldwEB",
			       "S: A2 OK [CAPABILITY IMAP4rev1] in"),
			 0);
	login_with_token(
		STEPS(BEARER_GREETING, "C: A1 AUTHENTICATE OAUTHBEARER",
		      "S: + eyJzdGF0dXMiOiI0MDEifQ==", "C: AQ==", "S: A1 NO no",
		      "C: A2 AUTHENTICATE OAUTHBEARER",
		      "S: A2 OK [CAPABILITY IMAP4rev1] in"),
		0);
}

static void a_token_that_stays_refused_ends_it(void **state)
{
	(void)state;
	login_with_token(
		STEPS(BEARER_GREETING, "C: A1 AUTHENTICATE OAUTHBEARER",
		      "S: + eyJzdGF0dXMiOiI0MDEifQ==", "C: AQ==", "S: A1 NO no",
		      "C: A2 AUTHENTICATE OAUTHBEARER",
		      "S: + eyJzdGF0dXMiOiI0MDEifQ==", "C: AQ==",
		      "S: A2 NO no"),
		-EACCES);
}

static void a_password_that_no_quotes_can_hold_is_a_literal(void **state)
{
	const struct account_options o = {.tls = IMAP_TLS_NONE,
					  .password = "p\303\244"};
	struct server *s =
		SERVER(STEPS("S: * OK [CAPABILITY IMAP4rev1] hi",
			     "C: A1 LOGIN u {3}", "S: + go on", "C: p\303\244",
			     "S: A1 OK [CAPABILITY IMAP4rev1] in"));
	struct imap *im = account_new(s, &o);
	struct imap_error why;

	(void)state;
	assert_int_equal(imap_connect(im, &why), 0);
	end(im, s);
}

static void a_login_refused_later_is_not_tried_again(void **state)
{
	static const uint32_t four = 4;
	const struct imap_body_request req = {7, &four, 1, 0, 0};
	struct server *s =
		SERVER(STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 4 ",
			     "S: * 1 FETCH (UID 4 BODY[] {3}", "R: a", "H:"),
		       STEPS(GREETING, "C: AUTHENTICATE", "S: $T NO changed"));
	struct imap *im = account_connected(s, 3);
	struct imap_state now;
	struct seen body = {0};
	struct seen seen = {0};
	bool never;

	(void)state;
	(void)fetch(im, "INBOX", &body, &req);
	seen_wait_begun(&body);
	list(im, "Other", &seen);
	do {
		imap_get_state(im, &now);
	} while (now.last_error.code == 0);
	assert_int_equal(now.last_error.fault, FAULT_AUTH);
	lock_take(&im->lock);
	never = im->limit == 1 && im->limit_until_ms == CLOCK_NEVER;
	lock_drop(&im->lock);
	assert_true(never);
	imap_retry(im);
	lock_take(&im->lock);
	never = im->limit_until_ms == CLOCK_NEVER;
	lock_drop(&im->lock);
	assert_false(never);
	end(im, s);
}

static void a_server_that_throws_us_out_is_left_alone_longer(void **state)
{
	struct server *s = SERVER(STEPS(LOGIN, "C: EXAMINE", "X:"),
				  STEPS(LOGIN, "C: EXAMINE", "X:"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};
	struct imap_state now;

	(void)state;
	list(im, "INBOX", &seen);
	seen_wait(&seen);
	assert_int_equal(seen.result, -ENOTCONN);
	do {
		imap_get_state(im, &now);
	} while (now.retry_in_ms < 0);
	assert_true(now.retry_in_ms > 1500);
	end(im, s);
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
	const struct imap_body_request req = {7, uids, UIDS, 0, 0};

	(void)state;
	for (uint32_t i = 0; i < UIDS; i++)
		uids[i] = 4000000000u + 2 * i;
	list(im, "INBOX", &seen);
	do {
		imap_get_state(im, &now);
	} while (now.jobs_running == 0);
	for (int i = 0; i < READERS; i++)
		(void)fetch(im, "INBOX", &body[i], &req);
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
	do {
		imap_get_state(im, &now);
	} while (now.conn[0].bytes_out < 32 + 18 + 20);
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
	list(im, "INBOX", &seen);
	do {
		imap_get_state(im, &now);
	} while (now.conn[0].bytes_out < 32 + 18 + 20);
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

		list(im, "INBOX", &seen[0]);
		list(im, "Other", &seen[1]);
		list(im, "INBOX", &seen[2]);
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

	list(im, "INBOX", &seen);
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

static struct seen sync_on(script steps)
{
	const struct imap_sync_request req = {.uidnext = 100};
	struct server *s = SERVER(steps);
	struct imap *im = connected(s, 10000);
	struct seen seen = {0};
	imap_job job;

	assert_int_equal(imap_sync(im, "INBOX", IMAP_PRIO_SYNC, &req,
				   &seen_list_ops, &seen, &job),
			 0);
	seen_wait(&seen);
	end(im, s);
	return seen;
}

static void a_message_without_flags_is_not_gone(void **state)
{
	(void)state;
	assert_int_equal(
		sync_on(STEPS(LOGIN, EXAMINE("1"), "C: UID FETCH 1:99 ",
			      "C: UID FETCH 100:* ", "S: * 1 FETCH (UID 4)",
			      "S: A3 OK done", "S: A4 OK done"))
			.result,
		-EBADMSG);
}

static void refusing_to_list_nothing_new_is_an_answer(void **state)
{
	struct seen seen = sync_on(
		STEPS(LOGIN, EXAMINE("1"), "C: UID FETCH 1:99 ",
		      "C: UID FETCH 100:* ", "S: * 1 FETCH (UID 4 FLAGS ())",
		      "S: A3 OK done", "S: A4 NO no matching messages"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chatter_is_no_greeting_and_no_answer),
		cmocka_unit_test(an_idle_connection_is_kept_alive),
		cmocka_unit_test(only_an_extra_connection_closes_when_idle),
		cmocka_unit_test(a_refused_token_is_renewed_once),
		cmocka_unit_test(a_token_that_stays_refused_ends_it),
		cmocka_unit_test(
			a_password_that_no_quotes_can_hold_is_a_literal),
		cmocka_unit_test(a_login_refused_later_is_not_tried_again),
		cmocka_unit_test(
			a_server_that_throws_us_out_is_left_alone_longer),
		cmocka_unit_test(a_listing_without_room_is_not_over),
		cmocka_unit_test(a_part_is_not_taken_for_the_whole),
		cmocka_unit_test(a_cancelled_part_is_not_taken_for_another),
		cmocka_unit_test(a_long_listing_makes_room_for_a_reader),
		cmocka_unit_test(freeing_ends_every_job_whatever_the_line_does),
		cmocka_unit_test(
			nothing_is_handed_on_above_what_is_asked_again),
		cmocka_unit_test(halves_are_handed_on_before_what_is_below),
		cmocka_unit_test(a_mailbox_of_billions_is_not_believed),
		cmocka_unit_test(a_message_without_flags_is_not_gone),
		cmocka_unit_test(refusing_to_list_nothing_new_is_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
