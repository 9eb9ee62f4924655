/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/folder.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "fs/notify.h"
#include "fs/park.h"
#include "fs/replay.h"
#include "imap/log.h"

/*
 * The states of a folder and who waits for it. Called by FUSE workers, the
 * connections' threads (jobs) and the replay thread; all that is shared is
 * under the folder's lock, which is dropped before anybody is woken.
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
	struct cache_state s;

	if (!f->box || f->box_users > 0 || f->busy != FOLDER_IDLE ||
	    f->replays > 0 || box_held(f->box) > 0)
		return;
	if (f->held > 0 && !f->gone)
		return;

	box_state(f->box, &s);
	f->mtime_ns = s.changed_at_ns;
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

/* The listing of a box that is not complete: run it, or say why not. */
static int need_listing_locked(struct fs *fs, struct folder *f)
	REQUIRES(f->lock)
{
	int r;

	if (f->busy != FOLDER_IDLE)
		return -EAGAIN;
	if (failed_just_now_locked(f))
		return f->error;

	r = listing_start_locked(fs, f);
	return r == 0 ? -EAGAIN : r;
}

/* A complete box: ask what changed, unless that was done a short time ago. */
static int need_sync_locked(struct fs *fs, struct folder *f, int64_t waited_ms)
	REQUIRES(f->lock)
{
	bool first = f->synced_ms == 0;
	int64_t limit = first ? FS_FIRST_SYNC_WAIT_MS : FS_SYNC_WAIT_MS;

	if (f->busy == FOLDER_IDLE && f->replays == 0) {
		if (!first &&
		    clock_now_ms() - f->synced_ms < FS_ENTER_INTERVAL_MS)
			return 0;
		if (failed_just_now_locked(f))
			return 0;
		if (sync_start_locked(fs, f) != 0)
			return 0;
	}
	/* The server is asked; what is cached may be shown if that is slow. */
	return waited_ms >= limit ? 0 : -EAGAIN;
}

int64_t folder_enter_limit_ms(struct folder *f)
{
	struct cache_state s = {0};
	int64_t limit = 0;

	lock_take(&f->lock);
	if (f->box)
		box_state(f->box, &s);
	if (s.complete)
		limit = f->synced_ms == 0 ? FS_FIRST_SYNC_WAIT_MS
					  : FS_SYNC_WAIT_MS;
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
		if (s.complete) {
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
	struct cache_state s;
	int r;

	lock_take(&f->lock);
	r = open_box_locked(fs, f);
	if (r == 0) {
		box_state(f->box, &s);
		if (!s.complete)
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

void folder_resync(struct fs *fs, struct folder *f)
{
	struct cache_state s;
	int r;

	lock_take(&f->lock);
	f->error = 0;
	r = open_box_locked(fs, f);
	if (r == 0 && f->busy == FOLDER_IDLE) {
		box_state(f->box, &s);
		r = s.complete ? sync_start_locked(fs, f)
			       : listing_start_locked(fs, f);
	}
	lock_drop(&f->lock);
	if (r != 0 && r != -ENODATA)
		log_debug("folder: cannot ask for '%s': %d", f->path, r);
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
	int64_t ns;

	lock_take(&f->lock);
	ns = f->mtime_ns;
	if (f->box) {
		box_state(f->box, &s);
		ns = s.changed_at_ns;
	}
	lock_drop(&f->lock);
	return ns;
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

	return r == 0 ? listing_start_locked(fs, f) : r;
}

void folder_job_done(struct fs *fs, struct folder *f, int result)
{
	int64_t now = clock_now_ms();

	lock_take(&f->lock);
	f->busy = FOLDER_IDLE;
	f->job = 0;
	/* The mailbox was made anew: its new content is what is asked for. */
	if (result == -ESTALE)
		result = restart_locked(fs, f);
	else if (result == 0)
		f->synced_ms = now;
	f->error = result;
	f->failed_ms = now;
	f->gen++;
	close_box_locked(f);
	lock_drop(&f->lock);
	park_wake(fs->park, tree_ino(fs->tree, f));
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

/* The body of a message that is gone, while the kernel holds its inode. */
struct ghost {
	struct ghost *next;
	uint64_t id;
	struct body *body;
};

int folder_remove(struct fs *fs, struct folder *f, struct box *box,
		  const struct cache_msg *m)
{
	struct ghost *g = NULL;

	/* Without memory for it a reader gets ENOENT: better than staying. */
	if (m->held > 0 && cache_has_body(fs->cache, m->id))
		g = calloc(1, sizeof(*g));
	if (g) {
		g->id = m->id;
		if (body_open(fs->cache, m->id, m->size, &g->body) != 0) {
			free(g);
			g = NULL;
		}
	}
	if (g) {
		lock_take(&f->lock);
		g->next = f->ghosts;
		f->ghosts = g;
		lock_drop(&f->lock);
	}
	return box_remove(box, &m->id, 1);
}

static void drop_ghost(struct folder *f, uint64_t id)
{
	struct ghost *gone = NULL;

	lock_take(&f->lock);
	for (struct ghost **at = &f->ghosts; *at; at = &(*at)->next) {
		if ((*at)->id != id)
			continue;
		gone = *at;
		*at = gone->next;
		break;
	}
	lock_drop(&f->lock);
	if (!gone)
		return;
	body_put(gone->body);
	free(gone);
}

void folder_drop_ghosts(struct folder *f)
{
	while (f->ghosts)
		drop_ghost(f, f->ghosts->id);
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
		drop_ghost(f, id);
}

/* The row as the replay would have left it; true: the kernel must be told. */
static bool settle(struct fs *fs, struct folder *f, struct box *box,
		   enum replay_op op, int error, struct cache_msg *m)
{
	switch (op) {
	case REPLAY_CREATE:
		/* Announced, but the call failed: the kernel may not know. */
		if (m->announced)
			return error != 0;
		box_announce(box, m->id);
		return true;
	case REPLAY_UNLINK:
		if (!m->doomed)
			return false;
		if (folder_remove(fs, f, box, m) != 0)
			log_warn("folder: cannot forget '%s'", m->name);
		return true;
	case REPLAY_ATTRIB:
		return true;
	}
	return false;
}

void folder_replayed(struct fs *fs, struct folder *f, enum replay_op op,
		     uint64_t id, int error)
{
	uint64_t dir = tree_ino(fs->tree, f);
	struct cache_msg m;
	struct box *box;
	bool last;

	if (folder_get(fs, f, &box) == 0) {
		/* The reply to utimensat told the kernel. */
		bool told = op == REPLAY_ATTRIB && error == 0;

		if (!told && box_find_id(box, id, &m) == 0 && !m.dead &&
		    settle(fs, f, box, op, error, &m)) {
			if (op == REPLAY_CREATE)
				notify_added(fs->notify, dir, m.name);
			else if (op == REPLAY_UNLINK)
				notify_removed(fs->notify, dir, id, m.name);
			else
				notify_attr(fs->notify, id);
		}
		folder_put(fs, f);
	}

	lock_take(&f->lock);
	assert(f->replays > 0);
	last = --f->replays == 0;
	if (last)
		f->gen++;
	close_box_locked(f);
	lock_drop(&f->lock);
	if (last)
		park_wake(fs->park, tree_ino(fs->tree, f));
}
