/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "world.h"

#include <stdio.h>

#include "fs/folder.h"
#include "fs/tree_private.h"

/* Mailboxes with another name than before. */

static size_t count_unmoored(struct world *w, struct folder *f)
{
	struct box *box;
	size_t n;

	assert_int_equal(folder_get(&w->fs, f, &box), 0);
	n = box_unmoored(box);
	folder_put(&w->fs, f);
	return n;
}

static void a_renamed_mailbox_is_the_same_folder(void **state)
{
	struct mail_folder before[] = {BOX("Work", 7, 5), BOX("Other", 7, 9)};
	struct mail_folder after[] = {BOX("Done", 7, 5), BOX("Other", 7, 9)};
	struct world *w = *state;
	struct folder *f;
	uint64_t id;

	APPLY(w, before);
	list(w, "Work", NULL, 7, 5);
	id = id_of(w, "Work", NULL);
	APPLY(w, after);
	for (int again = 0; again < 2; again++) {
		assert_null(walk(w, "Work", NULL));
		f = walk(w, "Done", NULL);
		assert_non_null(f);
		assert_int_equal(f->id, id);
		assert_string_equal(f->path, "Done");
		assert_string_equal(f->name, "Done");
		assert_string_equal(f->wire, "Done");
		/* Equal numbers are no proof: its messages are looked for. */
		assert_int_equal(count_unmoored(w, f), 1);
		world_close(w);
		world_open(w);
	}
}

static void what_is_below_goes_with_it(void **state)
{
	struct mail_folder before[] = {BOX("Work", 7, 5), BOX("Work/a", 7, 1),
				       BOX("Work/b", 8, 2)};
	struct mail_folder after[] = {BOX("New/Done", 7, 5),
				      BOX("New/Done/a", 7, 1),
				      BOX("New/Done/b", 8, 3)};
	struct world *w = *state;
	struct folder *f, *c;
	uint64_t a, b;

	APPLY(w, before);
	list(w, "Work", NULL, 7, 5);
	list(w, "Work", "b", 8, 2);
	a = id_of(w, "Work", "a");
	b = id_of(w, "Work", "b");
	APPLY(w, after);
	assert_null(walk(w, "Work", NULL));
	f = walk(w, "New", "Done");
	assert_non_null(f);
	c = tree_child(w->fs.tree, f, "a");
	assert_int_equal(c->id, a);
	assert_string_equal(c->path, "New/Done/a");
	c = tree_child(w->fs.tree, f, "b");
	assert_int_equal(c->id, b);
	assert_string_equal(c->wire, "New/Done/b");
}

static void a_name_that_comes_again_is_the_same_text(void **state)
{
	struct mail_folder here[] = {BOX("Work", 7, 5), BOX("Work/a", 7, 1)};
	struct mail_folder there[] = {BOX("Done", 7, 5), BOX("Done/a", 7, 1)};
	struct world *w = *state;
	struct tree *t = w->fs.tree;
	const char *path, *wire;
	size_t n;

	APPLY(w, here);
	list(w, "Work", NULL, 7, 5);
	wire = walk(w, "Work", "a")->wire;
	path = walk(w, "Work", "a")->path;
	APPLY(w, there);
	assert_null(walk(w, "Work", NULL));
	assert_string_equal(wire, "Work/a"); /* who reads it may go on */
	n = t->n_texts;
	for (int i = 0; i < 50; i++) {
		APPLY(w, here);
		APPLY(w, there);
	}
	assert_int_equal(t->n_texts, n);
	APPLY(w, here);
	assert_ptr_equal(walk(w, "Work", "a")->wire, wire);
	assert_ptr_equal(walk(w, "Work", "a")->path, path);
}

static void is_another_one(struct world *w, const struct mail_folder *after,
			   size_t n, const char *name)
{
	struct mail_folder before[] = {BOX("Work", 7, 5)};
	uint64_t id;

	APPLY(w, before);
	list(w, "Work", NULL, 7, 5);
	id = id_of(w, "Work", NULL);
	apply(w, after, n);
	assert_null(walk(w, "Work", NULL));
	assert_non_null(walk(w, name, NULL));
	assert_int_not_equal(id_of(w, name, NULL), id);
}

static void another_number_is_another_mailbox(void **state)
{
	struct mail_folder after[] = {BOX("Done", 7, 6)};

	is_another_one(*state, after, 1, "Done");
}

static void one_of_two_that_could_be_meant_is_neither(void **state)
{
	struct mail_folder after[] = {BOX("One", 7, 5), BOX("Two", 7, 5)};

	is_another_one(*state, after, 2, "One");
}

static void without_status_nothing_is_known(void **state)
{
	struct mail_folder after[] = {FOLDER("Done")};

	is_another_one(*state, after, 1, "Done");
}

static void two_that_went_could_be_the_one_that_came(void **state)
{
	struct mail_folder before[] = {BOX("One", 7, 5), BOX("Two", 7, 5)};
	struct mail_folder after[] = {BOX("Three", 7, 5)};
	struct world *w = *state;
	uint64_t one, two;

	APPLY(w, before);
	list(w, "One", NULL, 7, 5);
	list(w, "Two", NULL, 7, 5);
	one = id_of(w, "One", NULL);
	two = id_of(w, "Two", NULL);
	APPLY(w, after);
	assert_int_not_equal(id_of(w, "Three", NULL), one);
	assert_int_not_equal(id_of(w, "Three", NULL), two);
}

static void empty_mailboxes_are_all_alike(void **state)
{
	struct mail_folder before[] = {BOX("One", 7, 1)};
	struct mail_folder after[] = {BOX("Two", 7, 1)};
	struct world *w = *state;
	uint64_t one;

	APPLY(w, before);
	list(w, "One", NULL, 7, 1);
	one = id_of(w, "One", NULL);
	APPLY(w, after);
	assert_int_not_equal(id_of(w, "Two", NULL), one);
}

static void nothing_goes_below_itself(void **state)
{
	struct mail_folder before[] = {BOX("a", 7, 5)};
	struct mail_folder after[] = {BOX("a/b", 7, 5)};
	struct world *w = *state;
	struct folder *f;

	APPLY(w, before);
	list(w, "a", NULL, 7, 5);
	APPLY(w, after);
	f = walk(w, "a", "b");
	assert_non_null(f);
	assert_string_equal(f->path, "a/b");
	assert_true(f->parent->attrs & FOLDER_NOSELECT);
}

static void a_hundred_renames_leave_a_sound_tree(void **state)
{
	struct mail_folder v[2] = {BOX("x0", 7, 5), BOX("x0/c", 8, 5)};
	struct world *w = *state;
	char names[2][32];
	uint64_t id, child;

	APPLY(w, v);
	list(w, "x0", NULL, 7, 5);
	id = id_of(w, "x0", NULL);
	child = id_of(w, "x0", "c");
	for (int i = 1; i <= 100; i++) {
		snprintf(names[0], sizeof(names[0]), "x%d", i);
		snprintf(names[1], sizeof(names[1]), "x%d/c", i);
		v[0].wire = names[0];
		v[1].wire = names[1];
		APPLY(w, v);
		assert_int_equal(id_of(w, names[0], NULL), id);
		assert_int_equal(id_of(w, names[0], "c"), child);
		/* Listed anew, or nothing would be known of it. */
		list(w, names[0], NULL, 7, 5);
	}
}

/* A folder may be older than the one that it is in. */
static void a_mailbox_moved_into_a_younger_one_stays_there(void **state)
{
	struct mail_folder before[] = {BOX("Old/Deep", 7, 2), BOX("New", 8, 1)};
	struct mail_folder after[] = {BOX("New", 8, 1), BOX("New/Deep", 7, 2)};
	struct world *w = *state;
	uint64_t deep, young;
	struct box *box;

	APPLY(w, before);
	deep = id_of(w, "Old", "Deep");
	young = id_of(w, "New", NULL);
	list(w, "Old", "Deep", 7, 2);
	APPLY(w, after);
	assert_int_equal(id_of(w, "New", "Deep"), deep);
	assert_true(deep < young);
	for (int i = 0; i < 2; i++) {
		world_close(w);
		world_open(w);
		assert_int_equal(id_of(w, "New", NULL), young);
		assert_int_equal(id_of(w, "New", "Deep"), deep);
		assert_int_equal(folder_get(&w->fs, walk(w, "New", NULL), &box),
				 0);
		folder_put(&w->fs, walk(w, "New", NULL));
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_mailbox_moved_into_a_younger_one_stays_there),
		TEST(a_renamed_mailbox_is_the_same_folder),
		TEST(what_is_below_goes_with_it),
		TEST(a_name_that_comes_again_is_the_same_text),
		TEST(another_number_is_another_mailbox),
		TEST(one_of_two_that_could_be_meant_is_neither),
		TEST(without_status_nothing_is_known),
		TEST(two_that_went_could_be_the_one_that_came),
		TEST(empty_mailboxes_are_all_alike),
		TEST(nothing_goes_below_itself),
		TEST(a_hundred_renames_leave_a_sound_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
