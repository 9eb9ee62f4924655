/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/flush_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Batches: how they are made, and of which records. The flusher's thread.
 */

static void free_item(struct item *it)
{
	free(it->why);
	free(it->keywords);
	free(it->labels);
}

void batch_free(struct batch *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n; i++)
		free_item(&b->v[i]);
	free(b->v);
	look_clear(&b->look);
	free(b->add_keywords);
	free(b->remove_keywords);
	free(b->add_labels);
	free(b->remove_labels);
	free(b->left_keywords);
	free(b->why);
	free(b);
}

void batch_drop(struct batch *b, size_t i)
{
	free_item(&b->v[i]);
	memmove(&b->v[i], &b->v[i + 1], (b->n - i - 1) * sizeof(b->v[0]));
	b->n--;
}

static bool is_same_delta(const struct batch *b, const struct journal_entry *e)
{
	return b->add == e->add && b->remove == e->remove &&
	       strcmp(b->add_keywords, e->add_keywords) == 0 &&
	       strcmp(b->remove_keywords, e->remove_keywords) == 0 &&
	       strcmp(b->add_labels, e->add_labels) == 0 &&
	       strcmp(b->remove_labels, e->remove_labels) == 0;
}

bool batch_has_labels(const struct batch *b)
{
	return b->add_labels[0] || b->remove_labels[0];
}

bool batch_goes(const struct batch *b, const struct way *w,
		const struct journal_entry *e)
{
	return b->part == w->part && b->from == w->from && b->to == w->to &&
	       b->from_uidvalidity == w->uidvalidity &&
	       b->is_doubted == w->is_doubted && b->is_look == w->is_look &&
	       (!w->is_doubted || (b->to_uidvalidity == w->to_uidvalidity &&
				   b->to_uidnext == w->to_uidnext)) &&
	       (w->part != JOURNAL_STORE || is_same_delta(b, e));
}

struct batch *batch_new(struct flush *fl, const struct way *w,
			const struct journal_entry *e)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->flush = fl;
	b->part = w->part;
	b->from = w->from;
	b->to = w->to;
	b->from_uidvalidity = w->uidvalidity;
	b->is_doubted = w->is_doubted;
	b->is_look = w->is_look;
	b->to_uidvalidity = w->to_uidvalidity;
	b->to_uidnext = w->to_uidnext;
	b->add = e->add;
	b->remove = e->remove;
	b->add_keywords = strdup(e->add_keywords);
	b->remove_keywords = strdup(e->remove_keywords);
	b->add_labels = strdup(e->add_labels);
	b->remove_labels = strdup(e->remove_labels);
	if (b->add_keywords && b->remove_keywords && b->add_labels &&
	    b->remove_labels)
		return b;
	batch_free(b);
	return NULL;
}

int batch_add(struct batch *b, const struct journal_entry *e)
{
	size_t room = b->room ? b->room * 2 : 16;
	struct item *v;

	if (b->n == b->room) {
		v = realloc(b->v, room * sizeof(*v));
		if (!v)
			return -ENOMEM;
		b->v = v;
		b->room = room;
	}
	b->v[b->n++] = (struct item){.batch = b,
				     .id = e->id,
				     .gen = e->gen,
				     .at = e->at,
				     .tries = e->tries,
				     .uid = e->origin.uid};
	return 0;
}

static int by_uid(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

void batch_sort(struct batch *b)
{
	if (b->part != JOURNAL_APPEND && b->n > 1)
		qsort(b->v, b->n, sizeof(b->v[0]), by_uid);
}
