/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scene.h"

/* Bodies: arriving, publishing, sharing, damage, eviction, wiped folders. */

#define MIB ((size_t)CACHE_CHUNK)

static void flip_bit(const char *path, long at)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	unsigned char byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void a_body_survives_a_remount(void **state)
{
	static const size_t sizes[] = {0,   1,       20000,       MIB - 1,
				       MIB, MIB + 1, 3 * MIB + 77};
	struct scene *s = *state;
	uint64_t id[7];

	scene_box(s);
	for (unsigned i = 0; i < 7; i++) {
		id[i] = scene_add(s, i + 1, "b.eml");
		assert_int_equal(scene_put_body(s, id[i], sizes[i], i), 0);
		assert_int_equal(scene_check_body(s, id[i], sizes[i], i), 0);
	}
	scene_reopen(s);
	for (unsigned i = 0; i < 7; i++) {
		assert_true(cache_has_body(s->c, id[i]));
		assert_int_equal(scene_check_body(s, id[i], sizes[i], i), 0);
	}
	assert_int_equal(scene_count_files(s), 7);
}

static void bytes_can_be_read_as_soon_as_they_came(void **state)
{
	struct scene *s = *state;
	unsigned char in[1000], out[1000];
	uint64_t at, n, id;
	struct body *b, *again;

	scene_box(s);
	id = scene_add(s, 1, "b.eml");
	scene_fill(in, 0, sizeof(in), 1);
	assert_int_equal(body_open(s->c, id, 1000, &b), 0);
	assert_int_equal(body_open(s->c, id, 1000, &again), 0);
	assert_ptr_equal(b, again);
	body_put(again);
	assert_int_equal(body_check(b, 0, 1), -ENODATA);
	assert_true(body_gap(b, 0, &at, &n) && at == 0 && n == 1000);
	assert_int_equal(body_write(b, 300, in + 300, 200), 0);
	assert_int_equal(body_check(b, 300, 200), 0);
	assert_int_equal(body_read(b, out, 200, 300), 200);
	assert_memory_equal(out, in + 300, 200);
	assert_int_equal(body_check(b, 299, 2), -ENODATA);
	assert_int_equal(body_read(b, out, 2, 299), -ENODATA);
	assert_int_equal(body_range_fd(b, 299, 2), -ENODATA);
	assert_true(body_range_fd(b, 300, 200) >= 0);
	assert_true(body_gap(b, 0, &at, &n) && at == 0 && n == 300);
	assert_true(body_gap(b, 350, &at, &n) && at == 500 && n == 500);
	assert_int_equal(body_end(b, 1000), 0);
	assert_false(body_is_whole(b));
	assert_int_equal(body_write(b, 0, in, 400), 0);
	assert_int_equal(body_write(b, 450, in + 450, 550), 0);
	assert_false(body_gap(b, 0, &at, &n));
	assert_int_equal(body_end(b, 1000), 0);
	assert_true(body_is_whole(b));
	assert_int_equal(body_check(b, 0, UINT64_MAX), 0);
	assert_int_equal(body_read(b, out, 1000, 0), 1000);
	assert_memory_equal(out, in, 1000);
	assert_int_equal(body_read(b, out, 10, 1000), 0);
	body_put(b);
}

static void the_end_tells_the_true_size(void **state)
{
	struct scene *s = *state;
	unsigned char in[3000];
	struct body *b;
	uint64_t id;

	scene_box(s);
	scene_fill(in, 0, sizeof(in), 1);
	id = scene_add(s, 1, "shorter.eml");
	assert_int_equal(body_open(s->c, id, 5000, &b), 0);
	assert_int_equal(body_write(b, 0, in, 2000), 0);
	assert_int_equal(body_end(b, 2000), 0);
	assert_true(body_is_whole(b));
	assert_int_equal(body_size(b), 2000);
	assert_int_equal(body_check(b, 3000, 10), 0);
	body_put(b);

	id = scene_add(s, 2, "longer.eml");
	assert_int_equal(body_open(s->c, id, 100, &b), 0);
	assert_int_equal(body_write(b, 0, in, 3000), 0);
	assert_int_equal(body_size(b), 3000);
	assert_int_equal(body_end(b, 2500), 0); /* more came than it has */
	assert_int_equal(body_size(b), 2500);
	body_put(b);
	scene_reopen(s);
	assert_int_equal(scene_check_body(s, id, 2500, 1), 0);
	assert_int_equal(body_open(s->c, id, MAIL_SIZE_MAX, &b), 0);
	assert_int_equal(body_write(b, UINT64_MAX, in, 1), -EOVERFLOW);
	body_put(b);
}

static void a_second_fetch_cannot_change_what_came(void **state)
{
	struct scene *s = *state;
	unsigned char in[2000], other[2000];
	struct body *b;
	uint64_t id;

	scene_box(s);
	id = scene_add(s, 1, "b.eml");
	scene_fill(in, 0, sizeof(in), 1);
	memset(other, 'E', sizeof(other));
	assert_int_equal(body_open(s->c, id, 2000, &b), 0);
	assert_int_equal(body_write(b, 500, in + 500, 500), 0);
	assert_int_equal(body_write(b, 600, other, 300), 0);
	assert_int_equal(body_write(b, 0, in, 2000), 0);
	assert_int_equal(body_write(b, 0, other, 2000), 0);
	assert_int_equal(body_end(b, 2000), 0);
	assert_int_equal(body_write(b, 0, other, 2000), 0);
	body_put(b);
	assert_int_equal(scene_check_body(s, id, 2000, 1), 0);
}

static void writes_in_any_order_make_the_same_body(void **state)
{
	struct scene *s = *state;
	size_t size = 2 * MIB + 12345;
	unsigned char *in = malloc(size);
	unsigned seed = 12345;
	uint64_t id, at, n;
	struct body *b;

	assert_non_null(in);
	scene_box(s);
	id = scene_add(s, 1, "b.eml");
	scene_fill(in, 0, size, 7);
	assert_int_equal(body_open(s->c, id, size, &b), 0);
	for (int i = 0; i < 300; i++) {
		seed = seed * 1103515245 + 12345;
		at = (seed >> 3) % size;
		n = (seed >> 8) % 40000;
		if (n > size - at)
			n = size - at;
		assert_int_equal(body_write(b, at, in + at, n), 0);
	}
	while (body_gap(b, 0, &at, &n))
		assert_int_equal(body_write(b, at, in + at, n), 0);
	assert_int_equal(body_end(b, size), 0);
	assert_true(body_is_whole(b));
	body_put(b);
	free(in);
	scene_reopen(s);
	assert_int_equal(scene_check_body(s, id, size, 7), 0);
}

/* --- sharing --- */

static void the_same_content_is_stored_once(void **state)
{
	struct scene *s = *state;
	struct cache_stats st;
	uint64_t id[3];

	scene_box(s);
	for (unsigned i = 0; i < 3; i++) {
		id[i] = scene_add(s, i + 1, "b.eml");
		assert_int_equal(scene_put_body(s, id[i], 5000, 9), 0);
	}
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(scene_count_files(s), 1);
	cache_get_stats(s->c, &st);
	assert_int_equal(st.bodies, 1);
	assert_int_equal(st.body_bytes, 5000);
	assert_int_equal(box_remove(s->box, &id[0], 2), 0);
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(scene_check_body(s, id[2], 5000, 9), 0);
	assert_int_equal(box_remove(s->box, &id[2], 1), 0);
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(scene_count_files(s), 0);
	cache_get_stats(s->c, &st);
	assert_int_equal(st.bodies, 0);
	assert_int_equal(st.body_bytes, 0);
}

static void labels_of_one_message_share_its_body(void **state)
{
	struct scene *s = *state;
	uint64_t id[3];

	scene_box(s);
	id[0] = scene_add_gm(s, 1, "a.eml", 4711);
	id[1] = scene_add_gm(s, 2, "b.eml", 4711);
	id[2] = scene_add_gm(s, 3, "c.eml", 4712);
	assert_int_equal(scene_put_body(s, id[0], 3000, 3), 0);
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(scene_check_body(s, id[1], 3000, 3), 0);
	assert_false(cache_has_body(s->c, id[2]));
	/* It is its own now: the first label may go. */
	assert_int_equal(box_remove(s->box, &id[0], 1), 0);
	scene_reopen(s);
	assert_int_equal(scene_check_body(s, id[1], 3000, 3), 0);
}

static void a_body_of_a_removed_message_leaves_nothing(void **state)
{
	struct scene *s = *state;
	unsigned char in[100] = {0};
	struct body *b;
	uint64_t id;

	scene_box(s);
	id = scene_add(s, 1, "b.eml");
	assert_int_equal(body_open(s->c, id, 100, &b), 0);
	assert_int_equal(body_write(b, 0, in, 100), 0);
	assert_int_equal(box_remove(s->box, &id, 1), 0);
	assert_int_equal(body_end(b, 100), 0);
	assert_int_equal(body_check(b, 0, 100), 0);
	body_put(b);
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(scene_count_files(s), 0);
}

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
		flip_bit(path, where[i]);
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
	flip_bit(path, 5);
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
	flip_bit(path, 5);
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

static void put_part(struct scene *s, uint64_t id, size_t size, size_t from,
		     size_t to)
{
	unsigned char *in = malloc(to - from);
	struct body *b;

	assert_non_null(in);
	scene_fill(in, from, to - from, 6);
	assert_int_equal(body_open(s->c, id, size, &b), 0);
	assert_int_equal(body_write(b, from, in, to - from), 0);
	body_put(b);
	free(in);
}

static void whole_chunks_of_a_large_body_survive(void **state)
{
	struct scene *s = *state;
	size_t size = 3 * MIB + 500;
	struct cache_stats st;
	uint64_t id, at, n;
	struct body *b;

	scene_box(s);
	id = scene_add(s, 1, "b.eml");
	put_part(s, id, size, MIB - 10, 3 * MIB + 10);
	scene_reopen(s);
	cache_get_stats(s->c, &st);
	assert_int_equal(st.body_bytes, 2 * MIB);
	assert_int_equal(body_open(s->c, id, size, &b), 0);
	assert_false(body_is_whole(b));
	assert_true(body_gap(b, 0, &at, &n) && at == 0 && n == MIB);
	assert_true(body_gap(b, MIB, &at, &n) && at == 3 * MIB && n == 500);
	assert_int_equal(body_check(b, MIB, 2 * MIB), 0);
	body_put(b);
	put_part(s, id, size, 0, MIB);
	assert_int_equal(cache_sync(s->c), 0);
	put_part(s, id, size, 3 * MIB, size); /* too small to be kept */
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
	put_part(s, id, size, 0, 3 * MIB);
	scene_reopen(s);
	scene_blob_path(s, path, sizeof(path));
	flip_bit(path, (long)MIB + 3);
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
	put_part(s, id, 3 * MIB, 0, 2 * MIB);
	scene_reopen(s);
	scene_blob_path(s, path, sizeof(path));
	flip_bit(path, (long)MIB + 3);
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

/* --- wiping and eviction --- */

static void the_folder_may_be_wiped_while_mounted(void **state)
{
	struct scene *s = *state;
	unsigned char in[2000], out[2000];
	struct body *b, *arriving;
	uint64_t id[3];

	scene_box(s);
	for (unsigned i = 0; i < 3; i++)
		id[i] = scene_add(s, i + 1, "b.eml");
	scene_fill(in, 0, 2000, 8);
	assert_int_equal(scene_put_body(s, id[0], 2000, 8), 0);
	assert_int_equal(scene_put_body(s, id[1], 3000, 9), 0);
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(body_open(s->c, id[0], 2000, &b), 0);
	assert_int_equal(body_open(s->c, id[2], 2000, &arriving), 0);
	assert_int_equal(body_write(arriving, 0, in, 1000), 0);
	scene_wipe_cache_dir(s);
	/* What is open stays readable. */
	assert_int_equal(body_check(b, 0, 2000), 0);
	assert_int_equal(body_read(b, out, 2000, 0), 2000);
	assert_memory_equal(in, out, 2000);
	body_put(b);
	assert_int_equal(body_write(arriving, 1000, in + 1000, 1000), 0);
	assert_int_equal(body_end(arriving, 2000), 0);
	assert_int_equal(body_check(arriving, 0, 2000), 0);
	assert_int_equal(body_read(arriving, out, 2000, 0), 2000);
	assert_memory_equal(in, out, 2000);
	body_put(arriving);
	for (unsigned i = 0; i < 3; i++)
		assert_false(cache_has_body(s->c, id[i]));
	assert_int_equal(scene_check_body(s, id[1], 3000, 9), -ENODATA);
	assert_int_equal(scene_put_body(s, id[1], 3000, 9), 0);
	scene_reopen(s);
	assert_int_equal(scene_check_body(s, id[1], 3000, 9), 0);
}

static void the_least_recently_read_goes_first(void **state)
{
	struct scene *s = *state;
	struct cache_stats st;
	struct body *open;
	uint64_t id[21];

	scene_close(s);
	s->max_bytes = 200000;
	scene_open(s);
	scene_box(s);
	for (unsigned i = 0; i < 20; i++) {
		id[i] = scene_add(s, i + 1, "b.eml");
		assert_int_equal(scene_put_body(s, id[i], 10000, i), 0);
		assert_int_equal(cache_sync(s->c), 0);
	}
	cache_get_stats(s->c, &st);
	assert_int_equal(st.evicted, 0);
	assert_int_equal(body_open(s->c, id[1], 10000, &open), 0);
	assert_int_equal(scene_check_body(s, id[0], 10000, 0), 0);
	id[20] = scene_add(s, 21, "b.eml");
	assert_int_equal(scene_put_body(s, id[20], 10000, 20), 0);
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(cache_sync(s->c), 0);
	cache_get_stats(s->c, &st);
	assert_int_equal(st.evicted, 2);
	assert_int_equal(st.body_bytes, 190000);
	assert_int_equal(scene_count_files(s), 19);
	for (unsigned i = 0; i < 21; i++)
		assert_int_equal(cache_has_body(s->c, id[i]), i != 2 && i != 3);
	body_put(open);

	/* A smaller bound holds from the next start on. */
	s->max_bytes = 50000;
	scene_reopen(s);
	assert_int_equal(cache_sync(s->c), 0);
	cache_get_stats(s->c, &st);
	assert_true(st.body_bytes <= 50000 && st.body_bytes > 30000);
	assert_int_equal(scene_check_body(s, id[20], 10000, 20), 0);
}

static void parts_count_and_are_evicted_too(void **state)
{
	struct scene *s = *state;
	struct cache_stats st;
	uint64_t id[2], at, n;
	struct body *b;

	scene_close(s);
	s->max_bytes = 3 * MIB;
	scene_open(s);
	scene_box(s);
	id[0] = scene_add(s, 1, "b.eml");
	id[1] = scene_add(s, 2, "b.eml");
	put_part(s, id[0], 5 * MIB, 0, 2 * MIB);
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(scene_put_body(s, id[1], 2 * MIB, 3), 0);
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(cache_sync(s->c), 0);
	cache_get_stats(s->c, &st);
	assert_int_equal(st.evicted, 1);
	assert_int_equal(st.body_bytes, 2 * MIB);
	assert_int_equal(scene_count_files(s), 1);
	assert_int_equal(body_open(s->c, id[0], 5 * MIB, &b), 0);
	assert_true(body_gap(b, 0, &at, &n) && at == 0 && n == 5 * MIB);
	body_put(b);
	assert_int_equal(scene_check_body(s, id[1], 2 * MIB, 3), 0);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_body_survives_a_remount),
		T(bytes_can_be_read_as_soon_as_they_came),
		T(the_end_tells_the_true_size),
		T(a_second_fetch_cannot_change_what_came),
		T(writes_in_any_order_make_the_same_body),
		T(the_same_content_is_stored_once),
		T(labels_of_one_message_share_its_body),
		T(a_body_of_a_removed_message_leaves_nothing),
		T(a_flipped_bit_is_found_and_thrown_away),
		T(only_the_chunk_that_is_read_is_checked),
		T(damage_is_healed_by_another_fetch),
		T(a_cut_or_missing_file_is_not_here),
		T(whole_chunks_of_a_large_body_survive),
		T(a_damaged_chunk_of_a_part_is_fetched_again),
		T(a_part_that_the_end_cuts_is_not_believed),
		T(what_no_row_knows_is_removed),
		T(the_folder_may_be_wiped_while_mounted),
		T(the_least_recently_read_goes_first),
		T(parts_count_and_are_evicted_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
