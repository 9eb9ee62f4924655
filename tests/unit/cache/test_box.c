/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scene.h"

/* The packed index and its rows on disk: names, ids, UIDs, flags, state. */

static void new_ids_ascend_in_the_order_given(void **state)
{
	struct scene *s = *state;
	uint64_t last = 0;

	scene_box(s);
	for (uint32_t i = 0; i < 10000; i++) {
		char name[32];
		uint64_t id;

		snprintf(name, sizeof(name), "m%u.eml", 10000 - i);
		id = scene_add(s, 10000 - i, name);
		assert_true(id > last && id >= CACHE_ID_FIRST);
		last = id;
	}
	assert_int_equal(box_count(s->box), 10000);
}

static void a_row_comes_back_as_it_was_stored(void **state)
{
	struct scene *s = *state;
	struct cache_details *d;
	struct cache_msg m;
	uint64_t id;

	scene_box(s);
	id = scene_add(s, 77, "ä b.eml");
	scene_reopen(s);
	assert_int_equal(box_find_id(s->box, id, &m), 0);
	assert_int_equal(m.uid, 77);
	assert_int_equal(m.size, 1077);
	assert_int_equal(m.flags, MAIL_SEEN);
	assert_int_equal(m.internaldate, 1700000000);
	assert_int_equal(m.changed_at, 1700000000);
	assert_string_equal(m.name, "ä b.eml");
	assert_true(m.announced && !m.doomed && !m.dead && m.held == 0);
	assert_int_equal(box_find_name(s->box, "ä b.eml", &m), 0);
	assert_int_equal(box_find_uid(s->box, 77, &m), 0);
	assert_int_equal(box_keywords_hash(s->box, id),
			 cache_keywords_hash("blue"));
	assert_int_equal(box_details(s->box, id, &d), 0);
	assert_string_equal(d->field[FIELD_SUBJECT], "Hello");
	assert_null(d->field[FIELD_TO]);
	assert_string_equal(d->keywords, "blue");
	free(d);
}

/* More than go in at once, and one whose place on the disk is taken. */
static void a_row_whose_id_is_taken_costs_only_itself(void **state)
{
	struct mail_row row[35] = {0};
	struct cache_new v[35];
	struct scene *s = *state;
	char name[35][16], sql[160];
	uint64_t ids[35], next;
	struct cache_msg m;

	scene_box(s);
	next = scene_add(s, 1000, "first.eml") + 1;
	for (uint32_t i = 0; i < 35; i++) {
		row[i].has = ROW_UID | ROW_FLAGS | ROW_SIZE | ROW_DATE;
		row[i].uid = i + 1;
		row[i].keywords = "";
		snprintf(name[i], sizeof(name[i]), "n%u.eml", i);
		v[i] = (struct cache_new){
			.row = &row[i], .name = name[i], .announced = true};
	}
	assert_int_equal(cache_sync(s->c), 0);
	snprintf(sql, sizeof(sql),
		 "INSERT INTO messages (folder, id, uid, name)"
		 " VALUES (%llu, %llu, 2000, 'taken.eml')",
		 (unsigned long long)s->folder, (unsigned long long)next + 13);
	scene_sql(s, sql);
	assert_int_equal(box_add(s->box, v, 35, NULL, ids), 0);
	assert_int_equal(ids[13], next + 13);
	assert_int_equal(box_find_uid(s->box, 14, &m), 0);
	scene_reopen(s);
	assert_int_equal(box_count(s->box), 36);
	for (uint32_t i = 0; i < 35; i++)
		assert_int_equal(box_find_uid(s->box, i + 1, &m),
				 i == 13 ? -ENOENT : 0);
	assert_int_equal(box_find_uid(s->box, 2000, &m), 0);
}

static void details_of_a_row_just_added_are_there(void **state)
{
	struct scene *s = *state;
	struct cache_details *d;

	scene_box(s);
	for (uint32_t i = 1; i <= 200; i++) {
		uint64_t id = scene_add(s, i, "x.eml");

		assert_int_equal(box_details(s->box, id, &d), 0);
		free(d);
	}
	assert_int_equal(box_details(s->box, 9999999, &d), -ENOENT);
}

static void a_uid_that_is_there_is_not_added_again(void **state)
{
	struct scene *s = *state;

	scene_box(s);
	assert_int_not_equal(scene_add(s, 5, "a.eml"), 0);
	assert_int_equal(scene_add(s, 5, "b.eml"), 0);
	assert_int_equal(box_count(s->box), 1);
	scene_reopen(s);
	assert_int_equal(box_count(s->box), 1);
}

static void twins_get_numbers_before_the_ending(void **state)
{
	static const char *const want[] = {"a.eml", "a.2.eml", "a.3.eml"};
	struct scene *s = *state;
	struct cache_msg m;

	scene_box(s);
	for (uint32_t i = 0; i < 3; i++) {
		uint64_t id = scene_add(s, i + 1, "a.eml");

		assert_int_equal(box_find_id(s->box, id, &m), 0);
		assert_string_equal(m.name, want[i]);
	}
	assert_int_equal(box_find_id(s->box, scene_add(s, 4, "b"), &m), 0);
	assert_int_equal(box_find_id(s->box, scene_add(s, 5, "b"), &m), 0);
	assert_string_equal(m.name, "b.2");
	scene_reopen(s);
	assert_int_equal(box_find_name(s->box, "a.3.eml", &m), 0);
	assert_int_equal(m.uid, 3);
}

static void ten_thousand_twins_all_differ(void **state)
{
	struct scene *s = *state;
	struct cache_msg m;

	scene_box(s);
	for (uint32_t i = 1; i <= 10000; i++)
		assert_int_not_equal(scene_add(s, i, "same.eml"), 0);
	assert_int_equal(box_find_name(s->box, "same.10000.eml", &m), 0);
	assert_int_equal(m.uid, 10000);
	scene_reopen(s);
	assert_int_equal(box_count(s->box), 10000);
}

static void a_long_twin_is_cut_at_a_character(void **state)
{
	struct scene *s = *state;
	char name[CACHE_NAME_MAX + 1];
	struct cache_msg m;

	scene_box(s);
	memset(name, 'x', sizeof(name));
	memcpy(name + 246, "\xe2\x82\xac\xc3\xa4", 5);
	memcpy(name + 251, ".eml", 5);
	assert_int_equal(strlen(name), CACHE_NAME_MAX);
	assert_int_equal(box_find_id(s->box, scene_add(s, 1, name), &m), 0);
	assert_string_equal(m.name, name);
	assert_int_equal(box_find_id(s->box, scene_add(s, 2, name), &m), 0);
	assert_int_equal(strlen(m.name), 255);
	assert_string_equal(m.name + 246, "\xe2\x82\xac.2.eml");
	for (uint32_t i = 3; i <= 10; i++)
		assert_int_equal(box_find_id(s->box, scene_add(s, i, name), &m),
				 0);
	assert_string_equal(m.name + 246, ".10.eml");
}

static void names_that_no_file_can_have_are_refused(void **state)
{
	static const char *const bad[] = {"", ".", "..", "a/b"};
	struct scene *s = *state;
	struct mail_row row = {.has = ROW_UID, .uid = 1};

	scene_box(s);
	for (size_t i = 0; i < 4; i++) {
		struct cache_new add = {&row, bad[i], true};

		assert_int_equal(box_add(s->box, &add, 1, NULL, NULL), -EINVAL);
	}
	assert_int_equal(box_count(s->box), 0);
}

static void an_unannounced_row_is_not_listed(void **state)
{
	struct scene *s = *state;
	struct mail_row row = {.has = ROW_UID, .uid = 1};
	struct cache_new add = {&row, "n.eml", false};
	struct cache_msg m;
	uint64_t id;

	scene_box(s);
	assert_int_equal(box_add(s->box, &add, 1, NULL, &id), 0);
	assert_int_equal(box_read(s->box, 0, &m, 1), 0);
	assert_int_equal(box_count(s->box), 0);
	assert_int_equal(box_find_name(s->box, "n.eml", &m), 0);
	assert_false(m.announced);
	box_announce(s->box, id);
	box_announce(s->box, id);
	assert_int_equal(box_read(s->box, 0, &m, 1), 1);
	assert_int_equal(box_count(s->box), 1);
}

static void reading_goes_on_behind_any_id(void **state)
{
	struct scene *s = *state;
	struct cache_msg m[8];
	uint64_t id[100], after = 0;
	size_t seen = 0, n;

	scene_box(s);
	for (uint32_t i = 0; i < 100; i++)
		id[i] = scene_add(s, i + 1, "r.eml");
	assert_int_equal(box_remove(s->box, &id[10], 5), 0);
	while ((n = box_read(s->box, after, m, 7)) > 0) {
		for (size_t i = 0; i < n; i++) {
			assert_true(m[i].id > after);
			after = m[i].id;
			seen++;
		}
	}
	assert_int_equal(seen, 95);
	assert_int_equal(box_read(s->box, id[9], m, 1), 1);
	assert_int_equal(m[0].id, id[15]);
}

static void flags_move_ctime_only_when_they_change(void **state)
{
	struct scene *s = *state;
	struct cache_flags f = {.flags = MAIL_SEEN, .keywords = "blue"};
	struct cache_details *d;
	struct cache_msg m;

	scene_box(s);
	f.id = scene_add(s, 1, "f.eml");
	assert_int_equal(box_set_flags(s->box, &f, 1), 0);
	assert_int_equal(box_find_id(s->box, f.id, &m), 0);
	assert_int_equal(m.changed_at, 1700000000);
	f.flags = MAIL_FLAGGED;
	f.keywords = "red green";
	assert_int_equal(box_set_flags(s->box, &f, 1), 0);
	scene_reopen(s);
	assert_int_equal(box_find_id(s->box, f.id, &m), 0);
	assert_true(m.changed_at > 1700000000);
	assert_int_equal(m.flags, MAIL_FLAGGED);
	assert_int_equal(box_keywords_hash(s->box, f.id),
			 cache_keywords_hash("green red"));
	assert_int_equal(box_details(s->box, f.id, &d), 0);
	assert_string_equal(d->keywords, "red green");
	free(d);
	f.flags = 0;
	f.keywords = NULL; /* as they were */
	assert_int_equal(box_set_flags(s->box, &f, 1), 0);
	scene_reopen(s);
	assert_int_equal(box_keywords_hash(s->box, f.id),
			 cache_keywords_hash("green red"));
	assert_int_equal(cache_keywords_hash(NULL), 0);
	assert_int_equal(cache_keywords_hash(" "), 0);
}

static void a_corrected_size_stays(void **state)
{
	struct scene *s = *state;
	struct cache_msg m;
	uint64_t id;

	scene_box(s);
	id = scene_add(s, 1, "s.eml");
	assert_int_equal(box_set_size(s->box, id, 1ULL << 40), 0);
	assert_int_equal(box_set_size(s->box, id, (1ULL << 40) + 1),
			 -EOVERFLOW);
	assert_int_equal(box_set_size(s->box, id + 1, 5), -ENOENT);
	scene_reopen(s);
	assert_int_equal(box_find_id(s->box, id, &m), 0);
	assert_int_equal(m.size, 1ULL << 40);
}

static void a_removed_row_stays_dead_while_it_is_held(void **state)
{
	struct scene *s = *state;
	struct cache_msg m;
	uint64_t id;

	scene_box(s);
	id = scene_add(s, 1, "h.eml");
	assert_int_equal(cache_folder_of(s->c, id), s->folder);
	assert_int_equal(box_hold(s->box, id), 0);
	assert_int_equal(box_hold(s->box, id), 0);
	assert_int_equal(box_held(s->box), 2);
	assert_int_equal(box_doom(s->box, &id, 1, NULL), 0);
	assert_int_equal(box_find_id(s->box, id, &m), 0);
	assert_true(m.doomed);
	assert_int_equal(box_remove(s->box, &id, 1), 0);
	assert_int_equal(box_find_id(s->box, id, &m), 0);
	assert_true(m.dead);
	assert_string_equal(m.name, "h.eml");
	assert_int_equal(box_find_name(s->box, "h.eml", &m), -ENOENT);
	assert_int_equal(box_find_uid(s->box, 1, &m), -ENOENT);
	/* Its name and its UID are free again. */
	assert_int_equal(box_find_id(s->box, scene_add(s, 1, "h.eml"), &m), 0);
	assert_string_equal(m.name, "h.eml");
	box_release(s->box, id, 1);
	assert_int_equal(cache_folder_of(s->c, id), s->folder);
	box_release(s->box, id, 9);
	assert_int_equal(box_held(s->box), 0);
	assert_int_equal(box_find_id(s->box, id, &m), -ENOENT);
	assert_int_equal(box_hold(s->box, id), -ENOENT);
	assert_int_equal(cache_folder_of(s->c, id), 0);
}

static void many_removals_leave_the_others_findable(void **state)
{
	struct scene *s = *state;
	uint64_t id[3000];
	struct cache_msg m;
	char name[32];

	scene_box(s);
	for (uint32_t i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "k%u.eml", i);
		id[i] = scene_add(s, i + 1, name);
		if (i % 10 == 0)
			assert_int_equal(box_hold(s->box, id[i]), 0);
	}
	for (uint32_t i = 0; i < 3000; i++) {
		if (i % 3 != 1)
			assert_int_equal(box_remove(s->box, &id[i], 1), 0);
	}
	for (uint32_t i = 0; i < 3000; i++) {
		bool lives = i % 3 == 1, held = i % 10 == 0;

		snprintf(name, sizeof(name), "k%u.eml", i);
		assert_int_equal(box_find_name(s->box, name, &m),
				 lives ? 0 : -ENOENT);
		assert_int_equal(box_find_uid(s->box, i + 1, &m),
				 lives ? 0 : -ENOENT);
		assert_int_equal(box_find_id(s->box, id[i], &m),
				 lives || held ? 0 : -ENOENT);
		if (lives || held)
			assert_string_equal(m.name, name);
	}
	assert_int_equal(box_count(s->box), 1000);
	scene_reopen(s);
	assert_int_equal(box_count(s->box), 1000);
}

static void the_uids_are_sorted_and_living(void **state)
{
	struct scene *s = *state;
	uint32_t *uids;
	uint64_t id;
	size_t n;

	scene_box(s);
	assert_int_not_equal(scene_add(s, 30, "a"), 0);
	id = scene_add(s, 20, "b");
	assert_int_not_equal(scene_add(s, 10, "c"), 0);
	assert_int_equal(box_hold(s->box, id), 0);
	assert_int_equal(box_remove(s->box, &id, 1), 0);
	assert_int_equal(box_uids(s->box, &uids, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(uids[0], 10);
	assert_int_equal(uids[1], 30);
	free(uids);
	box_release(s->box, id, 1);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(new_ids_ascend_in_the_order_given),
		T(a_row_comes_back_as_it_was_stored),
		T(a_row_whose_id_is_taken_costs_only_itself),
		T(details_of_a_row_just_added_are_there),
		T(a_uid_that_is_there_is_not_added_again),
		T(twins_get_numbers_before_the_ending),
		T(ten_thousand_twins_all_differ),
		T(a_long_twin_is_cut_at_a_character),
		T(names_that_no_file_can_have_are_refused),
		T(an_unannounced_row_is_not_listed),
		T(reading_goes_on_behind_any_id),
		T(flags_move_ctime_only_when_they_change),
		T(a_corrected_size_stays),
		T(a_removed_row_stays_dead_while_it_is_held),
		T(many_removals_leave_the_others_findable),
		T(the_uids_are_sorted_and_living),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
