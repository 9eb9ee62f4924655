/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The tree of folders over a real cache in a folder of its own.
 */

static void parents_that_were_never_listed_are_directories(void **state)
{
	struct mail_folder v[] = {FOLDER("Work/Clients/Acme")};
	struct world *w = *state;
	struct folder *f;

	assert_int_equal(tree_apply(w->fs.tree, v, 1), 0);
	f = walk(w, "Work", "Clients");
	assert_non_null(f);
	assert_true(f->attrs & FOLDER_NOSELECT);
	f = tree_child(w->fs.tree, f, "Acme");
	assert_non_null(f);
	assert_string_equal(f->path, "Work/Clients/Acme");
	assert_false(f->attrs & FOLDER_NOSELECT);
}

static void a_parent_listed_after_its_child_is_the_same_folder(void **state)
{
	struct mail_folder v[] = {FOLDER("a/b"), FOLDER("a")};
	struct world *w = *state;
	struct folder *f;

	assert_int_equal(tree_apply(w->fs.tree, v, 2), 0);
	f = walk(w, "a", NULL);
	assert_non_null(f);
	assert_false(f->attrs & FOLDER_NOSELECT);
	assert_int_equal(f->n_children, 1);
}

static void names_that_differ_in_case_only_are_two(void **state)
{
	struct mail_folder v[] = {FOLDER("news"), FOLDER("News")};
	struct world *w = *state;

	assert_int_equal(tree_apply(w->fs.tree, v, 2), 0);
	assert_ptr_not_equal(walk(w, "news", NULL), walk(w, "News", NULL));
}

static void folders_whose_names_would_be_equal_are_both_there(void **state)
{
	/* A raw %2F and a slash that is no delimiter look alike. */
	struct mail_folder v[] = {{.wire = (char *)"a%2Fb", .delimiter = '.'},
				  {.wire = (char *)"a/b", .delimiter = '.'}};
	struct world *w = *state;
	struct folder *children[4];
	size_t n;

	assert_int_equal(tree_apply(w->fs.tree, v, 2), 0);
	n = tree_children(w->fs.tree, tree_root(w->fs.tree), 0, children, 4);
	assert_int_equal(n, 2);
	assert_string_not_equal(children[0]->name, children[1]->name);
}

static void a_mailbox_cannot_take_the_name_of_a_message(void **state)
{
	static const char name[] = "2026-11-21T1430Z_Alice_Hello_k3f9q7.eml";
	struct mail_folder v[] = {FOLDER(name)};
	struct folder *children[2];
	struct world *w = *state;

	assert_int_equal(tree_apply(w->fs.tree, v, 1), 0);
	assert_null(walk(w, name, NULL));
	assert_int_equal(tree_children(w->fs.tree, tree_root(w->fs.tree), 0,
				       children, 2),
			 1);
	assert_non_null(strstr(children[0]->name, "%~"));
}

static void a_parent_that_is_no_mailbox_any_more_has_no_messages(void **state)
{
	struct mail_folder before[] = {FOLDER("x"), FOLDER("x/y")};
	struct mail_folder after[] = {FOLDER("x/y")};
	struct world *w = *state;
	struct folder *f;

	assert_int_equal(tree_apply(w->fs.tree, before, 2), 0);
	assert_int_equal(tree_apply(w->fs.tree, after, 1), 0);
	f = walk(w, "x", NULL);
	assert_non_null(f);
	assert_true(f->attrs & FOLDER_NOSELECT);
	assert_int_equal(tree_apply(w->fs.tree, before, 2), 0);
	assert_false(f->attrs & FOLDER_NOSELECT);
}

static void ids_are_the_same_after_a_remount(void **state)
{
	struct mail_folder v[] = {FOLDER("INBOX"), FOLDER("a/b"),
				  FOLDER("&ZeVnLA-")};
	struct world *w = *state;
	uint64_t inbox, parent, child;

	assert_int_equal(tree_apply(w->fs.tree, v, 3), 0);
	inbox = id_of(w, "INBOX", NULL);
	parent = id_of(w, "a", NULL);
	child = id_of(w, "a", "b");
	world_close(w);
	world_open(w);
	assert_int_equal(id_of(w, "INBOX", NULL), inbox);
	assert_int_equal(id_of(w, "a", NULL), parent);
	assert_int_equal(id_of(w, "a", "b"), child);
	assert_non_null(walk(w, "\xe6\x97\xa5\xe6\x9c\xac", NULL));
}

static void what_the_server_lists_no_more_goes(void **state)
{
	struct mail_folder before[] = {FOLDER("INBOX"), FOLDER("x"),
				       FOLDER("x/y")};
	struct mail_folder after[] = {FOLDER("INBOX")};
	struct world *w = *state;
	uint64_t id;

	assert_int_equal(tree_apply(w->fs.tree, before, 3), 0);
	id = id_of(w, "x", NULL);
	assert_int_equal(tree_apply(w->fs.tree, after, 1), 0);
	assert_null(walk(w, "x", NULL));
	assert_non_null(walk(w, "INBOX", NULL));

	/* Made again it is another one: ids are never used twice. */
	assert_int_equal(tree_apply(w->fs.tree, before, 3), 0);
	assert_non_null(walk(w, "x", NULL));
	assert_int_not_equal(id_of(w, "x", NULL), id);
}

static void a_parent_stays_while_a_child_is_listed(void **state)
{
	struct mail_folder before[] = {FOLDER("x"), FOLDER("x/y")};
	struct mail_folder after[] = {FOLDER("x/y")};
	struct world *w = *state;

	assert_int_equal(tree_apply(w->fs.tree, before, 2), 0);
	assert_int_equal(tree_apply(w->fs.tree, after, 1), 0);
	assert_non_null(walk(w, "x", "y"));
}

static void only_folders_that_the_options_name_are_shown(void **state)
{
	struct mail_folder v[] = {FOLDER("INBOX"), FOLDER("Lists/a"),
				  FOLDER("Lists/b"), FOLDER("Old")};
	struct world *w = *state;

	w->opt.folders = (char *)"INBOX:Lists/a";
	assert_int_equal(tree_apply(w->fs.tree, v, 4), 0);
	assert_non_null(walk(w, "INBOX", NULL));
	assert_non_null(walk(w, "Lists", "a"));
	assert_null(walk(w, "Lists", "b"));
	assert_null(walk(w, "Old", NULL));
	w->opt.folders = NULL;
}

static void a_mailbox_of_the_source_becomes_the_root(void **state)
{
	struct mail_folder v[] = {FOLDER("INBOX"), FOLDER("Entw&APw-rfe"),
				  FOLDER("Entw&APw-rfe/alt")};
	struct world *w = *state;

	assert_int_equal(tree_apply(w->fs.tree, v, 3), 0);
	assert_int_equal(tree_set_root(w->fs.tree, "Nirgends"), -ENOENT);
	assert_int_equal(tree_set_root(w->fs.tree, "Entw\xc3\xbcrfe"), 0);
	assert_non_null(walk(w, "alt", NULL));
	assert_int_equal(tree_ino(w->fs.tree, tree_root(w->fs.tree)),
			 FS_ROOT_INO);
}

static void the_mounted_mailbox_may_go_and_come_again(void **state)
{
	struct mail_folder with[] = {FOLDER("INBOX"), FOLDER("Work"),
				     FOLDER("Work/Sub")};
	struct mail_folder without[] = {FOLDER("INBOX")};
	struct world *w = *state;
	struct folder *root;

	assert_int_equal(tree_apply(w->fs.tree, with, 3), 0);
	assert_int_equal(tree_set_root(w->fs.tree, "Work"), 0);
	root = tree_root(w->fs.tree);
	assert_int_equal(tree_apply(w->fs.tree, without, 1), 0);
	assert_null(walk(w, "Sub", NULL));
	assert_true(root->attrs & FOLDER_NOSELECT);
	assert_int_equal(tree_apply(w->fs.tree, with, 3), 0);
	assert_false(root->gone);
	assert_false(root->attrs & FOLDER_NOSELECT);
	assert_non_null(walk(w, "Sub", NULL));
}

/* Each line of LIST is the end of a way of its own, as long as may be. */
static void a_list_makes_no_more_folders_than_it_may(void **state)
{
	enum { LEVELS = 99, LINES = MAIL_IMPLIED_MAX / LEVELS + 20 };
	struct mail_folder *v = calloc(LINES + 1, sizeof(*v));
	struct world *w = *state;
	struct folder **all;
	size_t n;

	assert_non_null(v);
	for (size_t i = 0; i < LINES; i++) {
		char *p = malloc(16 + 2 * LEVELS);

		assert_non_null(p);
		v[i] = (struct mail_folder)FOLDER(p);
		p += sprintf(p, "%zu", i);
		for (int k = 0; k < LEVELS; k++)
			p = stpcpy(p, "/a");
	}
	v[LINES] = (struct mail_folder)FOLDER("INBOX");
	for (int again = 0; again < 2; again++) {
		assert_int_equal(tree_apply(w->fs.tree, v, LINES + 1), 0);
		assert_int_equal(tree_all(w->fs.tree, &all, &n), 0);
		free(all);
		assert_in_range(n, MAIL_IMPLIED_MAX - LEVELS,
				MAIL_IMPLIED_MAX + LINES + 1);
		assert_non_null(walk(w, "INBOX", NULL));
		assert_non_null(walk(w, "0", "a"));
		assert_null(tree_by_wire(w->fs.tree, v[LINES - 1].wire));
	}
	for (size_t i = 0; i < LINES; i++)
		free(v[i].wire);
	free(v);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(parents_that_were_never_listed_are_directories),
		TEST(a_parent_listed_after_its_child_is_the_same_folder),
		TEST(a_list_makes_no_more_folders_than_it_may),
		TEST(names_that_differ_in_case_only_are_two),
		TEST(folders_whose_names_would_be_equal_are_both_there),
		TEST(a_mailbox_cannot_take_the_name_of_a_message),
		TEST(a_parent_that_is_no_mailbox_any_more_has_no_messages),
		TEST(ids_are_the_same_after_a_remount),
		TEST(what_the_server_lists_no_more_goes),
		TEST(a_parent_stays_while_a_child_is_listed),
		TEST(only_folders_that_the_options_name_are_shown),
		TEST(a_mailbox_of_the_source_becomes_the_root),
		TEST(the_mounted_mailbox_may_go_and_come_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
