/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>

#include "cache/internal.h"
#include "scene.h"

/*
 * How much the writer does for those who wait for it: no fsync that covers only
 * a part of what was asked for, and no transaction before its time for one who
 * has said that more will come.
 */

static atomic_uint n_synced;

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker wants these names. */
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	atomic_fetch_add(&n_synced, 1);
	return __real_fdatasync(fd);
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* An operation in the middle of which the writer is held. */
struct held_op {
	struct op op;
	sem_t *running, *go_on;
};

static int run_held(struct cache *c, struct op *op)
{
	struct held_op *h = (struct held_op *)op;

	(void)c;
	(void)sem_post(h->running);
	(void)sem_wait(h->go_on);
	return 0;
}

static void *sync_all(void *arg)
{
	struct scene *s = arg;

	return cache_sync(s->c) == 0 ? s : NULL;
}

static void wait_until_asked(struct writer *w, uint64_t wanted)
{
	uint64_t asked;

	do {
		(void)usleep(100);
		lock_take(&w->lock);
		asked = w->sync_wanted;
		lock_drop(&w->lock);
	} while (asked < wanted);
}

static void a_sync_waits_until_it_covers_what_was_asked(void **state)
{
	struct scene *s = *state;
	struct writer *w = &s->c->writer;
	sem_t running, go_on;
	struct held_op *h;
	pthread_t syncs;
	uint64_t pushed;
	void *well;

	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(sem_init(&running, 0, 0), 0);
	assert_int_equal(sem_init(&go_on, 0, 0), 0);
	h = op_new(sizeof(*h), run_held, 0);
	assert_non_null(h);
	h->running = &running;
	h->go_on = &go_on;
	writer_push(s->c, &h->op);
	assert_int_equal(sem_wait(&running), 0);
	/* This one comes too late for the transaction that runs. */
	assert_int_equal(cache_set_value(s->c, "k", "v"), 0);
	atomic_store(&n_synced, 0);
	assert_int_equal(pthread_create(&syncs, NULL, sync_all, s), 0);
	lock_take(&w->lock);
	pushed = w->pushed;
	/* Time is no reason for an fsync here. */
	w->synced_at = clock_now_ms() + 3600000;
	lock_drop(&w->lock);
	wait_until_asked(w, pushed);
	assert_int_equal(sem_post(&go_on), 0);
	assert_int_equal(pthread_join(syncs, &well), 0);
	assert_non_null(well);
	assert_int_equal(atomic_load(&n_synced), 1);
	sem_destroy(&running);
	sem_destroy(&go_on);
}

static void who_commits_without_hurry_leaves_the_writer_its_time(void **state)
{
	struct scene *s = *state;
	struct writer *w = &s->c->writer;
	uint64_t pushed, applied, wanted;

	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(cache_set_value(s->c, "k", "v"), 0);
	lock_take(&w->lock);
	pushed = w->pushed;
	lock_drop(&w->lock);
	assert_int_equal(cache_commit_gathered(s->c), 0);
	lock_take(&w->lock);
	applied = w->applied;
	wanted = w->commit_wanted;
	lock_drop(&w->lock);
	assert_true(applied >= pushed);
	assert_true(wanted < pushed);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_sync_waits_until_it_covers_what_was_asked),
		T(who_commits_without_hurry_leaves_the_writer_its_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
