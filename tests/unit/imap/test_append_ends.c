/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "told.h"

/*
 * New messages that a server answers in front of, in the middle of and behind
 * the literal, in whatever way; and how they end.
 */

static void data_in_the_middle_is_heard(void **state)
{
	struct told t = told_run_append(
		STEPS(PLUS, APPEND "300000+}", "E: 100000", "S: * 5 EXISTS",
		      "S: + I heard you", "S: * OK [ALERT] late", "E: 200000",
		      "C: ", "S: $T OK [APPENDUID 11 21] done"),
		300000);

	(void)state;
	told_expect(&t, 0, false, "0>21");
}

/* Behind what is refused another command comes whole. */
static void refused(script steps, size_t n, int result)
{
	struct server *s = SERVER(steps);
	struct imap *im = account_connected(s, 1);
	struct told first = {0};
	struct told second = {0};
	imap_job job;

	(void)told_append(im, &first, n);
	told_wait(&first);
	assert_int_equal(
		imap_subscribe(im, "C", true, told_change, &second, &job), 0);
	server_go(s);
	told_wait(&second);
	account_end(im, s);
	told_expect(&first, result, false, "");
	told_expect(&second, 0, false, "");
}

static void no_in_place_of_plus_saves_the_literal(void **state)
{
	(void)state;
	refused(STEPS(LOGIN, APPEND "300000}", "S: A2 NO [TOOBIG] no",
		      "W:", "C: A3 SUBSCRIBE \"C\"", "S: A3 OK done"),
		300000, -EFBIG);
}

static void behind_a_no_the_rest_of_the_literal_is_sent(void **state)
{
	(void)state;
	refused(STEPS(PLUS, APPEND "3000000+}", "E: 100000",
		      "S: A2 NO [OVERQUOTA] full", "W:", "E: 2900000",
		      "C: ", "C: A3 SUBSCRIBE \"C\"", "S: A3 OK done"),
		3000000, -EDQUOT);
	refused(STEPS(LOGIN, APPEND "3000000}", "S: + go", "E: 100000",
		      "S: A2 NO [OVERQUOTA] full", "W:", "E: 2900000",
		      "C: ", "C: A3 SUBSCRIBE \"C\"", "S: A3 OK done"),
		3000000, -EDQUOT);
}

static void bye_in_the_literal_is_the_end(void **state)
{
	struct told t =
		told_run_append(STEPS(PLUS, APPEND "3000000+}", "E: 100000",
				      "S: * BYE so long", "X:"),
				3000000);

	(void)state;
	told_expect(&t, -ENOTCONN, true, "");
}

static void a_plus_too_many_is_nothing(void **state)
{
	struct told t = told_run_append(
		STEPS(LOGIN, "S: + early", APPEND N_MAIL "}", "S: + go",
		      "T: From: a\r\n\r\nb\r\n", "S: + more",
		      "C: ", "S: + again", "S: $T OK done"),
		0);

	(void)state;
	told_expect(&t, 0, false, "");
}

static void wherever_it_is_cut_the_outcome_is_unknown(void **state)
{
	const script cuts[] = {
		STEPS(LOGIN, "E: 5", "X:"),
		STEPS(LOGIN, APPEND, "X:"),
		STEPS(LOGIN, APPEND, "S: +", "X:"),
		STEPS(LOGIN, APPEND, "S: +", "E: 100000", "X:"),
		STEPS(LOGIN, APPEND, "S: +", "E: 300000", "X:"),
		STEPS(LOGIN, APPEND, "S: +", "E: 300000", "C: ", "X:"),
		STEPS(PLUS, APPEND, "E: 100000", "X:"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		struct told t = told_run_append(cuts[i], 300000);

		told_expect(&t, -ENOTCONN, true, "");
	}
}

static void a_plus_that_never_comes_ends_in_time(void **state)
{
	struct server *s = SERVER(STEPS(LOGIN, APPEND, "M:", "N:"));
	struct imap *im = account_connected(s, 1);
	struct told stuck = {0};
	struct told behind = {0};
	const struct timespec a_while = {.tv_nsec = 100000000};
	struct imap_state now;
	imap_job job;

	(void)state;
	(void)told_append(im, &stuck, 0);
	server_wait(s);
	assert_int_equal(
		imap_subscribe(im, "C", true, told_change, &behind, &job), 0);
	WAIT_STATE(im, now, now.jobs_running >= 2);
	nanosleep(&a_while, NULL); /* both have waited all the time */
	account_hurry(im, 0, 50);
	told_wait(&stuck);
	told_wait(&behind);
	account_end(im, s);
	told_expect(&stuck, -ETIMEDOUT, true, "");
	/* Not a byte of it has left. */
	told_expect(&behind, -ETIMEDOUT, false, "");
}

static void a_slow_server_is_waited_for(void **state)
{
	/* Much longer than the time-out, in steps that are shorter. */
	struct server *s = SERVER(
		STEPS(PLUS, APPEND, "E: 200000", "Y: 300", "E: 200000",
		      "Y: 300", "E: 200000", "Y: 300", "E: 200000", "Y: 300",
		      "E: 200000", "Y: 300", "E: 200000", "Y: 300", "E: 200000",
		      "Y: 300", "E: 200000", "Y: 300", "E: 200000", "Y: 300",
		      "E: 200000", "C: ", "S: $T OK done"));
	struct imap *im = account_connected(s, 1);
	struct told t = {0};

	(void)state;
	account_hurry(im, 0, 2000);
	(void)told_append(im, &t, 2000000);
	told_wait(&t);
	account_end(im, s);
	told_expect(&t, 0, false, "");
}

static void one_that_is_called_off_is_sent_to_its_end(void **state)
{
	struct server *s = SERVER(STEPS(PLUS, APPEND, "E: 100000",
					"M:", "W:", "E: 2900000",
					"C: ", "S: A2 OK [APPENDUID 1 2] x",
					"C: A3 SUBSCRIBE", "S: A3 OK done"));
	struct imap *im = account_connected(s, 1);
	struct told first = {0};
	struct told second = {0};
	imap_job job;

	(void)state;
	job = told_append(im, &first, 3000000);
	server_wait(s);
	imap_cancel(im, job);
	told_wait(&first);
	assert_int_equal(
		imap_subscribe(im, "C", true, told_change, &second, &job), 0);
	server_go(s);
	told_wait(&second);
	account_end(im, s);
	told_expect(&first, -ECANCELED, true, "");
	told_expect(&second, 0, false, "");
}

static void a_file_that_is_cut_short_ends_the_connection(void **state)
{
	struct server *s =
		SERVER(STEPS(LOGIN, APPEND, "M:", "W:", "S: + go", "N:"),
		       STEPS(LOGIN, "C: SUBSCRIBE", "S: $T OK x"));
	struct imap *im = account_connected(s, 1);
	int fd = told_file(MAIL, strlen(MAIL));
	struct told first = {0};
	struct told second = {0};
	imap_job job;

	(void)state;
	assert_int_equal(told_append_file(im, &first, fd, strlen(MAIL), &job),
			 0);
	server_wait(s);
	assert_int_equal(ftruncate(fd, 3), 0);
	close(fd);
	server_go(s);
	told_wait(&first);
	assert_int_equal(
		imap_subscribe(im, "C", true, told_change, &second, &job), 0);
	told_wait(&second);
	account_end(im, s);
	told_expect(&first, -EIO, true, "");
	told_expect(&second, 0, false, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_in_the_middle_is_heard),
		cmocka_unit_test(no_in_place_of_plus_saves_the_literal),
		cmocka_unit_test(behind_a_no_the_rest_of_the_literal_is_sent),
		cmocka_unit_test(bye_in_the_literal_is_the_end),
		cmocka_unit_test(a_plus_too_many_is_nothing),
		cmocka_unit_test(wherever_it_is_cut_the_outcome_is_unknown),
		cmocka_unit_test(a_plus_that_never_comes_ends_in_time),
		cmocka_unit_test(a_slow_server_is_waited_for),
		cmocka_unit_test(one_that_is_called_off_is_sent_to_its_end),
		cmocka_unit_test(a_file_that_is_cut_short_ends_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
