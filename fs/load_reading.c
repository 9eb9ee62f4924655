/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/load_private.h"

#include <stdlib.h>

/*
 * READs that are not answered yet, and those that were refused.
 *
 * A READ behind the end comes from a kernel that believes in a larger size. An
 * empty answer would make it believe in the place where that READ begins, and
 * take short answers to those that it had sent before for stale: it would fill
 * them up with zeros, for readers to see. So it waits for all of lower bytes;
 * but that there is one cannot always be known: it may be in the hands of a
 * thread that has not looked at it yet. An error says nothing of a size. It is
 * nobody's error, either: nearly all READs are for what somebody may read next,
 * and if he does the kernel asks again, for a page of it. That one is answered.
 */

struct reading {
	struct reading *next;
	uint64_t id;
	uint64_t offset;
	bool holds_up; /* a higher one waits for its answer */
};

struct reading *load_reading_begin(struct fs *fs, const struct cache_msg *m,
				   uint64_t offset)
{
	struct load *l = fs->load;
	struct reading *v;

	if (m->size <= LOAD_WHOLE)
		return NULL;
	v = calloc(1, sizeof(*v));
	if (!v)
		return NULL;
	v->id = m->id;
	v->offset = offset;
	lock_take(&l->lock);
	v->next = l->readings;
	l->readings = v;
	lock_drop(&l->lock);
	return v;
}

bool load_reading_is_lowest(struct fs *fs, struct reading *v)
{
	struct load *l = fs->load;
	bool yes = true;

	lock_take(&l->lock);
	for (struct reading *o = v ? l->readings : NULL; o; o = o->next) {
		if (o->id != v->id || o->offset >= v->offset)
			continue;
		o->holds_up = true;
		yes = false;
	}
	lock_drop(&l->lock);
	return yes;
}

void load_reading_end(struct fs *fs, struct reading *v)
{
	struct load *l = fs->load;
	struct reading **at = &l->readings;

	if (!v)
		return;
	lock_take(&l->lock);
	while (*at != v)
		at = &(*at)->next;
	*at = v->next;
	lock_drop(&l->lock);
	if (v->holds_up)
		load_moved(fs, v->id);
	free(v);
}

/* Was it, or what it is a part of? */
static bool was_refused_locked(const struct load *l, uint64_t id,
			       uint64_t offset, uint64_t end) REQUIRES(l->lock)
{
	for (unsigned i = 0; i < LOAD_REFUSED; i++) {
		const struct refused *v = &l->refused[i];

		if (v->id == id && v->offset <= offset && end <= v->end)
			return true;
	}
	return false;
}

bool load_refuse_once(struct fs *fs, uint64_t id, uint64_t offset, size_t n)
{
	struct load *l = fs->load;
	bool again;

	lock_take(&l->lock);
	again = was_refused_locked(l, id, offset, offset + n);
	if (!again) {
		l->refused[l->next_refused] =
			(struct refused){id, offset, offset + n};
		l->next_refused = (l->next_refused + 1) % LOAD_REFUSED;
	}
	lock_drop(&l->lock);
	return !again;
}
