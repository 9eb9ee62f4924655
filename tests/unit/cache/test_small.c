/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "scene.h"

#include "cache/small.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Small bodies read in a row: found by a range of ids, read and checked. */

#define SIZE 3000

static struct cache_small find_one(struct scene *s, uint64_t id)
{
	struct cache_small small = {.id = id, .size = SIZE};

	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(cache_find_small(s->c, &small, 1), 1);
	assert_int_equal(small.id, id);
	return small;
}

/* Ask for the bodies of `n` messages, listed with `size` bytes each. */
static size_t find_many(struct scene *s, const uint64_t *id, size_t n,
			uint64_t size, struct cache_small *ret)
{
	for (size_t i = 0; i < n; i++)
		ret[i] = (struct cache_small){.id = id[i], .size = size};
	return cache_find_small(s->c, ret, n);
}

static int read_one(struct scene *s, const struct cache_small *small,
		    unsigned seed)
{
	unsigned char in[SIZE], out[SIZE];
	int r = cache_read_small(s->c, small, out);

	scene_fill(in, 0, SIZE, seed);
	if (r == 0)
		assert_memory_equal(in, out, SIZE);
	return r;
}

static void bodies_are_found_in_the_order_of_ids(void **state)
{
	struct scene *s = *state;
	struct cache_small small[8];
	uint64_t id[5];

	scene_box(s);
	for (unsigned i = 0; i < 5; i++)
		id[i] = scene_add(s, i + 1, "b.eml");
	for (unsigned i = 0; i < 5; i += 2)
		assert_int_equal(scene_put_body(s, id[i], SIZE, i), 0);
	assert_int_equal(cache_sync(s->c), 0);

	assert_int_equal(find_many(s, id, 5, SIZE, small), 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(small[i].id, id[2 * i]);
		assert_int_equal(small[i].size, SIZE);
		assert_int_equal(read_one(s, &small[i], 2 * i), 0);
	}
	assert_int_equal(find_many(s, id + 1, 3, SIZE, small), 1);
	assert_int_equal(small[0].id, id[2]);
	/* Only what was asked for, though more lies between. */
	id[1] = id[4];
	assert_int_equal(find_many(s, id, 2, SIZE, small), 2);
	assert_int_equal(small[1].id, id[4]);
	assert_int_equal(find_many(s, id, 0, SIZE, small), 0);
}

static void a_body_of_another_size_is_not_handed_out(void **state)
{
	struct scene *s = *state;
	struct cache_small small;
	char out[SIZE + 1];
	uint64_t id;

	scene_box(s);
	id = scene_add(s, 1, "b.eml");
	assert_int_equal(scene_put_body(s, id, SIZE, 1), 0);
	for (uint64_t size = SIZE - 1; size <= SIZE + 1; size += 2) {
		small = find_one(s, id);
		small.size = size;
		assert_int_equal(cache_read_small(s->c, &small, out), -ENODATA);
	}
}

static void large_partial_and_missing_ones_are_not_found(void **state)
{
	struct scene *s = *state;
	unsigned char bytes[100] = {0};
	struct cache_small small[4];
	struct body *part;
	uint64_t id[3];

	scene_box(s);
	for (unsigned i = 0; i < 3; i++)
		id[i] = scene_add(s, i + 1, "b.eml");
	assert_int_equal(scene_put_body(s, id[0], CACHE_CHUNK + 1, 1), 0);
	assert_int_equal(body_open(s->c, id[1], SIZE, &part), 0);
	assert_int_equal(body_write(part, 0, bytes, sizeof(bytes)), 0);
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(find_many(s, id, 3, CACHE_CHUNK + 1, small), 0);
	assert_int_equal(find_many(s, id, 3, 0, small), 0);
	assert_int_equal(find_many(s, id + 1, 2, SIZE, small), 0);
	body_put(part);
}

static void a_damaged_body_is_not_handed_out(void **state)
{
	struct scene *s = *state;
	struct cache_small small;
	unsigned char byte;
	char path[600];
	uint64_t id;
	int fd;

	scene_box(s);
	id = scene_add(s, 1, "b.eml");
	assert_int_equal(scene_put_body(s, id, SIZE, 3), 0);
	small = find_one(s, id);
	assert_int_equal(read_one(s, &small, 3), 0);

	scene_blob_path(s, path, sizeof(path));
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, 1234), 1);
	byte ^= 16;
	assert_int_equal(pwrite(fd, &byte, 1, 1234), 1);
	assert_int_equal(read_one(s, &small, 3), -ENODATA);
	assert_int_equal(ftruncate(fd, 100), 0);
	assert_int_equal(read_one(s, &small, 3), -ENODATA);
	close(fd);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(read_one(s, &small, 3), -ENODATA);
}

static void what_was_read_in_a_row_is_evicted_last(void **state)
{
	struct scene *s = scene_new();
	struct cache_small small;
	uint64_t id[12];

	(void)state;
	s->max_bytes = 10 * SIZE;
	scene_open(s);
	scene_box(s);
	for (unsigned i = 0; i < 12; i++)
		id[i] = scene_add(s, i + 1, "b.eml");
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(scene_put_body(s, id[i], SIZE, i), 0);
	small = find_one(s, id[0]);
	assert_int_equal(read_one(s, &small, 0), 0);
	for (unsigned i = 10; i < 12; i++) {
		assert_int_equal(scene_put_body(s, id[i], SIZE, i), 0);
		assert_int_equal(cache_sync(s->c), 0);
	}
	/* The second was the one not read for the longest time. */
	assert_true(cache_has_body(s->c, id[0]));
	assert_false(cache_has_body(s->c, id[1]));
	scene_close(s);
	scene_free(s);
}

static void of_many_reads_of_a_body_the_last_counts(void **state)
{
	struct scene *s = scene_new();
	struct cache_small small;
	uint64_t id[11];

	(void)state;
	s->max_bytes = 10 * SIZE;
	scene_open(s);
	scene_box(s);
	for (unsigned i = 0; i < 11; i++)
		id[i] = scene_add(s, i + 1, "b.eml");
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(scene_put_body(s, id[i], SIZE, i), 0);
	for (unsigned times = 0; times < 400; times++)
		for (unsigned i = 0; i < 10; i++) {
			/* From the fourth on, and round. */
			unsigned at = (i + 3) % 10;

			small = find_one(s, id[at]);
			assert_int_equal(read_one(s, &small, at), 0);
		}
	assert_int_equal(scene_put_body(s, id[10], SIZE, 10), 0);
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(cache_sync(s->c), 0);
	assert_false(cache_has_body(s->c, id[3]));
	assert_true(cache_has_body(s->c, id[0]));
	assert_true(cache_has_body(s->c, id[2]));
	scene_close(s);
	scene_free(s);
}

static void reading_times_survive_a_remount(void **state)
{
	struct scene *s = scene_new();
	struct cache_small small;
	uint64_t id[11];

	(void)state;
	s->max_bytes = 10 * SIZE;
	scene_open(s);
	scene_box(s);
	for (unsigned i = 0; i < 11; i++)
		id[i] = scene_add(s, i + 1, "b.eml");
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(scene_put_body(s, id[i], SIZE, i), 0);
	small = find_one(s, id[0]);
	assert_int_equal(read_one(s, &small, 0), 0);
	scene_reopen(s);
	assert_int_equal(scene_put_body(s, id[10], SIZE, 10), 0);
	/* The eviction follows the commit that went over the bound. */
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(cache_sync(s->c), 0);
	assert_true(cache_has_body(s->c, id[0]));
	assert_false(cache_has_body(s->c, id[1]));
	scene_close(s);
	scene_free(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bodies_are_found_in_the_order_of_ids),
		TEST(a_body_of_another_size_is_not_handed_out),
		TEST(large_partial_and_missing_ones_are_not_found),
		TEST(a_damaged_body_is_not_handed_out),
		cmocka_unit_test(what_was_read_in_a_row_is_evicted_last),
		cmocka_unit_test(of_many_reads_of_a_body_the_last_counts),
		cmocka_unit_test(reading_times_survive_a_remount),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
