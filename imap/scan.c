/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/scan.h"

#include <string.h>
#include <strings.h>

/*
 * The cursor. What it is given has passed the framer: quotes, literals and
 * parentheses are known to close, NUL stands only in literals. Nothing here
 * relies on that: every step is checked against the end.
 */

void scan_init(struct scan *s, const char *text, size_t n)
{
	if (n > 0 && text[n - 1] == '\n')
		n--;
	if (n > 0 && text[n - 1] == '\r')
		n--;
	s->p = text;
	s->end = text + n;
}

bool scan_at_end(const struct scan *s)
{
	return s->p >= s->end;
}

bool scan_blanks(struct scan *s)
{
	const char *from = s->p;

	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t'))
		s->p++;
	return s->p > from;
}

bool scan_char(struct scan *s, char c)
{
	if (s->p >= s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static bool is_word_end(char c)
{
	return c == ' ' || c == '\t' || c == '(' || c == ')';
}

bool scan_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->p) < n || strncasecmp(s->p, word, n) != 0)
		return false;
	if (s->p + n < s->end && !is_word_end(s->p[n]))
		return false;
	s->p += n;
	return true;
}

bool scan_number(struct scan *s, uint64_t *ret)
{
	return scan_number_max(s, UINT64_MAX, ret);
}

bool scan_number_max(struct scan *s, uint64_t max, uint64_t *ret)
{
	const char *p = s->p;
	uint64_t v = 0;

	while (p < s->end && *p >= '0' && *p <= '9') {
		unsigned digit = (unsigned)(*p - '0');

		if (v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
		p++;
	}
	if (p == s->p || v > max)
		return false;

	s->p = p;
	*ret = v;
	return true;
}

bool scan_item(struct scan *s, const char **ret, size_t *ret_n)
{
	const char *p = s->p;
	unsigned depth = 0;

	for (; p < s->end && (depth > 0 || !is_word_end(*p)); p++) {
		if (*p == '[')
			depth++;
		else if (*p == ']' && depth > 0)
			depth--;
	}
	if (p == s->p)
		return false;

	*ret = s->p;
	*ret_n = (size_t)(p - s->p);
	s->p = p;
	return true;
}

static bool quoted(struct scan *s, struct scan_string *ret)
{
	const char *p = s->p + 1;

	for (; p < s->end && *p != '"'; p++) {
		if (*p == '\\' && p + 1 < s->end)
			p++;
	}
	if (p >= s->end)
		return false;

	ret->kind = SCAN_QUOTED;
	ret->p = s->p + 1;
	ret->n = (size_t)(p - ret->p);
	s->p = p + 1;
	return true;
}

/* {n}, {n+} or ~{n}, CRLF, n bytes. */
static bool literal(struct scan *s, struct scan_string *ret)
{
	struct scan at = *s;
	uint64_t n;

	(void)scan_char(&at, '~');
	if (!scan_char(&at, '{') || !scan_number(&at, &n))
		return false;
	(void)scan_char(&at, '+');
	if (!scan_char(&at, '}'))
		return false;
	(void)scan_char(&at, '\r');
	if (!scan_char(&at, '\n'))
		return false;
	if ((uint64_t)(at.end - at.p) < n)
		return false;

	ret->kind = SCAN_LITERAL;
	ret->p = at.p;
	ret->n = (size_t)n;
	s->p = at.p + n;
	return true;
}

bool scan_string(struct scan *s, struct scan_string *ret)
{
	const char *p;
	size_t n;

	if (s->p >= s->end)
		return false;
	if (*s->p == '"')
		return quoted(s, ret);
	if (*s->p == '{' || *s->p == '~') {
		if (literal(s, ret))
			return true;
		if (*s->p == '{')
			return false;
	}

	for (p = s->p; p < s->end && !is_word_end(*p) && *p != '"'; p++)
		;
	n = (size_t)(p - s->p);
	if (n == 0)
		return false;

	ret->kind = SCAN_ATOM;
	if (n == 3 && strncasecmp(s->p, "NIL", 3) == 0)
		ret->kind = SCAN_NIL;
	ret->p = s->p;
	ret->n = n;
	s->p = p;
	return true;
}

bool scan_skip(struct scan *s)
{
	struct scan at = *s;
	struct scan_string str;
	size_t depth = 0;

	do {
		(void)scan_blanks(&at);
		if (scan_char(&at, '(')) {
			depth++;
		} else if (depth > 0 && scan_char(&at, ')')) {
			depth--;
		} else if (!scan_string(&at, &str)) {
			return false;
		}
	} while (depth > 0);

	*s = at;
	return true;
}

size_t scan_text(const struct scan_string *str, char *buf)
{
	size_t n = 0;

	if (str->kind == SCAN_NIL)
		return 0;
	if (str->kind != SCAN_QUOTED) {
		memcpy(buf, str->p, str->n);
		return str->n;
	}
	for (size_t i = 0; i < str->n; i++) {
		if (str->p[i] == '\\' && i + 1 < str->n)
			i++;
		buf[n++] = str->p[i];
	}
	return n;
}
