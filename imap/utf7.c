/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <unistr.h>

/*
 * Modified UTF-7 (RFC 3501 section 5.1.3): printable ASCII stands for itself,
 * `&` is written `&-`, all else is UTF-16 in a base64 with `,` for `/`,
 * between `&` and `-`.
 *
 * A name has exactly one right spelling, and only that one is decoded: two
 * names of a server must never become one directory here. Pure functions.
 */

static const char base64[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool is_direct(char c)
{
	return c >= 0x20 && c <= 0x7e;
}

static int base64_value(char c)
{
	const char *p = c ? strchr(base64, c) : NULL;

	return p ? (int)(p - base64) : -1;
}

/* --- decoding --- */

struct decoder {
	uint8_t *out;
	size_t n;
	uint32_t bits; /* of base64, not yet a unit */
	unsigned n_bits;
	uint32_t high; /* a high surrogate that waits; 0: none */
};

static int put_char(struct decoder *d, uint32_t c)
{
	/* 4 bytes are there: a unit takes more than two characters of input. */
	int n = u8_uctomb(d->out + d->n, c, 4);

	if (n <= 0)
		return -EILSEQ;
	d->n += (size_t)n;
	return 0;
}

/* A unit of UTF-16. */
static int put_unit(struct decoder *d, uint32_t u)
{
	uint32_t high = d->high;

	if (u >= 0xdc00 && u <= 0xdfff) {
		if (!high)
			return -EILSEQ;
		d->high = 0;
		return put_char(d, 0x10000 + ((high - 0xd800) << 10) +
					   (u - 0xdc00));
	}
	if (high)
		return -EILSEQ;
	if (u >= 0xd800 && u <= 0xdbff) {
		d->high = u;
		return 0;
	}
	if (u == 0 || (u >= 0x20 && u <= 0x7e))
		return -EILSEQ;
	return put_char(d, u);
}

/* The run that begins at `*p`, behind the `&`; leaves `*p` behind the `-`. */
static int decode_run(struct decoder *d, const char **p)
{
	d->bits = 0;
	d->n_bits = 0;
	d->high = 0;
	for (; **p != '-'; (*p)++) {
		int v = base64_value(**p);
		int r;

		if (v < 0)
			return -EILSEQ;
		d->bits = (d->bits << 6 | (uint32_t)v) & 0x3fffff;
		d->n_bits += 6;
		if (d->n_bits < 16)
			continue;
		d->n_bits -= 16;
		r = put_unit(d, d->bits >> d->n_bits & 0xffff);
		if (r < 0)
			return r;
	}
	(*p)++;
	if (d->high || d->n_bits >= 6 || (d->bits & ((1u << d->n_bits) - 1)))
		return -EILSEQ;
	/* A second run right behind belongs into this one. */
	if ((*p)[0] == '&' && (*p)[1] != '-')
		return -EILSEQ;
	return 0;
}

static int decode(struct decoder *d, const char *p)
{
	while (*p) {
		int r;

		if (!is_direct(*p))
			return -EILSEQ;
		if (*p != '&') {
			d->out[d->n++] = (uint8_t)*p++;
			continue;
		}
		p++;
		if (*p == '-') {
			d->out[d->n++] = '&';
			p++;
			continue;
		}
		r = decode_run(d, &p);
		if (r < 0)
			return r;
	}
	d->out[d->n] = '\0';
	return 0;
}

int utf7_decode(const char *wire, char **ret)
{
	size_t n = strlen(wire);
	/* Eight characters of base64 make three units, at most nine bytes. */
	struct decoder d = {.out = malloc(n + n / 8 + 8)};
	int r;

	if (!d.out)
		return -ENOMEM;

	r = decode(&d, wire);
	if (r < 0) {
		free(d.out);
		return r;
	}
	*ret = (char *)d.out;
	return 0;
}

/* --- encoding --- */

struct encoder {
	char *out;
	size_t n;
	bool in_run;
	uint32_t bits;
	unsigned n_bits;
};

static void put_bits(struct encoder *e, uint32_t unit)
{
	e->bits = e->bits << 16 | unit;
	e->n_bits += 16;
	while (e->n_bits >= 6) {
		e->n_bits -= 6;
		e->out[e->n++] = base64[e->bits >> e->n_bits & 63];
	}
}

static void begin_run(struct encoder *e)
{
	if (!e->in_run)
		e->out[e->n++] = '&';
	e->in_run = true;
}

static void end_run(struct encoder *e)
{
	if (!e->in_run)
		return;
	if (e->n_bits > 0)
		e->out[e->n++] = base64[e->bits << (6 - e->n_bits) & 63];
	e->out[e->n++] = '-';
	e->in_run = false;
	e->n_bits = 0;
	e->bits = 0;
}

static void encode_char(struct encoder *e, ucs4_t c)
{
	if (c >= 0x20 && c <= 0x7e) {
		end_run(e);
		e->out[e->n++] = (char)c;
		if (c == '&')
			e->out[e->n++] = '-';
		return;
	}
	begin_run(e);
	if (c >= 0x10000) {
		put_bits(e, 0xd800 + ((c - 0x10000) >> 10));
		put_bits(e, 0xdc00 + (c & 0x3ff));
	} else {
		put_bits(e, c);
	}
}

int utf7_encode(const char *utf8, char **ret)
{
	const uint8_t *p = (const uint8_t *)utf8;
	size_t n = strlen(utf8);
	struct encoder e = {0};

	if (u8_check(p, n))
		return -EILSEQ;
	/* The worst is a lone control character: one byte makes five. */
	e.out = malloc(5 * n + 8);
	if (!e.out)
		return -ENOMEM;

	while (n > 0) {
		ucs4_t c;
		int len = u8_mbtouc(&c, p, n);

		encode_char(&e, c);
		p += len;
		n -= (size_t)len;
	}
	end_run(&e);
	e.out[e.n] = '\0';
	*ret = e.out;
	return 0;
}
