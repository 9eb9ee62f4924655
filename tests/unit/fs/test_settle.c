/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flushing.h"

#include "cache/blob.h"
#include "fs/folder.h"

/*
 * The body of a message that is gone stays open, with its descriptor, as long
 * as the kernel holds the inode, and no longer, in whatever order the two are
 * told of.
 */

static struct cache_msg message(struct flushing *t, unsigned i)
{
	struct cache_msg m;

	assert_int_equal(find(t, t->a, t->id[i], &m), 0);
	return m;
}

/* This message of A has a body, and the kernel knows it. */
static struct box *begin(struct flushing *t, unsigned i)
{
	static const char bytes[1000];
	struct box *box;
	struct body *b;

	assert_int_equal(body_open(t->fs->cache, t->id[i], 1000, &b), 0);
	assert_int_equal(body_write(b, 0, bytes, sizeof(bytes)), 0);
	assert_int_equal(body_end(b, sizeof(bytes)), 0);
	body_put(b);
	assert_int_equal(cache_sync(t->fs->cache), 0);
	assert_int_equal(folder_get(t->fs, t->a, &box), 0);
	assert_int_equal(box_hold(box, t->id[i]), 0);
	return box;
}

static bool is_kept(struct flushing *t, unsigned i)
{
	return body_is_open(t->fs->cache, t->id[i]);
}

static bool keep(struct flushing *t, unsigned i)
{
	struct cache_msg m = message(t, i);

	folder_keep_body(t->fs, t->a, &m);
	return is_kept(t, i);
}

static void it_is_kept_until_the_kernel_forgets_it(void **state)
{
	struct flushing *t = *state;
	struct box *box = begin(t, 0);

	assert_true(keep(t, 0));
	assert_true(keep(t, 0)); /* whoever says that it goes */
	assert_int_equal(box_doom(box, t->id, 1, NULL), 0);
	assert_int_equal(box_remove(box, t->id, 1), 0);
	assert_true(is_kept(t, 0));
	assert_true(folder_forget_message(t->fs, t->a, t->id[0], 1));
	assert_false(is_kept(t, 0));
	folder_put(t->fs, t->a);
}

/* A directory that goes takes what was in it along, before its messages go. */
static void the_kernel_may_forget_it_before_it_is_gone(void **state)
{
	struct flushing *t = *state;
	struct box *box = begin(t, 0);

	assert_true(keep(t, 0));
	assert_int_equal(box_doom(box, t->id, 1, NULL), 0);
	assert_true(folder_forget_message(t->fs, t->a, t->id[0], 1));
	assert_int_equal(box_remove(box, t->id, 1), 0);
	assert_false(is_kept(t, 0));
	folder_put(t->fs, t->a);
}

static void the_kernel_may_forget_it_while_it_is_being_kept(void **state)
{
	struct flushing *t = *state;
	struct cache_msg m;

	(void)begin(t, 0);
	m = message(t, 0);
	assert_int_equal(m.held, 1);
	assert_true(folder_forget_message(t->fs, t->a, t->id[0], 1));
	folder_keep_body(t->fs, t->a, &m);
	assert_false(is_kept(t, 0));
	folder_put(t->fs, t->a);
}

/* Each has a descriptor. */
static void there_is_an_end_to_how_many_are_kept(void **state)
{
	struct flushing *t = *state;

	(void)begin(t, 0);
	(void)begin(t, 1);
	t->fs->n_ghosts = FS_GHOSTS_MAX - 1;
	assert_true(keep(t, 0));
	assert_false(keep(t, 1));
	assert_true(folder_forget_message(t->fs, t->a, t->id[0], 1));
	assert_true(keep(t, 1));
	assert_int_equal(t->fs->n_ghosts, FS_GHOSTS_MAX);
	folder_put(t->fs, t->a);
	folder_put(t->fs, t->a);
}

#define TEST(f)                                                                \
	cmocka_unit_test_setup_teardown(f, flushing_setup, flushing_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_kept_until_the_kernel_forgets_it),
		TEST(the_kernel_may_forget_it_before_it_is_gone),
		TEST(the_kernel_may_forget_it_while_it_is_being_kept),
		TEST(there_is_an_end_to_how_many_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
