/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "watch_scene.h"

/*
 * The watcher among the connections: it has one of its own where there may be
 * several, makes room where there is none for others, and comes back.
 */

#define WATCHES LOGIN_WITH("IDLE"), WATCH("3", "100", "5"), IDLE
#define EMPTY(name)                                                            \
	"C: EXAMINE " name, "S: * 0 EXISTS", "S: * OK [UIDVALIDITY 7] ok",     \
		"S: $T OK done"

static void start_list(struct imap *im, const char *wire, struct seen *seen,
		       enum imap_priority prio)
{
	const struct imap_list_request req = {0};
	imap_job job;

	assert_int_equal(
		imap_list(im, wire, prio, &req, &seen_list_ops, seen, &job), 0);
}

static void list(struct imap *im, const char *wire, enum imap_priority prio)
{
	struct seen seen = {0};

	start_list(im, wire, &seen, prio);
	seen_wait(&seen);
	assert_int_equal(seen.result, 0);
}

static void the_only_connection_is_for_every_job(void **state)
{
	const struct watch_options plain = {0};
	struct server *s = SERVER(STEPS(WATCHES, LEAVE, EMPTY("\"Work\""),
					WATCH("3", "100", "5"), IDLE, LEAVE,
					EMPTY("INBOX"), WATCH("3", "100", "5"),
					IDLE, "S: * 4 EXISTS", "H:"));
	struct imap *im = watching(s, &plain);

	(void)state;
	wait_state(im, "idle");
	list(im, "Work", IMAP_PRIO_PREFETCH);
	wait_state(im, "idle");
	list(im, "INBOX", IMAP_PRIO_LISTING);
	told_wait_moved(1);
	account_end(im, s);
	assert_int_equal(told().moved, 1);
}

/* It would cost two round trips in front of each of a row of questions. */
static void it_does_not_come_back_between_two_jobs(void **state)
{
	const struct watch_options plain = {0};
	struct server *s = SERVER(STEPS(WATCHES, LEAVE, EMPTY("\"Work\""),
					EMPTY("\"Work\""), EMPTY("\"A\"")));
	struct imap *im = watching(s, &plain);

	(void)state;
	wait_state(im, "idle");
	lock_take(&im->lock);
	im->quiet_ms = 3600000;
	lock_drop(&im->lock);
	list(im, "Work", IMAP_PRIO_LISTING);
	list(im, "Work", IMAP_PRIO_LISTING);
	list(im, "A", IMAP_PRIO_SYNC);
	account_end(im, s);
}

/* Who waited for it has something to ask, which comes a moment later. */
static void a_fresh_connection_is_left_to_others_first(void **state)
{
	const struct watch_options o = {.quiet_ms = 3600000};
	struct server *s =
		SERVER(STEPS(LOGIN_WITH("IDLE"), EMPTY("\"Work\""), "N:"));
	struct imap *im = watching(s, &o);

	(void)state;
	list(im, "Work", IMAP_PRIO_LISTING);
	account_end(im, s);
}

/*
 * Without HIGHESTMODSEQ a pause may always have hidden something. Each answer
 * to that would be the next pause.
 */
static void pauses_alone_are_no_news_for_long(void **state)
{
	const struct watch_options plain = {0};
	struct server *s = SERVER(STEPS(
		LOGIN_WITH("IDLE"), EXAMINE("3"), IDLE, LEAVE,
		EMPTY("\"Work\""), EXAMINE("3"), IDLE, LEAVE, EMPTY("\"Work\""),
		EXAMINE("3"), IDLE, LEAVE, EMPTY("\"Work\""), EXAMINE("4"),
		IDLE, LEAVE, EMPTY("\"Work\"")));
	struct imap *im = watching(s, &plain);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		wait_state(im, "idle");
		list(im, "Work", IMAP_PRIO_LISTING);
	}
	assert_int_equal(told().moved, 1);
	wait_state(im, "idle");
	list(im, "Work", IMAP_PRIO_LISTING);
	assert_int_equal(told().moved, 2); /* what is seen is news */
	account_end(im, s);
}

static void it_has_a_connection_of_its_own(void **state)
{
	const struct watch_options o = {.connections = 3};
	static const uint32_t four = 4;
	struct server *s = SERVER(
		STEPS(LOGIN, EXAMINE("3"), "C: UID FETCH 4 ", "S: $T OK done",
		      EMPTY("\"Work\""), "C: LIST", "S: * LIST () \"/\" A",
		      "S: $T OK done", EMPTY("INBOX"), "N:"),
		STEPS(WATCHES, "W:", "S: * 4 EXISTS", "C: DONE", "N:"));
	struct imap *im = watching(s, &o);
	struct imap_state st;
	struct seen seen = {0};
	struct seen folders = {0};
	imap_job job;

	(void)state;
	wait_state(im, "idle");
	/* To IDLE nothing can be added, not even for the same mailbox. */
	(void)seen_fetch(im, &seen, &four, 1);
	seen_wait(&seen);
	list(im, "Work", IMAP_PRIO_READER);
	assert_int_equal(imap_list_folders(im, IMAP_PRIO_LISTING,
					   &seen_no_status, &seen_folders_ops,
					   &folders, &job),
			 0);
	seen_wait(&folders);
	list(im, "INBOX", IMAP_PRIO_PREFETCH);
	imap_get_state(im, &st);
	server_go(s);
	told_wait_moved(1);
	assert_int_equal(server_connections(s), 2);
	account_end(im, s);
	assert_int_equal(st.jobs_running, 0);
	assert_int_equal(st.jobs_queued, 0);
	assert_string_equal(st.conn[0].state, "ready");
	assert_string_equal(st.conn[1].state, "idle");
	assert_string_equal(st.conn[1].mailbox, "INBOX");
}

/* A listing that hangs has the first; so there must be another one. */
static void it_waits_for_no_job(void **state)
{
	const struct watch_options o = {.connections = 2};
	struct server *s = SERVER(STEPS(LOGIN, "C: EXAMINE \"Work\"",
					"W:", "S: * 0 EXISTS", "S: $T OK done"),
				  STEPS(WATCHES, "S: * 4 EXISTS", "H:"));
	struct imap *im = watching(s, &o);
	struct seen seen = {0};

	(void)state;
	start_list(im, "Work", &seen, IMAP_PRIO_LISTING);
	told_wait_moved(1);
	server_go(s);
	seen_wait(&seen);
	account_end(im, s);
}

static void it_makes_room_for_who_has_no_other(void **state)
{
	const struct watch_options o = {.connections = 2};
	struct server *s =
		SERVER(STEPS(LOGIN, "C: EXAMINE \"Work\"",
			     "W:", "S: * 0 EXISTS", "S: $T OK done", "H:"),
		       STEPS(WATCHES, LEAVE, EMPTY("\"A\""),
			     WATCH("4", "101", "6"), IDLE, "H:"));
	struct imap *im = watching(s, &o);
	struct seen slow = {0};

	(void)state;
	wait_state(im, "idle");
	start_list(im, "Work", &slow, IMAP_PRIO_LISTING);
	wait_state(im, "busy");
	list(im, "A", IMAP_PRIO_LISTING);
	told_wait_moved(1); /* it is back, and sees what it missed */
	wait_state(im, "idle");
	assert_int_equal(server_connections(s), 2);
	server_go(s);
	seen_wait(&slow);
	account_end(im, s);
}

static void it_makes_no_room_for_the_background(void **state)
{
	const struct watch_options o = {.connections = 2};
	struct server *s = SERVER(STEPS(LOGIN, "C: EXAMINE \"Work\"",
					"W:", "S: * 0 EXISTS", "S: $T OK done",
					EMPTY("\"A\""), "H:"),
				  STEPS(WATCHES, "H:"));
	struct imap *im = watching(s, &o);
	struct seen slow = {0};
	struct seen next = {0};

	(void)state;
	wait_state(im, "idle");
	start_list(im, "Work", &slow, IMAP_PRIO_LISTING);
	wait_state(im, "busy");
	start_list(im, "A", &next, IMAP_PRIO_SYNC);
	server_go(s);
	seen_wait(&slow);
	seen_wait(&next);
	assert_int_equal(next.result, 0);
	account_end(im, s);
}

/* Where the limit is two, one of them may sync and the other one watch. */
static void it_does_not_count_as_background(void **state)
{
	const struct watch_options o = {.connections = 2};
	struct server *s = SERVER(STEPS(LOGIN, EMPTY("\"A\""), "H:"),
				  STEPS(WATCHES, "H:"));
	struct imap *im = watching(s, &o);

	(void)state;
	wait_state(im, "idle");
	list(im, "A", IMAP_PRIO_SYNC);
	wait_state(im, "idle");
	account_end(im, s);
}

static void it_shares_where_the_server_allows_no_more(void **state)
{
	const struct watch_options o = {.connections = 3};
	struct server *s = SERVER(
		STEPS(WATCHES, LEAVE, EMPTY("\"A\""), WATCH("3", "100", "5"),
		      IDLE, LEAVE, EMPTY("INBOX"), WATCH("3", "100", "5"), IDLE,
		      "S: * 4 EXISTS", "H:"),
		STEPS("S: * BYE Too many simultaneous connections", "X:"));
	struct imap *im = watching(s, &o);

	(void)state;
	wait_state(im, "idle");
	list(im, "A", IMAP_PRIO_PREFETCH);
	wait_state(im, "idle");
	list(im, "INBOX", IMAP_PRIO_READER);
	told_wait_moved(1);
	assert_int_equal(server_connections(s), 2);
	account_end(im, s);
}

/* The second one is refused only when a job wants it. */
static void it_gives_way_where_the_server_allows_no_more(void **state)
{
	const struct watch_options o = {.connections = 3};
	struct server *s = SERVER(
		STEPS(LOGIN, "C: EXAMINE \"Work\"", "W:", "S: * 0 EXISTS",
		      "S: $T OK done", "H:"),
		STEPS(WATCHES, LEAVE, EMPTY("\"A\""), WATCH("3", "100", "5"),
		      IDLE, "S: * 4 EXISTS", "H:"),
		STEPS("S: * BYE Too many simultaneous connections", "X:"));
	struct imap *im = watching(s, &o);
	struct seen slow = {0};

	(void)state;
	wait_state(im, "idle");
	start_list(im, "Work", &slow, IMAP_PRIO_LISTING);
	wait_state(im, "busy");
	list(im, "A", IMAP_PRIO_LISTING);
	told_wait_moved(1);
	assert_int_equal(server_connections(s), 3);
	server_go(s);
	seen_wait(&slow);
	account_end(im, s);
}

/* Two are left: one that watches, and one for the next reader. */
static void it_keeps_no_other_connection_open(void **state)
{
	const struct watch_options o = {.connections = 3, .idle_ms = 50};
	struct server *s = SERVER(
		STEPS(LOGIN, "C: EXAMINE \"Work\"", "W:", "S: * 0 EXISTS",
		      "S: $T OK done", EMPTY("\"B\""), "H:"),
		STEPS(WATCHES, "H:"),
		STEPS(LOGIN, EMPTY("\"A\""), "C: LOGOUT", "H:"));
	struct imap *im = watching(s, &o);
	struct seen slow = {0};

	(void)state;
	wait_state(im, "idle");
	start_list(im, "Work", &slow, IMAP_PRIO_LISTING);
	wait_state(im, "busy");
	list(im, "A", IMAP_PRIO_LISTING);
	wait_state(im, "closed");
	server_go(s);
	seen_wait(&slow);
	list(im, "B", IMAP_PRIO_LISTING);
	wait_state(im, "idle");
	assert_int_equal(server_connections(s), 3);
	account_end(im, s);
}

/* Nothing else is left then to read by. */
static void it_keeps_the_last_that_works_open(void **state)
{
	const struct watch_options o = {.connections = 2, .idle_ms = 50};
	struct server *s = SERVER(
		STEPS(LOGIN_WITH("IDLE"), "C: EXAMINE \"Work\"",
		      "W:", "S: * 0 EXISTS", "S: $T OK done",
		      WATCH("3", "100", "5"), IDLE, "C: DONE", "N:"),
		STEPS(WATCHES, LEAVE, "C: EXAMINE \"A\"", "V:", "S: * 0 EXISTS",
		      "S: $T OK done", EMPTY("\"B\""), "N:"));
	struct imap *im = watching(s, &o);
	const struct timespec a_while = {.tv_nsec = 200000000};
	struct seen work = {0};
	struct seen a = {0};

	(void)state;
	wait_state(im, "idle");
	start_list(im, "Work", &work, IMAP_PRIO_LISTING);
	wait_state(im, "busy");
	start_list(im, "A", &a, IMAP_PRIO_LISTING);
	wait_no_state(im, "idle");
	server_go(s);
	seen_wait(&work);
	wait_state(im, "idle"); /* the first connection watches now */
	server_go_too(s);
	seen_wait(&a);
	nanosleep(&a_while, NULL); /* it could only go wrong meanwhile */
	list(im, "B", IMAP_PRIO_LISTING);
	account_end(im, s);
}

/* Two others are there, but both have long work to do. */
static void it_gets_a_third_connection(void **state)
{
	const struct watch_options o = {.connections = 3};
	struct server *s =
		SERVER(STEPS(LOGIN, "C: EXAMINE \"Work\"", "H:"),
		       STEPS(WATCHES, "W:", "S: * BYE later", "X:"),
		       STEPS(LOGIN, "C: EXAMINE \"A\"", "H:"),
		       STEPS(LOGIN_WITH("IDLE"), WATCH("4", "101", "6"), IDLE));
	struct imap *im = watching(s, &o);
	struct seen work = {0};
	struct seen a = {0};
	struct imap_state now;

	(void)state;
	wait_state(im, "idle");
	start_list(im, "Work", &work, IMAP_PRIO_LISTING);
	start_list(im, "A", &a, IMAP_PRIO_LISTING);
	WAIT_STATE(im, now, server_connections(s) >= 3);
	server_go(s);
	told_wait_moved(1);
	wait_state(im, "idle");
	account_end(im, s);
	assert_int_equal(work.result, -ECANCELED);
	assert_int_equal(a.result, -ECANCELED);
}

static void it_says_goodbye(void **state)
{
	const struct watch_options plain = {0};
	struct server *s =
		SERVER(STEPS(WATCHES, "S: * 4 EXISTS", "C: DONE", "C: LOGOUT"));
	struct imap *im = watching(s, &plain);

	(void)state;
	told_wait_moved(1);
	account_end(im, s);
}

static void it_survives_being_offline(void **state)
{
	const struct watch_options plain = {0};
	struct server *s = SERVER(
		STEPS(WATCHES, "W:", "S: * BYE later", "X:"),
		STEPS("S: * BYE not yet", "X:"),
		STEPS(LOGIN_WITH("IDLE"), WATCH("4", "101", "6"), IDLE, "H:"));
	struct imap *im = watching(s, &plain);

	(void)state;
	server_go(s);
	told_wait_moved(1);
	wait_state(im, "idle");
	account_end(im, s);
	assert_int_equal(account_online(), 2);
}

/* All are lost again and again: the line is bad, and the watcher is not. */
static void it_is_back_soon_behind_a_loss_of_all(void **state)
{
	enum { LOSSES = 15 };
	const struct watch_options o = {
		.connections = 2, .quiet_ms = 100, .anew_ms = 10};
	const script other = STEPS(LOGIN, "W:", "S: * BYE later", "X:");
	const script watcher = STEPS(LOGIN_WITH("X"), WATCH("3", "100", "5"),
				     "V:", "S: * BYE later", "X:");
	script scripts[2 * LOSSES + 1] = {NULL};
	struct server *s;
	struct imap *im;

	(void)state;
	for (unsigned i = 0; i < LOSSES; i++) {
		scripts[2 * i] = other;
		scripts[2 * i + 1] = watcher;
	}
	s = server_start(scripts);
	im = watching(s, &o);
	for (unsigned i = 0; i < LOSSES; i++) {
		wait_state(im, "poll");
		server_go(s);
		wait_no_state(im, "ready");
		server_go_too(s);
		wait_no_state(im, "poll");
	}
	account_end(im, s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_only_connection_is_for_every_job),
		cmocka_unit_test(it_does_not_come_back_between_two_jobs),
		cmocka_unit_test(a_fresh_connection_is_left_to_others_first),
		cmocka_unit_test(pauses_alone_are_no_news_for_long),
		cmocka_unit_test(it_has_a_connection_of_its_own),
		cmocka_unit_test(it_waits_for_no_job),
		cmocka_unit_test(it_makes_room_for_who_has_no_other),
		cmocka_unit_test(it_makes_no_room_for_the_background),
		cmocka_unit_test(it_does_not_count_as_background),
		cmocka_unit_test(it_shares_where_the_server_allows_no_more),
		cmocka_unit_test(it_gives_way_where_the_server_allows_no_more),
		cmocka_unit_test(it_keeps_no_other_connection_open),
		cmocka_unit_test(it_keeps_the_last_that_works_open),
		cmocka_unit_test(it_gets_a_third_connection),
		cmocka_unit_test(it_says_goodbye),
		cmocka_unit_test(it_survives_being_offline),
		cmocka_unit_test(it_is_back_soon_behind_a_loss_of_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
