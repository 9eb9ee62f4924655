/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/header.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * The first mailbox of an address list. One pass from left to right over
 * comments, quoted strings, encoded words, `<...>` and separators; what is
 * missing or too much (brackets, closing quotes, commas) changes where the
 * pass ends, never whether it ends. Pure functions on at most MAIL_FIELD_MAX
 * bytes: no buffer here can be filled beyond what was read.
 */

/*
 * What has been read of the first mailbox. Blanks that were quoted are kept
 * apart from those between words as HARD_BLANK until the end.
 */
#define HARD_BLANK '\x01'

struct mailbox {
	char name[MAIL_FIELD_MAX + 1]; /* phrase, or an address without <> */
	size_t n_name;
	char comment[MAIL_FIELD_MAX + 1];
	size_t n_comment;
	char addr[MAIL_FIELD_MAX + 1];
	size_t n_addr;
	bool has_angle;
};

/* `p` is behind the `(`; returns what is behind the `)`. */
static const char *read_comment(const char *p, struct mailbox *m)
{
	bool keep = m->n_comment == 0;
	unsigned depth = 1;

	for (; *p; p++) {
		if (*p == '(')
			depth++;
		else if (*p == ')' && --depth == 0)
			return p + 1;
		else if (*p == '\\' && p[1])
			p++;
		if (keep)
			m->comment[m->n_comment++] = *p;
	}
	return p;
}

/* `p` is behind the `"`. An unterminated string ends at an address. */
static const char *read_quoted(const char *p, char *to, size_t *n)
{
	const char *end = p;
	const char *angle;

	while (*end && *end != '"')
		end += *end == '\\' && end[1] ? 2 : 1;
	if (!*end) {
		angle = strrchr(p, '<');
		end = angle && strchr(angle, '@') ? angle : end;
	}
	for (; p < end; p++) {
		if (*p == '\\' && p + 1 < end)
			p++;
		to[*n] = *p;
		if (*p == ' ')
			to[*n] = HARD_BLANK;
		(*n)++;
	}
	return *end == '"' ? end + 1 : end;
}

/* `p` is behind the `<`. Routes (`@a,@b:`) and blanks are left out. */
static const char *read_angle(const char *p, struct mailbox *m)
{
	m->has_angle = true;
	while (*p && *p != '>') {
		if (*p == '"') {
			p = read_quoted(p + 1, m->addr, &m->n_addr);
			continue;
		}
		if (*p == '(') {
			p = read_comment(p + 1, m);
			continue;
		}
		if (*p == ':' && m->addr[0] == '@')
			m->n_addr = 0;
		else if (*p != ' ')
			m->addr[m->n_addr++] = *p;
		p++;
	}
	return p;
}

static bool is_blank(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] != ' ' && s[i] != ',')
			return false;
	}
	return true;
}

/*
 * A `,`, `;` or `:` outside of everything. True: the mailbox is complete. A
 * name that was not quoted may have a comma (`Smith, John <js@...>`), so a
 * comma ends only what has an address already.
 */
static bool read_separator(char c, struct mailbox *m)
{
	bool has_at = memchr(m->name, '@', m->n_name) != NULL;

	if (c == ',' && is_blank(m->name, m->n_name))
		return false;
	if (c == ':' && !has_at) { /* it was the name of a group */
		m->n_name = 0;
		return false;
	}
	if (c == ';')
		return !is_blank(m->name, m->n_name);
	if (c == ',' && has_at)
		return true;
	m->name[m->n_name++] = c;
	return false;
}

static void read_mailbox(const char *p, struct mailbox *m)
{
	while (*p && !m->has_angle) {
		size_t word = *p == '=' ? header_word_length(p) : 0;

		if (word > 0) { /* may hold any of the characters below */
			memcpy(m->name + m->n_name, p, word);
			m->n_name += word;
			p += word;
			continue;
		}
		switch (*p) {
		case '(':
			p = read_comment(p + 1, m);
			continue;
		case '"':
			p = read_quoted(p + 1, m->name, &m->n_name);
			continue;
		case '<':
			p = read_angle(p + 1, m);
			continue;
		case ',':
		case ';':
		case ':':
			if (read_separator(*p, m))
				return;
			break;
		default:
			m->name[m->n_name++] = *p;
		}
		p++;
	}
}

static void trim(char *s, size_t *n)
{
	size_t skip = 0;

	while (skip < *n && (s[skip] == ' ' || s[skip] == ','))
		skip++;
	while (*n > skip && (s[*n - 1] == ' ' || s[*n - 1] == ','))
		(*n)--;
	*n -= skip;
	memmove(s, s + skip, *n);
	s[*n] = '\0';
}

/* Without `<>`: the last word with an `@` is the address. */
static void split_plain(struct mailbox *m)
{
	char *end = m->name + m->n_name;
	char *at = memrchr(m->name, '@', m->n_name);
	char *start = at;

	if (!at) {
		if (memchr(m->name, ' ', m->n_name) ||
		    header_word_length(m->name))
			return;
		start = m->name; /* one word: a local user */
	} else {
		end = at + strcspn(at, " ");
		while (start > m->name && start[-1] != ' ')
			start--;
	}
	m->n_addr = (size_t)(end - start);
	memcpy(m->addr, start, m->n_addr);
	m->addr[m->n_addr] = '\0';
	m->n_name = (size_t)(start - m->name);
	m->name[m->n_name] = '\0';
}

static void soften(char *s)
{
	for (; *s; s++) {
		if (*s == HARD_BLANK)
			*s = ' ';
	}
}

static int give(struct mailbox *m, char **ret_name, char **ret_addr)
{
	char addr[HEADER_UTF8_SIZE];
	char *name = NULL;
	char *copy;
	int r;

	header_to_utf8(addr, m->addr, m->n_addr);
	r = header_decode(m->n_name > 0 ? m->name : m->comment, &name);
	if (r < 0)
		return r;
	copy = strdup(addr);
	if (!copy) {
		free(name);
		return -ENOMEM;
	}
	*ret_name = name;
	*ret_addr = copy;
	return 0;
}

int header_first_address(const char *raw, char **ret_name, char **ret_addr)
{
	char line[MAIL_FIELD_MAX + 1];
	size_t n = strnlen(raw, MAIL_FIELD_MAX);
	struct mailbox m;

	/* Not all of it: 3 KiB of zeros would be most of the work. */
	m.n_name = m.n_comment = m.n_addr = 0;
	m.addr[0] = '\0';
	m.has_angle = false;
	memcpy(line, raw, n);
	line[n] = '\0';
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)line[i];

		if (c < 0x20 || c == 0x7f)
			line[i] = ' ';
	}

	read_mailbox(line, &m);
	m.addr[m.n_addr] = '\0';
	trim(m.name, &m.n_name);
	trim(m.comment, &m.n_comment);
	if (!m.has_angle)
		split_plain(&m);
	soften(m.name);
	soften(m.addr);
	trim(m.name, &m.n_name);
	trim(m.addr, &m.n_addr);
	return give(&m, ret_name, ret_addr);
}
