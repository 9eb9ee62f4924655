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
	KIND_OTHER,  /* becomes a dash */
	KIND_BASE,   /* letter or digit: stays */
	KIND_MARK,   /* accents: stay behind a letter or digit */
	KIND_INSIDE, /* stays between two letters or digits */
	KIND_GONE,   /* shows nothing, and may mislead: left out */
};

static const uint8_t ascii[0x80] = {
	['0' ... '9'] = KIND_BASE, ['A' ... 'Z'] = KIND_BASE,
	['a' ... 'z'] = KIND_BASE, ['.'] = KIND_INSIDE,
	['+'] = KIND_INSIDE,       ['@'] = KIND_INSIDE,
	['='] = KIND_INSIDE,       ['%'] = KIND_INSIDE,
	[','] = KIND_INSIDE,
};

static enum kind kind_of(ucs4_t c)
{
	if (c < sizeof(ascii))
		return (enum kind)ascii[c];
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
	while (n > 0 && (s[n - 1] == '-' || (s[n - 1] < sizeof(ascii) &&
					     ascii[s[n - 1]] == KIND_INSIDE)))
		n--;
	return n;
}

/*
 * A part of a name out of ASCII, which most mail is: it is its own NFC, and
 * may be cut anywhere. What choose() does, in one step. False: it is not ASCII.
 */
static bool plain_part(const uint8_t *s, size_t max, uint8_t *to, size_t *ret_n)
{
	bool after_word = false;
	size_t n = 0;

	for (; *s; s++) {
		enum kind kind;

		if (*s >= sizeof(ascii))
			return false;
		kind = (enum kind)ascii[*s];
		if (kind == KIND_INSIDE &&
		    (!after_word || s[1] >= sizeof(ascii) ||
		     ascii[s[1]] != KIND_BASE))
			kind = KIND_OTHER;
		after_word = kind == KIND_BASE;
		if (n == max) /* the rest must be ASCII, too */
			continue;
		if (kind != KIND_OTHER)
			to[n++] = *s;
		else if (n > 0 && to[n - 1] != '-')
			to[n++] = '-';
	}
	*ret_n = n;
	return true;
}

/* The same out of anything that is UTF-8; nothing out of what is not. */
static int any_part(const uint8_t *s, size_t max, uint8_t *to, size_t *ret_n)
{
	uint8_t *first, *second;
	size_t n = 0;

	*ret_n = 0;
	first = u8_normalize(UNINORM_NFC, s, strlen((const char *)s), NULL, &n);
	if (!first)
		return errno == ENOMEM ? -ENOMEM : 0;
	n = choose(first, n);
	second = u8_normalize(UNINORM_NFC, first, n, NULL, &n);
	free(first);
	if (!second)
		return -ENOMEM;
	n = cut_at(second, n, max);
	memcpy(to, second, n);
	free(second);
	*ret_n = n;
	return 0;
}

/*
 * One part of a name, of at most `max` bytes, without a NUL: its length, which
 * is 0 if nothing remains, or -ENOMEM.
 */
static int make_part(const char *utf8, size_t max, char *ret)
{
	const uint8_t *s = (const uint8_t *)utf8;
	uint8_t *to = (uint8_t *)ret;
	size_t n;
	int r;

	if (!plain_part(s, max, to, &n)) {
		r = any_part(s, max, to, &n);
		if (r < 0)
			return r;
	}
	return (int)trim_end(to, n);
}

static char *put_word(char *to, const char *word)
{
	return mempcpy(to, word, strlen(word));
}

static char *put_number(char *to, int v, int digits)
{
	for (int i = digits; i-- > 0; v /= 10)
		to[i] = (char)('0' + v % 10);
	return to + digits;
}

/* Where the name goes on, behind the date. */
static char *put_date(char *to, const char *raw)
{
	struct tm tm;
	int64_t date;
	time_t t;

	if (!raw || header_date(raw, &date) < 0)
		return put_word(to, "no-date");
	t = (time_t)date;
	if (!gmtime_r(&t, &tm) || tm.tm_year < 0 || tm.tm_year > 9999 - 1900)
		return put_word(to, "no-date");
	to = put_number(to, tm.tm_year + 1900, 4);
	*to++ = '-';
	to = put_number(to, tm.tm_mon + 1, 2);
	*to++ = '-';
	to = put_number(to, tm.tm_mday, 2);
	*to++ = 'T';
	to = put_number(to, tm.tm_hour, 2);
	to = put_number(to, tm.tm_min, 2);
	*to++ = 'Z';
	return to;
}

/* The length of what was put there, or -ENOMEM. */
static int put_from(char *to, const char *raw)
{
	char *name = NULL, *address = NULL;
	int r = 0;

	if (raw) {
		r = header_first_address(raw, &name, &address);
		if (r < 0)
			return r;
		r = make_part(name, FROM_MAX, to);
		if (r == 0)
			r = make_part(address, FROM_MAX, to);
		free(name);
		free(address);
	}
	return r != 0 ? r : (int)(put_word(to, "nobody") - to);
}

static int put_subject(char *to, const char *raw, size_t max)
{
	char *text = NULL;
	int r = 0;

	if (raw) {
		r = header_decode(raw, &text);
		if (r < 0)
			return r;
		r = make_part(text, max, to);
		free(text);
	}
	return r != 0 ? r : (int)(put_word(to, "no-subject") - to);
}

static void base32(uint64_t hash, unsigned letters, char *ret)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";

	for (unsigned i = 0; i < letters; i++, hash >>= 5)
		ret[i] = digits[hash & 31];
}

static void put_hash(char *to, const struct mail_row *row)
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
	base32(XXH3_64bits(text, len), HASH_LETTERS, to);
}

int name_of_message(const struct mail_row *row, char ret[NAME_BUFFER])
{
	char name[NAME_BUFFER];
	char *at = put_date(name, row->field[FIELD_DATE]);
	int n;

	*at++ = '_';
	n = put_from(at, row->field[FIELD_FROM]);
	if (n < 0)
		return n;
	at += n;
	*at++ = '_';
	n = put_subject(at, row->field[FIELD_SUBJECT],
			(size_t)(NAME_MAX_BYTES - FIXED_BYTES - n));
	if (n < 0)
		return n;
	at += n;
	*at++ = '_';
	put_hash(at, row);
	at = put_word(at + HASH_LETTERS, SUFFIX);
	*at++ = '\0';
	assert(at - name <= NAME_MAX_BYTES + 1); /* by the maximum of each */
	memcpy(ret, name, (size_t)(at - name));
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
