/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/content.h"

#include <string.h>

/*
 * Each byte is looked at by memchr(3), which is several times as fast as a loop
 * over bytes: a file is written while somebody waits.
 */

/* May this stand in the name of a field (RFC 5322 section 3.6.8, ftext)? */
static bool is_name(unsigned char c)
{
	return c > ' ' && c < 0x7f && c != ':';
}

enum content_head content_head(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && is_name((unsigned char)p[i]))
		i++;
	/* Blanks before the colon are obsolete, but were legal once. */
	if (i > 0) {
		while (i < n && (p[i] == ' ' || p[i] == '\t'))
			i++;
	}
	if (i >= CONTENT_HEAD_MAX)
		return CONTENT_OTHER;
	if (i == n || p[i] == '\0')
		return CONTENT_UNKNOWN;
	return i > 0 && p[i] == ':' ? CONTENT_MESSAGE : CONTENT_OTHER;
}

/* Is the line end at p[i] without its CR? */
static bool is_bare(const struct content *c, const char *p, size_t i)
{
	return i > 0 ? p[i - 1] != '\r' : !c->after_cr;
}

static void note_rest(struct content *c, const char *p, size_t n)
{
	if (n == 0)
		return;
	c->has_nul = c->has_nul || memchr(p, '\0', n);
	c->after_cr = p[n - 1] == '\r';
	c->size += n;
}

void content_feed(struct content *c, const char *p, size_t n)
{
	const char *end = p + n, *at = p;

	while (at < end) {
		at = memchr(at, '\n', (size_t)(end - at));
		if (!at)
			break;
		if (is_bare(c, p, (size_t)(at - p)))
			c->bare_lf++;
		at++;
	}
	note_rest(c, p, n);
}

uint64_t content_size(const struct content *c)
{
	return c->size + c->bare_lf;
}

size_t content_convert(struct content *c, const char *p, size_t n, char *to)
{
	const char *end = p + n, *from = p, *at = p;
	size_t out = 0;

	while (at < end) {
		at = memchr(at, '\n', (size_t)(end - at));
		if (!at)
			break;
		if (is_bare(c, p, (size_t)(at - p))) {
			memcpy(to + out, from, (size_t)(at - from));
			out += (size_t)(at - from);
			to[out++] = '\r';
			from = at;
			c->bare_lf++;
		}
		at++;
	}
	memcpy(to + out, from, (size_t)(end - from));
	out += (size_t)(end - from);
	note_rest(c, p, n);
	return out;
}
