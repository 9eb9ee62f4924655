/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scene.h"

/* Two mounts of one account: neither of its folders is shared. */

static void a_second_mount_is_told_who_has_it(void **state)
{
	struct scene *s = *state;
	struct cache_config cfg = {s->state_dir, s->cache_dir, 0};
	struct cache *other;
	char pid[32];

	snprintf(pid, sizeof(pid), "process %d", (int)getpid());
	assert_int_equal(cache_open(&cfg, 0, &other, &s->report), -EBUSY);
	assert_non_null(strstr(s->report.text, pid));
}

static void *close_scene(void *arg)
{
	scene_close(arg);
	return NULL;
}

static void the_next_mount_waits_for_the_last(void **state)
{
	struct scene *s = *state;
	struct cache_config cfg = {s->state_dir, s->cache_dir, 0};
	struct cache *other;
	struct cache_report report;
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, close_scene, s), 0);
	assert_int_equal(cache_open(&cfg, 60000, &other, &report), 0);
	pthread_join(t, NULL);
	assert_null(s->c);
	cache_close(other);
}

/* As one that was started with another XDG_STATE_HOME. */
static int open_beside(struct scene *s, struct cache **ret)
{
	char state_dir[320];
	struct cache_config cfg = {state_dir, s->cache_dir, 0};

	snprintf(state_dir, sizeof(state_dir), "%s/beside", s->dir);
	return cache_open(&cfg, 0, ret, &s->report);
}

static void mounts_with_other_state_do_not_share_bodies(void **state)
{
	struct scene *s = *state;
	struct cache *other;
	char pid[32];

	snprintf(pid, sizeof(pid), "process %d", (int)getpid());
	assert_int_equal(open_beside(s, &other), -EBUSY);
	assert_non_null(strstr(s->report.text, pid));
	assert_false(s->report.is_ending);
	cache_say_ending(s->c);
	assert_int_equal(open_beside(s, &other), -EBUSY);
	assert_true(s->report.is_ending);
	scene_close(s);
	assert_int_equal(open_beside(s, &other), 0);
	cache_close(other);
}

static void a_wiped_folder_of_bodies_is_held_again(void **state)
{
	struct scene *s = *state;
	struct cache *other;
	uint64_t id;

	scene_box(s);
	id = scene_add(s, 1, "a");
	scene_wipe_cache_dir(s);
	assert_int_equal(scene_put_body(s, id, 100, 1), 0);
	assert_int_equal(open_beside(s, &other), -EBUSY);

	/* Who comes before anything was written has it. */
	scene_wipe_cache_dir(s);
	assert_int_equal(open_beside(s, &other), 0);
	id = scene_add(s, 2, "b");
	assert_int_equal(scene_put_body(s, id, 100, 2), -EIO);
	cache_close(other);
	assert_int_equal(scene_put_body(s, id, 100, 2), 0);
	assert_int_equal(scene_check_body(s, id, 100, 2), 0);
	assert_int_equal(open_beside(s, &other), -EBUSY);
}

static void a_lock_of_bodies_that_cannot_be_made_is_done_without(void **state)
{
	struct scene *s = *state;
	char path[320];

	scene_close(s);
	snprintf(path, sizeof(path), "%s/bodies.lock", s->cache_dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	scene_open(s);
	cache_say_ending(s->c);
}

static void one_folder_can_be_both(void **state)
{
	struct scene *s = *state;

	scene_close(s);
	snprintf(s->cache_dir, sizeof(s->cache_dir), "%s", s->state_dir);
	scene_open(s);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_second_mount_is_told_who_has_it),
		T(the_next_mount_waits_for_the_last),
		T(mounts_with_other_state_do_not_share_bodies),
		T(a_wiped_folder_of_bodies_is_held_again),
		T(a_lock_of_bodies_that_cannot_be_made_is_done_without),
		T(one_folder_can_be_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
