/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flushing.h"

#include "fs/folder.h"
#include "fs/keep.h"

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

#define TEST(f)                                                                \
	cmocka_unit_test_setup_teardown(f, flushing_setup, flushing_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_server_with_labels_is_asked_seldom),
		TEST(gmails_numbers_are_believed_when_it_was_asked_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
