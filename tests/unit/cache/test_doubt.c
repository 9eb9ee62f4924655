/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>

#include "changed.h"

#include "cache/heard.h"

/*
 * A message that may have arrived where it was sent, or may yet: whatever the
 * user does with it, that is not forgotten until it is decided.
 */

/* The answer is lost, and nothing was found so far. */
static void lose_answer(struct changed *t, uint64_t id, unsigned part)
{
	changed_send(t, id, part);
	changed_settle(t, (struct journal_result){.id = id,
						  .rest = JOURNAL_AGAIN,
						  .doubt = true});
}

/* A message of `a` that may be in `b` by now. */
static uint64_t doubted_move(struct changed *t)
{
	uint64_t id = changed_add(t->a, 5, "m.eml");

	change_move(t->a, id, t->b, "m.eml");
	lose_answer(t, id, JOURNAL_MOVE);
	return id;
}

static void expect_doubt(struct changed *t, uint64_t id, unsigned part)
{
	struct journal_entry e;

	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.phase, JOURNAL_QUEUED);
	assert_int_equal(e.doubt, part);
	assert_int_equal(e.sent_to, t->in_b);
	assert_int_equal(e.sent_uidnext, 500);
}

/* It is looked for: nothing is known yet. */
static void look(struct changed *t, uint64_t id, unsigned part)
{
	struct journal_mark m = {.id = id, .parts = part, .is_look = true};
	struct journal_entry e;

	assert_true(changed_get(t, id, &e));
	m.gen = e.gen;
	assert_int_equal(journal_mark_sent(t->s->c, &m, 1), 0);
	assert_true(m.marked);
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.phase, JOURNAL_SENT);
	assert_int_equal(e.sent, part);
	assert_int_equal(e.sent_to, t->in_b);
	assert_int_equal(e.sent_uidnext, 500);
}

static void found_nothing(struct changed *t, uint64_t id)
{
	changed_settle(
		t, (struct journal_result){.id = id, .rest = JOURNAL_AGAIN});
}

/* It has arrived, and a sync has made a second row of it. */
static void found(struct changed *t, uint64_t id, unsigned part)
{
	uint64_t second = changed_add(t->b, 501, "late.eml");

	changed_done(t, id, part, VALID_B, 501);
	assert_false(has_row(t->b, second));
}

static void what_is_taken_back_in_doubt_is_looked_for(void **state)
{
	struct changed *t = *state;
	uint64_t id = doubted_move(t);
	struct journal_entry e;

	change_move(t->b, id, t->a, "m.eml");
	for (int i = 0; i < 2; i++) {
		expect_doubt(t, id, JOURNAL_MOVE);
		changed_expect(t, id, 0);
		assert_int_equal(row_of(t->a, id).uid, 0);
		changed_reopen(t);
	}
	look(t, id, JOURNAL_MOVE);
	changed_reopen(t);
	found(t, id, JOURNAL_MOVE);
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.what, JOURNAL_MOVE);
	assert_int_equal(e.origin.folder, t->in_b);
	assert_int_equal(e.origin.uid, 501);
	assert_int_equal(e.at, t->in_a);
	assert_int_equal(e.doubt, 0);
}

static void what_has_not_arrived_is_where_it_was(void **state)
{
	struct changed *t = *state;
	uint64_t id = doubted_move(t);

	change_move(t->b, id, t->a, "m.eml");
	look(t, id, JOURNAL_MOVE);
	found_nothing(t, id);
	for (int i = 0; i < 2; i++) {
		changed_expect_none(t, id);
		assert_int_equal(row_of(t->a, id).uid, 5);
		changed_reopen(t);
	}
}

static void what_is_taken_back_while_it_is_looked_for_is_in_doubt(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");

	change_move(t->a, id, t->b, "m.eml");
	changed_send(t, id, JOURNAL_MOVE);
	change_move(t->b, id, t->a, "m.eml");
	changed_settle(t, (struct journal_result){.id = id,
						  .rest = JOURNAL_AGAIN,
						  .doubt = true});
	expect_doubt(t, id, JOURNAL_MOVE);
}

static void what_is_moved_on_in_doubt_is_looked_for(void **state)
{
	struct changed *t = *state;
	uint64_t id = doubted_move(t);
	struct journal_mark m = {.id = id, .parts = JOURNAL_MOVE};
	struct journal_entry e;

	change_move(t->b, id, t->trash, "m.eml");
	expect_doubt(t, id, JOURNAL_MOVE);
	/* Not from where it may be no more. */
	assert_true(changed_get(t, id, &e));
	m.gen = e.gen;
	assert_int_equal(journal_mark_sent(t->s->c, &m, 1), 0);
	assert_false(m.marked);
	look(t, id, JOURNAL_MOVE);
	found(t, id, JOURNAL_MOVE);
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.what, JOURNAL_MOVE);
	assert_int_equal(e.origin.folder, t->in_b);
	assert_int_equal(e.at, t->in_trash);
}

static void what_is_removed_in_doubt_is_looked_for(void **state)
{
	struct changed *t = *state;
	uint64_t id = doubted_move(t);
	struct journal_entry e;

	assert_int_equal(journal_remove(t->b, id), 0);
	changed_reopen(t);
	expect_doubt(t, id, JOURNAL_MOVE);
	look(t, id, JOURNAL_MOVE);
	found(t, id, JOURNAL_MOVE);
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.what, JOURNAL_REMOVE);
	assert_int_equal(e.origin.folder, t->in_b);
	assert_int_equal(e.origin.uid, 501);
}

static void a_new_message_that_may_have_arrived_is_not_forgotten(void **state)
{
	struct changed *t = *state;
	uint64_t gone = change_create(t->b, "gone.eml", "A: 1\r\n\r\n");
	uint64_t here = change_create(t->b, "here.eml", "A: 1\r\n\r\n");

	lose_answer(t, gone, JOURNAL_APPEND);
	lose_answer(t, here, JOURNAL_APPEND);
	/* What arrived is the text as it was. */
	assert_int_equal(journal_reopen(t->b, here), -EBUSY);
	assert_int_equal(journal_set_date(t->b, here, 1), -EBUSY);
	assert_int_equal(journal_remove(t->b, gone), 0);
	assert_int_equal(journal_remove(t->b, here), 0);
	changed_reopen(t);
	expect_doubt(t, gone, JOURNAL_APPEND);
	look(t, here, JOURNAL_APPEND);
	found(t, here, JOURNAL_APPEND);
	changed_expect(t, here, JOURNAL_REMOVE);
	look(t, gone, JOURNAL_APPEND);
	found_nothing(t, gone);
	changed_expect_none(t, gone);
	assert_int_equal(cache_sync(t->s->c), 0);
	assert_int_equal(count_state_files(t, "spool"), 0);
}

/* Flags that were set since are not among those that arrived. */
static void what_arrived_has_the_flags_that_it_was_sent_with(void **state)
{
	struct changed *t = *state;
	uint64_t id = change_create(t->b, "new.eml", "A: 1\r\n\r\n");
	struct journal_entry e;

	lose_answer(t, id, JOURNAL_APPEND);
	change_flags(t->b, id, MAIL_SEEN, 0);
	changed_send(t, id, JOURNAL_APPEND);
	found(t, id, JOURNAL_APPEND);
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.what, JOURNAL_STORE);
	assert_int_equal(e.add, MAIL_SEEN);
}

static void a_copy_that_may_have_arrived_is_not_forgotten(void **state)
{
	struct changed *t = *state;
	uint64_t source = changed_add(t->a, 5, "m.eml"), id;
	struct journal_copy how = {.to = t->b, .name = "c.eml"};
	struct journal_entry e;

	assert_int_equal(journal_copy(t->a, source, &how, &id), 0);
	lose_answer(t, id, JOURNAL_COPY);
	/* Nor does its source go meanwhile. */
	change_move(t->a, source, t->trash, "m.eml");
	assert_true(changed_get(t, source, &e));
	assert_int_equal(e.waits_for, id);
	assert_int_equal(journal_remove(t->b, id), 0);
	expect_doubt(t, id, JOURNAL_COPY);
	look(t, id, JOURNAL_COPY);
	found(t, id, JOURNAL_COPY);
	changed_expect(t, id, JOURNAL_REMOVE);
}

static void what_left_its_folder_in_doubt_is_not_called_gone(void **state)
{
	struct changed *t = *state;
	uint64_t id = doubted_move(t), other = 0;
	struct journal_place from = {t->in_a, VALID_A, 5};
	uint32_t *uids;
	size_t n;

	change_move(t->b, id, t->a, "m.eml");
	assert_int_equal(journal_find_uid(t->s->c, from, &other), -EBUSY);
	assert_int_equal(journal_origins(t->s->c, t->in_a, VALID_A, &uids, &n),
			 0);
	assert_int_equal(n, 1);
	free(uids);
	/* Nor is a second row made of it. */
	assert_int_equal(changed_add(t->a, 5, "again.eml"), 0);
}

/* There it is nowhere any more, and cannot come. */
static void a_folder_that_goes_decides_it(void **state)
{
	struct changed *t = *state;
	uint64_t id = doubted_move(t);

	change_move(t->b, id, t->a, "m.eml");
	assert_int_equal(journal_leave_folder(t->s->c, t->in_b, NULL, NULL), 0);
	changed_expect_none(t, id);
	assert_int_equal(row_of(t->a, id).uid, 5);
}

/* The mark of a removal, whose copy has gone elsewhere. */
static void a_mark_of_ours_does_not_go_along(void **state)
{
	struct changed *t = *state;
	uint64_t ours = doubted_move(t);
	uint64_t theirs = changed_add(t->a, 6, "n.eml");
	struct journal_result r = {.rest = JOURNAL_AGAIN,
				   .doubt = true,
				   .has_flags = true,
				   .flags = MAIL_SEEN | MAIL_DELETED};
	struct journal_entry e;

	change_flags(t->a, theirs, MAIL_DELETED, 0);
	changed_send(t, theirs, JOURNAL_STORE);
	changed_done(t, theirs, JOURNAL_STORE, VALID_A, 6);
	change_move(t->a, theirs, t->b, "n.eml");
	changed_send(t, theirs, JOURNAL_MOVE);
	changed_send(t, ours, JOURNAL_MOVE);
	r.id = ours;
	changed_settle(t, r);
	r.id = theirs;
	changed_settle(t, r);
	assert_true(changed_get(t, ours, &e));
	assert_int_equal(e.what, JOURNAL_STORE | JOURNAL_MOVE);
	assert_int_equal(e.remove, MAIL_DELETED);
	assert_int_equal(e.doubt, 0);
	assert_true(changed_get(t, theirs, &e));
	assert_int_equal(e.what, JOURNAL_MOVE);
	assert_int_equal(e.doubt, JOURNAL_MOVE);
}

#define T(f) cmocka_unit_test_setup_teardown(f, changed_setup, changed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_taken_back_in_doubt_is_looked_for),
		T(what_has_not_arrived_is_where_it_was),
		T(what_is_taken_back_while_it_is_looked_for_is_in_doubt),
		T(what_is_moved_on_in_doubt_is_looked_for),
		T(what_is_removed_in_doubt_is_looked_for),
		T(a_new_message_that_may_have_arrived_is_not_forgotten),
		T(what_arrived_has_the_flags_that_it_was_sent_with),
		T(a_copy_that_may_have_arrived_is_not_forgotten),
		T(what_left_its_folder_in_doubt_is_not_called_gone),
		T(a_mark_of_ours_does_not_go_along),
		T(a_folder_that_goes_decides_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
