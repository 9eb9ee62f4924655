/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ahead_private.h"

#include <stdlib.h>

#include "fs/store.h"

/*
 * Walking ahead of a reader: what is in the cache is given to the kernel, what
 * is not is gathered into sets that are fetched. Runs in the FUSE worker that
 * noted the reader, without locks.
 */

#define BATCH 32 /* rows copied out of a box at once */

/* Is this message not to be stored, so that its reader is seen? */
static bool is_landmark(struct walk *w, const struct cache_msg *m)
{
	bool yes = w->n_seen == 1 || w->since >= w->landmark ||
		   w->bytes_since >= (uint64_t)w->landmark * WINDOW_BYTES_EACH;

	w->since = yes ? 0 : w->since + 1;
	w->bytes_since = yes ? 0 : w->bytes_since + m->size;
	return yes;
}

static void take(struct walk *w, const struct cache_msg *m,
		 const struct cache_small *cached)
{
	struct ahead_item *item = &w->seen[w->n_seen++];
	bool may_store;

	*item = (struct ahead_item){.id = m->id};
	w->at = m->id;
	w->room--;
	if (m->size > AHEAD_MESSAGE_MAX || m->size == 0 || m->dead)
		return;

	item->bytes = m->size;
	w->bytes_room -= m->size < w->bytes_room ? m->size : w->bytes_room;
	may_store = m->held > 0 && !is_landmark(w, m);
	if (cached) {
		item->stored = may_store;
		if (may_store)
			store_push(w->fs->store, w->f, cached);
	} else if (m->size <= CACHE_CHUNK ||
		   !cache_has_body(w->fs->cache, m->id)) {
		ahead_set_add(w->fs, w->f, &w->set, m, may_store);
	}
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
	for (size_t i = 0; i < n && w->bytes_room > 0; i++) {
		if (next < n_cached && cached[next].id == v[i].id) {
			take(w, &v[i], &cached[next]);
			next += (size_t)w->dir;
		} else {
			take(w, &v[i], NULL);
		}
	}
}

void ahead_walk(struct walk *w)
{
	struct cache_msg *v = calloc(BATCH, sizeof(*v));
	size_t n = v ? BATCH : 0, want = BATCH;

	while (n == want && w->room > 0 && w->bytes_room > 0) {
		want = w->room < BATCH ? w->room : BATCH;
		n = w->dir > 0 ? box_read(w->box, w->at, v, want)
			       : box_read_back(w->box, w->at, v, want);
		if (n > 0)
			take_all(w, v, n);
	}
	if (w->set)
		ahead_set_send(w->fs, w->set);
	free(v);
}
