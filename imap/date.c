/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/names.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/*
 * The Date field. Comments are taken out, then the words are looked at one by
 * one: what has a colon is the time, what is a month's name is the month, and
 * so on. That reads RFC 5322, its obsolete forms and asctime(3)'s order with
 * the same few lines. No locale, no libc calendar: years are counted by hand,
 * in 64 bits.
 */

struct date {
	int day; /* 0: not seen yet; the same for month */
	int month;
	int year; /* -1: not seen yet */
	int hour; /* -1: not seen yet */
	int minute;
	int second;
	int zone_s; /* east of UTC */
};

/*
 * Copy without comments; blanks around `:` go (obs-time allows them), commas
 * and hyphens between words (21-Nov-2026) become blanks.
 */
static void simplify(char *to, const char *p, size_t n)
{
	unsigned depth = 0;
	size_t out = 0;

	for (size_t i = 0; i < n; i++) {
		char c = p[i];
		bool after_word = out > 0 && to[out - 1] != ' ';

		if (c == '\\' && depth > 0 && i + 1 < n) {
			i++;
			continue;
		}
		if (c == '(')
			depth++;
		if (c == ')' && depth > 0) {
			depth--;
			c = ' ';
		}
		if (depth > 0)
			continue;
		if (c == ',' || c == '\t' || (c == '-' && after_word))
			c = ' ';
		if (c == ' ' && (out == 0 || to[out - 1] == ':'))
			continue;
		while (c == ':' && out > 0 && to[out - 1] == ' ')
			out--;
		to[out++] = c;
	}
	to[out] = '\0';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* `max` digits at most. -1: there is none, or more. */
static int take_number(const char **p, const char *end, int max)
{
	const char *q = *p;
	int v = 0;

	while (q < end && is_digit(*q)) {
		if (q - *p == max)
			return -1;
		v = v * 10 + (*q++ - '0');
	}
	if (q == *p)
		return -1;
	*p = q;
	return v;
}

/* HH:MM, HH:MM:SS, HH:MM:SS.fraction */
static bool take_time(const char *p, const char *end, struct date *d)
{
	d->hour = take_number(&p, end, 2);
	if (d->hour < 0 || d->hour > 23 || p == end || *p++ != ':')
		return false;
	d->minute = take_number(&p, end, 2);
	if (d->minute < 0 || d->minute > 59)
		return false;
	d->second = 0;
	if (p < end && *p == ':') {
		p++;
		d->second = take_number(&p, end, 2);
	}
	if (d->second < 0 || d->second > 60)
		return false;
	return p == end || *p == '.';
}

/* +HHMM, +HH:MM; nonsense is taken as UTC, a date without it is worth more. */
static void take_offset(const char *p, const char *end, struct date *d)
{
	int sign = *p++ == '-' ? -1 : 1;
	int digits[4];
	int n = 0;

	for (; p < end && n < 4; p++) {
		if (is_digit(*p))
			digits[n++] = *p - '0';
		else if (*p != ':')
			return;
	}
	if (n == 4 && digits[2] < 6)
		d->zone_s = sign * (digits[0] * 36000 + digits[1] * 3600 +
				    digits[2] * 600 + digits[3] * 60);
}

/*
 * The letters of RFC 5322 section 4.3. All others, the military ones
 * included, mean nothing reliable there and count as UTC.
 */
static void take_zone(const char *p, size_t n, struct date *d)
{
	static const char names[] = "EDTESTCDTCSTMDTMSTPDTPST";

	if (n != 3)
		return;
	for (int i = 0; i < 8; i++) {
		if (strncasecmp(p, names + (size_t)3 * i, 3) == 0)
			d->zone_s = -3600 * (4 + (i + 1) / 2);
	}
}

static void take_letters(const char *p, size_t n, struct date *d)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12 && n >= 3 && d->month == 0; i++) {
		if (strncasecmp(p, months + (size_t)3 * i, 3) == 0) {
			d->month = i + 1;
			return;
		}
	}
	if (d->hour >= 0)
		take_zone(p, n, d);
}

/* Day, year, or month. RFC 5322 section 4.3 on years of two and three digits.
 */
static bool take_digits(const char *p, const char *end, struct date *d)
{
	size_t n = (size_t)(end - p);
	int v = take_number(&p, end, 4);

	if (v < 0 || p != end)
		return false;
	/* 2026-11-21, which is not of RFC 5322 but of some programs. */
	if (d->year >= 0 && d->day == 0 && d->month == 0) {
		d->month = v;
		return n <= 2 && v >= 1 && v <= 12;
	}
	if (d->day == 0 && n <= 2) {
		d->day = v;
		return v > 0;
	}
	if (d->year >= 0)
		return false;
	if (n <= 2)
		v += v < 50 ? 2000 : 1900;
	else if (n == 3)
		v += 1900;
	d->year = v;
	return true;
}

static bool take_word(const char *p, const char *end, struct date *d)
{
	if (*p == '+' || *p == '-') {
		take_offset(p, end, d);
		return true;
	}
	if (memchr(p, ':', (size_t)(end - p)))
		return d->hour < 0 && take_time(p, end, d);
	if (is_digit(*p))
		return take_digits(p, end, d);
	take_letters(p, (size_t)(end - p), d);
	return true;
}

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool is_day(const struct date *d)
{
	static const int days[] = {31, 28, 31, 30, 31, 30,
				   31, 31, 30, 31, 30, 31};
	int max = days[d->month - 1] + (d->month == 2 && is_leap(d->year));

	return d->day >= 1 && d->day <= max;
}

/* Years begin in March here, so that leap days come last. */
int64_t date_days(int year, int month, int day)
{
	int64_t y = month > 2 ? year : year - 1;
	int64_t m = (month + 9) % 12;

	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day -
	       1 - 719468;
}

int header_date(const char *raw, int64_t *ret)
{
	struct date d = {.year = -1, .hour = -1};
	char line[MAIL_FIELD_MAX + 1];
	const char *p = line;

	simplify(line, raw, strnlen(raw, MAIL_FIELD_MAX));
	while (*p) {
		const char *end = p + strcspn(p, " ");

		if (end > p && !take_word(p, end, &d))
			return -EINVAL;
		p = end + (*end == ' ');
	}
	if (d.month == 0 || d.hour < 0 || d.year < 1900 || d.year > 9999)
		return -EINVAL;
	if (!is_day(&d))
		return -EINVAL;

	*ret = date_days(d.year, d.month, d.day) * 86400 +
	       (int64_t)(d.hour * 3600 + d.minute * 60 + d.second - d.zone_s);
	return 0;
}
