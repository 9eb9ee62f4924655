/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/netrc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/*
 * A scanner of words and, over it, entries. Words are slices of the text, so
 * that a password is copied once, to the memory that the caller has locked.
 * The file is the user's own, but a broken one must do no harm: each step goes
 * forward, and what is not understood is skipped.
 */

struct word {
	const char *s;
	size_t n;
	bool is_quoted; /* backslash escapes are still in it */
};

struct scan {
	const char *at, *end;
};

struct entry {
	bool is_default;
	struct word machine, login, password, port;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',';
}

static void skip_line(struct scan *s)
{
	while (s->at < s->end && *s->at != '\n')
		s->at++;
}

/* A macro's body goes up to an empty line. */
static void skip_macro(struct scan *s)
{
	const char *stop = memmem(s->at, (size_t)(s->end - s->at), "\n\n", 2);

	s->at = stop ? stop + 2 : s->end;
}

static void read_quoted(struct scan *s, struct word *ret)
{
	s->at++;
	ret->s = s->at;
	ret->is_quoted = true;
	while (s->at < s->end && *s->at != '"')
		s->at += s->at[0] == '\\' && s->end - s->at > 1 ? 2 : 1;
	ret->n = (size_t)(s->at - ret->s);
	if (s->at < s->end)
		s->at++;
}

/* `is_value`: a `#` begins the word, not a comment. */
static bool read_word(struct scan *s, bool is_value, struct word *ret)
{
	for (;;) {
		while (s->at < s->end && is_blank(*s->at))
			s->at++;
		if (s->at == s->end)
			return false;
		if (*s->at != '#' || is_value)
			break;
		skip_line(s);
	}
	if (*s->at == '"') {
		read_quoted(s, ret);
		return true;
	}
	ret->s = s->at;
	ret->is_quoted = false;
	/* A comma parts entries' words in old files, and is part of a value. */
	while (s->at < s->end && (!is_blank(*s->at) || *s->at == ','))
		s->at++;
	ret->n = (size_t)(s->at - ret->s);
	return true;
}

static bool is_word(const struct word *w, const char *s)
{
	return !w->is_quoted && w->n == strlen(s) && !memcmp(w->s, s, w->n);
}

/* Copy without the backslashes; the length, or SIZE_MAX: it does not fit. */
static size_t copy_word(const struct word *w, char *buf, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++) {
		if (w->is_quoted && w->s[i] == '\\' && i + 1 < w->n)
			i++;
		if (n == size)
			return SIZE_MAX;
		buf[n++] = w->s[i];
	}
	return n;
}

static bool word_is(const struct word *w, const char *s, bool any_case)
{
	char text[512];
	size_t n = copy_word(w, text, sizeof(text) - 1);

	if (n == SIZE_MAX || n != strlen(s))
		return false;
	text[n] = '\0';
	return any_case ? strcasecmp(text, s) == 0 : memcmp(text, s, n) == 0;
}

static bool fits(const struct entry *e, const struct netrc_query *q)
{
	const char *at = strrchr(q->user, '@');
	char port[8];

	snprintf(port, sizeof(port), "%u", q->port);
	if (!e->password.s)
		return false;
	if (!e->is_default && !word_is(&e->machine, q->host, true) &&
	    !(at && word_is(&e->machine, at + 1, true)))
		return false;
	if (e->login.s && !word_is(&e->login, q->user, false))
		return false;
	return !e->port.s || word_is(&e->port, port, false) ||
	       word_is(&e->port, "imap", true) ||
	       word_is(&e->port, "imaps", true);
}

/* Where the value of this keyword goes; NULL: it is none of ours. */
static struct word *place_of(struct entry *e, const struct word *key)
{
	if (is_word(key, "login") || is_word(key, "user"))
		return &e->login;
	if (is_word(key, "password"))
		return &e->password;
	if (is_word(key, "port") || is_word(key, "protocol"))
		return &e->port;
	return NULL;
}

int netrc_find(const char *text, size_t n, const struct netrc_query *query,
	       char *buf, size_t size, size_t *ret_n)
{
	struct scan s = {text, text + n};
	struct entry e = {0};
	struct word key, value;
	bool in_entry = false, is_begin;

	while (read_word(&s, false, &key)) {
		is_begin = is_word(&key, "machine") || is_word(&key, "default");
		if (is_begin && in_entry && fits(&e, query))
			break;
		if (is_begin) {
			memset(&e, 0, sizeof(e));
			in_entry = true;
			e.is_default = is_word(&key, "default");
			if (!e.is_default)
				(void)read_word(&s, true, &e.machine);
		} else if (is_word(&key, "macdef")) {
			skip_macro(&s);
		} else if (read_word(&s, true, &value) && place_of(&e, &key)) {
			*place_of(&e, &key) = value;
		}
	}
	if (!in_entry || !fits(&e, query))
		return -ENOENT;
	n = copy_word(&e.password, buf, size);
	if (n == SIZE_MAX)
		return -EFBIG;
	*ret_n = n;
	return 0;
}
