/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/item.h"

#include <string.h>
#include <strings.h>

#include "imap/names.h"

/*
 * A large listing is tens of thousands of these, and libetpan, which builds a
 * tree of allocated nodes for each, was half of what a listing cost. A test
 * compares both readings over the fuzz corpora. Pure functions.
 */

static const struct {
	const char *name;
	size_t n;
	uint32_t flag;
} system_flags[] = {
	{"\\Seen", 5, MAIL_SEEN},       {"\\Answered", 9, MAIL_ANSWERED},
	{"\\Flagged", 8, MAIL_FLAGGED}, {"\\Deleted", 8, MAIL_DELETED},
	{"\\Draft", 6, MAIL_DRAFT},     {"\\Recent", 7, 0},
};

bool item_system_flag(const char *p, size_t n, uint32_t *ret)
{
	for (size_t i = 0; i < sizeof(system_flags) / sizeof(*system_flags);
	     i++) {
		if (system_flags[i].n != n ||
		    strncasecmp(system_flags[i].name, p, n) != 0)
			continue;
		*ret = system_flags[i].flag;
		return true;
	}
	return false;
}

void item_add_word(char *words, size_t size, const char *w, size_t n)
{
	size_t at = strlen(words);

	if (n == 0 || at + (at > 0) + n >= size)
		return;
	if (at > 0)
		words[at++] = ' ';
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)w[i];

		words[at] = w[i];
		if (c < 0x20 || c == 0x7f)
			words[at] = '?';
		at++;
	}
	words[at] = '\0';
}

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '$' || c == '-' || c == '_' ||
	       c == '.';
}

/* One flag; false: it is none that we know for sure. */
static bool take_flag(struct scan *s, struct item_store *store, uint32_t *flags)
{
	const char *p = s->p;
	const char *q = p;
	uint32_t flag;

	if (q < s->end && *q == '\\')
		q++;
	while (q < s->end && is_plain(*q))
		q++;
	if (q == p)
		return false;
	s->p = q;
	if (*p != '\\') {
		item_add_word(store->keywords, sizeof(store->keywords), p,
			      (size_t)(q - p));
		return true;
	}
	if (!item_system_flag(p, (size_t)(q - p), &flag))
		return false;
	*flags |= flag;
	return true;
}

bool item_flags(struct scan *s, struct item_store *store, struct mail_row *row)
{
	struct scan at = *s;
	uint32_t flags = 0;

	store->keywords[0] = '\0';
	if (!scan_char(&at, '('))
		return false;
	if (!scan_char(&at, ')')) {
		do {
			if (!take_flag(&at, store, &flags))
				return false;
		} while (scan_char(&at, ' '));
		if (!scan_char(&at, ')'))
			return false;
	}
	row->flags = flags;
	row->keywords = store->keywords;
	row->has |= ROW_FLAGS;
	*s = at;
	return true;
}

bool item_date(struct scan *s, struct mail_row *row)
{
	struct scan at = *s;
	struct scan_string text;

	if (!scan_string(&at, &text) || text.kind != SCAN_QUOTED ||
	    !date_internal(text.p, text.n, &row->internaldate))
		return false;
	row->has |= ROW_DATE;
	*s = at;
	return true;
}
