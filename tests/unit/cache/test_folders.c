/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scene.h"

/* Folders, and what is stored about one besides its messages. */

static void the_state_is_stored_with_its_rows(void **state)
{
	struct scene *s = *state;
	struct mail_row row = {.has = ROW_UID, .uid = 9};
	struct cache_new add = {&row, "n.eml", true};
	struct cache_state in = {.uidvalidity = 0xfffffffe,
				 .uidnext = 10,
				 .low_uid = 9,
				 .complete = true,
				 .highestmodseq = 1ULL << 62,
				 .messages = 4000000000u,
				 .synced_at = 1700000001,
				 .changed_at_ns = 1700000001000000002};
	struct cache_state out;

	scene_box(s);
	assert_int_equal(box_add(s->box, &add, 1, &in, NULL), 0);
	box_state(s->box, &out);
	assert_memory_equal(&in, &out, sizeof(in));
	scene_reopen(s);
	memset(&out, 0, sizeof(out));
	box_state(s->box, &out);
	assert_int_equal(out.uidvalidity, in.uidvalidity);
	assert_int_equal(out.highestmodseq, in.highestmodseq);
	assert_int_equal(out.changed_at_ns, in.changed_at_ns);
	assert_int_equal(out.messages, in.messages);
	assert_true(out.complete);
	in.complete = false;
	assert_int_equal(box_set_state(s->box, &in), 0);
	scene_reopen(s);
	box_state(s->box, &out);
	assert_false(out.complete);
}

static void states_come_with_the_folders(void **state)
{
	struct scene *s = *state;
	struct cache_state in = {.uidvalidity = 3, .uidnext = 8, .messages = 7};
	struct cache_folder *f;
	size_t n;

	scene_box(s);
	assert_int_equal(box_set_state(s->box, &in), 0);
	assert_int_equal(cache_load_folders(s->c, &f, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(f[0].state.uidvalidity, 3);
	assert_int_equal(f[0].state.uidnext, 8);
	assert_int_equal(f[0].state.messages, 7);
	assert_false(f[0].kept);
	free(f);
}

static void a_database_of_the_first_version_is_taken_over(void **state)
{
	struct scene *s = *state;
	struct cache_folder *f;
	struct cache_msg m;
	uint64_t id;
	size_t n;

	scene_box(s);
	id = scene_add(s, 5, "old.eml");
	scene_close(s);
	scene_sql(s, "DROP INDEX folders_kept; DROP INDEX blobs_read;"
		     "ALTER TABLE folders DROP COLUMN kept;"
		     "ALTER TABLE folders DROP COLUMN messages;"
		     "DROP INDEX messages_pending; DROP TABLE changes;"
		     "DROP TABLE leftovers; DROP TABLE failed;"
		     "DROP INDEX details_emailid;"
		     "ALTER TABLE details DROP COLUMN emailid;"
		     "ALTER TABLE details DROP COLUMN size;"
		     "PRAGMA user_version = 1");
	scene_open(s);
	assert_string_equal(s->report.set_aside, "");
	assert_int_equal(cache_load_folders(s->c, &f, &n), 0);
	assert_int_equal(n, 1);
	assert_false(f[0].kept);
	assert_int_equal(f[0].state.messages, 0);
	free(f);
	assert_int_equal(box_open(s->c, s->folder, &s->box), 0);
	assert_int_equal(box_find_uid(s->box, 5, &m), 0);
	assert_int_equal(m.id, id);
}

static void a_folder_has_one_box_at_a_time(void **state)
{
	struct scene *s = *state;
	struct box *other;

	scene_box(s);
	assert_int_equal(box_open(s->c, s->folder, &other), -EBUSY);
	assert_int_equal(box_open(s->c, 4000000000u, &other), -ENOENT);
}

static void a_dropped_folder_takes_its_messages_along(void **state)
{
	struct scene *s = *state;
	struct cache_folder *f;
	uint64_t id;
	size_t n;

	scene_box(s);
	id = scene_add(s, 1, "x");
	for (uint32_t i = 2; i < 2500; i++)
		assert_int_not_equal(scene_add(s, i, "x"), 0);
	assert_int_equal(scene_put_body(s, id, 100, 1), 0);
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(scene_count_files(s), 1);
	box_close(s->box);
	s->box = NULL;
	assert_int_equal(cache_folder_of(s->c, id), 0);
	assert_int_equal(cache_drop_folder(s->c, s->folder), 0);
	assert_int_equal(cache_load_folders(s->c, &f, &n), 0);
	assert_int_equal(n, 0);
	free(f);
	assert_int_equal(scene_count_files(s), 0);
	assert_false(cache_has_body(s->c, id));
}

static void folders_come_back_ascending(void **state)
{
	static const char *const wire[] = {"INBOX", "Work/&AOQ-", "x\\y\"z"};
	struct scene *s = *state;
	struct cache_folder *f;
	size_t n;

	for (int i = 0; i < 3; i++) {
		struct cache_folder in = {.wire = (char *)(uintptr_t)wire[i],
					  .delimiter = i == 2 ? 0 : '/',
					  .attrs = FOLDER_IMPLIED};

		assert_int_equal(cache_new_ids(s->c, 1, &in.id), 0);
		assert_int_equal(cache_save_folder(s->c, &in), 0);
	}
	scene_reopen(s);
	assert_int_equal(cache_load_folders(s->c, &f, &n), 0);
	assert_int_equal(n, 3);
	for (int i = 0; i < 3; i++) {
		assert_string_equal(f[i].wire, wire[i]);
		assert_true(i == 0 || f[i].id > f[i - 1].id);
		assert_int_equal(f[i].attrs, FOLDER_IMPLIED);
		assert_int_equal(f[i].delimiter, i == 2 ? 0 : '/');
	}
	free(f);
}

/* As of a cache that an earlier program has written. */
static void a_folder_of_too_many_levels_is_left_out(void **state)
{
	char wire[2 * MAIL_LEVELS_MAX + 2];
	struct cache_folder in = {.wire = wire}, *f;
	struct scene *s = *state;
	size_t n;

	for (size_t i = 0; i < sizeof(wire); i++)
		wire[i] = i % 2 == 0 ? 'a' : '/';
	wire[sizeof(wire) - 1] = '\0';
	for (int i = 0; i < 2; i++) {
		in.delimiter = i == 0 ? '/' : '.';
		wire[0] = (char)('a' + i);
		assert_int_equal(cache_new_ids(s->c, 1, &in.id), 0);
		assert_int_equal(cache_save_folder(s->c, &in), 0);
	}
	scene_reopen(s);
	assert_int_equal(cache_load_folders(s->c, &f, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(f[0].id, in.id);
	free(f);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_state_is_stored_with_its_rows),
		T(states_come_with_the_folders),
		T(a_database_of_the_first_version_is_taken_over),
		T(a_folder_has_one_box_at_a_time),
		T(a_dropped_folder_takes_its_messages_along),
		T(folders_come_back_ascending),
		T(a_folder_of_too_many_levels_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
