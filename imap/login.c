/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/dispatch.h"

#include <errno.h>
#include <string.h>

#include "imap/auth.h"
#include "imap/lock.h"
#include "imap/log.h"

/*
 * From nothing to a session that is logged in: connect, greeting, STARTTLS,
 * capabilities, login. Each step waits for its answer: what was said before
 * TLS is worth nothing behind it (RFC 9051 section 6.2.1), and some servers
 * swallow commands that are pipelined behind LOGIN.
 *
 * Every failure leaves one sentence in s->why.
 */

/*
 * Something was asked for no earlier than then, and has come. The quickest
 * answer is nearest to the round trip, since a server may think long about a
 * password. The time of the TCP handshake does not count: a relay on this
 * machine may have answered it.
 */
static void note_wait(struct session *s, int64_t since_ms)
{
	int64_t ms = clock_now_ms() - since_ms;

	if (ms < s->rtt_ms)
		s->rtt_ms = ms;
}

static int fail_greeting(struct session *s)
{
	if (auth_is_limit(&s->greeting))
		return session_fail(s, -ENOTCONN, FAULT_LIMIT,
				    "the server '%s' allows no more "
				    "connections: %s",
				    s->cfg->host, s->greeting.text);
	return session_fail(s, -ENOTCONN,
			    s->greeting.code == CODE_UNAVAILABLE
				    ? FAULT_LIMIT
				    : FAULT_NETWORK,
			    "the server '%s' turns us away: %s", s->cfg->host,
			    s->greeting.text);
}

static int wait_greeting(struct session *s)
{
	int64_t deadline_ms = clock_now_ms() + atomic_load(&s->timeout_ms);

	s->progress_ms = clock_now_ms();
	while (!s->greeted) {
		int r;

		if (s->ops->stopped(s->ctx))
			return session_fail(s, -ECANCELED, FAULT_NONE,
					    "stopped");
		r = session_step(s, deadline_ms);
		if (r == -EPROTO)
			return session_fail(s, r, FAULT_PROTOCOL,
					    "'%s' port %u is not an IMAP "
					    "server",
					    s->cfg->host, s->cfg->port);
		if (r < 0 && !s->greeted)
			return r;
		if (!s->greeted && clock_now_ms() >= deadline_ms)
			return session_fail_timeout(s);
	}
	if (s->greeting.kind == STATUS_BYE)
		return fail_greeting(s);
	if (s->greeting.kind != STATUS_OK && s->greeting.kind != STATUS_PREAUTH)
		return session_fail(s, -EPROTO, FAULT_PROTOCOL,
				    "'%s' port %u is not an IMAP server",
				    s->cfg->host, s->cfg->port);
	return 0;
}

static int ask(struct session *s, const char *text)
{
	int64_t since_ms = clock_now_ms();
	struct command c;
	int r;

	session_begin(s, &c);
	command_text(&c, "%s", text);
	r = session_ask(s, &c);
	note_wait(s, since_ms);
	return r;
}

static int ask_capabilities(struct session *s)
{
	int r;

	if (s->caps)
		return 0;
	r = ask(s, "CAPABILITY");
	if (r < 0)
		return r;
	if (!s->caps)
		return session_fail(s, -EPROTO, FAULT_PROTOCOL,
				    "the server '%s' does not say what it "
				    "can do: %s",
				    s->cfg->host, s->answer.text);
	return 0;
}

static int shake_hands(struct session *s)
{
	int64_t since_ms = clock_now_ms();
	int r = net_start_tls(s->net, s->tls, s->cfg->host,
			      since_ms + atomic_load(&s->timeout_ms), &s->why);

	note_wait(s, since_ms);
	return r;
}

static int start_tls(struct session *s)
{
	int r;

	/* Who is logged in before TLS may be anybody (RFC 9051 section 11.3).
	 */
	if (s->greeting.kind == STATUS_PREAUTH)
		return session_fail(s, -EPROTO, FAULT_TLS,
				    "the server '%s' says PREAUTH before TLS: "
				    "refused, because anybody could have said "
				    "that",
				    s->cfg->host);
	r = ask_capabilities(s);
	if (r < 0)
		return r;
	if (!session_has(s, CAP_STARTTLS))
		return session_fail(s, -EPROTO, FAULT_TLS,
				    "the server '%s' does not offer STARTTLS",
				    s->cfg->host);
	s->asks_tls = true;
	r = ask(s, "STARTTLS");
	if (r < 0)
		return r;
	if (s->answer.kind != STATUS_OK)
		return session_fail(s, -EPROTO, FAULT_TLS,
				    "the server '%s' refuses STARTTLS: %s",
				    s->cfg->host, s->answer.text);
	if (s->injected || !frame_is_idle(s->frame))
		return session_fail(s, -EPROTO, FAULT_TLS,
				    "'%s' sent something in clear behind its "
				    "answer to STARTTLS: somebody tampers with "
				    "this connection",
				    s->cfg->host);
	s->secured_next = false;
	s->caps = 0;
	return shake_hands(s);
}

static int connect_net(struct session *s)
{
	const struct imap_config *cfg = s->cfg;
	int r = net_connect(s->net, cfg->host, cfg->port,
			    cfg->tls == IMAP_TLS_NONE,
			    clock_now_ms() + cfg->connect_timeout_ms, &s->why);

	if (r < 0 || cfg->tls != IMAP_TLS_IMPLICIT)
		return r;
	return shake_hands(s);
}

static int log_in(struct session *s)
{
	int64_t since_ms = clock_now_ms();
	int r = 0;

	if (s->greeting.kind != STATUS_PREAUTH) {
		r = auth_login(s);
		note_wait(s, since_ms);
	}
	if (r < 0)
		return r;
	/* Capabilities change at login; ask unless they were told again. */
	return ask_capabilities(s);
}

/* Who we are; nobody waits for the answer. */
static int introduce(struct session *s)
{
	static const struct call nobody = {0};
	struct command c;

	if (!session_has(s, CAP_ID))
		return 0;
	session_begin(s, &c);
	command_text(&c, "ID (\"name\" \"mount.imapfs\" \"version\" ");
	command_text(&c, "\"%s\")", s->cfg->version);
	return session_send(s, &c, &nobody);
}

/*
 * Before any mailbox is opened (RFC 5161 section 3.1). Nobody waits for the
 * answer, which tells nothing: one server does not name what it enabled, and
 * what another refused it may still accept with EXAMINE. A HIGHESTMODSEQ tells.
 */
static int enable(struct session *s)
{
	static const struct call nobody = {0};
	struct command c;

	if (!session_has(s, CAP_ENABLE) || !session_has(s, CAP_CONDSTORE))
		return 0;
	session_begin(s, &c);
	command_text(&c, "ENABLE CONDSTORE%s",
		     session_has(s, CAP_QRESYNC) && !s->quirks.no_qresync
			     ? " QRESYNC"
			     : "");
	return session_send(s, &c, &nobody);
}

/*
 * Compression pays where the link is slower than zlib: 20 to 30 MB/s unpacked,
 * most of it the server's time. Links that slow are far away: a link within
 * the house answers within a millisecond or two, DSL, cable, radio and
 * satellite take eight and more. So the round trip decides, which login has
 * measured anyway: measuring the rate would need megabytes first, and then a
 * pause in the pipeline in order to switch.
 */
static bool wants_compression(const struct session *s)
{
	if (s->cfg->tls != IMAP_TLS_NONE && !net_is_tls(s->net))
		return false;
	return session_has(s, CAP_COMPRESS) && s->rtt_ms >= s->far_ms;
}

/*
 * COMPRESS, and wait for its answer: nothing may be sent before that (RFC 4978
 * section 3). ID and ENABLE go in the same flight, in front: it does not matter
 * which answer comes last and stays in s->answer, since the OK is seen by its
 * tag. A server that says NO or BAD is served in clear.
 */
static int compress(struct session *s)
{
	struct command c;

	if (!wants_compression(s))
		return 0;
	session_begin(s, &c);
	command_text(&c, "COMPRESS DEFLATE");
	s->compress = s->last_tag + 1;
	return session_ask(s, &c);
}

static int open_steps(struct session *s)
{
	int r = connect_net(s);

	if (r < 0)
		return r;
	r = frame_new(&session_frame_ops, s, &s->frame);
	if (r < 0)
		return r;
	r = wait_greeting(s);
	if (r < 0)
		return r;
	note_wait(s, net_asked_ms(s->net));
	if (s->cfg->tls == IMAP_TLS_STARTTLS) {
		r = start_tls(s);
		if (r < 0)
			return r;
	}
	r = ask_capabilities(s);
	if (r < 0)
		return r;
	r = log_in(s);
	if (r < 0)
		return r;
	r = introduce(s);
	if (r == 0)
		r = enable(s);
	return r < 0 ? r : compress(s);
}

int session_open(struct session *s)
{
	int r;

	session_close(s);
	quirks_init(&s->quirks);
	s->why = (struct imap_error){0};
	s->rtt_ms = CLOCK_NEVER;
	atomic_store(&s->timeout_ms, s->cfg->timeout_ms);
	r = open_steps(s);
	if (r < 0) {
		if (s->why.code == 0)
			(void)session_fail(s, r, FAULT_NETWORK,
					   "cannot connect to '%s'",
					   s->cfg->host);
		s->why.code = r;
		session_close(s);
		return r;
	}
	log_debug("imap: %s is logged in at '%s', %lld ms away%s%s", s->name,
		  s->cfg->host, (long long)s->rtt_ms,
		  net_is_resumed(s->net) ? ", TLS resumed" : "",
		  net_is_compressed(s->net) ? ", compressed" : "");
	return 0;
}
