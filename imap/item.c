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

	if (n == 0 || at + 1 + n >= size)
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

/* `n` digits; -1: one of them is none. */
static int digits(const char *p, int n)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		v = v * 10 + (p[i] - '0');
	}
	return v;
}

static int month_of(const char *p)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12; i++) {
		if (strncasecmp(p, months + (size_t)3 * i, 3) == 0)
			return i + 1;
	}
	return 0;
}

/* The day has a blank or a zero in front of it, if it is small. */
static int day_of(const char *p)
{
	return p[0] == ' ' ? digits(p + 1, 1) : digits(p, 2);
}

bool item_date(struct scan *s, struct mail_row *row)
{
	static const char shape[] = "\"dd-mmm-yyyy hh:mm:ss +hhmm\"";
	static const uint8_t marks[] = {0, 3, 7, 12, 15, 18, 21, 27};
	const char *p = s->p;
	int year, month, day, hour, minute, second, zone;

	if ((size_t)(s->end - p) < sizeof(shape) - 1)
		return false;
	for (size_t i = 0; i < sizeof(marks); i++) {
		if (p[marks[i]] != shape[marks[i]])
			return false;
	}
	day = day_of(p + 1);
	month = month_of(p + 4);
	year = digits(p + 8, 4);
	hour = digits(p + 13, 2);
	minute = digits(p + 16, 2);
	second = digits(p + 19, 2);
	zone = digits(p + 23, 4);
	if (day < 1 || day > 31 || month == 0 || year < 1900 || hour < 0 ||
	    hour > 23 || minute < 0 || minute > 59 || second < 0 ||
	    second > 60 || zone < 0 || (p[22] != '+' && p[22] != '-'))
		return false;
	zone = zone / 100 * 3600 + zone % 100 * 60;
	row->internaldate = date_days(year, month, day) * 86400 +
			    (int64_t)hour * 3600 + (int64_t)minute * 60 +
			    second - (p[22] == '-' ? -zone : zone);
	row->has |= ROW_DATE;
	s->p = p + sizeof(shape) - 1;
	return true;
}
