/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "cache/index.h"
#include "cache/pages.h"

#define PAGE 4096
#define ODD (5 * PAGE + 100) /* it ends early in its sixth page */
#define AREAS 64

static void it_is_zeroed_and_whole_pages(void **state)
{
	(void)state;
	assert_int_equal(pages_round(1), PAGE);
	assert_int_equal(pages_round(PAGE), PAGE);
	assert_int_equal(pages_round(ODD), 6 * PAGE);
	for (int fill = 0; fill < 2; fill++) {
		char *p = pages_map(ODD, fill);

		assert_non_null(p);
		for (size_t i = 0; i < pages_round(ODD); i++)
			assert_int_equal(p[i], 0);
		memset(p, 1, pages_round(ODD));
		pages_unmap(p, ODD);
	}
}

static void no_memory_is_told(void **state)
{
	(void)state;
	assert_null(pages_map(SIZE_MAX / 2, false));
}

struct reader {
	char *p;
	atomic_bool over;
	pthread_mutex_t end;
	size_t found;
};

/* A thread that has read all of a mapping, gives it back, and does not end. */
static void *read_and_unmap(void *arg)
{
	struct reader *r = arg;

	for (size_t i = 0; i < ODD; i += 10)
		r->found += strnlen(r->p + i, 9);
	pages_unmap(r->p, ODD);
	atomic_store_explicit(&r->over, true, memory_order_relaxed);
	pthread_mutex_lock(&r->end);
	pthread_mutex_unlock(&r->end);
	return NULL;
}

/*
 * Nothing but the kernel says that what the reader gave back is another's now:
 * TSan must know it of every byte, or it reports a race.
 */
static void what_is_given_back_is_anybodys(void **state)
{
	struct reader r = {.end = PTHREAD_MUTEX_INITIALIZER};
	struct area area[AREAS] = {0};
	pthread_t thread;

	(void)state;
	for (int i = 0; i < AREAS; i++)
		assert_int_equal(area_reserve(&area[i], 1), 0);
	r.p = pages_map(ODD, true);
	assert_non_null(r.p);
	pthread_mutex_lock(&r.end);
	assert_int_equal(pthread_create(&thread, NULL, read_and_unmap, &r), 0);
	while (!atomic_load_explicit(&r.over, memory_order_relaxed))
		;
	/* One of them grows into its place. */
	for (int i = 0; i < AREAS; i++) {
		assert_int_equal(area_reserve(&area[i], 6 * PAGE), 0);
		memset(area[i].at, i + 1, 6 * PAGE);
	}
	pthread_mutex_unlock(&r.end);
	pthread_join(thread, NULL);
	for (int i = 0; i < AREAS; i++)
		area_free(&area[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_zeroed_and_whole_pages),
		cmocka_unit_test(no_memory_is_told),
		cmocka_unit_test(what_is_given_back_is_anybodys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
