/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The framer: bytes in, one response at a time out.
 *
 * A response is a line, or line, literal, line, literal ... line (RFC 9051
 * sections 2.2 and 4.3). Small literals are kept inside the response; the
 * literal of a body section (`BODY[` without HEADER in front of it) larger
 * than nothing goes to a sink in pieces, and `{0}` stands in its place, so
 * memory stays constant whatever the server sends. Other items of a FETCH are
 * cut at FRAME_LITERAL_MAX: a header is as long as its sender likes, and costs
 * no more than itself. Status lines (`* OK`,
 * `* NO`, `* BAD`, `* BYE`, `* PREAUTH`, tagged ones and `+`) never have
 * literals: their text may end in `{5}`.
 *
 * The framer does no input or output: frame_feed() takes bytes as they come
 * and calls back for each whole response. It checks everything that a parser
 * behind it may rely on; after an error the connection is of no use.
 */
#ifndef IMAPFS_IMAP_FRAME_H
#define IMAPFS_IMAP_FRAME_H

#include "imap/mail.h"

#define FRAME_LINE_MAX (8u << 20)    /* bytes of a response without bodies */
#define FRAME_LITERAL_MAX (1u << 20) /* bytes of one inline literal */
#define FRAME_DEPTH_MAX 64           /* nested parentheses outside strings */
#define FRAME_BODY_MAX (1ULL << 40)  /* bytes of one body literal */
#define FRAME_PIECE_MAX 65536u       /* bytes handed to a sink at once */
#define FRAME_SLACK 16               /* writable bytes behind a response */

struct frame;

struct frame_ops {
	/*
	 * A whole response: `n` bytes that end in CRLF (a bare LF was
	 * completed), with one NUL behind them and then FRAME_SLACK bytes that
	 * may be written to, as all of `text` may. NUL bytes occur only inside
	 * inline literals; `~{n}` and `{n+}` have become `{n}`. Not kept after
	 * the call. Negative: stop, and frame_feed() returns it.
	 */
	int (*response)(void *ctx, char *text, size_t n);
	/*
	 * A body literal of `size` bytes begins; `head` is the response up to
	 * the `{` (or `~{`), NUL-terminated. It will be followed by its bytes,
	 * then by body_end(), then (when the line is complete) by response().
	 */
	int (*body_begin)(void *ctx, const char *head, size_t n, uint64_t size);
	int (*body_data)(void *ctx, const void *bytes, size_t n);
	int (*body_end)(void *ctx);
};

MUST_CHECK int frame_new(const struct frame_ops *ops, void *ctx,
			 struct frame **ret);
void frame_free(struct frame *f);

/*
 * -EPROTO: NUL outside a literal, nesting or a length over its limit, a
 * literal length that is no number; `frame_why()` says which.
 * -ENOMEM. Or what a callback returned. After an error every call returns it.
 * Callbacks must not call frame_feed() or frame_free().
 */
MUST_CHECK int frame_feed(struct frame *f, const void *bytes, size_t n);

/* Nothing is buffered: the last byte fed ended a response. */
bool frame_is_idle(const struct frame *f);

/* A word or two on the last -EPROTO; static text, never NULL. */
const char *frame_why(const struct frame *f);

#endif
