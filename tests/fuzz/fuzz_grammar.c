/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "imap/change.h"
#include "imap/etpan.h"
#include "imap/frame.h"
#include "imap/grammar.h"
#include "imap/pairs.h"
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

static int compare_uids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return (x > y) - (x < y);
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
	if (f.row.has & ROW_EMAILID)
		assert(f.row.emailid[0] != '\0' &&
		       strlen(f.row.emailid) <= MAIL_EMAILID_MAX &&
		       !strpbrk(f.row.emailid, "/.%*\\\" ()"));
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

/* COPYUID and APPENDUID: nothing but what was asked for may come out. */
static void look_at_pairs(const struct status *st)
{
	static const uint32_t asked[] = {1, 4, 5, 6, 1000, 4294967295};
	const size_t n_asked = sizeof(asked) / sizeof(asked[0]);
	const struct imap_pair *pair;
	struct pairs p;
	size_t n;

	assert(pairs_appended(st) == 0 || st->code == CODE_APPENDUID);
	if (st->code != CODE_COPYUID || pairs_init(&p, asked, n_asked) < 0)
		return;
	pairs_take(&p, st);
	n = pairs_list(&p, &pair);
	assert(n <= n_asked);
	assert(n == 0 || (p.uidvalidity > 0 && pairs_match(&p, st)));
	for (size_t i = 0; i < n; i++) {
		assert(pair[i].to > 0);
		assert(i == 0 || pair[i].from > pair[i - 1].from);
		assert(bsearch(&pair[i].from, asked, n_asked, sizeof(asked[0]),
			       compare_uids));
	}
	pairs_finish(&p);
}

static void look_at_rights(const struct response *r)
{
	unsigned rights;
	char *wire;

	if (grammar_rights(r, &wire, &rights) < 0)
		return;
	assert(*wire && (rights & ~(unsigned)RIGHT_ALL) == 0);
	free(wire);
}

static void look_at_quota(const struct response *r)
{
	uint64_t used;
	uint64_t limit;
	char *wire;

	if (r->kind == RESPONSE_QUOTA)
		(void)!grammar_quota(r, &used, &limit);
	else if (grammar_quotaroot(r, &wire) == 0)
		free(wire);
}

static void look_at_name(int result, struct mail_folder *f)
{
	if (result < 0)
		return;
	assert(*f->wire && strlen(f->wire) <= MAIL_WIRE_NAME_MAX);
	free(f->wire);
}

static void look_at_list(const struct response *r)
{
	struct mail_folder f;
	char *was;

	look_at_name(grammar_list(r, &f), &f);
	if (grammar_oldname(r, &was) < 0)
		return;
	assert(*was);
	free(was);
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
	if (status_parse(text, n, &st)) {
		look_at_pairs(&st);
		return 0;
	}
	grammar_classify(text, n, &r);
	if (r.kind == RESPONSE_FETCH) {
		compare_readers(&r);
		look_at_fetch(&r);
	} else if (r.kind == RESPONSE_LIST || r.kind == RESPONSE_LSUB)
		look_at_list(&r);
	else if (r.kind == RESPONSE_STATUS)
		look_at_name(grammar_status(&r, &f), &f);
	else if (r.kind == RESPONSE_SEARCH || r.kind == RESPONSE_ESEARCH)
		look_at_search(&r);
	else if (r.kind == RESPONSE_QUOTA || r.kind == RESPONSE_QUOTAROOT)
		look_at_quota(&r);
	else if (r.kind == RESPONSE_MYRIGHTS)
		look_at_rights(&r);
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
