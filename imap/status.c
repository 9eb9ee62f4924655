/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/status.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/*
 * One pass over a line: tag or `*`, the word, a code in brackets, text. The
 * argument of a code may hold quoted strings and parentheses, and sloppy
 * servers put `]` inside of both, so the bracket that closes is looked for
 * outside of them first. What does not fit the grammar becomes text: a status
 * line always means something, however badly it is written.
 *
 * Pure functions on borrowed bytes; any thread.
 */

enum argument {
	ARG_ANY, /* kept as words, may be missing */
	ARG_U32, /* a number, then words */
	ARG_U64,
};

static const struct code_row {
	const char *name;
	enum status_code code;
	enum argument arg;
} code_table[] = {
	{"ALERT", CODE_ALERT, ARG_ANY},
	{"ALREADYEXISTS", CODE_ALREADYEXISTS, ARG_ANY},
	{"APPENDUID", CODE_APPENDUID, ARG_U32},
	{"AUTHENTICATIONFAILED", CODE_AUTHENTICATIONFAILED, ARG_ANY},
	{"AUTHORIZATIONFAILED", CODE_AUTHORIZATIONFAILED, ARG_ANY},
	{"BADCHARSET", CODE_BADCHARSET, ARG_ANY},
	{"CANNOT", CODE_CANNOT, ARG_ANY},
	{"CAPABILITY", CODE_CAPABILITY, ARG_ANY},
	{"CLIENTBUG", CODE_CLIENTBUG, ARG_ANY},
	{"CLOSED", CODE_CLOSED, ARG_ANY},
	{"CONTACTADMIN", CODE_CONTACTADMIN, ARG_ANY},
	{"COPYUID", CODE_COPYUID, ARG_U32},
	{"CORRUPTION", CODE_CORRUPTION, ARG_ANY},
	{"EXPIRED", CODE_EXPIRED, ARG_ANY},
	{"EXPUNGEISSUED", CODE_EXPUNGEISSUED, ARG_ANY},
	{"HASCHILDREN", CODE_HASCHILDREN, ARG_ANY},
	{"HIGHESTMODSEQ", CODE_HIGHESTMODSEQ, ARG_U64},
	{"INUSE", CODE_INUSE, ARG_ANY},
	{"LIMIT", CODE_LIMIT, ARG_ANY},
	{"MESSAGELIMIT", CODE_MESSAGELIMIT, ARG_U32},
	{"MODIFIED", CODE_MODIFIED, ARG_ANY},
	{"NOMODSEQ", CODE_NOMODSEQ, ARG_ANY},
	{"NONEXISTENT", CODE_NONEXISTENT, ARG_ANY},
	{"NOPERM", CODE_NOPERM, ARG_ANY},
	{"NOTIFICATIONOVERFLOW", CODE_NOTIFICATIONOVERFLOW, ARG_ANY},
	{"NOTSAVED", CODE_NOTSAVED, ARG_ANY},
	{"OVERQUOTA", CODE_OVERQUOTA, ARG_ANY},
	{"PARSE", CODE_PARSE, ARG_ANY},
	{"PERMANENTFLAGS", CODE_PERMANENTFLAGS, ARG_ANY},
	{"PRIVACYREQUIRED", CODE_PRIVACYREQUIRED, ARG_ANY},
	{"READ-ONLY", CODE_READ_ONLY, ARG_ANY},
	{"READ-WRITE", CODE_READ_WRITE, ARG_ANY},
	{"SERVERBUG", CODE_SERVERBUG, ARG_ANY},
	{"THROTTLED", CODE_THROTTLED, ARG_ANY},
	{"TOOBIG", CODE_TOOBIG, ARG_ANY},
	{"TRYCREATE", CODE_TRYCREATE, ARG_ANY},
	{"UIDNEXT", CODE_UIDNEXT, ARG_U32},
	{"UIDNOTSTICKY", CODE_UIDNOTSTICKY, ARG_ANY},
	{"UIDVALIDITY", CODE_UIDVALIDITY, ARG_U32},
	{"UNAVAILABLE", CODE_UNAVAILABLE, ARG_ANY},
	{"UNSEEN", CODE_UNSEEN, ARG_U32},
	{"USEATTR", CODE_USEATTR, ARG_ANY},
	{"WEBALERT", CODE_WEBALERT, ARG_ANY},
};

static const char *const kind_names[] = {
	[STATUS_OK] = "OK",           [STATUS_NO] = "NO",
	[STATUS_BAD] = "BAD",         [STATUS_BYE] = "BYE",
	[STATUS_PREAUTH] = "PREAUTH",
};

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && *p == ' ')
		p++;
	return p;
}

static const char *word_end(const char *p, const char *end)
{
	while (p < end && *p != ' ')
		p++;
	return p;
}

static bool is_word(const char *p, const char *end, const char *word)
{
	return (size_t)(end - p) == strlen(word) &&
	       strncasecmp(p, word, (size_t)(end - p)) == 0;
}

/* The `]` that ends the code which begins at `p`; NULL: there is none. */
static const char *code_end(const char *p, const char *end)
{
	const char *first = memchr(p, ']', (size_t)(end - p));
	bool quoted = false;
	unsigned depth = 0;

	for (; p < end; p++) {
		if (*p == '"')
			quoted = !quoted;
		else if (quoted && *p == '\\')
			p++;
		else if (!quoted && *p == '(')
			depth++;
		else if (!quoted && *p == ')' && depth > 0)
			depth--;
		else if (!quoted && depth == 0 && *p == ']')
			return p;
	}
	return first;
}

/* A number, followed by a blank or the end. False: it is none, or too large. */
static bool take_number(const char **p, const char *end, uint64_t max,
			uint64_t *ret)
{
	const char *q = *p;
	uint64_t v = 0;

	for (; q < end && *q >= '0' && *q <= '9'; q++) {
		uint64_t digit = (uint64_t)(*q - '0');

		if (v > (max - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	if (q == *p || (q < end && *q != ' '))
		return false;
	*p = skip_blanks(q, end);
	*ret = v;
	return true;
}

/* What stands between the brackets. False: it is malformed. */
static bool parse_code(const char *p, const char *end, struct status *ret)
{
	static const struct code_row other = {"", CODE_OTHER, ARG_ANY};
	const char *name_end = word_end(p, end);
	const struct code_row *row = &other;

	if (name_end == p)
		return false;
	for (size_t i = 0; i < N_OF(code_table); i++) {
		if (is_word(p, name_end, code_table[i].name))
			row = &code_table[i];
	}

	p = skip_blanks(name_end, end);
	if (row->arg != ARG_ANY) {
		uint64_t max = row->arg == ARG_U32 ? UINT32_MAX : UINT64_MAX;

		if (!take_number(&p, end, max, &ret->number))
			return false;
	}
	if (p < end) {
		ret->words = p;
		ret->n_words = (size_t)(end - p);
	}
	ret->code = row->code;
	return true;
}

/*
 * Gmail says `A1 OK Success [THROTTLED]` when an account comes near its limits:
 * not as a code, but as the last word of the text.
 */
static bool says_throttled(const struct status *st)
{
	static const char word[] = "[THROTTLED]";
	size_t n = strlen(word);
	const char *end = st->text + st->n_text;

	return st->tagged && st->kind == STATUS_OK && st->n_text > n &&
	       end[-(ptrdiff_t)n - 1] == ' ' && is_word(end - n, end, word);
}

static void parse_rest(const char *p, const char *end, struct status *ret)
{
	const char *close;

	p = skip_blanks(p, end);
	if (p < end && *p == '[') {
		close = code_end(p + 1, end);
		if (close && parse_code(p + 1, close, ret))
			p = skip_blanks(close + 1, end);
	}
	if (p < end) {
		ret->text = p;
		ret->n_text = (size_t)(end - p);
	}
}

/* `*` or a tag, NULL if it is neither; else what follows it. */
static const char *parse_tag(const char *p, const char *end, struct status *ret)
{
	const char *e = word_end(p, end);
	size_t n = (size_t)(e - p);

	if (n == 0 || n >= sizeof(ret->tag) || *p == '+' || e == end)
		return NULL;
	for (const char *c = p; c < e; c++) {
		if (*c <= 0x20 || *c > 0x7e || (*c == '*' && n > 1))
			return NULL;
	}
	if (*p != '*') {
		ret->tagged = true;
		memcpy(ret->tag, p, n);
	}
	return skip_blanks(e, end);
}

bool status_parse(const char *line, size_t n, struct status *ret)
{
	struct status st = {.words = "", .text = ""};
	const char *end = line + n;
	const char *p;
	const char *e;
	size_t kind = 0;

	if (end > line && end[-1] == '\n')
		end--;
	if (end > line && end[-1] == '\r')
		end--;
	p = parse_tag(line, end, &st);
	if (!p)
		return false;

	e = word_end(p, end);
	while (kind < N_OF(kind_names) && !is_word(p, e, kind_names[kind]))
		kind++;
	/* Some servers leave the OK away: `* [COPYUID 1 2 3] done`. */
	if (!st.tagged && p < end && *p == '[') {
		kind = STATUS_OK;
		e = p;
	}
	if (kind == N_OF(kind_names))
		return false;
	if (st.tagged && kind > STATUS_BAD)
		return false;

	st.kind = (enum status_kind)kind;
	parse_rest(e, end, &st);
	st.throttled = says_throttled(&st);
	*ret = st;
	return true;
}
