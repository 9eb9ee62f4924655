/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flushing.h"

#include <errno.h>

#include "fs/folder.h"

/*
 * Messages that are alike, when the answer to what moved them was lost; and
 * those that are in two places in the end.
 */

/* With the content of message 0; first message 7 goes, if it is there. */
static uint64_t add_twin_of_0(struct flushing *t, struct folder *f,
			      uint32_t uid)
{
	struct mail_row row = {
		.has = ROW_UID | ROW_FLAGS | ROW_SIZE | ROW_DATE | ROW_FIELDS,
		.uid = uid,
		.flags = MAIL_SEEN,
		.keywords = "",
		.size = 1000,
		.internaldate = 1700000000,
		.field = {[FIELD_MESSAGE_ID] = "<0@example.com>"},
	};
	struct cache_new add = {&row, "m7.eml", true};
	struct box *box;
	uint64_t id = 0;

	assert_int_equal(folder_get(t->fs, f, &box), 0);
	assert_int_equal(box_remove(box, &t->id[7], 1), 0);
	assert_int_equal(box_add(box, &add, 1, NULL, &id), 0);
	folder_put(t->fs, f);
	return id;
}

/* Of two alike the second one arrived, and the first is where it was. */
static void the_one_of_two_alike_that_left_is_the_one_that_arrived(void **state)
{
	struct flushing *t = *state;

	t->id[7] = add_twin_of_0(t, t->a, 50);
	move_to_b(t, 0);
	move_to_b(t, 7);
	flushing_begin(t, SCRIPTS(STEPS(LOGIN_MOVE, SELECT_A,
					"C: UID MOVE 1,50 ", "X:"),
				  STEPS(LOGIN_MOVE, EXAMINE_B("1"), "C: FETCH",
					ROW_OF("1", "21", "0"), "S: $T OK done",
					EXAMINE_B("1"), "C: FETCH",
					ROW_OF("1", "21", "0"), "S: $T OK done",
					EXAMINE_B("1"), "C: FETCH",
					ROW_OF("1", "21", "0"), "S: $T OK done",
					SYNC_A("S: * 1 FETCH (UID 1 FLAGS ())"),
					EXAMINE_B("1"), "C: FETCH",
					ROW_OF("1", "21", "0"), "S: $T OK done",
					SYNC_A("S: * 1 FETCH (UID 1 FLAGS ())"),
					SELECT_A, "C: UID MOVE 1 ",
					"S: $T OK [COPYUID 11 1 22] x", "N:")));
	flushing_wait(t);
	flushing_end(t);
	expect_uid(t, t->b, 7, 21);
	expect_uid(t, t->b, 0, 22);
}

#define COPY_IN_B                                                              \
	EXAMINE_B("1"), "C: FETCH", ROW_OF("1", "21", "0"), "S: $T OK done"
#define STILL_IN_A SYNC_A("S: * 1 FETCH (UID 1 FLAGS ())")

/* It arrived when nobody looked for it any more, and a sync has found it. */
static void a_late_one_that_a_sync_has_found_is_not_doubled(void **state)
{
	struct flushing *t = *state;
	struct cache_msg m;
	uint64_t late;

	move_to_b(t, 0);
	flushing_begin(
		t,
		SCRIPTS(STEPS(LOGIN_MOVE, SELECT_A, "C: UID MOVE 1 ", "X:"),
			STEPS(LOGIN_MOVE, "W:", COPY_IN_B, COPY_IN_B, COPY_IN_B,
			      STILL_IN_A, COPY_IN_B, STILL_IN_A, SELECT_A,
			      "C: UID STORE 1 +FLAGS.SILENT (\\Deleted)",
			      "S: $T OK x", "C: UID EXPUNGE 1", "S: $T OK x",
			      SYNC_A("S: * 1 FETCH (UID 3 FLAGS ())"), "N:")));
	wait_sent(t);
	late = add_twin_of_0(t, t->b, 21);
	server_go(t->server);
	flushing_wait(t);
	flushing_end(t);
	expect_uid(t, t->b, 0, 21);
	assert_int_equal(find(t, t->b, late, &m), -ENOENT);
}

static void set_busy(struct folder *f, enum folder_busy busy)
{
	lock_take(&f->lock);
	f->busy = busy;
	lock_drop(&f->lock);
}

#define LOOK_IN_VAIN COPY_IN_B, STILL_IN_A

/*
 * What is in B may be the other one's, which cannot be looked for: rather twice
 * than not at all.
 */
static void what_cannot_be_told_apart_is_sent_again_and_listed(void **state)
{
	struct flushing *t = *state;

	t->id[7] = add_twin_of_0(t, t->c, 50);
	move_message(t, 7, t->c, t->b);
	lose_answer(t, 7);
	move_to_b(t, 0);
	set_busy(t->c, FOLDER_SYNCING);
	flushing_begin(
		t,
		SCRIPTS(STEPS(LOGIN_MOVE, SELECT_A, "C: UID MOVE 1 ", "X:"),
			STEPS(LOGIN_MOVE, LOOK_IN_VAIN, LOOK_IN_VAIN,
			      LOOK_IN_VAIN, LOOK_IN_VAIN, LOOK_IN_VAIN,
			      LOOK_IN_VAIN, LOOK_IN_VAIN, SELECT_A,
			      "C: UID MOVE 1 ", "S: $T OK [COPYUID 11 1 22] x",
			      "M:", "W:", EXAMINE_B("2"), "C: FETCH",
			      ROW_OF("1", "21", "0"), ROW_OF("2", "22", "0"),
			      "S: $T OK done",
			      SYNC_C("S: * 1 FETCH (UID 50 FLAGS ())"),
			      SELECT_C,
			      "C: UID STORE 50 +FLAGS.SILENT (\\Deleted)",
			      "S: $T OK x", "C: UID EXPUNGE 50", "S: $T OK x",
			      SYNC_C("S: * 1 FETCH (UID 3 FLAGS ())"), "N:")));
	server_wait(t->server);
	set_busy(t->c, FOLDER_IDLE);
	flush_folder_idle(t->fs);
	server_go(t->server);
	flushing_wait(t);
	flushing_end(t);
	expect_uid(t, t->b, 0, 22);
	expect_uid(t, t->b, 7, 21);
	expect_failed(t, "others like them were on their way");
}

static void what_stays_in_both_places_is_listed(void **state)
{
	struct flushing *t = *state;

	move_to_b(t, 0);
	flushing_begin(t,
		       SCRIPTS(STEPS(LOGIN_WITH("UIDPLUS"), "C: EXAMINE \"A\"",
				     "S: * OK [UIDVALIDITY 7] ok",
				     "S: $T OK [READ-ONLY] done",
				     "C: UID COPY 1 \"B\"",
				     "S: $T OK [COPYUID 11 1 21] x", SELECT_A,
				     "C: UID STORE 1 +FLAGS.SILENT (\\Deleted)",
				     "S: $T OK x", "C: UID EXPUNGE 1",
				     "S: $T NO [NOPERM] not yours", "N:")));
	flushing_wait(t);
	flushing_end(t);
	expect_uid(t, t->b, 0, 21);
	expect_failed(t, "not yours");
	expect_failed(t, "to remove 1 that were copied to 'B'");
}

#define T(f)                                                                   \
	cmocka_unit_test_setup_teardown(f, flushing_setup, flushing_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_one_of_two_alike_that_left_is_the_one_that_arrived),
		T(a_late_one_that_a_sync_has_found_is_not_doubled),
		T(what_cannot_be_told_apart_is_sent_again_and_listed),
		T(what_stays_in_both_places_is_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
