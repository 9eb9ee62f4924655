/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "watch_scene.h"

/* The watcher on a server with NOTIFY (RFC 5465): all mailboxes are watched. */

static const struct watch_options plain = {0};

#define NOTIFIES LOGIN_WITH("IDLE NOTIFY CONDSTORE"), WATCH("3", "100", "5")
#define STATUS(name, messages, uidnext, modseq)                                \
	"S: * STATUS " name " (MESSAGES " messages " UIDNEXT " uidnext         \
	" UIDVALIDITY 9 HIGHESTMODSEQ " modseq ")"
#define SET "C: NOTIFY SET STATUS (selected-delayed (MessageNew "
#define TWO STATUS("Work", "2", "20", "200"), STATUS("Play", "1", "10", "100")
#define SET_TWO SET, TWO, "S: $T OK set"

static void all_mailboxes_are_watched(void **state)
{
	struct server *s =
		SERVER(STEPS(NOTIFIES, SET_TWO, IDLE, "W:",
			     "S: * STATUS Work (MESSAGES 3 UIDNEXT 21 "
			     "UNSEEN 1 HIGHESTMODSEQ 201)",
			     "W:", "S: * STATUS Play (HIGHESTMODSEQ 101)",
			     "W:", "S: * 4 EXISTS", "H:"));
	struct imap *im = watching(s, &plain);

	(void)state;
	wait_state(im, "notify");
	assert_int_equal(told().moved, 0);
	server_go(s);
	told_wait_moved(1);
	assert_string_equal(told().last, "Work");
	server_go(s);
	told_wait_moved(2);
	assert_string_equal(told().last, "Play");
	server_go(s);
	told_wait_moved(3);
	assert_string_equal(told().last, "INBOX");
	account_end(im, s);
	assert_int_equal(told().folders, 0);
}

/* How all stand as it begins is told once; which there are, again and again. */
static void the_begin_is_told_with_its_numbers(void **state)
{
	struct server *s = SERVER(STEPS(NOTIFIES, SET_TWO, IDLE, "W:", "X:"),
				  STEPS(NOTIFIES, SET_TWO, IDLE, "H:"));
	struct imap *im = watching(s, &plain);
	int64_t began_ms = clock_now_ms(), since_ms = 0, other_ms = 0;

	(void)state;
	wait_state(im, "notify");
	assert_string_equal(told().begun, "INBOX:3 INBOX Play:1 Work:2 ; ");
	assert_int_equal(imap_watched(im, "Work", &since_ms),
			 IMAP_WATCHED_NOTIFY);
	assert_int_equal(imap_watched(im, "INBOX", &other_ms),
			 IMAP_WATCHED_NOTIFY);
	assert_true(since_ms >= other_ms && other_ms >= began_ms - 1000);
	server_go(s);
	wait_online(2);
	told_wait_rounds(2);
	wait_state(im, "notify");
	assert_int_equal(imap_watched(im, "Work", &other_ms),
			 IMAP_WATCHED_NOTIFY);
	assert_int_equal(other_ms, since_ms);
	account_end(im, s);
	assert_string_equal(told().begun, "INBOX:3 INBOX Play:1 Work:2 ; "
					  "INBOX Play Work ; ");
}

#define AGAIN LEAVE, "C: NOTIFY NONE", "S: $T OK none"

/* Servers forget: with IDLE it is set anew, and what it says is compared. */
static void notify_is_renewed_with_idle(void **state)
{
	struct server *s = SERVER(STEPS(NOTIFIES, SET_TWO, IDLE, AGAIN, SET,
					STATUS("Work", "3", "21", "201"),
					STATUS("New", "0", "1", "1"),
					"S: $T OK set", IDLE, "H:"));
	const struct watch_options o = {.renew_ms = 200, .burst_ms = 1};
	struct imap *im = watching(s, &o);

	(void)state;
	told_wait_rounds(2);
	told_wait_folders(1);
	told_wait_moved(2);
	account_end(im, s);
	assert_non_null(strstr(told().begun, "; INBOX New Work ; "));
	assert_non_null(strstr(told().names, "Work "));
	assert_null(strstr(told().names, "INBOX "));
}

static void notify_is_renewed_soon_behind(const char *line)
{
	struct server *s =
		SERVER(STEPS(NOTIFIES, SET_TWO, IDLE, line, AGAIN, SET_TWO,
			     IDLE, "W:", "S: * 4 EXISTS", "H:"));
	const struct watch_options o = {.soon_ms = 100, .burst_ms = 1};
	struct imap *im = watching(s, &o);

	told_wait_rounds(2);
	wait_state(im, "notify");
	server_go(s);
	while (strcmp(told().last, "INBOX") != 0)
		told_wait_moved(told().moved + 1);
	account_end(im, s);
	assert_int_equal(told().rounds, 2);
}

static void notify_is_renewed_soon_when_it_may_have_failed(void **state)
{
	(void)state;
	notify_is_renewed_soon_behind("S: * LIST (\\NonExistent) \"/\" Work");
	notify_is_renewed_soon_behind("S: * STATUS Play (MESSAGES 501 UIDNEXT "
				      "510 HIGHESTMODSEQ 102)");
	notify_is_renewed_soon_behind("S: * 503 EXISTS");
}

/* Dovecot says it all once more, half a second after NOTIFY SET. */
static void what_is_told_twice_is_told_once(void **state)
{
	struct server *s =
		SERVER(STEPS(NOTIFIES, SET_TWO, IDLE,
			     "S: * LIST (\\HasNoChildren) \"/\" Work", TWO,
			     "S: * STATUS Play (HIGHESTMODSEQ 101)", "H:"));
	struct imap *im = watching(s, &plain);

	(void)state;
	told_wait_moved(1);
	account_end(im, s);
	assert_string_equal(told().names, "Play ");
	assert_int_equal(told().folders, 0);
}

/* Dovecot says so of one that its ACL keeps from us, in place of STATUS. */
static void a_mailbox_without_status_is_no_news(void **state)
{
	struct server *s = SERVER(
		STEPS(NOTIFIES, SET, TWO, "S: * LIST (\\NoAccess) \"/\" Secret",
		      "S: $T OK set", IDLE, "S: * 4 EXISTS", "H:"));
	struct imap *im = watching(s, &plain);

	(void)state;
	told_wait_moved(1);
	account_end(im, s);
	assert_int_equal(told().folders, 0);
}

/* Without HIGHESTMODSEQ, a STATUS that says nothing new means flags. */
static void status_without_modseq_is_news(void **state)
{
	struct server *s = SERVER(STEPS(
		NOTIFIES, SET_TWO, IDLE,
		"S: * STATUS Work (MESSAGES 2 UIDNEXT 20 UNSEEN 1)", "H:"));
	struct imap *im = watching(s, &plain);

	(void)state;
	told_wait_moved(1);
	account_end(im, s);
	assert_string_equal(told().last, "Work");
}

static void a_change_of_names_is_told(const char *line)
{
	struct server *s = SERVER(STEPS(NOTIFIES, SET_TWO, IDLE, line, "H:"));
	struct imap *im = watching(s, &plain);

	told_wait_folders(1);
	account_end(im, s);
	assert_int_equal(told().folders, 1);
	assert_int_equal(told().moved, 0);
}

static void changes_of_names_are_told(void **state)
{
	(void)state;
	a_change_of_names_is_told("S: * LIST () \"/\" New");
	a_change_of_names_is_told("S: * LIST (\\NonExistent) \"/\" Work");
	a_change_of_names_is_told(
		"S: * LIST () \"/\" New (\"OLDNAME\" (Work))");
}

/* Told of twice: at the first change, and at the second one. */
static void a_name_is_told_twice(const char *first, const char *second)
{
	struct server *s = SERVER(
		STEPS(NOTIFIES, SET_TWO, IDLE, first, "W:", second, "H:"));
	const struct watch_options o = {.burst_ms = 1};
	struct imap *im = watching(s, &o);

	told_wait_folders(1);
	server_go(s);
	told_wait_folders(2);
	account_end(im, s);
}

static void a_name_that_is_free_can_come_again(void **state)
{
	(void)state;
	a_name_is_told_twice("S: * LIST () \"/\" New (\"OLDNAME\" (Work))",
			     "S: * LIST () \"/\" Work");
	a_name_is_told_twice("S: * LIST (\\NonExistent) \"/\" Work",
			     "S: * LIST () \"/\" Work");
	a_name_is_told_twice("S: * LIST () \"/\" New",
			     "S: * STATUS Work (MESSAGES 0 UIDNEXT 1 "
			     "UIDVALIDITY 8)");
}

static void a_server_that_refuses_notify_idles(void **state)
{
	struct server *s = SERVER(STEPS(NOTIFIES, SET,
					"S: $T NO [NOTIFICATIONOVERFLOW] no",
					IDLE, "S: * 4 EXISTS", "H:"));
	struct imap *im = watching(s, &plain);

	(void)state;
	told_wait_moved(1);
	wait_state(im, "idle");
	account_end(im, s);
}

static void an_overflow_counts_as_everything(const char *line)
{
	struct server *s = SERVER(
		STEPS(NOTIFIES, SET_TWO, IDLE, line, AGAIN, SET_TWO, IDLE,
		      "W:", "S: * STATUS Play (HIGHESTMODSEQ 101)", "H:"));
	struct imap *im = watching(s, &plain);

	told_wait_moved(3);
	told_wait_folders(1);
	assert_non_null(strstr(told().names, "INBOX "));
	assert_non_null(strstr(told().names, "Work "));
	assert_non_null(strstr(told().names, "Play "));
	wait_state(im, "notify");
	server_go(s);
	told_wait_moved(4); /* it notifies again */
	account_end(im, s);
	assert_int_equal(told().moved, 4);
}

static void after_an_overflow_notify_is_set_again(void **state)
{
	(void)state;
	an_overflow_counts_as_everything(
		"S: * OK [NOTIFICATIONOVERFLOW] too much");
	an_overflow_counts_as_everything(
		"S: * NO NOTIFY error, some events may have got lost");
}

/* A server that cannot keep up is not asked for everything all the time. */
static void overflows_in_a_row_are_given_time(void **state)
{
	struct server *s = SERVER(STEPS(
		NOTIFIES, SET_TWO, IDLE,
		"S: * OK [NOTIFICATIONOVERFLOW] too much", AGAIN, SET_TWO, IDLE,
		"S: * OK [NOTIFICATIONOVERFLOW] too much", "S: $T OK over",
		"C: IDLE", "S: + idling", "W:", "S: * 4 EXISTS", "H:"));
	const struct watch_options o = {.burst_ms = 1};
	struct imap *im = watching(s, &o);

	(void)state;
	told_wait_folders(2);
	wait_state(im, "idle");
	server_go(s);
	told_wait_moved(7); /* of three mailboxes twice, and this one */
	account_end(im, s);
}

static void gaps_are_seen_in_all_mailboxes(void **state)
{
	struct server *s = SERVER(
		STEPS(NOTIFIES, SET_TWO, IDLE, "W:", "S: * BYE later", "X:"),
		STEPS(NOTIFIES, SET, STATUS("Work", "2", "20", "201"),
		      STATUS("Play", "1", "10", "100"), "S: $T OK set", IDLE,
		      "H:"));
	struct imap *im = watching(s, &plain);

	(void)state;
	server_go(s);
	told_wait_moved(1);
	wait_state(im, "notify");
	account_end(im, s);
	assert_string_equal(told().names, "Work ");
	assert_int_equal(told().folders, 0);
}

static void names_that_came_and_went_in_a_gap_are_told(void **state)
{
	struct server *s = SERVER(
		STEPS(NOTIFIES, SET_TWO, IDLE, "W:", "S: * BYE later", "X:"),
		STEPS(NOTIFIES, SET, STATUS("Work", "2", "20", "200"),
		      STATUS("New", "0", "1", "1"), "S: $T OK set", IDLE,
		      "S: * BYE later", "X:"),
		STEPS(NOTIFIES, SET, STATUS("New", "0", "1", "1"),
		      "S: $T OK set", IDLE, "H:"));
	const struct watch_options o = {.burst_ms = 1};
	struct imap *im = watching(s, &o);

	(void)state;
	server_go(s);
	told_wait_folders(2);
	wait_state(im, "notify");
	account_end(im, s);
	assert_string_equal(told().names, "New ");
}

/* Or STATUS lines of other mailboxes would get among its answers. */
static void notify_is_taken_back_for_a_job(void **state)
{
	struct server *s = SERVER(STEPS(
		NOTIFIES, SET_TWO, IDLE, "C: DONE", "C: NOTIFY NONE",
		"S: A4 OK idle is over",
		"S: * STATUS Work (MESSAGES 3 "
		"UIDNEXT 21 HIGHESTMODSEQ 201)",
		"S: $T OK none", EXAMINE("0"), WATCH("3", "100", "5"), SET,
		STATUS("Work", "3", "21", "201"),
		STATUS("Play", "1", "10", "101"), "S: $T OK set", IDLE, "H:"));
	struct imap *im = watching(s, &plain);
	struct seen seen = {0};

	(void)state;
	wait_state(im, "notify");
	seen_list(im, &seen, 0);
	seen_wait(&seen);
	told_wait_moved(2); /* the second one may have been told by now */
	wait_state(im, "notify");
	account_end(im, s);
	assert_string_equal(told().names, "Work Play ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_mailboxes_are_watched),
		cmocka_unit_test(what_is_told_twice_is_told_once),
		cmocka_unit_test(a_mailbox_without_status_is_no_news),
		cmocka_unit_test(status_without_modseq_is_news),
		cmocka_unit_test(changes_of_names_are_told),
		cmocka_unit_test(a_name_that_is_free_can_come_again),
		cmocka_unit_test(the_begin_is_told_with_its_numbers),
		cmocka_unit_test(a_server_that_refuses_notify_idles),
		cmocka_unit_test(after_an_overflow_notify_is_set_again),
		cmocka_unit_test(overflows_in_a_row_are_given_time),
		cmocka_unit_test(gaps_are_seen_in_all_mailboxes),
		cmocka_unit_test(names_that_came_and_went_in_a_gap_are_told),
		cmocka_unit_test(notify_is_taken_back_for_a_job),
		cmocka_unit_test(notify_is_renewed_with_idle),
		cmocka_unit_test(
			notify_is_renewed_soon_when_it_may_have_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
