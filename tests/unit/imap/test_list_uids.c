/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "script.h"

/*
 * Listings of which only some UIDs are wanted: one question, and all of the
 * mailbox where that is no good.
 */

/* List these UIDs of a mailbox whose UIDVALIDITY was 7. */
static struct seen seen_uids(struct mail_range uids, script steps)
{
	const struct imap_list_request req = {.uidvalidity = 7, .uids = uids};
	struct server *s = SERVER(steps);
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};
	imap_job job;

	assert_int_equal(imap_list(im, "INBOX", IMAP_PRIO_LISTING, &req,
				   &seen_list_ops, &seen, &job),
			 0);
	seen_wait(&seen);
	account_end(im, s);
	return seen;
}

static void only_those_are_asked_for(void **state)
{
	struct seen seen = seen_uids(
		(struct mail_range){80, 81},
		STEPS(LOGIN, EXAMINE("50000"), "C: UID FETCH 80:81 (UID",
		      "S: " ROW("49998", "80") ")",
		      "S: " ROW("49999", "81") ")", "S: $T OK done", "H:"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.uid[0], 81);
	assert_int_equal(seen.uid[1], 80);
}

static void the_last_one_is_none_of_those_from_a_uid_on(void **state)
{
	struct seen seen = seen_uids(
		(struct mail_range){80, UINT32_MAX},
		STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 80:* (UID",
		      "S: " ROW("3", "79") ")", "S: $T OK done", "H:"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 0);
}

static void an_empty_mailbox_is_asked_for_nothing(void **state)
{
	struct seen seen = seen_uids((struct mail_range){80, UINT32_MAX},
				     STEPS(LOGIN, EXAMINE("0"), "H:"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 0);
}

static void of_another_mailbox_all_are_listed(void **state)
{
	struct seen seen =
		seen_uids((struct mail_range){80, 81},
			  STEPS(LOGIN, "C: EXAMINE INBOX", "S: * 2 EXISTS",
				"S: * OK [UIDVALIDITY 8] ok", "S: $T OK done",
				"C: FETCH 1:2 (UID", "S: " ROW("1", "1") ")",
				"S: " ROW("2", "2") ")", "S: $T OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 2);
}

static void where_that_is_refused_all_are_listed(void **state)
{
	struct seen seen =
		seen_uids((struct mail_range){80, UINT32_MAX},
			  STEPS(LOGIN, EXAMINE("2"), "C: UID FETCH 80:* (UID",
				"S: " ROW("2", "81") ")", "S: $T NO not all",
				"C: FETCH 1:2 (UID", "S: " ROW("1", "80") ")",
				"S: " ROW("2", "81") ")", "S: $T OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.uid[0], 81);
	assert_int_equal(seen.uid[1], 80);
}

static void one_that_is_described_wrongly_is_asked_for_once_more(void **state)
{
	struct seen seen =
		seen_uids((struct mail_range){80, 80},
			  STEPS(LOGIN, EXAMINE("2"), "C: UID FETCH 80 (UID",
				"S: * 2 FETCH (UID 80 FLAGS () RFC822.SIZE 12)",
				"S: $T OK done", "C: UID FETCH 80 (UID",
				"S: " ROW("2", "80") ")", "S: $T OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.uid[0], 80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_those_are_asked_for),
		cmocka_unit_test(the_last_one_is_none_of_those_from_a_uid_on),
		cmocka_unit_test(an_empty_mailbox_is_asked_for_nothing),
		cmocka_unit_test(of_another_mailbox_all_are_listed),
		cmocka_unit_test(where_that_is_refused_all_are_listed),
		cmocka_unit_test(
			one_that_is_described_wrongly_is_asked_for_once_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
