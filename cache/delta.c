/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/delta.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * The algebra of deltas, once for system flags (bits) and once for keywords and
 * labels (words). Nearly all messages have none that change, so a list of words
 * is only made where one is given.
 *
 * Each rule is a short chain of set operations; `struct calc` owns what they
 * give until the result is taken out, so that lack of memory in any of them is
 * asked for once, at the end.
 */

/* --- lists of words --- */

static bool has_word(const char *list, const char *word, size_t len)
{
	while (list && *list) {
		size_t n = strcspn(list, " ");

		if (n == len && memcmp(list, word, len) == 0)
			return true;
		list += n;
		list += strspn(list, " ");
	}
	return false;
}

static void append_word(char *list, const char *word, size_t len)
{
	size_t at = strlen(list);

	if (at > 0)
		list[at++] = ' ';
	memcpy(list + at, word, len);
	list[at + len] = '\0';
}

/* Words of `from` that `other` has, or has not; each once. */
static void pick_words(char *list, const char *from, const char *other,
		       bool wanted)
{
	while (from && *from) {
		size_t n = strcspn(from, " ");

		if (n > 0 && has_word(other, from, n) == wanted &&
		    !has_word(list, from, n))
			append_word(list, from, n);
		from += n;
		from += strspn(from, " ");
	}
}

static int combine_words(const char *a, enum flagset_op op, const char *b,
			 char **ret)
{
	size_t bytes = (a ? strlen(a) : 0) + (b ? strlen(b) : 0) + 2;
	char *list;

	if (!a && (op != SET_PLUS || !b)) {
		*ret = NULL;
		return 0;
	}
	list = calloc(1, bytes);
	if (!list)
		return -ENOMEM;
	pick_words(list, a, op == SET_PLUS ? NULL : b, op == SET_AND);
	if (op == SET_PLUS)
		pick_words(list, b, a, false);
	if (!list[0]) {
		free(list);
		list = NULL;
	}
	*ret = list;
	return 0;
}

int flagset_combine(const struct flagset *a, enum flagset_op op,
		    const struct flagset *b, struct flagset *ret)
{
	char *words, *labels;
	int r = combine_words(a->words, op, b->words, &words);

	if (r != 0)
		return r;
	r = combine_words(a->labels, op, b->labels, &labels);
	if (r != 0) {
		free(words);
		return r;
	}
	ret->words = words;
	ret->labels = labels;
	ret->flags = op == SET_PLUS    ? a->flags | b->flags
		     : op == SET_MINUS ? a->flags & ~b->flags
				       : a->flags & b->flags;
	return 0;
}

/* --- values --- */

void flagset_finish(struct flagset *s)
{
	free(s->words);
	free(s->labels);
	*s = (struct flagset){0};
}

bool delta_is_empty(const struct delta *d)
{
	return !d->add.flags && !d->remove.flags && !d->add.words &&
	       !d->remove.words && !d->add.labels && !d->remove.labels;
}

void delta_finish(struct delta *d)
{
	flagset_finish(&d->add);
	flagset_finish(&d->remove);
}

int delta_copy(const struct delta *d, struct delta *ret)
{
	const struct flagset none = {0};
	struct delta copy = {0};
	int r = flagset_combine(&d->add, SET_PLUS, &none, &copy.add);

	if (r == 0)
		r = flagset_combine(&d->remove, SET_PLUS, &none, &copy.remove);
	if (r != 0)
		delta_finish(&copy);
	else
		*ret = copy;
	return r;
}

/* --- the rules --- */

#define CALC_MAX 8

struct calc {
	int error;
	size_t n;
	struct flagset v[CALC_MAX]; /* what the steps gave */
};

static const struct flagset *calc(struct calc *k, const struct flagset *a,
				  enum flagset_op op, const struct flagset *b)
{
	struct flagset *ret = &k->v[k->n++];
	int r = flagset_combine(a, op, b, ret);

	if (r != 0)
		k->error = r;
	return ret;
}

static struct flagset take(struct calc *k, const struct flagset *s)
{
	struct flagset *own = &k->v[s - k->v];
	struct flagset ret = *own;

	own->words = own->labels = NULL;
	return ret;
}

/* Of four results two deltas; or none, and the error. */
static int finish(struct calc *k, const struct flagset *const from[4],
		  struct delta *ret_real, struct delta *ret)
{
	if (k->error == 0) {
		if (ret_real) {
			ret_real->add = take(k, from[0]);
			ret_real->remove = take(k, from[1]);
		}
		ret->add = take(k, from[2]);
		ret->remove = take(k, from[3]);
	}
	for (size_t i = 0; i < k->n; i++)
		flagset_finish(&k->v[i]);
	return k->error;
}

int delta_step(const struct delta *d, const struct flagset *row,
	       const struct delta *want, struct delta *ret_real,
	       struct delta *ret)
{
	struct calc k = {0};
	const struct flagset *at[4];

	/* What cancels an earlier change is no change against the server. */
	at[0] = calc(&k, &want->add, SET_MINUS, row);
	at[1] = calc(&k, &want->remove, SET_AND, row);
	at[2] = calc(&k, at[0], SET_MINUS, &d->remove);
	at[2] = calc(&k, &d->add, SET_PLUS, at[2]);
	at[2] = calc(&k, at[2], SET_MINUS, at[1]);
	at[3] = calc(&k, at[1], SET_MINUS, &d->add);
	at[3] = calc(&k, &d->remove, SET_PLUS, at[3]);
	at[3] = calc(&k, at[3], SET_MINUS, at[0]);
	return finish(&k, at, ret_real, ret);
}

int delta_done(const struct delta *d, const struct delta *sent,
	       struct delta *ret)
{
	struct calc k = {0};
	const struct flagset *at[4] = {NULL};

	/* What was sent and is not wanted any more has to be taken back. */
	at[2] = calc(&k, &d->add, SET_MINUS, &sent->add);
	at[3] = calc(&k, &sent->remove, SET_MINUS, &d->remove);
	at[2] = calc(&k, at[2], SET_PLUS, at[3]);
	at[3] = calc(&k, &d->remove, SET_MINUS, &sent->remove);
	at[1] = calc(&k, &sent->add, SET_MINUS, &d->add);
	at[3] = calc(&k, at[3], SET_PLUS, at[1]);
	return finish(&k, at, NULL, ret);
}

int delta_unsure(const struct delta *d, const struct delta *sent,
		 struct delta *ret)
{
	struct calc k = {0};
	const struct flagset *at[4] = {NULL};

	at[0] = calc(&k, &sent->remove, SET_MINUS, &d->remove);
	at[1] = calc(&k, &sent->add, SET_MINUS, &d->add);
	at[2] = calc(&k, &d->add, SET_PLUS, at[0]);
	at[3] = calc(&k, &d->remove, SET_PLUS, at[1]);
	return finish(&k, at, NULL, ret);
}

int delta_undone(const struct delta *d, const struct delta *sent,
		 struct delta *ret_real, struct delta *ret)
{
	struct calc k = {0};
	const struct flagset *at[4];

	at[0] = calc(&k, &sent->remove, SET_AND, &d->remove);
	at[1] = calc(&k, &sent->add, SET_AND, &d->add);
	at[2] = calc(&k, &d->add, SET_MINUS, at[1]);
	at[3] = calc(&k, &d->remove, SET_MINUS, at[0]);
	return finish(&k, at, ret_real, ret);
}

int delta_rebase(const struct delta *d, const struct flagset *now,
		 unsigned known, struct delta *ret)
{
	struct calc k = {0};
	const struct flagset *at[4] = {NULL};
	/* Of what is not known all stays; the strings are borrowed. */
	struct flagset gone = *now, kept = *now;

	if (!(known & KNOWS_WORDS)) {
		gone.words = NULL;
		kept.words = d->remove.words;
	}
	if (!(known & KNOWS_LABELS)) {
		gone.labels = NULL;
		kept.labels = d->remove.labels;
	}
	at[2] = calc(&k, &d->add, SET_MINUS, &gone);
	at[3] = calc(&k, &d->remove, SET_AND, &kept);
	return finish(&k, at, NULL, ret);
}
