/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "imap/grammar.h"
#include "imap/set.h"

/*
 * Sets of message numbers, and the responses that carry them: VANISHED, SEARCH,
 * ESEARCH. A set costs what its text costs, and ends where it makes no sense.
 */

/* The runs of a set as "1-3 7-7", then " bad" if it is none to its end. */
static const char *walk(struct scan at)
{
	static char text[256];
	struct set_run run;
	struct set set;
	size_t n = 0;
	int r;

	text[0] = '\0';
	set_begin(&set, &at);
	while ((r = set_next(&set, &run)) > 0)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%u-%u",
				      n > 0 ? " " : "", run.first, run.last);
	if (r < 0) {
		assert_int_equal(r, -EBADMSG);
		(void)snprintf(text + n, sizeof(text) - n, "%sbad",
			       n > 0 ? " " : "");
	}
	return text;
}

static const char *set(const char *text)
{
	struct scan at = {.p = text, .end = text + strlen(text)};

	return walk(at);
}

static struct response response(const char *text)
{
	struct response r;

	grammar_classify(text, strlen(text), &r);
	return r;
}

static void runs_come_in_their_order(void **state)
{
	(void)state;
	assert_string_equal(set("5"), "5-5");
	assert_string_equal(set("1:3,7"), "1-3 7-7");
	assert_string_equal(set("9:7,1,2"), "9-7 1-1 2-2");
	assert_string_equal(set("1:4294967295"), "1-4294967295");
	assert_string_equal(set("3:5) more"), "3-5");
	assert_string_equal(set("3:5 more"), "3-5");
	assert_string_equal(set(""), "");
	assert_string_equal(set(" 5"), "");
}

static void what_is_no_set_says_so(void **state)
{
	(void)state;
	assert_string_equal(set("*"), "bad");
	assert_string_equal(set("1:*"), "bad");
	assert_string_equal(set("0"), "bad");
	assert_string_equal(set("0:5"), "bad");
	assert_string_equal(set("5:0"), "bad");
	assert_string_equal(set(",5"), "bad");
	assert_string_equal(set("5,"), "5-5 bad");
	assert_string_equal(set("5,,6"), "5-5 bad");
	assert_string_equal(set("5:"), "bad");
	assert_string_equal(set("5x"), "5-5 bad");
	assert_string_equal(set("5:6:7"), "5-6 bad");
	assert_string_equal(set("-1"), "bad");
	assert_string_equal(set("4294967296"), "bad");
	assert_string_equal(set("99999999999999999999"), "bad");
}

static void a_run_is_counted_without_being_walked(void **state)
{
	struct set_run all = {UINT32_MAX, 1};

	(void)state;
	assert_int_equal(set_count(all), UINT32_MAX);
	assert_int_equal(set_range(all).first, 1);
	assert_int_equal(set_range(all).last, UINT32_MAX);
	assert_int_equal(set_count((struct set_run){7, 7}), 1);
}

static void vanished_is_read(void **state)
{
	struct response r = response("* VANISHED (EARLIER) 41,43:116\r\n");
	bool earlier = false;

	(void)state;
	assert_int_equal(r.kind, RESPONSE_VANISHED);
	assert_string_equal(walk(grammar_vanished(&r, &earlier)),
			    "41-41 43-116");
	assert_true(earlier);
	r = response("* vanished ( earlier )  7\r\n");
	assert_string_equal(walk(grammar_vanished(&r, &earlier)), "7-7");
	assert_true(earlier);
	r = response("* VANISHED 405\r\n");
	assert_string_equal(walk(grammar_vanished(&r, &earlier)), "405-405");
	assert_false(earlier);
	r = response("* VANISHED (LATER) 4\r\n");
	assert_string_equal(walk(grammar_vanished(&r, &earlier)), "4-4");
	assert_false(earlier);
	r = response("* VANISHED\r\n");
	assert_string_equal(walk(grammar_vanished(&r, &earlier)), "");
}

static void esearch_is_read(void **state)
{
	struct response r = response("* ESEARCH (TAG \"A12\") UID MIN 2 COUNT "
				     "5 ALL 2,10:13 MAX 13 MODSEQ 917\r\n");
	struct esearch e;

	(void)state;
	assert_true(grammar_esearch(&r, &e));
	assert_int_equal(e.n_tag, 3);
	assert_memory_equal(e.tag, "A12", 3);
	assert_true(e.has_uids);
	assert_string_equal(walk(e.all), "2-2 10-13");
	assert_int_equal(e.max, 13);
	r = response("* ESEARCH (TAG A1)\r\n");
	assert_true(grammar_esearch(&r, &e));
	assert_int_equal(e.n_tag, 2);
	assert_false(e.has_uids);
	assert_true(scan_at_end(&e.all));
	r = response("* ESEARCH\r\n");
	assert_true(grammar_esearch(&r, &e));
	assert_int_equal(e.n_tag, 0);
	/* Whose value is a list: skipped (RFC 4466). */
	r = response("* ESEARCH (TAG \"A1\") UID RELEVANCY (4 (5)) ALL 6\r\n");
	assert_true(grammar_esearch(&r, &e));
	assert_string_equal(walk(e.all), "6-6");
}

static void a_bad_esearch_is_none(void **state)
{
	static const char *const bad[] = {
		"* ESEARCH (TAG) UID ALL 5\r\n",
		"* ESEARCH (A1) UID ALL 5\r\n",
		"* ESEARCH (TAG \"A1\" x) UID ALL 5\r\n",
		"* ESEARCH (TAG \"A1\") UID ALL\r\n",
		"* ESEARCH (TAG \"A1\") ) ALL 5\r\n",
	};
	struct esearch e;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct response r = response(bad[i]);

		assert_false(grammar_esearch(&r, &e));
	}
}

static void a_search_is_read_to_its_modseq(void **state)
{
	struct response r = response("* SEARCH 2  84 882 (MODSEQ 917)\r\n");
	uint32_t v = 0;

	(void)state;
	assert_int_equal(grammar_search_next(&r.rest, &v), 1);
	assert_int_equal(v, 2);
	assert_int_equal(grammar_search_next(&r.rest, &v), 1);
	assert_int_equal(grammar_search_next(&r.rest, &v), 1);
	assert_int_equal(v, 882);
	assert_int_equal(grammar_search_next(&r.rest, &v), 0);
	r = response("* SEARCH\r\n");
	assert_int_equal(grammar_search_next(&r.rest, &v), 0);
	r = response("* SEARCH 5 six\r\n");
	assert_int_equal(grammar_search_next(&r.rest, &v), 1);
	assert_int_equal(grammar_search_next(&r.rest, &v), -EBADMSG);
	r = response("* SEARCH 4294967296\r\n");
	assert_int_equal(grammar_search_next(&r.rest, &v), -EBADMSG);
}

static uint32_t search_max(const char *text)
{
	struct response r;

	grammar_classify(text, strlen(text), &r);
	return grammar_search_max(&r);
}

static void searches_give_their_greatest(void **state)
{
	(void)state;
	assert_int_equal(search_max("* SEARCH 3 9 4 (MODSEQ 99)\r\n"), 9);
	assert_int_equal(search_max("* SEARCH\r\n"), 0);
	assert_int_equal(search_max("* SEARCH 99999999999\r\n"), 0);
	assert_int_equal(
		search_max("* ESEARCH (TAG \"A1\") UID MIN 1 MAX 17\r\n"), 17);
	assert_int_equal(search_max("* ESEARCH (TAG \"A1\")\r\n"), 0);
	assert_int_equal(search_max("* ESEARCH MAX -3\r\n"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_come_in_their_order),
		cmocka_unit_test(what_is_no_set_says_so),
		cmocka_unit_test(a_run_is_counted_without_being_walked),
		cmocka_unit_test(vanished_is_read),
		cmocka_unit_test(esearch_is_read),
		cmocka_unit_test(a_bad_esearch_is_none),
		cmocka_unit_test(a_search_is_read_to_its_modseq),
		cmocka_unit_test(searches_give_their_greatest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
