/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "changed.h"

#include "cache/heard.h"

/* Copies: a second row at once, and what they wait for. */

static uint64_t copy(struct box *from, uint64_t id, struct box *to,
		     const char *name)
{
	struct journal_copy how = {.to = to, .name = name};
	uint64_t new = 0;

	assert_int_equal(journal_copy(from, id, &how, &new), 0);
	assert_int_not_equal(new, id);
	return new;
}

static void a_copy_shares_what_its_source_has(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml"), new;
	struct cache_details *d;
	struct journal_entry e;
	struct cache_stats st;

	assert_int_equal(scene_put_body(t->s, id, 5000, 3), 0);
	change_flags(t->a, id, MAIL_FLAGGED, 0);
	(void)changed_add(t->b, 9, "m.eml");
	new = copy(t->a, id, t->b, "m.eml");
	for (int i = 0; i < 2; i++) {
		assert_true(has_row(t->a, id));
		assert_string_equal(row_of(t->b, new).name, "m.2.eml");
		assert_int_equal(row_of(t->b, new).flags,
				 MAIL_SEEN | MAIL_FLAGGED);
		assert_int_equal(row_of(t->b, new).size, 1005);
		assert_int_equal(row_of(t->b, new).uid, 0);
		expect_words(t->b, new, "blue");
		assert_int_equal(box_details(t->b, new, &d), 0);
		assert_string_equal(d->field[FIELD_SUBJECT], "Hello");
		free(d);
		assert_int_equal(scene_check_body(t->s, new, 5000, 3), 0);
		assert_true(changed_get(t, new, &e));
		assert_int_equal(e.how, JOURNAL_COPIES);
		assert_int_equal(e.what, JOURNAL_COPY | JOURNAL_STORE);
		assert_int_equal(e.origin.uid, 5);
		changed_reopen(t);
	}
	cache_get_stats(t->s->c, &st);
	assert_int_equal(st.bodies, 1);
	changed_send(t, new, JOURNAL_COPY);
	changed_done(t, new, JOURNAL_COPY, VALID_B, 30);
	changed_expect(t, new, JOURNAL_STORE);
	assert_int_equal(row_of(t->b, new).uid, 30);
	changed_send(t, new, JOURNAL_STORE);
	changed_settle(
		t, (struct journal_result){.id = new, .done = JOURNAL_STORE});
	changed_expect_none(t, new);
}

static void a_copy_follows_its_source(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml"), new;
	struct journal_entry e;

	change_move(t->a, id, t->b, "m.eml");
	new = copy(t->b, id, t->trash, "m.eml");
	assert_true(changed_get(t, new, &e));
	assert_int_equal(e.origin.folder, t->in_a);
	changed_send(t, id, JOURNAL_MOVE);
	assert_true(changed_get(t, new, &e));
	assert_int_equal(e.waits_for, id); /* its source is on its way */
	changed_done(t, id, JOURNAL_MOVE, VALID_B, 8);
	for (int i = 0; i < 2; i++) {
		assert_true(changed_get(t, new, &e));
		assert_int_equal(e.waits_for, 0);
		assert_int_equal(e.origin.folder, t->in_b);
		assert_int_equal(e.origin.uidvalidity, VALID_B);
		assert_int_equal(e.origin.uid, 8);
		assert_int_equal(e.what, JOURNAL_COPY);
		changed_reopen(t);
	}
}

static void a_source_does_not_go_before_it_was_copied(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml"), new;
	struct journal_entry e;

	change_flags(t->a, id, MAIL_FLAGGED, 0); /* it is first in the queue */
	new = copy(t->a, id, t->b, "m.eml");
	assert_int_equal(journal_remove(t->a, id), 0);
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.waits_for, new);
	changed_send(t, new, JOURNAL_COPY);
	changed_done(t, new, JOURNAL_COPY, VALID_B, 30);
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.waits_for, 0);
}

/* One command would take away what the other is to copy. */
static void a_copy_and_its_sources_move_are_not_sent_together(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml"), new;
	struct journal_mark m[2] = {{.parts = JOURNAL_MOVE},
				    {.parts = JOURNAL_COPY}};
	struct journal_entry e;

	change_move(t->a, id, t->b, "m.eml");
	new = copy(t->b, id, t->trash, "m.eml");
	m[0].id = id;
	m[1].id = new;
	for (int i = 0; i < 2; i++) {
		assert_true(changed_get(t, m[i].id, &e));
		m[i].gen = e.gen;
	}
	assert_int_equal(journal_mark_sent(t->s->c, m, 2), 0);
	assert_true(m[0].marked);
	assert_false(m[1].marked);
}

/* Both were on their way before a restart, and both were done. */
static void answers_to_both_do_not_mix(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml"), new;
	struct journal_result r[2] = {
		{.done = JOURNAL_COPY, .uidvalidity = VALID_TRASH, .uid = 30},
		{.done = JOURNAL_MOVE, .uidvalidity = VALID_B, .uid = 40}};

	new = copy(t->a, id, t->trash, "m.eml");
	change_move(t->a, id, t->b, "m.eml");
	r[0].id = new;
	r[1].id = id;
	assert_int_equal(journal_settle(t->s->c, r, 2, NULL), 0);
	changed_reopen(t);
	assert_int_equal(row_of(t->trash, new).uid, 30);
	assert_int_equal(row_of(t->b, id).uid, 40);
}

static void a_copy_that_is_removed_unsent_leaves_nothing(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml"), new;

	assert_int_equal(scene_put_body(t->s, id, 5000, 3), 0);
	new = copy(t->a, id, t->b, "m.eml");
	assert_int_equal(journal_remove(t->b, new), 0);
	changed_expect_none(t, new);
	new = copy(t->a, id, t->b, "m.eml");
	changed_undo(t, new);
	changed_expect_none(t, new);
	changed_reopen(t);
	assert_int_equal(box_count(t->b), 0);
	assert_int_equal(scene_check_body(t->s, id, 5000, 3), 0);
}

static void a_copy_of_what_is_unsent_is_sent_too(void **state)
{
	struct changed *t = *state;
	uint64_t id = change_create(t->a, "new.eml", "X: 1\r\n\r\n"), new;
	struct journal_copy how = {.to = t->b, .name = "b.eml"};
	struct journal_new v = {.name = "w.eml"};
	struct journal_entry e;
	struct body *b;
	char text[16] = "";
	int fd;

	new = copy(t->a, id, t->b, "copy.eml");
	assert_int_equal(journal_remove(t->a, id), 0);
	changed_reopen(t);
	assert_true(changed_get(t, new, &e));
	assert_int_equal(e.what, JOURNAL_APPEND);
	assert_int_equal(e.add, MAIL_FLAGGED);
	assert_int_equal(body_open(t->s->c, new, 1, &b), 0);
	assert_int_equal(body_read(b, text, 8, 0), 8);
	assert_string_equal(text, "X: 1\r\n\r\n");
	body_put(b);
	assert_int_equal(count_state_files(t, "spool"), 1);

	/* But not of what is being written. */
	assert_int_equal(journal_create(t->a, &v, &id, &fd), 0);
	close(fd);
	assert_int_equal(journal_copy(t->a, id, &how, &new), -EBUSY);
	assert_int_equal(journal_copy(t->a, 4711, &how, &new), -ENOENT);
	how.name = "..";
	assert_int_equal(journal_copy(t->a, id, &how, &new), -EINVAL);
}

/* As cp does: the new file is there, and then told what it is. */
static void an_empty_new_file_becomes_a_copy(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml"), new, out;
	struct journal_new v = {.name = "copy.eml", .flags = MAIL_DRAFT};
	struct journal_copy how = {.to = t->b};
	struct journal_entry e;
	int fd;

	assert_int_equal(scene_put_body(t->s, id, 5000, 3), 0);
	assert_int_equal(journal_create(t->b, &v, &new, &fd), 0);
	close(fd);
	how.into = new;
	assert_int_equal(journal_copy(t->a, id, &how, &out), 0);
	assert_int_equal(out, new);
	assert_int_equal(journal_copy(t->a, id, &how, &out), -EBUSY);
	changed_reopen(t);
	assert_string_equal(row_of(t->b, new).name, "copy.eml");
	assert_int_equal(row_of(t->b, new).flags, MAIL_DRAFT);
	assert_int_equal(row_of(t->b, new).size, 1005);
	assert_int_equal(scene_check_body(t->s, new, 5000, 3), 0);
	assert_int_equal(count_state_files(t, "spool"), 0);
	assert_true(changed_get(t, new, &e));
	assert_int_equal(e.what, JOURNAL_COPY | JOURNAL_STORE);
	assert_int_equal(e.add, MAIL_DRAFT);
	assert_int_equal(e.remove, MAIL_SEEN);
	changed_send(t, new, JOURNAL_COPY);
	changed_done(t, new, JOURNAL_COPY, VALID_B, 30);
	changed_expect(t, new, JOURNAL_STORE);
}

/* Gmail stores no text twice: whoever appends it again is told of the first. */
static void two_messages_may_have_become_one(void **state)
{
	struct changed *t = *state;
	uint64_t old = changed_add(t->b, 501, "old.eml");
	uint64_t ids[] = {change_create(t->b, "one.eml", "Subject: x\r\n\r\n"),
			  change_create(t->b, "two.eml", "Subject: x\r\n\r\n")};
	struct journal_result r[2];
	struct cache_msg m;

	for (int i = 0; i < 2; i++) {
		changed_send(t, ids[i], JOURNAL_APPEND);
		r[i] = (struct journal_result){.id = ids[i],
					       .done = JOURNAL_APPEND,
					       .uidvalidity = VALID_B,
					       .uid = 501};
	}
	assert_int_equal(journal_settle(t->s->c, r, 2, NULL), 0);
	for (int i = 0; i < 2; i++) {
		assert_false(has_row(t->b, old));
		assert_int_equal(box_count(t->b), 1);
		assert_int_equal(box_find_uid(t->b, 501, &m), 0);
		assert_int_equal(m.id, ids[1]);
		changed_expect_none(t, ids[0]);
		changed_expect_none(t, ids[1]);
		changed_reopen(t);
	}
	assert_int_equal(sql_number(t, "SELECT count(*) FROM details"), 1);
	assert_int_equal(count_state_files(t, "spool"), 0);
}

/* Its folder has other UIDs, and a listing was quicker than who looks. */
static void a_moved_source_is_listed_once_under_its_new_uid(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml"), copy, listed;
	struct journal_copy how = {.to = t->trash, .name = "copy.eml"};
	struct cache_state s = {.uidvalidity = 99};
	struct cache_moor moor = {.uid = 70};
	struct journal_entry e;
	struct cache_key *keys;
	size_t n;

	change_move(t->a, id, t->b, "m.eml");
	assert_int_equal(journal_copy(t->b, id, &how, &copy), 0);
	assert_int_equal(box_unmoor(t->a, &s, &n), 0);
	listed = changed_add(t->a, 70, "m.eml");
	assert_int_equal(journal_keys(t->s->c, t->in_a, 99, &keys, &n), 0);
	assert_int_equal(n, 1); /* the source, or the copy */
	moor.id = keys[0].of;
	free(keys);
	assert_int_equal(journal_rebase(t->s->c, t->in_a, 99, &moor, 1, NULL),
			 0);
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.origin.uid, 70);
	assert_true(changed_get(t, copy, &e));
	assert_int_equal(e.origin.uid, 70);
	assert_false(has_row(t->a, listed));
}

/* A server may say so of two that were moved away, whatever it means. */
static void a_listed_row_goes_once(void **state)
{
	struct changed *t = *state;
	struct cache_moor moor[2] = {{.uid = 70}, {.uid = 70}};
	struct cache_state s = {.uidvalidity = 99};
	uint64_t listed;
	size_t n;

	for (uint32_t i = 0; i < 2; i++) {
		moor[i].id = changed_add(t->a, 5 + i, "m.eml");
		change_move(t->a, moor[i].id, t->b, i ? "n.eml" : "m.eml");
	}
	assert_int_equal(box_unmoor(t->a, &s, &n), 0);
	listed = changed_add(t->a, 70, "m.eml");
	assert_int_equal(journal_rebase(t->s->c, t->in_a, 99, moor, 2, NULL),
			 0);
	assert_false(has_row(t->a, listed));
	assert_int_equal(box_count(t->a), 0);
	changed_reopen(t);
	assert_int_equal(box_count(t->a), 0);
	assert_int_equal(box_count(t->b), 2);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, changed_setup, changed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_copy_shares_what_its_source_has),
		T(a_copy_follows_its_source),
		T(a_source_does_not_go_before_it_was_copied),
		T(a_copy_and_its_sources_move_are_not_sent_together),
		T(answers_to_both_do_not_mix),
		T(a_copy_that_is_removed_unsent_leaves_nothing),
		T(a_copy_of_what_is_unsent_is_sent_too),
		T(an_empty_new_file_becomes_a_copy),
		T(two_messages_may_have_become_one),
		T(a_moved_source_is_listed_once_under_its_new_uid),
		T(a_listed_row_goes_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
