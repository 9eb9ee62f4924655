/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flushing.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "fs/ahead_private.h"
#include "fs/folder.h"

/*
 * Sets of bodies that are fetched ahead, of a mailbox that is made anew between
 * the reading of its rows and the request.
 */

#define OTHER_A 8

#define EXAMINE_A(uidvalidity)                                                 \
	"C: EXAMINE \"A\"", "S: * 9 EXISTS",                                   \
		"S: * OK [UIDVALIDITY " uidvalidity "] ok",                    \
		"S: * OK [UIDNEXT 100] ok", "S: $T OK [READ-ONLY] done"

/* It goes out behind EXAMINE, before that has told its UIDVALIDITY. */
#define FETCHED(set, uid)                                                      \
	"C: UID FETCH " set,                                                   \
		"S: * " uid " FETCH (UID " uid " BODY[] \"other\")",           \
		"S: $T OK done"

static _Atomic unsigned n_ended;
static _Atomic int ended_with;

static void note_end(struct ahead_set *set, int result)
{
	(void)set;
	ended_with = result;
	n_ended++;
}

static void wait_ended(unsigned n)
{
	int64_t end = clock_now_ms() + PATIENCE_MS;

	while (n_ended < n)
		wait_a_bit(end);
}

static void begin(struct flushing *t, const script *scripts)
{
	n_ended = 0;
	assert_int_equal(ahead_new(t->fs, &t->fs->ahead), 0);
	flushing_begin(t, scripts);
}

static void end(struct flushing *t)
{
	flushing_end(t);
	ahead_free(t->fs->ahead);
	t->fs->ahead = NULL;
}

static void add(struct flushing *t, struct ahead_set **set, unsigned i,
		uint32_t uidvalidity)
{
	struct cache_msg m;

	assert_int_equal(find(t, t->a, t->id[i], &m), 0);
	ahead_set_add(t->fs, t->a, set, &m, uidvalidity, false);
	assert_non_null(*set);
	(*set)->ended = note_end;
}

static void make_anew(struct flushing *t)
{
	const struct cache_state s = {
		.uidvalidity = OTHER_A, .uidnext = 100, .complete = true};
	struct box *box;

	assert_int_equal(folder_get(t->fs, t->a, &box), 0);
	assert_int_equal(box_set_state(box, &s), 0);
	folder_put(t->fs, t->a);
}

/* The same UIDs are other messages' now. */
static void a_set_is_of_the_mailbox_that_its_rows_were_of(void **state)
{
	struct flushing *t = *state;
	struct ahead_set *set = NULL;

	begin(t,
	      SCRIPTS(STEPS(LOGIN, EXAMINE_A("8"), FETCHED("1:2", "1"), "N:")));
	add(t, &set, 0, VALID_A);
	add(t, &set, 1, VALID_A);
	make_anew(t);
	ahead_set_send(t->fs, set);
	wait_ended(1);
	assert_int_equal(ended_with, -ESTALE);
	assert_false(cache_has_body(t->fs->cache, t->id[0]));
	end(t);
}

static void rows_of_two_mailboxes_are_two_sets(void **state)
{
	struct flushing *t = *state;
	struct ahead_set *set = NULL;

	begin(t, SCRIPTS(STEPS(LOGIN, EXAMINE_A("8"), FETCHED("1 ", "1"),
			       FETCHED("2 ", "2"), "N:")));
	add(t, &set, 0, VALID_A);
	make_anew(t);
	add(t, &set, 1, OTHER_A);
	wait_ended(1);
	assert_int_equal(ended_with, -ESTALE);
	ahead_set_send(t->fs, set);
	wait_ended(2);
	assert_int_equal(ended_with, 0);
	end(t);
	assert_false(cache_has_body(t->fs->cache, t->id[0]));
	assert_true(cache_has_body(t->fs->cache, t->id[1]));
}

#define TEST(f)                                                                \
	cmocka_unit_test_setup_teardown(f, flushing_setup, flushing_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_set_is_of_the_mailbox_that_its_rows_were_of),
		TEST(rows_of_two_mailboxes_are_two_sets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
