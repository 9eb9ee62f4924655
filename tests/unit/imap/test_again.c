/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imap/again.h"

/* How long the watcher waits behind what, and when it leaves IDLE alone. */

#define HOUR_MS 3600000

static const struct again fresh = {.first_ms = 1000, .lost_max_ms = 120000};

static void a_line_lost_three_times_a_minute_is_watched_at_once(void **state)
{
	struct again a = fresh;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(again_lost(&a, 20000), 0);
}

static void a_server_that_cuts_soon_is_left_in_peace(void **state)
{
	struct again a = fresh;
	int64_t waited_ms = 0;
	unsigned logins = 0;

	(void)state;
	for (; waited_ms < HOUR_MS; logins++)
		waited_ms += 3000 + again_lost(&a, 3000);
	assert_in_range(logins, 30, 37);
}

static void a_refusal_is_waited_out_for_longer_than_a_loss(void **state)
{
	struct again a = fresh;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		(void)again_refused(&a, 0);
	assert_int_equal(again_refused(&a, 0), AGAIN_REFUSED_MAX_MS);
	assert_int_equal(again_lost(&a, 0), 120000);
}

static void one_good_watch_makes_up_for_all_short_ones(void **state)
{
	struct again a = fresh;

	(void)state;
	assert_int_equal(again_lost(&a, 5000), 1000);
	assert_int_equal(again_lost(&a, AGAIN_STEADY_MS - 1), 2000);
	assert_int_equal(again_refused(&a, 0), 4000);
	assert_int_equal(again_lost(&a, AGAIN_STEADY_MS), 0);
	assert_int_equal(again_lost(&a, 5000), 1000);
}

static void idle_is_left_alone_for_an_hour_after_three_failures(void **state)
{
	struct again a = fresh;

	(void)state;
	again_idle_ended(&a, -1, 1000);
	again_idle_ended(&a, 999, 2000);
	assert_true(again_may_idle(&a, 3000));
	again_idle_ended(&a, 0, 3000);
	assert_false(again_may_idle(&a, 3000));
	assert_false(again_may_idle(&a, 3000 + HOUR_MS - 1));
	assert_true(again_may_idle(&a, 3000 + HOUR_MS));
	/* What failed then is not given three tries again. */
	again_idle_ended(&a, 0, 4000 + HOUR_MS);
	assert_false(again_may_idle(&a, 4000 + HOUR_MS));
}

static void idle_that_was_good_meanwhile_has_not_failed(void **state)
{
	struct again a = fresh;

	(void)state;
	for (unsigned i = 0; i < 9; i++) {
		again_idle_ended(&a, -1, 1000);
		again_idle_ended(&a, 0, 1000);
		again_idle_ended(&a, 1000, 2000);
		again_idle_ended(&a, 0, 2000);
		again_idle_kept(&a);
	}
	assert_true(again_may_idle(&a, 2000));
}

static void idle_that_is_refused_is_not_tried_again_soon(void **state)
{
	struct again a = fresh;

	(void)state;
	again_idle_refused(&a, 1000);
	assert_false(again_may_idle(&a, 1000));
	assert_true(again_may_idle(&a, 1000 + HOUR_MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_line_lost_three_times_a_minute_is_watched_at_once),
		cmocka_unit_test(a_server_that_cuts_soon_is_left_in_peace),
		cmocka_unit_test(
			a_refusal_is_waited_out_for_longer_than_a_loss),
		cmocka_unit_test(one_good_watch_makes_up_for_all_short_ones),
		cmocka_unit_test(
			idle_is_left_alone_for_an_hour_after_three_failures),
		cmocka_unit_test(idle_that_was_good_meanwhile_has_not_failed),
		cmocka_unit_test(idle_that_is_refused_is_not_tried_again_soon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
