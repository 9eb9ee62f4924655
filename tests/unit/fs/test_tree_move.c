/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs/folder.h"
#include "fs/replay.h"

/*
 * Mailboxes with another name than before, and what is shown between a change
 * and its replay. The helper of this world never answers.
 */

#define BOX(name, validity, next)                                              \
	{                                                                      \
		.wire = (char *)(name), .delimiter = '/', .has_status = true,  \
		.uidvalidity = (validity), .uidnext = (next)                   \
	}

static void apply(struct world *w, const struct mail_folder *v, size_t n)
{
	assert_int_equal(tree_apply(w->fs.tree, v, n), 0);
}
#define APPLY(w, v) apply(w, v, sizeof(v) / sizeof((v)[0]))

/* It was listed, with this message in it. */
static void list(struct world *w, const char *a, const char *b,
		 uint32_t validity, uint32_t next)
{
	const struct cache_state s = {
		.uidvalidity = validity, .uidnext = next, .complete = true};
	struct mail_row row = {.has = ROW_UID, .uid = 1};
	struct cache_new new = {&row, "m.eml", true};
	struct folder *f = walk(w, a, b);
	struct box *box;

	assert_non_null(f);
	assert_int_equal(folder_get(&w->fs, f, &box), 0);
	assert_int_equal(box_add(box, &new, 1, &s, NULL), 0);
	folder_put(&w->fs, f);
}

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

/* --- between a change and its replay --- */

static int sockets[2];

/* From now on as if mounted; the kernel has the root and these. */
static void begin_serving(struct world *w)
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets), 0);
	assert_int_equal(replay_new(&w->fs, sockets[0], &w->fs.replay), 0);
	w->opt.mountpoint = (char *)"/nowhere";
	w->fs.serving = true;
}

static void end_serving(struct world *w)
{
	w->fs.serving = false;
	replay_stop(w->fs.replay);
	replay_free(w->fs.replay);
	w->fs.replay = NULL;
	close(sockets[1]);
}

static void a_new_folder_shows_by_its_mkdir(void **state)
{
	struct mail_folder v[] = {FOLDER("INBOX"), FOLDER("New/Sub")};
	struct world *w = *state;
	struct folder *root = tree_root(w->fs.tree), *f;

	begin_serving(w);
	APPLY(w, v);
	assert_null(walk(w, "New", NULL));
	assert_true(tree_is_coming(w->fs.tree, root, "New"));
	assert_false(tree_is_coming(w->fs.tree, root, "Other"));
	assert_int_equal(
		tree_children(w->fs.tree, root, 0, (struct folder *[4]){0}, 4),
		0);
	assert_null(tree_take_mkdir(w->fs.tree, root, "Other"));
	f = tree_take_mkdir(w->fs.tree, root, "New");
	assert_non_null(f);
	assert_ptr_equal(walk(w, "New", NULL), f);
	/* Nobody could have waited for what is in it. */
	assert_non_null(walk(w, "New", "Sub"));
	assert_false(tree_is_coming(w->fs.tree, root, "New"));
	/* The helper may fail, or be gone. */
	assert_null(walk(w, "INBOX", NULL));
	f = tree_by_wire(w->fs.tree, "INBOX");
	tree_replayed(w->fs.tree, f, REPLAY_MKDIR, -EEXIST);
	assert_ptr_equal(walk(w, "INBOX", NULL), f);
	end_serving(w);
}

static void a_folder_that_is_gone_shows_until_its_rmdir(void **state)
{
	struct mail_folder before[] = {FOLDER("INBOX"), FOLDER("One"),
				       FOLDER("Two")};
	struct mail_folder after[] = {FOLDER("INBOX")};
	struct world *w = *state;
	struct folder *root = tree_root(w->fs.tree);
	uint64_t two;

	APPLY(w, before);
	two = id_of(w, "Two", NULL);
	begin_serving(w);
	APPLY(w, after);
	assert_non_null(walk(w, "One", NULL));
	assert_false(tree_take_rmdir(w->fs.tree, root, "INBOX"));
	assert_true(tree_take_rmdir(w->fs.tree, root, "One"));
	assert_null(walk(w, "One", NULL));
	assert_false(tree_take_rmdir(w->fs.tree, root, "One"));
	/* Named again before it is gone, it is the same as ever. */
	APPLY(w, before);
	assert_int_equal(id_of(w, "Two", NULL), two);
	assert_false(tree_take_rmdir(w->fs.tree, root, "Two"));
	end_serving(w);
}

/* LIST names what is below it before its rmdir has come. */
static void a_folder_on_its_way_out_stays_for_one_that_comes_below(void **state)
{
	struct mail_folder before[] = {FOLDER("INBOX"), FOLDER("One")};
	struct mail_folder after[] = {FOLDER("INBOX")};
	struct mail_folder below[] = {FOLDER("INBOX"), FOLDER("One/Sub")};
	struct world *w = *state;
	struct folder *root = tree_root(w->fs.tree), *f;

	APPLY(w, before);
	f = walk(w, "One", NULL);
	begin_serving(w);
	folder_hold(f);
	APPLY(w, after);
	APPLY(w, below);
	assert_false(tree_take_rmdir(w->fs.tree, root, "One"));
	assert_non_null(tree_take_mkdir(w->fs.tree, f, "Sub"));
	assert_true(f->attrs & FOLDER_NOSELECT);
	end_serving(w);
}

/* All that was below it goes, and it with that, but for one that moves in. */
static void a_folder_on_its_way_out_stays_for_one_that_moves_in(void **state)
{
	struct mail_folder before[] = {BOX("Way/Old", 6, 6), BOX("One", 7, 5)};
	struct mail_folder after[] = {BOX("Way/One", 7, 5)};
	struct world *w = *state;
	struct folder *root = tree_root(w->fs.tree), *f, *way;

	APPLY(w, before);
	list(w, "One", NULL, 7, 5);
	f = walk(w, "One", NULL);
	way = walk(w, "Way", NULL);
	begin_serving(w);
	folder_hold(way);
	APPLY(w, after);
	assert_true(tree_take_rename(w->fs.tree, root, "One", way, "One"));
	assert_false(tree_take_rmdir(w->fs.tree, root, "Way"));
	assert_ptr_equal(walk(w, "Way", "One"), f);
	end_serving(w);
}

static void a_renamed_folder_shows_where_it_was_until_its_rename(void **state)
{
	struct mail_folder before[] = {BOX("INBOX", 1, 1), BOX("One", 7, 5),
				       BOX("One/Sub", 9, 9)};
	struct mail_folder after[] = {BOX("INBOX", 1, 1),
				      BOX("INBOX/Two", 7, 5),
				      BOX("INBOX/Two/Sub", 9, 9)};
	struct world *w = *state;
	struct folder *root = tree_root(w->fs.tree), *f, *inbox;
	char *to = NULL;

	APPLY(w, before);
	list(w, "One", NULL, 7, 5);
	f = walk(w, "One", NULL);
	inbox = walk(w, "INBOX", NULL);
	begin_serving(w);
	folder_hold(inbox);
	APPLY(w, after);
	assert_ptr_equal(walk(w, "One", NULL), f);
	assert_string_equal(f->wire, "INBOX/Two");
	assert_string_equal(f->path, "One");
	assert_int_equal(tree_goes_to(w->fs.tree, f, &to), 0);
	assert_string_equal(to, "INBOX/Two");
	free(to);
	assert_true(tree_is_coming(w->fs.tree, inbox, "Two"));
	assert_false(tree_take_rename(w->fs.tree, root, "One", root, "Two"));
	assert_true(tree_take_rename(w->fs.tree, root, "One", inbox, "Two"));
	assert_null(walk(w, "One", NULL));
	assert_ptr_equal(walk(w, "INBOX", "Two"), f);
	assert_string_equal(tree_child(w->fs.tree, f, "Sub")->path,
			    "INBOX/Two/Sub");
	assert_false(tree_is_coming(w->fs.tree, inbox, "Two"));
	assert_int_equal(tree_goes_to(w->fs.tree, f, &to), -ENOENT);
	end_serving(w);
}

static void a_folder_renamed_twice_ends_where_it_is(void **state)
{
	struct mail_folder one[] = {BOX("One", 7, 5)};
	struct mail_folder two[] = {BOX("Two", 7, 5)};
	struct mail_folder three[] = {BOX("Three", 7, 5)};
	struct world *w = *state;
	struct folder *root = tree_root(w->fs.tree), *f;

	APPLY(w, one);
	list(w, "One", NULL, 7, 5);
	f = walk(w, "One", NULL);
	begin_serving(w);
	APPLY(w, two);
	list(w, "One", NULL, 7, 5);
	APPLY(w, three);
	assert_ptr_equal(walk(w, "Two", NULL), f);
	assert_false(tree_take_rename(w->fs.tree, root, "One", root, "Two"));
	tree_replayed(w->fs.tree, f, REPLAY_RENAME, -ENOENT);
	assert_ptr_equal(walk(w, "Three", NULL), f);
	tree_replayed(w->fs.tree, f, REPLAY_RENAME, -ENOENT);
	assert_ptr_equal(walk(w, "Three", NULL), f);
	end_serving(w);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_mailbox_moved_into_a_younger_one_stays_there),
		TEST(a_renamed_mailbox_is_the_same_folder),
		TEST(what_is_below_goes_with_it),
		TEST(another_number_is_another_mailbox),
		TEST(one_of_two_that_could_be_meant_is_neither),
		TEST(without_status_nothing_is_known),
		TEST(two_that_went_could_be_the_one_that_came),
		TEST(empty_mailboxes_are_all_alike),
		TEST(nothing_goes_below_itself),
		TEST(a_hundred_renames_leave_a_sound_tree),
		TEST(a_new_folder_shows_by_its_mkdir),
		TEST(a_folder_that_is_gone_shows_until_its_rmdir),
		TEST(a_folder_on_its_way_out_stays_for_one_that_comes_below),
		TEST(a_folder_on_its_way_out_stays_for_one_that_moves_in),
		TEST(a_renamed_folder_shows_where_it_was_until_its_rename),
		TEST(a_folder_renamed_twice_ends_where_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
