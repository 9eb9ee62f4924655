/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "script.h"

/* Listings of a mailbox with a message at which the server ends the session. */

#define BYE "S: * BYE FETCH failed: Internal error occurred.", "X:"
#define BELOW(uid, max)                                                        \
	"C: SEARCH RETURN (MAX) UID 1:" uid,                                   \
		"S: * ESEARCH (TAG \"$T\") MAX " max, "S: $T OK done"
#define ALONE(seq, uid)                                                        \
	"C: FETCH " seq " (UID)", "S: * " seq " FETCH (UID " uid ")",          \
		"S: $T OK done", "C: FETCH " seq " (UID FLAGS"

static struct seen list_over(struct server *s)
{
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	seen_list(im, &seen, 0);
	seen_wait(&seen);
	account_end(im, s);
	return seen;
}

/* Dovecot, of a message whose file it may not open. */
static void a_message_that_ends_each_session_is_left_out(void **state)
{
	struct seen seen = list_over(
		SERVER(STEPS(LOGIN, EXAMINE("3"), "C: FETCH 1:3 ",
			     "S: " ROW("1", "5") ")", BYE),
		       STEPS(LOGIN, EXAMINE("3"), "C: FETCH 1:3 ",
			     "S: " ROW("1", "5") ")", BYE),
		       STEPS(LOGIN, EXAMINE("3"), "C: FETCH 3 (UID FLAGS",
			     "S: " ROW("3", "9") ")", "S: $T OK done",
			     ALONE("2", "6"), BYE),
		       STEPS(LOGIN, EXAMINE("3"), BELOW("8", "2"),
			     ALONE("2", "6"), BYE),
		       STEPS(LOGIN, EXAMINE("3"), BELOW("5", "1"),
			     "C: FETCH 1 (UID FLAGS", "S: " ROW("1", "5") ")",
			     "S: $T OK done")));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.uid[0], 9);
	assert_int_equal(seen.uid[1], 5);
}

/* One that tells nothing of the others. It has changed its mind at the end. */
static void what_ends_a_session_is_looked_for_by_halves(void **state)
{
	struct seen seen = list_over(SERVER(
		STEPS(LOGIN, EXAMINE("4"), "C: FETCH 1:4 ", BYE),
		STEPS(LOGIN, EXAMINE("4"), "C: FETCH 1:4 ", BYE),
		STEPS(LOGIN, EXAMINE("4"), "C: FETCH 3:4 ", BYE),
		STEPS(LOGIN, EXAMINE("4"), "C: FETCH 4 (UID FLAGS",
		      "S: " ROW("4", "9") ")", "S: $T OK done", ALONE("3", "7"),
		      BYE),
		STEPS(LOGIN, EXAMINE("4"), BELOW("8", "3"), ALONE("3", "7"),
		      "S: " ROW("3", "7") ")", "S: $T OK done", "C: FETCH 1:2 ",
		      "S: " ROW("1", "5") ")", "S: " ROW("2", "6") ")",
		      "S: $T OK done")));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 4);
}

/* It is lost, not ended: that says nothing of a message. */
static void a_line_that_is_cut_accuses_nobody(void **state)
{
	struct seen seen =
		list_over(SERVER(STEPS(LOGIN, EXAMINE("2"), "C: FETCH 1:2 ",
				       "S: " ROW("1", "5") ")", "X:"),
				 STEPS(LOGIN, EXAMINE("2"), "C: FETCH 1:2 ",
				       "S: " ROW("1", "5") ")", "X:")));

	(void)state;
	assert_int_equal(seen.result, -ENOTCONN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_that_ends_each_session_is_left_out),
		cmocka_unit_test(what_ends_a_session_is_looked_for_by_halves),
		cmocka_unit_test(a_line_that_is_cut_accuses_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
