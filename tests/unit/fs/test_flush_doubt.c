/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flushing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/folder.h"
#include "fs/queue.h"

/*
 * The answer to a move was lost, it was looked for in vain, and before it is
 * sent again the user wants something else.
 */

/* Of A only the first message is left, or only the third. */
#define FIRST "S: * 1 FETCH (UID 1 FLAGS (\\Seen))"
#define THIRD "S: * 1 FETCH (UID 3 FLAGS ())"

#define LOST STEPS(LOGIN_MOVE, SELECT_A, "C: UID MOVE 1 ", "X:")
#define NOT_YET NOT_IN_B, SYNC_A(FIRST)
#define ARRIVED                                                                \
	EXAMINE_B("1"), "C: FETCH", ROW_OF("1", "21", "0"), "S: $T OK done"

static void move_and_take_back(struct flushing *t, const script *scripts)
{
	move_to_b(t, 0);
	flushing_begin(t, scripts);
	wait_sent(t);
	move_message(t, 0, t->b, t->a);
	server_go(t->server);
	flushing_wait(t);
	flushing_end(t);
}

static void what_was_taken_back_and_arrives_late_is_moved_back(void **state)
{
	struct flushing *t = *state;

	move_and_take_back(
		t, SCRIPTS(LOST, STEPS(LOGIN_MOVE, "W:", NOT_YET, ARRIVED,
				       SYNC_A(THIRD), SELECT_B,
				       "C: UID MOVE 21 \"A\"",
				       "S: $T OK [COPYUID 7 21 100] x", "N:")));
	expect_uid(t, t->a, 0, 100);
	expect_failed(t, "");
}

static void what_was_taken_back_and_never_arrived_is_left_alone(void **state)
{
	struct flushing *t = *state;

	move_and_take_back(t,
			   SCRIPTS(LOST, STEPS(LOGIN_MOVE, "W:", NOT_YET,
					       NOT_IN_B, SYNC_A(FIRST), "N:")));
	expect_uid(t, t->a, 0, 1);
	expect_failed(t, "");
}

/* It does not stay as a second one. */
static void what_was_taken_back_and_is_in_both_places_is_one(void **state)
{
	struct flushing *t = *state;

	move_and_take_back(
		t, SCRIPTS(LOST, STEPS(LOGIN_MOVE, "W:", NOT_YET, ARRIVED,
				       SYNC_A(FIRST), SELECT_A,
				       "C: UID STORE 1 +FLAGS.SILENT "
				       "(\\Deleted)",
				       "S: $T OK x", "C: UID EXPUNGE 1",
				       "S: $T OK x", SYNC_A(THIRD), SELECT_B,
				       "C: UID MOVE 21 \"A\"",
				       "S: $T OK [COPYUID 7 21 100] x", "N:")));
	expect_uid(t, t->a, 0, 100);
}

/* Not from where it may be no more. */
static void what_was_moved_on_goes_from_where_it_is(void **state)
{
	struct flushing *t = *state;

	move_to_b(t, 0);
	flushing_begin(
		t, SCRIPTS(LOST, STEPS(LOGIN_MOVE, "W:", NOT_YET, ARRIVED,
				       SYNC_A(THIRD), SELECT_B,
				       "C: UID MOVE 21 \"C\"",
				       "S: $T OK [COPYUID 13 21 1] x", "N:")));
	wait_sent(t);
	move_message(t, 0, t->b, t->c);
	server_go(t->server);
	flushing_wait(t);
	flushing_end(t);
	expect_uid(t, t->c, 0, 1);
}

static void what_was_removed_does_not_come_back(void **state)
{
	struct flushing *t = *state;
	struct box *box;

	move_to_b(t, 0);
	flushing_begin(
		t,
		SCRIPTS(LOST,
			STEPS(LOGIN_MOVE, "W:", NOT_YET, ARRIVED, SYNC_A(THIRD),
			      SELECT_B,
			      "C: UID STORE 21 +FLAGS.SILENT (\\Deleted)",
			      "S: $T OK x", "C: UID EXPUNGE 21", "S: $T OK x",
			      EXAMINE_B("0"), "C: UID FETCH 1:21", "S: $T OK x",
			      "C: UID FETCH 22:*", "S: $T OK x", "N:")));
	wait_sent(t);
	assert_int_equal(folder_get(t->fs, t->b, &box), 0);
	assert_int_equal(journal_remove(box, t->id[0]), 0);
	folder_put(t->fs, t->b);
	server_go(t->server);
	flushing_wait(t);
	flushing_end(t);
	expect_failed(t, "");
}

static void what_was_taken_back_is_looked_for_after_a_restart(void **state)
{
	struct flushing *t = *state;
	char *text;
	size_t n;

	move_to_b(t, 0);
	lose_answer(t, 0);
	move_message(t, 0, t->b, t->a);
	flushing_reopen(t);
	assert_int_equal(queue_render(t->fs, &text, &n), 0);
	assert_non_null(strstr(text, "waiting  move    A/"));
	assert_non_null(strstr(text, "it may be in B"));
	free(text);
	flushing_begin(t,
		       SCRIPTS(STEPS(LOGIN_MOVE, ARRIVED, SYNC_A(THIRD),
				     SELECT_B, "C: UID MOVE 21 \"A\"",
				     "S: $T OK [COPYUID 7 21 100] x", "N:")));
	flushing_wait(t);
	flushing_end(t);
	expect_uid(t, t->a, 0, 100);
}

#define T(f)                                                                   \
	cmocka_unit_test_setup_teardown(f, flushing_setup, flushing_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_was_taken_back_and_arrives_late_is_moved_back),
		T(what_was_taken_back_and_never_arrived_is_left_alone),
		T(what_was_taken_back_and_is_in_both_places_is_one),
		T(what_was_moved_on_goes_from_where_it_is),
		T(what_was_removed_does_not_come_back),
		T(what_was_taken_back_is_looked_for_after_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
