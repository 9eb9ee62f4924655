/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "imap/etpan.h"
#include "imap/frame.h"
#include "imap/grammar.h"
#include "imap/status.h"

/*
 * What a server sends, through the framer into every reader of responses: none
 * may crash, and what comes out must keep to its limits. The framer stands in
 * front because the readers may rely on what it has checked. Where a value has
 * two readers, ours and libetpan, they must agree.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct grammar *grammar;

/* What we read by ourselves, libetpan reads in the same way. */
static void compare(struct etpan *e, enum etpan_item item, const char *p,
		    const char *end)
{
	static struct item_store ours, theirs;
	struct scan s = {.p = p, .end = end};
	struct mail_row a = {0}, b = {0};

	if (!(item == ETPAN_FLAGS ? item_flags(&s, &ours, &a)
				  : item_date(&s, &a)))
		return;
	assert(s.p > p && s.p <= end);
	assert(etpan_parse(e, item, p, (size_t)(s.p - p), &theirs, &b));
	assert(a.has == b.has && a.flags == b.flags &&
	       a.internaldate == b.internaldate);
	if (item == ETPAN_FLAGS)
		assert(strcmp(a.keywords, b.keywords) == 0);
}

/* Wherever such a value may begin. */
static void compare_readers(const struct response *r)
{
	const char *end = r->rest.end;
	struct etpan *e;

	if (etpan_new(&e) < 0)
		return;
	for (const char *p = r->rest.p; p < end; p++) {
		if (*p == '(')
			compare(e, ETPAN_FLAGS, p, end);
		else if (*p == '"')
			compare(e, ETPAN_DATE, p, end);
	}
	etpan_free(e);
}

static void look_at_fetch(const struct response *r)
{
	struct fetch f;
	char *text;

	grammar_fetch(grammar, r, &f);
	assert(!(f.row.has & ROW_UID) || f.row.uid > 0);
	assert(f.row.size <= MAIL_SIZE_MAX);
	assert(strlen(f.row.keywords) <= MAIL_KEYWORDS_MAX);
	assert(strlen(f.row.gm_labels) <= MAIL_KEYWORDS_MAX);
	for (unsigned i = 0; i < N_FIELDS; i++)
		assert(!f.row.field[i] ||
		       strlen(f.row.field[i]) <= MAIL_FIELD_MAX);
	if (f.body != BODY_STRING)
		return;
	text = malloc(f.body_text.n + 1);
	if (text)
		assert(scan_text(&f.body_text, text) <= f.body_text.n);
	free(text);
}

static void look_at_name(int result, struct mail_folder *f)
{
	if (result < 0)
		return;
	assert(*f->wire && strlen(f->wire) <= MAIL_WIRE_NAME_MAX);
	free(f->wire);
}

static int on_response(void *ctx, char *text, size_t n)
{
	struct response r;
	struct status st;
	struct mail_folder f;

	(void)ctx;
	if (status_parse(text, n, &st))
		return 0;
	grammar_classify(text, n, &r);
	if (r.kind == RESPONSE_FETCH) {
		compare_readers(&r);
		look_at_fetch(&r);
	} else if (r.kind == RESPONSE_LIST)
		look_at_name(grammar_list(&r, &f), &f);
	else if (r.kind == RESPONSE_STATUS)
		look_at_name(grammar_status(&r, &f), &f);
	else if (r.kind == RESPONSE_SEARCH || r.kind == RESPONSE_ESEARCH)
		(void)grammar_search_max(&r);
	return 0;
}

static int on_body_begin(void *ctx, const char *head, size_t n, uint64_t size)
{
	struct body_head h;

	(void)ctx;
	(void)size;
	(void)!grammar_body_head(head, n, &h);
	return 0;
}

static int on_body_data(void *ctx, const void *bytes, size_t n)
{
	(void)ctx;
	(void)bytes;
	(void)n;
	return 0;
}

static int on_body_end(void *ctx)
{
	(void)ctx;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct frame_ops ops = {on_response, on_body_begin,
					     on_body_data, on_body_end};
	struct frame *frame;

	if (grammar_new(&grammar) < 0)
		return 0;
	if (frame_new(&ops, NULL, &frame) == 0) {
		(void)!frame_feed(frame, data, n);
		frame_free(frame);
	}
	grammar_free(grammar);
	return 0;
}
