/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/grammar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "imap/etpan.h"

/*
 * FETCH responses: a list of names and values, in any order (RFC 9051
 * section 7.5.2). Numbers and labels are read here; FLAGS, INTERNALDATE and
 * header sections go to libetpan if they are well-formed, else only that item
 * is lost. Items that we did not ask for are skipped over, whatever they are.
 */

#define LABELS_MAX MAIL_KEYWORDS_MAX
#define ETPAN_ITEMS 3 /* FLAGS, INTERNALDATE, BODY[HEADER...] */

struct grammar {
	struct etpan *etpan;
	char keywords[MAIL_KEYWORDS_MAX + 1]; /* that libetpan refused */
	char labels[LABELS_MAX + 1];
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
	struct etpan_item item[ETPAN_ITEMS];
	unsigned n;
};

static bool is_item(const struct span *name, const char *s)
{
	return name->n == strlen(s) && strncasecmp(name->p, s, name->n) == 0;
}

static bool begins(const struct span *name, const char *s)
{
	return name->n >= strlen(s) && strncasecmp(name->p, s, strlen(s)) == 0;
}

/* Labels as they were sent, quotes and all: they go back that way. */
static bool take_labels(struct grammar *g, struct scan *s)
{
	struct scan_string str;
	const char *from;

	g->labels[0] = '\0';
	if (!scan_char(s, '('))
		return false;
	for (;;) {
		(void)scan_blanks(s);
		if (scan_char(s, ')'))
			return true;
		from = s->p;
		if (!scan_string(s, &str))
			return false;
		if (str.kind == SCAN_LITERAL)
			from = str.p;
		etpan_add_word(g->labels, sizeof(g->labels), from,
			       (size_t)(s->p - from));
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

/* An item whose value is a number. */
static const struct {
	const char *name;
	unsigned has;
	uint64_t max;
} number_items[] = {
	{"UID", ROW_UID, UINT32_MAX},
	{"RFC822.SIZE", ROW_SIZE, MAIL_SIZE_MAX},
	{"X-GM-MSGID", ROW_GM, UINT64_MAX},
	{"X-GM-THRID", ROW_GM, UINT64_MAX},
};

static bool take_number(struct mail_row *row, unsigned which, struct scan *s)
{
	uint64_t v;

	if (!scan_number_max(s, number_items[which].max, &v))
		return false;
	/* 9.37e+06 has been seen: that is no 9. */
	if (!scan_at_end(s) && *s->p != ' ' && *s->p != ')')
		return false;
	switch (which) {
	case 0:
		if (v == 0) /* no message has it (RFC 9051 section 2.3.1.1) */
			return false;
		row->uid = (uint32_t)v;
		break;
	case 1:
		row->size = v;
		break;
	case 2:
		row->gm_msgid = v;
		break;
	default:
		row->gm_thrid = v;
		break;
	}
	row->has |= number_items[which].has;
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
static void plain_flags(struct grammar *g, struct mail_row *row, const char *p,
			const char *end)
{
	struct scan s = {.p = p, .end = end};
	struct scan_string w;

	g->keywords[0] = '\0';
	row->keywords = g->keywords;
	row->flags = 0;
	row->has |= ROW_FLAGS;
	while (s.p < s.end) {
		if (!scan_string(&s, &w)) {
			s.p++; /* a blank, a parenthesis, a lone quote */
			continue;
		}
		row->flags |= grammar_flag(w.p, w.n);
		if (w.n > 0 && w.p[0] != '\\')
			etpan_add_word(g->keywords, sizeof(g->keywords), w.p,
				       w.n);
	}
}

/* FLAGS, INTERNALDATE, headers: kept for libetpan. All else: skipped. */
static bool take_for_etpan(struct walk *w, const struct span *name,
			   struct scan *s)
{
	const char *from = s->p;
	bool flags = is_item(name, "FLAGS");

	if (!scan_skip(s))
		return false;
	if (!flags && !is_item(name, "INTERNALDATE") &&
	    !begins(name, "BODY[HEADER"))
		return true;
	if (w->n < ETPAN_ITEMS &&
	    etpan_may_have(name->p, name->n, from, (size_t)(s->p - from),
			   &w->item[w->n])) {
		w->n++;
		return true;
	}
	w->f->damaged = true;
	if (flags)
		plain_flags(w->g, &w->f->row, from, s->p);
	return true;
}

/* The value of one item; false: it makes no sense. */
static bool take_value(struct walk *w, const struct span *name, struct scan *s)
{
	struct mail_row *row = &w->f->row;

	for (unsigned i = 0; i < sizeof(number_items) / sizeof(*number_items);
	     i++) {
		if (is_item(name, number_items[i].name))
			return take_number(row, i, s);
	}
	if (is_item(name, "MODSEQ"))
		return take_modseq(row, s);
	if (is_item(name, "X-GM-LABELS"))
		return take_labels(w->g, s);
	if (begins(name, "BODY[]"))
		return take_body(w->f, name, s);

	return take_for_etpan(w, name, s);
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
	if (w.n > 0 && !etpan_parse(g->etpan, w.item, w.n, &ret->row))
		ret->damaged = true;
}
