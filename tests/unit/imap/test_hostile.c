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
 * Servers that chatter and refuse, connections that idle: nothing may hang, and
 * nobody may be locked out.
 */

static imap_job fetch(struct imap *im, const char *wire, struct seen *seen,
		      const struct imap_body_request *req)
{
	imap_job job;

	assert_int_equal(imap_fetch(im, wire, IMAP_PRIO_READER, req,
				    &seen_body_ops, seen, &job),
			 0);
	return job;
}

static void end(struct imap *im, struct server *s)
{
	account_free(im);
	server_stop(s);
}

/* --- time --- */

static void chatter_is_no_greeting_and_no_answer(void **state)
{
	struct imap_error why;

	(void)state;
	account_times_out(STEPS("D: "), &why);
	account_times_out(STEPS("S: * OK hi", "C: CAPABILITY", "D: * OK wait"),
			  &why);
	account_times_out(STEPS(GREETING, "C: AUTHENTICATE", "D: * OK wait"),
			  &why);
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
	WAIT_STATE(im, now,
		   now.conn[0].bytes_out >= 32 + 2 * strlen("A2 NOOP\r\n"));
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
	(void)seen_list_of(im, "Other", &seen);
	seen_wait(&seen);
	WAIT_STATE(im, now, strcmp(now.conn[1].state, "closed") == 0);
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
	const struct account_options o = {.tls = IMAP_TLS_NONE,
					  .tokencmd = command};
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

/* One whose command says another word each time; none of these is good. */
#define REFUSED_TOKEN "C: AUTHENTICATE OAUTHBEARER", "S: $T NO [EXPIRED] no"

/* A token command that says "1", "2", and so on, where `test` lets it. */
static struct imap *account_of_tokens(struct server *s, char *folder,
				      const char *test)
{
	char command[128];
	const struct account_options o = {
		.connections = 3, .tls = IMAP_TLS_NONE, .tokencmd = command};

	assert_non_null(mkdtemp(folder));
	(void)snprintf(command, sizeof(command),
		       "cd %s && echo x >>runs && n=$(wc -l <runs) && %s "
		       "echo $n",
		       folder, test);
	return account_new(s, &o);
}

static void remove_runs(const char *folder)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/runs", folder);
	unlink(path);
	rmdir(folder);
}

#define TOKEN_LOGIN                                                            \
	BEARER_GREETING, "C: AUTHENTICATE OAUTHBEARER",                        \
		"S: $T OK [CAPABILITY IMAP4rev1 ESEARCH] in"

/*
 * A third connection is refused twice. Then the others go, one after the other,
 * and what they had to do is left over: one more try says that it is no use.
 */
static void tokens_that_are_never_good_are_tried_three_times(void **state)
{
	char folder[] = "/tmp/imapfs-test-token-XXXXXX";
	struct server *s = SERVER(
		STEPS(TOKEN_LOGIN, "C: EXAMINE \"A\"", "W:", "X:"),
		STEPS(TOKEN_LOGIN, "C: EXAMINE \"B\"", "V:", "X:"),
		STEPS(BEARER_GREETING, REFUSED_TOKEN, REFUSED_TOKEN, "N:"),
		STEPS(BEARER_GREETING, REFUSED_TOKEN, "N:"));
	struct imap *im = account_of_tokens(s, folder, "");
	struct seen a = {0}, b = {0}, c = {0};
	struct imap_error why;
	struct imap_state now;

	(void)state;
	assert_int_equal(imap_connect(im, &why), 0);
	(void)seen_list_of(im, "A", &a);
	WAIT_STATE(im, now, strcmp(now.conn[0].mailbox, "A") == 0);
	(void)seen_list_of(im, "B", &b);
	WAIT_STATE(im, now, strcmp(now.conn[1].mailbox, "B") == 0);
	(void)seen_list_of(im, "C", &c);
	WAIT_STATE(im, now, now.last_error.fault == FAULT_AUTH);
	server_go(s);
	WAIT_STATE(im, now, strcmp(now.conn[0].state, "closed") == 0);
	server_go_too(s);
	seen_wait(&a);
	seen_wait(&b);
	seen_wait(&c);
	imap_get_state(im, &now);
	assert_false(now.online);
	assert_int_equal(now.retry_in_ms, -1);
	assert_int_equal(a.result, -EACCES);
	assert_int_equal(c.result, -EACCES);
	assert_int_equal(server_connections(s), 4);
	end(im, s);
	remove_runs(folder);
}

/* It has no network, say; nothing was refused but the old token. */
static void a_token_command_that_fails_is_run_again_later(void **state)
{
	char folder[] = "/tmp/imapfs-test-token-XXXXXX";
	struct server *s = SERVER(STEPS(BEARER_GREETING, REFUSED_TOKEN, "N:"),
				  STEPS(TOKEN_LOGIN, "N:"));
	struct imap *im = account_of_tokens(s, folder, "test $n != 2 &&");
	struct imap_error why;
	struct imap_state now;

	(void)state;
	/* By now it may have been run again. */
	if (imap_connect(im, &why) < 0)
		assert_int_equal(why.code, -ENOTCONN);
	WAIT_STATE(im, now, now.online);
	assert_int_equal(server_connections(s), 2);
	end(im, s);
	remove_runs(folder);
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
	(void)seen_list_of(im, "Other", &seen);
	WAIT_STATE(im, now, now.last_error.code != 0);
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

/* The account and server of the next test, for what is called back. */
static struct imap *lost_im;
static struct server *lost_server;

/* The only good connection is lost: by now the other one is refused. */
static void end_when_refused(void *ctx, uint32_t uid, int result)
{
	struct imap_state now;

	seen_body_ops.end(ctx, uid, result);
	server_go(lost_server);
	WAIT_STATE(lost_im, now, now.last_error.fault == FAULT_AUTH);
}

static void what_is_left_when_a_login_is_refused_asks_for_no_other(void **state)
{
	static const uint32_t four = 4;
	const struct imap_body_request req = {7, &four, 1, 0, 0};
	struct imap_body_ops ops = seen_body_ops;
	struct server *s = lost_server = SERVER(
		STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 4 ",
		      "S: * 1 FETCH (UID 4 BODY[] {8}", "R: a", "V:", "X:"),
		STEPS(GREETING, "C: AUTHENTICATE", "W:", "S: $T NO changed",
		      "N:"));
	struct imap *im = lost_im = account_connected(s, 2);
	struct imap_state now;
	struct seen body = {0};
	struct seen seen = {0};
	imap_job job;

	(void)state;
	ops.end = end_when_refused;
	assert_int_equal(imap_fetch(im, "INBOX", IMAP_PRIO_READER, &req, &ops,
				    &body, &job),
			 0);
	seen_wait_begun(&body);
	(void)seen_list_of(im, "Other", &seen);
	WAIT_STATE(im, now, strcmp(now.conn[1].state, "connecting") == 0);
	server_go_too(s);
	seen_wait(&body);
	seen_wait(&seen);
	assert_int_equal(body.result, -EACCES);
	assert_int_equal(seen.result, -EACCES);
	assert_int_equal(server_connections(s), 2);
	end(im, s);
}

/* A quarter of an hour is for a server that has asked for patience for long. */
static void an_outage_does_not_count_as_what_the_server_asks_for(void **state)
{
	const struct account_options o = {.tls = IMAP_TLS_NONE};
	const struct imap_error cut = {-ENOTCONN, FAULT_NETWORK, ""};
	const struct imap_error not_now = {-ENOTCONN, FAULT_LIMIT, ""};
	struct server *s = SERVER(STEPS("N:"));
	struct imap *im = account_new(s, &o);
	int64_t first_ms, last_ms;

	(void)state;
	lock_take(&im->lock);
	im->backoff_ms = 10000;
	for (int i = 0; i < 20; i++)
		keeper_back_off_locked(im, &cut);
	keeper_back_off_locked(im, &not_now);
	first_ms = im->retry_at_ms - clock_now_ms();
	for (int i = 0; i < 20; i++)
		keeper_back_off_locked(im, &not_now);
	last_ms = im->retry_at_ms - clock_now_ms();
	lock_drop(&im->lock);
	end(im, s);
	assert_true(first_ms < 20000);
	assert_true(last_ms > 2 * POOL_BACKOFF_MAX_MS);
}

static void a_server_that_throws_us_out_is_left_alone_longer(void **state)
{
	struct server *s = SERVER(STEPS(LOGIN, "C: EXAMINE", "X:"),
				  STEPS(LOGIN, "C: EXAMINE", "X:"));
	const struct account_options o = {.tls = IMAP_TLS_NONE};
	struct imap *im = account_new(s, &o);
	struct imap_error why;
	struct seen seen = {0};
	struct imap_state now;

	(void)state;
	im->backoff_ms = 10000;
	assert_int_equal(imap_connect(im, &why), 0);
	(void)seen_list_of(im, "INBOX", &seen);
	seen_wait(&seen);
	assert_int_equal(seen.result, -ENOTCONN);
	WAIT_STATE(im, now, now.retry_in_ms >= 0);
	assert_true(now.retry_in_ms > im->backoff_ms * 3 / 2);
	end(im, s);
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
			tokens_that_are_never_good_are_tried_three_times),
		cmocka_unit_test(a_token_command_that_fails_is_run_again_later),
		cmocka_unit_test(
			a_password_that_no_quotes_can_hold_is_a_literal),
		cmocka_unit_test(a_login_refused_later_is_not_tried_again),
		cmocka_unit_test(
			what_is_left_when_a_login_is_refused_asks_for_no_other),
		cmocka_unit_test(
			an_outage_does_not_count_as_what_the_server_asks_for),
		cmocka_unit_test(
			a_server_that_throws_us_out_is_left_alone_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
