/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/alive.h"

#include "imap/lock.h"
#include "imap/log.h"

#include <errno.h>

/*
 * Time, as one connection sees it. No lock; the thread of the session.
 *
 * A probe first takes what the kernel has buffered, and only then begins to
 * count: bytes that came before the doubt prove nothing.
 *
 * A wait that ends long after its deadline means that this process did not run
 * (SIGSTOP, a machine that swaps itself to death). Then no time-out counts,
 * since nobody listened meanwhile; but the connection is doubted.
 */

int session_idle(struct session *s, const struct call *call)
{
	struct command c;
	int r;

	session_begin(s, &c);
	command_idle(&c);
	s->idle_over = false;
	r = session_send(s, &c, call);
	if (r == 0)
		s->slots[s->n_slots - 1].idle = true;
	return r;
}

bool session_is_idle(const struct session *s)
{
	return s->n_slots == 1 && s->slots[0].idle && s->slots[0].waits > 0 &&
	       !s->idle_over;
}

void session_end_idle(struct session *s)
{
	if (session_is_idle(s))
		s->progress_ms = clock_now_ms(); /* a wait begins */
	s->idle_over = true;
}

void session_probe(struct session *s, int64_t ms)
{
	if (s->probe_at_ms != CLOCK_NEVER) {
		int64_t at = clock_now_ms() + ms;

		if (at < s->probe_at_ms)
			s->probe_at_ms = at;
		return;
	}
	if (s->probe_ms == 0 || ms < s->probe_ms)
		s->probe_ms = ms;
}

bool session_is_probed(const struct session *s)
{
	return s->probe_ms > 0 || s->probe_at_ms != CLOCK_NEVER;
}

static int begin_probe(struct session *s)
{
	static const struct call nobody = {0};
	struct command c;

	log_debug("imap: %s: is the server still there?", s->name);
	s->probe_at_ms = clock_now_ms() + s->probe_ms;
	s->probe_ms = 0;
	if (session_is_idle(s))
		session_end_idle(s);
	if (s->n_slots > 0)
		return 0;
	session_begin(s, &c);
	command_text(&c, "NOOP");
	return session_send(s, &c, &nobody);
}

static int64_t dead_at(const struct session *s)
{
	int64_t since_ms = s->progress_ms;

	if (s->greeted && (s->n_slots == 0 || session_is_idle(s)))
		return CLOCK_NEVER;
	/* Chatter is no `+`, and without it IDLE could never be ended. */
	if (s->n_slots > 0 && s->slots[0].idle && s->slots[0].waits == 0)
		since_ms = s->slots[0].sent_ms;
	return since_ms + atomic_load(&s->timeout_ms);
}

int64_t alive_deadline(const struct session *s)
{
	int64_t dead_ms = dead_at(s);

	if (s->probe_ms > 0)
		return 0; /* see what has come */
	return dead_ms < s->probe_at_ms ? dead_ms : s->probe_at_ms;
}

void alive_heard(struct session *s)
{
	s->progress_ms = clock_now_ms();
	s->probe_at_ms = CLOCK_NEVER;
}

void alive_sent(struct session *s)
{
	int64_t now_ms = clock_now_ms();

	s->progress_ms = now_ms;
	if (s->probe_at_ms != CLOCK_NEVER &&
	    s->probe_at_ms < now_ms + ALIVE_PROBE_MS)
		s->probe_at_ms = now_ms + ALIVE_PROBE_MS;
}

static void stood_still(struct session *s)
{
	log_debug("imap: %s: this process did not run for a while", s->name);
	s->progress_ms = clock_now_ms();
	if (s->n_slots > 0)
		s->slots[0].sent_ms = s->progress_ms;
	if (!s->greeted)
		return;
	s->probe_at_ms = CLOCK_NEVER;
	session_probe(s, ALIVE_PROBE_MS);
}

int alive_check(struct session *s, int64_t until_ms, bool nothing)
{
	int64_t now_ms = clock_now_ms();

	if (s->probe_ms > 0)
		return nothing ? begin_probe(s) : 0;
	if (now_ms - until_ms >= s->late_ms) {
		stood_still(s);
		return 0;
	}
	if (now_ms >= s->probe_at_ms)
		return session_fail(s, -ENOTCONN, FAULT_NETWORK,
				    "the connection to '%s' is dead: the "
				    "server does not answer",
				    s->cfg->host);
	return now_ms >= dead_at(s) ? session_fail_timeout(s) : 0;
}
