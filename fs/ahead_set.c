/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ahead_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/budget.h"
#include "fs/load_private.h"
#include "fs/park.h"
#include "fs/store.h"

/*
 * Sets of bodies that are fetched ahead. Callbacks run on a connection's
 * thread, one at a time for a set. Whoever waits for a message of a set is
 * woken when that message is whole, not when the set is.
 */

static struct set_item *find_uid(struct ahead_set *set, uint32_t uid)
{
	for (size_t i = 0; i < set->n; i++)
		if (set->item[i].uid == uid)
			return &set->item[i];
	return NULL;
}

/* --- how fast it comes --- */

uint64_t ahead_line_bytes_locked(struct ahead *a)
{
	uint64_t most = a->bytes_a_second;

	if (most == 0 || most > LINE_BYTES_MAX)
		return LINE_BYTES_MAX;
	return most < LINE_BYTES_MIN ? LINE_BYTES_MIN : most;
}

static void measure_locked(struct ahead *a, uint64_t bytes) REQUIRES(a->lock)
{
	int64_t took = clock_now_ms() - a->busy_since_ms;

	a->busy_bytes += bytes;
	/* Long enough to mean something; then begin anew, links change. */
	if (took < 500)
		return;
	a->bytes_a_second = a->busy_bytes * 1000 / (uint64_t)took;
	a->busy_bytes = 0;
	a->busy_since_ms += took;
}

/* --- what the server sends --- */

static int set_begin(void *ctx, uint32_t uid, uint64_t offset, uint64_t size)
{
	struct ahead_set *set = ctx;

	set->current = find_uid(set, uid);
	if (!set->current || offset != 0)
		return -EBADMSG;
	set->at = 0;
	return body_open(set->fs->cache, set->current->id, size, &set->body);
}

/* A byte of a set is progress for all who wait for it. */
static void give_time(struct ahead_set *set)
{
	int64_t deadline = clock_now_ms() + set->fs->timeout_ms;

	for (size_t i = 0; i < set->n; i++)
		park_extend(set->fs->park, set->item[i].id, deadline);
}

static int set_data(void *ctx, uint32_t uid, const void *bytes, size_t n)
{
	struct ahead_set *set = ctx;
	int r;

	(void)uid;
	r = body_write(set->body, set->at, bytes, n);
	if (r == 0)
		set->at += n;
	give_time(set);
	return r;
}

static void item_done(struct ahead_set *set, struct set_item *item)
{
	struct ahead *a = set->fs->ahead;

	lock_take(&a->lock);
	item->done = true;
	lock_drop(&a->lock);
	load_moved(set->fs, item->id);
}

static void keep(struct ahead_set *set)
{
	struct ahead *a = set->fs->ahead;
	uint64_t id = set->current->id;
	int r;

	/* Before a reader can find it whole. */
	load_correct_size(set->fs, id, set->at);
	r = body_end(set->body, set->at);
	if (r != 0) {
		/* Its reader will ask again, and be told why. */
		set->error = set->error ? set->error : r;
		return;
	}
	set->current->here = true;
	ahead_remember(set->fs, id);
	lock_take(&a->lock);
	a->stats.fetched++;
	a->stats.bytes += set->at;
	measure_locked(a, set->at);
	lock_drop(&a->lock);
	if (set->current->may_store)
		store_push_new(set->fs->store, set->f, id, set->at);
}

static void set_end(void *ctx, uint32_t uid, int result)
{
	struct ahead_set *set = ctx;

	(void)uid;
	if (set->body) {
		if (result == 0)
			keep(set);
		else if (set->error == 0)
			set->error = result;
		body_put(set->body);
		set->body = NULL;
	}
	/* Cut off, it may yet come again on a new connection. */
	if (set->current && result != -ENOTCONN)
		item_done(set, set->current);
	set->current = NULL;
}

static void unlink_locked(struct ahead *a, struct ahead_set *set)
	REQUIRES(a->lock)
{
	for (struct ahead_set **at = &a->sets; *at; at = &(*at)->next) {
		if (*at != set)
			continue;
		*at = set->next;
		a->n_sets--;
		break;
	}
}

static void set_done(void *ctx, int result, const struct imap_error *why)
{
	struct ahead_set *set = ctx;
	struct ahead *a = set->fs->ahead;

	(void)why;
	budget_fetched(set->fs, result);
	lock_take(&a->lock);
	unlink_locked(a, set);
	lock_drop(&a->lock);
	/* Who waits for what did not come asks for it alone. */
	for (size_t i = 0; i < set->n; i++)
		if (!set->item[i].done)
			load_moved(set->fs, set->item[i].id);
	if (set->ended)
		set->ended(set, result ? result : set->error);
	free(set);
}

static const struct imap_body_ops set_ops = {set_begin, set_data, set_end,
					     set_done};

/* --- asking --- */

static int by_uid(const void *a, const void *b)
{
	const struct set_item *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* The set may have ended, and be gone, by now. */
static void note_job(struct ahead *a, const struct ahead_set *set, imap_job job)
{
	lock_take(&a->lock);
	for (struct ahead_set *s = a->sets; s; s = s->next)
		if (s == set)
			s->job = job;
	lock_drop(&a->lock);
}

static int fetch_set(struct fs *fs, struct ahead_set *set)
{
	uint32_t uids[SET_MESSAGES];
	const struct imap_body_request req = {
		.uidvalidity = set->uidvalidity,
		.uids = uids,
		.n_uids = set->n,
		.bytes = set->bytes,
	};
	imap_job job;
	int r;

	for (size_t i = 0; i < set->n; i++)
		uids[i] = set->item[i].uid;
	r = imap_fetch(fs->imap, set->f->wire, IMAP_PRIO_PREFETCH, &req,
		       &set_ops, set, &job);
	if (r == 0)
		note_job(fs->ahead, set, job);
	return r;
}

void ahead_set_send(struct fs *fs, struct ahead_set *set)
{
	struct ahead *a = fs->ahead;
	int r;

	qsort(set->item, set->n, sizeof(set->item[0]), by_uid);
	lock_take(&a->lock);
	if (a->n_sets == 0) {
		a->busy_since_ms = clock_now_ms();
		a->busy_bytes = 0;
	}
	set->next = a->sets;
	a->sets = set;
	a->n_sets++;
	lock_drop(&a->lock);

	r = fs->stopping ? -ECANCELED : fetch_set(fs, set);
	if (r != 0)
		set_done(set, r, NULL);
}

static bool is_coming(struct ahead *a, uint64_t id, imap_job *ret_job)
{
	bool coming = false;

	lock_take(&a->lock);
	for (struct ahead_set *s = a->sets; s && !coming; s = s->next) {
		for (size_t i = 0; i < s->n && !coming; i++)
			coming = s->item[i].id == id && !s->item[i].done;
		*ret_job = s->job;
	}
	lock_drop(&a->lock);
	return coming;
}

/*
 * A row of the cache is written a few milliseconds after its body has come: a
 * walk must not ask for that body again.
 */
void ahead_remember(struct fs *fs, uint64_t id)
{
	struct ahead *a = fs->ahead;

	lock_take(&a->lock);
	a->fresh[id % FRESH] = id;
	lock_drop(&a->lock);
}

void ahead_forget(struct fs *fs)
{
	struct ahead *a = fs->ahead;

	lock_take(&a->lock);
	memset(a->fresh, 0, sizeof(a->fresh));
	lock_drop(&a->lock);
}

/* What has been evicted since then is not here any more. */
static bool is_remembered(struct fs *fs, uint64_t id)
{
	struct ahead *a = fs->ahead;
	struct cache_stats st;
	bool fresh;

	cache_get_stats(fs->cache, &st);
	lock_take(&a->lock);
	if (st.evicted != a->evicted) {
		a->evicted = st.evicted;
		memset(a->fresh, 0, sizeof(a->fresh));
	}
	fresh = a->fresh[id % FRESH] == id;
	lock_drop(&a->lock);
	return fresh;
}

void ahead_set_add(struct fs *fs, struct folder *f, struct ahead_set **set,
		   const struct cache_msg *m, uint32_t uidvalidity,
		   bool may_store)
{
	struct ahead_set *s = *set;
	imap_job job;

	if (m->uid == 0 || is_remembered(fs, m->id) ||
	    load_is_coming(fs, m->id) || is_coming(fs->ahead, m->id, &job))
		return;
	if (s && (s->n == SET_MESSAGES || s->bytes + m->size > SET_BYTES ||
		  s->uidvalidity != uidvalidity)) {
		ahead_set_send(fs, s);
		s = NULL;
	}
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (s) {
			s->fs = fs;
			s->f = f;
			s->uidvalidity = uidvalidity;
		}
	}
	*set = s;
	if (!s)
		return;
	s->item[s->n++] = (struct set_item){
		.id = m->id, .uid = m->uid, .may_store = may_store};
	s->bytes += m->size;
}

bool ahead_is_coming(struct fs *fs, uint64_t id)
{
	imap_job job = 0;

	if (!is_coming(fs->ahead, id, &job))
		return false;
	if (job)
		imap_hurry(fs->imap, job, IMAP_PRIO_READER);
	return true;
}

void ahead_get_stats(struct fs *fs, struct ahead_stats *ret)
{
	struct ahead *a = fs->ahead;

	lock_take(&a->lock);
	*ret = a->stats;
	ret->sets = a->n_sets;
	lock_drop(&a->lock);
}
