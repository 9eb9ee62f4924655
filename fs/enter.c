/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>

#include "fs/folder_private.h"
#include "fs/keep.h"
#include "fs/load.h"
#include "fs/rules.h"
#include "imap/log.h"

/*
 * Entering a folder, and others who need its messages: what has to be asked is
 * asked, and who asked is told whether to wait for it. Called by FUSE workers
 * and by the thread of keep.c; nobody waits here.
 */

/* Then the same error is the answer once more. */
static bool failed_just_now_locked(struct fs *fs, struct folder *f)
	REQUIRES(f->lock)
{
	return f->error != 0 && fs_failed_just_now(fs, f->failed_ms);
}

/* The listing of a box that is not complete: run it, or say why not. */
static int need_listing_locked(struct fs *fs, struct folder *f)
	REQUIRES(f->lock)
{
	int r;

	if (f->busy != FOLDER_IDLE || f->flushing > 0)
		return -EAGAIN;
	/* Named by LIST, denied by SELECT: it is shown, and nothing in it. */
	if (failed_just_now_locked(fs, f))
		return f->error == -ENOENT ? 0 : f->error;

	r = folder_start_job_locked(fs, f, IMAP_PRIO_LISTING);
	return r == 0 ? -EAGAIN : r;
}

static bool must_ask_locked(struct fs *fs, struct folder *f) REQUIRES(f->lock)
{
	int64_t since_ms = 0;
	bool watched = keep_watched(fs, f, &since_ms) != IMAP_WATCHED_NOT;
	const struct rules_enter e = {
		.now_ms = clock_now_ms(),
		.known_ms = f->known_ms,
		.moved_ms = f->moved_ms,
		.interval_ms = keep_interval_ms(fs),
		.watched = watched && since_ms != 0 &&
			   f->known_ms >= since_ms && !f->doubted,
	};

	return box_unmoored(f->box) > 0 || rules_must_ask(&e);
}

static int64_t wait_limit_locked(const struct folder *f) REQUIRES(f->lock)
{
	return f->known_ms == 0 ? FS_FIRST_SYNC_WAIT_MS : FS_SYNC_WAIT_MS;
}

/* All was listed once: ask what changed, if the rules say so. */
static int need_sync_locked(struct fs *fs, struct folder *f, int64_t waited_ms)
	REQUIRES(f->lock)
{
	/* Who waits needs the first sync only that was begun, or ran. */
	if (waited_ms > 0 && f->replays == 0 &&
	    f->ended_ms >= clock_now_ms() - waited_ms)
		return 0;
	if (f->busy != FOLDER_IDLE) {
		if (f->job)
			imap_hurry(fs->imap, f->job, IMAP_PRIO_LISTING);
	} else if (f->flushing > 0) {
		/* What the user has changed is here; the rest comes then. */
		if (f->known_ms != 0 || !must_ask_locked(fs, f))
			return 0;
	} else if (f->replays == 0) {
		if (!must_ask_locked(fs, f) || failed_just_now_locked(fs, f) ||
		    folder_start_job_locked(fs, f, IMAP_PRIO_LISTING) != 0)
			return 0;
	}
	/* The server is asked; what is cached may be shown if that is slow. */
	return waited_ms >= wait_limit_locked(f) ? 0 : -EAGAIN;
}

/* Is there something to show, whatever the server says? */
static bool has_listing_locked(struct folder *f) REQUIRES(f->lock)
{
	struct cache_state s;

	box_state(f->box, &s);
	return s.complete || box_unmoored(f->box) > 0;
}

int64_t folder_enter_limit_ms(struct folder *f)
{
	int64_t limit = 0;

	lock_take(&f->lock);
	if (f->box && has_listing_locked(f))
		limit = wait_limit_locked(f);
	lock_drop(&f->lock);
	return limit;
}

int folder_enter(struct fs *fs, struct folder *f, int64_t waited_ms)
{
	struct cache_state s;
	int r;

	lock_take(&f->lock);
	r = folder_open_box_locked(fs, f);
	if (r == 0) {
		box_state(f->box, &s);
		if (has_listing_locked(f)) {
			r = need_sync_locked(fs, f, waited_ms);
		} else {
			r = need_listing_locked(fs, f);
			/* A part is better than nothing: show it. */
			if (r != 0 && s.low_uid != 0)
				r = 0;
		}
	}
	lock_drop(&f->lock);
	if (r != -ENODATA)
		return r;
	/* No messages: what is in it are other folders. */
	keep_entered_folders(fs);
	return 0;
}

int folder_more(struct fs *fs, struct folder *f)
{
	int r;

	lock_take(&f->lock);
	r = folder_open_box_locked(fs, f);
	if (r == 0) {
		if (!has_listing_locked(f))
			r = need_listing_locked(fs, f);
	} else if (r == -ENODATA) {
		r = 0;
	}
	lock_drop(&f->lock);
	return r;
}

int64_t folder_deadline(struct folder *f)
{
	int64_t since;

	lock_take(&f->lock);
	since = f->busy == FOLDER_LISTING ? f->progress_ms : clock_now_ms();
	lock_drop(&f->lock);
	return since + FS_LISTING_WAIT_MS;
}

int folder_need_uids(struct fs *fs, struct folder *f)
{
	int r;

	lock_take(&f->lock);
	r = folder_open_box_locked(fs, f);
	if (r == 0)
		r = need_listing_locked(fs, f);
	lock_drop(&f->lock);
	return r;
}

int folder_need_list(struct fs *fs, struct folder *f)
{
	struct cache_state s;
	int r;

	lock_take(&f->lock);
	r = folder_open_box_locked(fs, f);
	if (r == 0) {
		box_state(f->box, &s);
		if (!s.complete || box_unmoored(f->box) > 0)
			r = -EAGAIN;
	}
	if (r == -EAGAIN && f->busy == FOLDER_IDLE && f->flushing == 0) {
		r = failed_just_now_locked(fs, f)
			    ? f->error
			    : folder_start_job_locked(fs, f, IMAP_PRIO_SYNC);
		if (r == 0)
			r = -EAGAIN;
	}
	lock_drop(&f->lock);
	return r;
}

void folder_resync(struct fs *fs, struct folder *f)
{
	int r;

	lock_take(&f->lock);
	f->error = 0;
	f->moved_ms = clock_now_ms();
	f->doubted_ms = -RULES_DOUBT_MS; /* the next word is believed */
	r = folder_open_box_locked(fs, f);
	if (r == 0 && f->busy == FOLDER_IDLE && f->flushing == 0)
		r = folder_start_job_locked(fs, f, IMAP_PRIO_LISTING);
	lock_drop(&f->lock);
	if (r != 0 && r != -ENODATA)
		log_debug("folder: cannot ask for '%s': %d", f->path, r);
	if (r != 0)
		load_stale_failed(fs, f, r == -ENODATA ? -ENOENT : r);
}
