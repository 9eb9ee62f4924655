/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs/folder.h"
#include "fs/replay.h"

/*
 * What is shown between a change of the tree and its replay. The helper of this
 * world never answers.
 */

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

/* More goes than is replayed: what is not goes at once, before the rename. */
static void a_folder_that_one_moves_into_does_not_go_at_once(void **state)
{
	enum { MANY = FS_REPLAY_MAX + 10 };
	struct mail_folder *before = calloc(MANY + 2, sizeof(*before));
	struct mail_folder after[] = {BOX("Way/One", 7, 5)};
	struct world *w = *state;
	struct folder *root = tree_root(w->fs.tree), *f, *way;
	char(*name)[16] = calloc(MANY, sizeof(*name));

	assert_non_null(before);
	assert_non_null(name);
	before[0] = (struct mail_folder)BOX("Way", 6, 6);
	before[1] = (struct mail_folder)BOX("One", 7, 5);
	for (size_t i = 0; i < MANY; i++) {
		snprintf(name[i], sizeof(name[i]), "f%zu", i);
		before[i + 2] = (struct mail_folder)FOLDER(name[i]);
	}
	apply(w, before, MANY + 2);
	list(w, "One", NULL, 7, 5);
	f = walk(w, "One", NULL);
	way = walk(w, "Way", NULL);
	begin_serving(w);
	folder_hold(way);
	APPLY(w, after);
	assert_ptr_equal(walk(w, "Way", NULL), way);
	assert_true(way->attrs & FOLDER_NOSELECT);
	assert_true(tree_take_rename(w->fs.tree, root, "One", way, "One"));
	assert_ptr_equal(walk(w, "Way", "One"), f);
	end_serving(w);
	free(name);
	free(before);
}

/* Its rmdir is on the way when LIST says that something moves there. */
static void an_older_rmdir_takes_no_folder_that_one_moves_into(void **state)
{
	struct mail_folder before[] = {BOX("Way", 6, 6), BOX("One", 7, 5)};
	struct mail_folder without[] = {BOX("One", 7, 5)};
	struct mail_folder after[] = {BOX("Way/One", 7, 5)};
	struct world *w = *state;
	struct folder *root = tree_root(w->fs.tree), *f, *way;

	APPLY(w, before);
	list(w, "One", NULL, 7, 5);
	f = walk(w, "One", NULL);
	way = walk(w, "Way", NULL);
	begin_serving(w);
	folder_hold(way);
	APPLY(w, without);
	APPLY(w, after);
	assert_false(tree_take_rmdir(w->fs.tree, root, "Way"));
	assert_true(tree_has_children(w->fs.tree, way));
	assert_true(tree_take_rename(w->fs.tree, root, "One", way, "One"));
	assert_ptr_equal(walk(w, "Way", "One"), f);
	assert_true(way->attrs & FOLDER_NOSELECT);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_folder_shows_by_its_mkdir),
		TEST(a_folder_that_is_gone_shows_until_its_rmdir),
		TEST(a_folder_on_its_way_out_stays_for_one_that_comes_below),
		TEST(a_folder_on_its_way_out_stays_for_one_that_moves_in),
		TEST(a_folder_that_one_moves_into_does_not_go_at_once),
		TEST(an_older_rmdir_takes_no_folder_that_one_moves_into),
		TEST(a_renamed_folder_shows_where_it_was_until_its_rename),
		TEST(a_folder_renamed_twice_ends_where_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
