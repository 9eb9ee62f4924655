/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/header.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <unistr.h>

#include <libetpan/libetpan.h>

/*
 * Header fields as senders write them, which is rarely as RFC 5322 and 2047
 * say. The text of a field is made valid UTF-8 first; runs of encoded words
 * in it are then given to libetpan, each run alone, copied into a buffer with
 * zeros behind it (libetpan's quoted-printable decoder reads a little past
 * its end), and only for character sets of a list: their names come from
 * strangers and go on to iconv_open(3), which loads code by name.
 *
 * Everything works on at most MAIL_FIELD_MAX bytes, so nothing here is slow
 * whatever it costs. Pure functions; any thread.
 */

/* Room for a field in UTF-8, and for zeros behind it. */
#define TEXT_SIZE (HEADER_UTF8_SIZE + 16)

/* --- plain text --- */

#define EACH 0x0101010101010101ULL /* one in each of eight bytes */

/* Are these eight bytes from 0x20 to 0x7e? Sums of such never carry over. */
static bool are_plain(uint64_t v)
{
	const uint64_t top = 0x80 * EACH;

	return ((v | (v + 0x01 * EACH)) & top) == 0 &&
	       ((v + 0x60 * EACH) & top) == top;
}

/*
 * Are all of these bytes printable ASCII or blanks? Then they are their own
 * UTF-8, and need not be looked at one by one.
 */
static bool is_plain(const char *s, size_t n)
{
	uint64_t v;

	for (; n >= sizeof(v); s += sizeof(v), n -= sizeof(v)) {
		memcpy(&v, s, sizeof(v));
		if (!are_plain(v))
			return false;
	}
	for (; n > 0; s++, n--) {
		if (*s < 0x20 || *s >= 0x7f)
			return false;
	}
	return true;
}

/* --- valid UTF-8 --- */

/* windows-1252, 0x80..0x9f; 0: not assigned. */
static const uint16_t cp1252[32] = {
	0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
	0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0,      0x017d, 0,
	0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
	0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178,
};

static ucs4_t guess_byte(uint8_t c)
{
	if (c >= 0xa0)
		return c;
	return cp1252[c - 0x80] ? cp1252[c - 0x80] : 0xfffd;
}

/*
 * `guess`: wrong bytes are windows-1252, else U+FFFD. `cut`: the end may be in
 * mid-character.
 */
static size_t to_utf8(char *to, const char *from, size_t n, bool guess,
		      bool cut)
{
	const uint8_t *p = (const uint8_t *)from;
	size_t out = 0;

	while (n > 0) {
		ucs4_t c;
		int len = u8_mbtoucr(&c, p, n);

		if (len == -2 && cut)
			break;
		if (len < 0) {
			c = guess ? guess_byte(*p) : 0xfffd;
			len = 1;
		}
		if (c < 0x20 || (c >= 0x7f && c < 0xa0))
			c = ' ';
		out += (size_t)u8_uctomb((uint8_t *)to + out, c, 4);
		p += len;
		n -= (size_t)len;
	}
	to[out] = '\0';
	return out;
}

size_t header_to_utf8(char *to, const char *from, size_t n)
{
	if (is_plain(from, n)) {
		memcpy(to, from, n);
		to[n] = '\0';
		return n;
	}
	return to_utf8(to, from, n, true, n >= MAIL_FIELD_MAX);
}

/* --- encoded words --- */

/* Beginnings of the names of character sets that mail is written in. */
static const char *const charsets[] = {
	"ansi_x3.4", "ascii",    "big5",        "cp125",       "cp437",
	"cp850",     "cp852",    "cp866",       "cp874",       "cp93",
	"cp949",     "cp950",    "euc-",        "gb18030",     "gb2312",
	"gb_2312",   "gbk",      "hz-gb",       "ibm437",      "ibm850",
	"ibm852",    "ibm866",   "iso-2022-jp", "iso-2022-kr", "iso-8859-",
	"iso8859-",  "iso_8859", "koi8-",       "ks_c_5601",   "latin",
	"macintosh", "shift",    "sjis",        "tis-620",     "us-ascii",
	"utf-16",    "utf-7",    "utf-8",       "utf7",        "utf8",
	"viscii",    "windows-", "x-sjis",
};

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static bool is_charset(const char *p, size_t n)
{
	bool known = false;

	if (n == 0 || n > 40)
		return false;
	for (size_t i = 0; i < N_OF(charsets); i++) {
		size_t len = strlen(charsets[i]);

		if (n >= len && strncasecmp(p, charsets[i], len) == 0)
			known = true;
	}
	for (size_t i = 0; i < n; i++) {
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "abcdefghijklmnopqrstuvwxyz0123456789-_.:",
			    p[i]))
			return false;
	}
	return known;
}

size_t header_word_length(const char *p)
{
	const char *set = p + 2;
	size_t set_n;
	const char *q;

	if (p[0] != '=' || p[1] != '?')
		return 0;
	set_n = strcspn(set, "?*");
	q = set + strcspn(set, "? \t");
	if (!is_charset(set, set_n) || *q != '?')
		return 0;
	if (!q[1] || !strchr("BbQq", q[1]) || q[2] != '?')
		return 0;
	/* Blanks are wrong in there, and not rare in the Q form. */
	q += 3;
	q += strcspn(q, "?");
	return q[0] == '?' && q[1] == '=' ? (size_t)(q + 2 - p) : 0;
}

/* Encoded words with only blanks between them; those blanks go (RFC 2047). */
static size_t run_length(const char *p)
{
	size_t n = header_word_length(p);

	for (;;) {
		size_t gap = strspn(p + n, " \t");
		size_t more = header_word_length(p + n + gap);

		if (more == 0)
			return n;
		n += gap + more;
	}
}

struct text {
	char *bytes;
	size_t n;
	size_t size;
};

static int text_add(struct text *t, const char *bytes, size_t n)
{
	if (t->size - t->n <= n) {
		size_t size = 2 * t->size + n + 1;
		char *p = realloc(t->bytes, size);

		if (!p)
			return -ENOMEM;
		t->bytes = p;
		t->size = size;
	}
	memcpy(t->bytes + t->n, bytes, n);
	t->n += n;
	t->bytes[t->n] = '\0';
	return 0;
}

/*
 * Copy a run without its language tags (`=?utf-8*de?...`, RFC 2231 section 5),
 * for libetpan takes them for a part of the character set's name.
 */
static size_t copy_run(char *to, const char *p, size_t n)
{
	const char *end = p + n;
	size_t out = 0;

	while (p < end) {
		size_t word = header_word_length(p);
		size_t tag = word > 0 ? strcspn(p, "*") : 0;
		const char *next = p + (word > 0 ? word : 1);

		/* Behind `=?`; a `*` in the text comes after a `?`. */
		if (word > 0 && tag < 2 + strcspn(p + 2, "?")) {
			memcpy(to + out, p, tag);
			out += tag;
			p += 2 + strcspn(p + 2, "?");
		}
		memcpy(to + out, p, (size_t)(next - p));
		out += (size_t)(next - p);
		p = next;
	}
	return out;
}

static int add_run(struct text *t, const char *run, size_t n)
{
	char padded[TEXT_SIZE];
	char *decoded = NULL;
	char *valid;
	size_t len;
	size_t i = 0;
	int r;

	memset(padded, 0, sizeof(padded));
	len = copy_run(padded, run, n);
	if (mailmime_encoded_phrase_parse("utf-8", padded, len, &i, "utf-8",
					  &decoded) != MAILIMF_NO_ERROR ||
	    !decoded)
		return text_add(t, run, n);

	len = strlen(decoded);
	valid = malloc(3 * len + 1);
	if (!valid) {
		free(decoded);
		return -ENOMEM;
	}
	len = to_utf8(valid, decoded, len, false, false);
	r = text_add(t, valid, len);
	free(valid);
	free(decoded);
	return r;
}

static int decode_words(struct text *t, const char *p)
{
	int r = text_add(t, "", 0);

	while (*p && r == 0) {
		size_t n = run_length(p);

		if (n > 0) {
			r = add_run(t, p, n);
		} else {
			n = 1 + strcspn(p + 1, "=");
			r = text_add(t, p, n);
		}
		p += n;
	}
	return r;
}

int header_decode(const char *raw, char **ret)
{
	size_t n = strnlen(raw, MAIL_FIELD_MAX);
	char utf8[TEXT_SIZE];
	struct text t = {0};
	int r;

	if (is_plain(raw, n) && !memmem(raw, n, "=?", 2)) {
		*ret = strndup(raw, n);
		return *ret ? 0 : -ENOMEM;
	}

	header_to_utf8(utf8, raw, n);
	r = decode_words(&t, utf8);
	if (r < 0) {
		free(t.bytes);
		return r;
	}
	*ret = t.bytes;
	return 0;
}

/* --- fields of a block --- */

static const struct {
	const char *name;
	size_t n;
	enum mail_field field;
} field_table[] = {
	{"Date", 4, FIELD_DATE}, {"From", 4, FIELD_FROM},
	{"To", 2, FIELD_TO},     {"Subject", 7, FIELD_SUBJECT},
	{"Cc", 2, FIELD_CC},     {"Message-ID", 10, FIELD_MESSAGE_ID},
};

/* The field whose line is [p, end); its value begins at `*ret_value`. */
static int find_field(const char *p, const char *end, const char **ret_value)
{
	const char *colon = memchr(p, ':', (size_t)(end - p));
	size_t n;

	if (!colon)
		return -1;
	*ret_value = colon + 1;
	while (colon > p && (colon[-1] == ' ' || colon[-1] == '\t'))
		colon--;
	n = (size_t)(colon - p);
	for (size_t i = 0; i < N_OF(field_table); i++) {
		if (field_table[i].n == n &&
		    strncasecmp(p, field_table[i].name, n) == 0)
			return (int)field_table[i].field;
	}
	return -1;
}

static const char *line_end(const char *p, const char *end)
{
	const char *lf = memchr(p, '\n', (size_t)(end - p));

	return lf ? lf : end;
}

/* The end of a field whose first line ends at `e`: behind what continues it. */
static const char *field_end(const char *e, const char *end)
{
	while (end - e > 1 && (e[1] == ' ' || e[1] == '\t'))
		e = line_end(e + 1, end);
	return e;
}

/* By the rules of struct mail_row. */
static void copy_value(char *to, const char *p, const char *end)
{
	size_t n = 0;

	while (p < end && *p == ' ')
		p++;
	if (is_plain(p, (size_t)(end - p))) {
		n = (size_t)(end - p);
		n = n < MAIL_FIELD_MAX ? n : MAIL_FIELD_MAX;
		memcpy(to, p, n);
		p = end;
	}
	for (; p < end && n < MAIL_FIELD_MAX; p++) {
		unsigned char c = (unsigned char)*p;

		if (c == '\n' || (c == '\r' && p + 1 < end && p[1] == '\n'))
			continue;
		if (c < 0x20 || c == 0x7f)
			c = ' ';
		if (n > 0 || c != ' ')
			to[n++] = (char)c;
	}
	while (n > 0 && to[n - 1] == ' ')
		n--;
	to[n] = '\0';
}

void header_fields(const char *block, size_t n, char *store,
		   const char *field[N_FIELDS])
{
	const char *end = block + n;
	const char *p = block;

	for (int i = 0; i < N_FIELDS; i++)
		field[i] = NULL;
	while (p < end && *p != '\n' &&
	       !(*p == '\r' && end - p > 1 && p[1] == '\n')) {
		const char *line = line_end(p, end);
		const char *e = field_end(line, end);
		const char *value = NULL;
		int i = find_field(p, line, &value);

		if (i >= 0 && !field[i]) {
			char *to = store + (size_t)i * (MAIL_FIELD_MAX + 1);

			copy_value(to, value,
				   e > p && e[-1] == '\r' ? e - 1 : e);
			field[i] = to;
		}
		p = e < end ? e + 1 : end;
	}
}
