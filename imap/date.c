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
 *
 * Most senders write one form, and servers have one for INTERNALDATE: those
 * two are read by their columns. Whatever is not exactly that goes the long
 * way.
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

/* The month that these three letters name, in any case; 0: none. */
static int month_of(const char *p)
{
	static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";

	for (int i = 0; i < 12; i++) {
		const char *m = months + (size_t)3 * i;

		/* Only letters become small letters by this bit. */
		if ((p[0] | 0x20) == m[0] && (p[1] | 0x20) == m[1] &&
		    (p[2] | 0x20) == m[2])
			return i + 1;
	}
	return 0;
}

static void take_letters(const char *p, size_t n, struct date *d)
{
	int month = n >= 3 && d->month == 0 ? month_of(p) : 0;

	if (month > 0)
		d->month = month;
	else if (d->hour >= 0)
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

static bool is_day(int year, int month, int day)
{
	static const int days[] = {31, 28, 31, 30, 31, 30,
				   31, 31, 30, 31, 30, 31};
	int max = days[month - 1] + (month == 2 && is_leap(year));

	return day >= 1 && day <= max;
}

/*
 * Days from 1970-01-01; a day beyond the end of its month counts on. Years
 * begin in March here, so that leap days come last.
 */
static int64_t days_of(int year, int month, int day)
{
	int64_t y = month > 2 ? year : year - 1;
	int64_t m = (month + 9) % 12;

	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day -
	       1 - 719468;
}

/* --- by columns --- */

/* `n` digits; -1: one of them is none. */
static int columns(const char *p, int n)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		if (!is_digit(p[i]))
			return -1;
		v = v * 10 + (p[i] - '0');
	}
	return v;
}

#define TIME_COLUMNS 14

/* `hh:mm:ss +hhmm`: seconds since midnight of that day, in UTC. */
static bool time_columns(const char *p, int *ret)
{
	int hour = columns(p, 2), minute = columns(p + 3, 2);
	int second = columns(p + 6, 2);
	int zone_h = columns(p + 10, 2), zone_m = columns(p + 12, 2);
	int zone_s = zone_h * 3600 + zone_m * 60;

	if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 ||
	    second > 60 || zone_h < 0 || zone_m < 0 || zone_m > 59)
		return false;
	if (p[2] != ':' || p[5] != ':' || p[8] != ' ' ||
	    (p[9] != '+' && p[9] != '-'))
		return false;
	*ret = hour * 3600 + minute * 60 + second +
	       (p[9] == '-' ? zone_s : -zone_s);
	return true;
}

/* Nothing, or a comment without another one in it. */
static bool is_rest(const char *p)
{
	size_t n;

	if (*p == '\0')
		return true;
	if (p[0] != ' ' || p[1] != '(')
		return false;
	n = strcspn(p + 2, "()\\");
	return p[2 + n] == ')' && p[3 + n] == '\0';
}

/* Three letters, and not those of a month, which would count as one. */
static bool is_weekday(const char *p)
{
	for (int i = 0; i < 3; i++) {
		if ((p[i] | 0x20) < 'a' || (p[i] | 0x20) > 'z')
			return false;
	}
	return p[3] == ',' && p[4] == ' ' && month_of(p) == 0;
}

/* `Sat, 21 Nov 2026 15:30:12 +0100 (CET)`, the name of the day is optional. */
static bool date_columns(const char *p, size_t n, int64_t *ret)
{
	int day, month, year, time_s;
	size_t digits;

	if (n > 5 && is_weekday(p)) {
		p += 5;
		n -= 5;
	}
	digits = n > 1 && is_digit(p[1]) ? 2 : 1;
	if (n < digits + 10 + TIME_COLUMNS)
		return false;
	day = columns(p, (int)digits);
	p += digits;
	month = month_of(p + 1);
	year = columns(p + 5, 4);
	if (p[0] != ' ' || month == 0 || p[4] != ' ' || year < 1900 ||
	    p[9] != ' ' || !is_day(year, month, day))
		return false;
	if (!time_columns(p + 10, &time_s) || !is_rest(p + 10 + TIME_COLUMNS))
		return false;
	*ret = days_of(year, month, day) * 86400 + time_s;
	return true;
}

bool date_internal(const char *p, size_t n, int64_t *ret)
{
	int day, month, year, time_s;

	if (n != 12 + TIME_COLUMNS || p[2] != '-' || p[6] != '-' ||
	    p[11] != ' ')
		return false;
	day = p[0] == ' ' ? columns(p + 1, 1) : columns(p, 2);
	month = month_of(p + 3);
	year = columns(p + 7, 4);
	if (day < 1 || day > 31 || month == 0 || year < 1900 ||
	    !time_columns(p + 12, &time_s))
		return false;
	*ret = days_of(year, month, day) * 86400 + time_s;
	return true;
}

/* --- by words --- */

int header_date(const char *raw, int64_t *ret)
{
	struct date d = {.year = -1, .hour = -1};
	char line[MAIL_FIELD_MAX + 1];
	size_t n = strnlen(raw, MAIL_FIELD_MAX);
	const char *p = line;

	if (n < MAIL_FIELD_MAX && date_columns(raw, n, ret))
		return 0;

	simplify(line, raw, n);
	while (*p) {
		const char *end = p + strcspn(p, " ");

		if (end > p && !take_word(p, end, &d))
			return -EINVAL;
		p = end + (*end == ' ');
	}
	if (d.month == 0 || d.hour < 0 || d.year < 1900 || d.year > 9999)
		return -EINVAL;
	if (!is_day(d.year, d.month, d.day))
		return -EINVAL;

	*ret = days_of(d.year, d.month, d.day) * 86400 +
	       (int64_t)(d.hour * 3600 + d.minute * 60 + d.second - d.zone_s);
	return 0;
}
