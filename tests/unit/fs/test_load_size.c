/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flushing.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "fs/attr.h"
#include "fs/folder.h"
#include "fs/load_private.h"
#include "fs/notify.h"

/*
 * A body that is longer than the server said. The kernel is told of it by
 * notify_size(), which lets the test in (--wrap): what may happen before the
 * kernel knows?
 */

#define SAID 280000u
#define REAL 300000u
/* The last bytes that the kernel asks for while it believes what was said. */
#define TAIL_AT 262144u
#define TAIL 20480u

struct scene {
	struct flushing *t;
	uint64_t id;
	struct body *body;
	void (*meanwhile)(struct scene *s);
	pthread_t second;
	_Atomic bool is_second_started, is_second_waiting, is_second_back;
	_Atomic bool told;
	unsigned deaf; /* so often the kernel does not know the message yet */
};

static struct scene scene;
static _Thread_local bool is_second;

int __real_notify_size(struct notify *n, uint64_t ino);
int __wrap_notify_size(struct notify *n, uint64_t ino);

int __wrap_notify_size(struct notify *n, uint64_t ino)
{
	assert_int_equal(ino, scene.id);
	if (scene.deaf > 0) {
		scene.deaf--;
		return -ENOENT;
	}
	assert_false(scene.told);
	if (scene.meanwhile)
		scene.meanwhile(&scene);
	assert_int_equal(__real_notify_size(n, ino), 0);
	scene.told = true;
	return 0;
}

bool __real_lock_cond_wait(struct lock_cond *c, struct lock *l,
			   int64_t deadline_ms) REQUIRES(*l);
bool __wrap_lock_cond_wait(struct lock_cond *c, struct lock *l,
			   int64_t deadline_ms) REQUIRES(*l);

bool __wrap_lock_cond_wait(struct lock_cond *c, struct lock *l,
			   int64_t deadline_ms)
{
	/* The threads of the cache wait, too. */
	if (is_second)
		scene.is_second_waiting = true;
	return __real_lock_cond_wait(c, l, deadline_ms);
}

/* All bytes of a message have come, and nobody knows yet that it ends there. */
static void begin(void **state, void (*meanwhile)(struct scene *s))
{
	struct flushing *t = *state;
	char *bytes = calloc(1, REAL);
	struct box *box;

	scene = (struct scene){.t = t, .id = t->id[0], .meanwhile = meanwhile};
	assert_non_null(bytes);
	/* Up to the end the folder is in use, as that of a reader is. */
	assert_int_equal(folder_get(t->fs, t->a, &box), 0);
	assert_int_equal(box_set_size(box, scene.id, SAID), 0);
	assert_int_equal(body_open(t->fs->cache, scene.id, SAID, &scene.body),
			 0);
	assert_int_equal(body_write(scene.body, 0, bytes, REAL), 0);
	free(bytes);
}

static void end(void)
{
	body_put(scene.body);
	folder_put(scene.t->fs, scene.t->a);
}

/* What a READ of the tail finds now. */
static int read_tail(struct scene *s)
{
	struct cache_msg m;
	struct folder *f;
	struct body *b;
	int r;

	assert_int_equal(attr_find_message(s->t->fs, s->id, &m, &f), 0);
	assert_int_equal(m.size, REAL);
	r = load_read(s->t->fs, f, &m, TAIL_AT, TAIL, &b);
	if (r == 0) {
		assert_int_equal(body_size(b), REAL);
		body_put(b);
	}
	return r;
}

static void expect_wait(struct scene *s)
{
	assert_int_equal(read_tail(s), -EAGAIN);
}

static void nobody_reads_before_the_kernel_knows_the_size(void **state)
{
	begin(state, expect_wait);
	/* Even if it were whole by now. */
	assert_int_equal(body_end(scene.body, REAL), 0);
	load_correct_size(scene.t->fs, scene.id, REAL);
	assert_true(scene.told);
	assert_int_equal(read_tail(&scene), 0);
	end();
}

static void *correct_too(void *arg)
{
	struct scene *s = arg;

	is_second = true;
	load_correct_size(s->t->fs, s->id, REAL);
	s->is_second_back = true;
	/* It would let readers find the end. */
	assert_true(s->told);
	return NULL;
}

/* Another part of the message ends now, on another connection's thread. */
static void start_second(struct scene *s)
{
	int64_t patience = clock_now_ms() + PATIENCE_MS;

	assert_int_equal(pthread_create(&s->second, NULL, correct_too, s), 0);
	s->is_second_started = true;
	while (!s->is_second_waiting && !s->is_second_back)
		wait_a_bit(patience);
}

static void who_finds_the_size_corrected_waits_until_the_kernel_knows(
	void **state)
{
	begin(state, start_second);
	load_correct_size(scene.t->fs, scene.id, REAL);
	assert_true(scene.is_second_started);
	assert_int_equal(pthread_join(scene.second, NULL), 0);
	assert_true(scene.is_second_back);
	end();
}

/* It learns of that by a short answer. */
static void fail_if_told(struct scene *s)
{
	(void)s;
	fail_msg("the kernel was told");
}

static void the_kernel_is_not_told_of_less(void **state)
{
	begin(state, fail_if_told);
	load_correct_size(scene.t->fs, scene.id, SAID);
	load_correct_size(scene.t->fs, scene.id, SAID - 1);
	end();
}

static void who_knows_it_too_late_is_told_at_the_next_read(void **state)
{
	begin(state, NULL);
	scene.deaf = 2;
	load_correct_size(scene.t->fs, scene.id, REAL);
	load_tell_late(scene.t->fs, scene.id);
	assert_false(scene.told);
	load_tell_late(scene.t->fs, scene.id);
	assert_true(scene.told);
	/* Once: it would fail. */
	load_tell_late(scene.t->fs, scene.id);
	load_tell_late(scene.t->fs, scene.id + 1);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			nobody_reads_before_the_kernel_knows_the_size,
			flushing_setup, flushing_teardown),
		cmocka_unit_test_setup_teardown(
			who_finds_the_size_corrected_waits_until_the_kernel_knows,
			flushing_setup, flushing_teardown),
		cmocka_unit_test_setup_teardown(
			who_knows_it_too_late_is_told_at_the_next_read,
			flushing_setup, flushing_teardown),
		cmocka_unit_test_setup_teardown(the_kernel_is_not_told_of_less,
						flushing_setup,
						flushing_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
