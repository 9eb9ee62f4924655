/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <string.h>

#include "cache/budget.h"
#include "scene.h"

/* The bytes of a day: when it ends, and what of it outlives the program. */

#define NOON 1700000000
#define HOUR 3600

static void expect(const struct budget_day *d, int64_t begun_at, uint64_t down,
		   uint64_t up)
{
	assert_int_equal(d->begun_at, begun_at);
	assert_int_equal(d->down, down);
	assert_int_equal(d->up, up);
}

static void a_day_is_24_hours_from_its_first_byte(void **state)
{
	struct budget_day d = {0};

	(void)state;
	budget_day_add(&d, NOON, 0, 0);
	expect(&d, 0, 0, 0);
	budget_day_add(&d, NOON + HOUR, 0, 7);
	budget_day_add(&d, NOON + 2 * HOUR, 100, 3);
	expect(&d, NOON + HOUR, 100, 10);
	budget_day_add(&d, NOON + 25 * HOUR - 1, 1, 0);
	expect(&d, NOON + HOUR, 101, 10);
	budget_day_add(&d, NOON + 25 * HOUR, 0, 0);
	expect(&d, 0, 0, 0);
	budget_day_add(&d, NOON + 30 * HOUR, 5, 0);
	expect(&d, NOON + 30 * HOUR, 5, 0);
	/* Bytes that come a day later are of their own day. */
	budget_day_add(&d, NOON + 60 * HOUR, 6, 1);
	expect(&d, NOON + 60 * HOUR, 6, 1);
}

static void a_clock_that_is_set_back_makes_no_longer_day(void **state)
{
	struct budget_day d = {0};

	(void)state;
	budget_day_add(&d, NOON + 1000000, 100, 10);
	budget_day_add(&d, NOON, 1, 1);
	expect(&d, NOON, 101, 11);
	budget_day_add(&d, NOON + BUDGET_DAY_S, 0, 0);
	expect(&d, 0, 0, 0);
}

static void counts_do_not_wrap(void **state)
{
	struct budget_day d = {0};

	(void)state;
	budget_day_add(&d, NOON, UINT64_MAX, BUDGET_BYTES_MAX - 1);
	expect(&d, NOON, BUDGET_BYTES_MAX, BUDGET_BYTES_MAX - 1);
	budget_day_add(&d, NOON, UINT64_MAX, 5);
	expect(&d, NOON, BUDGET_BYTES_MAX, BUDGET_BYTES_MAX);
}

static void what_was_counted_outlives_the_program(void **state)
{
	struct budget_day d = {NOON, 123456789012, 42}, back;
	struct scene *s = *state;

	assert_false(cache_load_budget(s->c, &back));
	expect(&back, 0, 0, 0);
	assert_int_equal(cache_save_budget(s->c, &d), 0);
	d.down++;
	assert_int_equal(cache_save_budget(s->c, &d), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(cache_load_budget(s->c, &back));
		expect(&back, NOON, 123456789013, 42);
		scene_reopen(s);
	}
}

static void what_cannot_be_believed_counts_as_nothing(void **state)
{
	static const char *const values[] = {
		"''",
		"'x'",
		"NULL",
		"x'00'",
		"-1",
		"1.5",
		"'1700000000'",
		"'1700000000 1'",
		"'1700000000 1 '",
		"'1700000000 1 2 '",
		"'1700000000 1 2 3'",
		"'1700000000  1 2'",
		"' 1700000000 1 2'",
		"'-1700000000 1 2'",
		"'1700000000 -1 2'",
		"'1700000000 1 -2'",
		"'1700000000 +1 2'",
		"'1700000000 1 0x2'",
		"'1700000000 1,2 3'",
		"'0 1 2'",
		"'99999999999999999999 1 2'",
		"'9223372036854775807 1 2'",
		"'1700000000 1152921504606846977 2'",
		"'1700000000 1 18446744073709551616'",
		"zeroblob(1000000)",
	};
	struct budget_day d = {NOON, 1, 2}, back;
	struct scene *s = *state;
	char sql[200];

	assert_int_equal(cache_save_budget(s->c, &d), 0);
	scene_reopen(s);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		snprintf(sql, sizeof(sql),
			 "UPDATE vals SET value = %s "
			 "WHERE key = 'x-bytes-today'",
			 values[i]);
		scene_sql(s, sql);
		memset(&back, 0x5a, sizeof(back));
		if (cache_load_budget(s->c, &back))
			fail_msg("believed: %s", values[i]);
		expect(&back, 0, 0, 0);
	}
	/* The statement above does reach it. */
	scene_sql(s, "UPDATE vals SET value = '1700000009 0 "
		     "1152921504606846976' WHERE key = 'x-bytes-today'");
	assert_true(cache_load_budget(s->c, &back));
	expect(&back, NOON + 9, 0, BUDGET_BYTES_MAX);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_day_is_24_hours_from_its_first_byte),
		cmocka_unit_test(a_clock_that_is_set_back_makes_no_longer_day),
		cmocka_unit_test(counts_do_not_wrap),
		TEST(what_was_counted_outlives_the_program),
		TEST(what_cannot_be_believed_counts_as_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
