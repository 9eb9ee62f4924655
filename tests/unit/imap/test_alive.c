/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imap/alive.h"
#include "watch_scene.h"

/* Connections that are dead without a sign, and how they are found out. */

static atomic_int asleep;
static atomic_uint looks;

/* The machine was asleep for so long. */
static int64_t asleep_ms(void)
{
	int64_t ms = atomic_load(&asleep);

	atomic_fetch_add(&looks, 1);
	return ms;
}

/* It sleeps once more; somebody has looked before, and so can tell. */
static void sleep_long(void)
{
	unsigned before = atomic_load(&looks);
	int64_t until_ms = clock_now_ms() + PATIENCE_MS;

	while (atomic_load(&looks) == before)
		wait_a_bit(until_ms);
	atomic_fetch_add(&asleep, 2 * 3600000);
}

#define EMPTY(name)                                                            \
	"C: EXAMINE " name, "S: * 0 EXISTS", "S: * OK [UIDVALIDITY 7] ok",     \
		"S: $T OK done"

/* The watcher has the second connection; a job on the first one hangs. */
static void a_time_out_probes_the_others(void **state)
{
	const struct watch_options o = {.connections = 2, .doubt_ms = 50};
	struct server *s = SERVER(
		STEPS(LOGIN, "C: EXAMINE \"Work\"", "M:", "H:"),
		STEPS(LOGIN_WITH("IDLE"), WATCH("3", "100", "5"), IDLE,
		      "C: DONE", "H:"),
		STEPS(LOGIN_WITH("IDLE"), WATCH("4", "101", "6"), IDLE, "H:"));
	struct imap *im = watching(s, &o);
	struct seen seen = {0};

	(void)state;
	wait_state(im, "idle");
	(void)seen_list_of(im, "Work", &seen);
	server_wait(s);
	/* This one logs in again, too. */
	account_hurry(im, 0, 500);
	seen_wait(&seen);
	assert_int_equal(seen.result, -ETIMEDOUT);
	/* The one that watched is dead too: a new one sees what it missed. */
	told_wait_moved(1);
	wait_state(im, "idle");
	account_end(im, s);
}

static void a_connection_that_answers_the_probe_lives(void **state)
{
	const struct watch_options o = {.connections = 2};
	struct server *s =
		SERVER(STEPS(LOGIN, "C: EXAMINE \"Work\"", "M:", "H:"),
		       STEPS(LOGIN_WITH("IDLE"), WATCH("3", "100", "5"), IDLE,
			     LEAVE, IDLE, "S: * 4 EXISTS", "H:"));
	struct imap *im = watching(s, &o);
	struct seen seen = {0};

	(void)state;
	wait_state(im, "idle");
	(void)seen_list_of(im, "Work", &seen);
	server_wait(s);
	account_hurry(im, 0, 50);
	seen_wait(&seen);
	told_wait_moved(1);
	account_end(im, s);
	assert_int_equal(account_offline(), 0);
}

/* The second one is still being made: what takes both is one loss. */
static void a_loss_takes_who_is_connecting_along(void **state)
{
	struct server *s = SERVER(
		STEPS(LOGIN, "C: EXAMINE \"Work\"", "W:", "X:"),
		STEPS("V:", "X:"),
		STEPS(LOGIN, EMPTY("\"Work\""), EMPTY("\"Play\""), "H:"));
	struct imap *im = account_connected(s, 2);
	struct seen work = {0}, play = {0};

	(void)state;
	(void)seen_list_of(im, "Work", &work);
	(void)seen_list_of(im, "Play", &play);
	wait_state(im, "connecting");
	server_go(s);
	wait_state(im, "closed");
	server_go_too(s);
	seen_wait(&work);
	seen_wait(&play);
	account_end(im, s);
	assert_int_equal(work.result, 0);
	assert_int_equal(play.result, 0);
}

/* It is silent, as an idle one may be; the reader comes right behind. */
static void sleep_probes_what_is_idle(void **state)
{
	const struct watch_options o = {
		.connections = 1,
		.tick_ms = 20,
		.awake_ms = 50,
		.asleep_ms = asleep_ms,
	};
	struct server *s =
		SERVER(STEPS(LOGIN_WITH("IDLE"), WATCH("3", "100", "5"), IDLE,
			     "C: DONE", "H:"),
		       STEPS(LOGIN, EMPTY("\"Work\""), "H:"));
	struct imap *im = watching(s, &o);
	struct seen seen = {0};

	(void)state;
	wait_state(im, "idle");
	sleep_long();
	(void)seen_list_of(im, "Work", &seen);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(seen.result, 0);
}

static void sleep_probes_who_waits_for_an_answer(void **state)
{
	struct server *s =
		SERVER(STEPS(LOGIN, "C: EXAMINE \"Work\"", "M:", "H:"),
		       STEPS(LOGIN, EMPTY("\"Work\""), "H:"));
	const struct account_options o = {.tls = IMAP_TLS_NONE};
	struct imap *im = account_new(s, &o);
	struct imap_error why;
	struct seen seen = {0};

	(void)state;
	im->tick_ms = 20;
	im->awake_ms = 50;
	im->asleep_ms = asleep_ms;
	assert_int_equal(imap_connect(im, &why), 0);
	(void)seen_list_of(im, "Work", &seen);
	server_wait(s);
	sleep_long();
	seen_wait(&seen); /* repeated on a new connection */
	account_end(im, s);
	assert_int_equal(seen.result, 0);
}

/*
 * Every look at the clocks comes too late here, as after a SIGSTOP. Who answers
 * in time lives; what becomes of others is tested above.
 */
static void a_stopped_process_probes(void **state)
{
	const struct watch_options o = {
		.tick_ms = 50, .late_ms = -1, .awake_ms = 3600000};
	struct server *s =
		SERVER(STEPS(LOGIN_WITH("IDLE"), WATCH("3", "100", "5"), IDLE,
			     LEAVE, IDLE, LEAVE, IDLE, "C: DONE", "M:", "H:"));
	struct imap *im = watching(s, &o);

	(void)state;
	server_wait(s);
	account_end(im, s);
	assert_int_equal(account_online(), 1);
}

/* Nobody listened meanwhile: the answer may be there, or on its way. */
static void a_wait_that_was_too_long_is_no_time_out(void **state)
{
	const struct account_options o = {.tls = IMAP_TLS_NONE};
	struct server *s =
		SERVER(STEPS(LOGIN, "C: EXAMINE \"Work\"", "L: 500",
			     "S: * 0 EXISTS", "L: 0", "S: $T OK done"));
	struct imap *im = account_new(s, &o);
	struct imap_error why;
	struct seen seen = {0};

	(void)state;
	assert_int_equal(imap_connect(im, &why), 0);
	im->conn[0].session.late_ms = -1; /* each wait is too long */
	account_hurry(im, 0, 50);
	(void)seen_list_of(im, "Work", &seen);
	seen_wait(&seen);
	assert_int_equal(seen.result, 0);
	account_end(im, s);
}

static bool is_doubted(struct imap *im, unsigned i)
{
	bool r;

	lock_take(&im->lock);
	r = im->conn[i].doubted;
	lock_drop(&im->lock);
	return r;
}

/* Those that are doubted take nothing, where there is another way. */
static void a_job_does_not_wait_for_the_doubted(void **state)
{
	const struct watch_options o = {
		.connections = 3,
		.tick_ms = 20,
		.awake_ms = 3600000,
		.asleep_ms = asleep_ms,
	};
	struct server *s =
		SERVER(STEPS(LOGIN, EMPTY("\"Work\""), "C: NOOP", "N:"),
		       STEPS(LOGIN_WITH("IDLE"), WATCH("3", "100", "5"), IDLE,
			     "C: DONE", "N:"),
		       STEPS(LOGIN, EMPTY("\"Work\""), "N:"));
	struct imap *im = watching(s, &o);
	int64_t until_ms = clock_now_ms() + PATIENCE_MS;
	struct seen seen = {0};
	struct seen next = {0};

	(void)state;
	wait_state(im, "idle");
	(void)seen_list_of(im, "Work", &seen);
	seen_wait(&seen);
	sleep_long();
	while (!is_doubted(im, 0) || !is_doubted(im, 1))
		wait_a_bit(until_ms);
	(void)seen_list_of(im, "Work", &next);
	seen_wait(&next);
	assert_int_equal(server_connections(s), 3);
	account_end(im, s);
	assert_int_equal(next.result, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_time_out_probes_the_others),
		cmocka_unit_test(a_connection_that_answers_the_probe_lives),
		cmocka_unit_test(a_loss_takes_who_is_connecting_along),
		cmocka_unit_test(sleep_probes_what_is_idle),
		cmocka_unit_test(sleep_probes_who_waits_for_an_answer),
		cmocka_unit_test(a_stopped_process_probes),
		cmocka_unit_test(a_wait_that_was_too_long_is_no_time_out),
		cmocka_unit_test(a_job_does_not_wait_for_the_doubted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
