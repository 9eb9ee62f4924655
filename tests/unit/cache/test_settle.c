/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "changed.h"

/* Answers: what is left when the server has done, refused or lost something. */

/* --- done --- */

static void a_move_that_is_done_has_its_new_uid(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_entry e;

	change_move(t->a, id, t->b, "m.eml");
	changed_send(t, id, JOURNAL_MOVE);
	changed_reopen(t);
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.phase, JOURNAL_SENT);
	assert_int_equal(e.sent, JOURNAL_MOVE);
	assert_int_equal(e.sent_to, t->in_b);
	assert_int_equal(e.sent_uidnext, 500);
	changed_done(t, id, JOURNAL_MOVE, VALID_B, 501);
	for (int i = 0; i < 2; i++) {
		changed_expect_none(t, id);
		assert_int_equal(row_of(t->b, id).uid, 501);
		changed_reopen(t);
	}
}

static void an_answer_without_a_uid_is_refused(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_result r = {.id = id, .done = JOURNAL_MOVE};

	change_move(t->a, id, t->b, "m.eml");
	changed_send(t, id, JOURNAL_MOVE);
	assert_int_equal(journal_settle(t->s->c, &r, 1, NULL), -EINVAL);
	r.uid = 7;
	assert_int_equal(journal_settle(t->s->c, &r, 1, NULL), -EINVAL);
	changed_expect(t, id, JOURNAL_MOVE);
}

/* The mailbox was made anew before, or after, and the row is another one's. */
static void an_answer_with_another_uidvalidity_drops_no_row(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	uint64_t other = changed_add(t->b, 501, "other.eml");

	change_move(t->a, id, t->b, "m.eml");
	changed_send(t, id, JOURNAL_MOVE);
	changed_done(t, id, JOURNAL_MOVE, VALID_B + 1, 501);
	assert_int_equal(row_of(t->b, other).uid, 501);
	assert_true(row_of(t->b, id).unmoored);
}

static void what_was_changed_meanwhile_is_a_new_difference(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_entry e;

	change_flags(t->a, id, MAIL_FLAGGED, 0);
	change_move(t->a, id, t->b, "m.eml");
	changed_send(t, id, JOURNAL_STORE | JOURNAL_MOVE);
	change_flags(t->b, id, MAIL_ANSWERED, MAIL_FLAGGED);
	change_move(t->b, id, t->trash, "m.eml");
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.phase, JOURNAL_SENT);
	changed_reopen(t);
	changed_done(t, id, JOURNAL_STORE | JOURNAL_MOVE, VALID_B, 501);
	for (int i = 0; i < 2; i++) {
		assert_true(changed_get(t, id, &e));
		assert_int_equal(e.phase, JOURNAL_QUEUED);
		assert_int_equal(e.what, JOURNAL_STORE | JOURNAL_MOVE);
		assert_int_equal(e.origin.folder, t->in_b);
		assert_int_equal(e.origin.uid, 501);
		assert_int_equal(e.add, MAIL_ANSWERED);
		assert_int_equal(e.remove, MAIL_FLAGGED);
		assert_int_equal(row_of(t->trash, id).uid, 0);
		changed_reopen(t);
	}
	changed_send(t, id, JOURNAL_STORE | JOURNAL_MOVE);
	changed_done(t, id, JOURNAL_STORE | JOURNAL_MOVE, VALID_TRASH, 3);
	changed_expect_none(t, id);
	assert_int_equal(row_of(t->trash, id).uid, 3);
	assert_int_equal(row_of(t->trash, id).flags, MAIL_SEEN | MAIL_ANSWERED);
}

static void a_message_that_came_home_on_its_way_is_moved_back(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_entry e;

	change_move(t->a, id, t->b, "m.eml");
	changed_send(t, id, JOURNAL_MOVE);
	change_move(t->b, id, t->a, "m.eml");
	assert_int_equal(row_of(t->a, id).uid, 0); /* perhaps not its UID */
	changed_reopen(t);
	changed_done(t, id, JOURNAL_MOVE, VALID_B, 501);
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.what, JOURNAL_MOVE);
	assert_int_equal(e.origin.folder, t->in_b);
	assert_int_equal(e.at, t->in_a);

	/* And if it had not been done there would be nothing to do. */
	changed_send(t, id, JOURNAL_MOVE);
	change_move(t->a, id, t->b, "m.eml");
	changed_settle(
		t, (struct journal_result){.id = id, .rest = JOURNAL_AGAIN});
	changed_expect_none(t, id);
	assert_int_equal(row_of(t->b, id).uid, 501);
	changed_reopen(t);
	assert_int_equal(row_of(t->b, id).uid, 501);
}

static void parts_are_settled_one_by_one(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_entry e;

	change_flags(t->a, id, MAIL_FLAGGED, 0);
	change_move(t->a, id, t->b, "m.eml");
	changed_send(t, id, JOURNAL_STORE | JOURNAL_MOVE);
	changed_settle(t, (struct journal_result){.id = id,
						  .done = JOURNAL_STORE,
						  .rest = JOURNAL_AGAIN});
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.what, JOURNAL_MOVE);
	assert_int_equal(e.tries, 1);
	changed_send(t, id, JOURNAL_MOVE);
	changed_undo(t, id);
	changed_expect_none(t, id);
	assert_int_equal(row_of(t->a, id).flags, MAIL_SEEN | MAIL_FLAGGED);
	assert_int_equal(row_of(t->a, id).uid, 5);
}

static void flags_that_were_stored_after_all_are_no_difference(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_list *list;

	change_flags(t->a, id, MAIL_FLAGGED, 0);
	change_words(t->a, id, "red green", "");
	changed_send(t, id, JOURNAL_STORE);
	change_move(t->a, id, t->b, "m.eml");
	/* One word was not stored. */
	changed_settle(
		t, (struct journal_result){.id = id,
					   .rest = JOURNAL_UNSURE,
					   .has_flags = true,
					   .flags = MAIL_SEEN | MAIL_FLAGGED,
					   .keywords = "red"});
	assert_int_equal(journal_get(t->s->c, id, &list), 0);
	assert_int_equal(list->v[0].add, 0);
	assert_string_equal(list->v[0].add_keywords, "green");
	free(list);

	/* So what takes them back is one. */
	change_flags(t->b, id, 0, MAIL_FLAGGED);
	change_words(t->b, id, "", "red green");
	changed_reopen(t);
	assert_int_equal(journal_get(t->s->c, id, &list), 0);
	assert_int_equal(list->v[0].remove, MAIL_FLAGGED);
	assert_string_equal(list->v[0].add_keywords, "");
	assert_string_equal(list->v[0].remove_keywords, "red");
	free(list);
}

static void an_answer_of_no_use_changes_nothing(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_effects *effects;
	struct journal_result r = {.id = 4711, .rest = JOURNAL_GONE};

	assert_int_equal(journal_settle(t->s->c, &r, 1, &effects), 0);
	assert_int_equal(effects->n, 0);
	free(effects);
	assert_true(has_row(t->a, id));
}

/* A sync after a lost answer has listed the message before we knew. */
static void a_second_row_for_the_new_uid_goes(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml"), other;
	struct journal_result r = {.id = id,
				   .done = JOURNAL_MOVE,
				   .uidvalidity = VALID_B,
				   .uid = 501};
	struct journal_effects *effects;
	struct cache_msg m;
	bool told = false;

	change_move(t->a, id, t->b, "m.eml");
	changed_send(t, id, JOURNAL_MOVE);
	other = changed_add(t->b, 501, "m.eml");
	assert_int_equal(box_hold(t->b, other), 0);
	assert_int_equal(journal_settle(t->s->c, &r, 1, &effects), 0);
	for (size_t i = 0; i < effects->n; i++) {
		const struct journal_effect *e = &effects->v[i];

		if (e->id != other)
			continue;
		told = true;
		assert_int_equal(e->from, t->in_b);
		assert_int_equal(e->to, 0);
		assert_int_equal(e->held, 1);
		assert_string_equal(e->from_name, "m.2.eml");
	}
	assert_true(told);
	free(effects);
	assert_int_equal(box_find_uid(t->b, 501, &m), 0);
	assert_int_equal(m.id, id);
	assert_true(box_release(t->b, other, 1));
	changed_reopen(t);
	assert_int_equal(row_of(t->b, id).uid, 501);
	assert_int_equal(box_count(t->b), 1);
}

/* --- undone --- */

static void a_refused_move_comes_back(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	const struct journal_failure why = {"move a message", "NO [CANNOT]",
					    "INBOX/m.eml"};
	struct journal_result r = {.id = id, .rest = JOURNAL_UNDO, .why = &why};
	struct journal_effects *effects;
	char *text;

	assert_int_equal(box_hold(t->a, id), 0);
	change_move(t->a, id, t->b, "new-name.eml");
	changed_send(t, id, JOURNAL_MOVE);
	assert_int_equal(journal_settle(t->s->c, &r, 1, &effects), 0);
	assert_int_equal(effects->n, 1);
	assert_int_equal(effects->v[0].from, t->in_b);
	assert_int_equal(effects->v[0].to, t->in_a);
	assert_string_equal(effects->v[0].from_name, "new-name.eml");
	assert_string_equal(effects->v[0].to_name, "m.eml");
	assert_int_equal(effects->v[0].held, 1);
	free(effects);
	assert_false(row_of(t->a, id).announced);
	assert_int_equal(box_held(t->a), 1);
	assert_true(box_release(t->a, id, 1));
	changed_reopen(t);
	changed_expect_none(t, id);
	assert_int_equal(row_of(t->a, id).uid, 5);
	assert_true(row_of(t->a, id).announced);
	assert_int_equal(journal_failed_text(t->s->c, &text), 0);
	assert_non_null(strstr(text, "move a message 'INBOX/m.eml': NO "
				     "[CANNOT]\n"));
	free(text);
}

static void what_comes_back_may_find_its_name_taken(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");

	change_move(t->a, id, t->b, "m.eml");
	(void)changed_add(t->a, 6, "m.eml");
	changed_undo(t, id);
	assert_string_equal(row_of(t->a, id).name, "m.2.eml");
}

static void refused_flags_are_as_before(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");

	change_flags(t->a, id, MAIL_FLAGGED, MAIL_SEEN);
	change_words(t->a, id, "red", "blue");
	changed_send(t, id, JOURNAL_STORE);
	change_flags(t->a, id, MAIL_ANSWERED, 0);
	change_words(t->a, id, "green", NULL);
	changed_undo(t, id);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(row_of(t->a, id).flags,
				 MAIL_SEEN | MAIL_ANSWERED);
		expect_words(t->a, id, "blue green");
		changed_expect(t, id, JOURNAL_STORE);
		changed_reopen(t);
	}
}

static void a_refused_removal_comes_back(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");

	assert_int_equal(scene_put_body(t->s, id, 3000, 4), 0);
	change_flags(t->a, id, MAIL_FLAGGED, 0);
	assert_int_equal(box_hold(t->a, id), 0);
	assert_int_equal(journal_remove(t->a, id), 0);
	changed_send(t, id, JOURNAL_REMOVE);
	changed_undo(t, id);
	assert_int_equal(box_held(t->a), 1);
	assert_true(box_release(t->a, id, 1));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(row_of(t->a, id).uid, 5);
		assert_string_equal(row_of(t->a, id).name, "m.eml");
		changed_expect(t, id, JOURNAL_STORE); /* nobody refused it */
		assert_int_equal(scene_check_body(t->s, id, 3000, 4), 0);
		changed_reopen(t);
	}
}

/* Moved, then removed, while the kernel holds it: a dead row in `b`. */
static void what_is_held_elsewhere_comes_back_with_it(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");

	assert_int_equal(box_hold(t->a, id), 0);
	change_move(t->a, id, t->b, "m.eml");
	assert_int_equal(journal_remove(t->b, id), 0);
	assert_int_equal(box_held(t->b), 1);
	changed_undo(t, id);
	assert_int_equal(box_held(t->b), 0);
	assert_int_equal(box_held(t->a), 1);
	assert_int_equal(cache_folder_of(t->s->c, id), t->in_a);
	assert_string_equal(row_of(t->a, id).name, "m.eml");
	assert_true(box_release(t->a, id, 1));
}

static void a_folder_without_a_box_is_undone_on_disk(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");

	change_move(t->a, id, t->b, "m.eml");
	changed_close_boxes(t);
	changed_undo(t, id);
	changed_open_boxes(t);
	assert_int_equal(row_of(t->a, id).uid, 5);
	assert_false(has_row(t->b, id));
	change_move(t->a, id, t->b, "m.eml");
	changed_close_boxes(t);
	changed_done(t, id, JOURNAL_MOVE, VALID_B, 77);
	changed_open_boxes(t);
	assert_int_equal(row_of(t->b, id).uid, 77);
}

static void undoing_what_replaced_undoes_the_replaced(void **state)
{
	struct changed *t = *state;
	uint64_t old = changed_add(t->b, 6, "m.eml");
	uint64_t new = changed_add(t->a, 5, "n.eml");
	uint64_t third = changed_add(t->a, 7, "o.eml");

	change_replace(t->a, new, t->b, "m.eml", t->trash);
	change_replace(t->a, third, t->b, "m.eml", NULL);
	changed_undo(t, third);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(row_of(t->a, third).name, "o.eml");
		assert_string_equal(row_of(t->a, new).name, "n.eml");
		assert_string_equal(row_of(t->b, old).name, "m.eml");
		assert_int_equal(row_of(t->b, old).uid, 6);
		assert_int_equal(sql_number(t, "SELECT count(*) FROM changes"),
				 0);
		changed_reopen(t);
	}
}

/* What the user has done with it since is nobody else's business. */
static void one_that_was_moved_on_is_not_undone(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_entry e;

	change_move(t->a, id, t->b, "m.eml");
	changed_send(t, id, JOURNAL_MOVE);
	change_move(t->b, id, t->trash, "m.eml");
	changed_undo(t, id);
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.what, JOURNAL_MOVE);
	assert_int_equal(e.at, t->in_trash);
	assert_int_equal(e.origin.folder, t->in_a);
	assert_true(has_row(t->trash, id));
}

/* --- gone --- */

static void a_message_that_is_nowhere_goes(void **state)
{
	struct changed *t = *state;
	uint64_t moved = changed_add(t->a, 5, "m.eml");
	uint64_t removed = changed_add(t->a, 6, "n.eml");
	const struct journal_failure why = {"move", "it is not there", "m"};
	struct journal_result r[2] = {{.id = moved, .why = &why},
				      {.id = removed, .why = &why}};
	struct journal_effects *effects;

	r[0].rest = r[1].rest = JOURNAL_GONE;
	change_move(t->a, moved, t->b, "m.eml");
	assert_int_equal(journal_remove(t->a, removed), 0);
	assert_int_equal(journal_settle(t->s->c, r, 2, &effects), 0);
	assert_int_equal(effects->n, 1); /* the other one was not shown */
	assert_int_equal(effects->v[0].from, t->in_b);
	free(effects);
	changed_reopen(t);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM details"), 0);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM changes"), 0);
	/* That one is gone was what the user wanted. */
	assert_int_equal(sql_number(t, "SELECT count(*) FROM failed"), 1);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, changed_setup, changed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_move_that_is_done_has_its_new_uid),
		T(an_answer_without_a_uid_is_refused),
		T(an_answer_with_another_uidvalidity_drops_no_row),
		T(what_was_changed_meanwhile_is_a_new_difference),
		T(a_message_that_came_home_on_its_way_is_moved_back),
		T(parts_are_settled_one_by_one),
		T(flags_that_were_stored_after_all_are_no_difference),
		T(an_answer_of_no_use_changes_nothing),
		T(a_second_row_for_the_new_uid_goes),
		T(a_refused_move_comes_back),
		T(what_comes_back_may_find_its_name_taken),
		T(refused_flags_are_as_before),
		T(a_refused_removal_comes_back),
		T(what_is_held_elsewhere_comes_back_with_it),
		T(a_folder_without_a_box_is_undone_on_disk),
		T(undoing_what_replaced_undoes_the_replaced),
		T(one_that_was_moved_on_is_not_undone),
		T(a_message_that_is_nowhere_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
