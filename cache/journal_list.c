/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/changes.h"
#include "cache/heard.h"

/*
 * What others read of the journal: copies of its records, in one block with
 * their words behind them; counts; and the questions of whoever listens to
 * the server. Memory only, but for content keys.
 */

/* --- entries --- */

/*
 * Is a command of these parts under way, or about to be (the plan says so), or
 * in doubt?
 */
static bool is_busy(const struct change *c, unsigned parts)
{
	const struct change *now = c->step ? c->step->next : c;

	return now && (change_unanswered(now) & parts);
}

uint64_t change_waits_locked(const struct journal *j, const struct change *c)
{
	unsigned what = change_what(c);
	struct change *other = NULL;

	if (c->after != 0 && journal_find_locked(j, c->after))
		return c->after;
	/* One in doubt went out when it had not to wait. */
	if (c->origin.folder == 0 || change_doubt(c) != 0)
		return 0;
	/*
	 * What goes must not go before it was copied. A move is no loss for a
	 * copy, which follows it, but for one that is on its way.
	 */
	while ((other = journal_same_origin_locked(j, &c->origin, other))) {
		if (other == c)
			continue;
		if ((what & JOURNAL_COPY) &&
		    is_busy(other, JOURNAL_MOVE | JOURNAL_REMOVE))
			return other->id;
		if ((what & JOURNAL_REMOVE) && other->how == JOURNAL_COPIES)
			return other->id;
		if ((what & JOURNAL_MOVE) && is_busy(other, JOURNAL_COPY))
			return other->id;
	}
	return 0;
}

static size_t text_size(const char *s)
{
	return (s ? strlen(s) : 0) + 1;
}

static size_t text_bytes(const struct change *c)
{
	const struct flagset *a = &c->delta.add, *r = &c->delta.remove;

	return text_size(a->words) + text_size(a->labels) +
	       text_size(r->words) + text_size(r->labels);
}

static const char *copy_text(char **pool, const char *s)
{
	size_t n = text_size(s);
	char *at = *pool;

	memcpy(at, s ? s : "", n);
	*pool += n;
	return at;
}

static void fill(const struct journal *j, const struct change *c, char **pool,
		 struct journal_entry *ret) REQUIRES(j->lock)
{
	*ret = (struct journal_entry){
		.id = c->id,
		.seq = c->seq,
		.gen = c->gen,
		.origin = c->origin,
		.how = c->how,
		.phase = c->phase,
		.what = change_what(c),
		.at = c->at,
		.waits_for = change_waits_locked(j, c),
		.add = c->delta.add.flags,
		.remove = c->delta.remove.flags,
		.sent = c->sent,
		.doubt = change_doubt(c),
		.sent_to = c->sent_to,
		.sent_uidvalidity = c->sent_uidvalidity,
		.sent_uidnext = c->sent_uidnext,
		.queued_at = c->queued_at,
		.tries = c->tries,
	};
	ret->add_keywords = copy_text(pool, c->delta.add.words);
	ret->remove_keywords = copy_text(pool, c->delta.remove.words);
	ret->add_labels = copy_text(pool, c->delta.add.labels);
	ret->remove_labels = copy_text(pool, c->delta.remove.labels);
}

static bool matches(const struct change *c, const struct journal_filter *f)
{
	if (f->phases != 0 && !(f->phases & (1u << c->phase)))
		return false;
	return f->folder == 0 || c->at == f->folder ||
	       c->origin.folder == f->folder || c->sent_to == f->folder;
}

/* The next that the filter lets through. */
static struct change *next_match(const struct journal *j,
				 const struct journal_filter *f, size_t *at)
	REQUIRES(j->lock)
{
	struct change *c;

	do
		c = journal_next_locked(j, at);
	while (c && !matches(c, f));
	return c;
}

int journal_read(struct cache *c, const struct journal_filter *f,
		 struct journal_list **ret)
{
	struct journal *j = &c->journal;
	size_t max = f->max ? f->max : SIZE_MAX;
	size_t begin, at, n = 0, bytes = sizeof(struct journal_list);
	struct journal_list *list;
	struct change *v;
	char *pool;

	lock_take(&j->lock);
	begin = at = journal_rank_locked(j, f->after);
	while (n < max && (v = next_match(j, f, &at))) {
		bytes += sizeof(list->v[0]) + text_bytes(v);
		n++;
	}
	list = calloc(1, bytes);
	if (list) {
		pool = (char *)&list->v[n];
		at = begin;
		while (list->n < n && (v = next_match(j, f, &at)))
			fill(j, v, &pool, &list->v[list->n++]);
	}
	lock_drop(&j->lock);
	if (!list)
		return -ENOMEM;
	*ret = list;
	return 0;
}

int journal_get(struct cache *c, uint64_t id, struct journal_list **ret)
{
	struct journal_list *list = NULL;
	const struct change *v;
	char *pool;

	lock_take(&c->journal.lock);
	v = journal_find_locked(&c->journal, id);
	if (v)
		list = calloc(1, sizeof(*list) + sizeof(list->v[0]) +
					 text_bytes(v));
	if (list) {
		list->n = 1;
		pool = (char *)&list->v[1];
		fill(&c->journal, v, &pool, &list->v[0]);
	}
	lock_drop(&c->journal.lock);
	if (!list)
		return v ? -ENOMEM : -ENOENT;
	*ret = list;
	return 0;
}

void journal_count(struct cache *c, struct journal_counts *ret)
{
	const struct change *v;
	size_t at = 0;

	*ret = (struct journal_counts){0};
	lock_take(&c->journal.lock);
	while ((v = journal_next_locked(&c->journal, &at))) {
		ret->scratch += v->phase == JOURNAL_SCRATCH;
		ret->writing += v->phase == JOURNAL_WRITING;
		ret->queued += v->phase == JOURNAL_QUEUED;
		ret->sent += v->phase == JOURNAL_SENT;
		if (v->phase >= JOURNAL_QUEUED &&
		    (ret->oldest == 0 || v->queued_at < ret->oldest))
			ret->oldest = v->queued_at;
	}
	lock_drop(&c->journal.lock);
}

/* --- for whoever listens to the server --- */

bool journal_has_left_locked(const struct journal *j,
			     const struct journal_place *from)
{
	const struct change *v = NULL;

	if (j->n > 0 && from->uid != 0)
		v = journal_find_mover_locked(j, from);
	/* With its flags only it is still there, under this UID. */
	return v && (v->at != from->folder ||
		     (change_unanswered(v) & ~(unsigned)JOURNAL_STORE));
}

int journal_find_uid(struct cache *c, struct journal_place from, uint64_t *ret)
{
	const struct change *v = NULL;
	int r = -ENOENT;

	lock_take(&c->journal.lock);
	if (journal_has_left_locked(&c->journal, &from))
		v = journal_find_mover_locked(&c->journal, &from);
	if (v)
		r = change_doubt(v) ? -EBUSY : 0;
	if (r == 0)
		*ret = v->id;
	lock_drop(&c->journal.lock);
	return r;
}

static int by_uid(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

int journal_origins(struct cache *c, uint64_t folder, uint32_t uidvalidity,
		    uint32_t **ret, size_t *ret_n)
{
	const struct change *v;
	uint32_t *uids;
	size_t n = 0, at = 0;

	lock_take(&c->journal.lock);
	uids = malloc((c->journal.n + 1) * sizeof(*uids));
	while (uids && (v = journal_next_locked(&c->journal, &at))) {
		if (v->origin.folder == folder &&
		    v->origin.uidvalidity == uidvalidity &&
		    v->how == JOURNAL_MOVES &&
		    journal_has_left_locked(&c->journal, &v->origin))
			uids[n++] = v->origin.uid;
	}
	lock_drop(&c->journal.lock);
	if (!uids)
		return -ENOMEM;

	qsort(uids, n, sizeof(*uids), by_uid);
	*ret = uids;
	*ret_n = n;
	return 0;
}

/* --- keys --- */

/* Is it the first of those that have this origin? */
static bool is_first(const struct journal *j, const struct change *c)
	REQUIRES(j->lock)
{
	return journal_same_origin_locked(j, &c->origin, NULL) == c;
}

/* The ids, in `of`, of those that journal_keys() means. */
static int list_strayed(struct cache *c, uint64_t folder, uint32_t uidvalidity,
			struct cache_key **ret, size_t *ret_n)
{
	const struct change *v;
	struct cache_key *keys;
	size_t n = 0, at = 0;

	lock_take(&c->journal.lock);
	keys = calloc(c->journal.n + 1, sizeof(*keys));
	while (keys && (v = journal_next_locked(&c->journal, &at))) {
		if (v->origin.folder == folder &&
		    v->origin.uidvalidity != uidvalidity &&
		    (v->how == JOURNAL_COPIES || v->at != folder ||
		     change_doubt(v)) &&
		    is_first(&c->journal, v))
			keys[n++].of = v->id;
	}
	lock_drop(&c->journal.lock);
	if (!keys)
		return -ENOMEM;
	*ret = keys;
	*ret_n = n;
	return 0;
}

int journal_keys(struct cache *c, uint64_t folder, uint32_t uidvalidity,
		 struct cache_key **ret, size_t *ret_n)
{
	struct cache_key *keys;
	size_t n, to = 0;
	int r = list_strayed(c, folder, uidvalidity, &keys, &n);

	if (r != 0)
		return r;
	/* Records that are still on their way to the disk are waited for. */
	(void)writer_drain(c, 0);
	for (size_t i = 0; i < n; i++) {
		keys[to].of = keys[i].of;
		r = journal_key(c, keys[to].of, &keys[to]);
		if (r == 0)
			to++;
		else if (r != -ENOENT)
			break;
	}
	if (r != 0 && r != -ENOENT) {
		free(keys);
		return r;
	}
	*ret = keys;
	*ret_n = to;
	return 0;
}
