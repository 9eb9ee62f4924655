/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "scene.h"

/* Bodies that a disk has damaged, and bodies of which only parts are here. */

#define MIB ((size_t)CACHE_CHUNK)

/* --- damage --- */

static void a_flipped_bit_is_found_and_thrown_away(void **state)
{
	static const long where[] = {0, 1500000, 3 * (long)MIB + 76};
	struct scene *s = *state;
	struct cache_stats st;
	char path[512];
	struct body *b;
	uint64_t id;

	scene_box(s);
	id = scene_add(s, 1, "b.eml");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(scene_put_body(s, id, 3 * MIB + 77, 5), 0);
		scene_reopen(s);
		scene_blob_path(s, path, sizeof(path));
		scene_flip_bit(path, where[i]);
		assert_int_equal(body_open(s->c, id, 1, &b), 0);
		assert_true(body_is_whole(b));
		assert_int_equal(body_check(b, 0, UINT64_MAX), -EBADMSG);
		assert_int_equal(body_check(b, 0, UINT64_MAX), -ENODATA);
		assert_false(body_is_whole(b));
		assert_int_equal(scene_count_files(s), 0);
		cache_get_stats(s->c, &st);
		assert_int_equal(st.damaged, 1);
		body_put(b);
		assert_int_equal(cache_sync(s->c), 0);
		assert_false(cache_has_body(s->c, id));
	}
}

static void only_the_chunk_that_is_read_is_checked(void **state)
{
	struct scene *s = *state;
	unsigned char in[10], out[10];
	char path[512];
	struct body *b;
	uint64_t id;

	scene_box(s);
	id = scene_add(s, 1, "b.eml");
	assert_int_equal(scene_put_body(s, id, 3 * MIB, 5), 0);
	scene_reopen(s);
	scene_blob_path(s, path, sizeof(path));
	scene_flip_bit(path, 5);
	scene_fill(in, 2 * MIB, 10, 5);
	assert_int_equal(body_open(s->c, id, 1, &b), 0);
	assert_int_equal(body_read(b, out, 10, 2 * MIB), -ENODATA);
	assert_int_equal(body_check(b, 2 * MIB, 10), 0);
	assert_int_equal(body_read(b, out, 10, 2 * MIB), 10);
	assert_memory_equal(in, out, 10);
	assert_int_equal(body_check(b, MIB - 1, 2), -EBADMSG);
	body_put(b);
}

static void damage_is_healed_by_another_fetch(void **state)
{
	struct scene *s = *state;
	unsigned char in[5000];
	char path[512];
	struct body *b;
	uint64_t id;

	scene_box(s);
	id = scene_add(s, 1, "b.eml");
	assert_int_equal(scene_put_body(s, id, 5000, 5), 0);
	scene_reopen(s);
	scene_blob_path(s, path, sizeof(path));
	scene_flip_bit(path, 5);
	scene_fill(in, 0, 5000, 5);
	assert_int_equal(body_open(s->c, id, 5000, &b), 0);
	assert_int_equal(body_check(b, 0, 5000), -EBADMSG);
	assert_int_equal(body_write(b, 0, in, 5000), 0);
	assert_int_equal(body_check(b, 0, 5000), 0);
	assert_int_equal(body_end(b, 5000), 0);
	body_put(b);
	scene_reopen(s);
	assert_int_equal(scene_check_body(s, id, 5000, 5), 0);
}

static void a_cut_or_missing_file_is_not_here(void **state)
{
	struct scene *s = *state;
	char path[512];
	uint64_t id;

	scene_box(s);
	id = scene_add(s, 1, "b.eml");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(scene_put_body(s, id, 5000, 5), 0);
		scene_reopen(s);
		scene_blob_path(s, path, sizeof(path));
		assert_int_equal(i ? unlink(path) : truncate(path, 4999), 0);
		assert_int_equal(scene_check_body(s, id, 5000, 5), -ENODATA);
		assert_int_equal(cache_sync(s->c), 0);
		assert_false(cache_has_body(s->c, id));
	}
}

/* --- partial bodies --- */

static void whole_chunks_of_a_large_body_survive(void **state)
{
	struct scene *s = *state;
	size_t size = 3 * MIB + 500;
	struct cache_stats st;
	uint64_t id, at, n;
	struct body *b;

	scene_box(s);
	id = scene_add(s, 1, "b.eml");
	scene_put_part(s, id, size, MIB - 10, 3 * MIB + 10);
	scene_reopen(s);
	cache_get_stats(s->c, &st);
	assert_int_equal(st.body_bytes, 2 * MIB);
	assert_int_equal(body_open(s->c, id, size, &b), 0);
	assert_false(body_is_whole(b));
	assert_true(body_gap(b, 0, &at, &n) && at == 0 && n == MIB);
	assert_true(body_gap(b, MIB, &at, &n) && at == 3 * MIB && n == 500);
	assert_int_equal(body_check(b, MIB, 2 * MIB), 0);
	body_put(b);
	scene_put_part(s, id, size, 0, MIB);
	assert_int_equal(cache_sync(s->c), 0);
	scene_put_part(s, id, size, 3 * MIB, size); /* too small to be kept */
	assert_int_equal(body_open(s->c, id, size, &b), 0);
	assert_true(body_gap(b, 0, &at, &n) && at == 3 * MIB && n == 500);
	body_put(b);
	assert_int_equal(scene_put_body(s, id, size, 6), 0);
	scene_reopen(s);
	assert_int_equal(scene_check_body(s, id, size, 6), 0);
	cache_get_stats(s->c, &st);
	assert_int_equal(st.body_bytes, size);
	assert_int_equal(scene_count_files(s), 1);
}

static void a_damaged_chunk_of_a_part_is_fetched_again(void **state)
{
	struct scene *s = *state;
	size_t size = 3 * MIB + 500;
	uint64_t id, at, n;
	char path[512];
	struct body *b;

	scene_box(s);
	id = scene_add(s, 1, "b.eml");
	scene_put_part(s, id, size, 0, 3 * MIB);
	scene_reopen(s);
	scene_blob_path(s, path, sizeof(path));
	scene_flip_bit(path, (long)MIB + 3);
	assert_int_equal(body_open(s->c, id, size, &b), 0);
	assert_int_equal(body_check(b, 0, 3 * MIB), -EBADMSG);
	assert_int_equal(body_check(b, 0, 3 * MIB), -ENODATA);
	assert_true(body_gap(b, 0, &at, &n) && at == MIB && n == MIB);
	assert_int_equal(body_check(b, 2 * MIB, MIB), 0);
	body_put(b);
	assert_int_equal(scene_put_body(s, id, size, 6), 0);
	scene_reopen(s);
	assert_int_equal(scene_check_body(s, id, size, 6), 0);
}

static void a_part_that_the_end_cuts_is_not_believed(void **state)
{
	struct scene *s = *state;
	uint64_t id, at, n;
	char path[512];
	struct body *b;

	scene_box(s);
	id = scene_add(s, 1, "b.eml");
	scene_put_part(s, id, 3 * MIB, 0, 2 * MIB);
	scene_reopen(s);
	scene_blob_path(s, path, sizeof(path));
	scene_flip_bit(path, (long)MIB + 3);
	assert_int_equal(body_open(s->c, id, 3 * MIB, &b), 0);
	assert_int_equal(body_end(b, MIB + 100), 0);
	assert_false(body_is_whole(b));
	assert_true(body_gap(b, 0, &at, &n) && at == MIB && n == 100);
	body_put(b);
}

static void what_no_row_knows_is_removed(void **state)
{
	struct scene *s = *state;
	char path[512], stray[600];
	uint64_t id;
	int fd;

	scene_box(s);
	id = scene_add(s, 1, "b.eml");
	assert_int_equal(scene_put_body(s, id, 5000, 5), 0);
	assert_int_equal(cache_sync(s->c), 0);
	scene_blob_path(s, path, sizeof(path));
	snprintf(stray, sizeof(stray), "%s", path);
	stray[strlen(stray) - 1] = stray[strlen(stray) - 1] == '0' ? '1' : '0';
	fd = open(stray, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	snprintf(stray, sizeof(stray), "%s/parts/0000ffff", s->cache_dir);
	fd = open(stray, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(scene_count_files(s), 3);
	/* The sweep leaves alone what is as young as the start itself. */
	for (int i = 0; i < 100 && scene_count_files(s) > 1; i++) {
		scene_close(s);
		scene_sql(s, "UPDATE vals SET value = 0 WHERE key = 'clean'");
		scene_open(s);
		for (int k = 0; k < 300; k++)
			assert_int_equal(cache_sync(s->c), 0);
	}
	assert_int_equal(scene_count_files(s), 1);
	assert_int_equal(scene_check_body(s, id, 5000, 5), 0);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_flipped_bit_is_found_and_thrown_away),
		T(only_the_chunk_that_is_read_is_checked),
		T(damage_is_healed_by_another_fetch),
		T(a_cut_or_missing_file_is_not_here),
		T(whole_chunks_of_a_large_body_survive),
		T(a_damaged_chunk_of_a_part_is_fetched_again),
		T(a_part_that_the_end_cuts_is_not_believed),
		T(what_no_row_knows_is_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
