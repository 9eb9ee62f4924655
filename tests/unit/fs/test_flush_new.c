/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flushing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/folder.h"
#include "fs/load_private.h"
#include "fs/notify.h"

/*
 * The flusher and new messages; and what it does at the start and at the end.
 */

#define TEXT "Message-ID: <new@example.com>\r\n\r\nhello\r\n"
#define N_TEXT "40"
#define NEW_ROW(uid, size)                                                     \
	"S: * 1 FETCH (UID " uid " FLAGS () RFC822.SIZE " size                 \
	" INTERNALDATE \"14-Nov-2023 22:13:20 +0000\" "                        \
	"BODY[HEADER.FIELDS (DATE FROM TO CC SUBJECT MESSAGE-ID)] "            \
	"\"Message-ID: <new@example.com>\")"
#define APPEND_NEW "C: APPEND \"B\" ", "S: + go", "T: " TEXT, "C: "

static uint64_t write_named(struct flushing *t, const char *name)
{
	struct journal_new v = {
		.name = name, .internaldate = 1700000000, .announced = true};
	struct mail_row row = {
		.has = ROW_FIELDS | ROW_FLAGS | ROW_DATE,
		.keywords = "",
		.internaldate = 1700000000,
		.field = {[FIELD_MESSAGE_ID] = "<new@example.com>"}};
	struct box *box;
	uint64_t id;
	int fd;

	assert_int_equal(folder_get(t->fs, t->b, &box), 0);
	assert_int_equal(journal_create(box, &v, &id, &fd), 0);
	assert_int_equal(spool_write(fd, TEXT, strlen(TEXT), 0), 0);
	close(fd);
	assert_int_equal(journal_publish(box, id, &row), 0);
	folder_put(t->fs, t->b);
	return id;
}

static uint64_t write_new(struct flushing *t)
{
	return write_named(t, "new.eml");
}

/* What is to become another one, and whether the kernel knows its size. */
static struct {
	struct fs *fs;
	uint64_t id;
	_Atomic bool settled, told;
} resized;

int __real_journal_settle(struct cache *c, const struct journal_result *v,
			  size_t n, struct journal_effects **ret);
int __wrap_journal_settle(struct cache *c, const struct journal_result *v,
			  size_t n, struct journal_effects **ret);

int __wrap_journal_settle(struct cache *c, const struct journal_result *v,
			  size_t n, struct journal_effects **ret)
{
	if (n == 1 && resized.id != 0 && v->id == resized.id) {
		assert_true(load_is_correcting(resized.fs, v->id));
		resized.settled = true;
	}
	return __real_journal_settle(c, v, n, ret);
}

int __real_notify_size(struct notify *n, uint64_t ino);
int __wrap_notify_size(struct notify *n, uint64_t ino);

int __wrap_notify_size(struct notify *n, uint64_t ino)
{
	if (ino == resized.id) {
		assert_true(resized.settled);
		assert_true(load_is_correcting(resized.fs, ino));
		resized.told = true;
	}
	return __real_notify_size(n, ino);
}

/* The only record: its command goes to B, and there is no answer yet. */
static void mark_sent(struct flushing *t, unsigned parts)
{
	struct journal_filter all = {0};
	struct journal_list *list;
	struct journal_mark m;

	assert_int_equal(journal_read(t->fs->cache, &all, &list), 0);
	m = (struct journal_mark){.id = list->v[0].id,
				  .gen = list->v[0].gen,
				  .parts = parts,
				  .uidvalidity = VALID_B,
				  .uidnext = 20};
	free(list);
	assert_int_equal(journal_mark_sent(t->fs->cache, &m, 1), 0);
	assert_true(m.marked);
}

static void it_keeps_its_body_if_the_server_does(void **state)
{
	struct flushing *t = *state;
	uint64_t id = write_new(t);
	struct cache_msg m;

	flushing_begin(
		t, SCRIPTS(STEPS(LOGIN_MOVE, APPEND_NEW,
				 "S: $T OK [APPENDUID 11 21] x", EXAMINE_B("1"),
				 "C: UID FETCH 21 (", NEW_ROW("21", N_TEXT),
				 "S: $T OK x", "N:")));
	flushing_wait(t);
	flushing_end(t);
	assert_int_equal(find(t, t->b, id, &m), 0);
	assert_int_equal(m.uid, 21);
	assert_int_equal(m.size, strlen(TEXT));
	flushing_reopen(t);
	assert_true(cache_has_body(t->fs->cache, id));
}

/* The server has made a message of 42 bytes of it. */
static void send_and_find_it_resized(struct flushing *t)
{
	flushing_begin(t,
		       SCRIPTS(STEPS(LOGIN_MOVE, APPEND_NEW,
				     "S: $T OK [APPENDUID 11 21] x",
				     EXAMINE_B("1"), "C: FETCH",
				     NEW_ROW("21", "42"), "S: $T OK x", "N:")));
	flushing_wait(t);
	flushing_end(t);
}

static void what_the_server_made_of_it_is_fetched(void **state)
{
	struct flushing *t = *state;
	uint64_t id = write_new(t);
	struct cache_msg m;

	send_and_find_it_resized(t);
	assert_int_equal(find(t, t->b, id, &m), 0);
	assert_int_equal(m.uid, 21);
	assert_int_equal(m.size, 42);
	flushing_reopen(t);
	assert_false(cache_has_body(t->fs->cache, id));
}

static void nobody_reads_it_before_the_kernel_knows_its_size(void **state)
{
	struct flushing *t = *state;

	resized.fs = t->fs;
	resized.id = write_new(t);
	send_and_find_it_resized(t);
	assert_true(resized.told);
	assert_false(load_is_correcting(t->fs, resized.id));
	resized.id = 0;
}

static void without_an_answer_it_is_looked_for(void **state)
{
	struct flushing *t = *state;
	uint64_t id = write_new(t);
	struct cache_msg m;

	/* It has become two bytes longer: its key is another one. */
	flushing_begin(t,
		       SCRIPTS(STEPS(LOGIN_MOVE, APPEND_NEW, "X:"),
			       STEPS(LOGIN_MOVE, EXAMINE_B("1"), "C: FETCH",
				     NEW_ROW("21", "42"), "S: $T OK x", "N:")));
	flushing_wait(t);
	flushing_end(t);
	assert_int_equal(find(t, t->b, id, &m), 0);
	assert_int_equal(m.uid, 21);
	assert_int_equal(m.size, 42);
}

/* As an edited draft is: the text that is there is gone when the new one is. */
static void an_older_text_is_not_taken_for_it(void **state)
{
	struct flushing *t = *state;
	uint64_t old = write_new(t), id;
	struct journal_move onto = {.name = "new.eml", .onto = JOURNAL_REPLACE};
	struct cache_msg m;

	flushing_begin(
		t, SCRIPTS(STEPS(LOGIN_MOVE, APPEND_NEW,
				 "S: $T OK [APPENDUID 11 21] x", EXAMINE_B("1"),
				 "C: FETCH", NEW_ROW("21", N_TEXT),
				 "S: $T OK x", "N:")));
	flushing_wait(t);
	flushing_end(t);
	id = write_named(t, "edited.eml");
	assert_int_equal(folder_get(t->fs, t->b, &onto.to), 0);
	assert_int_equal(journal_move(onto.to, id, &onto, NULL), 0);
	folder_put(t->fs, t->b);
	flushing_begin(
		t,
		SCRIPTS(STEPS(LOGIN_MOVE, APPEND_NEW, "X:"),
			STEPS(LOGIN_MOVE, EXAMINE_B("1"), "C: FETCH",
			      NEW_ROW("21", N_TEXT), "S: $T OK x",
			      EXAMINE_B("1"), "C: FETCH", NEW_ROW("21", N_TEXT),
			      "S: $T OK x", EXAMINE_B("1"), "C: FETCH",
			      NEW_ROW("21", N_TEXT), "S: $T OK x",
			      EXAMINE_B("1"), "C: FETCH", NEW_ROW("21", N_TEXT),
			      "S: $T OK x", APPEND_NEW,
			      "S: $T OK [APPENDUID 11 22] x", EXAMINE_B("2"),
			      "C: FETCH", NEW_ROW("22", N_TEXT), "S: $T OK x",
			      SELECT_B,
			      "C: UID STORE 21 +FLAGS.SILENT (\\Deleted)",
			      "S: $T OK x", "C: UID EXPUNGE 21", "S: $T OK x",
			      "C: EXAMINE \"B\"", "S: * 1 EXISTS",
			      "S: * OK [UIDVALIDITY 11] ok",
			      "S: $T OK [READ-ONLY] done", "C: UID FETCH 1:21",
			      "S: $T OK x", "C: UID FETCH 22:*",
			      NEW_ROW("22", N_TEXT), "S: $T OK x", "N:")));
	flushing_wait(t);
	flushing_end(t);
	assert_int_equal(find(t, t->b, old, &m), -ENOENT);
	assert_int_equal(find(t, t->b, id, &m), 0);
	assert_int_equal(m.uid, 22);
}

static void it_is_found_though_it_was_moved_on(void **state)
{
	struct flushing *t = *state;
	uint64_t id = write_new(t);
	struct journal_move how = {.name = "new.eml", .onto = JOURNAL_TWIN};
	struct cache_msg m;
	struct box *from;

	mark_sent(t, JOURNAL_APPEND);
	assert_int_equal(folder_get(t->fs, t->b, &from), 0);
	assert_int_equal(folder_get(t->fs, t->a, &how.to), 0);
	assert_int_equal(journal_move(from, id, &how, NULL), 0);
	folder_put(t->fs, t->a);
	folder_put(t->fs, t->b);
	/* It has become two bytes longer: its key is another one. */
	flushing_begin(t,
		       SCRIPTS(STEPS(LOGIN_MOVE, EXAMINE_B("1"), "C: FETCH",
				     NEW_ROW("21", "42"), "S: $T OK x",
				     SELECT_B, "C: UID MOVE 21 \"A\"",
				     "S: $T OK [COPYUID 7 21 100] x", "N:")));
	flushing_wait(t);
	flushing_end(t);
	assert_int_equal(find(t, t->a, id, &m), 0);
	assert_int_equal(m.uid, 100);
}

static void a_refused_one_is_kept_aside(void **state)
{
	struct flushing *t = *state;
	uint64_t id = write_new(t);
	struct cache_msg m;

	flushing_begin(t, SCRIPTS(STEPS(LOGIN_MOVE, "C: APPEND \"B\" ",
					"S: $T NO [OVERQUOTA] full", "N:")));
	flushing_wait(t);
	assert_int_equal(flush_state(t->fs, id), -EDQUOT);
	flushing_end(t);
	assert_int_equal(find(t, t->b, id, &m), -ENOENT);
	expect_failed(t, "full");
	expect_failed(t, "B/new.eml");
}

static void where_nothing_is_known_uidnext_is_asked_for(void **state)
{
	struct flushing *t = *state;
	struct cache_state none = {0};
	struct box *box;
	struct cache_msg m;
	uint64_t id;

	assert_int_equal(folder_get(t->fs, t->b, &box), 0);
	assert_int_equal(box_set_state(box, &none), 0);
	folder_put(t->fs, t->b);
	id = write_new(t);
	flushing_begin(
		t,
		SCRIPTS(STEPS(LOGIN_MOVE, "C: STATUS \"B\"",
			      "S: * STATUS \"B\" (UIDVALIDITY 11 UIDNEXT 21"
			      " MESSAGES 0)",
			      "S: $T OK x", APPEND_NEW, "X:"),
			STEPS(LOGIN_MOVE, EXAMINE_B("1"), "C: FETCH",
			      NEW_ROW("20", N_TEXT), "S: $T OK x",
			      EXAMINE_B("1"), "C: FETCH", NEW_ROW("20", N_TEXT),
			      "S: $T OK x", EXAMINE_B("1"), "C: FETCH",
			      NEW_ROW("20", N_TEXT), "S: $T OK x",
			      EXAMINE_B("1"), "C: FETCH", NEW_ROW("20", N_TEXT),
			      "S: $T OK x", APPEND_NEW,
			      "S: $T OK [APPENDUID 11 21] x", EXAMINE_B("2"),
			      "C: FETCH", NEW_ROW("21", N_TEXT), "S: $T OK x",
			      "N:")));
	flushing_wait(t);
	flushing_end(t);
	/* The one that was there before is another one. */
	assert_int_equal(find(t, t->b, id, &m), 0);
	assert_int_equal(m.uid, 21);
}

/* --- the start and the end --- */

static void what_was_sent_before_the_start_is_looked_up(void **state)
{
	struct flushing *t = *state;

	move_to_b(t, 0);
	mark_sent(t, JOURNAL_MOVE);
	flushing_reopen(t);
	flushing_begin(t, SCRIPTS(STEPS(LOGIN_MOVE, EXAMINE_B("1"), "C: FETCH",
					ROW_OF("1", "21", "0"), "S: $T OK done",
					SYNC_A("S: * 1 FETCH (UID 3 FLAGS ())"),
					"N:")));
	flushing_wait(t);
	flushing_end(t);
	expect_uid(t, t->b, 0, 21);
}

static void what_is_queued_goes_out_before_the_end(void **state)
{
	struct flushing *t = *state;

	flushing_begin(
		t, SCRIPTS(STEPS(LOGIN_MOVE, SELECT_A, "C: UID MOVE 1 \"B\"",
				 "S: $T OK [COPYUID 11 1 21] x", "N:")));
	move_to_b(t, 0);
	flushing_end(t);
	expect_uid(t, t->b, 0, 21);
}

#define T(f)                                                                   \
	cmocka_unit_test_setup_teardown(f, flushing_setup, flushing_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_keeps_its_body_if_the_server_does),
		T(what_the_server_made_of_it_is_fetched),
		T(nobody_reads_it_before_the_kernel_knows_its_size),
		T(without_an_answer_it_is_looked_for),
		T(an_older_text_is_not_taken_for_it),
		T(it_is_found_though_it_was_moved_on),
		T(a_refused_one_is_kept_aside),
		T(where_nothing_is_known_uidnext_is_asked_for),
		T(what_was_sent_before_the_start_is_looked_up),
		T(what_is_queued_goes_out_before_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
