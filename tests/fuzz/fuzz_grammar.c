/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "imap/etpan.h"
#include "imap/frame.h"
#include "imap/grammar.h"
#include "imap/set.h"
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

/* Every run costs a byte at least, whatever it names. */
static void look_at_set(struct scan at)
{
	size_t left = (size_t)(at.end - at.p);
	struct set_run run;
	struct set set;

	set_begin(&set, &at);
	while (set_next(&set, &run) > 0) {
		struct mail_range v = set_range(run);

		assert(v.first > 0 && v.first <= v.last);
		assert(set_count(run) == (uint64_t)v.last - v.first + 1);
		assert(left-- > 0);
	}
	assert(set.at.p <= at.end);
}

static void look_at_search(const struct response *r)
{
	struct scan at = r->rest;
	struct esearch e;
	uint32_t v;

	(void)grammar_search_max(r);
	if (r->kind == RESPONSE_ESEARCH) {
		if (grammar_esearch(r, &e))
			look_at_set(e.all);
		return;
	}
	while (grammar_search_next(&at, &v) > 0)
		assert(v > 0);
	assert(at.p <= at.end);
}

static int on_response(void *ctx, char *text, size_t n)
{
	struct response r;
	struct status st;
	struct mail_folder f;
	bool earlier;

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
		look_at_search(&r);
	else if (r.kind == RESPONSE_VANISHED)
		look_at_set(grammar_vanished(&r, &earlier));
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
