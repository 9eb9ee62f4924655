/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "changed.h"

#include <errno.h>
#include <stdlib.h>

/*
 * One message takes the name of another, which makes room for it when the new
 * one is there.
 */

static void a_replaced_message_waits_for_the_new_one(void **state)
{
	struct changed *t = *state;
	uint64_t old = changed_add(t->b, 6, "m.eml");
	uint64_t new = changed_add(t->a, 5, "m.eml");
	struct journal_move how = {.to = t->b,
				   .name = "m.eml",
				   .onto = JOURNAL_REPLACE,
				   .trash = t->trash};
	struct journal_moved moved;
	struct journal_entry e;

	(void)changed_add(t->trash, 9, "m.eml");
	assert_int_equal(journal_move(t->a, new, &how, &moved), 0);
	assert_string_equal(moved.name, "m.eml");
	assert_int_equal(moved.replaced, old);
	assert_int_equal(moved.replaced_to, t->in_trash);
	assert_string_equal(moved.replaced_name, "m.2.eml");
	assert_int_equal(row_named(t->b, "m.eml").id, new);
	/* The kernel knows the new name by itself, but not that in the Trash.
	 */
	assert_true(row_of(t->b, new).announced);
	assert_false(row_of(t->trash, old).announced);
	for (int i = 0; i < 2; i++) {
		assert_true(changed_get(t, old, &e));
		assert_int_equal(e.waits_for, new);
		assert_int_equal(e.what, JOURNAL_MOVE);
		changed_reopen(t);
	}
	changed_send(t, new, JOURNAL_MOVE);
	changed_done(t, new, JOURNAL_MOVE, VALID_B, 20);
	assert_true(changed_get(t, old, &e));
	assert_int_equal(e.waits_for, 0);
	changed_reopen(t);
	assert_true(changed_get(t, old, &e));
	assert_int_equal(e.waits_for, 0);
	changed_send(t, old, JOURNAL_MOVE);
}

static void one_that_waits_is_not_marked(void **state)
{
	struct changed *t = *state;
	uint64_t old = changed_add(t->b, 6, "m.eml");
	uint64_t new = changed_add(t->a, 5, "m.eml");
	struct journal_mark m = {.id = old, .parts = JOURNAL_REMOVE};
	struct journal_entry e;

	change_replace(t->a, new, t->b, "m.eml", NULL);
	assert_true(changed_get(t, old, &e));
	m.gen = e.gen;
	assert_int_equal(journal_mark_sent(t->s->c, &m, 1), 0);
	assert_false(m.marked);
	/* Nothing comes any more: what waited may go. */
	change_move(t->b, new, t->a, "m.eml");
	changed_expect_none(t, new);
	changed_send(t, old, JOURNAL_REMOVE);
}

static void replacing_in_a_folder_needs_nobody_to_wait(void **state)
{
	struct changed *t = *state;
	uint64_t old = changed_add(t->a, 6, "m.eml");
	uint64_t new = changed_add(t->a, 5, "n.eml");
	struct journal_entry e;

	change_replace(t->a, new, t->a, "m.eml", t->trash);
	assert_int_equal(row_named(t->a, "m.eml").id, new);
	changed_expect_none(t, new);
	assert_true(changed_get(t, old, &e));
	assert_int_equal(e.waits_for, 0);
}

static void what_waits_for_a_new_one_waits_for_its_successor(void **state)
{
	struct changed *t = *state;
	uint64_t old = changed_add(t->a, 6, "m.eml");
	uint64_t first = change_create(t->a, "first", "X: 1\r\n");
	uint64_t second = change_create(t->a, "second", "X: 2\r\n");
	uint64_t third = changed_add(t->a, 7, "third");
	struct journal_entry e;

	change_replace(t->a, first, t->a, "m.eml", t->trash);
	change_replace(t->a, second, t->a, "m.eml", t->trash);
	changed_expect_none(t, first);
	for (int i = 0; i < 2; i++) {
		assert_true(changed_get(t, old, &e));
		assert_int_equal(e.waits_for, second);
		changed_reopen(t);
	}
	/* One that is there already is nothing to wait for. */
	change_replace(t->a, third, t->a, "m.eml", t->trash);
	changed_expect_none(t, second);
	assert_true(changed_get(t, old, &e));
	assert_int_equal(e.waits_for, 0);
}

static void what_waits_comes_back_if_the_successor_is_refused(void **state)
{
	struct changed *t = *state;
	uint64_t old = changed_add(t->a, 6, "m.eml");
	uint64_t first = change_create(t->a, "first", "X: 1\r\n");
	uint64_t second = change_create(t->a, "second", "X: 2\r\n");

	change_replace(t->a, first, t->a, "m.eml", t->trash);
	change_replace(t->a, second, t->a, "m.eml", t->trash);
	changed_send(t, second, JOURNAL_APPEND);
	changed_undo(t, second);
	changed_expect_none(t, old);
	assert_int_equal(row_named(t->a, "m.eml").id, old);
	assert_int_equal(count_state_files(t, "rejected"), 1);
}

/* Another client has removed it: nothing comes in the place of the old one. */
static void what_waits_comes_back_if_the_new_one_is_nowhere(void **state)
{
	struct changed *t = *state;
	uint64_t old = changed_add(t->b, 6, "m.eml");
	uint64_t new = changed_add(t->a, 5, "m.eml");

	change_replace(t->a, new, t->b, "m.eml", NULL);
	changed_send(t, new, JOURNAL_MOVE);
	changed_settle(
		t, (struct journal_result){.id = new, .rest = JOURNAL_GONE});
	for (int i = 0; i < 2; i++) {
		changed_expect_none(t, old);
		assert_int_equal(row_named(t->b, "m.eml").id, old);
		assert_int_equal(row_of(t->b, old).uid, 6);
		assert_false(has_row(t->a, new));
		changed_reopen(t);
	}
}

/* Who has removed it since wants neither of them. */
static void what_waits_for_one_that_was_removed_goes(void **state)
{
	struct changed *t = *state;
	uint64_t old = changed_add(t->b, 6, "m.eml");
	uint64_t new = changed_add(t->a, 5, "m.eml");
	struct journal_entry e;

	change_replace(t->a, new, t->b, "m.eml", NULL);
	assert_int_equal(journal_remove(t->b, new), 0);
	changed_settle(
		t, (struct journal_result){.id = new, .rest = JOURNAL_GONE});
	assert_true(changed_get(t, old, &e));
	assert_int_equal(e.waits_for, 0);
	assert_false(has_row(t->b, old));
}

static void a_replaced_draft_goes_with_its_file(void **state)
{
	struct changed *t = *state;
	uint64_t old = change_create(t->a, "m.eml", "X: 1\r\n");
	uint64_t new = changed_add(t->a, 5, "n.eml");
	struct cache_msg m;

	change_replace(t->a, new, t->a, "m.eml", t->trash);
	changed_expect_none(t, old);
	assert_int_equal(box_find_id(t->trash, old, &m), -ENOENT);
	assert_int_equal(cache_sync(t->s->c), 0);
	assert_int_equal(count_state_files(t, "spool"), 0);
	assert_int_equal(count_state_files(t, "rejected"), 0);
}

/*
 * All three are sent; meanwhile the first takes the third one's name, and the
 * second is moved on. So the third is looked at before the second when the
 * first is settled, and all that is left of them is new.
 */
static void what_is_left_of_a_batch_is_in_order(void **state)
{
	struct changed *t = *state;
	uint64_t first = changed_add(t->a, 5, "first.eml");
	uint64_t second = changed_add(t->a, 6, "second.eml");
	uint64_t third = changed_add(t->b, 7, "third.eml");
	const struct journal_result v[] = {
		{.id = first,
		 .done = JOURNAL_MOVE,
		 .uidvalidity = VALID_TRASH,
		 .uid = 20},
		{.id = second,
		 .done = JOURNAL_MOVE,
		 .uidvalidity = VALID_B,
		 .uid = 21},
		{.id = third, .done = JOURNAL_STORE},
	};
	const struct journal_filter all = {0};
	struct journal_list *list;

	change_move(t->a, first, t->trash, "first.eml");
	change_move(t->a, second, t->b, "second.eml");
	change_flags(t->b, third, MAIL_ANSWERED, 0);
	changed_send(t, first, JOURNAL_MOVE);
	changed_send(t, second, JOURNAL_MOVE);
	changed_send(t, third, JOURNAL_STORE);
	change_replace(t->trash, first, t->b, "third.eml", t->trash);
	change_move(t->b, second, t->a, "second.eml");
	assert_int_equal(journal_settle(t->s->c, v, 3, NULL), 0);

	assert_int_equal(journal_read(t->s->c, &all, &list), 0);
	assert_int_equal(list->n, 3);
	for (size_t i = 1; i < list->n; i++)
		assert_true(list->v[i - 1].seq < list->v[i].seq);
	free(list);
	/* Each is found in its own place. */
	change_flags(t->a, second, MAIL_FLAGGED, 0);
	change_flags(t->trash, third, MAIL_FLAGGED, 0);
	changed_expect(t, first, JOURNAL_MOVE);
	changed_expect(t, second, JOURNAL_MOVE | JOURNAL_STORE);
	changed_expect(t, third, JOURNAL_MOVE | JOURNAL_STORE);
}

/* It is under way to another folder when it replaces one in a third. */
static void what_is_replaced_waits_until_the_other_one_is_there(void **state)
{
	struct changed *t = *state;
	uint64_t old = changed_add(t->trash, 6, "m.eml");
	uint64_t new = changed_add(t->a, 5, "n.eml");
	struct journal_entry e;

	change_move(t->a, new, t->b, "n.eml");
	changed_send(t, new, JOURNAL_MOVE);
	change_replace(t->b, new, t->trash, "m.eml", NULL);
	changed_done(t, new, JOURNAL_MOVE, VALID_B, 501);
	assert_true(changed_get(t, old, &e));
	assert_int_equal(e.what, JOURNAL_REMOVE);
	assert_int_equal(e.waits_for, new);
	changed_send(t, new, JOURNAL_MOVE);
	changed_done(t, new, JOURNAL_MOVE, VALID_TRASH, 7);
	assert_true(changed_get(t, old, &e));
	assert_int_equal(e.waits_for, 0);
}

/* It comes back, and so does what the user had changed of it before. */
static void what_comes_back_has_its_own_changes(void **state)
{
	struct changed *t = *state;
	uint64_t old = changed_add(t->b, 6, "m.eml");
	uint64_t new = changed_add(t->a, 5, "n.eml");
	struct journal_entry e;

	change_flags(t->b, old, MAIL_FLAGGED, MAIL_SEEN);
	change_replace(t->a, new, t->b, "m.eml", t->trash);
	changed_undo(t, new);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(row_of(t->b, old).uid, 6);
		assert_int_equal(row_of(t->b, old).flags, MAIL_FLAGGED);
		assert_true(changed_get(t, old, &e));
		assert_int_equal(e.what, JOURNAL_STORE);
		assert_int_equal(e.add, MAIL_FLAGGED);
		assert_int_equal(e.remove, MAIL_SEEN);
		assert_int_equal(e.waits_for, 0);
		changed_reopen(t);
	}
	changed_send(t, old, JOURNAL_STORE);
	changed_done(t, old, JOURNAL_STORE, 0, 0);
	changed_expect_none(t, old);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, changed_setup, changed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_replaced_message_waits_for_the_new_one),
		T(one_that_waits_is_not_marked),
		T(replacing_in_a_folder_needs_nobody_to_wait),
		T(what_waits_for_a_new_one_waits_for_its_successor),
		T(what_waits_comes_back_if_the_successor_is_refused),
		T(what_waits_comes_back_if_the_new_one_is_nowhere),
		T(what_waits_for_one_that_was_removed_goes),
		T(what_is_replaced_waits_until_the_other_one_is_there),
		T(what_comes_back_has_its_own_changes),
		T(a_replaced_draft_goes_with_its_file),
		T(what_is_left_of_a_batch_is_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
