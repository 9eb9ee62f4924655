/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "imap/pairs.h"

/* COPYUID and APPENDUID: only what was asked for is ever believed. */

static const uint32_t asked[] = {4, 5, 6, 9};
#define N_ASKED (sizeof(asked) / sizeof(asked[0]))

static void take(struct pairs *p, const char *code)
{
	char line[512];
	struct status st;

	(void)snprintf(line, sizeof(line), "* OK [COPYUID %s] done\r\n", code);
	assert_true(status_parse(line, strlen(line), &st));
	pairs_take(p, &st);
}

/* What is known behind these codes, NULL at their end: "4>10 5>11". */
static const char *known(const char *const *codes)
{
	static char text[256];
	const struct imap_pair *pair;
	struct pairs p;
	size_t n;
	size_t at = 0;

	assert_int_equal(pairs_init(&p, asked, N_ASKED), 0);
	while (*codes)
		take(&p, *codes++);
	n = pairs_list(&p, &pair);
	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%u>%u",
				       i > 0 ? " " : "", pair[i].from,
				       pair[i].to);
	pairs_finish(&p);
	return text;
}

#define KNOWN(...) known((const char *const[]){__VA_ARGS__, NULL})

static void the_nth_became_the_nth(void **state)
{
	(void)state;
	assert_string_equal(KNOWN("1 4:6 10:12"), "4>10 5>11 6>12");
	assert_string_equal(KNOWN("1 4:6,9 10,20:22"), "4>10 5>20 6>21 9>22");
	assert_string_equal(KNOWN("1 9,4 7,8"), "4>8 9>7");
	assert_string_equal(KNOWN("1 5 4294967295"), "5>4294967295");
}

static void some_servers_count_down(void **state)
{
	(void)state;
	assert_string_equal(KNOWN("1 6,5,4 12,11,10"), "4>10 5>11 6>12");
	assert_string_equal(KNOWN("1 6:4 12:10"), "4>10 5>11 6>12");
	assert_string_equal(KNOWN("1 6,5,4 12:10"), "4>10 5>11 6>12");
	assert_string_equal(KNOWN("1 6:4 12,11,10"), "4>10 5>11 6>12");
}

static void a_run_that_may_mean_two_things_means_nothing(void **state)
{
	(void)state;
	assert_string_equal(KNOWN("1 4:6 12:10"), "");
	assert_string_equal(KNOWN("1 6:4 10:12"), "");
	assert_string_equal(KNOWN("1 6:5,4 10,11,12"), "");
}

static void messages_that_were_gone_have_no_pair(void **state)
{
	(void)state;
	assert_string_equal(KNOWN("1 4,6 9:10"), "4>9 6>10");
	assert_string_equal(KNOWN("1"), "");
	assert_string_equal(KNOWN("1  "), "");
}

static void several_answers_add_up(void **state)
{
	(void)state;
	assert_string_equal(KNOWN("1 4:5 10:11", "1 6 12"), "4>10 5>11 6>12");
	assert_string_equal(KNOWN("1 4 10", "1 4 10"), "4>10");
}

static void lies_are_not_believed(void **state)
{
	static const char *const lies[] = {
		"1 4:6 10:11",   /* unequal */
		"1 4:5 10:12",   /* unequal */
		"1 4:7 10:13",   /* 7 was not asked for */
		"1 3 9",         /* nor was 3 */
		"1 4,4 9,10",    /* one cannot become two */
		"1 4,5 9,9",     /* nor two one */
		"0 4 9",         /* no mailbox has that */
		"1 4 0",         /* no message has that */
		"1 4 *",         /* this is no number */
		"1 4, 9",        /* half a set */
		"1 4 9,",        /* likewise */
		"1 4:5: 9:10",   /* likewise */
		"1 4 4294967296" /* too large */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		assert_string_equal(KNOWN(lies[i]), "");
}

static void giant_sets_are_not_walked(void **state)
{
	(void)state;
	assert_string_equal(KNOWN("1 1:4294967295 1:4294967295"), "");
	assert_string_equal(KNOWN("1 4294967295:1 4294967295:1"), "");
	assert_string_equal(
		KNOWN("1 1:4294967295,1:4294967295 1:4294967295,1:4294967295"),
		"");
	assert_string_equal(KNOWN("1 4 1:4294967295"), "");
}

static void contradictions_void_all(void **state)
{
	(void)state;
	assert_string_equal(KNOWN("1 4 10", "2 5 11"), "");
	assert_string_equal(KNOWN("1 4 10", "1 4 11"), "");
	assert_string_equal(KNOWN("1 4 10", "1 5 10"), "");
}

static uint32_t appended(const char *code)
{
	char line[128];
	struct status st;

	(void)snprintf(line, sizeof(line), "A1 OK [%s] done\r\n", code);
	assert_true(status_parse(line, strlen(line), &st));
	return pairs_appended(&st);
}

static void one_message_has_one_uid(void **state)
{
	(void)state;
	assert_int_equal(appended("APPENDUID 38505 3955"), 3955);
	assert_int_equal(appended("APPENDUID 38505 3955:3955"), 3955);
	assert_int_equal(appended("APPENDUID 38505 3955:3956"), 0);
	assert_int_equal(appended("APPENDUID 38505 3,5"), 0);
	assert_int_equal(appended("APPENDUID 38505"), 0);
	assert_int_equal(appended("APPENDUID 0 5"), 0);
	assert_int_equal(appended("APPENDUID 1 0"), 0);
	assert_int_equal(appended("COPYUID 1 5 6"), 0);
	assert_int_equal(appended("READ-WRITE"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_nth_became_the_nth),
		cmocka_unit_test(some_servers_count_down),
		cmocka_unit_test(a_run_that_may_mean_two_things_means_nothing),
		cmocka_unit_test(messages_that_were_gone_have_no_pair),
		cmocka_unit_test(several_answers_add_up),
		cmocka_unit_test(lies_are_not_believed),
		cmocka_unit_test(giant_sets_are_not_walked),
		cmocka_unit_test(contradictions_void_all),
		cmocka_unit_test(one_message_has_one_uid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
