/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "changed.h"

#include "cache/heard.h"

/* What the server says, while something is not sent yet. */

static void hear_flags(struct changed *t, uint64_t id, uint32_t flags,
		       const char *keywords)
{
	struct cache_flags v = {id, flags, keywords, keywords};

	assert_int_equal(box_set_flags(t->a, &v, 1), 0);
}

static uint64_t list(struct box *b, uint32_t uid)
{
	struct mail_row row = {.has = ROW_UID, .uid = uid};
	struct cache_new add = {&row, "listed.eml", true};
	uint64_t id = 1;

	assert_int_equal(box_add(b, &add, 1, NULL, &id), 0);
	return id;
}

/* --- flags --- */

static void changes_lie_over_the_flags_of_the_server(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_list *list;

	change_flags(t->a, id, MAIL_FLAGGED, MAIL_SEEN);
	change_words(t->a, id, "red", "blue");
	hear_flags(t, id, MAIL_SEEN | MAIL_ANSWERED, "blue green");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(row_of(t->a, id).flags,
				 MAIL_FLAGGED | MAIL_ANSWERED);
		expect_words(t->a, id, "green red");
		assert_int_equal(journal_get(t->s->c, id, &list), 0);
		assert_int_equal(list->v[0].add, MAIL_FLAGGED);
		assert_int_equal(list->v[0].remove, MAIL_SEEN);
		assert_string_equal(list->v[0].add_keywords, "red");
		assert_string_equal(list->v[0].remove_keywords, "blue");
		assert_string_equal(list->v[0].add_labels, "red");
		assert_string_equal(list->v[0].remove_labels, "blue");
		free(list);
		changed_reopen(t);
	}
	hear_flags(t, id, MAIL_SEEN, NULL); /* of keywords it says nothing */
	expect_words(t->a, id, "green red");
	assert_int_equal(row_of(t->a, id).flags, MAIL_FLAGGED);
}

static void what_the_server_has_already_is_no_difference(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");

	change_flags(t->a, id, MAIL_FLAGGED, 0);
	change_words(t->a, id, "red", NULL);
	hear_flags(t, id, MAIL_SEEN | MAIL_FLAGGED, "blue red");
	changed_expect_none(t, id);
	changed_reopen(t);
	changed_expect_none(t, id);
	assert_int_equal(row_of(t->a, id).flags, MAIL_SEEN | MAIL_FLAGGED);
	expect_words(t->a, id, "blue red");
}

/* The answer was lost; the sync shows that it was done. */
static void a_sync_can_tell_that_a_store_was_done(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");

	change_flags(t->a, id, MAIL_FLAGGED, MAIL_SEEN);
	changed_send(t, id, JOURNAL_STORE);
	hear_flags(t, id, MAIL_FLAGGED, "blue");
	changed_settle(
		t, (struct journal_result){.id = id, .rest = JOURNAL_AGAIN});
	changed_expect_none(t, id);
	assert_int_equal(row_of(t->a, id).flags, MAIL_FLAGGED);
}

/* --- messages that were moved away --- */

static void a_message_that_was_moved_is_not_listed_again(void **state)
{
	struct changed *t = *state;
	uint64_t moved = changed_add(t->a, 5, "m.eml");
	uint64_t removed = changed_add(t->a, 6, "n.eml");
	uint64_t flagged = changed_add(t->a, 7, "o.eml");
	struct journal_place at = {t->in_a, VALID_A, 5};
	uint32_t *uids;
	uint64_t id;
	size_t n;

	change_move(t->a, moved, t->b, "m.eml");
	assert_int_equal(journal_remove(t->a, removed), 0);
	change_flags(t->a, flagged, MAIL_FLAGGED, 0);
	changed_reopen(t);
	assert_int_equal(list(t->a, 5), 0);
	assert_int_equal(list(t->a, 6), 0);
	assert_int_equal(list(t->a, 7), 0);
	assert_int_not_equal(list(t->a, 8), 0);
	assert_int_not_equal(list(t->b, 5), 0); /* another mailbox's */
	assert_int_equal(journal_find_uid(t->s->c, at, &id), 0);
	assert_int_equal(id, moved);
	at.uid = 7;
	assert_int_equal(journal_find_uid(t->s->c, at, &id), -ENOENT);
	assert_int_equal(journal_origins(t->s->c, t->in_a, VALID_A, &uids, &n),
			 0);
	assert_int_equal(n, 2);
	assert_int_equal(uids[0], 5);
	assert_int_equal(uids[1], 6);
	free(uids);
	assert_int_equal(box_uids(t->a, &uids, &n), 0);
	assert_int_equal(n, 2); /* 7 and 8 */
	free(uids);
	changed_done(t, moved, JOURNAL_MOVE, VALID_B, 20);
	at.uid = 5;
	assert_int_equal(journal_find_uid(t->s->c, at, &id), -ENOENT);
}

/* By a sync of `a`, of the message that had this UID there. */
static void hear_moved(struct changed *t, uint32_t uid, uint32_t flags,
		       const char *keywords, size_t effects)
{
	const struct mail_row row = {.has = ROW_UID | ROW_FLAGS | ROW_LABELS,
				     .uid = uid,
				     .flags = flags,
				     .keywords = keywords,
				     .gm_labels = keywords};
	const struct journal_place from = {t->in_a, VALID_A, 0};
	struct journal_effects *told;

	assert_int_equal(journal_hear(t->s->c, from, &row, 1, &told), 0);
	assert_int_equal(told ? told->n : 0, effects);
	free(told);
}

static void flags_of_one_that_was_moved_away_are_heard(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");

	change_flags(t->a, id, MAIL_FLAGGED, 0);
	change_words(t->a, id, "red", NULL);
	change_move(t->a, id, t->b, "m.eml");
	hear_moved(t, 5, MAIL_ANSWERED, "green", 1);
	hear_moved(t, 6, MAIL_ANSWERED, "green", 0); /* nobody's */
	assert_int_equal(row_of(t->b, id).flags, MAIL_FLAGGED | MAIL_ANSWERED);
	expect_words(t->b, id, "green red");
	/* They are not said again when it is back. */
	change_move(t->b, id, t->a, "m.eml");
	changed_reopen(t);
	assert_int_equal(row_of(t->a, id).flags, MAIL_FLAGGED | MAIL_ANSWERED);
	expect_words(t->a, id, "green red");
	/* It is where the server has it: that is not ours to hear. */
	hear_moved(t, 5, 0, "", 0);
}

static void flags_of_one_that_was_removed_are_heard(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");

	assert_int_equal(journal_remove(t->a, id), 0);
	hear_moved(t, 5, MAIL_ANSWERED, "green", 0);
	changed_reopen(t);
	changed_send(t, id, JOURNAL_REMOVE);
	/* In doubt as well, for it is still there. */
	hear_moved(t, 5, MAIL_ANSWERED | MAIL_SEEN, "green", 0);
	changed_settle(t,
		       (struct journal_result){.id = id, .rest = JOURNAL_UNDO});
	assert_int_equal(row_of(t->a, id).flags, MAIL_ANSWERED | MAIL_SEEN);
	expect_words(t->a, id, "green");
}

static void a_copied_message_is_listed_as_ever(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml"), new, found;
	struct journal_copy how = {.to = t->b, .name = "m.eml"};
	struct journal_place at = {t->in_a, VALID_A, 5};

	assert_int_equal(journal_copy(t->a, id, &how, &new), 0);
	assert_int_equal(journal_find_uid(t->s->c, at, &found), -ENOENT);
	assert_int_equal(box_remove(t->a, &id, 1), 0);
	assert_int_not_equal(list(t->a, 5), 0);
}

/* --- removed by another client --- */

static void a_removed_message_takes_its_record_along(void **state)
{
	struct changed *t = *state;
	uint64_t id[3];
	struct cache_state s;

	for (uint32_t i = 0; i < 3; i++) {
		id[i] = changed_add(t->a, 5 + i, "m.eml");
		change_flags(t->a, id[i], MAIL_FLAGGED, 0);
	}
	assert_int_equal(box_remove(t->a, &id[0], 1), 0);
	box_state(t->a, &s);
	assert_int_equal(box_doom(t->a, &id[1], 1, &s), 0);
	for (int i = 0; i < 2; i++) {
		struct journal_flags v = {.id = id[1], .add = MAIL_DRAFT};

		changed_expect_none(t, id[0]);
		changed_expect_none(t, id[1]);
		changed_expect(t, id[2], JOURNAL_STORE);
		/* Nothing can be changed of what is gone. */
		assert_int_equal(journal_change_flags(t->a, &v, 1), 0);
		assert_int_equal(journal_remove(t->a, id[1]), -ENOENT);
		changed_reopen(t);
	}
	assert_int_equal(sql_number(t, "SELECT count(*) FROM details"), 1);
}

static void what_is_pending_is_not_removed_by_the_server(void **state)
{
	struct changed *t = *state;
	uint64_t id[3];

	id[0] = changed_add(t->b, 5, "m.eml");
	change_move(t->b, id[0], t->a, "m.eml");
	id[1] = change_create(t->a, "new.eml", "X: 1\r\n");
	/* This one has just gone elsewhere. */
	id[2] = changed_add(t->a, 6, "n.eml");
	change_move(t->a, id[2], t->b, "n.eml");
	changed_done(t, id[2], JOURNAL_MOVE, VALID_B, 20);
	assert_int_equal(box_remove(t->a, id, 3), 0);
	assert_int_equal(box_doom(t->a, id, 3, NULL), 0);
	changed_reopen(t);
	assert_true(has_row(t->a, id[0]));
	assert_true(has_row(t->a, id[1]));
	assert_true(has_row(t->b, id[2]));
	assert_int_equal(sql_number(t, "SELECT count(*) FROM details"), 3);
	changed_expect(t, id[0], JOURNAL_MOVE);
	changed_expect(t, id[1], JOURNAL_APPEND);
}

/* --- other UIDs --- */

static void a_moored_message_takes_its_record_along(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml"), copy;
	struct journal_copy how = {.to = t->b, .name = "m.eml"};
	struct cache_state s = {.uidvalidity = 99};
	struct journal_flags v = {.add = MAIL_DRAFT};
	struct cache_moor moor = {id, 70};
	struct journal_entry e;
	size_t n;

	v.id = changed_add(t->a, 6, "n.eml");
	change_flags(t->a, id, MAIL_FLAGGED, 0);
	assert_int_equal(journal_copy(t->a, id, &how, &copy), 0);
	assert_int_equal(box_unmoor(t->a, &s, &n), 0);
	assert_int_equal(n, 2);
	/* Nobody knows what it is there at the moment. */
	assert_int_equal(journal_change_flags(t->a, &v, 1), -EBUSY);
	assert_int_equal(journal_remove(t->a, v.id), -EBUSY);
	change_move(t->a, v.id, t->a, "renamed.eml"); /* but that is ours */
	change_flags(t->a, id, MAIL_DRAFT, 0);        /* it has a record */
	changed_reopen(t);
	assert_true(row_of(t->a, id).unmoored);
	assert_int_equal(box_unmoored(t->a), 2);
	assert_int_equal(box_moor(t->a, &moor, 1), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(row_of(t->a, id).uid, 70);
		assert_false(row_of(t->a, id).unmoored);
		assert_true(changed_get(t, id, &e));
		assert_int_equal(e.origin.uidvalidity, 99);
		assert_int_equal(e.origin.uid, 70);
		assert_int_equal(e.what, JOURNAL_STORE);
		assert_true(changed_get(t, copy, &e));
		assert_int_equal(e.origin.uid, 70);
		assert_int_equal(box_unmoored(t->a), 1);
		changed_reopen(t);
	}
}

static void moved_messages_are_known_by_their_keys(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml"), new;
	struct mail_row row = {
		.has = ROW_SIZE | ROW_DATE | ROW_FIELDS | ROW_GM,
		.uid = 70,
		.size = 1005,
		.internaldate = 1700000005,
		.field = {[FIELD_MESSAGE_ID] = "<5@example.com>"}};
	struct cache_state s = {.uidvalidity = 99};
	struct cache_key *keys, key;
	struct cache_moor moor;
	struct journal_effects *effects;
	struct journal_entry e;
	size_t n;

	change_move(t->a, id, t->b, "m.eml");
	assert_int_equal(journal_remove(t->a, changed_add(t->a, 6, "n.eml")),
			 0);
	assert_int_equal(box_unmoor(t->a, &s, &n), 0);
	changed_reopen(t);
	new = list(t->a, 70); /* the new listing has it, too */
	assert_int_not_equal(new, 0);
	assert_int_equal(journal_keys(t->s->c, t->in_a, 99, &keys, &n), 0);
	assert_int_equal(n, 2);
	assert_true(cache_key_of(t->s->c, &row, &key));
	assert_int_equal(cache_match(keys, n, &key, 1, &moor), 1);
	free(keys);
	assert_int_equal(moor.id, id);
	assert_int_equal(moor.uid, 70);
	assert_int_equal(
		journal_rebase(t->s->c, t->in_a, 99, &moor, 1, &effects), 0);
	assert_int_equal(effects->n, 1);
	assert_int_equal(effects->v[0].id, new);
	free(effects);
	changed_reopen(t);
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.origin.uidvalidity, 99);
	assert_int_equal(e.origin.uid, 70);
	assert_false(has_row(t->a, new));
	assert_int_equal(list(t->a, 70), 0);
	assert_int_equal(journal_keys(t->s->c, t->in_a, 99, &keys, &n), 0);
	assert_int_equal(n, 1); /* the removed one has not been found */
	free(keys);
}

/* Undone under another UIDVALIDITY it has no UID that could be believed. */
static void what_comes_back_under_other_uids_is_unmoored(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct cache_state s = {.uidvalidity = 99};
	size_t n;

	change_move(t->a, id, t->b, "m.eml");
	assert_int_equal(box_unmoor(t->a, &s, &n), 0);
	changed_undo(t, id);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(row_of(t->a, id).uid, 0);
		assert_true(row_of(t->a, id).unmoored);
		assert_int_equal(box_unmoored(t->a), 1);
		changed_expect_none(t, id);
		changed_reopen(t);
	}
}

/* --- a folder that goes --- */

static void a_folder_does_not_go_with_changes_in_it(void **state)
{
	struct changed *t = *state;
	uint64_t moved_in = changed_add(t->a, 5, "in.eml");
	uint64_t moved_out = changed_add(t->b, 5, "out.eml");
	uint64_t flagged = changed_add(t->b, 6, "flagged.eml");
	uint64_t unsent = change_create(t->b, "new.eml", "X: 1\r\n");
	uint64_t copied, twice = changed_add(t->a, 7, "twice.eml");
	struct journal_copy how = {.to = t->a, .name = "copy.eml"};
	const struct journal_failure why = {"change", "folder gone", "Work"};
	struct journal_effects *effects;

	change_move(t->a, moved_in, t->b, "in.eml");
	change_move(t->b, moved_out, t->a, "out.eml");
	change_flags(t->b, flagged, MAIL_FLAGGED, 0);
	assert_int_equal(journal_copy(t->b, flagged, &how, &copied), 0);
	change_move(t->a, twice, t->trash, "twice.eml");
	changed_send(t, twice, JOURNAL_MOVE);
	change_move(t->trash, twice, t->b, "twice.eml");
	assert_int_equal(cache_drop_folder(t->s->c, t->in_b), -EBUSY);
	assert_int_equal(journal_leave_folder(t->s->c, t->in_b, &why, &effects),
			 0);
	assert_true(effects->n >= 6);
	free(effects);
	box_close(t->b);
	t->b = NULL;
	assert_int_equal(cache_drop_folder(t->s->c, t->in_b), 0);
	assert_int_equal(row_of(t->a, moved_in).uid, 5);
	assert_int_equal(row_of(t->a, twice).uid, 7);
	assert_false(has_row(t->a, moved_out));
	assert_false(has_row(t->a, copied));
	changed_expect_none(t, unsent);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM changes"), 0);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM details"), 2);
	assert_int_equal(count_state_files(t, "rejected"), 1);
	assert_int_equal(count_state_files(t, "spool"), 0);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, changed_setup, changed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(changes_lie_over_the_flags_of_the_server),
		T(what_the_server_has_already_is_no_difference),
		T(a_sync_can_tell_that_a_store_was_done),
		T(a_message_that_was_moved_is_not_listed_again),
		T(flags_of_one_that_was_moved_away_are_heard),
		T(flags_of_one_that_was_removed_are_heard),
		T(a_copied_message_is_listed_as_ever),
		T(a_removed_message_takes_its_record_along),
		T(what_is_pending_is_not_removed_by_the_server),
		T(a_moored_message_takes_its_record_along),
		T(moved_messages_are_known_by_their_keys),
		T(what_comes_back_under_other_uids_is_unmoored),
		T(a_folder_does_not_go_with_changes_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
