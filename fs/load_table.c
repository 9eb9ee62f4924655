/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/load_private.h"

#include <errno.h>
#include <stdlib.h>

/*
 * A small table, most recently used first: an entry stays for a while after
 * its last reader, since the next read of a large file is for its next bytes,
 * and since what just failed is remembered in it.
 */

static void fetch_free(struct fetch *t)
{
	body_put(t->body);
	free(t);
}

/* Of no more use: a small body is read in one go, and a failure gets old. */
static bool is_done_locked(const struct load *l, const struct fetch *t)
{
	if (t->users > 0)
		return false;
	if (t->error != 0)
		return !fs_failed_just_now(l->fs, t->failed_ms);
	return body_size(t->body) <= LOAD_WHOLE;
}

/*
 * What is done goes, and of the rest the least recently used ones that nobody
 * uses; returned in a chain. An open body is never evicted: few are kept.
 */
static struct fetch *trim_locked(struct load *l) REQUIRES(l->lock)
{
	struct fetch **at = &l->head, *out = NULL, *t;
	unsigned kept = 0;

	while ((t = *at) != NULL) {
		if (t->users == 0 && t->error == 0)
			kept++;
		if (!is_done_locked(l, t) &&
		    (t->users > 0 || kept <= LOAD_KEEP)) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		l->n--;
		t->next = out;
		out = t;
	}
	return out;
}

static struct fetch *find_locked(struct load *l, uint64_t id) REQUIRES(l->lock)
{
	struct fetch **at, *t;

	for (at = &l->head; (t = *at) != NULL; at = &t->next) {
		if (t->id != id)
			continue;
		*at = t->next;
		t->next = l->head;
		l->head = t;
		return t;
	}
	return NULL;
}

int load_fetch_get(struct fs *fs, const struct cache_msg *m, struct fetch **ret)
{
	struct load *l = fs->load;
	struct fetch *t, *made, *old;
	int r;

	lock_take(&l->lock);
	t = find_locked(l, m->id);
	if (t)
		t->users++;
	lock_drop(&l->lock);
	if (t) {
		*ret = t;
		return 0;
	}

	made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	made->id = m->id;
	made->ahead = LOAD_WHOLE;
	made->end_at = LOAD_END_UNKNOWN;
	r = body_open(fs->cache, m->id, m->size, &made->body);
	if (r != 0) {
		free(made);
		return r;
	}

	lock_take(&l->lock);
	t = find_locked(l, m->id);
	if (!t) {
		t = made;
		made = NULL;
		t->next = l->head;
		l->head = t;
		l->n++;
	}
	t->users++;
	old = trim_locked(l);
	lock_drop(&l->lock);

	if (made)
		fetch_free(made);
	while (old) {
		made = old->next;
		fetch_free(old);
		old = made;
	}
	*ret = t;
	return 0;
}

void load_fetch_put(struct fs *fs, struct fetch *t)
{
	struct fetch *old, *next;

	lock_take(&fs->load->lock);
	t->users--;
	old = trim_locked(fs->load);
	lock_drop(&fs->load->lock);
	for (; old; old = next) {
		next = old->next;
		fetch_free(old);
	}
}

int load_new(struct fs *fs, struct load **ret)
{
	struct load *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;

	l->fs = fs;
	lock_init(&l->lock, RANK_LOAD);
	lock_cond_init(&l->corrected);
	*ret = l;
	return 0;
}

void load_free(struct load *l)
{
	struct fetch *t, *next;

	if (!l)
		return;
	for (t = l->head; t; t = next) {
		next = t->next;
		fetch_free(t);
	}
	lock_cond_finish(&l->corrected);
	lock_finish(&l->lock);
	free(l);
}
