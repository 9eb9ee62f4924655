/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cache/region.h"

#define PIECES 20000 /* several chunks */

static void pieces_are_aligned_zeroed_and_apart(void **state)
{
	static char *piece[PIECES];
	static char *text[PIECES];
	struct region r = {0};
	char want[16];

	(void)state;
	for (int i = 0; i < PIECES; i++) {
		piece[i] = region_get(&r, 40);
		assert_non_null(piece[i]);
		assert_int_equal((uintptr_t)piece[i] % alignof(max_align_t), 0);
		for (int k = 0; k < 40; k++)
			assert_int_equal(piece[i][k], 0);
		memset(piece[i], 1 + i % 100, 40);
		(void)snprintf(want, sizeof(want), "text %d", i);
		text[i] = region_text(&r, want);
		assert_non_null(text[i]);
	}
	for (int i = 0; i < PIECES; i++) {
		for (int k = 0; k < 40; k++)
			assert_int_equal(piece[i][k], 1 + i % 100);
		(void)snprintf(want, sizeof(want), "text %d", i);
		assert_string_equal(text[i], want);
	}
	region_free(&r);
}

static void large_and_impossible_ones(void **state)
{
	const size_t large = 3 << 20;
	struct region r = {0};
	char *p, *small;

	(void)state;
	small = region_text(&r, "");
	assert_string_equal(small, "");
	p = region_get(&r, large);
	assert_non_null(p);
	memset(p, 1, large);
	assert_null(region_get(&r, SIZE_MAX));
	assert_null(region_get(&r, SIZE_MAX / 2));
	assert_string_equal(region_text(&r, "behind"), "behind");
	assert_int_equal(p[large - 1], 1);
	region_free(&r);
	assert_string_equal(region_text(&r, "anew"), "anew");
	region_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_aligned_zeroed_and_apart),
		cmocka_unit_test(large_and_impossible_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
