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

#include "told.h"

/*
 * New messages: how they are sent to a scripted server, and what beside them.
 */

static void the_server_is_asked_before_the_literal(void **state)
{
	struct told t =
		told_run_append(STEPS(LOGIN, APPEND N_MAIL "}", "S: + go",
				      "T: From: a\r\n\r\nb\r\n",
				      "C: ", "S: $T OK [APPENDUID 11 21] done"),
				0);

	(void)state;
	told_expect(&t, 0, false, "0>21");
	assert_int_equal(t.end.uidvalidity, 11);
}

static void literal_plus_saves_the_question(void **state)
{
	struct told t = told_run_append(
		STEPS(PLUS, APPEND N_MAIL "+}", "T: From: a\r\n\r\nb\r\n",
		      "C: ", "S: $T OK [APPENDUID 11 21] done"),
		0);

	(void)state;
	told_expect(&t, 0, false, "0>21");
}

static void literal_minus_is_for_small_ones(void **state)
{
	struct told t =
		told_run_append(STEPS(LOGIN_WITH("LITERAL-"), APPEND "4096+}",
				      "E: 4096", "C: ", "S: $T OK done"),
				4096);

	(void)state;
	told_expect(&t, 0, false, "");
	t = told_run_append(STEPS(LOGIN_WITH("LITERAL-"), APPEND "4097}",
				  "S: +", "E: 4097", "C: ", "S: $T OK done"),
			    4097);
	told_expect(&t, 0, false, "");
}

static void every_byte_arrives_once(void **state)
{
	size_t n = 500000;
	char *text = told_mail(n);
	char *step = malloc(n + 4);
	struct told t;

	(void)state;
	assert_non_null(step);
	(void)snprintf(step, n + 4, "T: %s", text);
	t = told_run_append(
		STEPS(PLUS, APPEND "500000+}", step, "C: ", "S: $T OK done"),
		n);
	free(text);
	free(step);
	told_expect(&t, 0, false, "");
}

static void a_part_of_a_file_is_sent_as_such(void **state)
{
	int fd = told_file("xxabcdyy", 8);
	const struct imap_append_request req = {
		.wire = "inbox", .fd = fd, .offset = 2, .size = 4};
	struct server *s = SERVER(STEPS(
		PLUS, "C: APPEND INBOX () \" 1-Jan-1970 00:00:00 +0000\" {4+}",
		"T: abcd", "C: ", "S: $T OK done"));
	struct imap *im = account_connected(s, 1);
	struct told t = {0};
	imap_job job;

	(void)state;
	assert_int_equal(imap_append(im, &req, told_change, &t, &job), 0);
	close(fd);
	told_wait(&t);
	account_end(im, s);
	told_expect(&t, 0, false, "");
}

static void several_are_under_way_together(void **state)
{
	struct server *s = SERVER(
		STEPS(PLUS, "C: A2 APPEND", "E: " N_MAIL, "C: ", "C: A3 APPEND",
		      "E: " N_MAIL, "C: ", "C: A4 CREATE", "C: A5 SUBSCRIBE",
		      "S: A4 OK done", "S: A5 OK done",
		      "S: A3 OK [APPENDUID 11 22] done",
		      "S: A2 OK [APPENDUID 11 21] done"));
	struct imap *im = account_connected(s, 1);
	struct told first = {0};
	struct told second = {0};
	struct told third = {0};
	imap_job job;

	(void)state;
	(void)told_append(im, &first, 0);
	(void)told_append(im, &second, 0);
	assert_int_equal(imap_create(im, "C", told_change, &third, &job), 0);
	told_wait(&first);
	told_wait(&second);
	told_wait(&third);
	account_end(im, s);
	told_expect(&first, 0, false, "0>21");
	told_expect(&second, 0, false, "0>22");
	told_expect(&third, 0, false, "");
}

static void an_appenduid_that_makes_no_sense_is_none(void **state)
{
	struct told t = told_run_append(
		STEPS(PLUS, APPEND, "E: " N_MAIL,
		      "C: ", "S: $T OK [APPENDUID 11 21:22] done"),
		0);

	(void)state;
	told_expect(&t, 0, false, "");
	assert_int_equal(t.end.uidvalidity, 0);
}

#define FETCHED                                                                \
	"C: UID FETCH 4", "S: * 1 FETCH (UID 4 BODY[] \"x\")", "S: $T OK done"

static void read_one(struct imap *im)
{
	static const uint32_t four = 4;
	struct seen seen = {0};

	(void)seen_fetch(im, &seen, &four, 1);
	seen_wait(&seen);
	assert_int_equal(seen.result, 0);
}

#define COPIED EXAMINED, "C: UID COPY 4:5,9 \"B\"", "S: $T OK done"

/* As Courier does it. */
static void what_is_refused_as_only_examined_is_selected(void **state)
{
	const script scripts[] = {
		STEPS(LOGIN, COPIED, APPEND N_MAIL "}",
		      "S: $T NO Current box is selected READ-ONLY.", SELECT,
		      APPEND N_MAIL "}", "S: + go", "E: " N_MAIL,
		      "C: ", "S: $T OK [APPENDUID 7 5] done", "N:"),
		STEPS(LOGIN, COPIED, APPEND N_MAIL "}", "S: $T NO no", SELECT,
		      APPEND N_MAIL "}", "S: $T NO [CANNOT] never", "N:"),
		STEPS(LOGIN, COPIED, APPEND N_MAIL "}", "S: $T NO no",
		      "C: SELECT \"A\"", "S: $T NO [NOPERM] nor this", "N:"),
	};
	const int results[] = {0, -EPERM, -EACCES};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct server *s = SERVER(scripts[i]);
		struct imap *im = account_connected(s, 1);
		struct told copy = {0};
		struct told t = {0};
		imap_job job;

		assert_int_equal(told_copy(im, &copy, &job), 0);
		told_wait(&copy);
		(void)told_append(im, &t, 0);
		told_wait(&t);
		account_end(im, s);
		told_expect(&t, results[i], false, i == 0 ? "0>5" : "");
	}
}

static void a_reader_does_not_wait_behind_a_message(void **state)
{
	struct server *s =
		SERVER(STEPS(LOGIN, EXAMINE("3"), FETCHED, "C: APPEND",
			     "M:", "W:", "S: + go", "E: 3000000",
			     "C: ", "S: $T OK done", "C: APPEND", "S: +",
			     "E: 3000000", "C: ", "S: $T OK done"),
		       STEPS(LOGIN, EXAMINE("3"), FETCHED, "N:"));
	struct imap *im = account_connected(s, 3);
	struct told first = {0};
	struct told second = {0};

	(void)state;
	read_one(im);
	(void)told_append(im, &first, 3000000);
	server_wait(s);
	/* It waits for the first one, though there could be a connection. */
	(void)told_append(im, &second, 3000000);
	read_one(im);
	server_go(s);
	told_wait(&first);
	told_wait(&second);
	assert_int_equal(server_connections(s), 2);
	account_end(im, s);
	told_expect(&first, 0, false, "");
	told_expect(&second, 0, false, "");
}

static void nor_behind_one_that_was_called_off(void **state)
{
	struct server *s =
		SERVER(STEPS(PLUS, EXAMINE("3"), FETCHED, "C: APPEND",
			     "E: 100000", "M:", "W:", "E: 2900000",
			     "C: ", "S: $T OK done", "M:", "N:"),
		       STEPS(PLUS, EXAMINE("3"), FETCHED, "N:"));
	struct imap *im = account_connected(s, 2);
	struct told t = {0};
	imap_job job;

	(void)state;
	read_one(im);
	job = told_append(im, &t, 3000000);
	server_wait(s);
	imap_cancel(im, job);
	told_wait(&t);
	read_one(im);
	server_go(s);
	server_wait(s);
	account_end(im, s);
	told_expect(&t, -ECANCELED, true, "");
}

static void the_servers_limit_is_kept(void **state)
{
	struct server *s =
		SERVER(STEPS(LOGIN_WITH("LITERAL+ APPENDLIMIT=4096"),
			     "C: APPEND", "E: 4096", "C: ", "S: $T OK done"));
	struct imap *im = account_connected(s, 1);
	struct told large = {0};
	struct told fits = {0};

	(void)state;
	assert_int_equal(imap_append_limit(im), 4096);
	(void)told_append(im, &large, 4097);
	(void)told_append(im, &fits, 4096);
	told_wait(&large);
	told_wait(&fits);
	account_end(im, s);
	told_expect(&large, -EFBIG, false, "");
	told_expect(&fits, 0, false, "");
}

static void what_cannot_be_sent_is_refused_at_once(void **state)
{
	struct server *s = SERVER(STEPS(LOGIN, "N:"));
	struct imap *im = account_connected(s, 1);
	int fd = told_file(MAIL, 10);
	int ends[2];
	struct imap_append_request req[] = {
		{.wire = "A", .fd = fd, .size = 0},
		{.wire = "A", .fd = fd, .size = 11},
		{.wire = "A", .fd = fd, .size = 5, .offset = 6},
		{.wire = "A", .fd = fd, .size = 5, .offset = UINT64_MAX},
		{.wire = "A", .fd = -1, .size = 5},
		{.wire = "A\n", .fd = fd, .size = 5},
		{.wire = "A", .fd = fd, .size = 5, .keywords = "(x"},
		{.wire = "A", .fd = fd, .size = 5, .flags = 1 << 8},
		{.wire = "A",
		 .fd = fd,
		 .size = 5,
		 .internaldate = 253402300800},
		{.wire = "A", .fd = fd, .size = 5, .internaldate = INT64_MAX},
	};
	struct told t = {0};
	imap_job job;

	(void)state;
	for (size_t i = 0; i < sizeof(req) / sizeof(req[0]); i++)
		assert_int_equal(
			imap_append(im, &req[i], told_change, &t, &job),
			-EINVAL);
	assert_int_equal(pipe(ends), 0);
	req[0].fd = ends[0];
	req[0].size = 1;
	assert_int_equal(imap_append(im, &req[0], told_change, &t, &job),
			 -EINVAL);
	close(ends[0]);
	close(ends[1]);
	close(fd);
	account_end(im, s);
	assert_int_equal(t.calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_server_is_asked_before_the_literal),
		cmocka_unit_test(literal_plus_saves_the_question),
		cmocka_unit_test(literal_minus_is_for_small_ones),
		cmocka_unit_test(every_byte_arrives_once),
		cmocka_unit_test(a_part_of_a_file_is_sent_as_such),
		cmocka_unit_test(several_are_under_way_together),
		cmocka_unit_test(an_appenduid_that_makes_no_sense_is_none),
		cmocka_unit_test(what_is_refused_as_only_examined_is_selected),
		cmocka_unit_test(a_reader_does_not_wait_behind_a_message),
		cmocka_unit_test(nor_behind_one_that_was_called_off),
		cmocka_unit_test(the_servers_limit_is_kept),
		cmocka_unit_test(what_cannot_be_sent_is_refused_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
