/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ahead_private.h"

#include <stdlib.h>

#include "fs/budget.h"
#include "fs/store.h"

/*
 * Walking ahead of a reader: what is in the cache is given to the kernel, what
 * is not is gathered into sets that are fetched. Runs in the FUSE worker that
 * noted the reader, without locks.
 */

#define BATCH 32 /* rows copied out of a box at once */

static uint64_t greater(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* How much of the window is this message? */
static uint64_t part_of(const struct ahead_extent *window,
			const struct ahead_item *item)
{
	uint64_t part = EXTENT_WHOLE / window->messages;

	part = greater(part, item->bytes * EXTENT_WHOLE / window->bytes);
	return greater(part, item->line * EXTENT_WHOLE / window->line);
}

/*
 * Is this message not to be stored, so that its reader is seen? One in a
 * quarter of the window, whichever way that is measured: the reader waits for
 * each, and looking goes on at the second one.
 */
static bool is_landmark(struct walk *w, const struct ahead_item *item)
{
	bool yes = w->since >= EXTENT_WHOLE / 4;

	w->since = yes ? 0 : w->since + part_of(&w->window, item);
	return yes;
}

static void spend(uint64_t *room, uint64_t n)
{
	*room -= n < *room ? n : *room;
}

static void take(struct walk *w, const struct cache_msg *m,
		 const struct cache_small *cached)
{
	struct ahead_item *item = &w->seen[w->n_seen++];
	bool may_store, fetch;

	*item = (struct ahead_item){.id = m->id};
	w->at = m->id;
	w->room.messages--;
	if (m->size > AHEAD_MESSAGE_MAX || m->size == 0 || m->dead)
		return;

	fetch = !cached && m->size <= w->left &&
		(m->size <= CACHE_CHUNK ||
		 !cache_has_body(w->fs->cache, m->id));
	item->bytes = m->size;
	item->line = fetch ? m->size : 0;
	spend(&w->room.bytes, item->bytes);
	spend(&w->room.line, item->line);
	spend(&w->left, item->line);
	may_store = m->held > 0 && !is_landmark(w, item);
	if (fetch)
		ahead_set_add(w->fs, w->f, &w->set, m, w->uidvalidity,
			      may_store);
	if (!cached)
		return;
	item->stored = may_store;
	if (may_store)
		store_push(w->fs->store, w->f, cached);
}

static bool has_room(const struct walk *w)
{
	return w->room.messages > 0 && w->room.bytes > 0 && w->room.line > 0;
}

/* Rows that were copied out of the box: which of them are in the cache? */
static void take_all(struct walk *w, const struct cache_msg *v, size_t n)
{
	struct cache_small cached[BATCH];
	size_t n_cached, next;

	for (size_t i = 0; i < n; i++) {
		const struct cache_msg *m = w->dir > 0 ? &v[i] : &v[n - 1 - i];

		cached[i] = (struct cache_small){.id = m->id, .size = m->size};
	}
	n_cached = cache_find_small(w->fs->cache, cached, n);
	/* Both are in order: the next one that is cached, as the walk goes. */
	next = w->dir > 0 ? 0 : n_cached - 1;
	for (size_t i = 0; i < n && has_room(w); i++) {
		if (next < n_cached && cached[next].id == v[i].id) {
			take(w, &v[i], &cached[next]);
			next += (size_t)w->dir;
		} else {
			take(w, &v[i], NULL);
		}
	}
}

/* What has been looked at before, and has not been read, may be on its way. */
static uint64_t left_of_day(const struct walk *w)
{
	uint64_t left = budget_ahead_left(w->fs);
	uint64_t coming = w->window.line - w->room.line;

	return left > coming ? left - coming : 0;
}

void ahead_walk(struct walk *w)
{
	struct cache_msg *v = calloc(BATCH, sizeof(*v));
	size_t n = v ? BATCH : 0, want = BATCH;
	struct cache_state s;

	w->left = left_of_day(w);
	while (n == want && has_room(w)) {
		want = w->room.messages < BATCH ? w->room.messages : BATCH;
		box_state(w->box, &s); /* before the rows: ahead_set_add() */
		w->uidvalidity = s.uidvalidity;
		n = w->dir > 0 ? box_read(w->box, w->at, v, want)
			       : box_read_back(w->box, w->at, v, want);
		if (n > 0)
			take_all(w, v, n);
	}
	if (w->set)
		ahead_set_send(w->fs, w->set);
	free(v);
}
