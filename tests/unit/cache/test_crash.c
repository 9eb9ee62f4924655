/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "scene.h"

/*
 * A child works on a cache and is killed at some point; then the cache is
 * opened again and must keep what cache.h promises (C1 to C5). The child tells
 * of each id before it goes on, through a pipe: that is also what the parent
 * counts to know when to kill. CACHE_CRASH_SEED repeats a run,
 * CACHE_CRASH_ROUNDS makes it longer.
 */

static unsigned random_state;

static unsigned roll(unsigned n)
{
	random_state = random_state * 1103515245 + 12345;
	return (random_state >> 8) % n;
}

/* --- the child --- */

static size_t body_bytes(uint64_t id)
{
	return id % 7 == 0 ? 2 * CACHE_CHUNK + 333 : id % 9000;
}

static void tell(int out, uint64_t id)
{
	if (write(out, &id, sizeof(id)) != sizeof(id))
		_exit(1);
}

/*
 * New messages with the next UIDs; the state in the same call says so. Every
 * UID below uidnext has been added, and those above low_uid are still there.
 */
static void add_some(struct scene *s, int out)
{
	struct mail_row row[20];
	struct cache_new add[20];
	struct cache_state st;
	uint64_t ids[20];
	size_t n = 1 + roll(20);

	box_state(s->box, &st);
	for (size_t i = 0; i < n; i++) {
		row[i] = (struct mail_row){
			.has = ROW_UID | ROW_FLAGS,
			.uid = st.uidnext + (uint32_t)i,
			.keywords = "a b",
		};
		add[i] = (struct cache_new){&row[i], "twin.eml", true};
	}
	st.uidnext += (uint32_t)n;
	if (box_add(s->box, add, n, &st, ids) != 0)
		_exit(2);
	for (size_t i = 0; i < n; i++)
		tell(out, ids[i]);
}

/* The oldest UIDs go; the state that says so follows in order. */
static void remove_some(struct scene *s)
{
	struct cache_state st;
	struct cache_msg m[5];
	uint64_t ids[5];
	size_t n = box_read(s->box, 0, m, 1 + roll(5));

	if (n == 0)
		return;
	box_state(s->box, &st);
	for (size_t i = 0; i < n; i++)
		ids[i] = m[i].id;
	st.low_uid = m[n - 1].uid + 1;
	if (box_set_state(s->box, &st) != 0 || box_remove(s->box, ids, n) != 0)
		_exit(3);
}

static void one_step(struct scene *s, int out)
{
	struct cache_msg m;
	struct cache_flags f;
	uint64_t id;

	switch (roll(6)) {
	case 0:
		remove_some(s);
		break;
	case 1:
	case 2:
		add_some(s, out);
		break;
	case 3:
		if (cache_new_ids(s->c, 1 + roll(2000), &id) != 0)
			_exit(4);
		tell(out, id);
		break;
	case 4:
		if (box_read(s->box, 0, &m, 1) == 1) {
			f = (struct cache_flags){m.id, roll(32), "x y"};
			if (box_set_flags(s->box, &f, 1) != 0)
				_exit(5);
		}
		break;
	default:
		if (box_read(s->box, roll(40) + CACHE_ID_FIRST, &m, 1) == 1 &&
		    scene_put_body(s, m.id, body_bytes(m.id), (unsigned)m.id) !=
			    0)
			_exit(6);
		tell(out, 0);
	}
}

static void child(struct scene *s, int out)
{
	struct cache_config cfg = {s->state_dir, s->cache_dir, 8u << 20};

	if (cache_open(&cfg, 10000, &s->c, &s->report) != 0)
		_exit(7);
	if (box_open(s->c, s->folder, &s->box) != 0)
		_exit(8);
	for (;;)
		one_step(s, out);
}

/* --- the parent --- */

/* Read what the child tells, kill it after `n` words; the highest id. */
static uint64_t run_and_kill(pid_t pid, int in, unsigned n)
{
	uint64_t id, highest = 0;
	int status;
	bool dead = false;

	while (read(in, &id, sizeof(id)) == sizeof(id)) {
		if (id > highest)
			highest = id;
		if (n > 0)
			n--;
		if (n == 0 && !dead) {
			/* What is in the pipe already is read, too. */
			dead = true;
			kill(pid, SIGKILL);
		}
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	return highest;
}

static void check_rows(struct scene *s)
{
	struct cache_state st;
	struct cache_msg m;
	uint64_t after = 0;
	uint32_t uid;

	box_state(s->box, &st);
	assert_true(st.uidnext >= 1);
	uid = st.low_uid;
	while (box_read(s->box, after, &m, 1) == 1) {
		int r;

		assert_true(m.id > after);
		after = m.id;
		if (m.uid < st.low_uid)
			continue; /* its removal came after the state */
		assert_int_equal(m.uid, uid);
		uid++;
		r = scene_check_body(s, m.id, body_bytes(m.id), (unsigned)m.id);
		if (r != 0)
			assert_int_equal(r, -ENODATA);
	}
	assert_int_equal(uid, st.uidnext);
}

static void one_round(struct scene *s, uint64_t *highest)
{
	uint64_t id, told;
	int pipes[2];
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(pipes[0]);
		child(s, pipes[1]);
	}
	close(pipes[1]);
	told = run_and_kill(pid, pipes[0], 1 + roll(400));
	close(pipes[0]);
	if (told > *highest)
		*highest = told;

	scene_open(s);
	assert_string_equal(s->report.set_aside, "");
	assert_int_equal(box_open(s->c, s->folder, &s->box), 0);
	check_rows(s);
	assert_int_equal(cache_new_ids(s->c, 1, &id), 0);
	assert_true(id > *highest);
	*highest = id;
	if (roll(2))
		assert_int_equal(cache_sync(s->c), 0);
	scene_close(s);
}

static void a_kill_at_any_moment_is_harmless(void **state)
{
	struct scene *s = *state;
	const char *seed = getenv("CACHE_CRASH_SEED");
	const char *rounds = getenv("CACHE_CRASH_ROUNDS");
	struct cache_state st = {.uidvalidity = 1, .uidnext = 1, .low_uid = 1};
	uint64_t highest = 0;

	random_state = seed ? (unsigned)strtoul(seed, NULL, 10)
			    : (unsigned)time(NULL) ^ (unsigned)getpid();
	print_message("CACHE_CRASH_SEED=%u\n", random_state);
	scene_box(s);
	assert_int_equal(box_set_state(s->box, &st), 0);
	scene_close(s);
	for (int i = rounds ? (int)strtol(rounds, NULL, 10) : 25; i > 0; i--)
		one_round(s, &highest);
	scene_open(s);
}

/* --- files that a kill leaves --- */

static void a_kill_leaves_no_files_for_ever(void **state)
{
	struct scene *s = *state;
	struct cache_stats st;
	uint64_t highest = 0;
	struct cache_state zero = {.uidnext = 1, .low_uid = 1};

	random_state = 4711;
	scene_box(s);
	assert_int_equal(box_set_state(s->box, &zero), 0);
	scene_close(s);
	for (int i = 0; i < 3; i++)
		one_round(s, &highest);
	/* What is as young as a start is left for the next sweep. */
	for (int i = 0; i < 100; i++) {
		scene_sql(s, "UPDATE vals SET value = 0 WHERE key = 'clean'");
		scene_open(s);
		for (int k = 0; k < 300; k++)
			assert_int_equal(cache_sync(s->c), 0);
		cache_get_stats(s->c, &st);
		scene_close(s);
		if (scene_count_files(s) <= st.bodies + 2)
			break;
	}
	scene_open(s);
	cache_get_stats(s->c, &st);
	/* Beside the bodies only parts that are recorded. */
	assert_true(scene_count_files(s) <= st.bodies + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_kill_at_any_moment_is_harmless, scene_setup,
			scene_teardown),
		cmocka_unit_test_setup_teardown(a_kill_leaves_no_files_for_ever,
						scene_setup, scene_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
