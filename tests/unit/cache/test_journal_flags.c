/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "changed.h"

/* Flags that the user changes: what is shown, and the difference that is left.
 */

static void a_changed_flag_is_a_difference(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_entry e;

	change_flags(t->a, id, MAIL_FLAGGED, MAIL_SEEN);
	assert_int_equal(row_of(t->a, id).flags, MAIL_FLAGGED);
	changed_reopen(t);
	assert_int_equal(row_of(t->a, id).flags, MAIL_FLAGGED);
	assert_int_equal(row_of(t->a, id).uid, 5);
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.what, JOURNAL_STORE);
	assert_int_equal(e.add, MAIL_FLAGGED);
	assert_int_equal(e.remove, MAIL_SEEN);
	assert_int_equal(e.origin.folder, t->in_a);
	assert_int_equal(e.origin.uidvalidity, VALID_A);
	assert_int_equal(e.origin.uid, 5);
	assert_int_equal(e.phase, JOURNAL_QUEUED);
}

static void flags_that_are_changed_back_leave_nothing(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");

	change_flags(t->a, id, MAIL_FLAGGED, 0);
	change_flags(t->a, id, 0, MAIL_FLAGGED);
	changed_expect_none(t, id);
	change_flags(t->a, id, MAIL_SEEN, MAIL_FLAGGED); /* as it is */
	changed_expect_none(t, id);
	changed_reopen(t);
	changed_expect_none(t, id);
	assert_int_equal(row_of(t->a, id).flags, MAIL_SEEN);
}

static void keywords_are_deltas_too(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_list *list;

	change_words(t->a, id, "red green", "blue");
	expect_words(t->a, id, "red green");
	change_words(t->a, id, "blue", "green black");
	expect_words(t->a, id, "blue red");
	changed_reopen(t);
	expect_words(t->a, id, "red blue");
	assert_int_equal(journal_get(t->s->c, id, &list), 0);
	assert_string_equal(list->v[0].add_keywords, "red");
	assert_string_equal(list->v[0].remove_keywords, "");
	free(list);
	change_words(t->a, id, NULL, "red");
	changed_expect_none(t, id);
}

static void too_many_keywords_are_refused(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	char words[MAIL_KEYWORDS_MAX + 1];
	struct journal_flags v[2] = {{.id = id, .add_keywords = words},
				     {.id = id, .add = MAIL_DRAFT}};

	memset(words, 'k', sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	assert_int_equal(journal_change_flags(t->a, v, 1), -EOVERFLOW);
	v[0].add_keywords = NULL;
	v[0].add_labels = words;
	assert_int_equal(journal_change_flags(t->a, v, 1), -EOVERFLOW);
	v[0].add_labels = "ok";
	assert_int_equal(journal_change_flags(t->a, v, 2), -EINVAL);
	changed_expect_none(t, id);
	expect_words(t->a, id, "blue");
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, changed_setup, changed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_changed_flag_is_a_difference),
		T(flags_that_are_changed_back_leave_nothing),
		T(keywords_are_deltas_too),
		T(too_many_keywords_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
