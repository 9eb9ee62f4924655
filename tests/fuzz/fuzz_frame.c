/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "imap/frame.h"
#include "imap/status.h"

/*
 * Bytes from a server through the framer and the parser of status lines. The
 * stream is fed twice, in pieces whose lengths come from the input and in one
 * piece: both must give the same responses and the same end. Each response
 * must be what a parser behind the framer relies on.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct seen {
	uint64_t hash;
	uint64_t body_left; /* of the body that is being handed out */
	bool in_body;
};

static void mix(struct seen *s, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i++)
		s->hash = (s->hash ^ p[i]) * 1099511628211u;
}

/* Inside [line, line + n)? Then its bytes may be read. */
static void check_span(const char *line, size_t n, const char *p, size_t len)
{
	if (len > 0) {
		assert(p >= line && p + len <= line + n);
		assert(!memchr(p, '\n', len));
	}
}

static void check_status(const char *text, size_t n)
{
	struct status st;

	if (!status_parse(text, n, &st))
		return;
	check_span(text, n, st.words, st.n_words);
	check_span(text, n, st.text, st.n_text);
	assert(st.tagged == (st.tag[0] != '\0'));
	/* A status response is one line. */
	assert(memchr(text, '\n', n) == text + n - 1);
}

static void check_response(const char *text, size_t n)
{
	const char *end = text + n;
	const char *nul = memchr(text, '\0', n);

	assert(n >= 3 && n <= FRAME_LINE_MAX);
	assert(end[-2] == '\r' && end[-1] == '\n' && end[0] == '\0');
	assert(text[0] != '\n');
	/* NUL and further lines need a literal in front of them. */
	if (nul || memchr(text, '\n', n) != end - 1) {
		const char *lf = memchr(text, '\n', n);

		assert(text[0] == '*' && lf - text > 4);
		assert(!nul || nul > lf);
		assert(memcmp(lf - 2, "}\r", 2) == 0);
	}
}

static int on_response(void *ctx, char *text, size_t n)
{
	struct seen *s = ctx;

	assert(!s->in_body);
	check_response(text, n);
	check_status(text, n);
	mix(s, text, n);
	mix(s, "R", 1);
	memset(text, 0xff, n + 1 + FRAME_SLACK); /* all of it is ours */
	return 0;
}

static int on_body_begin(void *ctx, const char *head, size_t n, uint64_t size)
{
	struct seen *s = ctx;

	assert(!s->in_body && size > 0 && size <= FRAME_BODY_MAX);
	assert(head[0] == '*' && head[n] == '\0');
	s->in_body = true;
	s->body_left = size;
	mix(s, head, n);
	mix(s, "B", 1);
	return 0;
}

static int on_body_data(void *ctx, const void *bytes, size_t n)
{
	struct seen *s = ctx;

	assert(s->in_body && n > 0 && n <= s->body_left);
	assert(n <= FRAME_PIECE_MAX);
	s->body_left -= n;
	mix(s, bytes, n);
	return 0;
}

static int on_body_end(void *ctx)
{
	struct seen *s = ctx;

	assert(s->in_body && s->body_left == 0);
	s->in_body = false;
	mix(s, "E", 1);
	return 0;
}

static const struct frame_ops ops = {
	.response = on_response,
	.body_begin = on_body_begin,
	.body_data = on_body_data,
	.body_end = on_body_end,
};

/* Feed in pieces of 1 to 32 bytes. */
static int feed(const uint8_t *data, size_t n, uint32_t seed, struct seen *s)
{
	struct frame *f = NULL;
	int r = frame_new(&ops, s, &f);

	assert(r == 0);
	for (size_t at = 0; at < n && r == 0;) {
		size_t take = n - at;

		seed = seed * 1664525u + 1013904223u;
		if (take > 1 + (seed >> 27))
			take = 1 + (seed >> 27);
		r = frame_feed(f, data + at, take);
		at += take;
	}
	assert(r == 0 || r == -EPROTO || r == -ENOMEM);
	assert(r != -EPROTO || frame_why(f)[0]);
	frame_free(f);
	return r;
}

static int feed_whole(const uint8_t *data, size_t n, struct seen *s)
{
	struct frame *f = NULL;
	int r = frame_new(&ops, s, &f);

	assert(r == 0);
	r = frame_feed(f, data, n);
	frame_free(f);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct seen once = {.hash = 14695981039346656037u};
	struct seen split = once;
	uint32_t seed = n > 0 ? (uint32_t)(n * 257u + data[n / 2]) : 1;
	int a = feed_whole(data, n, &once);
	int b = feed(data, n, seed, &split);

	assert(a == b);
	/* After an error the pieces differ in what was still handed out. */
	assert(a < 0 || once.hash == split.hash);
	return 0;
}
