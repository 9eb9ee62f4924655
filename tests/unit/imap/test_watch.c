/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "watch_scene.h"

/*
 * The watcher on a connection: what counts as news, what IDLE may do to us,
 * and that no gap swallows anything. Where it sits is in test_watch_pool.c.
 */

static const struct watch_options plain = {0};

static void a_change_is_told(const char *line)
{
	struct server *s =
		SERVER(STEPS(LOGIN_WITH("IDLE"), WATCH("3", "100", "5"), IDLE,
			     "W:", line, "H:"));
	struct imap *im = watching(s, &plain);
	int64_t since_ms = 0;

	wait_state(im, "idle");
	assert_int_equal(told().moved, 0);
	assert_string_equal(told().begun, "INBOX:3 ");
	assert_int_equal(imap_watched(im, "INBOX", &since_ms),
			 IMAP_WATCHED_IDLE);
	assert_true(since_ms > 0 && since_ms <= clock_now_ms());
	assert_int_equal(imap_watched(im, "Other", &since_ms),
			 IMAP_WATCHED_NOT);
	server_go(s);
	told_wait_moved(1);
	account_end(im, s);
	assert_int_equal(told().moved, 1);
	assert_string_equal(told().last, "INBOX");
	assert_int_equal(told().folders, 0);
}

static void changes_of_the_watched_mailbox_are_told(void **state)
{
	(void)state;
	a_change_is_told("S: * 4 EXISTS");
	a_change_is_told("S: * 1 EXPUNGE");
	a_change_is_told("S: * VANISHED 98:99");
	a_change_is_told("S: * 2 FETCH (FLAGS (\\Seen))");
	/* One that came and went, and was never seen here. */
	a_change_is_told("S: * OK [HIGHESTMODSEQ 7] Highest");
}

/* Also the first one: it may have to wait for nobody. */
static void a_burst_is_told_once(void **state)
{
	const struct watch_options o = {.burst_ms = 3600000};
	struct server *s =
		SERVER(STEPS(LOGIN_WITH("IDLE"), WATCH("3", "100", "5"), IDLE,
			     "S: * 4 EXISTS", "W:", "S: * 5 EXISTS",
			     "S: * 1 EXPUNGE", "S: * 2 FETCH (FLAGS ())",
			     "C: DONE", "S: $T OK over", EXAMINE("0")));
	struct imap *im = watching(s, &o);
	struct seen seen = {0};

	(void)state;
	told_wait_moved(1);
	server_go(s);
	/* To make room, it tells the rest: nothing is kept back for later. */
	seen_list(im, &seen, 0);
	seen_wait(&seen);
	assert_int_equal(told().moved, 2);
	account_end(im, s);
}

static void the_end_of_a_burst_is_told(void **state)
{
	const struct watch_options o = {.burst_ms = 50};
	struct server *s =
		SERVER(STEPS(LOGIN_WITH("IDLE"), WATCH("3", "100", "5"), IDLE,
			     "S: * 4 EXISTS", "W:", "S: * 5 EXISTS", "H:"));
	struct imap *im = watching(s, &o);

	(void)state;
	told_wait_moved(1);
	server_go(s);
	told_wait_moved(2);
	account_end(im, s);
}

static void what_is_known_is_no_news(void **state)
{
	struct server *s = SERVER(STEPS(
		LOGIN_WITH("IDLE"), WATCH("3", "100", "5"), IDLE,
		"S: * 3 EXISTS", "S: * 0 RECENT", "S: * OK Still here",
		"S: * OK [HIGHESTMODSEQ 5] Highest", LEAVE, EXAMINE("0")));
	struct imap *im = watching(s, &plain);
	struct seen seen = {0};

	(void)state;
	wait_state(im, "idle");
	seen_list(im, &seen, 0);
	seen_wait(&seen);
	assert_int_equal(told().moved, 0);
	account_end(im, s);
}

static void news_may_come_before_idle_is_granted(void **state)
{
	struct server *s = SERVER(STEPS(
		LOGIN_WITH("IDLE"), WATCH("3", "100", "5"), "C: IDLE",
		"S: * 4 EXISTS", "W:", "S: + idling", LEAVE, EXAMINE("0")));
	struct imap *im = watching(s, &plain);
	struct seen seen = {0};

	(void)state;
	told_wait_moved(1);
	seen_list(im, &seen, 0); /* DONE waits for the `+` */
	server_go(s);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(seen.result, 0);
}

static void news_between_done_and_its_answer_are_told(void **state)
{
	struct server *s = SERVER(STEPS(
		LOGIN_WITH("IDLE"), WATCH("3", "100", "5"), IDLE, "C: DONE",
		"S: * 1 EXPUNGE", "S: $T OK over", EXAMINE("0")));
	struct imap *im = watching(s, &plain);
	struct seen seen = {0};

	(void)state;
	wait_state(im, "idle");
	seen_list(im, &seen, 0);
	seen_wait(&seen);
	assert_int_equal(told().moved, 1);
	account_end(im, s);
}

static void idle_begins_anew_in_time(void **state)
{
	const struct watch_options o = {.renew_ms = 30};
	struct server *s = SERVER(
		STEPS(LOGIN_WITH("IDLE"), WATCH("3", "100", "5"), IDLE, LEAVE,
		      IDLE, LEAVE, IDLE, "S: * 4 EXISTS", "C: DONE", "H:"));
	struct imap *im = watching(s, &o);

	(void)state;
	told_wait_moved(1);
	account_end(im, s);
}

/* The time-out is for who waits for an answer. */
static void idle_may_be_silent(void **state)
{
	struct server *s =
		SERVER(STEPS(LOGIN_WITH("IDLE"), WATCH("3", "100", "5"), IDLE,
			     "W:", "L: 500", "S: * 4 EXISTS", "H:"));
	struct imap *im = watching(s, &plain);

	(void)state;
	wait_state(im, "idle");
	account_hurry(im, 0, 100);
	server_go(s);
	told_wait_moved(1);
	account_end(im, s);
	assert_int_equal(account_online(), 1);
}

static void a_server_without_idle_is_polled(void **state)
{
	const struct watch_options o = {.noop_ms = 30};
	struct server *s = SERVER(STEPS(
		LOGIN_WITH("X"), WATCH("3", "100", "5"), "C: NOOP", "S: $T OK",
		"C: NOOP", "S: * 4 EXISTS", "S: $T OK", "C: NOOP",
		"W:", "S: * 1 FETCH (FLAGS ())", "S: $T OK", "H:"));
	struct imap *im = watching(s, &o);

	(void)state;
	told_wait_moved(1);
	wait_state(im, "poll");
	server_go(s);
	told_wait_moved(2);
	account_end(im, s);
}

static void idle_that_is_refused_becomes_polling(void **state)
{
	const struct watch_options o = {.noop_ms = 30};
	static const char *const words[] = {"S: $T NO not today",
					    "S: $T BAD what?"};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct server *s =
			SERVER(STEPS(LOGIN_WITH("IDLE"), WATCH("3", "100", "5"),
				     "C: IDLE", words[i], "C: NOOP",
				     "S: * 4 EXISTS", "S: $T OK", "H:"));
		struct imap *im = watching(s, &o);

		told_wait_moved(1);
		account_end(im, s);
	}
}

static void idle_that_ends_at_once_becomes_polling(void **state)
{
	const struct watch_options o = {.noop_ms = 30};
	struct server *s = SERVER(STEPS(
		LOGIN_WITH("IDLE"), WATCH("3", "100", "5"), IDLE,
		"S: $T OK over", "C: IDLE", "S: $T OK over", IDLE,
		"S: $T OK over", "C: NOOP", "S: * 4 EXISTS", "S: $T OK", "H:"));
	struct imap *im = watching(s, &o);

	(void)state;
	told_wait_moved(1);
	account_end(im, s);
}

/* Each of these tries cost a login. */
static void idle_that_costs_the_connection_becomes_polling(void **state)
{
	const struct watch_options o = {.noop_ms = 30};
	const script cut =
		STEPS(LOGIN_WITH("IDLE"), WATCH("3", "100", "5"), IDLE, "X:");
	struct server *s =
		SERVER(cut, cut, cut,
		       STEPS(LOGIN_WITH("IDLE"), WATCH("3", "100", "5"),
			     "C: NOOP", "S: * 4 EXISTS", "S: $T OK", "H:"));
	struct imap *im = watching(s, &o);

	(void)state;
	told_wait_moved(1);
	account_end(im, s);
}

static void idle_that_is_never_granted_times_out(void **state)
{
	struct server *s = SERVER(
		STEPS(LOGIN_WITH("IDLE"), WATCH("3", "100", "5"), "C: IDLE",
		      "M:", "D: * OK not yet"),
		STEPS(LOGIN_WITH("IDLE"), WATCH("4", "101", "6"), IDLE, "H:"));
	struct imap *im = watching(s, &plain);

	(void)state;
	server_wait(s);
	account_hurry(im, 0, 100);
	told_wait_moved(1);
	wait_state(im, "idle");
	account_end(im, s);
}

/* --- gaps --- */

/* The connection ends in IDLE; the next one sees these numbers. */
static unsigned told_after_a_loss(const char *const *before,
				  const char *const *after)
{
	/* Shorter than it takes to connect again: what follows is told apart.
	 */
	const struct watch_options o = {.burst_ms = 1};
	struct server *s = SERVER(before, after);
	struct imap *im = watching(s, &o);
	struct told t;

	wait_state(im, "idle");
	server_go(s);
	wait_online(2);
	wait_state(im, "idle");
	t = told();
	account_end(im, s);
	return t.moved;
}

#define BEFORE(...)                                                            \
	STEPS(LOGIN_WITH("IDLE"), __VA_ARGS__, IDLE, "W:", "S: * BYE later",   \
	      "X:")
#define AFTER(...) STEPS(LOGIN_WITH("IDLE"), __VA_ARGS__, IDLE, "H:")

static void the_same_numbers_after_a_gap_are_no_news(void **state)
{
	(void)state;
	assert_int_equal(told_after_a_loss(BEFORE(WATCH("3", "100", "5")),
					   AFTER(WATCH("3", "100", "5"))),
			 0);
}

static void any_other_number_after_a_gap_is_news(void **state)
{
	static const char *const anew[] = {
		GREETING,
		"C: AUTHENTICATE PLAIN",
		"S: $T OK [CAPABILITY IMAP4rev1 IDLE] in",
		"C: EXAMINE INBOX",
		"S: * 3 EXISTS",
		"S: * OK [UIDVALIDITY 8] ok",
		"S: * OK [UIDNEXT 100] ok",
		"S: * OK [HIGHESTMODSEQ 5] ok",
		"S: $T OK done",
		"C: IDLE",
		"S: + idling",
		"H:",
		NULL};

	(void)state;
	assert_int_equal(told_after_a_loss(BEFORE(WATCH("3", "100", "5")),
					   AFTER(WATCH("2", "100", "5"))),
			 1);
	assert_int_equal(told_after_a_loss(BEFORE(WATCH("3", "100", "5")),
					   AFTER(WATCH("3", "101", "5"))),
			 1);
	assert_int_equal(told_after_a_loss(BEFORE(WATCH("3", "100", "5")),
					   AFTER(WATCH("3", "100", "6"))),
			 1);
	assert_int_equal(
		told_after_a_loss(BEFORE(WATCH("3", "100", "5")), anew), 1);
}

/* Flags leave no trace in them without HIGHESTMODSEQ. */
static void numbers_that_do_not_tell_are_news(void **state)
{
	(void)state;
	assert_int_equal(
		told_after_a_loss(BEFORE(EXAMINE("3")), AFTER(EXAMINE("3"))),
		1);
	/* Once more: after news, HIGHESTMODSEQ was not known any more. */
	assert_int_equal(told_after_a_loss(STEPS(LOGIN_WITH("IDLE"),
						 WATCH("3", "100", "5"), IDLE,
						 "S: * 4 EXISTS",
						 "W:", "S: * BYE later", "X:"),
					   AFTER(WATCH("4", "101", "6"))),
			 2);
}

/* Not ever more slowly: nobody else would ask what moves in it. */
static void no_loss_is_waited_out_for_longer_than_noop_would(void **state)
{
	const struct watch_options o = {.noop_ms = 20};
	const script cut = STEPS(LOGIN_WITH("X"), WATCH("3", "100", "5"), "X:");
	struct server *s =
		SERVER(cut, cut, cut, cut, cut, cut, cut, cut, cut, cut, cut,
		       cut, cut, cut, cut, cut,
		       STEPS(LOGIN_WITH("X"), WATCH("4", "101", "6"), "H:"));
	struct imap *im = watching(s, &o);

	(void)state;
	told_wait_moved(1);
	account_end(im, s);
}

static void a_mailbox_that_cannot_be_opened_is_tried_again(void **state)
{
	struct server *s = SERVER(STEPS(LOGIN_WITH("IDLE"), "C: EXAMINE INBOX",
					"S: $T NO [NONEXISTENT] none",
					WATCH("3", "100", "5"), IDLE,
					"S: * 4 EXISTS", "H:"));
	struct imap *im = watching(s, &plain);

	(void)state;
	told_wait_moved(1);
	account_end(im, s);
}

/* In one packet: a server that goes down. */
static void a_refusal_with_a_bye_ends_no_watch(void **state)
{
	struct server *s = SERVER(
		STEPS(LOGIN_WITH("IDLE"), "C: EXAMINE INBOX",
		      "P: $T NO [UNAVAILABLE] not now", "S: * BYE down", "X:"),
		STEPS(LOGIN_WITH("IDLE"), WATCH("3", "100", "5"), IDLE,
		      "S: * 4 EXISTS", "H:"));
	struct imap *im = watching(s, &plain);

	(void)state;
	told_wait_moved(1);
	account_end(im, s);
}

static void only_one_watcher_and_only_of_a_mailbox(void **state)
{
	static const struct imap_watch_ops none = {NULL, NULL};
	const struct account_options o = {.tls = IMAP_TLS_NONE};
	struct server *s = SERVER(STEPS(LOGIN));
	struct imap *im = account_new(s, &o);

	(void)state;
	assert_int_equal(imap_watch(im, "a\r\nb", &none, NULL), -EINVAL);
	assert_int_equal(imap_watch(im, "Work", &none, NULL), 0);
	assert_int_equal(imap_watch(im, "INBOX", &none, NULL), -EINVAL);
	account_free(im);
	server_stop(s);
}

/* Two sessions open an INBOX that Dovecot has yet to make: one is refused. */
static void a_mailbox_that_is_just_being_made_is_opened_at_once(void **state)
{
	struct server *s = SERVER(
		STEPS(LOGIN_WITH("IDLE"), "C: EXAMINE INBOX",
		      "S: $T NO [ALREADYEXISTS] Mailbox already exists",
		      WATCH("3", "100", "5"), IDLE, "S: * 4 EXISTS", "H:"));
	struct imap *im = watching(s, &plain);

	(void)state;
	told_wait_moved(1);
	account_end(im, s);
	assert_string_equal(told().begun, "INBOX:3 ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_mailbox_that_is_just_being_made_is_opened_at_once),
		cmocka_unit_test(changes_of_the_watched_mailbox_are_told),
		cmocka_unit_test(a_burst_is_told_once),
		cmocka_unit_test(the_end_of_a_burst_is_told),
		cmocka_unit_test(what_is_known_is_no_news),
		cmocka_unit_test(news_may_come_before_idle_is_granted),
		cmocka_unit_test(news_between_done_and_its_answer_are_told),
		cmocka_unit_test(idle_begins_anew_in_time),
		cmocka_unit_test(idle_may_be_silent),
		cmocka_unit_test(a_server_without_idle_is_polled),
		cmocka_unit_test(idle_that_is_refused_becomes_polling),
		cmocka_unit_test(idle_that_ends_at_once_becomes_polling),
		cmocka_unit_test(
			idle_that_costs_the_connection_becomes_polling),
		cmocka_unit_test(idle_that_is_never_granted_times_out),
		cmocka_unit_test(the_same_numbers_after_a_gap_are_no_news),
		cmocka_unit_test(any_other_number_after_a_gap_is_news),
		cmocka_unit_test(numbers_that_do_not_tell_are_news),
		cmocka_unit_test(
			no_loss_is_waited_out_for_longer_than_noop_would),
		cmocka_unit_test(
			a_mailbox_that_cannot_be_opened_is_tried_again),
		cmocka_unit_test(a_refusal_with_a_bye_ends_no_watch),
		cmocka_unit_test(only_one_watcher_and_only_of_a_mailbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
