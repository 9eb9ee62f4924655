/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flushing.h"

#include <errno.h>
#include <stdatomic.h>

#include "fs/budget_private.h"
#include "fs/folder.h"
#include "fs/keep_private.h"

/* When the server is asked, by what it says that it is. */

static void expect_interval(struct flushing *t, const script *scripts,
			    int64_t ms)
{
	flushing_begin(t, scripts);
	assert_int_equal(keep_interval_ms(t->fs), ms);
	flushing_end(t);
}

static void a_server_with_labels_is_asked_seldom(void **state)
{
	/* Its host is an address of this machine, and no name of Google's. */
	expect_interval(*state, SCRIPTS(STEPS(LOGIN_WITH("X-GM-EXT-1"))),
			KEEP_ENTER_GMAIL_MS);
	expect_interval(*state, SCRIPTS(STEPS(LOGIN)), KEEP_ENTER_MS);
}

/* Is B known, now that LIST has told the numbers that are known of it? */
static bool is_known_by_status(struct flushing *t)
{
	const struct cache_state s = {.uidvalidity = VALID_B,
				      .uidnext = 20,
				      .low_uid = 1,
				      .highestmodseq = 50,
				      .complete = true};
	const struct mail_folder m = {.has_status = true,
				      .uidvalidity = VALID_B,
				      .uidnext = 20,
				      .highestmodseq = 50};
	struct box *box;

	assert_int_equal(folder_get(t->fs, t->b, &box), 0);
	assert_int_equal(box_set_state(box, &s), 0);
	folder_put(t->fs, t->b);
	t->b->known_ms = 0;
	folder_hear_status(t->fs, t->b, &m, clock_now_ms());
	return t->b->known_ms != 0;
}

static void gmails_numbers_are_believed_when_it_was_asked_once(void **state)
{
	struct flushing *t = *state;

	flushing_begin(t, SCRIPTS(STEPS(LOGIN_WITH("X-GM-EXT-1"))));
	assert_false(is_known_by_status(t));
	t->b->has_synced = true;
	assert_true(is_known_by_status(t));
	flushing_end(t);
	t->b->has_synced = false;
	flushing_begin(t, SCRIPTS(STEPS(LOGIN)));
	assert_true(is_known_by_status(t));
	flushing_end(t);
}

/* In how many ms is B to be asked for? -1: never. */
static int64_t due_in_ms(struct flushing *t)
{
	struct keep *k = t->fs->keep;
	int64_t in;

	lock_take(&k->lock);
	in = t->b->due ? t->b->due_ms - clock_now_ms() : -1;
	lock_drop(&k->lock);
	return in;
}

static void what_was_refused_is_asked_for_again(void **state)
{
	struct flushing *t = *state;

	flushing_begin(t, SCRIPTS(STEPS(LOGIN)));
	t->fs->stopping = true; /* nothing is begun */
	folder_hold(t->b);
	keep_job_ended(t->fs, t->b, -EIO);
	assert_int_equal(due_in_ms(t), -1); /* there was no news */
	folder_note_moved(t->b, clock_now_ms());
	t->fs->online = false;
	keep_job_ended(t->fs, t->b, -ENOTCONN);
	assert_int_equal(due_in_ms(t), -1); /* until there is a connection */
	t->fs->online = true;               /* over another one */
	keep_job_ended(t->fs, t->b, -ENOTCONN);
	assert_in_range(due_in_ms(t), KEEP_RETRY_MS / 2, KEEP_RETRY_MS);
	keep_job_ended(t->fs, t->b, -EIO);
	assert_in_range(due_in_ms(t), KEEP_RETRY_MS / 2, KEEP_RETRY_MS);
	/* More news do not wait for that. */
	folder_note_moved(t->b, clock_now_ms());
	keep_look_again(t->fs, t->b);
	assert_true(due_in_ms(t) <= KEEP_GAP_MS);
	folder_release(t->fs, t->b, 1);
	t->fs->stopping = false;
	flushing_end(t);
}

static _Atomic unsigned n_saves;

/* While it is being saved, the budget becomes due once more. */
static bool due_meter(const struct fs *fs, struct imap_traffic *ret)
{
	(void)ret;
	if (++n_saves == 1)
		keep_budget_due((struct fs *)fs);
	return false;
}

static void a_budget_that_is_due_while_it_is_saved_is_saved_again(void **state)
{
	int64_t end = clock_now_ms() + PATIENCE_MS;
	struct flushing *t = *state;

	n_saves = 0;
	t->fs->budget->meter = due_meter;
	keep_budget_due(t->fs);
	while (n_saves < 2)
		wait_a_bit(end);
}

#define TEST(f)                                                                \
	cmocka_unit_test_setup_teardown(f, flushing_setup, flushing_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_server_with_labels_is_asked_seldom),
		TEST(gmails_numbers_are_believed_when_it_was_asked_once),
		TEST(what_was_refused_is_asked_for_again),
		TEST(a_budget_that_is_due_while_it_is_saved_is_saved_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
