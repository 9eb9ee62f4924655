/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/pairs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "imap/set.h"

/*
 * Both sets of a COPYUID are walked side by side: the n-th message of the one
 * became the n-th of the other, in whatever order they stand (Gmail writes
 * them descending). A set may name four thousand million messages, so first
 * the runs are counted; nothing is expanded unless both name the same number
 * of them, and not more than were asked for.
 *
 * `4:2` may be meant as it stands or be the same as `2:4` (RFC 4315 section 4
 * says so), so it is believed only where the other side goes down as well:
 * then both readings come to the same.
 */

int pairs_init(struct pairs *p, const uint32_t *uids, size_t n)
{
	*p = (struct pairs){.uids = uids, .n = n};
	p->to = calloc(n, sizeof(*p->to));
	p->pair = calloc(n, sizeof(*p->pair));
	if (p->to && p->pair)
		return 0;
	pairs_finish(p);
	return -ENOMEM;
}

void pairs_finish(struct pairs *p)
{
	free(p->to);
	free(p->pair);
	*p = (struct pairs){0};
}

/* How many messages a set names; `at` then stands behind it. */
static bool count(struct scan *at, uint64_t *ret)
{
	struct set set;
	struct set_run run;
	uint64_t n = 0;
	int r;

	set_begin(&set, at);
	while ((r = set_next(&set, &run)) > 0)
		n += set_count(run);
	*at = set.at;
	*ret = n;
	return r == 0;
}

/* The two sets, if they fit each other and what was asked. */
static bool split(const struct pairs *p, const struct status *st,
		  struct scan *from, struct scan *to)
{
	struct scan at = {.p = st->words, .end = st->words + st->n_words};
	uint64_t n_from;
	uint64_t n_to;

	*from = at;
	if (!count(&at, &n_from) || !scan_blanks(&at))
		return false;
	*to = at;
	return count(&at, &n_to) && n_from == n_to && n_from > 0 &&
	       n_from <= p->n && st->number > 0;
}

/* One message after the other, in the order in which they stand. */
struct walk {
	struct set set;
	struct set_run run;
	uint32_t uid;
	bool in_run;
	bool goes_down; /* from the one before, in the same run */
};

static void begin(struct walk *w, const struct scan *at)
{
	*w = (struct walk){0};
	set_begin(&w->set, at);
}

static bool step(struct walk *w)
{
	if (!w->in_run) {
		if (set_next(&w->set, &w->run) <= 0)
			return false;
		w->uid = w->run.first;
		w->goes_down = false;
	} else if (w->run.first < w->run.last) {
		w->uid++;
	} else {
		w->uid--;
		w->goes_down = true;
	}
	w->in_run = w->uid != w->run.last;
	return true;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Where in the list is it? `n`: nowhere. */
static size_t find(const struct pairs *p, uint32_t uid)
{
	const uint32_t *at = bsearch(&uid, p->uids, p->n, sizeof(uid), compare);

	return at ? (size_t)(at - p->uids) : p->n;
}

bool pairs_match(const struct pairs *p, const struct status *st)
{
	struct walk w;
	struct scan from;
	struct scan to;

	if (!split(p, st, &from, &to))
		return false;
	begin(&w, &from);
	while (step(&w)) {
		if (find(p, w.uid) == p->n)
			return false;
	}
	return true;
}

static void take(struct pairs *p, uint32_t from, uint32_t to)
{
	size_t i = find(p, from);

	if (p->to[i] != 0 && p->to[i] != to)
		p->broken = true;
	p->to[i] = to;
}

void pairs_take(struct pairs *p, const struct status *st)
{
	struct scan from_at;
	struct scan to_at;
	struct walk from;
	struct walk to;
	struct walk before_from = {0};
	struct walk before_to = {0};

	if (!pairs_match(p, st) || !split(p, st, &from_at, &to_at))
		return;
	/* It was made anew meanwhile: what was said before is void. */
	if (p->uidvalidity != 0 && p->uidvalidity != st->number)
		p->broken = true;
	p->uidvalidity = (uint32_t)st->number;
	begin(&from, &from_at);
	begin(&to, &to_at);
	while (step(&from) && step(&to)) {
		if ((from.goes_down && to.uid > before_to.uid) ||
		    (to.goes_down && from.uid > before_from.uid))
			p->broken = true;
		take(p, from.uid, to.uid);
		before_from = from;
		before_to = to;
	}
}

/* Two messages cannot have become one. */
static bool has_twins(const struct pairs *p, size_t n)
{
	uint32_t *to = malloc(n * sizeof(*to));
	bool found = !to;

	for (size_t i = 0; to && i < n; i++)
		to[i] = p->pair[i].to;
	if (to)
		qsort(to, n, sizeof(*to), compare);
	for (size_t i = 1; to && i < n; i++)
		found = found || to[i] == to[i - 1];
	free(to);
	return found;
}

size_t pairs_list(struct pairs *p, const struct imap_pair **ret)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n && !p->broken; i++) {
		if (p->to[i] != 0)
			p->pair[n++] = (struct imap_pair){p->uids[i], p->to[i]};
	}
	*ret = p->pair;
	return n > 0 && has_twins(p, n) ? 0 : n;
}

uint32_t pairs_appended(const struct status *st)
{
	struct scan at = {.p = st->words, .end = st->words + st->n_words};
	struct set set;
	struct set_run run;
	struct set_run more;

	set_begin(&set, &at);
	if (st->code != CODE_APPENDUID || st->number == 0 ||
	    set_next(&set, &run) != 1 || run.first != run.last ||
	    set_next(&set, &more) != 0)
		return 0;
	return run.first;
}
