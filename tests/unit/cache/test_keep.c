/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scene.h"

#include "cache/internal.h"

/* Folders whose bodies stay here, whatever the bound is. */

#define BODY 10000

static int setup_small(void **state)
{
	struct scene *s = scene_new();

	s->max_bytes = 10 * BODY;
	scene_open(s);
	*state = s;
	return 0;
}

/* Another folder with a box of its own. */
static struct box *other_box(struct scene *s, uint64_t *ret_folder)
{
	char wire[] = "Other";
	struct cache_folder f = {.wire = wire, .delimiter = '/'};
	struct box *b;

	assert_int_equal(cache_new_ids(s->c, 1, &f.id), 0);
	assert_int_equal(cache_save_folder(s->c, &f), 0);
	assert_int_equal(box_open(s->c, f.id, &b), 0);
	*ret_folder = f.id;
	return b;
}

static uint64_t add_to(struct box *b, uint32_t uid)
{
	struct mail_row row = {.has = ROW_UID, .uid = uid};
	struct cache_new new = {&row, "m.eml", true};
	uint64_t id;

	assert_int_equal(box_add(b, &new, 1, NULL, &id), 0);
	return id;
}

static size_t count(struct scene *s, const uint64_t *ids, size_t n)
{
	size_t here = 0;

	/* An eviction is queued by the commit that makes it due. */
	for (int i = 0; i < 3; i++)
		assert_int_equal(cache_sync(s->c), 0);
	for (size_t i = 0; i < n; i++)
		here += cache_has_body(s->c, ids[i]);
	return here;
}

static void kept_bodies_outlive_others_that_are_read_later(void **state)
{
	struct scene *s = *state;
	uint64_t kept[8], other[20], folder;
	struct cache_stats st;
	struct box *b;

	scene_box(s);
	b = other_box(s, &folder);
	assert_int_equal(cache_keep_folder(s->c, s->folder, true), 0);
	for (uint32_t i = 0; i < 8; i++) {
		kept[i] = scene_add(s, i + 1, "k.eml");
		assert_int_equal(scene_put_body(s, kept[i], BODY, i), 0);
	}
	for (uint32_t i = 0; i < 20; i++) {
		other[i] = add_to(b, i + 1);
		assert_int_equal(scene_put_body(s, other[i], BODY, 100 + i), 0);
		assert_int_equal(count(s, kept, 8), 8);
	}
	assert_true(count(s, other, 20) <= 2);
	assert_true(cache_has_body(s->c, other[19]));
	cache_get_stats(s->c, &st);
	assert_true(st.body_bytes <= s->max_bytes);
	assert_false(st.full);
	box_close(b);
}

/* Who asks after each body stops in time, however late the index is. */
static void that_it_may_be_full_is_known_before_it_is_written(void **state)
{
	struct scene *s = *state;
	struct cache_stats st;

	scene_box(s);
	assert_int_equal(cache_keep_folder(s->c, s->folder, true), 0);
	for (uint32_t i = 0; i < 11; i++) {
		uint64_t id = scene_add(s, i + 1, "k.eml");

		cache_get_stats(s->c, &st);
		assert_false(st.deciding || st.full);
		assert_int_equal(scene_put_body(s, id, BODY, i), 0);
	}
	cache_get_stats(s->c, &st);
	assert_true(st.deciding || st.full);
	for (int i = 0; i < 3; i++)
		assert_int_equal(cache_sync(s->c), 0);
	cache_get_stats(s->c, &st);
	assert_true(st.full && !st.deciding);
}

/* What is being read may not go now, but it may soon. */
static void what_is_open_does_not_make_it_full(void **state)
{
	struct scene *s = *state;
	struct body *open[12];
	struct cache_stats st;
	uint64_t id;

	scene_box(s);
	for (uint32_t i = 0; i < 12; i++) {
		id = scene_add(s, i + 1, "o.eml");
		assert_int_equal(body_open(s->c, id, BODY, &open[i]), 0);
		assert_int_equal(scene_put_body(s, id, BODY, i), 0);
	}
	assert_int_equal(count(s, &id, 1), 1);
	cache_get_stats(s->c, &st);
	assert_true(st.body_bytes > s->max_bytes);
	assert_false(st.full || st.deciding);

	for (uint32_t i = 0; i < 12; i++)
		body_put(open[i]);
	id = scene_add(s, 13, "o.eml");
	assert_int_equal(scene_put_body(s, id, BODY, 13), 0);
	assert_int_equal(count(s, &id, 1), 1);
	cache_get_stats(s->c, &st);
	assert_true(st.body_bytes <= s->max_bytes);
}

static void kept_is_remembered_until_it_is_taken_back(void **state)
{
	struct scene *s = *state;
	struct cache_stats st;
	struct cache_folder *f;
	uint64_t ids[15];
	size_t n;

	scene_box(s);
	assert_int_equal(cache_keep_folder(s->c, s->folder, true), 0);
	scene_reopen(s);
	assert_int_equal(cache_load_folders(s->c, &f, &n), 0);
	assert_true(n == 1 && f[0].kept);
	free(f);
	/* LIST renews a folder, and says nothing of this. */
	f = &(struct cache_folder){
		.id = s->folder, .wire = (char[]){"Renamed"}, .delimiter = '.'};
	assert_int_equal(cache_save_folder(s->c, f), 0);
	for (uint32_t i = 0; i < 15; i++) {
		ids[i] = scene_add(s, i + 1, "k.eml");
		assert_int_equal(scene_put_body(s, ids[i], BODY, i), 0);
	}
	assert_int_equal(count(s, ids, 15), 15);
	cache_get_stats(s->c, &st);
	assert_true(st.full);
	assert_int_equal(cache_keep_folder(s->c, s->folder, false), 0);
	assert_true(count(s, ids, 15) < 10);
	cache_get_stats(s->c, &st);
	assert_false(st.full);
}

static void a_body_shared_with_a_kept_folder_is_kept(void **state)
{
	struct scene *s = *state;
	uint64_t mine, twin, other[15], folder;
	struct box *b;

	scene_box(s);
	b = other_box(s, &folder);
	assert_int_equal(cache_keep_folder(s->c, s->folder, true), 0);
	twin = add_to(b, 100);
	assert_int_equal(scene_put_body(s, twin, BODY, 1), 0);
	mine = scene_add(s, 1, "k.eml");
	assert_int_equal(scene_put_body(s, mine, BODY, 1), 0);
	for (uint32_t i = 0; i < 15; i++) {
		other[i] = add_to(b, i + 1);
		assert_int_equal(scene_put_body(s, other[i], BODY, 100 + i), 0);
		(void)count(s, other, 1);
	}
	assert_true(cache_has_body(s->c, mine));
	assert_true(cache_has_body(s->c, twin));
	box_close(b);
}

static void parts_of_kept_bodies_are_kept(void **state)
{
	struct scene *s = *state;
	uint64_t mine, other, folder;
	struct box *b;

	s->max_bytes = 3 * CACHE_CHUNK;
	scene_reopen(s);
	scene_box(s);
	b = other_box(s, &folder);
	assert_int_equal(cache_keep_folder(s->c, s->folder, true), 0);
	mine = scene_add(s, 1, "k.eml");
	scene_put_part(s, mine, 4 * CACHE_CHUNK, 0, CACHE_CHUNK);
	other = add_to(b, 1);
	assert_int_equal(scene_put_body(s, other, 2 * CACHE_CHUNK + 99, 1), 0);
	/* It may have been open when the bound was looked at: once more. */
	box_close(b);
	scene_reopen(s);
	assert_int_equal(count(s, &other, 1), 0);
	assert_int_equal(scene_count_files(s), 1);
}

static void missing_bodies_are_named_newest_first(void **state)
{
	struct scene *s = *state;
	uint64_t ids[6], *missing;
	size_t n;

	scene_box(s);
	/* As a listing brings them: the newest has the least id. */
	for (uint32_t i = 0; i < 4; i++)
		ids[i] = scene_add(s, 40 - i, "m.eml");
	ids[4] = scene_add(s, 41, "m.eml");
	assert_int_equal(scene_put_body(s, ids[1], BODY, 1), 0);
	assert_int_equal(box_missing_bodies(s->box, &missing, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(missing[0], ids[4]);
	assert_int_equal(missing[1], ids[0]);
	assert_int_equal(missing[2], ids[2]);
	assert_int_equal(missing[3], ids[3]);
	free(missing);
	assert_int_equal(box_unmoor(s->box, &(struct cache_state){0}, &n), 0);
	assert_int_equal(box_missing_bodies(s->box, &missing, &n), 0);
	assert_int_equal(n, 0);
	free(missing);
}

/* Another client has moved the message here, and it is fetched at once. */
static void a_body_that_comes_again_while_the_first_goes_stays(void **state)
{
	struct scene *s = *state;
	uint64_t old, new, folder;
	struct box *b;

	scene_box(s);
	b = other_box(s, &folder);
	old = add_to(b, 7);
	new = scene_add(s, 1, "m.eml");
	assert_int_equal(scene_put_body(s, old, BODY, 3), 0);
	assert_int_equal(cache_sync(s->c), 0);
	writer_hold(s->c);
	assert_int_equal(box_remove(b, &old, 1), 0);
	assert_int_equal(scene_put_body(s, new, BODY, 3), 0);
	writer_release(s->c);
	assert_int_equal(count(s, &new, 1), 1);
	assert_int_equal(scene_check_body(s, new, BODY, 3), 0);
	assert_int_equal(box_remove(s->box, &new, 1), 0);
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(scene_count_files(s), 0);
	box_close(b);
}

static void thousands_of_rows_are_walked(void **state)
{
	struct scene *s = *state;
	uint64_t *missing;
	size_t n;

	scene_box(s);
	for (uint32_t i = 1; i <= 2500; i++)
		(void)scene_add(s, i, "m.eml");
	assert_int_equal(box_missing_bodies(s->box, &missing, &n), 0);
	assert_int_equal(n, 2500);
	for (size_t i = 1; i < n; i++)
		assert_true(missing[i] < missing[i - 1]);
	free(missing);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, setup_small, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(kept_bodies_outlive_others_that_are_read_later),
		T(that_it_may_be_full_is_known_before_it_is_written),
		T(what_is_open_does_not_make_it_full),
		T(kept_is_remembered_until_it_is_taken_back),
		T(a_body_shared_with_a_kept_folder_is_kept),
		T(parts_of_kept_bodies_are_kept),
		T(missing_bodies_are_named_newest_first),
		T(a_body_that_comes_again_while_the_first_goes_stays),
		T(thousands_of_rows_are_walked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
