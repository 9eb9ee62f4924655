/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/box.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/messages.h"

/*
 * A folder in use: its packed index, its state, and the lock of both. Here it
 * is opened, closed and read; change.c has the rest.
 *
 * The map from ids to folders follows the index: an id is in it from the
 * moment its row is appended until the row is gone and nobody holds it.
 * Readers copy under the lock; nothing here waits for the disk with it held.
 */

/* --- opening --- */

static struct box *find_locked(struct idmap *m, uint64_t folder)
	REQUIRES(m->lock)
{
	struct box *b = m->boxes;

	while (b && b->folder != folder)
		b = b->next;
	return b;
}

/* Its ids are nobody's any more, but for those that went to another folder. */
static void unregister_locked(struct idmap *m, struct box *b) REQUIRES(m->lock)
{
	for (size_t pos = 0; pos < b->index.n; pos++)
		map_clear_locked(m, index_at(&b->index, pos)->id,
				 (uint32_t)b->folder);
	for (struct box **at = &m->boxes; *at; at = &(*at)->next) {
		if (*at == b) {
			*at = b->next;
			break;
		}
	}
}

static int map_ids(struct box *b)
{
	struct idmap *m = &b->c->map;
	int r = 0;

	lock_take(&m->lock);
	for (size_t pos = 0; r == 0 && pos < b->index.n; pos++) {
		uint64_t id = index_at(&b->index, pos)->id;

		r = map_reserve_locked(m, id, 1);
		if (r == 0)
			map_set_locked(m, id, (uint32_t)b->folder);
	}
	lock_drop(&m->lock);
	return r;
}

static int load(struct box *b)
{
	int r = writer_drain(b->c, b->folder);

	if (r == 0)
		r = folders_read_state(b->c, b->folder, &b->state);
	if (r == 0)
		r = messages_load(b->c, b->folder, &b->index);
	if (r == 0)
		r = map_ids(b);
	return r;
}

static int new_box(struct cache *c, uint64_t folder, struct box **ret)
{
	struct box *b = calloc(1, sizeof(*b));
	int r = b ? index_init(&b->index) : -ENOMEM;

	if (r != 0) {
		free(b);
		return r;
	}
	b->c = c;
	b->folder = folder;
	b->refs = 1;
	b->is_loading = true;
	lock_init(&b->lock, RANK_INDEX);
	*ret = b;
	return 0;
}

static void free_box(struct box *b)
{
	index_finish(&b->index);
	lock_finish(&b->lock);
	free(b);
}

/*
 * 1: one that is there got a reference. 0: `*at` is there now, to be loaded by
 * its owner. A loader whose loading failed takes its box away again, and those
 * who waited for it try for themselves.
 */
static int join_locked(struct idmap *m, struct box **at, bool is_open)
	REQUIRES(m->lock)
{
	struct box *mine = *at, *b;

	while ((b = find_locked(m, mine->folder)) && b->is_loading)
		(void)lock_cond_wait(&m->loaded, &m->lock, CLOCK_NEVER);
	if (b && is_open && b->is_open)
		return -EBUSY;
	if (b) {
		b->refs++;
		b->is_open |= is_open;
		*at = b;
		return 1;
	}
	mine->is_open = is_open;
	mine->next = m->boxes;
	m->boxes = mine;
	return 0;
}

static int get(struct cache *c, uint64_t folder, bool is_open, struct box **ret)
{
	struct box *mine, *b;
	int r = new_box(c, folder, &mine);

	if (r != 0)
		return r;
	b = mine;
	lock_take(&c->map.lock);
	r = join_locked(&c->map, &b, is_open);
	lock_drop(&c->map.lock);
	if (r == 0) {
		r = load(mine);
		lock_take(&c->map.lock);
		mine->is_loading = false;
		if (r != 0)
			unregister_locked(&c->map, mine);
		lock_cond_wake_all(&c->map.loaded);
		lock_drop(&c->map.lock);
	}
	if (r != 0)
		free_box(mine); /* it failed, or there is one already */
	if (r < 0)
		return r;
	*ret = b;
	return 0;
}

int box_get(struct cache *c, uint64_t folder, struct box **ret)
{
	return get(c, folder, false, ret);
}

int box_open(struct cache *c, uint64_t folder, struct box **ret)
{
	return get(c, folder, true, ret);
}

struct box *box_of_id_locked(struct idmap *m, uint64_t id)
{
	struct box *b = find_locked(m, map_folder_locked(m, id));

	if (!b || b->is_loading)
		return NULL;
	b->refs++;
	return b;
}

void box_put(struct box *b)
{
	struct cache *c;
	bool last;

	if (!b)
		return;
	c = b->c;
	lock_take(&c->map.lock);
	last = --b->refs == 0;
	if (last)
		unregister_locked(&c->map, b);
	lock_drop(&c->map.lock);
	if (last)
		free_box(b);
}

static void forget_kernel(struct box *b)
{
	lock_take(&b->lock);
	lock_take(&b->c->map.lock);
	for (size_t pos = 0; pos < b->index.n; pos++) {
		const struct record *r = index_at(&b->index, pos);

		if (r->state & (RECORD_DEAD | RECORD_DOOMED))
			map_clear_locked(&b->c->map, r->id,
					 (uint32_t)b->folder);
	}
	lock_drop(&b->c->map.lock);
	index_forget_kernel(&b->index);
	lock_drop(&b->lock);
}

void box_close(struct box *b)
{
	struct cache *c;
	bool is_shared;

	if (!b)
		return;
	c = b->c;
	lock_take(&c->map.lock);
	b->is_open = false;
	is_shared = b->refs > 1;
	lock_drop(&c->map.lock);
	/* Who opens it next finds it as it would come from the disk. */
	if (is_shared)
		forget_kernel(b);
	box_put(b);
}

/* --- reading --- */

static void fill_msg(const struct index *ix, const struct record *r,
		     struct cache_msg *ret)
{
	ret->id = r->id;
	ret->uid = r->uid;
	ret->flags = r->state & RECORD_FLAGS;
	ret->size = r->size;
	ret->internaldate = r->internaldate;
	ret->changed_at = r->changed_at;
	ret->announced = r->state & RECORD_ANNOUNCED;
	ret->doomed = r->state & RECORD_DOOMED;
	ret->unmoored = r->state & RECORD_UNMOORED;
	ret->dead = r->state & RECORD_DEAD;
	ret->held = r->held;
	memcpy(ret->name, index_name(ix, r), r->name_len);
	ret->name[r->name_len] = '\0';
}

void box_state(struct box *b, struct cache_state *ret)
{
	lock_take(&b->lock);
	*ret = b->state;
	lock_drop(&b->lock);
}

size_t box_count(struct box *b)
{
	size_t n;

	lock_take(&b->lock);
	n = b->index.n_shown;
	lock_drop(&b->lock);
	return n;
}

uint64_t box_held(struct box *b)
{
	uint64_t n;

	lock_take(&b->lock);
	n = b->index.held;
	lock_drop(&b->lock);
	return n;
}

static int fill_found(struct box *b, size_t pos, struct cache_msg *ret)
	REQUIRES(b->lock)
{
	const struct record *r;

	if (pos == INDEX_NONE)
		return -ENOENT;
	r = index_at(&b->index, pos);
	if ((r->state & RECORD_DEAD) && r->held == 0)
		return -ENOENT;
	fill_msg(&b->index, r, ret);
	return 0;
}

int box_find_name(struct box *b, const char *name, struct cache_msg *ret)
{
	int r;

	lock_take(&b->lock);
	r = fill_found(b, index_find_name(&b->index, name, strlen(name)), ret);
	lock_drop(&b->lock);
	return r;
}

int box_find_id(struct box *b, uint64_t id, struct cache_msg *ret)
{
	int r;

	lock_take(&b->lock);
	r = fill_found(b, index_find_id(&b->index, id), ret);
	lock_drop(&b->lock);
	return r;
}

int box_find_uid(struct box *b, uint32_t uid, struct cache_msg *ret)
{
	int r;

	lock_take(&b->lock);
	r = fill_found(b, index_find_uid(&b->index, uid), ret);
	lock_drop(&b->lock);
	return r;
}

size_t box_read(struct box *b, uint64_t after, struct cache_msg *ret, size_t n)
{
	size_t got = 0, rank;

	lock_take(&b->lock);
	rank = index_rank_after(&b->index, after);
	for (; got < n && rank < b->index.n; rank++) {
		const struct record *r = index_ranked(&b->index, rank);

		if ((r->state & (RECORD_ANNOUNCED | RECORD_DEAD)) ==
		    RECORD_ANNOUNCED)
			fill_msg(&b->index, r, &ret[got++]);
	}
	lock_drop(&b->lock);
	return got;
}

size_t box_read_back(struct box *b, uint64_t before, struct cache_msg *ret,
		     size_t n)
{
	size_t got = 0, rank;

	lock_take(&b->lock);
	rank = before > 0 ? index_rank_after(&b->index, before - 1) : 0;
	while (got < n && rank-- > 0) {
		const struct record *r = index_ranked(&b->index, rank);

		if ((r->state & (RECORD_ANNOUNCED | RECORD_DEAD)) ==
		    RECORD_ANNOUNCED)
			fill_msg(&b->index, r, &ret[got++]);
	}
	lock_drop(&b->lock);
	return got;
}

static int compare_uids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

int box_uids(struct box *b, uint32_t **ret, size_t *ret_n)
{
	uint32_t *uids;
	size_t n = 0;

	lock_take(&b->lock);
	uids = malloc((b->index.n + 1) * sizeof(*uids));
	for (size_t pos = 0; uids && pos < b->index.n; pos++) {
		const struct record *r = index_at(&b->index, pos);

		if (!(r->state & RECORD_DEAD) && r->uid != 0)
			uids[n++] = r->uid;
	}
	lock_drop(&b->lock);
	if (!uids)
		return -ENOMEM;

	qsort(uids, n, sizeof(*uids), compare_uids);
	*ret = uids;
	*ret_n = n;
	return 0;
}

uint32_t box_keywords_hash(struct box *b, uint64_t id)
{
	uint32_t hash = 0;
	size_t pos;

	lock_take(&b->lock);
	pos = index_find_id(&b->index, id);
	if (pos != INDEX_NONE)
		hash = index_at(&b->index, pos)->keywords;
	lock_drop(&b->lock);
	return hash;
}

int box_details(struct box *b, uint64_t id, struct cache_details **ret)
{
	/* A row that is still on its way to the disk is waited for. */
	(void)writer_drain(b->c, b->folder);
	return messages_read_details(b->c, id, ret);
}
