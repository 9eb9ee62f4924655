/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/internal.h"
#include "scene.h"

/* Bodies: arriving, publishing, sharing, damage, eviction, wiped folders. */

#define MIB ((size_t)CACHE_CHUNK)

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

/* A cache that holds no more than that, and `n` bodies of 10,000 bytes. */
static void put_bodies(struct scene *s, uint64_t max_bytes, uint64_t *id,
		       unsigned n)
{
	scene_close(s);
	s->max_bytes = max_bytes;
	scene_open(s);
	scene_box(s);
	for (unsigned i = 0; i < n; i++) {
		id[i] = scene_add(s, i + 1, "b.eml");
		assert_int_equal(scene_put_body(s, id[i], 10000, i), 0);
		assert_int_equal(cache_sync(s->c), 0);
	}
}

static void the_least_recently_read_goes_first(void **state)
{
	struct scene *s = *state;
	struct cache_stats st;
	struct body *open;
	uint64_t id[21];

	put_bodies(s, 200000, id, 20);
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

static void read_it(struct scene *s, const uint64_t *id, unsigned i)
{
	assert_int_equal(scene_check_body(s, id[i], 10000, i), 0);
}

/*
 * More reads than are remembered at first, then once backwards, then more of
 * the one that was the last.
 */
static void read_often(struct scene *s, const uint64_t *id, unsigned n)
{
	for (unsigned pass = 0; pass < 200; pass++) {
		for (unsigned i = 0; i < n; i++)
			read_it(s, id, i);
	}
	for (unsigned i = n; i-- > 0;)
		read_it(s, id, i);
	for (unsigned pass = 0; pass < 500; pass++)
		read_it(s, id, 0);
}

static void reads_of_the_same_bodies_take_no_more_memory(void **state)
{
	struct scene *s = *state;
	uint64_t id[10];

	put_bodies(s, 200000, id, 10);
	read_often(s, id, 10);
	assert_in_range(s->c->bodies.n_touches, 10, 400);
	assert_in_range(s->c->bodies.touches_room, 10, 400);
}

/* Bodies that come and go, while somebody reads all that is there. */
static void reads_are_written_before_they_are_many(void **state)
{
	struct scene *s = *state;
	struct bodies *all;
	uint64_t id[300];

	put_bodies(s, 10000000, id, 300);
	all = &s->c->bodies;
	for (unsigned i = 0; i < 300; i++)
		read_it(s, id, i);
	assert_int_equal(cache_sync(s->c), 0);
	assert_true(all->n_touches >= 300);

	lock_take(&all->lock);
	all->touches_from_ms -= 10 * 60 * 1000;
	lock_drop(&all->lock);
	read_it(s, id, 0);
	assert_int_equal(cache_sync(s->c), 0);
	/* No more than what of this one came behind them. */
	assert_in_range(all->n_touches, 0, 60);
	/* They are kept for as long again. */
	for (unsigned i = 0; i < 300; i++)
		read_it(s, id, i);
	assert_int_equal(cache_sync(s->c), 0);
	assert_true(all->n_touches >= 300);
}

static void the_last_of_many_reads_counts(void **state)
{
	struct scene *s = *state;
	uint64_t id[11];

	put_bodies(s, 100000, id, 10);
	read_often(s, id, 10);
	id[10] = scene_add(s, 11, "b.eml");
	assert_int_equal(scene_put_body(s, id[10], 10000, 10), 0);
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(cache_sync(s->c), 0);
	/* Down to nine tenths: it, and the eight that were read last. */
	for (unsigned i = 0; i < 11; i++)
		assert_int_equal(cache_has_body(s->c, id[i]), i != 8 && i != 9);
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
	scene_put_part(s, id[0], 5 * MIB, 0, 2 * MIB);
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
		T(the_folder_may_be_wiped_while_mounted),
		T(the_least_recently_read_goes_first),
		T(reads_of_the_same_bodies_take_no_more_memory),
		T(reads_are_written_before_they_are_many),
		T(the_last_of_many_reads_counts),
		T(parts_count_and_are_evicted_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
