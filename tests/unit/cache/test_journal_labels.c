/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "changed.h"

/*
 * Labels are changed as keywords are (the other tests change both); here is
 * where they differ.
 */

/* Of labels the look did not tell: what was sent is sent again. */
static void labels_that_nobody_looked_at_are_still_wanted(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_list *list;

	change_words(t->a, id, "red", "blue");
	changed_send(t, id, JOURNAL_STORE);
	changed_settle(t, (struct journal_result){.id = id,
						  .rest = JOURNAL_UNSURE,
						  .has_flags = true,
						  .flags = MAIL_SEEN,
						  .keywords = "red"});
	assert_int_equal(journal_get(t->s->c, id, &list), 0);
	assert_string_equal(list->v[0].add_keywords, "");
	assert_string_equal(list->v[0].add_labels, "red");
	assert_string_equal(list->v[0].remove_labels, "blue");
	free(list);
	expect_words(t->a, id, "red");
}

static void a_refused_label_is_as_it_was(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");

	change_words(t->a, id, "red", "blue");
	changed_send(t, id, JOURNAL_STORE);
	changed_undo(t, id);
	changed_expect_none(t, id);
	expect_words(t->a, id, "blue");
	changed_reopen(t);
	expect_words(t->a, id, "blue");
}

/* It goes here, and may stay elsewhere: there it has these labels. */
static void labels_are_stored_before_a_message_goes(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");

	change_flags(t->a, id, MAIL_FLAGGED, 0);
	assert_int_equal(journal_remove(t->a, id), 0);
	changed_expect(t, id, JOURNAL_REMOVE);
	id = changed_add(t->a, 6, "n.eml");
	change_words(t->a, id, "red", "blue");
	assert_int_equal(journal_remove(t->a, id), 0);
	changed_expect(t, id, JOURNAL_STORE | JOURNAL_REMOVE);
	changed_reopen(t);
	changed_send(t, id, JOURNAL_STORE);
	changed_done(t, id, JOURNAL_STORE, 0, 0);
	changed_expect(t, id, JOURNAL_REMOVE);
	changed_send(t, id, JOURNAL_REMOVE);
	changed_undo(t, id);
	expect_words(t->a, id, "red");
	changed_expect_none(t, id);
}

static void labels_are_stored_when_the_message_is_there(void **state)
{
	struct changed *t = *state;
	struct journal_new v = {.name = "new.eml", .announced = true};
	struct mail_row row = {.has = ROW_FIELDS | ROW_FLAGS,
			       .flags = MAIL_SEEN};
	struct journal_list *list;
	uint64_t id;
	int fd;

	assert_int_equal(journal_create(t->a, &v, &id, &fd), 0);
	assert_int_equal(spool_write(fd, "X: 1\r\n\r\n", 8, 0), 0);
	close(fd);
	change_words(t->a, id, "red green", "");
	assert_int_equal(journal_publish(t->a, id, &row), 0);
	changed_expect(t, id, JOURNAL_APPEND);
	changed_send(t, id, JOURNAL_APPEND);
	changed_reopen(t);
	changed_done(t, id, JOURNAL_APPEND, VALID_A, 7);
	assert_int_equal(journal_get(t->s->c, id, &list), 0);
	assert_int_equal(list->v[0].what, JOURNAL_STORE);
	assert_int_equal(list->v[0].add, 0);
	assert_string_equal(list->v[0].add_keywords, "");
	assert_string_equal(list->v[0].add_labels, "red green");
	free(list);
	changed_send(t, id, JOURNAL_STORE);
	changed_done(t, id, JOURNAL_STORE, 0, 0);
	changed_expect_none(t, id);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, changed_setup, changed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(labels_that_nobody_looked_at_are_still_wanted),
		T(a_refused_label_is_as_it_was),
		T(labels_are_stored_before_a_message_goes),
		T(labels_are_stored_when_the_message_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
