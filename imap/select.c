/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/select.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "imap/item.h"
#include "imap/keywords.h"
#include "imap/lock.h"
#include "imap/log.h"
#include "imap/set.h"

/*
 * EXAMINE and SELECT, and the numbers of the open mailbox. While one is opened
 * in place of another, what comes may still be of the other one, up to [CLOSED]
 * (RFC 7162 section 3.2.11), which not every server sends; so rows are trusted
 * only behind the numbers of the new one, and if some came earlier that is
 * remembered (`strays`).
 *
 * Runs on the session's thread, inside session_step() or between two of them.
 */

/*
 * Gmail raises HIGHESTMODSEQ, which is one for the whole account, before a
 * connection sees the change. So what it was a minute ago is remembered; and
 * if that is not known, some changes are asked for twice.
 */
#define SETTLE_MS 60000
#define SETTLE_CHANGES 1000u

#define CLASHES_MAX 3 /* in a row */

static void forget_numbers(struct session *s)
{
	s->box = (struct imap_mailbox){0};
	s->exists_said = false;
	s->strays = false;
}

void select_forget(struct session *s)
{
	free(s->mailbox);
	s->mailbox = NULL;
	s->writable = false;
	s->opening = false;
}

static void add_parameters(struct command *c, const struct select_how *how)
{
	if (how->with == SELECT_CONDSTORE)
		command_text(c, " (CONDSTORE)");
	else if (how->with == SELECT_QRESYNC)
		command_text(c, " (QRESYNC (%u %llu 1:%u))", how->uidvalidity,
			     (unsigned long long)how->modseq, how->uidnext - 1);
}

int select_send(struct session *s, const char *wire, bool writes,
		const struct select_how *how, const struct call *call)
{
	char *name = strdup(wire);
	struct command c;
	int r;

	select_forget(s);
	if (!name)
		return -ENOMEM;
	s->mailbox = name;
	s->opened_ms = clock_now_ms();
	s->writable = writes;
	s->opening = true;
	s->opening_with = how->with;
	forget_numbers(s);
	session_begin(s, &c);
	command_text(&c, writes ? "SELECT " : "EXAMINE ");
	command_mailbox(&c, name);
	add_parameters(&c, how);
	r = session_send(s, &c, call);
	if (r < 0)
		select_forget(s);
	return r;
}

/*
 * Was it refused for its parameters? Then they are not used any more, unless
 * the mailbox is refused without them too.
 */
static bool give_up_parameters(struct session *s, const struct status *st)
{
	bool no_reason = st->code == CODE_NONE || st->code == CODE_OTHER ||
			 st->code == CODE_CANNOT;

	if (s->opening_with == SELECT_PLAIN || session_errno(st) != -EIO ||
	    (st->kind == STATUS_NO && !no_reason))
		return false;
	log_debug("imap: %s: %s is refused", s->name,
		  s->opening_with == SELECT_QRESYNC ? "QRESYNC" : "CONDSTORE");
	s->gave_up |= 1u << s->opening_with;
	if (s->opening_with == SELECT_QRESYNC)
		s->quirks.no_qresync = true;
	else
		s->quirks.no_condstore = true;
	return true;
}

static void take_parameters_back(struct session *s)
{
	if (s->gave_up & 1u << SELECT_QRESYNC)
		s->quirks.no_qresync = false;
	if (s->gave_up & 1u << SELECT_CONDSTORE)
		s->quirks.no_condstore = false;
	s->gave_up = 0;
}

/* See SETTLE_MS. */
static void note_modseq(struct session *s)
{
	int64_t now = clock_now_ms();

	if (!s->quirks.modseq_ahead || s->box.highestmodseq == 0)
		return;
	if (s->seen_modseq > 0 && now - s->seen_modseq_ms < SETTLE_MS)
		return;
	s->settled_modseq = s->seen_modseq;
	s->seen_modseq = s->box.highestmodseq;
	s->seen_modseq_ms = now;
}

uint64_t select_settled(const struct session *s, uint64_t before)
{
	uint64_t now = s->box.highestmodseq;
	uint64_t v = s->settled_modseq;

	if (!s->quirks.modseq_ahead || now == 0)
		return now;
	if (v == 0 && before == 0)
		v = now > SETTLE_CHANGES ? now - SETTLE_CHANGES : 1;
	if (v < before)
		v = before;
	return v < now ? v : now;
}

/*
 * Dovecot makes INBOX when it is opened for the first time, and two sessions
 * that do so at once get in each other's way: it is there by now.
 */
static bool came_meanwhile(struct session *s, const struct status *st)
{
	return st->code == CODE_ALREADYEXISTS && s->clashes++ < CLASHES_MAX;
}

enum select_result select_answered(struct session *s, const struct status *st)
{
	s->opening = false;
	if (st->kind == STATUS_OK) {
		/* It told the changes of some messages only (RFC 9738). */
		s->strays = s->strays || st->code == CODE_MESSAGELIMIT;
		s->gave_up = 0;
		s->clashes = 0;
		note_modseq(s);
		return SELECT_OPEN;
	}
	select_forget(s);
	if (came_meanwhile(s, st) || give_up_parameters(s, st))
		return SELECT_AGAIN;
	take_parameters_back(s);
	s->clashes = 0;
	return SELECT_REFUSED;
}

/* (\Answered \Deleted \*) */
static void take_permanent_flags(struct session *s, const struct status *st)
{
	struct scan at = {.p = st->words, .end = st->words + st->n_words};
	struct scan_string word;
	uint32_t flag;

	s->box.has_permanent_flags = true;
	s->box.permanent_flags = 0;
	s->box.new_keywords = false;
	s->keywords[0] = '\0';
	(void)scan_char(&at, '(');
	for (;;) {
		(void)scan_blanks(&at);
		if (!scan_string(&at, &word))
			return;
		if (item_system_flag(word.p, word.n, &flag))
			s->box.permanent_flags |= flag;
		if (word.n == 2 && memcmp(word.p, "\\*", 2) == 0)
			s->box.new_keywords = true;
		if (word.p[0] != '\\')
			item_add_word(s->keywords, sizeof(s->keywords), word.p,
				      word.n);
	}
}

static bool keeps_all(const struct session *s)
{
	return !s->box.has_permanent_flags ||
	       (s->box.permanent_flags == 0 && !s->box.new_keywords &&
		!s->keywords[0]);
}

unsigned select_kept_flags(const struct session *s, unsigned flags)
{
	return keeps_all(s) ? flags : flags & s->box.permanent_flags;
}

bool select_keeps_keyword(const struct session *s, const char *word, size_t n)
{
	return keeps_all(s) || s->box.new_keywords ||
	       keywords_have(s->keywords, word, n);
}

static void take_number(uint32_t *to, const struct status *st)
{
	if (st->number <= UINT32_MAX)
		*to = (uint32_t)st->number;
}

void select_take_code(struct session *s, const struct status *st)
{
	switch (st->code) {
	case CODE_CLOSED:
		if (s->opening)
			forget_numbers(s);
		break;
	case CODE_UIDVALIDITY:
		take_number(&s->box.uidvalidity, st);
		break;
	case CODE_UIDNEXT:
		take_number(&s->box.uidnext, st);
		break;
	case CODE_HIGHESTMODSEQ:
		s->box.highestmodseq = st->number;
		break;
	case CODE_NOMODSEQ:
		s->box.no_modseq = true;
		s->box.highestmodseq = 0;
		break;
	case CODE_UIDNOTSTICKY:
		s->box.uids_not_sticky = true;
		break;
	case CODE_PERMANENTFLAGS:
		take_permanent_flags(s, st);
		break;
	case CODE_READ_ONLY:
		/* A refusal may be about the destination of a command. */
		if (!st->tagged || st->kind == STATUS_OK)
			s->box.read_only = s->writable;
		break;
	case CODE_READ_WRITE:
		s->box.read_only = false;
		break;
	default:
		break;
	}
}

/* In place of EXPUNGE, for many: each of them was a message. */
static void take_vanished(struct session *s, const struct response *r)
{
	struct set_run run;
	struct scan at;
	struct set set;
	uint64_t n = 0;
	bool earlier;

	at = grammar_vanished(r, &earlier);
	if (earlier || s->opening)
		return;
	set_begin(&set, &at);
	while (set_next(&set, &run) > 0 && n < s->box.messages)
		n += set_count(run);
	s->box.messages -= n < s->box.messages ? (uint32_t)n : s->box.messages;
}

bool select_is_told(const struct session *s)
{
	return s->exists_said && s->box.uidvalidity > 0 && s->box.uidnext > 0 &&
	       s->box.highestmodseq > 0;
}

void select_take(struct session *s, const struct response *r)
{
	switch (r->kind) {
	case RESPONSE_EXISTS:
		s->box.messages = r->number;
		s->exists_said = true;
		break;
	case RESPONSE_EXPUNGE:
		if (s->box.messages > 0)
			s->box.messages--;
		break;
	case RESPONSE_VANISHED:
		take_vanished(s, r);
		s->strays = s->strays || (s->opening && !select_is_told(s));
		break;
	case RESPONSE_FETCH:
		s->strays = s->strays || (s->opening && !select_is_told(s));
		break;
	default:
		break;
	}
}
