/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/folder.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "fs/keep.h"
#include "fs/park.h"
#include "fs/rules.h"
#include "imap/log.h"

/*
 * The states of a folder and who waits for it. Called by FUSE workers, the
 * connections' threads (jobs), the thread of keep.c and that of the replays;
 * all that is shared is under the folder's lock, which is dropped before
 * anybody is woken.
 *
 * The box is opened by whoever needs it first and closed when the kernel has
 * forgotten the directory and everything in it, and nobody uses it.
 */

static bool has_messages(const struct folder *f)
{
	return !(f->attrs & FOLDER_NOSELECT);
}

static int open_box_locked(struct fs *fs, struct folder *f) REQUIRES(f->lock)
{
	if (f->box)
		return 0;
	if (!has_messages(f) || f->gone)
		return -ENODATA;
	return box_open(fs->cache, f->id, &f->box);
}

/* The memory of a folder that nobody looks at is given back. */
static void close_box_locked(struct folder *f) REQUIRES(f->lock)
{
	if (!f->box || f->box_users > 0 || f->busy != FOLDER_IDLE ||
	    f->replays > 0 || box_held(f->box) > 0)
		return;
	if (f->held > 0 && !f->gone)
		return;

	box_state(f->box, &f->stored);
	box_close(f->box);
	f->box = NULL;
}

int folder_get(struct fs *fs, struct folder *f, struct box **ret)
{
	int r;

	lock_take(&f->lock);
	r = open_box_locked(fs, f);
	if (r == 0) {
		f->box_users++;
		*ret = f->box;
	}
	lock_drop(&f->lock);
	return r;
}

void folder_put(struct fs *fs, struct folder *f)
{
	(void)fs;
	lock_take(&f->lock);
	assert(f->box_users > 0);
	f->box_users--;
	close_box_locked(f);
	lock_drop(&f->lock);
}

static bool failed_just_now_locked(struct folder *f) REQUIRES(f->lock)
{
	return f->error != 0 &&
	       clock_now_ms() - f->failed_ms < FS_FAIL_AGAIN_MS;
}

static void state_locked(struct folder *f, struct cache_state *ret)
	REQUIRES(f->lock)
{
	if (f->box)
		box_state(f->box, ret);
	else
		*ret = f->stored;
}

void folder_state(struct folder *f, struct cache_state *ret)
{
	lock_take(&f->lock);
	state_locked(f, ret);
	lock_drop(&f->lock);
}

/* The next thing that is to be asked of an idle folder. */
static int start_job_locked(struct fs *fs, struct folder *f,
			    enum imap_priority prio) REQUIRES(f->lock)
{
	struct cache_state s;

	box_state(f->box, &s);
	if (box_unmoored(f->box) > 0)
		return moor_start_locked(fs, f, prio);
	return s.complete ? sync_start_locked(fs, f, prio)
			  : listing_start_locked(fs, f, prio);
}

/* The listing of a box that is not complete: run it, or say why not. */
static int need_listing_locked(struct fs *fs, struct folder *f)
	REQUIRES(f->lock)
{
	int r;

	if (f->busy != FOLDER_IDLE)
		return -EAGAIN;
	if (failed_just_now_locked(f))
		return f->error;

	r = start_job_locked(fs, f, IMAP_PRIO_LISTING);
	return r == 0 ? -EAGAIN : r;
}

static bool must_ask_locked(struct fs *fs, struct folder *f) REQUIRES(f->lock)
{
	int64_t since_ms = 0;
	bool watched = keep_watched(fs, f, &since_ms) != IMAP_WATCHED_NOT;
	const struct rules_enter e = {
		.now_ms = clock_now_ms(),
		.known_ms = f->known_ms,
		.moved_ms = f->doubted ? 0 : f->moved_ms,
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
	if (f->busy != FOLDER_IDLE) {
		if (f->job)
			imap_hurry(fs->imap, f->job, IMAP_PRIO_LISTING);
	} else if (f->replays == 0) {
		if (!must_ask_locked(fs, f) || failed_just_now_locked(f) ||
		    start_job_locked(fs, f, IMAP_PRIO_LISTING) != 0)
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
	r = open_box_locked(fs, f);
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
	} else if (r == -ENODATA) {
		r = 0;
	}
	lock_drop(&f->lock);
	return r;
}

int folder_more(struct fs *fs, struct folder *f)
{
	int r;

	lock_take(&f->lock);
	r = open_box_locked(fs, f);
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
	r = open_box_locked(fs, f);
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
	r = open_box_locked(fs, f);
	if (r == 0) {
		box_state(f->box, &s);
		if (!s.complete || box_unmoored(f->box) > 0)
			r = -EAGAIN;
	}
	if (r == -EAGAIN && f->busy == FOLDER_IDLE) {
		r = failed_just_now_locked(f)
			    ? f->error
			    : start_job_locked(fs, f, IMAP_PRIO_SYNC);
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
	r = open_box_locked(fs, f);
	if (r == 0 && f->busy == FOLDER_IDLE)
		r = start_job_locked(fs, f, IMAP_PRIO_LISTING);
	lock_drop(&f->lock);
	if (r != 0 && r != -ENODATA)
		log_debug("folder: cannot ask for '%s': %d", f->path, r);
}

/* --- what is said of it, and catching up --- */

static bool is_used_locked(const struct folder *f) REQUIRES(f->lock)
{
	return (f->held > 0 || f->kept) && has_messages(f) && !f->gone;
}

bool folder_is_used(struct folder *f)
{
	bool used;

	lock_take(&f->lock);
	used = is_used_locked(f);
	lock_drop(&f->lock);
	return used;
}

bool folder_is_entered(struct folder *f)
{
	bool entered;

	lock_take(&f->lock);
	entered = is_used_locked(f) && (f->box || f->kept);
	lock_drop(&f->lock);
	return entered;
}

static int64_t due_locked(const struct folder *f) REQUIRES(f->lock)
{
	if (!is_used_locked(f))
		return CLOCK_NEVER;
	if (f->doubted)
		return f->known_ms + KEEP_ENTER_MS;
	return f->moved_ms != 0 && f->moved_ms >= f->known_ms ? 0 : CLOCK_NEVER;
}

int64_t folder_due_ms(struct folder *f)
{
	int64_t due;

	lock_take(&f->lock);
	due = due_locked(f);
	lock_drop(&f->lock);
	return due;
}

void folder_note_moved(struct folder *f, int64_t at_ms)
{
	lock_take(&f->lock);
	if (at_ms > f->moved_ms)
		f->moved_ms = at_ms;
	lock_drop(&f->lock);
}

void folder_hear_status(struct folder *f, const struct mail_folder *m,
			int64_t asked_ms)
{
	struct cache_state s;
	enum rules_moved moved;

	lock_take(&f->lock);
	state_locked(f, &s);
	if (!s.complete) {
		if (f->heard_uidnext == 0 && m->has_status)
			f->heard_uidnext = m->uidnext;
		lock_drop(&f->lock);
		return;
	}
	moved = rules_compare(&s, m);
	/* What was asked for later than that knows better. */
	if (moved == RULES_UNMOVED && asked_ms > f->known_ms)
		f->known_ms = asked_ms;
	if (moved == RULES_MOVED && asked_ms > f->moved_ms)
		f->moved_ms = asked_ms;
	/* Who has entered it would not learn of it in any other way. */
	if (moved == RULES_UNKNOWN && f->box && asked_ms > f->moved_ms)
		f->moved_ms = asked_ms;
	lock_drop(&f->lock);
}

int folder_catch_up(struct fs *fs, struct folder *f)
{
	struct cache_state s;
	int r = 0;

	lock_take(&f->lock);
	state_locked(f, &s);
	/*
	 * Of a folder that was never listed nobody waits for news, but for that
	 * which is watched above all: somebody may wait there for an event.
	 */
	if (due_locked(f) > clock_now_ms() ||
	    (!s.complete && s.low_uid == 0 && !keep_is_inbox(fs, f))) {
		lock_drop(&f->lock);
		return 0;
	}
	if (f->busy != FOLDER_IDLE || f->replays > 0)
		r = -EAGAIN;
	if (r == 0)
		r = open_box_locked(fs, f);
	if (r == 0)
		r = start_job_locked(fs, f, IMAP_PRIO_SYNC);
	lock_drop(&f->lock);
	return r == 0 ? 1 : r;
}

uint64_t folder_gen(struct folder *f)
{
	uint64_t gen;

	lock_take(&f->lock);
	gen = f->gen;
	lock_drop(&f->lock);
	return gen;
}

int64_t folder_mtime_ns(struct folder *f)
{
	struct cache_state s;

	folder_state(f, &s);
	return s.changed_at_ns;
}

void folder_moved(struct fs *fs, struct folder *f)
{
	lock_take(&f->lock);
	f->gen++;
	f->progress_ms = clock_now_ms();
	lock_drop(&f->lock);
	park_wake(fs->park, tree_ino(fs->tree, f));
}

static int restart_locked(struct fs *fs, struct folder *f) REQUIRES(f->lock)
{
	int r = open_box_locked(fs, f);

	return r == 0 ? start_job_locked(fs, f, IMAP_PRIO_LISTING) : r;
}

void folder_job_done(struct fs *fs, struct folder *f, int result)
{
	bool ended;

	lock_take(&f->lock);
	f->busy = FOLDER_IDLE;
	f->job = 0;
	if (result == -ESTALE)
		result = restart_locked(fs, f);
	else if (result == 0)
		f->known_ms = f->asked_ms;
	f->error = result;
	f->failed_ms = clock_now_ms();
	f->gen++;
	ended = f->busy == FOLDER_IDLE;
	close_box_locked(f);
	lock_drop(&f->lock);
	park_wake(fs->park, tree_ino(fs->tree, f));
	if (ended)
		keep_job_ended(fs, f, result);
}

void folder_renamed(struct fs *fs, struct folder *f)
{
	struct cache_state none = {0}, s;
	struct box *box;
	imap_job job;
	size_t n;
	int r;

	lock_take(&f->lock);
	job = f->job;
	f->known_ms = 0;
	lock_drop(&f->lock);
	if (job)
		imap_cancel(fs->imap, job);

	r = folder_get(fs, f, &box);
	if (r != 0)
		return; /* it has no messages */
	box_state(box, &s);
	none.changed_at_ns = s.changed_at_ns;
	r = box_unmoor(box, &none, &n);
	if (r != 0)
		log_warn("folder: '%s' keeps its old numbers: %s", f->path,
			 strerrordesc_np(-r));
	folder_put(fs, f);
}

void folder_close(struct folder *f)
{
	lock_take(&f->lock);
	close_box_locked(f);
	lock_drop(&f->lock);
}

void folder_drop(struct fs *fs, struct folder *f)
{
	imap_job job;

	lock_take(&f->lock);
	job = f->job;
	close_box_locked(f);
	lock_drop(&f->lock);
	if (job)
		imap_cancel(fs->imap, job);
	/*
	 * On disk at once, though a box may stay open for what the kernel
	 * still holds: a mailbox of this name may be made again.
	 */
	if (cache_drop_folder(fs->cache, f->id) != 0)
		log_warn("folder: cannot forget '%s'", f->path);
}

void folder_hold(struct folder *f)
{
	lock_take(&f->lock);
	f->held++;
	lock_drop(&f->lock);
}

void folder_release(struct fs *fs, struct folder *f, uint64_t n)
{
	(void)fs;
	lock_take(&f->lock);
	f->held -= n < f->held ? n : f->held;
	close_box_locked(f);
	lock_drop(&f->lock);
}

bool folder_is_held(struct folder *f)
{
	bool held;

	lock_take(&f->lock);
	held = f->held > 0;
	lock_drop(&f->lock);
	return held;
}

void folder_forget_message(struct fs *fs, struct folder *f, uint64_t id,
			   uint64_t n)
{
	struct cache_msg m;
	struct box *box;
	bool gone;

	if (folder_get(fs, f, &box) != 0)
		return;

	box_release(box, id, n);
	gone = box_find_id(box, id, &m) != 0;
	folder_put(fs, f);
	if (gone)
		folder_drop_ghost(f, id);
}
