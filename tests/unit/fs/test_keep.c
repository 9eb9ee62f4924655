/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flushing.h"

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

#define TEST(f)                                                                \
	cmocka_unit_test_setup_teardown(f, flushing_setup, flushing_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_server_with_labels_is_asked_seldom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
