/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/draft_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/attr.h"
#include "fs/control.h"
#include "fs/folder.h"
#include "fs/park.h"

/*
 * The table of drafts: files that were written to a short while ago, by inode
 * number. The bytes are in the spool, the record is the journal's; here is only
 * what changes too often to be written down each time (size, mtime), and when
 * to look. Descriptors are not kept: opening a file costs less than a request.
 * Only one without a name (its row was removed, or another file took its place)
 * keeps its descriptor for those who have it open.
 */

/* --- names --- */

bool draft_is_scratch(const char *name)
{
	size_t n = strlen(name);

	return name[0] == '.' || (n > 0 && name[n - 1] == '~');
}

bool draft_is_reserved(const char *name)
{
	static const char *const views[] = {".text", ".parts", ".search",
					    ".maildir", CONTROL_DIR_NAME};

	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
		if (strcmp(views[i], name) == 0)
			return true;
	return strncmp(name, DRAFT_HIDDEN, strlen(DRAFT_HIDDEN)) == 0;
}

/* --- the table --- */

static struct draft **slot_of(struct drafts *ds, uint64_t id)
{
	return &ds->slots[id % DRAFT_SLOTS];
}

struct draft *draft_find_locked(struct drafts *ds, uint64_t id)
{
	struct draft *d = *slot_of(ds, id);

	while (d && d->id != id)
		d = d->next;
	return d;
}

struct draft *draft_get(struct drafts *ds, uint64_t id)
{
	struct draft *d;

	if (ds->n == 0)
		return NULL;
	lock_take(&ds->lock);
	d = draft_find_locked(ds, id);
	if (d)
		d->refs++;
	lock_drop(&ds->lock);
	return d;
}

static void free_draft(struct draft *d)
{
	if (d->fd >= 0)
		close(d->fd);
	free(d->name);
	lock_finish(&d->lock);
	free(d);
}

void draft_put(struct drafts *ds, struct draft *d)
{
	struct folder *pinned;
	bool last;

	if (!d)
		return;
	lock_take(&ds->lock);
	last = --d->refs == 0;
	lock_drop(&ds->lock);
	if (!last)
		return;
	pinned = d->pinned;
	free_draft(d);
	if (pinned)
		folder_put(ds->fs, pinned);
}

/* --- in and out --- */

int draft_enter(struct drafts *ds, const struct draft_new *v,
		struct draft **ret)
{
	struct draft *d = calloc(1, sizeof(*d)), *is;

	if (!d)
		return -ENOMEM;
	lock_init(&d->lock, RANK_DRAFT);
	d->id = v->id;
	d->file_id = v->file_id;
	d->kind = v->kind;
	d->fd = -1;
	d->size = v->size;
	d->mtime = v->mtime;
	d->pinned = v->pinned;
	d->name = v->name;
	d->is_copy = v->is_copy;
	d->refs = 2; /* the table's and the caller's */

	lock_take(&ds->lock);
	is = draft_find_locked(ds, v->id);
	if (is) {
		is->refs++;
	} else {
		d->next = *slot_of(ds, d->id);
		*slot_of(ds, d->id) = d;
		d->is_in_table = true;
		ds->n++;
		if (d->kind != DRAFT_SCRATCH)
			draft_use_watch_locked(ds, d, v->f);
		draft_touch_locked(ds, d);
	}
	lock_drop(&ds->lock);
	if (is) {
		d->name = NULL;
		free_draft(d);
	}
	*ret = is ? is : d;
	return 0;
}

void draft_leave(struct drafts *ds, struct draft *d)
{
	struct draft **at;
	bool was;

	lock_take(&ds->lock);
	was = d->is_in_table;
	if (was) {
		for (at = slot_of(ds, d->id); *at != d;)
			at = &(*at)->next;
		*at = d->next;
		d->is_in_table = false;
		d->is_hurried = false;
		ds->n--;
		if (d->kind == DRAFT_GHOST)
			ds->n_ghosts--;
		draft_use_watch_locked(ds, d, NULL);
		ds->gen++;
	}
	lock_drop(&ds->lock);
	if (was)
		draft_put(ds, d);
}

void draft_become_ghost(struct drafts *ds, struct draft *d, int fd,
			bool may_write)
{
	lock_take(&ds->lock);
	if (ds->n_ghosts >= DRAFT_GHOSTS_MAX && fd >= 0) {
		close(fd);
		fd = -1;
	}
	if (d->kind != DRAFT_GHOST)
		ds->n_ghosts++;
	d->kind = DRAFT_GHOST;
	/* Somebody was about to remove it (draft_removing()). */
	if (d->fd >= 0)
		close(d->fd);
	d->fd = fd;
	d->may_write = may_write;
	d->is_hurried = false;
	draft_use_watch_locked(ds, d, NULL);
	ds->gen++;
	lock_drop(&ds->lock);
	/* The kernel may have forgotten it before it was one. */
	draft_forgotten(ds->fs, d->id);
}

void draft_forgotten(struct fs *fs, uint64_t id)
{
	struct draft *d = draft_get(fs->drafts, id);
	struct cache_msg m;
	struct folder *f;
	bool is_ghost;

	if (!d)
		return;
	lock_take(&fs->drafts->lock);
	is_ghost = d->kind == DRAFT_GHOST;
	lock_drop(&fs->drafts->lock);
	if (is_ghost && attr_find_message(fs, id, &m, &f) == -ENOENT)
		draft_leave(fs->drafts, d);
	draft_put(fs->drafts, d);
}

/* --- looking --- */

uint64_t draft_became(struct fs *fs, uint64_t id)
{
	struct drafts *ds = fs->drafts;
	uint64_t became = id;
	struct draft *d;

	if (ds->n == 0)
		return id;
	lock_take(&ds->lock);
	d = draft_find_locked(ds, id);
	if (d && d->became != 0)
		became = d->became;
	lock_drop(&ds->lock);
	return became;
}

uint64_t draft_settled(struct fs *fs, uint64_t id)
{
	struct draft *d = draft_get(fs->drafts, id);

	if (!d)
		return id;
	lock_take(&d->lock);
	id = draft_became(fs, id);
	lock_drop(&d->lock);
	draft_put(fs->drafts, d);
	return id;
}

void draft_fill_stat(struct fs *fs, uint64_t id, struct stat *st)
{
	struct drafts *ds = fs->drafts;
	struct draft *d;

	if (!ds || ds->n == 0)
		return;
	lock_take(&ds->lock);
	d = draft_find_locked(ds, id);
	if (d) {
		st->st_size = (off_t)d->size;
		st->st_blocks = (blkcnt_t)((d->size + 511) / 512);
		st->st_mtim.tv_sec = d->mtime;
		st->st_atim = st->st_mtim;
	}
	lock_drop(&ds->lock);
}

bool draft_is_written(struct fs *fs, uint64_t id)
{
	struct draft *d = draft_get(fs->drafts, id);

	draft_put(fs->drafts, d);
	return d != NULL;
}

uint64_t draft_gen(struct fs *fs)
{
	return fs->drafts->gen;
}

int drafts_new(struct fs *fs, struct drafts **ret)
{
	struct drafts *ds = calloc(1, sizeof(*ds));

	if (!ds)
		return -ENOMEM;

	ds->fs = fs;
	lock_init(&ds->lock, RANK_DRAFTS);
	lock_cond_init(&ds->cond);
	ds->look_ms = CLOCK_NEVER;
	*ret = ds;
	return 0;
}

void drafts_free(struct drafts *ds)
{
	struct watch *w;

	if (!ds)
		return;
	for (size_t i = 0; i < DRAFT_SLOTS; i++)
		while (ds->slots[i])
			draft_leave(ds, ds->slots[i]);
	while ((w = ds->watches) != NULL) {
		ds->watches = w->next;
		free(w);
	}
	lock_cond_finish(&ds->cond);
	lock_finish(&ds->lock);
	free(ds);
}
