/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/folder.h"
#include "fs/mailboxes.h"

/*
 * What this mount itself did to mailboxes, in the tree, and who may send
 * changes to them meanwhile.
 */

static void what_was_made_is_no_news_to_list(void **state)
{
	struct mail_folder before[] = {FOLDER("INBOX"), FOLDER("Work")};
	struct mail_folder after[] = {FOLDER("INBOX"), FOLDER("Work"),
				      FOLDER("Work/New")};
	struct world *w = *state;
	struct folder *made = NULL;
	uint64_t id;

	APPLY(w, before);
	assert_int_equal(
		tree_made(w->fs.tree, walk(w, "Work", NULL), "Work/New", &made),
		0);
	assert_string_equal(made->path, "Work/New");
	id = made->id;
	assert_int_equal(id_of(w, "Work", "New"), id);
	APPLY(w, after);
	assert_int_equal(id_of(w, "Work", "New"), id);
	world_close(w);
	world_open(w);
	assert_int_equal(id_of(w, "Work", "New"), id);
}

static void what_was_only_the_way_becomes_a_mailbox(void **state)
{
	struct mail_folder before[] = {FOLDER("A/B")};
	struct world *w = *state;
	struct folder *made = NULL;
	uint64_t id;

	APPLY(w, before);
	id = id_of(w, "A", NULL);
	assert_int_equal(
		tree_made(w->fs.tree, tree_root(w->fs.tree), "A", &made), 0);
	assert_int_equal(made->id, id);
	assert_int_equal(made->attrs & (FOLDER_NOSELECT | FOLDER_IMPLIED), 0);
}

static void what_was_renamed_keeps_its_numbers_with_all_below(void **state)
{
	struct mail_folder before[] = {FOLDER("A"), FOLDER("A/B"), FOLDER("AB"),
				       FOLDER("C")};
	struct mail_folder after[] = {FOLDER("C/D"), FOLDER("C/D/B"),
				      FOLDER("AB"), FOLDER("C")};
	struct world *w = *state;
	struct folder *a, *b, *c;
	uint64_t other;

	APPLY(w, before);
	a = walk(w, "A", NULL);
	b = walk(w, "A", "B");
	c = walk(w, "C", NULL);
	other = id_of(w, "AB", NULL);
	assert_int_equal(tree_renamed(w->fs.tree, a, c, "C/D", false), 0);
	for (int again = 0; again < 2; again++) {
		assert_ptr_equal(walk(w, "C", "D"), a);
		assert_null(walk(w, "A", NULL));
		assert_string_equal(b->path, "C/D/B");
		assert_string_equal(b->wire, "C/D/B");
		assert_ptr_equal(tree_by_wire(w->fs.tree, "C/D/B"), b);
		assert_int_equal(id_of(w, "AB", NULL), other);
		APPLY(w, after);
	}
	other = a->id;
	world_close(w);
	world_open(w);
	assert_int_equal(id_of(w, "C", "D"), other);
}

static void what_was_removed_is_gone(void **state)
{
	struct mail_folder before[] = {FOLDER("A"), FOLDER("B")};
	struct mail_folder after[] = {FOLDER("B"), FOLDER("A")};
	struct world *w = *state;
	uint64_t id;

	APPLY(w, before);
	id = id_of(w, "A", NULL);
	tree_removed(w->fs.tree, walk(w, "A", NULL), false);
	assert_null(walk(w, "A", NULL));
	assert_true(tree_find(w->fs.tree, id)->gone);
	/* One that is made later is another one. */
	APPLY(w, after);
	assert_int_not_equal(id_of(w, "A", NULL), 0);
	assert_int_not_equal(id_of(w, "A", NULL), id);
}

static int name_in(struct world *w, struct folder *parent, const char *name,
		   const char *want)
{
	char *wire = NULL;
	int r = tree_new_name(w->fs.tree, parent, name, NULL, &wire);

	if (r == 0)
		assert_string_equal(wire, want);
	free(wire);
	return r;
}

static void names_are_made_for_where_they_are_to_be(void **state)
{
	struct mail_folder v[] = {
		{.wire = (char *)"INBOX", .delimiter = '.'},
		{.wire = (char *)"INBOX.A", .delimiter = '.'},
		{.wire = (char *)"No",
		 .delimiter = '.',
		 .attrs = FOLDER_NOINFERIORS},
		{.wire = (char *)"Flat"},
	};
	struct world *w = *state;
	struct folder *top = tree_root(w->fs.tree), *a;

	APPLY(w, v);
	a = walk(w, "INBOX", "A");
	assert_int_equal(name_in(w, a, "R&D", "INBOX.A.R&-D"), 0);
	assert_int_equal(name_in(w, a, "a%2Fb", "INBOX.A.a/b"), 0);
	assert_int_equal(name_in(w, a, "a.b", NULL), -EINVAL);
	assert_int_equal(name_in(w, a, "INBOX", "INBOX.A.INBOX"), 0);
	assert_int_equal(name_in(w, top, "x", "x"), 0);
	assert_int_equal(name_in(w, top, "a.b", NULL), -EINVAL);
	assert_int_equal(name_in(w, top, "Inbox", NULL), -EEXIST);
	assert_int_equal(name_in(w, top, ".Trash-0", NULL), -EPERM);
	assert_int_equal(name_in(w, walk(w, "No", NULL), "x", NULL), -EPERM);
	assert_int_equal(name_in(w, walk(w, "Flat", NULL), "x", NULL), -EPERM);
	w->opt.exclude = (char *)"Spam";
	assert_int_equal(name_in(w, top, "Spam", NULL), -EPERM);
	w->opt.exclude = NULL;
}

/* The name of a folder that only moves is kept, however it is shown. */
static void a_name_that_moves_needs_no_undoing(void **state)
{
	static char wire[302];
	struct mail_folder v[] = {FOLDER(wire), FOLDER("A")};
	struct world *w = *state;
	struct folder *f;
	char *got = NULL;

	memset(wire, 'x', 301);
	APPLY(w, v);
	f = tree_by_wire(w->fs.tree, wire);
	assert_int_equal(
		tree_new_name(w->fs.tree, walk(w, "A", NULL), f->name, f, &got),
		0);
	assert_memory_equal(got, "A/xxx", 5);
	assert_int_equal(strlen(got), 303);
	free(got);
}

static void parts_are_the_first_mailboxes_on_each_way(void **state)
{
	struct mail_folder v[] = {FOLDER("A/B/C"), FOLDER("A/B/C/D"),
				  FOLDER("A/E"), FOLDER("AF")};
	struct world *w = *state;
	struct tree_names *names;
	size_t n;

	APPLY(w, v);
	assert_int_equal(tree_names_below(w->fs.tree, walk(w, "A", NULL), "Z",
					  &names, &n),
			 0);
	assert_int_equal(n, 2);
	for (size_t i = 0; i < n; i++) {
		bool is_c = strcmp(names[i].from, "A/B/C") == 0;

		assert_string_equal(names[i].from, is_c ? "A/B/C" : "A/E");
		assert_string_equal(names[i].to, is_c ? "Z/B/C" : "Z/E");
	}
	tree_names_free(names, n);
}

static void nothing_uses_what_is_offline(void **state)
{
	struct mail_folder v[] = {FOLDER("A"), FOLDER("A/B")};
	struct world *w = *state;
	uint64_t op = 0;

	APPLY(w, v);
	assert_int_equal(
		mailboxes_mkdir(&w->fs, walk(w, "A", NULL), "x", 1, &op),
		-ENOTCONN);
	assert_int_equal(mailboxes_rmdir(&w->fs, walk(w, "A", "B"), 1, &op),
			 -ENOTCONN);
	assert_int_equal(mailboxes_rmdir(&w->fs, walk(w, "A", NULL), 1, &op),
			 -ENOTEMPTY);
	assert_int_equal(op, 0);
	/* Nothing holds it: whoever sends changes may. */
	assert_true(mailboxes_use(&w->fs, walk(w, "A", "B")));
	assert_true(mailboxes_use(&w->fs, walk(w, "A", "B")));
	mailboxes_unuse(&w->fs, walk(w, "A", "B"));
	mailboxes_unuse(&w->fs, walk(w, "A", "B"));
}

/* A batch is on its way from below: the renaming waits, others do not. */
static void a_name_in_use_is_kept(void **state)
{
	struct mail_folder v[] = {FOLDER("A"), FOLDER("A/B"), FOLDER("C")};
	struct world *w = *state;
	struct mailboxes_rename what = {.name = "Z"};
	uint64_t op = 0;

	APPLY(w, v);
	w->fs.online = true;
	what.f = walk(w, "A", NULL);
	what.parent = tree_root(w->fs.tree);
	assert_true(mailboxes_use(&w->fs, walk(w, "A", "B")));
	assert_int_equal(mailboxes_rename(&w->fs, &what, 1, &op), 0);
	assert_int_equal(mailboxes_end(&w->fs, op, NULL), -EAGAIN);
	/* It has not got its turn: the queue may go on. */
	assert_true(mailboxes_use(&w->fs, walk(w, "A", NULL)));
	assert_true(mailboxes_use(&w->fs, walk(w, "C", NULL)));
	w->fs.stopping = true; /* no LIST of what came of it */
	mailboxes_abandon(&w->fs, op);
	assert_int_equal(mailboxes_end(&w->fs, op, NULL), -ENOTCONN);
	mailboxes_unuse(&w->fs, walk(w, "A", "B"));
	mailboxes_unuse(&w->fs, walk(w, "A", NULL));
	mailboxes_unuse(&w->fs, walk(w, "C", NULL));
	assert_ptr_equal(walk(w, "A", NULL), what.f);
}

/* A LIST that names it would not be believed. */
static void a_name_of_too_many_levels_is_not_made(void **state)
{
	char wire[2 * MAIL_LEVELS_MAX] = "a";
	struct mail_folder v[] = {FOLDER(wire)};
	struct world *w = *state;
	struct folder *f;
	char *got = NULL;

	for (char *p = wire + 1; p < wire + sizeof(wire) - 4; p += 2)
		strcpy(p, "/a");
	assert_int_equal(mail_levels(wire, '/'), MAIL_LEVELS_MAX - 1);
	APPLY(w, v);
	f = tree_by_wire(w->fs.tree, wire);
	assert_int_equal(tree_new_name(w->fs.tree, f, "b", NULL, &got), 0);
	assert_int_equal(mail_levels(got, '/'), MAIL_LEVELS_MAX);
	v[0].wire = got;
	APPLY(w, v);
	f = tree_by_wire(w->fs.tree, got);
	free(got);
	assert_int_equal(tree_new_name(w->fs.tree, f, "c", NULL, &got),
			 -ENAMETOOLONG);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_made_is_no_news_to_list),
		TEST(a_name_of_too_many_levels_is_not_made),
		TEST(what_was_only_the_way_becomes_a_mailbox),
		TEST(what_was_renamed_keeps_its_numbers_with_all_below),
		TEST(what_was_removed_is_gone),
		TEST(names_are_made_for_where_they_are_to_be),
		TEST(a_name_that_moves_needs_no_undoing),
		TEST(parts_are_the_first_mailboxes_on_each_way),
		TEST(nothing_uses_what_is_offline),
		TEST(a_name_in_use_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
