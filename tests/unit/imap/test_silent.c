/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "watch_scene.h"

/*
 * A network that lets one connection through, or a few, and drops what else
 * is sent: whoever asks for more waits for nothing.
 */

#define WATCHES WATCH("3", "100", "5"), IDLE
#define EMPTY(name)                                                            \
	"C: EXAMINE " name, "S: * 0 EXISTS", "S: * OK [UIDVALIDITY 7] ok",     \
		"S: $T OK done"

static void listed(struct imap *im, const char *wire)
{
	struct seen seen = {0};

	(void)seen_list_of(im, wire, &seen);
	seen_wait(&seen);
	assert_int_equal(seen.result, 0);
}

/* The first connection watches; each mailbox would have one of its own. */
static void what_does_not_come_is_not_waited_for(void **state)
{
	const struct watch_options o = {
		.connections = 3, .near_ms = 1, .quiet_ms = 1};
	struct server *s = SERVER(STEPS(LOGIN_WITH("IDLE"), WATCHES, LEAVE,
					EMPTY("\"Work\""), WATCHES, LEAVE,
					EMPTY("\"Play\""), WATCHES),
				  STEPS("H:"));
	struct imap *im = watching(s, &o);

	(void)state;
	wait_state(im, "idle");
	listed(im, "Work");
	wait_state(im, "idle");
	listed(im, "Play");
	wait_state(im, "idle");
	wait_state(im, "connecting");
	assert_int_equal(server_connections(s), 2);
	account_end(im, s);
}

/* For as long as it may well come it is. */
static void what_may_come_is_waited_for(void **state)
{
	const struct watch_options o = {.connections = 3, .quiet_ms = 1};
	struct server *s = SERVER(STEPS(LOGIN_WITH("IDLE"), EMPTY("\"Work\"")),
				  STEPS("W:", LOGIN_WITH("IDLE"), WATCHES));
	struct imap *im = watching(s, &o);

	(void)state;
	wait_state(im, "connecting");
	listed(im, "Work");
	wait_no_state(im, "idle");
	server_go(s);
	wait_state(im, "idle");
	account_end(im, s);
}

static void it_is_tried_again_later(void **state)
{
	const struct watch_options o = {
		.connections = 4, .quiet_ms = 1, .extra_ms = 3600000};
	struct server *s = SERVER(STEPS(LOGIN_WITH("IDLE"), WATCHES, LEAVE,
					EMPTY("\"Work\""), WATCHES, LEAVE,
					EMPTY("\"Play\""), WATCHES),
				  STEPS("X:"), STEPS("X:"), STEPS("X:"));
	struct imap *im = watching(s, &o);

	(void)state;
	wait_state(im, "idle");
	listed(im, "Work");
	wait_state(im, "idle");
	listed(im, "Play");
	wait_state(im, "idle");
	assert_int_equal(server_connections(s), 2);

	/* Later each time, but within a minute. */
	lock_take(&im->lock);
	for (int i = 0; i < 100; i++)
		keeper_put_off_extra_locked(im);
	assert_in_range(im->extra_at_ms - clock_now_ms(),
			POOL_BACKOFF_MAX_MS / 2, POOL_BACKOFF_MAX_MS);
	lock_drop(&im->lock);
	account_end(im, s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_does_not_come_is_not_waited_for),
		cmocka_unit_test(what_may_come_is_waited_for),
		cmocka_unit_test(it_is_tried_again_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
