/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "imap/lock.h"

/*
 * Locks are taken here in ways that clang's analysis forbids, which is the
 * point; so it is off for the functions that do it.
 */

static struct lock low;
static struct lock high;
static struct lock low_twin;
static struct lock twin; /* of `high` */
static struct lock_cond cond;
static bool flag;

/* Does `f` abort the process? */
static bool aborts(void (*f)(void))
{
	const struct rlimit none = {0, 0};
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &none);
		(void)signal(SIGABRT, SIG_DFL);
		(void)close(STDERR_FILENO);
		f();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

NO_LOCK_ANALYSIS static void take_upwards(void)
{
	lock_take(&low);
	lock_take(&high);
	lock_drop(&low); /* any order of release */
	lock_drop(&high);
	lock_assert_none();
}

NO_LOCK_ANALYSIS static void take_downwards(void)
{
	lock_take(&high);
	lock_take(&low);
}

NO_LOCK_ANALYSIS static void take_twice(void)
{
	lock_take(&low);
	lock_take(&low);
}

NO_LOCK_ANALYSIS static void take_both(void)
{
	lock_take_both(&twin, &high);
	lock_drop(&twin);
	lock_drop(&high);
	lock_assert_none();
}

NO_LOCK_ANALYSIS static void take_both_downwards(void)
{
	lock_take(&high);
	lock_take_both(&low, &low_twin);
}

NO_LOCK_ANALYSIS static void take_twins_apart(void)
{
	lock_take(&high);
	lock_take(&twin);
}

NO_LOCK_ANALYSIS static void enter_a_door_locked(void)
{
	lock_take(&low);
	lock_assert_none();
}

NO_LOCK_ANALYSIS static void drop_what_is_not_held(void)
{
	lock_drop(&low);
}

static void ranks_are_taken_upwards_only(void **state)
{
	(void)state;
	assert_false(aborts(take_upwards));
#ifndef NDEBUG
	assert_true(aborts(take_downwards));
	assert_true(aborts(take_twice));
	assert_true(aborts(drop_what_is_not_held));
#endif
}

/* One thread takes them one way round, one the other. */
static void *take_both_often(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		if (arg)
			lock_take_both(&high, &twin);
		else
			lock_take_both(&twin, &high);
		flag = !flag;
		lock_drop(&high);
		lock_drop(&twin);
	}
	return NULL;
}

static void two_of_a_rank_are_taken_together_only(void **state)
{
	pthread_t thread;

	(void)state;
	assert_false(aborts(take_both));
#ifndef NDEBUG
	assert_true(aborts(take_both_downwards));
	assert_true(aborts(take_twins_apart));
#endif
	assert_int_equal(pthread_create(&thread, NULL, take_both_often, NULL),
			 0);
	(void)take_both_often(&flag);
	pthread_join(thread, NULL);
}

static void a_door_is_not_entered_with_a_lock(void **state)
{
	(void)state;
#ifndef NDEBUG
	assert_true(aborts(enter_a_door_locked));
#endif
	lock_assert_none();
}

static void a_wait_ends_at_its_deadline(void **state)
{
	int64_t start = clock_now_ms();

	(void)state;
	lock_take(&low);
	while (lock_cond_wait(&cond, &low, start + 30))
		;
	lock_drop(&low);
	assert_true(clock_now_ms() >= start + 30);
	lock_assert_none();
}

static void *wake(void *arg)
{
	(void)arg;
	lock_take(&low);
	flag = true;
	lock_cond_wake(&cond);
	lock_drop(&low);
	return NULL;
}

static void a_waiter_is_woken(void **state)
{
	pthread_t thread;

	(void)state;
	flag = false;
	assert_int_equal(pthread_create(&thread, NULL, wake, NULL), 0);
	lock_take(&low);
	while (!flag)
		(void)lock_cond_wait(&cond, &low, CLOCK_NEVER);
	lock_drop(&low);
	pthread_join(thread, NULL);
}

static int set_up(void **state)
{
	(void)state;
	lock_init(&low, RANK_TREE);
	lock_init(&high, RANK_LOG);
	lock_init(&twin, RANK_LOG);
	lock_init(&low_twin, RANK_TREE);
	lock_cond_init(&cond);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	lock_cond_finish(&cond);
	lock_finish(&low);
	lock_finish(&high);
	lock_finish(&twin);
	lock_finish(&low_twin);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranks_are_taken_upwards_only),
		cmocka_unit_test(two_of_a_rank_are_taken_together_only),
		cmocka_unit_test(a_door_is_not_entered_with_a_lock),
		cmocka_unit_test(a_wait_ends_at_its_deadline),
		cmocka_unit_test(a_waiter_is_woken),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
