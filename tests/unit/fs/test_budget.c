/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

#include "fs/budget_private.h"
#include "imap/log.h"

/*
 * What may be fetched and sent, with a clock and a meter of the test: nobody
 * waits a day, and no byte is moved.
 */

#define NOON 1700000000
#define MB 1000000u

static int64_t now;
static struct imap_traffic moved;
static bool counts;

static int64_t test_clock(void)
{
	return now;
}

static bool test_meter(const struct fs *fs, struct imap_traffic *ret)
{
	(void)fs;
	*ret = moved;
	return counts;
}

/* As after a mount: nothing has been moved. */
static void open_budget(struct fs *fs)
{
	moved = (struct imap_traffic){0};
	assert_int_equal(budget_new(fs, &fs->budget), 0);
	fs->budget->clock = test_clock;
	fs->budget->meter = test_meter;
}

static void reopen(struct world *w)
{
	budget_free(w->fs.budget);
	world_close(w);
	world_open(w);
	open_budget(&w->fs);
}

static int setup(void **state)
{
	struct world *w;
	int r = world_setup(state);

	w = *state;
	now = NOON;
	counts = true;
	log_setup(LOG_LEVEL_INFO, LOG_TO_NOWHERE);
	open_budget(&w->fs);
	return r;
}

static int teardown(void **state)
{
	struct world *w = *state;

	budget_free(w->fs.budget);
	return world_teardown(state);
}

/* How often was this said since the program was started? */
static unsigned said(const char *text)
{
	char *log = log_snapshot(NULL);
	unsigned n = 0;

	assert_non_null(log);
	for (const char *at = log; (at = strstr(at, text)); at++)
		n++;
	free(log);
	return n;
}

static void expect(struct fs *fs, bool ahead, bool read, bool send)
{
	assert_int_equal(budget_ahead_left(fs) > 0, ahead);
	assert_int_equal(budget_may_read(fs), read);
	assert_int_equal(budget_may_send(fs, 1, 0), send);
}

static struct budget_report report(struct fs *fs)
{
	struct budget_report r;

	assert_true(budget_get(fs, &r));
	return r;
}

static void gmail_has_the_limits_of_google(void **state)
{
	struct world *w = *state;
	struct fs *fs = &w->fs;

	moved.in = 1499 * MB;
	expect(fs, true, true, true);
	assert_int_equal(budget_ahead_left(fs), MB);
	moved.in = 1500 * MB;
	expect(fs, false, true, true);
	moved.in = 2449 * MB;
	expect(fs, false, true, true);
	moved.in = 2450 * MB;
	expect(fs, false, false, true);
	moved.out = 500 * MB;
	expect(fs, false, false, false);
	assert_int_equal(report(fs).down_limit, 2500 * MB);
	assert_int_equal(report(fs).up_limit, 500 * MB);
}

static void other_servers_have_none(void **state)
{
	struct world *w = *state;
	struct budget_report r;

	counts = false;
	moved.in = moved.out = 1ULL << 50;
	expect(&w->fs, true, true, true);
	assert_false(budget_get(&w->fs, &r));
	assert_int_equal(budget_save(&w->fs, 1), CLOCK_NEVER);
	/* Nor if there was one in a mount before. */
	counts = true;
	expect(&w->fs, false, false, false);
	assert_int_equal(budget_save(&w->fs, 1), 1 + BUDGET_SAVE_MS);
	reopen(w);
	counts = false;
	expect(&w->fs, true, true, true);
	assert_int_equal(report(&w->fs).down_limit, 0);
	assert_int_equal(report(&w->fs).day.down, 1ULL << 50);
}

static void the_next_day_begins_anew(void **state)
{
	struct world *w = *state;
	struct fs *fs = &w->fs;

	moved.in = 2450 * MB;
	moved.out = 500 * MB;
	expect(fs, false, false, false);
	assert_int_equal(report(fs).until, NOON + BUDGET_DAY_S);
	now += BUDGET_DAY_S - 1;
	expect(fs, false, false, false);
	assert_int_equal(budget_wait_ms(fs), 1000);
	now++;
	expect(fs, true, true, true);
	assert_int_equal(report(fs).until, 0);
	assert_int_equal(report(fs).day.down, 0);
	moved.in += 2450 * MB;
	expect(fs, false, false, true);
	assert_int_equal(report(fs).day.begun_at, NOON + BUDGET_DAY_S);
}

static void each_stop_is_said_once_a_day(void **state)
{
	static const char *const words[] = {"nothing is fetched before",
					    "cannot be read until",
					    "new messages wait until"};
	struct world *w = *state;
	unsigned before[3];

	for (int i = 0; i < 3; i++)
		before[i] = said(words[i]);
	moved.in = 2450 * MB;
	moved.out = 500 * MB;
	for (unsigned day = 1; day <= 2; day++) {
		for (int i = 0; i < 5; i++)
			expect(&w->fs, false, false, false);
		for (int i = 0; i < 3; i++)
			assert_int_equal(said(words[i]), before[i] + day);
		now += BUDGET_DAY_S;
		moved.in += 2450 * MB;
		moved.out += 500 * MB;
	}
}

static void a_message_that_does_not_fit_waits(void **state)
{
	struct world *w = *state;
	struct fs *fs = &w->fs;

	moved.out = 400 * MB;
	assert_true(budget_may_send(fs, 100 * MB, 0));
	assert_false(budget_may_send(fs, 100 * MB + 1, 0));
	assert_int_equal(report(fs).until, 0);
	assert_int_equal(budget_wait_ms(fs), BUDGET_LOOK_MS);
	assert_true(budget_may_send(fs, 60 * MB, 40 * MB));
	assert_false(budget_may_send(fs, 60 * MB, 41 * MB));
	assert_false(budget_may_send(fs, UINT64_MAX, UINT64_MAX));
}

static void one_that_is_larger_than_the_limit_goes_alone(void **state)
{
	struct world *w = *state;
	struct fs *fs = &w->fs;

	moved.out = 49 * MB;
	assert_true(budget_may_send(fs, 600 * MB, 0));
	assert_false(budget_may_send(fs, 600 * MB, 1));
	moved.out = 50 * MB;
	assert_false(budget_may_send(fs, 600 * MB, 0));
}

static void counts_outlive_the_program(void **state)
{
	struct world *w = *state;

	moved.in = 1400 * MB;
	moved.out = 7;
	assert_int_equal(budget_save(&w->fs, 1), 1 + BUDGET_SAVE_MS);
	reopen(w);
	now += 3600;
	moved.in = 100 * MB;
	expect(&w->fs, false, true, true);
	assert_int_equal(report(&w->fs).day.down, 1500 * MB);
	assert_int_equal(report(&w->fs).day.up, 7);
	assert_int_equal(report(&w->fs).day.begun_at, NOON);
	assert_int_equal(budget_save(&w->fs, 1), 1 + BUDGET_SAVE_MS);
	reopen(w);
	now = NOON + BUDGET_DAY_S;
	expect(&w->fs, true, true, true);
}

static void the_option_sets_other_limits(void **state)
{
	struct world *w = *state;

	w->opt.has_daily = true;
	w->opt.daily_down = 10 * MB;
	reopen(w);
	moved.in = 6 * MB;
	moved.out = 1ULL << 50;
	expect(&w->fs, false, true, true);
	w->opt.daily_down = 0;
	reopen(w);
	moved.in = 1ULL << 50;
	expect(&w->fs, true, true, true);
	assert_int_equal(report(&w->fs).day.down, 1ULL << 50);
}

static void a_refusal_of_the_server_is_a_pause(void **state)
{
	struct world *w = *state;
	struct fs *fs = &w->fs;
	unsigned before = said("the server says that a limit");

	counts = false;
	budget_fetched(fs, -ENOTCONN);
	expect(fs, true, true, true);
	for (int i = 0; i < 3; i++)
		budget_fetched(fs, -EDQUOT);
	expect(fs, false, false, true);
	assert_int_equal(said("the server says that a limit"), before + 1);
	assert_int_equal(report(fs).until, NOON + BUDGET_PAUSE_S);
	now += BUDGET_PAUSE_S - 1;
	expect(fs, false, false, true);
	now++;
	expect(fs, true, true, true);
}

static void pauses_grow_until_a_body_comes(void **state)
{
	struct world *w = *state;
	struct fs *fs = &w->fs;
	int64_t pause = BUDGET_PAUSE_S;

	for (int i = 0; i < 20; i++) {
		budget_fetched(fs, -EDQUOT);
		assert_int_equal(report(fs).until, now + pause);
		now += pause;
		pause = clock_earlier(2 * pause, BUDGET_PAUSE_MAX_S);
	}
	budget_fetched(fs, 0);
	budget_fetched(fs, -EDQUOT);
	assert_int_equal(report(fs).until, now + BUDGET_PAUSE_S);
	/* The clock is set back: nobody waits for it to come again. */
	now -= 1000000;
	expect(fs, true, true, true);
}

static void near_its_limits_only_what_is_read_is_fetched(void **state)
{
	struct world *w = *state;
	struct fs *fs = &w->fs;
	unsigned before = said("the account is near its limits");
	int64_t pause = BUDGET_PAUSE_S;

	for (int i = 0; i < 3; i++) {
		for (int again = 0; again < 3; again++) {
			moved.throttled++;
			expect(fs, false, true, true);
			/* It was read, and the server had nothing against. */
			budget_fetched(fs, 0);
		}
		assert_true(report(fs).near_limits && report(fs).ahead_stops);
		assert_int_equal(report(fs).until, now + pause);
		now += pause - 1;
		expect(fs, false, true, true);
		now++;
		expect(fs, true, true, true);
		assert_false(report(fs).near_limits);
		pause *= 2;
	}
	assert_int_equal(said("the account is near its limits"), before + 3);
	budget_fetched(fs, 0);
	moved.throttled++;
	assert_int_equal(report(fs).until, now + BUDGET_PAUSE_S);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(gmail_has_the_limits_of_google),
		TEST(other_servers_have_none),
		TEST(the_next_day_begins_anew),
		TEST(each_stop_is_said_once_a_day),
		TEST(a_message_that_does_not_fit_waits),
		TEST(one_that_is_larger_than_the_limit_goes_alone),
		TEST(counts_outlive_the_program),
		TEST(the_option_sets_other_limits),
		TEST(a_refusal_of_the_server_is_a_pause),
		TEST(pauses_grow_until_a_body_comes),
		TEST(near_its_limits_only_what_is_read_is_fetched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
