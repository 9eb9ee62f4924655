/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flushing.h"

#include <errno.h>

#include "fs/folder.h"

/*
 * What the flusher sends, and what it makes of the answers, against scripted
 * servers.
 */

/* Of A only the third message is left. */
#define THIRD "S: * 1 FETCH (UID 3 FLAGS ())"
#define FIRST "S: * 1 FETCH (UID 1 FLAGS (\\Seen))"

static void moves_are_one_command(void **state)
{
	struct flushing *t = *state;

	for (unsigned i = 0; i < 3; i++)
		move_to_b(t, i);
	flushing_begin(
		t, SCRIPTS(STEPS(LOGIN_MOVE, SELECT_A, "C: UID MOVE 1:3 \"B\"",
				 "S: * OK [COPYUID 11 1:3 21:23] x",
				 "S: $T OK done", "N:")));
	flushing_wait(t);
	flushing_end(t);
	for (unsigned i = 0; i < 3; i++)
		expect_uid(t, t->b, i, 21 + i);
	expect_failed(t, "");
}

static void a_refused_move_is_undone(void **state)
{
	struct flushing *t = *state;
	struct cache_msg m;

	move_to_b(t, 1);
	flushing_begin(t,
		       SCRIPTS(STEPS(LOGIN_MOVE, SELECT_A, "C: UID MOVE 2",
				     "S: $T NO [CANNOT] not this one", "N:")));
	flushing_wait(t);
	assert_int_equal(flush_state(t->fs, t->id[1]), -EPERM);
	assert_int_equal(flush_state(t->fs, t->id[2]), 0);
	flushing_end(t);
	expect_uid(t, t->a, 1, 2);
	assert_int_equal(find(t, t->b, t->id[1], &m), -ENOENT);
	expect_failed(t, "not this one");
	expect_failed(t, "A/m1.eml");
}

static void one_that_is_refused_does_not_stop_the_others(void **state)
{
	struct flushing *t = *state;

	for (unsigned i = 0; i < 4; i++)
		move_to_b(t, i);
	flushing_begin(
		t, SCRIPTS(STEPS(
			   LOGIN_MOVE, SELECT_A, "C: UID MOVE 1:4 ",
			   "S: $T NO [CANNOT] one of them", "C: UID MOVE 1:2 ",
			   "S: $T NO [CANNOT] one of them", "C: UID MOVE 1 ",
			   "S: $T NO [CANNOT] this one", "C: UID MOVE 2 ",
			   "S: $T OK [COPYUID 11 2 22] x", "C: UID MOVE 3:4 ",
			   "S: $T OK [COPYUID 11 3:4 23:24] x", "N:")));
	flushing_wait(t);
	flushing_end(t);
	expect_uid(t, t->a, 0, 1);
	for (unsigned i = 1; i < 4; i++)
		expect_uid(t, t->b, i, 21 + i);
}

static void without_move_it_is_copied_and_removed(void **state)
{
	struct flushing *t = *state;

	move_to_b(t, 0);
	move_to_b(t, 1);
	flushing_begin(
		t, SCRIPTS(STEPS(LOGIN_WITH("UIDPLUS"), "C: EXAMINE \"A\"",
				 "S: * OK [UIDVALIDITY 7] ok",
				 "S: $T OK [READ-ONLY] done",
				 "C: UID COPY 1:2 \"B\"",
				 "S: $T OK [COPYUID 11 1:2 21:22] x", SELECT_A,
				 "C: UID STORE 1:2 +FLAGS.SILENT (\\Deleted)",
				 "S: $T OK x", "C: UID EXPUNGE 1:2",
				 "S: $T OK x", SYNC_A(THIRD), "N:")));
	flushing_wait(t);
	flushing_end(t);
	expect_uid(t, t->b, 0, 21);
	expect_uid(t, t->b, 1, 22);
}

/* --- answers that are lost --- */

static void what_arrived_without_an_answer_is_not_sent_again(void **state)
{
	struct flushing *t = *state;

	move_to_b(t, 0);
	move_to_b(t, 1);
	flushing_begin(
		t,
		SCRIPTS(STEPS(LOGIN_MOVE, SELECT_A, "C: UID MOVE 1:2 ", "X:"),
			STEPS(LOGIN_MOVE, EXAMINE_B("3"), "C: FETCH",
			      ROW_OF("1", "5", "0"), ROW_OF("2", "21", "1"),
			      ROW_OF("3", "22", "0"), "S: $T OK done",
			      SYNC_A(THIRD), "N:")));
	flushing_wait(t);
	flushing_end(t);
	expect_uid(t, t->b, 0, 22);
	expect_uid(t, t->b, 1, 21);
}

static void what_did_not_arrive_is_sent_again(void **state)
{
	struct flushing *t = *state;

	move_to_b(t, 0);
	flushing_begin(
		t, SCRIPTS(STEPS(LOGIN_MOVE, SELECT_A, "C: UID MOVE 1 ", "X:"),
			   STEPS(LOGIN_MOVE, NOT_IN_B, SYNC_A(FIRST),
				 STILL_NOT_IN_B, SYNC_A(FIRST), SELECT_A,
				 "C: UID MOVE 1 ",
				 "S: $T OK [COPYUID 11 1 21] x", "N:")));
	flushing_wait(t);
	flushing_end(t);
	expect_uid(t, t->b, 0, 21);
}

/* A server may need longer than anybody waits. */
static void what_arrives_late_is_not_sent_again(void **state)
{
	struct flushing *t = *state;

	move_to_b(t, 0);
	move_to_b(t, 1);
	flushing_begin(t, SCRIPTS(STEPS(LOGIN_MOVE, SELECT_A,
					"C: UID MOVE 1:2 ", "X:"),
				  STEPS(LOGIN_MOVE, NOT_IN_B,
					SYNC_A("S: * 1 FETCH (UID 1 FLAGS ())",
					       "S: * 2 FETCH (UID 2 FLAGS ())"),
					EXAMINE_B("1"), "C: FETCH",
					ROW_OF("1", "21", "0"), "S: $T OK done",
					SYNC_A("S: * 1 FETCH (UID 2 FLAGS ())"),
					SELECT_A, "C: UID MOVE 2 ",
					"S: $T OK [COPYUID 11 2 22] x", "N:")));
	flushing_wait(t);
	flushing_end(t);
	expect_uid(t, t->b, 0, 21);
	expect_uid(t, t->b, 1, 22);
}

/* A flag that is set meanwhile waits until it is known where the message is. */
static void nothing_else_is_done_to_what_is_in_doubt(void **state)
{
	struct flushing *t = *state;
	const struct journal_flags flagged = {.id = t->id[0],
					      .add = MAIL_FLAGGED};
	struct box *box;

	move_to_b(t, 0);
	flushing_begin(
		t,
		SCRIPTS(STEPS(LOGIN_MOVE, SELECT_A, "C: UID MOVE 1 ", "X:"),
			STEPS(LOGIN_MOVE, "W:", NOT_IN_B, SYNC_A(FIRST),
			      EXAMINE_B("1"), "C: FETCH",
			      ROW_OF("1", "21", "0"), "S: $T OK done",
			      SYNC_A(THIRD), "C: SELECT \"B\"", "S: * 1 EXISTS",
			      "S: * OK [UIDVALIDITY 11] ok",
			      "S: * OK [PERMANENTFLAGS (\\Seen \\Flagged)] x",
			      "S: $T OK [READ-WRITE] done",
			      "C: UID STORE 21 +FLAGS.SILENT (\\Flagged)",
			      "S: $T OK done", "N:")));
	wait_sent(t);
	assert_int_equal(folder_get(t->fs, t->b, &box), 0);
	assert_int_equal(journal_change_flags(box, &flagged, 1), 0);
	folder_put(t->fs, t->b);
	server_go(t->server);
	flushing_wait(t);
	flushing_end(t);
	expect_uid(t, t->b, 0, 21);
}

static void what_is_in_both_places_leaves_the_source(void **state)
{
	struct flushing *t = *state;

	move_to_b(t, 0);
	flushing_begin(
		t, SCRIPTS(STEPS(LOGIN_MOVE, SELECT_A, "C: UID MOVE 1 ", "X:"),
			   STEPS(LOGIN_MOVE, EXAMINE_B("1"), "C: FETCH",
				 ROW_OF("1", "21", "0"), "S: $T OK done",
				 SYNC_A(FIRST), SELECT_A,
				 "C: UID STORE 1 +FLAGS.SILENT (\\Deleted)",
				 "S: $T OK x", "C: UID EXPUNGE 1", "S: $T OK x",
				 SYNC_A(THIRD), "N:")));
	flushing_wait(t);
	flushing_end(t);
	expect_uid(t, t->b, 0, 21);
}

/* As Dovecot does it after it was killed. */
static void what_a_server_has_done_against_its_word_is_found(void **state)
{
	struct flushing *t = *state;

	move_to_b(t, 0);
	flushing_begin(
		t, SCRIPTS(STEPS(LOGIN_MOVE, SELECT_A, "C: UID MOVE 1 ", "X:"),
			   STEPS(LOGIN_MOVE, NOT_IN_B, SYNC_A(FIRST),
				 STILL_NOT_IN_B, SYNC_A(FIRST), SELECT_A,
				 "C: UID MOVE 1 ",
				 "S: $T NO [SERVERBUG] Internal error",
				 EXAMINE_B("1"), "C: FETCH",
				 ROW_OF("1", "21", "0"), "S: $T OK done",
				 SYNC_A(FIRST), SELECT_A,
				 "C: UID STORE 1 +FLAGS.SILENT (\\Deleted)",
				 "S: $T OK x", "C: UID EXPUNGE 1", "S: $T OK x",
				 SYNC_A(THIRD), "N:")));
	flushing_wait(t);
	flushing_end(t);
	expect_uid(t, t->b, 0, 21);
}

static void an_expunge_that_did_nothing_is_repeated(void **state)
{
	struct flushing *t = *state;
	struct box *box;

	assert_int_equal(folder_get(t->fs, t->a, &box), 0);
	assert_int_equal(journal_remove(box, t->id[0]), 0);
	folder_put(t->fs, t->a);
	flushing_begin(t,
		       SCRIPTS(STEPS(LOGIN_MOVE, SELECT_A,
				     "C: UID STORE 1 +FLAGS.SILENT (\\Deleted)",
				     "S: $T OK x", "C: UID EXPUNGE 1",
				     "S: $T OK x", SYNC_A(FIRST), SELECT_A,
				     "C: UID STORE 1 +FLAGS.SILENT (\\Deleted)",
				     "S: $T OK x", "C: UID EXPUNGE 1",
				     "S: $T OK x", SYNC_A(THIRD), "N:")));
	flushing_wait(t);
	flushing_end(t);
}

static void flags_without_an_answer_are_asked_for(void **state)
{
	struct flushing *t = *state;
	struct journal_flags star = {.id = t->id[0], .add = MAIL_FLAGGED};
	struct journal_flags none = {.id = t->id[0], .remove = MAIL_FLAGGED};
	struct cache_msg m;
	struct box *box;

	assert_int_equal(folder_get(t->fs, t->a, &box), 0);
	assert_int_equal(journal_change_flags(box, &star, 1), 0);
	flushing_begin(
		t, SCRIPTS(STEPS(LOGIN_MOVE, SELECT_A,
				 "C: UID STORE 1 +FLAGS.SILENT (\\Flagged)",
				 "W:", "X:"),
			   STEPS(LOGIN_MOVE,
				 SYNC_A("S: * 1 FETCH (UID 1 FLAGS (\\Flagged "
					"\\Seen))"),
				 SELECT_A,
				 "C: UID STORE 1 -FLAGS.SILENT (\\Flagged)",
				 "S: $T OK x", "N:")));
	wait_sent(t);
	/* It was stored, and is taken back before that is known. */
	assert_int_equal(journal_change_flags(box, &none, 1), 0);
	server_go(t->server);
	flushing_wait(t);
	flushing_end(t);
	folder_put(t->fs, t->a);
	assert_int_equal(find(t, t->a, t->id[0], &m), 0);
	assert_int_equal(m.flags, MAIL_SEEN);
}

/* The message is elsewhere when it is known that its flags were stored. */
static void flags_that_were_stored_are_taken_back_elsewhere(void **state)
{
	struct flushing *t = *state;
	struct journal_flags star = {.id = t->id[0], .add = MAIL_FLAGGED};
	struct journal_flags none = {.id = t->id[0], .remove = MAIL_FLAGGED};
	struct cache_msg m;
	struct box *box;

	assert_int_equal(folder_get(t->fs, t->a, &box), 0);
	assert_int_equal(journal_change_flags(box, &star, 1), 0);
	folder_put(t->fs, t->a);
	flushing_begin(
		t, SCRIPTS(STEPS(LOGIN_MOVE, SELECT_A,
				 "C: UID STORE 1 +FLAGS.SILENT (\\Flagged)",
				 "W:", "X:"),
			   STEPS(LOGIN_MOVE,
				 SYNC_A("S: * 1 FETCH (UID 1 FLAGS (\\Flagged "
					"\\Seen))"),
				 SELECT_A, "C: UID MOVE 1 \"B\"",
				 "M:", "W:", "S: * OK [COPYUID 11 1 30] done",
				 "S: * 1 EXPUNGE", "S: $T OK done",
				 "C: SELECT \"B\"", "S: * 1 EXISTS",
				 "S: * OK [UIDVALIDITY 11] ok",
				 "S: * OK [PERMANENTFLAGS (\\Flagged)] x",
				 "S: $T OK [READ-WRITE] done",
				 "C: UID STORE 30 -FLAGS.SILENT (\\Flagged)",
				 "S: $T OK x", "N:")));
	wait_sent(t);
	move_to_b(t, 0);
	server_go(t->server);
	server_wait(t->server);
	assert_int_equal(folder_get(t->fs, t->b, &box), 0);
	assert_int_equal(journal_change_flags(box, &none, 1), 0);
	folder_put(t->fs, t->b);
	server_go(t->server);
	flushing_wait(t);
	flushing_end(t);
	assert_int_equal(find(t, t->b, t->id[0], &m), 0);
	assert_int_equal(m.flags, MAIL_SEEN);
}

static void what_is_nowhere_is_listed(void **state)
{
	struct flushing *t = *state;
	struct cache_msg m;

	move_to_b(t, 0);
	flushing_begin(
		t, SCRIPTS(STEPS(LOGIN_MOVE, SELECT_A, "C: UID MOVE 1 ", "X:"),
			   STEPS(LOGIN_MOVE, NOT_IN_B, SYNC_A(THIRD), "N:")));
	flushing_wait(t);
	assert_int_equal(flush_state(t->fs, t->id[0]), -ENOENT);
	flushing_end(t);
	assert_int_equal(find(t, t->a, t->id[0], &m), -ENOENT);
	assert_int_equal(find(t, t->b, t->id[0], &m), -ENOENT);
	expect_failed(t, "nowhere");
}

#define T(f)                                                                   \
	cmocka_unit_test_setup_teardown(f, flushing_setup, flushing_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(moves_are_one_command),
		T(a_refused_move_is_undone),
		T(one_that_is_refused_does_not_stop_the_others),
		T(without_move_it_is_copied_and_removed),
		T(what_arrived_without_an_answer_is_not_sent_again),
		T(what_did_not_arrive_is_sent_again),
		T(what_arrives_late_is_not_sent_again),
		T(nothing_else_is_done_to_what_is_in_doubt),
		T(what_is_in_both_places_leaves_the_source),
		T(what_a_server_has_done_against_its_word_is_found),
		T(an_expunge_that_did_nothing_is_repeated),
		T(flags_without_an_answer_are_asked_for),
		T(flags_that_were_stored_are_taken_back_elsewhere),
		T(what_is_nowhere_is_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
