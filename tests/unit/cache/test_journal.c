/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "changed.h"

/* Messages that move and go: the effect here, and the difference that is left.
 */

/* --- moving --- */

static void a_moved_message_keeps_its_id_and_body(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_entry e;

	assert_int_equal(scene_put_body(t->s, id, 5000, 3), 0);
	change_move(t->a, id, t->b, "m.eml");
	for (int i = 0; i < 2; i++) {
		assert_false(has_row(t->a, id));
		assert_int_equal(row_of(t->b, id).uid, 0);
		assert_string_equal(row_of(t->b, id).name, "m.eml");
		assert_int_equal(cache_folder_of(t->s->c, id), t->in_b);
		assert_int_equal(box_count(t->a), 0);
		assert_int_equal(box_count(t->b), 1);
		assert_int_equal(scene_check_body(t->s, id, 5000, 3), 0);
		expect_words(t->b, id, "blue");
		assert_true(changed_get(t, id, &e));
		assert_int_equal(e.what, JOURNAL_MOVE);
		assert_int_equal(e.origin.folder, t->in_a);
		assert_int_equal(e.at, t->in_b);
		changed_reopen(t);
	}
}

/* It is to be looked for where it was sent to, before it is sent again. */
static void a_doubt_is_kept_until_it_is_resolved(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_result again = {.id = id, .rest = JOURNAL_AGAIN};
	struct journal_entry e;

	change_move(t->a, id, t->b, "m.eml");
	changed_send(t, id, JOURNAL_MOVE);
	again.doubt = true;
	changed_settle(t, again);
	changed_reopen(t);
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.phase, JOURNAL_QUEUED);
	assert_int_equal(e.sent, 0);
	assert_int_equal(e.sent_to, t->in_b);
	assert_int_equal(e.sent_uidnext, 500);

	again.doubt = false;
	changed_settle(t, again);
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.sent_to, 0);
	assert_int_equal(e.sent_uidnext, 0);
}

static void a_message_that_comes_back_leaves_nothing(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");

	change_move(t->a, id, t->b, "m.eml");
	change_move(t->b, id, t->trash, "other.eml");
	changed_expect(t, id, JOURNAL_MOVE);
	change_move(t->trash, id, t->a, "m.eml");
	changed_expect_none(t, id);
	assert_int_equal(row_of(t->a, id).uid, 5);
	changed_reopen(t);
	assert_int_equal(row_of(t->a, id).uid, 5);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM changes"), 0);
}

static void changes_on_the_way_are_one_difference(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");

	change_flags(t->a, id, MAIL_FLAGGED, 0);
	change_move(t->a, id, t->b, "m.eml");
	change_words(t->b, id, "red", NULL);
	change_move(t->b, id, t->trash, "m.eml");
	changed_expect(t, id, JOURNAL_STORE | JOURNAL_MOVE);
	change_move(t->trash, id, t->a, "m.eml");
	changed_expect(t, id, JOURNAL_STORE);
	assert_int_equal(row_of(t->a, id).uid, 5);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM changes"), 1);
}

static void a_rename_in_its_folder_is_nobodys_business(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");

	change_move(t->a, id, t->a, "contract.eml");
	changed_expect_none(t, id);
	assert_int_equal(row_named(t->a, "contract.eml").id, id);
	changed_reopen(t);
	assert_int_equal(row_named(t->a, "contract.eml").uid, 5);
	/* And the name goes along. */
	change_move(t->a, id, t->b, "contract.eml");
	changed_done(t, id, JOURNAL_MOVE, VALID_B, 7);
	changed_reopen(t);
	assert_int_equal(row_named(t->b, "contract.eml").uid, 7);
}

static void names_become_twins_or_are_refused(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_move how = {.to = t->b, .name = "m.eml"};
	struct journal_moved moved;

	(void)changed_add(t->b, 6, "m.eml");
	how.onto = JOURNAL_EXACT;
	assert_int_equal(journal_move(t->a, id, &how, NULL), -EEXIST);
	how.name = "a/b";
	assert_int_equal(journal_move(t->a, id, &how, NULL), -EINVAL);
	assert_true(has_row(t->a, id));
	changed_expect_none(t, id);
	how.name = "m.eml";
	how.onto = JOURNAL_TWIN;
	assert_int_equal(journal_move(t->a, id, &how, &moved), 0);
	assert_string_equal(moved.name, "m.2.eml");
	assert_int_equal(moved.replaced, 0);
	assert_int_equal(journal_move(t->a, id, &how, NULL), -ENOENT);
	assert_string_equal(row_of(t->b, id).name, "m.2.eml");
}

static void what_the_kernel_holds_goes_along(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct cache_msg m;

	assert_int_equal(box_hold(t->a, id), 0);
	assert_int_equal(box_hold(t->a, id), 0);
	change_move(t->a, id, t->b, "m.eml");
	assert_int_equal(box_held(t->a), 0);
	assert_int_equal(box_held(t->b), 2);
	assert_int_equal(box_find_id(t->a, id, &m), -ENOENT);
	assert_int_equal(box_hold(t->a, id), -ENOENT);
	assert_false(box_release(t->a, id, 1));
	assert_true(box_release(t->b, id, 1));
	assert_int_equal(box_held(t->b), 1);
	assert_true(box_release(t->b, id, 1));
}

static void what_arrives_hidden_waits_to_be_announced(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_move how = {.to = t->a,
				   .name = "n.eml",
				   .onto = JOURNAL_EXACT,
				   .hide = true};

	/* A name in the same folder is one that is known. */
	assert_int_equal(journal_move(t->a, id, &how, NULL), 0);
	assert_true(row_of(t->a, id).announced);
	how.to = t->trash;
	assert_int_equal(journal_move(t->a, id, &how, NULL), 0);
	assert_false(row_of(t->trash, id).announced);
	box_announce(t->trash, id);
	assert_true(row_of(t->trash, id).announced);
}

static void a_box_that_nobody_listed_can_be_moved_into(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct cache_state none = {0}, s;

	assert_int_equal(box_set_state(t->b, &none), 0);
	change_move(t->a, id, t->b, "m.eml");
	changed_send(t, id, JOURNAL_MOVE);
	changed_done(t, id, JOURNAL_MOVE, 77, 3);
	changed_expect_none(t, id);
	changed_reopen(t);
	assert_int_equal(row_of(t->b, id).uid, 3);
	box_state(t->b, &s);
	assert_int_equal(s.uidvalidity, 77);
	assert_int_equal(s.low_uid, 0); /* still to be listed */
}

static void the_mtime_of_both_folders_moves(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct cache_state a, b, trash;

	change_move(t->a, id, t->b, "m.eml");
	changed_reopen(t);
	box_state(t->a, &a);
	box_state(t->b, &b);
	box_state(t->trash, &trash);
	assert_true(a.changed_at_ns > 0 && b.changed_at_ns > 0);
	assert_int_equal(trash.changed_at_ns, 0);
	assert_int_equal(a.uidvalidity, VALID_A);
}

/* It was moved last by a clock that was an hour ahead. */
/* A sync has looked at the state before, and stores it behind. */
static void the_mtime_is_not_put_back_by_a_sync(void **state)
{
	struct changed *t = *state;
	struct cache_state before, after, last;
	uint64_t id = changed_add(t->a, 5, "m.eml");

	box_state(t->b, &before);
	change_move(t->a, id, t->b, "m.eml");
	box_state(t->b, &after);
	assert_true(after.changed_at_ns > before.changed_at_ns);
	before.uidnext = 700;
	assert_int_equal(box_set_state(t->b, &before), 0);
	for (int i = 0; i < 2; i++) {
		box_state(t->b, &last);
		assert_int_equal(last.uidnext, 700);
		assert_int_equal(last.changed_at_ns, after.changed_at_ns);
		changed_reopen(t);
	}
}

static void the_mtime_moves_after_the_clock_was_put_back(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	int64_t ahead = ((int64_t)time(NULL) + 3600) * 1000000000;
	struct cache_state a, b;

	box_state(t->a, &a);
	a.changed_at_ns = ahead;
	assert_int_equal(box_set_state(t->a, &a), 0);
	box_state(t->b, &b);
	b.changed_at_ns = ahead + 7;
	assert_int_equal(box_set_state(t->b, &b), 0);
	change_move(t->a, id, t->b, "m.eml");
	for (int i = 0; i < 2; i++) {
		box_state(t->a, &a);
		box_state(t->b, &b);
		assert_true(a.changed_at_ns > ahead);
		assert_true(b.changed_at_ns > ahead + 7);
		changed_reopen(t);
	}
}

/* --- removing --- */

static void a_removed_message_is_kept_out_of_sight(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	uint64_t twin = changed_add(t->b, 5, "m.eml");
	struct journal_entry e;

	assert_int_equal(journal_remove(t->a, id), 0);
	assert_int_equal(journal_remove(t->b, twin), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(box_count(t->a), 0);
		assert_int_equal(cache_folder_of(t->s->c, id), 0);
		assert_true(changed_get(t, id, &e));
		assert_int_equal(e.what, JOURNAL_REMOVE);
		assert_int_equal(e.at, JOURNAL_LIMBO);
		changed_reopen(t);
	}
	changed_send(t, id, JOURNAL_REMOVE);
	changed_settle(
		t, (struct journal_result){.id = id, .done = JOURNAL_REMOVE});
	changed_expect_none(t, id);
	changed_expect(t, twin, JOURNAL_REMOVE);
	assert_int_equal(cache_sync(t->s->c), 0);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM details"), 1);
}

static void a_removed_message_can_be_read_while_it_is_open(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct cache_msg m;

	assert_int_equal(scene_put_body(t->s, id, 5000, 3), 0);
	assert_int_equal(box_hold(t->a, id), 0);
	assert_int_equal(journal_remove(t->a, id), 0);
	assert_int_equal(box_find_id(t->a, id, &m), 0);
	assert_true(m.dead);
	assert_int_equal(cache_folder_of(t->s->c, id), t->in_a);
	assert_int_equal(scene_check_body(t->s, id, 5000, 3), 0);
	assert_int_equal(journal_remove(t->a, id), -ENOENT);
	assert_true(box_release(t->a, id, 1));
	assert_int_equal(box_find_id(t->a, id, &m), -ENOENT);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, changed_setup, changed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_moved_message_keeps_its_id_and_body),
		T(a_doubt_is_kept_until_it_is_resolved),
		T(a_message_that_comes_back_leaves_nothing),
		T(changes_on_the_way_are_one_difference),
		T(a_rename_in_its_folder_is_nobodys_business),
		T(names_become_twins_or_are_refused),
		T(what_the_kernel_holds_goes_along),
		T(what_arrives_hidden_waits_to_be_announced),
		T(a_box_that_nobody_listed_can_be_moved_into),
		T(the_mtime_of_both_folders_moves),
		T(the_mtime_is_not_put_back_by_a_sync),
		T(the_mtime_moves_after_the_clock_was_put_back),
		T(a_removed_message_is_kept_out_of_sight),
		T(a_removed_message_can_be_read_while_it_is_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
