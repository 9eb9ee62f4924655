/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/frame_body.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "imap/status.h"

/*
 * The framer is a machine of three states. In LINE it collects bytes up to
 * LF, then looks at the line's end: a literal marker there leads to LITERAL
 * (bytes are collected as they are) or to BODY (bytes go to the sink), and
 * from both back to LINE for the rest of the same response. A line without a
 * marker ends the response.
 *
 * Quotes and parentheses are counted when a line is complete, outside of
 * literals; the depth goes on over the literals of one response, a quoted
 * string does not, since it cannot hold CR or LF (RFC 9051 section 4.3).
 *
 * Runs on the thread of the connection, takes no lock, does no input or
 * output of its own.
 */

#define TEXT_KEEP 65536u /* a buffer that grew larger is given back */

enum frame_state { IN_LINE, IN_LITERAL, IN_BODY };

struct frame {
	const struct frame_ops *ops;
	void *ctx;
	const char *why;
	int error; /* what ended the stream; later calls return it again */

	enum frame_state state;
	char *text; /* the response so far */
	size_t n;
	size_t size;
	size_t line;   /* where in `text` the current line begins */
	bool is_data;  /* untagged and no status: may have literals */
	bool is_fetch; /* ... and a FETCH */
	unsigned depth;
	uint64_t left; /* bytes of the literal that are still to come */
	uint64_t keep; /* ... of which so many are kept inside */
};

/* A literal's announcement at the end of a line. */
struct marker {
	size_t at; /* of the `{`, or of the `~` in front of it */
	uint64_t size;
	bool is_plain; /* {n}: no `~`, no `+`, no zero in front */
};

static int refuse(struct frame *f, const char *why)
{
	f->why = why;
	return -EPROTO;
}

static int reserve(struct frame *f, size_t more)
{
	size_t need = f->n + more + 1 + FRAME_SLACK;
	size_t size = f->size ? f->size : 4096;
	char *p;

	if (f->n + more > FRAME_LINE_MAX)
		return refuse(f, "a response is too long");
	if (need <= f->size)
		return 0;

	while (size < need)
		size *= 2;
	p = realloc(f->text, size);
	if (!p)
		return -ENOMEM;

	f->text = p;
	f->size = size;
	return 0;
}

static int append(struct frame *f, const char *bytes, size_t n)
{
	int r = reserve(f, n);

	if (r < 0)
		return r;

	memcpy(f->text + f->n, bytes, n);
	f->n += n;
	f->text[f->n] = '\0'; /* strspn() and its like end here at last */
	return 0;
}

/* --- what stands at the end of a line --- */

/*
 * Count parentheses in the current line (without its CRLF). `*ret_open`: the
 * line ends inside a quoted string.
 */
static int scan_line(struct frame *f, size_t end, bool *ret_open)
{
	const char *p = f->text + f->line;
	const char *stop = f->text + end;
	bool quoted = false;

	for (p += strcspn(p, "\"\\()"); p < stop; p += strcspn(p, "\"\\()")) {
		char c = *p++;

		if (c == '"')
			quoted = !quoted;
		else if (quoted && c == '\\')
			p++;
		else if (!quoted && c == '(')
			f->depth++;
		else if (!quoted && c == ')' && f->depth > 0)
			f->depth--;
		if (f->depth > FRAME_DEPTH_MAX)
			return refuse(f, "parentheses are nested too deeply");
	}
	*ret_open = quoted;
	return 0;
}

static int parse_size(struct frame *f, const char *p, const char *end,
		      uint64_t *ret)
{
	uint64_t v = 0;

	if (end > p && end[-1] == '+')
		end--;
	if (p == end || p + strspn(p, "0123456789") < end)
		return refuse(f, "the length of a literal is no number");
	for (; p < end; p++) {
		if (v > (UINT64_MAX - 9) / 10)
			return refuse(f, "a literal is too long");
		v = v * 10 + (uint64_t)(*p - '0');
	}
	*ret = v;
	return 0;
}

/*
 * Does the line that ends at `end` announce a literal: {n}, {n+}, ~{n}? 1 and
 * `*ret`, 0 for no, or -EPROTO.
 */
static int find_marker(struct frame *f, size_t end, struct marker *ret)
{
	size_t at = end;
	int r;

	if (end == f->line || f->text[end - 1] != '}')
		return 0;
	while (at > f->line && f->text[at - 1] != '{')
		at--;
	if (at == f->line)
		return 0;

	r = parse_size(f, f->text + at, f->text + end - 1, &ret->size);
	if (r < 0)
		return r;

	ret->at = at - 1;
	ret->is_plain = f->text[end - 2] != '+' && f->text[at] != '0';
	if (ret->at > f->line && f->text[ret->at - 1] == '~') {
		ret->at--;
		ret->is_plain = false;
	}
	return 1;
}

/* --- the machine --- */

static void start_response(struct frame *f)
{
	if (f->size > TEXT_KEEP) {
		free(f->text);
		f->text = NULL;
		f->size = 0;
	}
	f->state = IN_LINE;
	f->n = 0;
	f->line = 0;
	f->depth = 0;
	f->is_data = false;
	f->is_fetch = false;
}

static int emit_response(struct frame *f)
{
	int r;

	f->text[f->n] = '\0';
	r = f->ops->response(f->ctx, f->text, f->n);
	start_response(f);
	return r;
}

/*
 * Write `{size}` CRLF over the marker, unless it is that already: one form for
 * the parser behind us.
 */
static int rewrite_marker(struct frame *f, const struct marker *m)
{
	char text[32];
	int n;

	if (f->keep == m->size && m->is_plain)
		return 0;
	n = snprintf(text, sizeof(text), "{%" PRIu64 "}\r\n", f->keep);
	f->n = m->at;
	return append(f, text, (size_t)n);
}

static int begin_literal(struct frame *f, const struct marker *m)
{
	/* An item of the FETCH itself (a label may be called RFC822). */
	bool item = f->is_fetch && f->depth == 1;
	bool body = item && m->size > 0 &&
		    frame_is_body(f->text, f->text + f->line, f->text + m->at);
	int r;

	if (m->size > (item ? FRAME_BODY_MAX : FRAME_LITERAL_MAX))
		return refuse(f, "a literal is too long");
	/* Whoever sends a message says how long its header is. */
	f->keep = m->size < FRAME_LITERAL_MAX ? m->size : FRAME_LITERAL_MAX;
	if (body)
		f->keep = 0;
	r = rewrite_marker(f, m);
	if (r < 0)
		return r;

	f->left = m->size;
	f->line = f->n;
	if (!body) {
		f->state = m->size > 0 ? IN_LITERAL : IN_LINE;
		return 0;
	}

	f->state = IN_BODY;
	f->text[m->at] = '\0';
	r = f->ops->body_begin(f->ctx, f->text, m->at, m->size);
	f->text[m->at] = '{';
	return r;
}

/* The current line is complete; it ends in CRLF. */
static int end_line(struct frame *f)
{
	size_t end = f->n - 2;
	struct marker m;
	struct status ignored;
	bool open = false;
	int r;

	if (f->line == 0) {
		if (end == 0) { /* some servers put blank lines in between */
			start_response(f);
			return 0;
		}
		f->is_data = f->text[0] == '*' &&
			     !status_parse(f->text, f->n, &ignored);
		f->is_fetch = f->is_data && frame_is_fetch(f->text);
	}
	if (!f->is_data)
		return emit_response(f);

	r = scan_line(f, end, &open);
	if (r < 0)
		return r;

	r = open ? 0 : find_marker(f, end, &m);
	if (r < 0)
		return r;
	return r > 0 ? begin_literal(f, &m) : emit_response(f);
}

static long feed_line(struct frame *f, const char *bytes, size_t n)
{
	const char *lf = memchr(bytes, '\n', n);
	size_t take = lf ? (size_t)(lf - bytes) : n;
	int r;

	if (memchr(bytes, '\0', take))
		return refuse(f, "NUL outside a literal");
	r = append(f, bytes, take);
	if (r < 0)
		return r;
	if (!lf)
		return (long)take;

	if (f->n > f->line && f->text[f->n - 1] == '\r')
		f->n--;
	r = append(f, "\r\n", 2);
	if (r < 0)
		return r;

	r = end_line(f);
	return r < 0 ? r : (long)take + 1;
}

static long feed_literal(struct frame *f, const char *bytes, size_t n)
{
	size_t take = n < f->left ? n : (size_t)f->left;
	size_t keep = take < f->keep ? take : (size_t)f->keep;
	int r = append(f, bytes, keep);

	if (r < 0)
		return r;

	f->keep -= keep;
	f->left -= take;
	if (f->left == 0) {
		f->state = IN_LINE;
		f->line = f->n;
	}
	return (long)take;
}

static long feed_body(struct frame *f, const char *bytes, size_t n)
{
	size_t take = n < f->left ? n : (size_t)f->left;
	int r;

	if (take > FRAME_PIECE_MAX)
		take = FRAME_PIECE_MAX;
	r = f->ops->body_data(f->ctx, bytes, take);
	if (r < 0)
		return r;

	f->left -= take;
	if (f->left > 0)
		return (long)take;

	f->state = IN_LINE;
	r = f->ops->body_end(f->ctx);
	return r < 0 ? r : (long)take;
}

int frame_feed(struct frame *f, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n > 0 && f->error == 0) {
		long r;

		if (f->state == IN_LINE)
			r = feed_line(f, p, n);
		else if (f->state == IN_LITERAL)
			r = feed_literal(f, p, n);
		else
			r = feed_body(f, p, n);
		if (r < 0) {
			f->error = (int)r;
			break;
		}
		p += r;
		n -= (size_t)r;
	}
	return f->error;
}

bool frame_is_idle(const struct frame *f)
{
	return f->state == IN_LINE && f->n == 0;
}

const char *frame_why(const struct frame *f)
{
	return f->why;
}

int frame_new(const struct frame_ops *ops, void *ctx, struct frame **ret)
{
	struct frame *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;

	f->ops = ops;
	f->ctx = ctx;
	f->why = "";
	start_response(f);
	*ret = f;
	return 0;
}

void frame_free(struct frame *f)
{
	if (!f)
		return;
	free(f->text);
	free(f);
}
