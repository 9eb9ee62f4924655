/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/changes.h"

/*
 * Flags, keywords and labels, as the user changes them.
 *
 * Memory has only a hash of a row's keywords; their text is on disk. It is
 * read before any lock is taken, and believed if its hash is the row's, else
 * read again: somebody has changed it meanwhile. Of labels memory has nothing.
 * If they have changed since they were read, it is as if this change had come
 * first: what is there already is not added, what is not is not taken away.
 */

static size_t bytes_of(const char *text)
{
	return text ? strlen(text) : 0;
}

static bool has_keywords(const struct journal_flags *v)
{
	return bytes_of(v->add_keywords) || bytes_of(v->remove_keywords);
}

static bool has_labels(const struct journal_flags *v)
{
	return bytes_of(v->add_labels) || bytes_of(v->remove_labels);
}

static bool has_words(const struct journal_flags *v)
{
	return has_keywords(v) || has_labels(v);
}

/* The details of those rows whose words change; NULL for others. */
static int read_words(struct box *b, const struct journal_flags *v, size_t n,
		      struct cache_details **ret)
{
	int r = writer_drain(b->c, b->folder);

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (!has_words(&v[i]))
			continue;
		r = box_details(b, v[i].id, &ret[i]);
		if (r == -ENOENT)
			r = 0; /* the row may be gone, too */
	}
	return r;
}

static void free_words(struct cache_details **words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(words[i]);
		words[i] = NULL;
	}
}

static int check_words(const struct journal_flags *v, const struct flagset *row)
{
	if (bytes_of(row->words) + bytes_of(v->add_keywords) >=
		    MAIL_KEYWORDS_MAX ||
	    bytes_of(row->labels) + bytes_of(v->add_labels) >=
		    MAIL_KEYWORDS_MAX)
		return -EOVERFLOW;
	return 0;
}

/* What is really new, in the row and in the record. */
static int apply(struct step *s, const struct journal_flags *v,
		 const struct flagset *row, struct change *c)
{
	/* The strings are borrowed: nothing here frees these sets. */
	const struct delta want = {
		{v->add & RECORD_FLAGS, (char *)v->add_keywords,
		 (char *)v->add_labels},
		{v->remove & RECORD_FLAGS, (char *)v->remove_keywords,
		 (char *)v->remove_labels}};
	struct delta real, left;
	int r = delta_step(&c->delta, row, &want, &real, &left);

	if (r != 0)
		return r;
	delta_finish(&c->delta);
	c->delta = left;
	delta_finish(&s->words);
	s->words = real;
	if (delta_is_empty(&real))
		return 0;
	s->row.state =
		(s->row.state | real.add.flags) & ~(uint64_t)real.remove.flags;
	s->row.keywords += cache_keywords_hash(real.add.words) -
			   cache_keywords_hash(real.remove.words);
	s->row.changed_at = (uint32_t)time(NULL);
	return 0;
}

static bool is_planned(const struct plan *p, uint64_t id)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->v[i]->id == id)
			return true;
	}
	return false;
}

/* -EAGAIN: the keywords that were read are not those of the row any more. */
static int plan_one(struct plan *p, struct box *b,
		    const struct journal_flags *v,
		    const struct cache_details *words)
	REQUIRES(p->c->journal.lock)
{
	/* Borrowed, likewise. */
	struct flagset row = {.words = words ? (char *)words->keywords : NULL,
			      .labels =
				      words ? (char *)words->gm_labels : NULL};
	struct step *s;
	int r = is_planned(p, v->id) ? -EINVAL
				     : move_load_locked(p, b, v->id, &s);

	if (r == -ENOENT)
		return 0;
	if (r == 0 && has_keywords(v) &&
	    cache_keywords_hash(row.words) != s->row.keywords)
		r = -EAGAIN;
	if (r == 0)
		r = check_words(v, &row);
	if (r == 0)
		r = plan_first_change_locked(p, s);
	row.flags = r == 0 ? s->row.state & RECORD_FLAGS : 0;
	if (r == 0)
		r = apply(s, v, &row, s->next);
	if (r == 0)
		step_drop_if_done(s, box_uidvalidity(b));
	return r;
}

static int change_once(struct box *b, const struct journal_flags *v, size_t n,
		       struct cache_details *const *words)
{
	struct cache *c = b->c;
	struct plan p;
	int r = 0;

	plan_init(&p, c);
	p.is_trial = true;
	lock_take(&p.c->journal.lock);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = plan_one(&p, b, &v[i], words[i]);
	if (r == 0)
		r = plan_commit_locked(&p);
	plan_finish_locked(&p);
	lock_drop(&p.c->journal.lock);
	return r;
}

int journal_change_flags(struct box *b, const struct journal_flags *v, size_t n)
{
	struct cache_details **words =
		calloc(n ? n : 1, sizeof(struct cache_details *));
	bool wants_words = false;
	int r = words ? journal_ready(b->c) : -ENOMEM;

	for (size_t i = 0; i < n; i++)
		wants_words |= has_words(&v[i]);
	while (r == 0) {
		if (wants_words)
			r = read_words(b, v, n, words);
		if (r == 0)
			r = change_once(b, v, n, words);
		free_words(words, words ? n : 0);
		if (r != -EAGAIN)
			break;
		r = 0;
	}
	free(words);
	return r;
}
