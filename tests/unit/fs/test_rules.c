/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "fs/ranges.h"
#include "fs/rules.h"

/* The rules of keeping up, and sets of UIDs. */

#define MINUTE 60000

/* --- entering --- */

static void a_folder_that_is_not_known_is_asked_for(void **state)
{
	const struct rules_enter e = {
		.now_ms = 5, .interval_ms = MINUTE, .watched = true};

	(void)state;
	assert_true(rules_must_ask(&e));
}

static void a_folder_is_asked_for_once_in_an_interval(void **state)
{
	struct rules_enter e = {.now_ms = 2 * MINUTE - 1,
				.known_ms = MINUTE,
				.interval_ms = MINUTE};

	(void)state;
	assert_false(rules_must_ask(&e));
	e.now_ms++;
	assert_true(rules_must_ask(&e));
	e.interval_ms = 10 * MINUTE;
	assert_false(rules_must_ask(&e));
}

static void a_watched_folder_is_not_asked_for(void **state)
{
	const struct rules_enter e = {.now_ms = 1000 * MINUTE,
				      .known_ms = MINUTE,
				      .interval_ms = MINUTE,
				      .watched = true};

	(void)state;
	assert_false(rules_must_ask(&e));
}

static void one_that_moved_since_is_asked_for_at_once(void **state)
{
	struct rules_enter e = {.now_ms = MINUTE + 1,
				.known_ms = MINUTE,
				.moved_ms = MINUTE,
				.interval_ms = MINUTE,
				.watched = true};

	(void)state;
	/* In the same millisecond: who knows which came first. */
	assert_true(rules_must_ask(&e));
	e.moved_ms = MINUTE - 1;
	assert_false(rules_must_ask(&e));
}

/* --- STATUS --- */

static const struct cache_state known = {.uidvalidity = 7,
					 .uidnext = 100,
					 .complete = true,
					 .highestmodseq = 55,
					 .messages = 42};

static struct mail_folder status(void)
{
	return (struct mail_folder){.has_status = true,
				    .uidvalidity = 7,
				    .uidnext = 100,
				    .highestmodseq = 55,
				    .messages = 42};
}

static void equal_numbers_say_that_nothing_moved(void **state)
{
	const struct mail_folder m = status();

	(void)state;
	assert_int_equal(rules_compare(&known, &m), RULES_UNMOVED);
}

static void any_other_number_says_that_something_moved(void **state)
{
	struct mail_folder m = status();

	(void)state;
	m.uidvalidity++;
	assert_int_equal(rules_compare(&known, &m), RULES_MOVED);
	m = status();
	m.messages--;
	assert_int_equal(rules_compare(&known, &m), RULES_MOVED);
	m = status();
	m.highestmodseq++;
	assert_int_equal(rules_compare(&known, &m), RULES_MOVED);
	/* A server whose HIGHESTMODSEQ stands still. */
	m = status();
	m.uidnext++;
	assert_int_equal(rules_compare(&known, &m), RULES_MOVED);
}

static void only_what_gmail_can_be_set_to_is_a_limit(void **state)
{
	static const uint32_t limits[] = {1000, 2000, 5000, 10000};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		assert_true(rules_is_limit(limits[i]));
		assert_false(rules_is_limit(limits[i] - 1));
		assert_false(rules_is_limit(limits[i] + 1));
	}
	assert_false(rules_is_limit(0));
	assert_false(rules_is_limit(3000));
}

static void without_modseq_flags_may_have_moved(void **state)
{
	struct mail_folder m = status();

	(void)state;
	m.highestmodseq = 0;
	assert_int_equal(rules_compare(&known, &m), RULES_UNKNOWN);
	m.messages++;
	assert_int_equal(rules_compare(&known, &m), RULES_MOVED);
	m = status();
	m.has_status = false;
	assert_int_equal(rules_compare(&known, &m), RULES_UNKNOWN);
	m = status();
	m.uidnext = 0;
	assert_int_equal(rules_compare(&known, &m), RULES_UNKNOWN);
}

/* --- what is gone --- */

static void a_few_that_the_server_names_are_gone(void **state)
{
	struct rules_gone g = {.known = 1000, .gone = 100, .messages = 900};

	(void)state;
	assert_int_equal(rules_judge(&g), RULES_BELIEVE);
	g.gone = 0;
	assert_int_equal(rules_judge(&g), RULES_BELIEVE);
	/* All of a small folder, and half of a large one. */
	g = (struct rules_gone){.known = 100, .gone = 100};
	assert_int_equal(rules_judge(&g), RULES_BELIEVE);
	g = (struct rules_gone){.known = 1000, .gone = 500, .messages = 500};
	assert_int_equal(rules_judge(&g), RULES_BELIEVE);
}

static void most_of_a_folder_is_gone_if_it_is_said_twice(void **state)
{
	struct rules_gone g = {.known = 1000, .gone = 501, .messages = 499};

	(void)state;
	assert_int_equal(rules_judge(&g), RULES_ASK_AGAIN);
	g.by_absence = true;
	g.named = 499;
	assert_int_equal(rules_judge(&g), RULES_ASK_AGAIN);
	g.second = true;
	assert_int_equal(rules_judge(&g), RULES_BELIEVE);
}

static void most_of_a_folder_is_not_gone_if_it_was_counted(void **state)
{
	const struct rules_gone g = {.known = 1000,
				     .gone = 501,
				     .by_absence = true,
				     .named = 499,
				     .messages = 1000,
				     .second = true};

	(void)state;
	assert_int_equal(rules_judge(&g), RULES_REFUSE);
}

static void a_few_that_were_counted_are_gone_the_next_time(void **state)
{
	struct rules_gone g = {.known = 1000,
			       .gone = 3,
			       .by_absence = true,
			       .named = 997,
			       .messages = 1000};

	(void)state;
	assert_int_equal(rules_judge(&g), RULES_DOUBT);
	g.doubted = true;
	assert_int_equal(rules_judge(&g), RULES_BELIEVE);
	g.doubted = false;
	g.messages = 997;
	assert_int_equal(rules_judge(&g), RULES_BELIEVE);
}

/* Who names what vanished may forget one, and never names it again. */
static void what_is_not_counted_is_asked_for_plainly(void **state)
{
	struct rules_gone g = {.known = 10, .here = 10, .messages = 9};

	(void)state;
	assert_int_equal(rules_judge(&g), RULES_RECOUNT);
	g.gone = 1;
	assert_int_equal(rules_judge(&g), RULES_RECOUNT);
	g.here = 9;
	assert_int_equal(rules_judge(&g), RULES_BELIEVE);
	g.here = 10;
	g.miscounts = true;
	assert_int_equal(rules_judge(&g), RULES_BELIEVE);
	/* Who names what is there has named one too many: it is there. */
	g = (struct rules_gone){.known = 10,
				.here = 10,
				.by_absence = true,
				.named = 10,
				.messages = 9,
				.second = true};
	assert_int_equal(rules_judge(&g), RULES_BELIEVE);
}

/* --- sets of UIDs --- */

static void a_set_has_what_was_added_in_any_order(void **state)
{
	struct ranges r = {0};

	(void)state;
	assert_false(ranges_has(&r, 1));
	assert_int_equal(ranges_count(&r), 0);
	assert_int_equal(ranges_add(&r, 50, 60), 0);
	assert_int_equal(ranges_add(&r, 10, 20), 0);
	assert_int_equal(ranges_add(&r, 21, 30), 0);
	assert_int_equal(ranges_add(&r, 55, 70), 0);
	assert_int_equal(ranges_add(&r, UINT32_MAX, UINT32_MAX), 0);
	assert_int_equal(ranges_count(&r), 21 + 21 + 1);
	assert_int_equal(ranges_count_below(&r, 15), 5);
	assert_int_equal(ranges_count_below(&r, 31), 21);
	assert_false(ranges_has(&r, 9));
	assert_true(ranges_has(&r, 10));
	assert_true(ranges_has(&r, 30));
	assert_false(ranges_has(&r, 31));
	assert_true(ranges_has(&r, 70));
	assert_false(ranges_has(&r, 71));
	assert_true(ranges_has(&r, UINT32_MAX));
	ranges_clear(&r);
	assert_false(ranges_has(&r, 10));
}

static void the_whole_of_all_uids_is_one_range(void **state)
{
	struct ranges r = {0};

	(void)state;
	assert_int_equal(ranges_add(&r, 1, UINT32_MAX), 0);
	assert_int_equal(ranges_add(&r, 7, 7), 0);
	assert_int_equal(r.n, 1);
	assert_int_equal(ranges_count(&r), UINT32_MAX);
	ranges_clear(&r);
}

static void neighbours_and_repetitions_take_no_room(void **state)
{
	struct ranges r = {0};

	(void)state;
	for (uint32_t i = 1; i <= 100000; i++)
		assert_int_equal(ranges_add(&r, i, i), 0);
	assert_int_equal(r.n, 1);
	for (int again = 0; again < 100; again++)
		for (uint32_t i = 0; i < 100; i++)
			assert_int_equal(ranges_add(&r, 200000 + 10 * i,
						    200000 + 10 * i),
					 0);
	assert_int_equal(ranges_count(&r), 100100);
	assert_true(r.size <= 512);
	ranges_clear(&r);
}

static void a_set_is_what_a_table_of_bits_is(void **state)
{
	struct ranges r = {0};
	bool in[500] = {false};
	unsigned seed = 4711;
	uint64_t n = 0;

	(void)state;
	for (int i = 0; i < 60; i++) {
		uint32_t first, last;

		seed = seed * 1103515245 + 12345;
		first = 1 + (seed >> 8) % 480;
		last = first + (seed >> 20) % 9;
		assert_int_equal(ranges_add(&r, first, last), 0);
		for (uint32_t u = first; u <= last; u++)
			in[u] = true;
		if (i % 7 == 0)
			(void)ranges_count(&r);
	}
	for (uint32_t u = 0; u < 500; u++) {
		assert_int_equal(ranges_has(&r, u), in[u]);
		n += in[u];
	}
	assert_int_equal(ranges_count(&r), n);
	ranges_clear(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_folder_that_is_not_known_is_asked_for),
		cmocka_unit_test(a_folder_is_asked_for_once_in_an_interval),
		cmocka_unit_test(a_watched_folder_is_not_asked_for),
		cmocka_unit_test(one_that_moved_since_is_asked_for_at_once),
		cmocka_unit_test(equal_numbers_say_that_nothing_moved),
		cmocka_unit_test(any_other_number_says_that_something_moved),
		cmocka_unit_test(without_modseq_flags_may_have_moved),
		cmocka_unit_test(only_what_gmail_can_be_set_to_is_a_limit),
		cmocka_unit_test(a_few_that_the_server_names_are_gone),
		cmocka_unit_test(most_of_a_folder_is_gone_if_it_is_said_twice),
		cmocka_unit_test(
			most_of_a_folder_is_not_gone_if_it_was_counted),
		cmocka_unit_test(
			a_few_that_were_counted_are_gone_the_next_time),
		cmocka_unit_test(what_is_not_counted_is_asked_for_plainly),
		cmocka_unit_test(a_set_has_what_was_added_in_any_order),
		cmocka_unit_test(the_whole_of_all_uids_is_one_range),
		cmocka_unit_test(neighbours_and_repetitions_take_no_room),
		cmocka_unit_test(a_set_is_what_a_table_of_bits_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
