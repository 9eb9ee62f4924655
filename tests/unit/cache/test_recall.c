/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "scene.h"

#include "cache/recall.h"

#include <stdlib.h>

/* Header fields that are known of a message under another label. */

static struct mail_row row_of(uint64_t gm_msgid, uint64_t size)
{
	return (struct mail_row){.has = ROW_UID | ROW_SIZE | ROW_GM,
				 .uid = 5,
				 .size = size,
				 .gm_msgid = gm_msgid};
}

/* Is something known of such a message? */
static bool is_known(struct scene *s, uint64_t gm_msgid, uint64_t size)
{
	struct mail_row row = row_of(gm_msgid, size);
	struct cache_details *d;
	bool known;

	cache_recall(s->c, &row, 1, true, &d);
	known = d != NULL;
	free(d);
	return known;
}

static void fields_are_those_of_the_other_copy(void **state)
{
	struct scene *s = *state;
	struct mail_row rows[3] = {row_of(8, 1001), row_of(7, 1001),
				   row_of(0, 1001)};
	struct cache_details *d[3];

	scene_box(s);
	(void)scene_add_gm(s, 1, "a.eml", 7);
	cache_recall(s->c, rows, 3, true, d);
	assert_null(d[0]);
	assert_null(d[2]);
	assert_non_null(d[1]);
	assert_string_equal(d[1]->field[FIELD_SUBJECT], "Hello");
	assert_string_equal(d[1]->field[FIELD_FROM], "a@b");
	assert_null(d[1]->field[FIELD_CC]);
	free(d[1]);
}

static void another_size_is_another_message(void **state)
{
	struct scene *s = *state;

	scene_box(s);
	(void)scene_add_gm(s, 1, "a.eml", 7);
	assert_true(is_known(s, 7, 1001));
	assert_false(is_known(s, 7, 1002));
	assert_false(is_known(s, 7, 0));
}

/* Two messages to which the server gave the same number. */
static void each_of_two_sizes_is_found(void **state)
{
	struct scene *s = *state;

	scene_box(s);
	(void)scene_add_gm(s, 1, "a.eml", 7);
	(void)scene_add_gm(s, 2, "b.eml", 7);
	assert_true(is_known(s, 7, 1001));
	assert_true(is_known(s, 7, 1002));
	assert_false(is_known(s, 7, 1003));
}

static void nothing_is_asked_of_an_account_without_numbers(void **state)
{
	struct scene *s = *state;

	scene_box(s);
	(void)scene_add(s, 1, "a.eml");
	assert_false(cache_may_recall(s->c));
	(void)scene_add_gm(s, 2, "b.eml", 7);
	assert_true(cache_may_recall(s->c));
}

static void what_was_known_is_after_a_restart(void **state)
{
	struct scene *s = *state;

	scene_box(s);
	(void)scene_add_gm(s, 1, "a.eml", 7);
	scene_reopen(s);
	assert_true(cache_may_recall(s->c));
	assert_true(is_known(s, 7, 1001));
}

static void a_message_that_is_gone_is_not_known(void **state)
{
	struct scene *s = *state;
	uint64_t id;

	scene_box(s);
	id = scene_add_gm(s, 1, "a.eml", 7);
	assert_int_equal(box_remove(s->box, &id, 1), 0);
	assert_false(is_known(s, 7, 1001));
}

static void a_folder_has_what_is_in_it(void **state)
{
	struct scene *s = *state;
	uint64_t id;

	scene_box(s);
	id = scene_add_gm(s, 1, "a.eml", 7);
	(void)scene_add(s, 2, "b.eml");
	assert_true(cache_has_gm(s->c, s->folder, 7));
	assert_false(cache_has_gm(s->c, s->folder, 8));
	assert_false(cache_has_gm(s->c, s->folder, 0));
	assert_false(cache_has_gm(s->c, s->folder + 1, 7));
	assert_int_equal(box_remove(s->box, &id, 1), 0);
	assert_false(cache_has_gm(s->c, s->folder, 7));
}

#define T(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(fields_are_those_of_the_other_copy),
		T(another_size_is_another_message),
		T(each_of_two_sizes_is_found),
		T(nothing_is_asked_of_an_account_without_numbers),
		T(what_was_known_is_after_a_restart),
		T(a_message_that_is_gone_is_not_known),
		T(a_folder_has_what_is_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
