/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/name.h"

#include "imap/names.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unictype.h>
#include <unigbrk.h>
#include <uninorm.h>
#include <unistr.h>
#include <xxhash.h>

/*
 * The names of messages. Subjects and senders are whatever a stranger wrote,
 * and the name ends up on command lines, in `xargs` and on terminals: so a
 * character must be known to be harmless to stay. A part of a name is made
 * in four steps: NFC (which turns some characters into punctuation: U+1FEF
 * becomes a backquote), the choice of characters, NFC again (what was between
 * a letter and its accent may be gone), the cut.
 *
 * The hash is taken of the raw fields: it must not change with the tables of
 * Unicode or with our decoder, so that two messages that differ do so in every
 * version.
 */

#define FROM_MAX 60
#define HASH_LETTERS 6
#define SUFFIX ".eml"
/* DATE _ FROM _ SUBJECT _ HASH .eml */
#define FIXED_BYTES (16 + 3 + HASH_LETTERS + 4)

enum kind {
	KIND_BASE,   /* letter or digit: stays */
	KIND_MARK,   /* accents: stay behind a letter or digit */
	KIND_INSIDE, /* stays between two letters or digits */
	KIND_GONE,   /* shows nothing, and may mislead: left out */
	KIND_OTHER,  /* becomes a dash */
};

static const char inside[] = ".+@=%,";

static enum kind kind_of(ucs4_t c)
{
	if (c < 0x80) {
		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		    (c >= 'A' && c <= 'Z'))
			return KIND_BASE;
		return c && strchr(inside, (int)c) ? KIND_INSIDE : KIND_OTHER;
	}
	/* Joiners, bidi controls, fillers that count as letters. */
	if (uc_is_property_default_ignorable_code_point(c) ||
	    uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Cf))
		return KIND_GONE;
	if (uc_is_general_category_withtable(c, UC_CATEGORY_MASK_L |
							UC_CATEGORY_MASK_Nd |
							UC_CATEGORY_MASK_Nl))
		return KIND_BASE;
	if (uc_is_general_category_withtable(c, UC_CATEGORY_MASK_M))
		return KIND_MARK;
	return KIND_OTHER;
}

/*
 * Choose the characters of `s`, in place: nothing grows. A mark without a
 * letter before it would sit on the dash or on the `_` that joins the parts.
 */
static size_t choose(uint8_t *s, size_t n)
{
	bool after_word = false;
	size_t to = 0, len;

	for (size_t i = 0; i < n; i += len) {
		enum kind kind;
		ucs4_t c, next;

		len = (size_t)u8_mbtouc(&c, s + i, n - i);
		kind = kind_of(c);
		if (kind == KIND_GONE || (kind == KIND_MARK && !after_word))
			continue;
		if (kind == KIND_INSIDE) {
			if (i + len < n)
				(void)u8_mbtouc(&next, s + i + len,
						n - i - len);
			else
				next = ' ';
			if (!after_word || kind_of(next) != KIND_BASE)
				kind = KIND_OTHER;
		}
		after_word = kind == KIND_BASE || kind == KIND_MARK;
		if (kind != KIND_OTHER) {
			memmove(s + to, s + i, len);
			to += len;
		} else if (to > 0 && s[to - 1] != '-') {
			s[to++] = '-';
		}
	}
	return to;
}

/*
 * Where to cut valid UTF-8 to at most `max` bytes: between graphemes, or
 * within the first one, if that is longer, between characters.
 */
static size_t cut_at(const uint8_t *s, size_t n, size_t max)
{
	size_t grapheme = 0, character = 0;
	const uint8_t *next;

	if (n <= max)
		return n;
	while (grapheme < n) {
		next = u8_grapheme_next(s + grapheme, s + n);
		if (!next || (size_t)(next - s) > max)
			break;
		grapheme = (size_t)(next - s);
	}
	if (grapheme > 0)
		return grapheme;
	for (size_t i = 1; i <= max; i++)
		if ((s[i] & 0xc0) != 0x80)
			character = i;
	return character;
}

static size_t trim_end(const uint8_t *s, size_t n)
{
	while (n > 0 && (s[n - 1] == '-' ||
			 (s[n - 1] < 0x80 && strchr(inside, s[n - 1]))))
		n--;
	return n;
}

/* NFC. ASCII, which most mail is, is its own, and need not be looked up. */
static uint8_t *normalize(const uint8_t *s, size_t n, size_t *ret_n)
{
	uint8_t *copy;
	size_t i = 0;

	while (i < n && s[i] < 0x80)
		i++;
	if (i < n)
		return u8_normalize(UNINORM_NFC, s, n, NULL, ret_n);

	copy = malloc(n + 1);
	if (!copy) {
		errno = ENOMEM;
		return NULL;
	}
	memcpy(copy, s, n);
	*ret_n = n;
	return copy;
}

/* One part of a name, of at most `max` bytes; "" if nothing remains. */
static int make_part(const char *utf8, size_t max, char ret[NAME_BUFFER])
{
	uint8_t *first, *second;
	size_t n = 0;

	first = normalize((const uint8_t *)utf8, strlen(utf8), &n);
	if (!first && errno == ENOMEM)
		return -ENOMEM;
	if (!first) { /* not UTF-8: nothing to be said for it */
		ret[0] = '\0';
		return 0;
	}
	n = choose(first, n);
	second = normalize(first, n, &n);
	free(first);
	if (!second)
		return -ENOMEM;
	n = trim_end(second, cut_at(second, n, max));
	memcpy(ret, second, n);
	ret[n] = '\0';
	free(second);
	return 0;
}

static void make_date(const char *raw, char ret[24])
{
	struct tm tm;
	int64_t date;
	time_t t;

	snprintf(ret, 24, "no-date");
	if (!raw || header_date(raw, &date) < 0)
		return;
	t = (time_t)date;
	if (!gmtime_r(&t, &tm) || tm.tm_year < 0 || tm.tm_year > 9999 - 1900)
		return;
	snprintf(ret, 24, "%04u-%02u-%02uT%02u%02uZ",
		 ((unsigned)tm.tm_year + 1900) % 10000,
		 ((unsigned)tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100,
		 (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100);
}

static int make_from(const char *raw, char ret[NAME_BUFFER])
{
	char *name = NULL, *address = NULL;
	int r;

	ret[0] = '\0';
	if (raw) {
		r = header_first_address(raw, &name, &address);
		if (r < 0)
			return r;
		r = make_part(name, FROM_MAX, ret);
		if (r == 0 && !ret[0])
			r = make_part(address, FROM_MAX, ret);
		free(name);
		free(address);
		if (r < 0)
			return r;
	}
	if (!ret[0])
		snprintf(ret, NAME_BUFFER, "nobody");
	return 0;
}

static int make_subject(const char *raw, size_t max, char ret[NAME_BUFFER])
{
	char *text = NULL;
	int r;

	ret[0] = '\0';
	if (raw) {
		r = header_decode(raw, &text);
		if (r < 0)
			return r;
		r = make_part(text, max, ret);
		free(text);
		if (r < 0)
			return r;
	}
	if (!ret[0])
		snprintf(ret, NAME_BUFFER, "no-subject");
	return 0;
}

static void base32(uint64_t hash, unsigned letters, char *ret)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";

	for (unsigned i = 0; i < letters; i++, hash >>= 5)
		ret[i] = digits[hash & 31];
	ret[letters] = '\0';
}

static void make_hash(const struct mail_row *row, char ret[HASH_LETTERS + 1])
{
	static const enum mail_field fields[] = {FIELD_MESSAGE_ID, FIELD_DATE,
						 FIELD_FROM, FIELD_SUBJECT};
	char text[4 * (MAIL_FIELD_MAX + 1)];
	size_t len = 0;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const char *raw = row->field[fields[i]];
		size_t n = raw ? strnlen(raw, MAIL_FIELD_MAX) : 0;

		if (n > 0)
			memcpy(text + len, raw, n);
		len += n;
		text[len++] = '\n';
	}
	base32(XXH3_64bits(text, len), HASH_LETTERS, ret);
}

int name_of_message(const struct mail_row *row, char ret[NAME_BUFFER])
{
	char date[24], from[NAME_BUFFER], subject[NAME_BUFFER];
	char text[NAME_BUFFER + 32];
	char hash[HASH_LETTERS + 1];
	int r;

	make_date(row->field[FIELD_DATE], date);
	r = make_from(row->field[FIELD_FROM], from);
	if (r < 0)
		return r;
	r = make_subject(row->field[FIELD_SUBJECT],
			 NAME_MAX_BYTES - FIXED_BYTES - strlen(from), subject);
	if (r < 0)
		return r;
	make_hash(row, hash);
	snprintf(text, sizeof(text), "%.16s_%.60s_%.171s_%s" SUFFIX, date, from,
		 subject, hash);
	assert(strlen(text) <= NAME_MAX_BYTES); /* by the maximum of each */
	memcpy(ret, text, strlen(text) + 1);
	return 0;
}

void name_of_uid(uint32_t uid, char ret[NAME_BUFFER])
{
	snprintf(ret, NAME_BUFFER, "%u" SUFFIX, uid);
}

bool name_is_possible(const char *name)
{
	size_t n = strlen(name), suffix = strlen(SUFFIX);
	const uint8_t *s = (const uint8_t *)name;
	ucs4_t c;
	int len;

	if (n <= suffix || n >= NAME_BUFFER || name[0] == '.' ||
	    name[0] == '-' || strcmp(name + n - suffix, SUFFIX) != 0)
		return false;
	for (size_t i = 0; i < n; i += (size_t)len) {
		enum kind kind;

		len = u8_mbtoucr(&c, s + i, n - i);
		if (len <= 0)
			return false;
		kind = kind_of(c);
		if ((kind == KIND_OTHER && c != '-' && c != '_') ||
		    kind == KIND_GONE)
			return false;
	}
	return true;
}
