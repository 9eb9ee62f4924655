/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "told.h"

/*
 * Mailboxes that are made, renamed and deleted, and what is asked about them,
 * against scripted servers.
 */

static int make(struct imap *im, struct told *t, imap_job *ret)
{
	return imap_create(im, "A/b &- c", told_change, t, ret);
}

static int delete_it(struct imap *im, struct told *t, imap_job *ret)
{
	return imap_delete_mailbox(im, "A", told_change, t, ret);
}

static int rename_it(struct imap *im, struct told *t, imap_job *ret)
{
	return imap_rename(im, "A", "B", told_change, t, ret);
}

static int subscribe(struct imap *im, struct told *t, imap_job *ret)
{
	return imap_subscribe(im, "A", true, told_change, t, ret);
}

static int unsubscribe(struct imap *im, struct told *t, imap_job *ret)
{
	return imap_subscribe(im, "A", false, told_change, t, ret);
}

static int uidnext(struct imap *im, struct told *t, imap_job *ret)
{
	return imap_uidnext(im, "inbox", told_uidnext, t, ret);
}

static int quota(struct imap *im, struct told *t, imap_job *ret)
{
	return imap_quota(im, "A", told_quota, t, ret);
}

static int rights(struct imap *im, struct told *t, imap_job *ret)
{
	return imap_rights(im, "A", told_rights, t, ret);
}

/* Opened first by what deletes or renames another one. */
#define INBOX                                                                  \
	"C: EXAMINE INBOX", "S: * OK [UIDVALIDITY 1] ok",                      \
		"S: $T OK [READ-ONLY] done"

/* --- making --- */

static void a_new_mailbox_is_subscribed(void **state)
{
	struct told t = told_run(make, STEPS(LOGIN, "C: A2 CREATE \"A/b &- c\"",
					     "C: A3 SUBSCRIBE \"A/b &- c\"",
					     "S: A2 OK done", "S: A3 NO no"));

	(void)state;
	told_expect(&t, 0, false, "");
}

static void nothing_stays_subscribed_that_was_not_made(void **state)
{
	struct told t = told_run(
		make, STEPS(LOGIN, "C: A2 CREATE", "C: A3 SUBSCRIBE",
			    "S: A2 NO [CANNOT] no", "S: A3 OK done",
			    "C: A4 UNSUBSCRIBE \"A/b &- c\"", "S: A4 OK done"));

	(void)state;
	told_expect(&t, -EPERM, false, "");
}

static void what_exists_stays_subscribed(void **state)
{
	struct told t =
		told_run(make, STEPS(LOGIN, "C: A2 CREATE", "C: A3 SUBSCRIBE",
				     "S: A2 NO [ALREADYEXISTS] is there",
				     "S: A3 OK done", "N:"));

	(void)state;
	told_expect(&t, -EEXIST, false, "");
}

static void only_the_first_answer_counts(void **state)
{
	struct told t =
		told_run(make, STEPS(LOGIN, "C: A2 CREATE", "C: A3 SUBSCRIBE",
				     "S: A2 OK done", "X:"));

	(void)state;
	told_expect(&t, 0, false, "");
	t = told_run(make, STEPS(LOGIN, "C: A2 CREATE", "C: A3 SUBSCRIBE",
				 "S: A3 OK done", "X:"));
	told_expect(&t, -ENOTCONN, true, "");
	t = told_run(make, STEPS(LOGIN, "C: A2 CREATE", "C: A3 SUBSCRIBE",
				 "S: A2 NO [NOPERM] no", "X:"));
	told_expect(&t, -EACCES, false, "");
}

static void subscriptions_are_set_and_taken_off(void **state)
{
	struct told t =
		told_run(subscribe, STEPS(LOGIN, "C: A2 SUBSCRIBE \"A\"",
					  "S: $T OK done"));

	(void)state;
	told_expect(&t, 0, false, "");
	t = told_run(unsubscribe,
		     STEPS(LOGIN, "C: A2 UNSUBSCRIBE \"A\"", "S: $T NO no"));
	told_expect(&t, -EIO, false, "");
}

/* --- deleting --- */

static void what_is_deleted_is_not_open(void **state)
{
	struct told t =
		told_run(delete_it,
			 STEPS(LOGIN, INBOX, "C: DELETE \"A\"", "S: $T OK done",
			       "C: UNSUBSCRIBE \"A\"", "S: $T OK done"));

	(void)state;
	told_expect(&t, 0, false, "");
	t = told_run(delete_it, STEPS(LOGIN, INBOX, "C: DELETE \"A\"",
				      "S: $T NO [HASCHILDREN] no", "N:"));
	told_expect(&t, -ENOTEMPTY, false, "");
	assert_non_null(strstr(t.end.why.text, " in A: no"));
}

static void a_cut_behind_the_deletion_is_no_failure(void **state)
{
	struct told t = told_run(
		delete_it, STEPS(LOGIN, INBOX, "C: DELETE \"A\"",
				 "S: $T OK done", "C: UNSUBSCRIBE", "X:"));

	(void)state;
	told_expect(&t, 0, false, "");
	t = told_run(delete_it, STEPS(LOGIN, INBOX, "C: DELETE \"A\"", "X:"));
	told_expect(&t, -ENOTCONN, true, "");
}

/* Others had it open: not the old one under its name. */
static void what_was_open_elsewhere_is_opened_anew(void **state)
{
	struct server *s = SERVER(
		STEPS(LOGIN, "C: EXAMINE \"A\"", "S: * OK [UIDVALIDITY 7] ok",
		      "S: $T OK done", "C: UID COPY 4 \"B\"",
		      "M:", "W:", "S: $T OK done", "C: EXAMINE \"A\"",
		      "S: * OK [UIDVALIDITY 8] ok", "S: $T OK done"),
		STEPS(LOGIN, INBOX, "C: DELETE \"A\"", "S: $T OK done",
		      "C: UNSUBSCRIBE", "S: $T OK done", "N:"));
	static const uint32_t four = 4;
	const struct imap_messages message = {
		.wire = "A", .uidvalidity = 7, .uids = &four, .n_uids = 1};
	struct imap *im = account_connected(s, 2);
	struct told copied = {0};
	struct told deleted = {0};
	struct told stale = {0};
	imap_job job;

	(void)state;
	assert_int_equal(
		imap_copy(im, &message, "B", told_change, &copied, &job), 0);
	server_wait(s);
	assert_int_equal(delete_it(im, &deleted, &job), 0);
	told_wait(&deleted);
	server_go(s);
	told_wait(&copied);
	assert_int_equal(
		imap_copy(im, &message, "B", told_change, &stale, &job), 0);
	told_wait(&stale);
	account_end(im, s);
	told_expect(&deleted, 0, false, "");
	told_expect(&copied, 0, false, "");
	told_expect(&stale, -ESTALE, false, "");
}

/* --- renaming --- */

static void subscriptions_follow_a_renaming(void **state)
{
	struct told t = told_run(
		rename_it,
		STEPS(LOGIN, INBOX, "C: A3 LSUB \"\" \"A*\"",
		      "C: A4 RENAME \"A\" \"B\"", "S: * LSUB () \"/\" A",
		      "S: * LSUB () \"/\" \"A/c d\"", "S: * LSUB () \"/\" Aa",
		      "S: * LSUB () \"/\" X/A", "S: * LSUB () NIL A/x",
		      "S: A3 OK done", "S: A4 OK done", "C: SUBSCRIBE \"B\"",
		      "S: $T OK done", "C: UNSUBSCRIBE \"A\"", "S: $T NO no",
		      "C: SUBSCRIBE \"B/c d\"", "S: $T OK done",
		      "C: UNSUBSCRIBE \"A/c d\"", "S: $T OK done"));

	(void)state;
	told_expect(&t, 0, false, "");
}

static void a_renaming_that_is_refused_moves_no_subscription(void **state)
{
	struct told t = told_run(
		rename_it, STEPS(LOGIN, INBOX, "C: A3 LSUB", "C: A4 RENAME",
				 "S: * LSUB () \"/\" A", "S: A3 OK done",
				 "S: A4 NO [ALREADYEXISTS] no", "N:"));

	(void)state;
	told_expect(&t, -EEXIST, false, "");
	t = told_run(rename_it,
		     STEPS(LOGIN, INBOX, "C: A3 LSUB", "C: A4 RENAME",
			   "S: A4 NO Error in IMAP command", "S: A3 BAD ?",
			   "N:"));
	told_expect(&t, -EPERM, false, "");
}

static void a_cut_behind_the_renaming_is_no_failure(void **state)
{
	struct told t = told_run(
		rename_it, STEPS(LOGIN, INBOX, "C: A3 LSUB", "C: A4 RENAME",
				 "S: * LSUB () \"/\" A", "S: A3 OK done",
				 "S: A4 OK done", "C: SUBSCRIBE", "X:"));

	(void)state;
	told_expect(&t, 0, false, "");
	t = told_run(rename_it, STEPS(LOGIN, INBOX, "C: A3 LSUB",
				      "C: A4 RENAME", "S: A3 OK done", "X:"));
	told_expect(&t, -ENOTCONN, true, "");
}

/* What others have asked fills the window when it is renamed. */
static void subscriptions_wait_for_room(void **state)
{
	static char line[1200] = "S: * LIST () \"/\" ";
	const char *n = memset(line + strlen(line), 'm', 1000);
	const char *const names[] = {n, n, n, n, n, n, n, n};
	const struct imap_folders_request status = {names, 8};
	struct server *s = SERVER(STEPS(
		LOGIN, INBOX, "C: A3 LSUB", "C: A4 RENAME", "M:", "C: A5 LIST",
		line, "S: A5 OK done", "C: A6", "C: A7", "C: A8", "C: A9",
		"C: A10", "C: A11", "C: A12", "C: A13 STATUS",
		"S: * LSUB () \"/\" A", "S: A3 OK done", "S: A4 OK done",
		"S: A6 OK done", "C: SUBSCRIBE \"B\"", "S: $T OK done",
		"C: UNSUBSCRIBE \"A\"", "S: $T OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen others = {0};
	struct told t = {0};
	imap_job job;

	(void)state;
	assert_int_equal(rename_it(im, &t, &job), 0);
	server_wait(s);
	assert_int_equal(imap_list_folders(im, IMAP_PRIO_LISTING, &status,
					   &seen_folders_ops, &others, &job),
			 0);
	told_wait(&t);
	account_end(im, s);
	told_expect(&t, 0, false, "");
}

/* --- asking --- */

static void uidnext_is_asked_without_opening(void **state)
{
	struct told t = told_run(
		uidnext,
		STEPS(LOGIN, "C: STATUS INBOX (UIDVALIDITY UIDNEXT MESSAGES)",
		      "S: * STATUS X (UIDVALIDITY 1 UIDNEXT 2 MESSAGES 3)",
		      "S: * STATUS inbox (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 7)",
		      "S: $T OK done"));

	(void)state;
	told_expect(&t, 0, false, "");
	assert_int_equal(t.box.uidvalidity, 7);
	assert_int_equal(t.box.uidnext, 9);
	assert_int_equal(t.box.messages, 3);
	t = told_run(uidnext, STEPS(LOGIN, "C: STATUS",
				    "S: * STATUS INBOX (UIDVALIDITY 7)",
				    "S: $T OK done"));
	told_expect(&t, -EPROTO, false, "");
	t = told_run(uidnext,
		     STEPS(LOGIN, "C: STATUS", "S: $T NO [NONEXISTENT] no"));
	told_expect(&t, -ENOENT, false, "");
}

static void asking_is_repeated(void **state)
{
	struct server *s = SERVER(
		STEPS(LOGIN, "C: STATUS", "X:"),
		STEPS(LOGIN, "C: STATUS",
		      "S: * STATUS INBOX (UIDVALIDITY 7 UIDNEXT 9 MESSAGES 0)",
		      "S: $T OK done"));
	struct imap *im = account_connected(s, 1);
	struct told t = {0};
	imap_job job;

	(void)state;
	assert_int_equal(uidnext(im, &t, &job), 0);
	told_wait(&t);
	account_end(im, s);
	told_expect(&t, 0, false, "");
}

#define QUOTA LOGIN_WITH("QUOTA"), "C: GETQUOTAROOT \"A\""

static void the_root_with_least_room_counts(void **state)
{
	struct told t = told_run(
		quota,
		STEPS(QUOTA, "S: * QUOTAROOT X other",
		      "S: * QUOTA other (STORAGE 10 11)",
		      "S: * QUOTAROOT \"A\" \"\" user",
		      "S: * QUOTA \"\" (MESSAGE 5 6 STORAGE 10 5000000000)",
		      "S: * QUOTA user (STORAGE 100 512 X 1 2)",
		      "S: * QUOTA broken (STORAGE 100)", "S: $T OK done"));

	(void)state;
	told_expect(&t, 0, false, "");
	assert_int_equal(t.quota.used_kib, 100);
	assert_int_equal(t.quota.limit_kib, 512);
}

static void without_quota_there_is_none(void **state)
{
	struct told t = told_run(quota, STEPS(LOGIN, "N:"));

	(void)state;
	told_expect(&t, -EOPNOTSUPP, false, "");
	t = told_run(quota, STEPS(QUOTA, "S: * QUOTAROOT \"A\" \"\"",
				  "S: * QUOTA \"\" ()", "S: $T OK done"));
	told_expect(&t, -EOPNOTSUPP, false, "");
}

static void rights_are_those_of_the_letters(void **state)
{
	static const struct {
		const char *answer;
		unsigned rights;
	} rows[] = {
		{"S: * MYRIGHTS A lrswipkxtecda", RIGHT_ALL},
		{"S: * MYRIGHTS \"A\" \"lr\"", RIGHT_READ},
		{"S: * MYRIGHTS A lrsti",
		 RIGHT_READ | RIGHT_SEEN | RIGHT_DELETE | RIGHT_INSERT},
		/* An old server: these two say what has four letters now. */
		{"S: * MYRIGHTS A lrcd", RIGHT_READ | RIGHT_CREATE |
						 RIGHT_REMOVE | RIGHT_DELETE |
						 RIGHT_EXPUNGE},
		{"S: * MYRIGHTS A lrkc", RIGHT_READ | RIGHT_CREATE},
		{"S: * MYRIGHTS A \"\"", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct told t = told_run(
			rights, STEPS(LOGIN_WITH("ACL"), "C: MYRIGHTS \"A\"",
				      "S: * MYRIGHTS X lrswipkxte",
				      rows[i].answer, "S: $T OK done"));

		told_expect(&t, 0, false, "");
		assert_int_equal(t.rights, rows[i].rights);
	}
}

static void without_acl_all_is_allowed(void **state)
{
	struct told t = told_run(rights, STEPS(LOGIN, "N:"));

	(void)state;
	told_expect(&t, 0, false, "");
	assert_int_equal(t.rights, RIGHT_ALL);
}

static void what_cannot_be_a_name_is_refused_at_once(void **state)
{
	static const char *const bad[] = {"", "a\rb", "a\nDELETE b"};
	struct server *s = SERVER(STEPS(LOGIN, "N:"));
	struct imap *im = account_connected(s, 1);
	struct told t = {0};
	imap_job job;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const char *name = bad[i];

		assert_int_equal(imap_create(im, name, told_change, &t, &job),
				 -EINVAL);
		assert_int_equal(
			imap_delete_mailbox(im, name, told_change, &t, &job),
			-EINVAL);
		assert_int_equal(
			imap_rename(im, name, "A", told_change, &t, &job),
			-EINVAL);
		assert_int_equal(
			imap_rename(im, "A", name, told_change, &t, &job),
			-EINVAL);
		assert_int_equal(imap_uidnext(im, name, told_uidnext, &t, &job),
				 -EINVAL);
	}
	assert_int_equal(
		imap_delete_mailbox(im, "inbox", told_change, &t, &job),
		-EINVAL);
	assert_int_equal(imap_rename(im, "Inbox", "A", told_change, &t, &job),
			 -EINVAL);
	assert_int_equal(imap_rename(im, "A", "INBOX", told_change, &t, &job),
			 -EINVAL);
	account_end(im, s);
	assert_int_equal(t.calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_mailbox_is_subscribed),
		cmocka_unit_test(nothing_stays_subscribed_that_was_not_made),
		cmocka_unit_test(what_exists_stays_subscribed),
		cmocka_unit_test(only_the_first_answer_counts),
		cmocka_unit_test(subscriptions_are_set_and_taken_off),
		cmocka_unit_test(what_is_deleted_is_not_open),
		cmocka_unit_test(a_cut_behind_the_deletion_is_no_failure),
		cmocka_unit_test(what_was_open_elsewhere_is_opened_anew),
		cmocka_unit_test(subscriptions_follow_a_renaming),
		cmocka_unit_test(
			a_renaming_that_is_refused_moves_no_subscription),
		cmocka_unit_test(a_cut_behind_the_renaming_is_no_failure),
		cmocka_unit_test(subscriptions_wait_for_room),
		cmocka_unit_test(uidnext_is_asked_without_opening),
		cmocka_unit_test(asking_is_repeated),
		cmocka_unit_test(the_root_with_least_room_counts),
		cmocka_unit_test(without_quota_there_is_none),
		cmocka_unit_test(rights_are_those_of_the_letters),
		cmocka_unit_test(without_acl_all_is_allowed),
		cmocka_unit_test(what_cannot_be_a_name_is_refused_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
