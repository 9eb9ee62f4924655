/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/flush_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imap/log.h"

/*
 * Messages that are alike (they have one content key), on their way to one
 * folder from two places, and an answer was lost. What is found there may be
 * either of them. Whose it is does not matter, as long as it counts for one
 * only: who believes that a message has arrived lets go of it in its source, so
 * two that count one copy as theirs are one message in the end.
 *
 * What another batch has found, or was told of, is never found again, and what
 * is found while one that is alike has no answer yet may be what it will be
 * told of. A message that has left its source takes precedence, since it must
 * be somewhere; so one that is still there counts nothing as its own while one
 * that is alike is under way, or in doubt, of which that is not known. It
 * waits, and then looks again. When all that are alike wait, all are still in
 * their sources, and one goes on.
 *
 * After FLUSH_TWIN_WAITS it is sent again as if nothing had been found: then it
 * may be there twice, which is better than not at all, and is listed.
 *
 * On the flusher's thread. What jobs under way have heard is not looked at.
 */

/* Its answer has come: what it was told may be read. */
static bool has_heard(const struct batch *b)
{
	bool heard;

	if (b->state != BATCH_SENDING)
		return true;
	lock_take(&b->flush->lock);
	heard = b->pending == 0;
	lock_drop(&b->flush->lock);
	return heard;
}

bool flush_is_claimed(const struct batch *b, uint32_t uid)
{
	for (const struct batch *o = b->flush->batches; o; o = o->next) {
		if (o == b || o->to != b->to || !has_heard(o))
			continue;
		for (size_t i = 0; i < o->n; i++)
			if (o->v[i].to == uid)
				return true;
	}
	return false;
}

bool flush_has_key(struct batch *b, struct item *it)
{
	if (!it->is_key_known)
		it->has_key =
			journal_key(b->flush->fs->cache, it->id, &it->key) == 0;
	it->is_key_known = true;
	return it->has_key;
}

bool flush_is_alike(const struct item *a, const struct item *b)
{
	return a->has_key && b->has_key &&
	       memcmp(a->key.hash, b->key.hash, sizeof(a->key.hash)) == 0;
}

/* Can this one not be what was found to be `mine`, as far as it is known? */
static bool is_out_of_it(const struct batch *b, const struct item *mine,
			 const struct batch *other, const struct item *it)
{
	if (it->verdict != VERDICT_OPEN)
		return true;
	if (!has_heard(other))
		return false;
	if (mine->is_gone)
		return true;
	/* What was found counts once it is acted on. */
	if (it->to != 0 &&
	    (other->state == BATCH_REMOVING ||
	     (other->state == BATCH_PAUSED && other->is_removing)))
		return true;
	return other->state == BATCH_PAUSED && other->is_waiting &&
	       b->twin_waits > 0 && !it->is_gone;
}

static bool is_disputed(struct batch *b, const struct item *mine)
{
	for (struct batch *o = b->flush->batches; o; o = o->next) {
		if (o == b || o->to != b->to)
			continue;
		for (size_t i = 0; i < o->n; i++)
			if (flush_has_key(o, &o->v[i]) &&
			    flush_is_alike(mine, &o->v[i]) &&
			    !is_out_of_it(b, mine, o, &o->v[i]))
				return true;
	}
	return false;
}

/* Is this record in a batch that is under way? */
static bool is_under_way(const struct flush *fl, uint64_t id)
{
	for (const struct batch *b = fl->batches; b; b = b->next)
		for (size_t i = 0; i < b->n; i++)
			if (b->v[i].id == id)
				return true;
	return false;
}

/* Messages with their keys. */
struct doubted {
	struct item *v; /* NULL, for want of memory: it may be any */
	size_t n;
};

/* What was sent there before, is in doubt, and waits to be looked for. */
static void list_doubted(struct batch *b, struct doubted *ret)
{
	const struct journal_filter f = {.folder = b->to->id,
					 .phases = 1u << JOURNAL_QUEUED};
	struct journal_list *list = NULL;

	*ret = (struct doubted){0};
	if (journal_read(b->flush->fs->cache, &f, &list) == 0)
		ret->v = calloc(list->n + 1, sizeof(*ret->v));
	for (size_t i = 0; ret->v && i < list->n; i++) {
		const struct journal_entry *e = &list->v[i];
		struct item *it = &ret->v[ret->n];

		if (!e->doubt || e->sent_to != b->to->id ||
		    is_under_way(b->flush, e->id))
			continue;
		*it = (struct item){.id = e->id};
		ret->n += flush_has_key(b, it);
	}
	free(list);
}

static bool is_doubted_too(const struct item *it, const struct doubted *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (flush_is_alike(it, &d->v[i]))
			return true;
	return !d->v;
}

/* What was found may be another one's. */
static bool may_be_mistaken(struct batch *b, struct item *it,
			    const struct doubted *d)
{
	if (it->verdict != VERDICT_OPEN || it->to == 0 || !it->is_found ||
	    !flush_has_key(b, it))
		return false;
	if (is_disputed(b, it))
		return true;
	return !it->is_gone && is_doubted_too(it, d);
}

/*
 * Those that may be another one's are not found. How many? At last one that has
 * left its source keeps what was found, for it is somewhere.
 */
static size_t give_up_disputed(struct batch *b, bool at_last)
{
	struct doubted d;
	size_t n = 0;

	list_doubted(b, &d);
	for (size_t i = 0; i < b->n; i++) {
		struct item *it = &b->v[i];

		if ((at_last && it->is_gone) || !may_be_mistaken(b, it, &d))
			continue;
		it->to = 0;
		it->is_given_up = at_last;
		n++;
	}
	free(d.v);
	return n;
}

void flush_note_twice(struct batch *b, size_t n, const char *why)
{
	struct journal_failure f = {.why = why, .file = b->to->path};
	char *what = NULL;

	if (asprintf(&what, "to find out whether %zu messages have arrived",
		     n) < 0)
		what = NULL;
	f.what = what;
	log_warn("flush: %zu messages for '%s' may be there twice: %s", n,
		 b->to->path, why);
	if (journal_note_failure(b->flush->fs->cache, &f) != 0)
		log_debug("flush: a failure is not listed");
	free(what);
}

bool flush_waits_for_twins(struct batch *b)
{
	bool at_last = b->twin_waits == FLUSH_TWIN_WAITS;
	size_t n = give_up_disputed(b, at_last);

	if (n == 0)
		return false;
	if (at_last) {
		flush_note_twice(b, n,
				 "others like them were on their way, too: "
				 "they are sent again");
		return false;
	}
	b->twin_waits++;
	return true;
}
