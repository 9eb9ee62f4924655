/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/grammar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "imap/etpan.h"
#include "imap/labels.h"

/*
 * FETCH responses: a list of names and values, in any order (RFC 9051
 * section 7.5.2). Numbers, labels and literals are read here, and FLAGS and
 * INTERNALDATE too if they are in the plain form of item.h. What is odd about
 * those, and header sections that are no literals, goes to libetpan if it is
 * well-formed, else only that item is lost. Items that we did not ask for are
 * skipped over, whatever they are.
 */

#define LABELS_MAX MAIL_KEYWORDS_MAX

struct grammar {
	struct etpan *etpan;
	struct item_store store;
	char labels[LABELS_MAX + 1];
	char label[LABELS_MAX]; /* the one that is being read */
	char emailid[MAIL_EMAILID_MAX + 1];
};

int grammar_new(struct grammar **ret)
{
	struct grammar *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return -ENOMEM;
	r = etpan_new(&g->etpan);
	if (r < 0) {
		free(g);
		return r;
	}
	*ret = g;
	return 0;
}

void grammar_free(struct grammar *g)
{
	if (!g)
		return;
	etpan_free(g->etpan);
	free(g);
}

struct span {
	const char *p;
	size_t n;
};

/* What is being collected while the items are walked. */
struct walk {
	struct grammar *g;
	struct fetch *f;
};

/* One that is too long for the list is left out. */
static void add_label(struct grammar *g, const struct scan_string *str)
{
	if (str->n <= sizeof(g->label))
		(void)labels_add(g->labels, sizeof(g->labels), g->label,
				 scan_text(str, g->label));
}

static bool take_labels(struct grammar *g, struct scan *s)
{
	struct scan_string str;

	g->labels[0] = '\0';
	if (!scan_char(s, '('))
		return false;
	for (;;) {
		(void)scan_blanks(s);
		if (scan_char(s, ')'))
			return true;
		if (!scan_string(s, &str))
			return false;
		add_label(g, &str);
	}
}

static bool take_body(struct fetch *f, const struct span *name, struct scan *s)
{
	struct scan at = {.p = name->p + 6, .end = name->p + name->n};

	if (f->body != BODY_ABSENT || !scan_string(s, &f->body_text))
		return false;
	f->body = f->body_text.kind == SCAN_NIL ? BODY_NIL : BODY_STRING;
	if (scan_char(&at, '<')) {
		if (!scan_number(&at, &f->origin))
			return false;
		f->has_origin = true;
	}
	return true;
}

static bool take_number(struct scan *s, uint64_t max, uint64_t *ret)
{
	if (!scan_number_max(s, max, ret))
		return false;
	/* 9.37e+06 has been seen: that is no 9. */
	return scan_at_end(s) || *s->p == ' ' || *s->p == ')';
}

static bool take_uid(struct mail_row *row, struct scan *s)
{
	uint64_t v;

	/* No message has UID 0 (RFC 9051 section 2.3.1.1). */
	if (!take_number(s, UINT32_MAX, &v) || v == 0)
		return false;
	row->uid = (uint32_t)v;
	row->has |= ROW_UID;
	return true;
}

static bool take_size(struct mail_row *row, struct scan *s)
{
	uint64_t v;

	if (!take_number(s, MAIL_SIZE_MAX, &v))
		return false;
	row->size = v;
	row->has |= ROW_SIZE;
	return true;
}

static bool take_modseq(struct mail_row *row, struct scan *s)
{
	if (!scan_char(s, '(') || !scan_number(s, &row->modseq) ||
	    !scan_char(s, ')'))
		return false;
	row->has |= ROW_MODSEQ;
	return true;
}

/* Flags that libetpan would refuse, as `(a%b)`: taken as they stand. */
static void odd_flags(struct walk *w, const char *p, const char *end)
{
	struct mail_row *row = &w->f->row;
	char *keywords = w->g->store.keywords;
	struct scan s = {.p = p, .end = end};
	struct scan_string word;
	uint32_t flag;

	keywords[0] = '\0';
	row->keywords = keywords;
	row->flags = 0;
	row->has |= ROW_FLAGS;
	while (s.p < s.end) {
		if (!scan_string(&s, &word)) {
			s.p++; /* a blank, a parenthesis, a lone quote */
			continue;
		}
		if (item_system_flag(word.p, word.n, &flag))
			row->flags |= flag;
		if (word.n > 0 && word.p[0] != '\\')
			item_add_word(keywords, sizeof(w->g->store.keywords),
				      word.p, word.n);
	}
}

static bool take_by_etpan(struct walk *w, enum etpan_item item, struct scan *s)
{
	const char *from = s->p;

	if (!scan_skip(s))
		return false;
	if (etpan_parse(w->g->etpan, item, from, (size_t)(s->p - from),
			&w->g->store, &w->f->row))
		return true;
	w->f->damaged = true;
	if (item == ETPAN_FLAGS)
		odd_flags(w, from, s->p);
	return true;
}

static bool take_header(struct walk *w, struct scan *s)
{
	struct mail_row *row = &w->f->row;
	struct scan at = *s;
	struct scan_string text;

	if (!scan_string(&at, &text) || text.kind == SCAN_QUOTED ||
	    text.kind == SCAN_ATOM)
		return take_by_etpan(w, ETPAN_HEADER, s);
	*s = at;
	if (text.kind == SCAN_NIL) {
		w->f->no_header = true;
		return true;
	}
	header_fields(text.p, text.n, w->g->store.fields, row->field);
	row->has |= ROW_FIELDS;
	return true;
}

enum item {
	ITEM_UID,
	ITEM_FLAGS,
	ITEM_SIZE,
	ITEM_DATE,
	ITEM_HEADER,
	ITEM_BODY,
	ITEM_MODSEQ,
	ITEM_GM_MSGID,
	ITEM_GM_THRID,
	ITEM_GM_LABELS,
	ITEM_EMAILID,
	ITEM_OTHER
};

/* Those that every row of a listing has come first. */
static const struct {
	const char *name;
	size_t n;
	bool open; /* the item's name may go on */
} items[ITEM_OTHER] = {
	[ITEM_UID] = {"UID", 3, false},
	[ITEM_FLAGS] = {"FLAGS", 5, false},
	[ITEM_SIZE] = {"RFC822.SIZE", 11, false},
	[ITEM_DATE] = {"INTERNALDATE", 12, false},
	[ITEM_HEADER] = {"BODY[HEADER", 11, true},
	[ITEM_BODY] = {"BODY[]", 6, true},
	[ITEM_MODSEQ] = {"MODSEQ", 6, false},
	[ITEM_GM_MSGID] = {"X-GM-MSGID", 10, false},
	[ITEM_GM_THRID] = {"X-GM-THRID", 10, false},
	[ITEM_GM_LABELS] = {"X-GM-LABELS", 11, false},
	[ITEM_EMAILID] = {"EMAILID", 7, false},
};

static enum item find_item(const struct span *name)
{
	for (int i = 0; i < ITEM_OTHER; i++) {
		if (name->n < items[i].n ||
		    (name->n > items[i].n && !items[i].open))
			continue;
		if (strncasecmp(name->p, items[i].name, items[i].n) == 0)
			return (enum item)i;
	}
	return ITEM_OTHER;
}

static bool take_gm(struct mail_row *row, uint64_t *to, struct scan *s)
{
	uint64_t v;

	if (!take_number(s, UINT64_MAX, &v))
		return false;
	*to = v;
	row->has |= ROW_GM;
	return true;
}

/* objectid = 1*255(ALPHA / DIGIT / "_" / "-") (RFC 8474 section 7) */
static bool is_objectid(const struct scan_string *str)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz"
				      "0123456789_-";

	if (str->kind != SCAN_ATOM || str->n == 0 || str->n > MAIL_EMAILID_MAX)
		return false;
	for (size_t i = 0; i < str->n; i++)
		if (!memchr(allowed, str->p[i], sizeof(allowed) - 1))
			return false;
	return true;
}

/* `(objectid)` or NIL; whatever else it is, the message has none. */
static bool take_emailid(struct walk *w, struct scan *s)
{
	struct scan at = *s;
	struct scan_string id;

	if (!scan_skip(s))
		return false;
	if (!scan_char(&at, '(') || !scan_string(&at, &id) ||
	    !scan_char(&at, ')') || !is_objectid(&id))
		return true;
	memcpy(w->g->emailid, id.p, id.n);
	w->g->emailid[id.n] = '\0';
	w->f->row.emailid = w->g->emailid;
	w->f->row.has |= ROW_EMAILID;
	return true;
}

/* The value of one item; false: it makes no sense. */
static bool take_value(struct walk *w, const struct span *name, struct scan *s)
{
	struct mail_row *row = &w->f->row;

	switch (find_item(name)) {
	case ITEM_UID:
		return take_uid(row, s);
	case ITEM_FLAGS:
		return item_flags(s, &w->g->store, row) ||
		       take_by_etpan(w, ETPAN_FLAGS, s);
	case ITEM_SIZE:
		return take_size(row, s);
	case ITEM_DATE:
		return item_date(s, row) || take_by_etpan(w, ETPAN_DATE, s);
	case ITEM_HEADER:
		return take_header(w, s);
	case ITEM_BODY:
		return take_body(w->f, name, s);
	case ITEM_MODSEQ:
		return take_modseq(row, s);
	case ITEM_GM_MSGID:
		return take_gm(row, &row->gm_msgid, s);
	case ITEM_GM_THRID:
		return take_gm(row, &row->gm_thrid, s);
	case ITEM_GM_LABELS:
		if (!take_labels(w->g, s))
			return false;
		row->has |= ROW_LABELS;
		return true;
	case ITEM_EMAILID:
		return take_emailid(w, s);
	default:
		return scan_skip(s);
	}
}

/* Walk `(name value name value ...)`; false: it was left half-way. */
static bool walk_items(struct walk *w, struct scan *s)
{
	struct span name;
	struct scan at;

	if (!scan_char(s, '('))
		return false;
	for (;;) {
		(void)scan_blanks(s);
		if (scan_char(s, ')'))
			return true;
		if (!scan_item(s, &name.p, &name.n))
			return false;
		(void)scan_blanks(s);
		at = *s;
		if (take_value(w, &name, &at)) {
			*s = at;
			continue;
		}
		w->f->damaged = true;
		if (!scan_skip(s))
			return false;
	}
}

void grammar_fetch(struct grammar *g, const struct response *r,
		   struct fetch *ret)
{
	struct walk w = {.g = g, .f = ret};
	struct scan s = r->rest;

	*ret = (struct fetch){
		.row = {.seq = r->number,
			.keywords = "",
			.gm_labels = g->labels},
	};
	g->labels[0] = '\0';

	if (!walk_items(&w, &s))
		ret->damaged = true;
}
