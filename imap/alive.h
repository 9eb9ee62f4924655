/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How a session knows that its connection is alive, and how it idles.
 *
 * A connection may be dead without a sign: a router has forgotten it, the
 * computer was asleep, or something on the way acknowledges what nobody reads.
 * Only an answer of the server tells. While commands are in flight the
 * account's time-out watches over them; a connection that waits for nothing is
 * probed when there is reason to doubt it.
 *
 * Idling (IDLE, RFC 2177) is a command without an answer until we end it:
 *
 *   asked --`+`--> idling --session_end_idle()--> ending --tagged--> over
 *     |                                              ^
 *     +-- session_end_idle(): DONE follows the `+` --+
 *
 * Asked and ending are waits for the server like any other, idling is none.
 * The server may end it by itself at any time, by its tagged answer.
 *
 * All of this belongs to the session's thread.
 */
#ifndef IMAPFS_IMAP_ALIVE_H
#define IMAPFS_IMAP_ALIVE_H

#include "imap/session.h"

#define ALIVE_PROBE_MS                                                         \
	5000 /* after the process, or the machine, was stopped                 \
	      */
#define ALIVE_LATE_MS                                                          \
	5000 /* a wait so much longer than asked for tells that                \
	      */

/*
 * Begin to idle; nothing may be in flight, and nothing else may be sent until
 * session_end_idle(). Errors are those of session_send().
 */
MUST_CHECK int session_idle(struct session *s, const struct call *call);

/* Is the server waiting for our DONE? */
bool session_is_idle(const struct session *s);

/* End it, as soon as the server has said `+`. No effect if it does not idle. */
void session_end_idle(struct session *s);

/*
 * Doubt the connection: if no byte comes within `ms`, it is lost (-ENOTCONN).
 * What has come already does not count. A connection that waits for nothing is
 * made to answer: IDLE is ended, or NOOP is sent.
 */
void session_probe(struct session *s, int64_t ms);
bool session_is_probed(const struct session *s);

/* --- for session_step() --- */

/* Until when may it wait? */
int64_t alive_deadline(const struct session *s);

/* Bytes came. */
void alive_heard(struct session *s);

/* Bytes of a message went out: a sign of life, which puts a doubt off. */
void alive_sent(struct session *s);

/*
 * It has waited until `until_ms`, at least it meant to; `nothing` happened.
 * Negative: the connection is lost.
 */
MUST_CHECK int alive_check(struct session *s, int64_t until_ms, bool nothing);

#endif
