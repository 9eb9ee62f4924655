/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/draft_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/park.h"
#include "fs/replay.h"
#include "imap/log.h"

/*
 * Which folders are watched for files that are closed. A watch is set before
 * the first file of a folder can be written to, and stays for a while when its
 * last one is complete, for another file may come soon; but not for ever, since
 * it keeps the folder in the kernel's memory.
 */

static struct watch *find_watch_locked(struct drafts *ds, struct folder *f)
	REQUIRES(ds->lock)
{
	struct watch *w = ds->watches;

	while (w && w->f != f)
		w = w->next;
	return w;
}

void draft_use_watch_locked(struct drafts *ds, struct draft *d,
			    struct folder *f)
{
	struct watch *w = f ? find_watch_locked(ds, f) : NULL;

	if (d->watch && --d->watch->users == 0) {
		d->watch->idle_ms = clock_now_ms();
		draft_look_locked(ds, d->watch->idle_ms + DRAFT_WATCH_IDLE_MS);
	}
	d->watch = NULL;
	/* None is needed, or it is gone already: then time tells. */
	if (!w)
		return;
	w->users++;
	d->watch = w;
}

/* Without memory there is none, and time tells. */
static struct watch *make_watch_locked(struct drafts *ds, struct folder *f)
	REQUIRES(ds->lock)
{
	struct watch *w = find_watch_locked(ds, f);

	if (w)
		return w;
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->f = f;
	w->idle_ms = clock_now_ms();
	w->next = ds->watches;
	ds->watches = w;
	draft_look_locked(ds, w->idle_ms + DRAFT_WATCH_IDLE_MS);
	return w;
}

int draft_watch(struct fs *fs, struct folder *f, int64_t waited_ms)
{
	struct drafts *ds = fs->drafts;
	bool begin = false;
	struct watch *w;
	int r = 0;

	lock_take(&ds->lock);
	w = make_watch_locked(ds, f);
	if (w && w->state != WATCH_SET && waited_ms < DRAFT_WATCH_WAIT_MS)
		r = -EAGAIN;
	if (w && w->state == WATCH_NONE) {
		w->state = WATCH_COMING;
		begin = true;
	}
	lock_drop(&ds->lock);
	if (!begin || replay_watch(fs->replay, f, true))
		return r;

	draft_watched(fs, f, -ENOTCONN);
	return 0;
}

void draft_watched(struct fs *fs, struct folder *f, int error)
{
	struct drafts *ds = fs->drafts;
	struct watch *w;

	if (error != 0)
		log_debug("drafts: '%s' cannot be watched: %s", f->path,
			  strerrordesc_np(-error));
	lock_take(&ds->lock);
	w = find_watch_locked(ds, f);
	if (w)
		w->state = WATCH_SET;
	ds->gen++;
	lock_drop(&ds->lock);
	park_wake(fs->park, tree_ino(fs->tree, f));
}

struct watch *draft_idle_watches_locked(struct drafts *ds, int64_t now,
					int64_t *look)
{
	struct watch *idle = NULL, *w;

	for (struct watch **at = &ds->watches; (w = *at) != NULL;) {
		int64_t due = w->idle_ms + DRAFT_WATCH_IDLE_MS;

		if (w->users == 0 && w->state == WATCH_SET && due <= now) {
			*at = w->next;
			w->next = idle;
			idle = w;
			continue;
		}
		if (w->users == 0 && w->state == WATCH_SET && due < *look)
			*look = due;
		at = &w->next;
	}
	return idle;
}

void draft_end_watches(struct fs *fs, struct watch *w)
{
	struct watch *next;

	for (; w; w = next) {
		next = w->next;
		(void)replay_watch(fs->replay, w->f, false);
		free(w);
	}
}
