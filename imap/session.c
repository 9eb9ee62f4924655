/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "imap/alive.h"
#include "imap/lock.h"
#include "imap/log.h"
#include "imap/secret.h"
#include "imap/select.h"

/*
 * The connection's machine: commands go out, answers come in.
 *
 * Out: each command waits in a slot; what may be sent is copied to `out`, up
 * to the place where a synchronising literal (or a SASL exchange) needs the
 * server's `+`; commands behind that place wait too (fill.c). In: the framer
 * cuts the stream, dispatch.c sends each response where it belongs. Reading
 * goes on while writing cannot, so the two sides can never block each other.
 *
 * One thread, no locks; nothing here calls back with a lock held, because no
 * lock is known here.
 */

#define READ_CHUNK 65536
#define WRITES_A_STEP 16

int session_init(struct session *s)
{
	int r = net_new(&s->net);

	if (r < 0)
		return r;
	r = grammar_new(&s->grammar);
	if (r < 0)
		return r;
	s->in = malloc(READ_CHUNK);
	s->out = malloc(SESSION_OUT_MAX);
	if (!s->in || !s->out)
		return -ENOMEM;
	quirks_init(&s->quirks);
	net_set_patience(s->net, s->cfg->timeout_ms);
	s->late_ms = ALIVE_LATE_MS;
	s->far_ms = SESSION_FAR_MS;
	s->probe_at_ms = CLOCK_NEVER;
	return 0;
}

void session_finish(struct session *s)
{
	if (s->net)
		session_close(s);
	net_free(s->net);
	grammar_free(s->grammar);
	free(s->in);
	free(s->out);
}

void session_close(struct session *s)
{
	net_close(s->net);
	frame_free(s->frame);
	s->frame = NULL;
	for (unsigned i = 0; i < s->n_slots; i++)
		command_finish(&s->slots[i].cmd);
	s->n_slots = 0;
	if (s->out)
		secret_wipe(s->out, SESSION_OUT_MAX);
	s->out_n = 0;
	s->out_sent = 0;
	s->out_bulk = false;
	s->caps = 0;
	s->append_limit = 0;
	s->greeted = false;
	s->asks_tls = false;
	s->secured_next = false;
	s->injected = false;
	s->compress = 0;
	s->packed_next = false;
	s->body_open = false;
	s->body_sunk = false;
	s->body_skip = false;
	s->ended = false;
	s->probe_ms = 0;
	s->probe_at_ms = CLOCK_NEVER;
	s->notify_lost = false;
	select_forget(s);
	s->gave_up = 0;
	s->settled_modseq = 0;
	s->seen_modseq = 0;
}

int session_fail(struct session *s, int code, enum imap_fault fault,
		 const char *fmt, ...)
{
	va_list ap;

	s->why.code = code;
	s->why.fault = fault;
	va_start(ap, fmt);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is, above. */
	(void)vsnprintf(s->why.text, sizeof(s->why.text), fmt, ap);
	va_end(ap);
	/* Parts of the sentence come from the server. */
	for (char *p = s->why.text; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	}
	return code;
}

const char *session_silence_hint(const struct imap_config *cfg)
{
	return cfg->tls == IMAP_TLS_IMPLICIT
		       ? ""
		       : " (if it wants TLS from the first byte, write "
			 "imaps://)";
}

int session_fail_timeout(struct session *s)
{
	bool was_silent = !s->greeted && net_bytes_in(s->net) == 0;

	return session_fail(s, -ETIMEDOUT, FAULT_NETWORK,
			    "the server '%s' has not answered for %u seconds%s",
			    s->cfg->host,
			    (atomic_load(&s->timeout_ms) + 999) / 1000,
			    was_silent ? session_silence_hint(s->cfg) : "");
}

bool session_has(const struct session *s, enum capability cap)
{
	return (s->caps & (unsigned)cap) != 0;
}

uint64_t session_expected(const struct session *s)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < s->n_slots; i++)
		sum += s->slots[i].call.expect;
	return sum;
}

uint64_t session_leftover(const struct session *s)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < s->n_slots; i++) {
		if (s->slots[i].answered || s->slots[i].call.forgotten)
			sum += s->slots[i].cmd.file_left;
	}
	return sum;
}

uint64_t session_bodies(const struct session *s)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < s->n_slots; i++)
		sum += s->slots[i].call.bodies;
	return sum;
}

bool session_has_room(const struct session *s)
{
	size_t bytes = 0;

	if (s->n_slots >= SESSION_SLOTS || s->n_slots >= s->quirks.window)
		return false;
	for (unsigned i = 0; i < s->n_slots; i++)
		bytes += s->slots[i].cmd.n;
	return bytes < SESSION_OUT_MAX / 2;
}

void session_begin(struct session *s, struct command *c)
{
	char tag[16];

	(void)snprintf(tag, sizeof(tag), "A%u", s->last_tag + 1);
	command_init(c, tag);
	c->literal_plus = session_has(s, CAP_LITERAL_PLUS);
	c->literal_minus = session_has(s, CAP_LITERAL_MINUS);
}

int session_send(struct session *s, struct command *c, const struct call *call)
{
	struct slot *slot = &s->slots[s->n_slots];
	int r = command_end(c);

	if (r == 0 && s->n_slots >= SESSION_SLOTS)
		r = -ENOMEM;
	if (r < 0) {
		command_finish(c);
		return r;
	}

	*slot = (struct slot){
		.tag = ++s->last_tag,
		.call = *call,
		.cmd = *c,
		.sent_ms = clock_now_ms(),
	};
	s->used_ms = slot->sent_ms;
	if (s->n_slots++ == 0)
		s->progress_ms = s->used_ms;
	*c = (struct command){0};
	return 0;
}

static int lost(struct session *s, int r)
{
	const char *host = s->cfg->host;

	if (r == -ENOMEM)
		return session_fail(s, r, FAULT_NETWORK,
				    "no memory for what '%s' sends", host);
	if (r == -EBADMSG)
		return session_fail(s, -EPROTO, FAULT_PROTOCOL,
				    "what the server '%s' sends cannot be "
				    "decompressed",
				    host);
	if (r == -EPROTO)
		return session_fail(s, r, FAULT_PROTOCOL,
				    "the server '%s' does not keep to the "
				    "protocol: %s",
				    host, frame_why(s->frame));
	if (r == -EIO)
		return session_fail(s, -ENOTCONN, FAULT_NONE,
				    "what is to be sent to '%s' cannot be "
				    "read to its end",
				    host);
	if (s->ended)
		return session_fail(s, -ENOTCONN,
				    s->ended_code == CODE_LIMIT ? FAULT_LIMIT
								: FAULT_NETWORK,
				    "the server '%s' ended the connection: %s",
				    host, s->greeting.text);
	return session_fail(s, -ENOTCONN, FAULT_NETWORK,
			    "the connection to '%s' was cut", host);
}

/*
 * Not for ever: the server may have something to say about what it is sent.
 * Bytes of a message are progress; those of commands are none, or new work
 * would keep a dead connection alive.
 */
static int write_out(struct session *s)
{
	for (int i = 0;; i++) {
		long n;
		int r = session_fill(s);

		if (r < 0)
			return lost(s, r);
		if (s->out_sent == s->out_n || i == WRITES_A_STEP)
			return 0;
		n = net_write(s->net, s->out + s->out_sent,
			      s->out_n - s->out_sent);
		if (n < 0)
			return lost(s, -ENOTCONN);
		if (n == 0)
			return 0;
		s->out_sent += (size_t)n;
		if (s->out_bulk)
			alive_sent(s);
	}
}

/*
 * Give `n` bytes of `in` to the framer. While COMPRESS is in flight line by
 * line: behind its OK the next byte is a compressed one (RFC 4978 section 3).
 */
static int feed(struct session *s, size_t n)
{
	const char *p = s->in;
	int r = 0;

	while (n > 0 && r == 0) {
		const char *lf = s->compress ? memchr(p, '\n', n) : NULL;
		size_t take = lf ? (size_t)(lf - p) + 1 : n;

		r = frame_feed(s->frame, p, take);
		p += take;
		n -= take;
		if (r == 0 && s->packed_next) {
			s->packed_next = false;
			return net_start_deflate(s->net, p, n);
		}
	}
	return r;
}

/*
 * One read a step: each answer may end a job and make room for the next
 * command, which must not wait until all that has come has been stored.
 */
static int read_in(struct session *s)
{
	long n = net_read(s->net, s->in, READ_CHUNK);
	int r;

	if (n == 0)
		return 0;
	if (n < 0)
		return lost(s, n == -EPROTO ? -ENOTCONN : (int)n);
	alive_heard(s);
	r = feed(s, (size_t)n);
	return r < 0 ? lost(s, r) : 0;
}

int session_step(struct session *s, int64_t deadline_ms)
{
	int64_t until_ms = alive_deadline(s);
	unsigned n_slots = s->n_slots;
	unsigned ready;
	int r = s->ended ? lost(s, -ENOTCONN) : write_out(s);

	if (r < 0)
		return r;
	/* The rest of a refused message is out: there is room for others. */
	if (s->n_slots < n_slots)
		return 0;
	if (deadline_ms < until_ms)
		until_ms = deadline_ms;
	ready = net_wait(s->net, s->out_sent < s->out_n, until_ms);
	if (ready & NET_READABLE) {
		r = read_in(s);
		if (r < 0)
			return r;
	}
	/* Some servers go on behind their BYE, for ever. */
	if (s->ended)
		return lost(s, -ENOTCONN);
	return alive_check(s, until_ms, ready == NET_TIMEOUT);
}

void session_logout(struct session *s)
{
	static const struct call nobody = {0};
	struct command c;

	if (s->n_slots >= SESSION_SLOTS)
		return;
	session_end_idle(s);
	session_begin(s, &c);
	command_text(&c, "LOGOUT");
	if (session_send(s, &c, &nobody) == 0)
		(void)write_out(s);
}

/*
 * A server that has had enough of us may say BYE together with its answer. A
 * refusal is one all the same: of a login, it must not be taken for a lost
 * connection, after which the same password would be tried again and again.
 */
static bool is_refused_with_bye(const struct session *s)
{
	return s->ended && s->n_slots == 0 && s->answer.kind != STATUS_OK;
}

int session_ask(struct session *s, struct command *c)
{
	static const struct call nobody = {0};
	int64_t deadline_ms = clock_now_ms() + atomic_load(&s->timeout_ms);
	int r = session_send(s, c, &nobody);

	if (r < 0)
		return session_fail(s, r, FAULT_PROTOCOL,
				    "cannot make a command for '%s'",
				    s->cfg->host);
	while (s->n_slots > 0) {
		if (s->ops->stopped(s->ctx))
			return session_fail(s, -ECANCELED, FAULT_NONE,
					    "stopped");
		r = session_step(s, deadline_ms);
		if (r < 0 && !is_refused_with_bye(s))
			return r;
		/* Chatter is no answer. */
		if (s->n_slots > 0 && clock_now_ms() >= deadline_ms)
			return session_fail_timeout(s);
	}
	return 0;
}
