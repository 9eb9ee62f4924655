/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/draft_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/attr.h"
#include "fs/change.h"
#include "fs/folder.h"
#include "fs/notify.h"

/*
 * Drafts that are renamed, removed or copied: what their table has to know of
 * it. The row and the record are changed by whoever calls (change.c), but for
 * copies.
 */

/* --- renaming --- */

/* The phase of its record, if its bytes are in the spool; else 0. */
static enum journal_phase phase_of(struct fs *fs, uint64_t id)
{
	struct journal_list *l;
	enum journal_phase phase;

	if (journal_get(fs->cache, id, &l) != 0)
		return 0;
	phase = l->v[0].origin.folder == 0 ? l->v[0].phase : 0;
	if (phase != 0 && l->v[0].doubt)
		phase = JOURNAL_SENT; /* the server may have it */
	free(l);
	return phase;
}

static bool is_unsent(struct fs *fs, uint64_t id)
{
	return phase_of(fs, id) != 0;
}

int draft_may_be_sent(struct fs *fs, uint64_t id)
{
	struct draft *d;
	int fd, r;

	if (phase_of(fs, id) != JOURNAL_SCRATCH)
		return 0;
	r = draft_reopen(fs, id, &d);
	if (r != 0)
		return r;
	lock_take(&d->lock);
	r = draft_open_file(fs, d, false, &fd);
	if (r == 0) {
		r = draft_check_locked(fs, d, fd);
		close(fd);
	}
	lock_drop(&d->lock);
	draft_put(fs->drafts, d);
	return r == -ENODATA ? 0 : r;
}

bool draft_needs_watch(struct fs *fs, struct folder *f, const char *name)
{
	enum journal_phase phase;
	struct cache_msg m;
	struct box *box;
	int r;

	if (folder_get(fs, f, &box) != 0)
		return false;
	r = box_find_name(box, name, &m);
	folder_put(fs, f);
	if (r != 0 || m.uid != 0)
		return false;
	phase = phase_of(fs, m.id);
	return phase == JOURNAL_SCRATCH || phase == JOURNAL_WRITING;
}

/* The file that was made under this name is sent from now on. */
static void become_message(struct drafts *ds, struct draft *d,
			   struct folder *to)
{
	lock_take(&ds->lock);
	if (d->kind == DRAFT_SCRATCH)
		d->kind = DRAFT_MESSAGE;
	if (d->kind != DRAFT_GHOST)
		draft_use_watch_locked(ds, d, to);
	draft_touch_locked(ds, d);
	lock_drop(&ds->lock);
}

void draft_moved(struct fs *fs, uint64_t id, struct folder *to)
{
	bool is_message = phase_of(fs, id) == JOURNAL_WRITING;
	struct draft *d;

	if (!is_message && !draft_is_written(fs, id))
		return;
	if (draft_reopen(fs, id, &d) != 0)
		return;
	if (is_message)
		become_message(fs->drafts, d, to);
	draft_put(fs->drafts, d);
}

void draft_touched(struct fs *fs, uint64_t id)
{
	struct drafts *ds = fs->drafts;
	struct draft *d = draft_get(ds, id);

	if (!d)
		return;
	lock_take(&ds->lock);
	draft_touch_locked(ds, d);
	lock_drop(&ds->lock);
	draft_put(ds, d);
}

/* --- removing --- */

void draft_removing(struct fs *fs, uint64_t id)
{
	struct drafts *ds = fs->drafts;
	struct cache_msg m;
	struct folder *f;
	struct draft *d;
	int fd = -1;

	if (attr_find_message(fs, id, &m, &f) != 0 || m.held == 0)
		return;
	/* What the server has, or may have, has its body (folder_doom()). */
	if (!draft_is_written(fs, id) &&
	    (!is_unsent(fs, id) || phase_of(fs, id) == JOURNAL_SENT))
		return;
	if (draft_reopen(fs, id, &d) != 0)
		return;
	lock_take(&d->lock);
	if (draft_open_file(fs, d, true, &fd) == 0) {
		lock_take(&ds->lock);
		if (d->fd < 0 && ds->n_ghosts < DRAFT_GHOSTS_MAX) {
			d->fd = fd;
			fd = -1;
		}
		lock_drop(&ds->lock);
	}
	lock_drop(&d->lock);
	if (fd >= 0)
		close(fd);
	draft_put(ds, d);
}

/* The hidden file of a message that was written to goes with it. */
static void drop_hidden(struct fs *fs, struct draft *d)
{
	struct box *box;

	if (d->file_id == d->id || !d->pinned ||
	    folder_get(fs, d->pinned, &box) != 0)
		return;
	if (journal_remove(box, d->file_id) == 0)
		d->file_id = d->id;
	folder_put(fs, d->pinned);
}

/* Was it moved to the Trash, where the message is as the server has it? */
static bool lives_on(struct fs *fs, uint64_t id)
{
	struct cache_msg m;
	struct folder *f;

	return attr_find_message(fs, id, &m, &f) == 0 && !m.dead;
}

void draft_removed(struct fs *fs, uint64_t id, bool done)
{
	struct drafts *ds = fs->drafts;
	struct draft *d = draft_get(ds, id);
	bool lives;
	int fd;

	if (!d)
		return;
	lives = done && lives_on(fs, id);
	lock_take(&d->lock);
	lock_take(&ds->lock);
	fd = d->kind == DRAFT_GHOST ? -1 : d->fd;
	if (fd >= 0)
		d->fd = -1;
	lock_drop(&ds->lock);
	if (done)
		drop_hidden(fs, d);
	if (done && fd >= 0 && !lives) {
		draft_become_ghost(ds, d, fd, true);
		fd = -1;
	} else if (done) {
		draft_leave(ds, d);
	}
	lock_drop(&d->lock);
	if (fd >= 0)
		close(fd);
	if (lives)
		notify_content(fs->notify, id);
	draft_put(ds, d);
}

/* --- taken back --- */

/* Whoever has it open has the file in the spool again. */
static void leave_if_ghost(struct drafts *ds, struct draft *d)
{
	bool is_ghost;

	lock_take(&ds->lock);
	is_ghost = d->kind == DRAFT_GHOST;
	lock_drop(&ds->lock);
	if (is_ghost)
		draft_leave(ds, d);
}

/* A message that had been a scratch file is one again. */
static void become_scratch(struct drafts *ds, struct draft *d)
{
	lock_take(&ds->lock);
	if (d->kind == DRAFT_MESSAGE) {
		d->kind = DRAFT_SCRATCH;
		draft_use_watch_locked(ds, d, NULL);
	}
	draft_touch_locked(ds, d);
	lock_drop(&ds->lock);
}

void draft_returned(struct fs *fs, uint64_t id, struct folder *f)
{
	struct drafts *ds = fs->drafts;
	struct draft *d = draft_get(ds, id);

	if (d && phase_of(fs, id) == JOURNAL_SCRATCH)
		become_scratch(ds, d);
	if (d)
		leave_if_ghost(ds, d);
	draft_put(ds, d);
	draft_moved(fs, id, f);
}

/* --- copying --- */

/* Is it a new message of which nothing was written? */
static bool is_blank(struct drafts *ds, struct draft *d)
{
	bool yes;

	lock_take(&ds->lock);
	yes = d->kind == DRAFT_MESSAGE && d->size == 0 && d->is_in_table;
	lock_drop(&ds->lock);
	return yes;
}

static int copy_locked(struct fs *fs, uint64_t from, struct draft *d)
	REQUIRES(d->lock)
{
	struct journal_copy how = {.into = d->id};
	struct folder *f, *to;
	struct box *box, *to_box;
	struct cache_msg m;
	uint64_t id;
	int r;

	if (!is_blank(fs->drafts, d))
		return -EOPNOTSUPP;
	r = attr_find_message(fs, d->id, &m, &to);
	if (r == 0)
		r = attr_find_message(fs, from, &m, &f);
	if (r == 0)
		r = folder_get(fs, to, &to_box);
	if (r != 0)
		return -EOPNOTSUPP;
	r = folder_get(fs, f, &box);
	if (r == 0) {
		how.to = to_box;
		r = journal_copy(box, from, &how, &id);
		folder_put(fs, f);
	}
	folder_put(fs, to);
	if (r == 0)
		draft_leave(fs->drafts, d);
	return r == -EBUSY || r == -ENOENT ? -EOPNOTSUPP : r;
}

static void note_copy(struct drafts *ds, uint64_t id)
{
	lock_take(&ds->lock);
	ds->copies[ds->next_copy].id = id;
	ds->copies[ds->next_copy].until_ms = clock_now_ms() + DRAFT_COPY_MS;
	ds->next_copy = (ds->next_copy + 1) % DRAFT_COPIES_MAX;
	lock_drop(&ds->lock);
}

bool draft_is_fresh_copy(struct fs *fs, uint64_t id)
{
	struct drafts *ds = fs->drafts;
	int64_t now = clock_now_ms();
	bool fresh = false;

	lock_take(&ds->lock);
	for (size_t i = 0; !fresh && i < DRAFT_COPIES_MAX; i++)
		fresh = ds->copies[i].id == id && now < ds->copies[i].until_ms;
	lock_drop(&ds->lock);
	return fresh;
}

/* More may be written to it, which must not be at the original's cost. */
static bool is_apart(struct fs *fs, uint64_t from, uint64_t into)
{
	struct folder *f, *to;
	struct cache_msg m;

	return attr_find_message(fs, into, &m, &to) == 0 &&
	       attr_find_message(fs, from, &m, &f) == 0 &&
	       change_is_copy_apart(fs, f, from, to);
}

int draft_copy(struct fs *fs, uint64_t from, uint64_t into)
{
	struct draft *d;
	int r;

	/* What is being written is copied by its bytes. */
	if (draft_is_written(fs, from) || is_unsent(fs, from))
		return -EOPNOTSUPP;
	if (!is_apart(fs, from, into))
		return -EOPNOTSUPP;
	d = draft_get(fs->drafts, into);
	if (!d)
		return -EOPNOTSUPP;
	lock_take(&d->lock);
	r = copy_locked(fs, from, d);
	lock_drop(&d->lock);
	if (r == 0)
		note_copy(fs->drafts, into);
	draft_put(fs->drafts, d);
	return r;
}
