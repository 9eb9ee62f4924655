/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "imap/log.h"
#include "scene.h"

/* Opening: folders, versions, damage, ids over all of these. */

static void both_folders_are_made_private(void **state)
{
	struct scene *s = *state;
	struct stat st;

	assert_int_equal(stat(s->state_dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(stat(s->cache_dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_true(s->report.is_new);
	scene_close(s);
	assert_int_equal(chmod(s->state_dir, 0755), 0);
	scene_open(s);
	assert_false(s->report.is_new);
	assert_int_equal(stat(s->state_dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void a_folder_that_others_can_write_to_is_refused(void **state)
{
	struct scene *s = *state;
	struct cache_config cfg = {s->state_dir, s->cache_dir, 0};

	scene_close(s);
	assert_int_equal(chmod(s->cache_dir, 0770), 0);
	assert_int_equal(cache_open(&cfg, 0, &s->c, &s->report), -EACCES);
	assert_non_null(strstr(s->report.text, s->cache_dir));
}

/* As where /home, or ~/.local, is one. */
static void a_link_on_the_way_to_the_folder_is_followed(void **state)
{
	struct scene *s = *state;
	struct stat st;
	char path[320];

	scene_close(s);
	scene_wipe_state_dir(s);
	snprintf(path, sizeof(path), "%s/link", s->dir);
	assert_int_equal(symlink(".", path), 0);
	snprintf(s->state_dir, sizeof(s->state_dir), "%s/link/state", s->dir);
	scene_open(s);
	assert_true(s->report.is_new);
	scene_reopen(s);
	assert_false(s->report.is_new);
	snprintf(path, sizeof(path), "%s/state/index.db", s->dir);
	assert_int_equal(stat(path, &st), 0);
}

/* --- ids --- */

static uint64_t take_ids(struct scene *s, uint32_t n)
{
	uint64_t id;

	assert_int_equal(cache_new_ids(s->c, n, &id), 0);
	return id;
}

static void path_in_state(struct scene *s, const char *name, char *ret)
{
	snprintf(ret, 320, "%s/%s", s->state_dir, name);
}

static void an_id_is_never_given_twice(void **state)
{
	struct scene *s = *state;
	uint64_t last = 0;
	char path[320];

	for (uint32_t i = 0; i < 40; i++) {
		uint64_t id = take_ids(s, 1 + i * 300);

		assert_true(id > last);
		last = id + i * 300;
		if (i % 3 == 0)
			scene_reopen(s);
		if (i % 10 != 9)
			continue;
		/* Also if the database is lost altogether. */
		scene_close(s);
		path_in_state(s, "index.db", path);
		assert_int_equal(unlink(path), 0);
		scene_open(s);
		assert_true(s->report.is_new);
	}
}

static void a_removed_message_gives_its_id_to_nobody(void **state)
{
	struct scene *s = *state;
	uint64_t id, next;

	scene_box(s);
	id = scene_add(s, 1, "a");
	assert_int_equal(box_remove(s->box, &id, 1), 0);
	scene_reopen(s);
	next = scene_add(s, 1, "a");
	assert_true(next > id);
}

static void ids_end_in_an_error_not_in_a_repetition(void **state)
{
	struct scene *s = *state;
	char path[320];
	uint64_t id;
	FILE *f;

	scene_close(s);
	path_in_state(s, "ids", path);
	f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f, "4294967290\n");
	fclose(f);
	scene_open(s);
	assert_int_equal(take_ids(s, 3), 4294967290u);
	assert_int_equal(cache_new_ids(s->c, 3, &id), -EOVERFLOW);
	assert_int_equal(take_ids(s, 2), 4294967293u);
	assert_int_equal(cache_new_ids(s->c, 1, &id), -EOVERFLOW);
}

/* --- versions and damage --- */

static void a_newer_schema_is_refused(void **state)
{
	struct scene *s = *state;
	struct cache_config cfg = {s->state_dir, s->cache_dir, 0};

	scene_close(s);
	scene_sql(s, "PRAGMA user_version = 99");
	assert_int_equal(cache_open(&cfg, 0, &s->c, &s->report), -ENOTSUP);
	assert_non_null(strstr(s->report.text, "newer version"));
	scene_sql(s, "PRAGMA user_version = 6");
	scene_open(s);
	assert_string_equal(s->report.set_aside, "");
}

static void overwrite(const char *path, long at, const char *bytes, size_t n)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, at), (ssize_t)n);
	close(fd);
}

static void a_mark_that_cannot_be_written_is_an_error_of_the_list(void **state)
{
	struct scene *s = *state;
	char path[320], *log;
	uint64_t id;

	path_in_state(s, "ids.new", path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(cache_new_ids(s->c, 10000, &id), -EIO);
	log = log_snapshot(NULL);
	assert_non_null(strstr(log, "Is a directory"));
	free(log);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(cache_new_ids(s->c, 10000, &id), 0);
}

static void expect_set_aside(struct scene *s)
{
	scene_open(s);
	assert_true(s->report.is_new);
	assert_string_not_equal(s->report.set_aside, "");
	assert_int_equal(access(s->report.set_aside, F_OK), 0);
	scene_reopen(s);
	assert_false(s->report.is_new);
	assert_string_equal(s->report.set_aside, "");
}

static void garbage_is_set_aside_and_kept(void **state)
{
	struct scene *s = *state;
	char path[320], garbage[5000];
	uint64_t id = take_ids(s, 1);
	int fd;

	scene_close(s);
	memset(garbage, 'g', sizeof(garbage));
	path_in_state(s, "index.db", path);
	assert_int_equal(unlink(path), 0);
	overwrite(path, 0, garbage, sizeof(garbage));
	scene_open(s);
	assert_true(s->report.is_new);
	fd = open(s->report.set_aside, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), sizeof(garbage));
	close(fd);
	assert_true(take_ids(s, 1) > id);

	/* A second one in the same second gets a name of its own. */
	scene_close(s);
	snprintf(garbage, sizeof(garbage), "%s", s->report.set_aside);
	assert_int_equal(unlink(path), 0);
	overwrite(path, 0, "not a database at all", 21);
	expect_set_aside(s);
	assert_int_equal(access(garbage, F_OK), 0);
}

static void another_programs_database_is_set_aside(void **state)
{
	struct scene *s = *state;

	scene_close(s);
	scene_sql(s, "PRAGMA application_id = 1");
	expect_set_aside(s);
}

static void a_schema_with_a_hole_is_set_aside(void **state)
{
	struct scene *s = *state;

	scene_close(s);
	scene_sql(s, "DROP TABLE details");
	expect_set_aside(s);
}

static void an_empty_file_is_a_new_database(void **state)
{
	struct scene *s = *state;
	char path[320];

	scene_close(s);
	path_in_state(s, "index.db", path);
	assert_int_equal(truncate(path, 0), 0);
	scene_open(s);
	assert_true(s->report.is_new);
	assert_string_equal(s->report.set_aside, "");
}

/* The second leaf of the table of messages: opening does not come by it. */
static long page_of_messages(struct scene *s)
{
	char path[320];
	sqlite3_stmt *st;
	sqlite3 *db;
	long page;

	path_in_state(s, "index.db", path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_prepare_v2(db,
				   "SELECT pageno FROM dbstat WHERE name ="
				   " 'messages' AND pagetype = 'leaf'"
				   " LIMIT 1 OFFSET 1",
				   -1, &st, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	page = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return page;
}

static void damage_met_later_is_set_aside_at_the_next_open(void **state)
{
	struct scene *s = *state;
	char path[320], garbage[4096];

	scene_box(s);
	for (uint32_t i = 1; i <= 3000; i++)
		assert_int_not_equal(scene_add(s, i, "x.eml"), 0);
	scene_close(s);
	memset(garbage, 0xff, sizeof(garbage));
	path_in_state(s, "index.db", path);
	overwrite(path, (page_of_messages(s) - 1) * 4096, garbage,
		  sizeof(garbage));
	scene_open(s);
	assert_string_equal(s->report.set_aside, "");
	assert_int_equal(box_open(s->c, s->folder, &s->box), -EBADMSG);
	scene_close(s);
	expect_set_aside(s);
}

static void damage_of_what_every_opening_reads_is_set_aside(void **state)
{
	static const char *const names[] = {
		"vals",    "folders",          "details",  "part_chunks",
		"changes", "messages_pending", "leftovers"};
	struct scene *s = *state;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint64_t id = take_ids(s, 1);

		scene_close(s);
		scene_spoil_table(s, names[i]);
		expect_set_aside(s);
		assert_true(take_ids(s, 1) > id);
	}
}

static void rows_that_cannot_be_are_left_out(void **state)
{
	struct scene *s = *state;
	struct cache_msg m;
	char sql[2000];

	scene_box(s);
	assert_int_not_equal(scene_add(s, 1, "good.eml"), 0);
	scene_close(s);
	snprintf(sql, sizeof(sql),
		 "INSERT INTO messages SELECT folder, id + 1, 2, 0, 5, 0, 0, "
		 "0, 'a/b' FROM messages WHERE uid = 1 AND size = 1001;"
		 "INSERT INTO messages SELECT folder, id + 2, 3, 0, 5, 0, 0, "
		 "0, '..' FROM messages WHERE uid = 1 AND size = 1001;"
		 "INSERT INTO messages SELECT folder, id + 3, 4, 0, -5, 0, 0, "
		 "0, 'c' FROM messages WHERE uid = 1 AND size = 1001;"
		 "INSERT INTO messages SELECT folder, id + 4, 1, 0, 5, 0, 0, "
		 "0, 'd' FROM messages WHERE uid = 1 AND size = 1001;"
		 "INSERT INTO messages SELECT folder, id + 5, 5, 0, 5, 0, 0, "
		 "0, 'good.eml' FROM messages WHERE uid = 1 AND size = 1001;"
		 "INSERT INTO messages SELECT folder, 4294967295, 6, 0, 5, 0, "
		 "0, 0, 'e' FROM messages WHERE uid = 1 AND size = 1001;"
		 "INSERT INTO messages SELECT folder, 3, 7, 0, 5, 0, 0, 0, "
		 "'f' FROM messages WHERE uid = 1 AND size = 1001;"
		 "INSERT INTO messages SELECT folder, id + 6, 8, 0, 5, 0, 0, "
		 "0, NULL FROM messages WHERE uid = 1 AND size = 1001;"
		 "INSERT INTO messages SELECT folder, id + 7, 9, -1, 5, 0, "
		 "-7, 0, 'ok' FROM messages WHERE uid = 1 AND size = 1001;");
	scene_sql(s, sql);
	scene_open(s);
	assert_int_equal(box_open(s->c, s->folder, &s->box), 0);
	assert_int_equal(box_count(s->box), 2);
	assert_int_equal(box_find_name(s->box, "ok", &m), 0);
	assert_int_equal(m.flags, 31);
	assert_int_equal(m.changed_at, 0);
	assert_int_equal(box_find_uid(s->box, 1, &m), 0);
	assert_string_equal(m.name, "good.eml");
}

/* --- values --- */

static void values_stay_and_cannot_reach_our_own(void **state)
{
	struct scene *s = *state;
	char *v;

	assert_int_equal(cache_get_value(s->c, "k", &v), -ENOENT);
	assert_int_equal(cache_get_value(s->c, "secret", &v), -ENOENT);
	assert_int_equal(cache_set_value(s->c, "ids", "16"), 0);
	assert_int_equal(cache_set_value(s->c, "k", "v1"), 0);
	assert_int_equal(cache_set_value(s->c, "k", "v2"), 0);
	assert_int_equal(cache_get_value(s->c, "k", &v), 0);
	assert_string_equal(v, "v2");
	free(v);
	scene_reopen(s);
	assert_int_equal(cache_get_value(s->c, "ids", &v), 0);
	assert_string_equal(v, "16");
	free(v);
}

static void a_sync_without_changes_returns(void **state)
{
	struct scene *s = *state;

	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(cache_set_value(s->c, "k", "v"), 0);
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(cache_writer_error(s->c), 0);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(both_folders_are_made_private),
		T(a_folder_that_others_can_write_to_is_refused),
		T(a_link_on_the_way_to_the_folder_is_followed),
		T(an_id_is_never_given_twice),
		T(a_removed_message_gives_its_id_to_nobody),
		T(ids_end_in_an_error_not_in_a_repetition),
		T(a_newer_schema_is_refused),
		T(a_mark_that_cannot_be_written_is_an_error_of_the_list),
		T(garbage_is_set_aside_and_kept),
		T(another_programs_database_is_set_aside),
		T(a_schema_with_a_hole_is_set_aside),
		T(an_empty_file_is_a_new_database),
		T(damage_met_later_is_set_aside_at_the_next_open),
		T(damage_of_what_every_opening_reads_is_set_aside),
		T(rows_that_cannot_be_are_left_out),
		T(values_stay_and_cannot_reach_our_own),
		T(a_sync_without_changes_returns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
