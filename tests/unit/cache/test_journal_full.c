/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cache/internal.h"
#include "cache/trial.h"
#include "changed.h"

/*
 * A disk without space, played by a limit on the size of files as in
 * test_full.c: what cannot be kept is not accepted.
 */

static void a_file_without_room_says_so(void **state)
{
	struct changed *t = *state;
	static char text[100000];
	struct journal_new v = {.name = "big.eml"};
	struct mail_row row = {0};
	uint64_t id, size;
	int fd;

	assert_int_equal(journal_create(t->a, &v, &id, &fd), 0);
	assert_int_equal(cache_sync(t->s->c), 0);
	memset(text, 'x', sizeof(text));
	scene_limit_files(50000);
	assert_int_equal(spool_write(fd, text, sizeof(text), 0), -ENOSPC);
	assert_int_equal(spool_truncate(fd, 60000), -ENOSPC);
	scene_limit_files(RLIM_INFINITY);
	assert_int_equal(spool_size(fd, &size), 0);
	assert_int_equal(size, 50000);
	assert_int_equal(spool_write(fd, text, sizeof(text), 0), 0);
	close(fd);
	assert_int_equal(journal_publish(t->a, id, &row), 0);
	assert_int_equal(row_of(t->a, id).size, sizeof(text));
}

static void what_cannot_be_kept_is_not_accepted(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	uint64_t other = changed_add(t->a, 6, "n.eml");
	struct journal_flags v = {.id = id, .add = MAIL_FLAGGED};
	struct journal_move how = {.to = t->b, .name = "m.eml"};
	struct journal_new new = {.name = "new.eml"};
	struct journal_copy copy = {.to = t->b, .name = "c.eml"};
	uint64_t out;
	int fd;

	assert_int_equal(cache_sync(t->s->c), 0);
	scene_limit_files(4096);
	change_move(t->a, other, t->b, "n.eml"); /* the disk says it later */
	assert_true(scene_is_full(cache_sync(t->s->c)));
	assert_true(scene_is_full(journal_change_flags(t->a, &v, 1)));
	assert_true(scene_is_full(journal_move(t->a, id, &how, NULL)));
	assert_true(scene_is_full(journal_remove(t->a, id)));
	assert_true(scene_is_full(journal_create(t->a, &new, &out, &fd)));
	assert_true(scene_is_full(journal_copy(t->a, id, &copy, &out)));
	assert_int_equal(row_of(t->a, id).flags, MAIL_SEEN);
	changed_expect_none(t, id);
	assert_int_equal(count_state_files(t, "spool"), 0);
	/* What was accepted before is kept until there is room. */
	assert_true(has_row(t->b, other));
	scene_limit_files(RLIM_INFINITY);
	assert_int_equal(cache_sync(t->s->c), 0);
	assert_int_equal(journal_move(t->a, id, &how, NULL), 0);
	changed_reopen(t);
	assert_true(has_row(t->b, id));
	changed_expect(t, id, JOURNAL_MOVE);
	changed_expect(t, other, JOURNAL_MOVE);
}

static void nothing_is_sent_that_the_disk_does_not_know(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_mark m = {.id = id, .parts = JOURNAL_MOVE};
	struct journal_entry e;

	change_move(t->a, id, t->b, "m.eml");
	assert_int_equal(cache_sync(t->s->c), 0);
	assert_true(changed_get(t, id, &e));
	m.gen = e.gen;
	scene_limit_files(4096);
	assert_true(scene_is_full(journal_mark_sent(t->s->c, &m, 1)));
	assert_false(m.marked);
	assert_true(changed_get(t, id, &e));
	/* It is as it was: nobody has to be asked what became of it. */
	assert_int_equal(e.phase, JOURNAL_QUEUED);
	assert_int_equal(e.gen, m.gen);
	assert_int_equal(e.doubt, 0);
	scene_limit_files(RLIM_INFINITY);
	assert_int_equal(cache_sync(t->s->c), 0);
	changed_send(t, id, JOURNAL_MOVE);
}

/* One that was dropped, for the message had come home. */
static void a_record_that_comes_back_is_there_once(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_effects *back;
	struct journal_trial *trial;
	struct journal_counts n;

	change_move(t->a, id, t->b, "m.eml");
	assert_int_equal(cache_sync(t->s->c), 0);
	writer_hold(t->s->c);
	scene_limit_files(4096);
	trial = journal_begin(t->s->c);
	assert_non_null(trial);
	change_move(t->b, id, t->a, "m.eml");
	changed_expect_none(t, id);
	writer_release(t->s->c);
	assert_true(scene_is_full(journal_end(trial, 0, true, &back)));
	free(back);
	changed_expect(t, id, JOURNAL_MOVE);
	scene_limit_files(RLIM_INFINITY);
	assert_int_equal(cache_sync(t->s->c), 0);
	/* Whatever comes next, there is no trace of it as it was. */
	change_flags(t->b, id, MAIL_FLAGGED, 0);
	journal_count(t->s->c, &n);
	assert_int_equal(n.queued, 1);
	change_move(t->b, id, t->a, "m.eml");
	change_flags(t->a, id, 0, MAIL_FLAGGED);
	journal_count(t->s->c, &n);
	assert_int_equal(n.queued, 0);
	changed_expect_none(t, id);
}

static void an_answer_is_taken_without_room(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");

	change_move(t->a, id, t->b, "m.eml");
	changed_send(t, id, JOURNAL_MOVE);
	scene_limit_files(4096);
	changed_done(t, id, JOURNAL_MOVE, VALID_B, 9);
	assert_int_equal(row_of(t->b, id).uid, 9);
	assert_true(scene_is_full(cache_sync(t->s->c)));
	scene_limit_files(RLIM_INFINITY);
	changed_reopen(t);
	assert_int_equal(row_of(t->b, id).uid, 9);
	changed_expect_none(t, id);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, changed_setup, changed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_file_without_room_says_so),
		T(what_cannot_be_kept_is_not_accepted),
		T(nothing_is_sent_that_the_disk_does_not_know),
		T(a_record_that_comes_back_is_there_once),
		T(an_answer_is_taken_without_room),
	};

	/* Or the limit would end the program. */
	(void)signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
