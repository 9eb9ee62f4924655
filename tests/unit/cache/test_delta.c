/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "scene.h"

#include "cache/delta.h"

/*
 * The algebra of flags: whatever the user and the server do, in any order, the
 * row is what the server has and the delta over it. Three flags stand for all,
 * as bits, as keywords and as labels at once: every case is tried.
 */

#define SETS 8 /* subsets of three flags */

static const char *const words[SETS] = {NULL, "a",   "b",   "a b",
					"c",  "a c", "c b", "a b c"};

static struct flagset set(unsigned bits)
{
	return (struct flagset){bits, words[bits] ? strdup(words[bits]) : NULL,
				words[bits] ? strdup(words[bits]) : NULL};
}

static unsigned word_bits(const char *list)
{
	unsigned bits = 0;

	assert_true(!list || list[0]);
	for (; list && *list; list++) {
		if (*list >= 'a' && *list <= 'c')
			bits |= 1u << (*list - 'a');
	}
	return bits;
}

/* As bits; all three parts must say the same. */
static unsigned bits_of(const struct flagset *s)
{
	assert_int_equal(word_bits(s->words), s->flags);
	assert_int_equal(word_bits(s->labels), s->flags);
	return s->flags;
}

static struct delta delta_of(unsigned server, unsigned row)
{
	return (struct delta){set(row & ~server), set(server & ~row)};
}

static void expect_delta(const struct delta *d, unsigned server, unsigned row)
{
	assert_int_equal(bits_of(&d->add), row & ~server);
	assert_int_equal(bits_of(&d->remove), server & ~row);
}

static void check_step(unsigned server, unsigned row, unsigned add,
		       unsigned remove)
{
	struct delta d = delta_of(server, row);
	struct delta want = {set(add), set(remove)};
	struct flagset now = set(row);
	struct delta real, left;
	unsigned after = (row | add) & ~remove;

	assert_int_equal(delta_step(&d, &now, &want, &real, &left), 0);
	expect_delta(&real, row, after);
	expect_delta(&left, server, after);
	delta_finish(&d);
	delta_finish(&want);
	delta_finish(&real);
	delta_finish(&left);
	flagset_finish(&now);
}

static void a_step_of_the_user_leaves_the_difference(void **state)
{
	(void)state;
	for (unsigned server = 0; server < SETS; server++)
		for (unsigned row = 0; row < SETS; row++)
			for (unsigned add = 0; add < SETS; add++)
				for (unsigned rm = 0; rm < SETS; rm++)
					if (!(add & rm))
						check_step(server, row, add,
							   rm);
}

/* Sent when the row was `then`; now it is `row`. */
static void check_answer(unsigned server, unsigned then, unsigned row)
{
	struct delta sent = delta_of(server, then), d = delta_of(server, row);
	struct delta left, real;
	unsigned undone;

	assert_int_equal(delta_done(&d, &sent, &left), 0);
	expect_delta(&left, then, row);
	delta_finish(&left);

	assert_int_equal(delta_undone(&d, &sent, &real, &left), 0);
	undone = (row | bits_of(&real.add)) & ~bits_of(&real.remove);
	expect_delta(&left, server, undone);
	/* What was sent and still stands is taken back, nothing else. */
	assert_int_equal(undone, row ^ ((then ^ server) & (row ^ server)));
	delta_finish(&left);
	delta_finish(&real);
	delta_finish(&sent);
	delta_finish(&d);
}

/* Sent when the row was `then`; now it is `row`, and the server has `has`. */
static void check_doubt(unsigned server, unsigned then, unsigned row,
			unsigned has)
{
	struct delta sent = delta_of(server, then), d = delta_of(server, row);
	struct delta left;
	unsigned after;

	/* Of each flag it has what it had, or what it was to have. */
	if ((has ^ server) & (has ^ then)) {
		delta_finish(&sent);
		delta_finish(&d);
		return;
	}
	assert_int_equal(delta_unsure(&d, &sent, &left), 0);
	after = (has | bits_of(&left.add)) & ~bits_of(&left.remove);
	assert_int_equal(after, row);
	delta_finish(&left);
	delta_finish(&sent);
	delta_finish(&d);
}

static void without_an_answer_it_becomes_what_is_wanted(void **state)
{
	(void)state;
	for (unsigned server = 0; server < SETS; server++)
		for (unsigned then = 0; then < SETS; then++)
			for (unsigned row = 0; row < SETS; row++)
				for (unsigned has = 0; has < SETS; has++)
					check_doubt(server, then, row, has);
}

static void an_answer_leaves_what_was_changed_meanwhile(void **state)
{
	(void)state;
	for (unsigned server = 0; server < SETS; server++)
		for (unsigned then = 0; then < SETS; then++)
			for (unsigned row = 0; row < SETS; row++)
				check_answer(server, then, row);
}

static void of_words_that_the_server_does_not_say_all_is_left(void **state)
{
	(void)state;
	for (unsigned known = 0; known < 4; known++) {
		struct delta d = delta_of(6, 1), left;
		/* It has what is wanted. */
		struct flagset now = set(1);
		unsigned has_words = known & KNOWS_WORDS ? 0 : 1;
		unsigned has_labels = known & KNOWS_LABELS ? 0 : 1;

		assert_int_equal(delta_rebase(&d, &now, known, &left), 0);
		assert_int_equal(left.add.flags, 0);
		assert_int_equal(left.remove.flags, 0);
		assert_int_equal(word_bits(left.add.words), has_words);
		assert_int_equal(word_bits(left.remove.words), 6 * has_words);
		assert_int_equal(word_bits(left.add.labels), has_labels);
		assert_int_equal(word_bits(left.remove.labels), 6 * has_labels);
		delta_finish(&d);
		delta_finish(&left);
		flagset_finish(&now);
	}
}

static void the_words_of_the_server_leave_what_it_has_not(void **state)
{
	(void)state;
	for (unsigned server = 0; server < SETS; server++)
		for (unsigned row = 0; row < SETS; row++)
			for (unsigned says = 0; says < SETS; says++) {
				struct delta d = delta_of(server, row), left;
				struct flagset now = set(says);

				assert_int_equal(
					delta_rebase(&d, &now,
						     KNOWS_WORDS | KNOWS_LABELS,
						     &left),
					0);
				/* Only what the user changed differs. */
				assert_int_equal(bits_of(&left.add),
						 row & ~server & ~says);
				assert_int_equal(bits_of(&left.remove),
						 server & ~row & says);
				delta_finish(&d);
				delta_finish(&left);
				flagset_finish(&now);
			}
}

static void lists_of_words_keep_each_once(void **state)
{
	struct flagset a = {.words = strdup("x  y x")};
	struct flagset b = {.words = strdup("y yy")}, r;

	(void)state;
	assert_int_equal(flagset_combine(&a, SET_PLUS, &b, &r), 0);
	assert_string_equal(r.words, "x y yy");
	flagset_finish(&r);
	assert_int_equal(flagset_combine(&a, SET_MINUS, &b, &r), 0);
	assert_string_equal(r.words, "x");
	flagset_finish(&r);
	assert_int_equal(flagset_combine(&a, SET_AND, &b, &r), 0);
	assert_string_equal(r.words, "y");
	flagset_finish(&r);
	assert_int_equal(flagset_combine(&a, SET_MINUS, &a, &r), 0);
	assert_null(r.words);
	flagset_finish(&a);
	flagset_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_step_of_the_user_leaves_the_difference),
		cmocka_unit_test(an_answer_leaves_what_was_changed_meanwhile),
		cmocka_unit_test(without_an_answer_it_becomes_what_is_wanted),
		cmocka_unit_test(the_words_of_the_server_leave_what_it_has_not),
		cmocka_unit_test(
			of_words_that_the_server_does_not_say_all_is_left),
		cmocka_unit_test(lists_of_words_keep_each_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
