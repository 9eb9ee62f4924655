/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/dispatch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "imap/log.h"
#include "imap/select.h"

/*
 * What comes from the framer, sent where it belongs: tagged answers to the
 * command with that tag, mailbox sizes to `box`, rows and bodies to the
 * owner's operations. Unknown data is dropped (RFC 9051 section 2.2.2 wants a
 * client ready for anything at any time).
 *
 * Runs on the session's thread, inside session_step().
 */

static const struct {
	const char *name;
	unsigned caps;
} capabilities[] = {
	{"IMAP4rev1", CAP_IMAP4},
	{"IMAP4rev2", CAP_IMAP4},
	{"STARTTLS", CAP_STARTTLS},
	{"LOGINDISABLED", CAP_LOGINDISABLED},
	{"SASL-IR", CAP_SASL_IR},
	{"AUTH=PLAIN", CAP_AUTH_PLAIN},
	{"AUTH=OAUTHBEARER", CAP_AUTH_OAUTHBEARER},
	{"AUTH=XOAUTH2", CAP_AUTH_XOAUTH2},
	{"ID", CAP_ID},
	{"NAMESPACE", CAP_NAMESPACE},
	{"ESEARCH", CAP_ESEARCH},
	{"LITERAL+", CAP_LITERAL_PLUS},
	{"LITERAL-", CAP_LITERAL_MINUS},
	{"LIST-EXTENDED", CAP_LIST_EXTENDED},
	{"LIST-STATUS", CAP_LIST_STATUS},
	{"SPECIAL-USE", CAP_SPECIAL_USE},
	{"CONDSTORE", CAP_CONDSTORE},
	{"QRESYNC", CAP_CONDSTORE | CAP_QRESYNC}, /* RFC 7162 section 3.2.2 */
	{"ENABLE", CAP_ENABLE},
	{"X-GM-EXT-1", CAP_GMAIL},
	{"COMPRESS=DEFLATE", CAP_COMPRESS},
	{"MOVE", CAP_MOVE},
	{"UIDPLUS", CAP_UIDPLUS},
	{"QUOTA", CAP_QUOTA},
	{"ACL", CAP_ACL},
	{"IDLE", CAP_IDLE},
	{"NOTIFY", CAP_NOTIFY},
	{"OBJECTID", CAP_OBJECTID},
};

static unsigned capability_of(const char *word, size_t n)
{
	for (size_t i = 0; i < sizeof(capabilities) / sizeof(*capabilities);
	     i++) {
		if (strlen(capabilities[i].name) == n &&
		    strncasecmp(capabilities[i].name, word, n) == 0)
			return capabilities[i].caps;
	}
	return 0;
}

/* APPENDLIMIT=n; without a number it is each mailbox's own (RFC 7889). */
static void take_append_limit(struct session *s, const char *word, size_t n)
{
	static const char name[] = "APPENDLIMIT=";
	struct scan at = {.p = word + strlen(name), .end = word + n};
	uint64_t limit;

	if (n > strlen(name) && strncasecmp(word, name, strlen(name)) == 0 &&
	    scan_number(&at, &limit))
		s->append_limit = limit;
}

/* Remember these capabilities instead of earlier ones. */
static void take_capabilities(struct session *s, const char *words, size_t n)
{
	struct scan at = {.p = words, .end = words + n};
	const char *word;
	size_t len;

	s->caps = 0;
	s->append_limit = 0;
	s->caps_fresh = true;
	quirks_apply(&s->quirks, words, n);
	for (;;) {
		(void)scan_blanks(&at);
		if (!scan_item(&at, &word, &len))
			return;
		s->caps |= capability_of(word, len);
		take_append_limit(s, word, len);
	}
}

/* Copy text of the server, cut, without control characters. */
static void copy_text(char *ret, size_t size, const char *text, size_t n)
{
	if (n >= size)
		n = size - 1;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		ret[i] = text[i];
		if (c < 0x20 || c == 0x7f)
			ret[i] = ' ';
	}
	ret[n] = '\0';
}

static void keep_answer(struct answer *a, const struct status *st)
{
	a->kind = st->kind;
	a->code = st->code;
	copy_text(a->words, sizeof(a->words), st->words, st->n_words);
	copy_text(a->text, sizeof(a->text), st->text, st->n_text);
}

/* Codes that say something about the connection or the open mailbox. */
static void take_code(struct session *s, const struct status *st)
{
	switch (st->code) {
	case CODE_CAPABILITY:
		take_capabilities(s, st->words, st->n_words);
		break;
	case CODE_ALERT:
		/*
		 * RFC 9051 section 7.1: the user has to see it. In a refusal
		 * it is the sentence that the caller passes on.
		 */
		if (st->n_text > 0 && (!st->tagged || st->kind == STATUS_OK))
			log_warn("imap: '%s' says: %.*s", s->cfg->host,
				 (int)(st->n_text < 400 ? st->n_text : 400),
				 st->text);
		break;
	case CODE_WEBALERT:
		/* Google says it untagged, in front of another refusal. */
		copy_text(s->web_page, sizeof(s->web_page), st->words,
			  st->n_words);
		break;
	default:
		select_take_code(s, st);
		break;
	}
}

/*
 * Take a command out that was answered. Is it in the middle of its line or its
 * literal, the server still waits for the rest; only what stops where it needs
 * the server's `+`, or a reason to end idling, is over.
 */
static void end_slot(struct session *s, unsigned i)
{
	struct slot *slot = &s->slots[i];
	bool waits =
		slot->idle || (slot->waits < slot->cmd.n_waits &&
			       slot->queued == slot->cmd.wait_at[slot->waits]);

	if (slot->queued == 0 || slot->queued == slot->cmd.n || waits) {
		session_drop_slot(s, i);
		return;
	}
	slot->answered = true;
	slot->call = (struct call){0};
}

static void tagged(struct session *s, const struct status *st)
{
	char tag[16];

	for (unsigned i = 0; i < s->n_slots; i++) {
		struct call call = s->slots[i].call;

		(void)snprintf(tag, sizeof(tag), "A%u", s->slots[i].tag);
		if (s->slots[i].answered || strcmp(tag, st->tag) != 0)
			continue;
		keep_answer(&s->answer, st);
		if (st->throttled && session_has(s, CAP_GMAIL))
			(void)atomic_fetch_add(&s->throttled, 1);
		s->secured_next = s->asks_tls && st->kind == STATUS_OK;
		s->asks_tls = false;
		if (s->slots[i].tag == s->compress) {
			s->packed_next = st->kind == STATUS_OK;
			s->compress = 0;
		}
		end_slot(s, i);
		if (call.job)
			s->ops->answer(s->ctx, &call, st);
		return;
	}
	log_debug("imap: an answer with the unknown tag '%s'", st->tag);
}

/*
 * RFC 5465 section 5.8 has a code for it; Dovecot says `* NO NOTIFY error, some
 * events may have got lost`.
 */
static bool is_notify_lost(const struct status *st)
{
	return st->code == CODE_NOTIFICATIONOVERFLOW ||
	       (st->kind == STATUS_NO &&
		memmem(st->text, st->n_text, "NOTIFY", 6) != NULL);
}

static void status_line(struct session *s, const struct status *st)
{
	take_code(s, st);
	if (st->tagged) {
		tagged(s, st);
		return;
	}
	if (!s->greeted) {
		s->greeted = true;
		keep_answer(&s->greeting, st);
		copy_text(s->server, sizeof(s->server), st->text, st->n_text);
		quirks_apply(&s->quirks, st->text, st->n_text);
	}
	if (st->kind == STATUS_OK && st->code == CODE_COPYUID)
		s->ops->copied(s->ctx, st);
	if (is_notify_lost(st))
		s->notify_lost = true;
	if (st->kind == STATUS_BYE) {
		keep_answer(&s->greeting, st);
		s->ended = true;
		s->ended_code = st->code;
	}
}

/* The first command that waits for a `+` has got it. */
static void continuation(struct session *s)
{
	for (unsigned i = 0; i < s->n_slots; i++) {
		struct slot *slot = &s->slots[i];

		if (slot->queued == slot->cmd.n)
			continue;
		if (slot->waits < slot->cmd.n_waits &&
		    slot->queued == slot->cmd.wait_at[slot->waits])
			slot->waits++;
		return;
	}
}

/* ID ("name" "Dovecot" ...): values joined, for people and for quirks. */
static void take_id(struct session *s, struct scan *at)
{
	struct scan_string key;
	struct scan_string value;
	char text[sizeof(s->server)] = "";
	size_t n = 0;

	quirks_apply(&s->quirks, at->p, (size_t)(at->end - at->p));
	if (!scan_char(at, '('))
		return;
	while (scan_blanks(at) || true) {
		if (!scan_string(at, &key) || !scan_blanks(at) ||
		    !scan_string(at, &value))
			break;
		if ((key.n != 4 || strncasecmp(key.p, "name", 4) != 0) &&
		    (key.n != 7 || strncasecmp(key.p, "version", 7) != 0))
			continue;
		if (value.kind == SCAN_NIL || n + value.n + 2 > sizeof(text))
			continue;
		if (n > 0)
			text[n++] = ' ';
		n += scan_text(&value, text + n);
	}
	if (n > 0)
		copy_text(s->server, sizeof(s->server), text, n);
}

static void untagged(struct session *s, struct response *r)
{
	struct fetch f;

	select_take(s, r);
	switch (r->kind) {
	case RESPONSE_CAPABILITY:
		take_capabilities(s, r->rest.p,
				  (size_t)(r->rest.end - r->rest.p));
		break;
	case RESPONSE_ID:
		take_id(s, &r->rest);
		break;
	case RESPONSE_FETCH:
		grammar_fetch(s->grammar, r, &f);
		s->ops->fetch(s->ctx, &f);
		break;
	case RESPONSE_LIST:
	case RESPONSE_STATUS:
	case RESPONSE_SEARCH:
	case RESPONSE_ESEARCH:
	case RESPONSE_LSUB:
	case RESPONSE_QUOTAROOT:
	case RESPONSE_QUOTA:
	case RESPONSE_MYRIGHTS:
	case RESPONSE_EXISTS:
	case RESPONSE_EXPUNGE:
	case RESPONSE_VANISHED:
		s->ops->data(s->ctx, r);
		break;
	default: /* NAMESPACE is not needed: LIST "" "*" has it all */
		break;
	}
}

/* The log never shows what may be a body: of a FETCH only its beginning. */
static void log_response(struct session *s, const char *text, size_t n,
			 enum response_kind kind)
{
	size_t shown = n;

	if (log_max_level() < LOG_LEVEL_WIRE)
		return;
	for (size_t i = 5; kind == RESPONSE_FETCH && i < shown; i++) {
		if (strncasecmp(text + i - 5, "BODY[", 5) == 0)
			shown = i;
	}
	log_wire(s->name, '<', text, shown);
}

static int on_response(void *ctx, char *text, size_t n)
{
	struct session *s = ctx;
	struct response r = {.kind = RESPONSE_OTHER};
	struct status st;

	if (s->secured_next) {
		s->injected = true;
		return 0;
	}
	if (status_parse(text, n, &st)) {
		log_response(s, text, n, r.kind);
		status_line(s, &st);
		return 0;
	}
	if (!s->greeted)
		return -EPROTO;

	if (text[0] == '+') {
		log_response(s, "+", 1, r.kind);
		continuation(s);
	} else {
		grammar_classify(text, n, &r);
		log_response(s, text, n, r.kind);
		untagged(s, &r);
	}
	s->body_sunk = false;
	return 0;
}

static int on_body_begin(void *ctx, const char *head, size_t n, uint64_t size)
{
	struct session *s = ctx;
	struct body_head h;

	s->body_sunk = true;
	s->body_open = grammar_body_head(head, n, &h) == 0 && s->greeted;
	s->body_skip = !s->body_open;
	if (s->body_open && s->ops->body_begin(s->ctx, &h, size) < 0)
		s->body_skip = true;
	return 0;
}

static int on_body_data(void *ctx, const void *bytes, size_t n)
{
	struct session *s = ctx;

	if (!s->body_skip && s->ops->body_data(s->ctx, bytes, n) < 0)
		s->body_skip = true;
	return 0;
}

static int on_body_end(void *ctx)
{
	struct session *s = ctx;

	if (s->body_open)
		s->ops->body_end(s->ctx);
	s->body_open = false;
	s->body_skip = false;
	return 0;
}

const struct frame_ops session_frame_ops = {
	.response = on_response,
	.body_begin = on_body_begin,
	.body_data = on_body_data,
	.body_end = on_body_end,
};
