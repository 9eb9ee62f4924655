/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
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
 * Changes that the disk does not take, played by a limit on the size of files
 * as in test_full.c: they are taken back, wherever they have been noted.
 */

/* From here on nothing can be written, which the writer does not know yet. */
static void fill_disk(struct changed *t)
{
	assert_int_equal(cache_sync(t->s->c), 0);
	writer_hold(t->s->c);
	scene_limit_files(4096);
}

static struct journal_trial *begin(struct changed *t)
{
	struct journal_trial *trial = journal_begin(t->s->c);

	assert_non_null(trial);
	return trial;
}

/* The writer finds out; what moved back, yours to free. */
static struct journal_effects *end_refused(struct changed *t,
					   struct journal_trial *trial)
{
	struct journal_effects *back;

	writer_release(t->s->c);
	assert_true(scene_is_full(journal_end(trial, 0, true, &back)));
	return back;
}

static void has_room_again(struct changed *t)
{
	scene_limit_files(RLIM_INFINITY);
	assert_int_equal(cache_sync(t->s->c), 0);
	changed_reopen(t);
}

/* --- every kind of change --- */

enum { OTHER_UID = 6 };

static void make_move(struct changed *t, uint64_t id)
{
	change_move(t->a, id, t->b, "there.eml");
}

static void make_rename(struct changed *t, uint64_t id)
{
	change_move(t->a, id, t->a, "renamed.eml");
}

static void make_flags(struct changed *t, uint64_t id)
{
	change_flags(t->a, id, MAIL_FLAGGED, MAIL_SEEN);
}

static void make_removal(struct changed *t, uint64_t id)
{
	assert_int_equal(journal_remove(t->a, id), 0);
}

static void make_replacement(struct changed *t, uint64_t id)
{
	change_replace(t->a, id, t->b, "other.eml", t->trash);
}

static void make_copy(struct changed *t, uint64_t id)
{
	struct journal_copy how = {.to = t->b, .name = "copy.eml"};
	uint64_t copy;

	assert_int_equal(journal_copy(t->a, id, &how, &copy), 0);
}

static void make_train(struct changed *t, uint64_t id)
{
	make_flags(t, id);
	make_move(t, id);
	change_flags(t->b, id, MAIL_ANSWERED, 0);
}

/* The account as it was before: two messages, nothing to be sent. */
static void expect_untouched(struct changed *t, uint64_t id, uint64_t other)
{
	struct cache_msg m = row_of(t->a, id);

	assert_string_equal(m.name, "m.eml");
	assert_int_equal(m.uid, 5);
	assert_int_equal(m.flags, MAIL_SEEN);
	assert_true(m.announced);
	assert_int_equal(row_named(t->a, "m.eml").id, id);
	assert_int_equal(row_named(t->b, "other.eml").id, other);
	assert_int_equal(row_of(t->b, other).uid, OTHER_UID);
	assert_int_equal(box_count(t->a), 1);
	assert_int_equal(box_count(t->b), 1);
	assert_int_equal(box_count(t->trash), 0);
	changed_expect_none(t, id);
	changed_expect_none(t, other);
}

static void refuse(struct changed *t,
		   void (*make)(struct changed *t, uint64_t id))
{
	uint64_t id = changed_add(t->a, 5, "m.eml");
	uint64_t other = changed_add(t->b, OTHER_UID, "other.eml");
	struct journal_trial *trial;

	fill_disk(t);
	trial = begin(t);
	make(t, id);
	free(end_refused(t, trial));
	expect_untouched(t, id, other);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM changes"), 0);
	has_room_again(t);
	expect_untouched(t, id, other);
	/* And it can be asked for again. */
	trial = begin(t);
	make(t, id);
	assert_int_equal(
		journal_end(trial, 0, true, &(struct journal_effects *){NULL}),
		0);
}

#define REFUSED(kind)                                                          \
	static void a_refused_##kind##_is_as_if_not_asked_for(void **state)    \
	{                                                                      \
		refuse(*state, make_##kind);                                   \
	}

REFUSED(move)
REFUSED(rename)
REFUSED(flags)
REFUSED(removal)
REFUSED(replacement)
REFUSED(copy)
REFUSED(train)

static void what_moves_back_is_told(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_trial *trial;
	struct journal_effects *back;

	fill_disk(t);
	trial = begin(t);
	make_move(t, id);
	back = end_refused(t, trial);
	assert_non_null(back);
	assert_int_equal(back->n, 1);
	assert_int_equal(back->v[0].id, id);
	assert_int_equal(back->v[0].from, t->in_b);
	assert_int_equal(back->v[0].to, t->in_a);
	assert_string_equal(back->v[0].from_name, "there.eml");
	assert_string_equal(back->v[0].to_name, "m.eml");
	free(back);
}

static void what_the_kernel_holds_is_held_where_it_was(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_trial *trial;

	assert_int_equal(box_hold(t->a, id), 0);
	assert_int_equal(box_hold(t->a, id), 0);
	fill_disk(t);
	trial = begin(t);
	make_removal(t, id);
	free(end_refused(t, trial));
	assert_int_equal(row_of(t->a, id).held, 2);
	assert_int_equal(box_held(t->a), 2);
	assert_int_equal(cache_folder_of(t->s->c, id), t->in_a);
	assert_true(box_release(t->a, id, 2));
	assert_int_equal(box_held(t->a), 0);
}

/* --- what was there before stays --- */

static void what_was_acknowledged_before_is_still_to_be_sent(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct journal_trial *trial;

	make_flags(t, id);
	fill_disk(t);
	trial = begin(t);
	make_move(t, id);
	free(end_refused(t, trial));
	changed_expect(t, id, JOURNAL_STORE);
	assert_true(has_row(t->a, id));
	has_room_again(t);
	changed_expect(t, id, JOURNAL_STORE);
	assert_int_equal(row_of(t->a, id).flags, MAIL_FLAGGED);
	/* Its content key is still known. */
	assert_int_equal(journal_key(t->s->c, id, &(struct cache_key){0}), 0);
}

static void a_new_message_that_was_removed_is_back_with_its_text(void **state)
{
	struct changed *t = *state;
	uint64_t id = change_create(t->a, "new.eml", "Subject: x\r\n\r\n");
	struct journal_trial *trial;
	char text[32];
	int fd;

	fill_disk(t);
	trial = begin(t);
	make_removal(t, id);
	assert_false(has_row(t->a, id));
	free(end_refused(t, trial));
	has_room_again(t);
	changed_expect(t, id, JOURNAL_APPEND);
	assert_string_equal(row_of(t->a, id).name, "new.eml");
	assert_int_equal(count_state_files(t, "spool"), 1);
	assert_int_equal(spool_open(t->s->c, id, false, &fd), 0);
	assert_int_equal(spool_read(fd, text, sizeof(text), 0), 14);
	close(fd);
}

static void a_scratch_file_that_became_a_message_is_one_again(void **state)
{
	struct changed *t = *state;
	struct journal_new v = {
		.name = ".m.swp", .is_scratch = true, .announced = true};
	struct journal_move how = {
		.to = t->a, .name = "m.eml", .make_message = true};
	struct journal_trial *trial;
	struct journal_entry e;
	uint64_t id;
	int fd;

	assert_int_equal(journal_create(t->a, &v, &id, &fd), 0);
	close(fd);
	fill_disk(t);
	trial = begin(t);
	assert_int_equal(journal_move(t->a, id, &how, NULL), 0);
	free(end_refused(t, trial));
	has_room_again(t);
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.phase, JOURNAL_SCRATCH);
	assert_string_equal(row_of(t->a, id).name, ".m.swp");
}

static void those_that_wait_for_one_another_do_so_again(void **state)
{
	struct changed *t = *state;
	uint64_t new = change_create(t->a, "new.eml", "Subject: x\r\n\r\n");
	uint64_t old = changed_add(t->b, 6, "old.eml");
	struct journal_trial *trial;
	struct journal_entry e;

	/* The old one goes when the new one is there. */
	change_replace(t->a, new, t->b, "old.eml", NULL);
	fill_disk(t);
	trial = begin(t);
	assert_int_equal(journal_remove(t->b, new), 0);
	assert_true(changed_get(t, old, &e));
	assert_int_equal(e.waits_for, 0);
	free(end_refused(t, trial));
	assert_true(changed_get(t, old, &e));
	assert_int_equal(e.waits_for, new);
	has_room_again(t);
	assert_true(changed_get(t, old, &e));
	assert_int_equal(e.waits_for, new);
	changed_done(t, new, JOURNAL_APPEND, VALID_B, 9);
	assert_true(changed_get(t, old, &e));
	assert_int_equal(e.waits_for, 0);
}

/* --- what stays made --- */

static void what_the_server_has_changed_meanwhile_stays(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct cache_flags heard = {id, MAIL_SEEN | MAIL_ANSWERED};
	struct journal_trial *trial;

	fill_disk(t);
	trial = begin(t);
	change_flags(t->a, id, MAIL_FLAGGED, 0);
	assert_int_equal(box_set_flags(t->a, &heard, 1), 0);
	assert_null(end_refused(t, trial));
	has_room_again(t);
	assert_int_equal(row_of(t->a, id).flags,
			 MAIL_SEEN | MAIL_ANSWERED | MAIL_FLAGGED);
	changed_expect(t, id, JOURNAL_STORE);
}

static void a_name_that_was_taken_meanwhile_is_left_alone(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml"), other;
	struct journal_trial *trial;

	fill_disk(t);
	trial = begin(t);
	make_move(t, id);
	other = changed_add(t->a, 7, "m.eml");
	assert_null(end_refused(t, trial));
	assert_true(has_row(t->b, id));
	assert_int_equal(row_named(t->a, "m.eml").id, other);
	has_room_again(t);
	assert_true(has_row(t->b, id));
}

/* --- several at once --- */

struct user {
	struct changed *t;
	uint64_t id;
	uint32_t flag;
	sem_t has_made, may_end;
	int result;
};

static void *use(void *arg)
{
	struct user *u = arg;
	struct journal_trial *trial = begin(u->t);
	struct journal_effects *back;

	change_flags(u->t->a, u->id, u->flag, 0);
	(void)sem_post(&u->has_made);
	(void)sem_wait(&u->may_end);
	u->result = journal_end(trial, 0, true, &back);
	free(back);
	return NULL;
}

static void start(struct user *u, struct changed *t, uint64_t id, uint32_t flag,
		  pthread_t *ret)
{
	*u = (struct user){.t = t, .id = id, .flag = flag};
	assert_int_equal(sem_init(&u->has_made, 0, 0), 0);
	assert_int_equal(sem_init(&u->may_end, 0, 0), 0);
	assert_int_equal(pthread_create(ret, NULL, use, u), 0);
	assert_int_equal(sem_wait(&u->has_made), 0);
}

static void finish(struct user *u, pthread_t thread)
{
	assert_int_equal(pthread_join(thread, NULL), 0);
	sem_destroy(&u->has_made);
	sem_destroy(&u->may_end);
}

/* Two changes of one message, on top of each other; the older one ends first.
 */
static void changes_of_several_are_taken_back_in_turn(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct user first, second;
	pthread_t one, two;

	fill_disk(t);
	start(&first, t, id, MAIL_FLAGGED, &one);
	start(&second, t, id, MAIL_ANSWERED, &two);
	assert_int_equal(row_of(t->a, id).flags,
			 MAIL_SEEN | MAIL_FLAGGED | MAIL_ANSWERED);
	writer_release(t->s->c);
	(void)sem_post(&first.may_end);
	(void)sem_post(&second.may_end);
	finish(&first, one);
	finish(&second, two);
	assert_true(scene_is_full(first.result));
	assert_true(scene_is_full(second.result));
	assert_int_equal(row_of(t->a, id).flags, MAIL_SEEN);
	changed_expect_none(t, id);
	has_room_again(t);
	assert_int_equal(row_of(t->a, id).flags, MAIL_SEEN);
	changed_expect_none(t, id);
}

/* While one waits for its turn there is room again: then it is made. */
static void what_is_safe_in_the_end_is_no_error(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct user first, second;
	pthread_t one, two;

	fill_disk(t);
	start(&first, t, id, MAIL_FLAGGED, &one);
	start(&second, t, id, MAIL_ANSWERED, &two);
	writer_release(t->s->c);
	assert_true(scene_is_full(cache_sync(t->s->c)));
	(void)sem_post(&first.may_end);
	scene_limit_files(RLIM_INFINITY);
	assert_int_equal(cache_sync(t->s->c), 0);
	(void)sem_post(&second.may_end);
	finish(&first, one);
	finish(&second, two);
	assert_int_equal(first.result, 0);
	assert_int_equal(second.result, 0);
	changed_reopen(t);
	assert_int_equal(row_of(t->a, id).flags,
			 MAIL_SEEN | MAIL_FLAGGED | MAIL_ANSWERED);
	changed_expect(t, id, JOURNAL_STORE);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, changed_setup, changed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_refused_move_is_as_if_not_asked_for),
		T(a_refused_rename_is_as_if_not_asked_for),
		T(a_refused_flags_is_as_if_not_asked_for),
		T(a_refused_removal_is_as_if_not_asked_for),
		T(a_refused_replacement_is_as_if_not_asked_for),
		T(a_refused_copy_is_as_if_not_asked_for),
		T(a_refused_train_is_as_if_not_asked_for),
		T(what_moves_back_is_told),
		T(what_the_kernel_holds_is_held_where_it_was),
		T(what_was_acknowledged_before_is_still_to_be_sent),
		T(a_new_message_that_was_removed_is_back_with_its_text),
		T(a_scratch_file_that_became_a_message_is_one_again),
		T(those_that_wait_for_one_another_do_so_again),
		T(what_the_server_has_changed_meanwhile_stays),
		T(a_name_that_was_taken_meanwhile_is_left_alone),
		T(changes_of_several_are_taken_back_in_turn),
		T(what_is_safe_in_the_end_is_no_error),
	};

	/* Or the limit would end the program. */
	(void)signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
