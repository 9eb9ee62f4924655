/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scene.h"

/*
 * Many threads on one cache: what they find is right at every moment. Most of
 * the worth of this file shows in a build with the thread sanitizer.
 */

#define THREADS 6
#define ROUNDS 60

struct worker {
	struct scene *s;
	unsigned nr;
	const uint64_t *ids;
	pthread_t thread;
	const char *error; /* cmocka's asserts are for the main thread */
};

static void run_all(struct scene *s, void *(*run)(void *), const uint64_t *ids)
{
	struct worker w[THREADS];
	const char *error = NULL;

	for (unsigned i = 0; i < THREADS; i++) {
		w[i] = (struct worker){.s = s, .nr = i, .ids = ids};
		assert_int_equal(pthread_create(&w[i].thread, NULL, run, &w[i]),
				 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(w[i].thread, NULL);
		if (w[i].error)
			error = w[i].error;
	}
	if (error)
		fail_msg("%s", error);
}

static void *add_and_read(void *arg)
{
	struct worker *w = arg;
	struct cache_msg m[50];

	for (uint32_t i = 0; i < ROUNDS && !w->error; i++) {
		struct mail_row row = {.has = ROW_UID,
				       .uid = 1 + i * THREADS + w->nr};
		struct cache_new add = {&row, "same.eml", true};
		struct cache_details *d;
		uint64_t id, last = 0;
		size_t n;

		if (box_add(w->s->box, &add, 1, NULL, &id) != 0 || id == 0)
			w->error = "a row was not added";
		if (box_hold(w->s->box, id) != 0)
			w->error = "a row cannot be held";
		if (box_details(w->s->box, id, &d) == 0)
			free(d);
		else
			w->error = "a row has no details";
		n = box_read(w->s->box, 0, m, 50);
		for (size_t k = 0; k < n; k++) {
			if (m[k].id <= last)
				w->error = "ids do not ascend";
			last = m[k].id;
		}
		if (i % 2 && box_remove(w->s->box, &id, 1) != 0)
			w->error = "a row was not removed";
		box_release(w->s->box, id, 1);
		if (i % 16 == 0 && cache_sync(w->s->c) != 0)
			w->error = "sync failed";
	}
	return NULL;
}

static void rows_of_many_threads_are_all_there(void **state)
{
	struct scene *s = *state;

	scene_box(s);
	run_all(s, add_and_read, NULL);
	assert_int_equal(box_held(s->box), 0);
	assert_int_equal(box_count(s->box), THREADS * ROUNDS / 2);
	scene_reopen(s);
	assert_int_equal(box_count(s->box), THREADS * ROUNDS / 2);
}

#define BODIES 12

/* Fetch what is not here, check what is: wrong bytes never. */
static void *fetch_and_check(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < ROUNDS && !w->error; i++) {
		unsigned k = (i * 7 + w->nr * 5) % BODIES;
		size_t n = k == 0 ? 2 * CACHE_CHUNK + 9 : 5000 + k;
		int r = scene_check_body(w->s, w->ids[k], n, k);

		if (r == -ENODATA)
			r = scene_put_body(w->s, w->ids[k], n, k);
		if (r != 0)
			w->error = r == 1 ? "wrong bytes" : "an error";
	}
	return NULL;
}

static void readers_and_eviction_never_meet_wrong_bytes(void **state)
{
	struct scene *s = *state;
	uint64_t ids[BODIES];

	scene_close(s);
	s->max_bytes = 40000; /* less than all of them */
	scene_open(s);
	scene_box(s);
	for (uint32_t i = 0; i < BODIES; i++)
		ids[i] = scene_add(s, i + 1, "b.eml");
	run_all(s, fetch_and_check, ids);
}

/* All threads check one damaged body: each hears of it, none reads it. */
static void *check_damaged(void *arg)
{
	struct worker *w = arg;
	unsigned char byte;
	struct body *b;
	int r;

	if (body_open(w->s->c, w->ids[0], 1, &b) != 0) {
		w->error = "not opened";
		return NULL;
	}
	r = body_check(b, 0, 3 * CACHE_CHUNK);
	if (r != -EBADMSG && r != -ENODATA)
		w->error = "the damage was not found";
	if (body_read(b, &byte, 1, CACHE_CHUNK) != -ENODATA)
		w->error = "damaged bytes were read";
	body_put(b);
	return NULL;
}

static void damage_is_found_once_by_many_readers(void **state)
{
	struct scene *s = *state;
	struct cache_stats st;
	char path[512];
	uint64_t id;
	FILE *f;

	scene_box(s);
	id = scene_add(s, 1, "b.eml");
	assert_int_equal(scene_put_body(s, id, 3 * CACHE_CHUNK, 1), 0);
	scene_reopen(s);
	scene_blob_path(s, path, sizeof(path));
	f = fopen(path, "r+e");
	assert_non_null(f);
	assert_int_equal(fseek(f, CACHE_CHUNK + 5, SEEK_SET), 0);
	fputs("damage", f);
	fclose(f);
	run_all(s, check_damaged, &id);
	cache_get_stats(s->c, &st);
	assert_int_equal(st.damaged, 1);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(rows_of_many_threads_are_all_there),
		T(readers_and_eviction_never_meet_wrong_bytes),
		T(damage_is_found_once_by_many_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
