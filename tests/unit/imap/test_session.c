/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "imap/pool.h"
#include "script.h"

/*
 * From the greeting to the login: what a connection accepts, what it refuses,
 * and which sentence the user gets. Every case is a script of a server.
 */

/* Connect to a server that plays this; `words` must be in the sentence. */
static void expect(script steps, enum imap_tls tls, int result,
		   enum imap_fault fault, const char *words)
{
	const script scripts[] = {steps, NULL};
	const struct account_options o = {.tls = tls};
	struct server *s = server_start(scripts);
	struct imap *im = account_new(s, &o);
	struct imap_error why;

	im->backoff_ms = 3600000; /* what the first try comes to */
	assert_int_equal(imap_connect(im, &why), result);
	account_free(im);
	server_stop(s);
	if (result < 0) {
		assert_int_equal(why.code, result);
		assert_int_equal(why.fault, fault);
		if (!strstr(why.text, words))
			fail_msg("'%s' is not in '%s'", words, why.text);
	}
}

static void plain_login_takes_one_round_trip(void **state)
{
	(void)state;
	/* "\0u\0p w" in base64. */
	expect(STEPS(GREETING, "C: AUTHENTICATE PLAIN AHUAcCB3",
		     "S: $T OK [CAPABILITY IMAP4rev1] in"),
	       IMAP_TLS_NONE, 0, FAULT_NONE, "");
}

static void plain_without_initial_response_waits_for_plus(void **state)
{
	(void)state;
	expect(STEPS("S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi",
		     "C: A1 AUTHENTICATE PLAIN", "S: +", "C: AHUAcCB3",
		     "S: A1 OK [CAPABILITY IMAP4rev1] in"),
	       IMAP_TLS_NONE, 0, FAULT_NONE, "");
}

static void login_is_used_where_there_is_no_sasl(void **state)
{
	(void)state;
	expect(STEPS("S: * OK hi", "C: A1 CAPABILITY",
		     "S: * CAPABILITY IMAP4rev1", "S: A1 OK done",
		     "C: LOGIN u \"p w\"", "S: $T OK in", "C: CAPABILITY",
		     "S: * CAPABILITY IMAP4rev1", "S: $T OK done"),
	       IMAP_TLS_NONE, 0, FAULT_NONE, "");
}

static void preauth_needs_no_login_on_a_trusted_line(void **state)
{
	(void)state;
	expect(STEPS("S: * PREAUTH [CAPABILITY IMAP4rev1] hi"), IMAP_TLS_NONE,
	       0, FAULT_NONE, "");
}

static void preauth_before_tls_is_refused(void **state)
{
	(void)state;
	expect(STEPS("S: * PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hi"),
	       IMAP_TLS_STARTTLS, -EPROTO, FAULT_TLS, "PREAUTH");
}

static void missing_starttls_is_refused(void **state)
{
	(void)state;
	expect(STEPS(GREETING), IMAP_TLS_STARTTLS, -EPROTO, FAULT_TLS,
	       "does not offer STARTTLS");
}

static void bytes_behind_starttls_are_an_attack(void **state)
{
	(void)state;
	expect(STEPS("S: * OK [CAPABILITY IMAP4rev1 STARTTLS] hi",
		     "C: STARTTLS",
		     "R: $T OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"),
	       IMAP_TLS_STARTTLS, -EPROTO, FAULT_TLS, "tampers");
}

static void half_a_line_behind_starttls_is_an_attack(void **state)
{
	(void)state;
	expect(STEPS("S: * OK [CAPABILITY IMAP4rev1 STARTTLS] hi",
		     "C: STARTTLS", "R: $T OK go\r\n* CAPAB"),
	       IMAP_TLS_STARTTLS, -EPROTO, FAULT_TLS, "tampers");
}

static void wrong_password_says_so(void **state)
{
	(void)state;
	expect(STEPS(GREETING, "C: AUTHENTICATE",
		     "S: $T NO [AUTHENTICATIONFAILED] no such luck"),
	       IMAP_TLS_NONE, -EACCES, FAULT_AUTH,
	       "refuses the password of 'u': no such luck");
}

/* In one packet: the server has had enough of us. */
static void a_refusal_counts_though_bye_comes_with_it(void **state)
{
	(void)state;
	expect(STEPS(GREETING, "C: AUTHENTICATE", "P: $T NO wrong",
		     "S: * BYE too many failures", "X:"),
	       IMAP_TLS_NONE, -EACCES, FAULT_AUTH, "password of 'u': wrong");
	expect(STEPS(GREETING, "C: AUTHENTICATE", "P: * BYE logging out",
		     "S: $T NO wrong", "X:"),
	       IMAP_TLS_NONE, -EACCES, FAULT_AUTH, "password of 'u': wrong");
}

static void google_asks_for_an_app_password(void **state)
{
	(void)state;
	expect(STEPS("S: * OK [CAPABILITY IMAP4rev1 X-GM-EXT-1 SASL-IR "
		     "AUTH=PLAIN] Gimap",
		     "C: AUTHENTICATE",
		     "S: $T NO [AUTHENTICATIONFAILED] Invalid credentials"),
	       IMAP_TLS_NONE, -EACCES, FAULT_AUTH,
	       "https://support.google.com/accounts/answer/185833");
}

static void disabled_imap_says_so(void **state)
{
	(void)state;
	expect(STEPS(GREETING, "C: AUTHENTICATE",
		     "S: $T NO [ALERT] Your account is not enabled for IMAP "
		     "use"),
	       IMAP_TLS_NONE, -EACCES, FAULT_AUTH, "IMAP is switched off");
}

static void webalert_names_the_page(void **state)
{
	(void)state;
	expect(STEPS(GREETING, "C: AUTHENTICATE",
		     "S: $T NO [WEBALERT https://x.test/] Web login required"),
	       IMAP_TLS_NONE, -EACCES, FAULT_AUTH, "https://x.test/");
	expect(STEPS(GREETING, "C: AUTHENTICATE",
		     "S: * NO [WEBALERT https://x.test/] Web login required.",
		     "S: $T NO [ALERT] Please log in via your web browser: "
		     "https://y.test/ (Failure)"),
	       IMAP_TLS_NONE, -EACCES, FAULT_AUTH,
	       "with a web browser first: https://x.test/");
	expect(STEPS(GREETING, "C: AUTHENTICATE",
		     "S: $T NO [ALERT] Please log in via your web browser: "
		     "https://y.test/ (Failure)"),
	       IMAP_TLS_NONE, -EACCES, FAULT_AUTH, "https://y.test/");
}

static void a_server_in_trouble_is_no_wrong_password(void **state)
{
	(void)state;
	expect(STEPS(GREETING, "C: AUTHENTICATE",
		     "S: $T NO System Error (Failure)"),
	       IMAP_TLS_NONE, -ENOTCONN, FAULT_LIMIT, "anybody in now");
	expect(STEPS(GREETING, "C: AUTHENTICATE",
		     "S: $T NO [OVERQUOTA] Account exceeded command or "
		     "bandwidth limits. (Failure)"),
	       IMAP_TLS_NONE, -ENOTCONN, FAULT_LIMIT, "let in again later");
}

static void too_many_connections_is_no_wrong_password(void **state)
{
	(void)state;
	expect(STEPS(GREETING, "C: AUTHENTICATE",
		     "S: $T NO [ALERT] Too many simultaneous connections."),
	       IMAP_TLS_NONE, -ENOTCONN, FAULT_LIMIT, "no more connections");
	expect(STEPS("S: * BYE Maximum number of connections reached"),
	       IMAP_TLS_NONE, -ENOTCONN, FAULT_LIMIT, "no more connections");
}

static void a_login_without_tls_that_is_forbidden_is_not_tried(void **state)
{
	(void)state;
	expect(STEPS("S: * OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi"),
	       IMAP_TLS_NONE, -EACCES, FAULT_AUTH, "without TLS");
}

static void another_protocol_is_named(void **state)
{
	(void)state;
	expect(STEPS("S: 220 smtp.example.org ESMTP"), IMAP_TLS_NONE, -EPROTO,
	       FAULT_PROTOCOL, "not an IMAP server");
}

static void a_silent_server_times_out(void **state)
{
	struct imap_error why;

	(void)state;
	account_times_out(STEPS("H:"), &why);
	assert_int_equal(why.fault, FAULT_NETWORK);
	assert_non_null(strstr(why.text, "seconds (if it wants TLS"));
	account_times_out(STEPS(GREETING, "C: AUTHENTICATE", "H:"), &why);
	assert_int_equal(why.fault, FAULT_NETWORK);
	assert_string_equal(strstr(why.text, " seconds"), " seconds");
}

static void a_server_that_hangs_up_is_named(void **state)
{
	(void)state;
	expect(STEPS("X:"), IMAP_TLS_NONE, -ENOTCONN, FAULT_NETWORK, "cut");
	expect(STEPS(GREETING, "C: AUTHENTICATE", "S: * BYE go\001away", "X:"),
	       IMAP_TLS_NONE, -ENOTCONN, FAULT_NETWORK, "go away");
}

static void unknown_data_and_alerts_disturb_nothing(void **state)
{
	(void)state;
	expect(STEPS("S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hi",
		     "S: * XUNKNOWN (\"a\" (b c)) {3}", "R: x\r\n", "S:  end",
		     "C: AUTHENTICATE", "S: * OK [ALERT]", "S: * 3 EXISTS",
		     "S: B77 OK whose", "S: $T OK [CAPABILITY IMAP4rev1] in"),
	       IMAP_TLS_NONE, 0, FAULT_NONE, "");
}

/* --- COMPRESS --- */

/* A link that is slow enough, to a server that can compress. */
#define SLOW_LOGIN                                                             \
	"L: 12", GREETING, "C: AUTHENTICATE PLAIN",                            \
		"S: $T OK [CAPABILITY IMAP4rev1 ID COMPRESS=DEFLATE] in",      \
		"C: ID", "P: $T OK done", "C: COMPRESS DEFLATE"

static void compression_is_agreed_to_in_one_flight_with_id(void **state)
{
	const script scripts[] = {
		STEPS(SLOW_LOGIN, "S: $T OK go on", "Z:", "C: LIST",
		      "S: * LIST () \"/\" packed", "S: $T OK done"),
		NULL};
	struct server *s = server_start(scripts);
	struct imap *im = account_connected(s, 1);
	struct imap_state st;
	struct seen seen = {0};
	imap_job job;

	(void)state;
	imap_get_state(im, &st);
	assert_true(st.conn[0].compressed);
	assert_int_equal(imap_list_folders(im, IMAP_PRIO_LISTING,
					   &seen_no_status, &seen_folders_ops,
					   &seen, &job),
			 0);
	seen_wait(&seen);
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n_folders, 1);
	assert_string_equal(seen.folder[0].wire, "packed");
	account_free(im);
	server_stop(s);
}

static void a_near_server_is_not_asked_to_compress(void **state)
{
	const script scripts[] = {
		STEPS(GREETING, "C: AUTHENTICATE PLAIN",
		      "S: $T OK [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] in",
		      "C: LIST", "S: * LIST () \"/\" clear", "S: $T OK done"),
		NULL};
	const struct account_options o = {.tls = IMAP_TLS_NONE};
	struct server *s = server_start(scripts);
	struct imap *im = account_new(s, &o);
	struct imap_state st;
	struct seen seen = {0};
	imap_job job;

	(void)state;
	im->conn[0].session.far_ms = 3600000; /* however busy the machine is */
	account_connect(im);
	imap_get_state(im, &st);
	assert_false(st.conn[0].compressed);
	assert_int_equal(imap_list_folders(im, IMAP_PRIO_LISTING,
					   &seen_no_status, &seen_folders_ops,
					   &seen, &job),
			 0);
	seen_wait(&seen);
	assert_int_equal(seen.result, 0);
	account_free(im);
	server_stop(s);
}

static void a_server_that_refuses_to_compress_is_served_in_clear(void **state)
{
	static const char *const answers[] = {"S: $T NO [COMPRESSIONACTIVE] no",
					      "S: $T BAD what?"};

	(void)state;
	for (int i = 0; i < 2; i++) {
		const script scripts[] = {
			STEPS(SLOW_LOGIN, answers[i], "C: LIST",
			      "S: * LIST () \"/\" clear", "S: $T OK done"),
			NULL};
		struct server *s = server_start(scripts);
		struct imap *im = account_connected(s, 1);
		struct imap_state st;
		struct seen seen = {0};
		imap_job job;

		imap_get_state(im, &st);
		assert_false(st.conn[0].compressed);
		assert_int_equal(imap_list_folders(
					 im, IMAP_PRIO_LISTING, &seen_no_status,
					 &seen_folders_ops, &seen, &job),
				 0);
		seen_wait(&seen);
		assert_int_equal(seen.result, 0);
		account_free(im);
		server_stop(s);
	}
}

static void bytes_behind_the_answer_to_compress_are_compressed(void **state)
{
	(void)state;
	/* In one packet with the answer: packed ones are understood ... */
	expect(STEPS(SLOW_LOGIN, "P: $T OK go on",
		     "Z:", "S: * BYE packed farewell"),
	       IMAP_TLS_NONE, -ENOTCONN, FAULT_NETWORK, "packed farewell");
	/* ... and clear ones are not. */
	expect(STEPS(SLOW_LOGIN, "P: $T OK go on", "S: * BYE in clear"),
	       IMAP_TLS_NONE, -EPROTO, FAULT_PROTOCOL,
	       "cannot be decompressed");
}

/* What a listing comes to when `step` is what the server answers packed. */
static void listing_ends(const char *step, int result, const char *words)
{
	const script scripts[] = {
		STEPS(SLOW_LOGIN, "S: $T OK go on", "Z:", "C: LIST", step),
		NULL};
	struct server *s = server_start(scripts);
	struct imap *im = account_connected(s, 1);
	struct imap_state st;
	struct seen seen = {0};
	imap_job job;

	assert_int_equal(imap_list_folders(im, IMAP_PRIO_LISTING,
					   &seen_no_status, &seen_folders_ops,
					   &seen, &job),
			 0);
	seen_wait(&seen);
	imap_get_state(im, &st);
	account_free(im);
	server_stop(s);
	assert_int_equal(seen.result, result);
	if (!strstr(st.last_error.text, words))
		fail_msg("'%s' is not in '%s'", words, st.last_error.text);
}

static void a_bomb_ends_at_the_limits_of_the_framer(void **state)
{
	(void)state;
	listing_ends("B: 12", -EPROTO, "a response is too long");
}

static void a_cut_in_a_packed_answer_is_a_lost_connection(void **state)
{
	(void)state;
	listing_ends("K: * LIST () \"/\" only-half-of-this-comes-here\r\n",
		     -ENOTCONN, "");
}

/* How often was it said in a session whose login is answered so? */
static uint64_t throttled(script steps)
{
	const script scripts[] = {steps, NULL};
	const struct account_options o = {.tls = IMAP_TLS_NONE};
	struct server *s = server_start(scripts);
	struct imap *im = account_new(s, &o);
	struct imap_traffic traffic;
	struct imap_error why;

	assert_int_equal(imap_connect(im, &why), 0);
	imap_get_traffic(im, &traffic);
	account_free(im);
	server_stop(s);
	return traffic.throttled;
}

static void only_google_says_behind_an_ok_that_its_limits_are_near(void **state)
{
	(void)state;
	assert_int_equal(throttled(STEPS(GREETING, "C: AUTHENTICATE",
					 "S: $T OK [CAPABILITY IMAP4rev1 "
					 "X-GM-EXT-1] in [THROTTLED]")),
			 1);
	assert_int_equal(throttled(STEPS(GREETING, "C: AUTHENTICATE",
					 "S: $T OK [CAPABILITY IMAP4rev1 "
					 "X-GM-EXT-1] in")),
			 0);
	assert_int_equal(throttled(STEPS(GREETING, "C: AUTHENTICATE",
					 "S: $T OK [CAPABILITY IMAP4rev1] in "
					 "[THROTTLED]")),
			 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_login_takes_one_round_trip),
		cmocka_unit_test(plain_without_initial_response_waits_for_plus),
		cmocka_unit_test(login_is_used_where_there_is_no_sasl),
		cmocka_unit_test(preauth_needs_no_login_on_a_trusted_line),
		cmocka_unit_test(preauth_before_tls_is_refused),
		cmocka_unit_test(missing_starttls_is_refused),
		cmocka_unit_test(bytes_behind_starttls_are_an_attack),
		cmocka_unit_test(half_a_line_behind_starttls_is_an_attack),
		cmocka_unit_test(wrong_password_says_so),
		cmocka_unit_test(a_refusal_counts_though_bye_comes_with_it),
		cmocka_unit_test(google_asks_for_an_app_password),
		cmocka_unit_test(disabled_imap_says_so),
		cmocka_unit_test(webalert_names_the_page),
		cmocka_unit_test(a_server_in_trouble_is_no_wrong_password),
		cmocka_unit_test(too_many_connections_is_no_wrong_password),
		cmocka_unit_test(
			a_login_without_tls_that_is_forbidden_is_not_tried),
		cmocka_unit_test(another_protocol_is_named),
		cmocka_unit_test(a_silent_server_times_out),
		cmocka_unit_test(a_server_that_hangs_up_is_named),
		cmocka_unit_test(unknown_data_and_alerts_disturb_nothing),
		cmocka_unit_test(
			compression_is_agreed_to_in_one_flight_with_id),
		cmocka_unit_test(a_near_server_is_not_asked_to_compress),
		cmocka_unit_test(
			a_server_that_refuses_to_compress_is_served_in_clear),
		cmocka_unit_test(
			bytes_behind_the_answer_to_compress_are_compressed),
		cmocka_unit_test(a_bomb_ends_at_the_limits_of_the_framer),
		cmocka_unit_test(a_cut_in_a_packed_answer_is_a_lost_connection),
		cmocka_unit_test(
			only_google_says_behind_an_ok_that_its_limits_are_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
