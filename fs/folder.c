/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/folder_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/arrive.h"
#include "fs/effects.h"
#include "fs/flush.h"
#include "fs/keep.h"
#include "fs/load.h"
#include "fs/park.h"
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

bool folder_has_messages(const struct folder *f)
{
	return !(f->attrs & FOLDER_NOSELECT);
}

int folder_open_box_locked(struct fs *fs, struct folder *f)
{
	if (f->box)
		return 0;
	if (!folder_has_messages(f) || f->gone)
		return -ENODATA;
	return box_open(fs->cache, f->id, &f->box);
}

/* The memory of a folder that nobody looks at is given back. */
static void close_box_locked(struct folder *f) REQUIRES(f->lock)
{
	if (!f->box || f->box_users > 0 || f->busy != FOLDER_IDLE ||
	    f->replays > 0 || f->flushing > 0 || box_held(f->box) > 0)
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
	r = folder_open_box_locked(fs, f);
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

void folder_state_locked(struct folder *f, struct cache_state *ret)
{
	if (f->box)
		box_state(f->box, ret);
	else
		*ret = f->stored;
}

void folder_state(struct folder *f, struct cache_state *ret)
{
	lock_take(&f->lock);
	folder_state_locked(f, ret);
	lock_drop(&f->lock);
}

/* The next thing that is to be asked of an idle folder. */
int folder_start_job_locked(struct fs *fs, struct folder *f,
			    enum imap_priority prio)
{
	struct cache_state s;

	box_state(f->box, &s);
	if (box_unmoored(f->box) > 0)
		return moor_start_locked(fs, f, prio);
	return s.complete ? sync_start_locked(fs, f, prio)
			  : listing_start_locked(fs, f, prio);
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
	int r;

	r = folder_open_box_locked(fs, f);
	if (r != 0)
		return r;
	/*
	 * Names of messages that are to go are free for others once their
	 * replays are in: then keep.c goes on.
	 */
	if (f->replays > 0 && box_unmoored(f->box) == 0) {
		f->moved_ms = clock_now_ms();
		return 0;
	}
	return folder_start_job_locked(fs, f, IMAP_PRIO_LISTING);
}

/* SELECT says that there is no such mailbox; true: empty it. */
static bool is_denied_again(struct folder *f)
{
	bool again;

	lock_take(&f->lock);
	again = f->denied == FOLDER_NAMED;
	if (again)
		f->denied = FOLDER_EMPTY;
	else if (f->denied == FOLDER_NOT_DENIED)
		f->denied = FOLDER_DENIED;
	lock_drop(&f->lock);
	return again;
}

enum folder_denied folder_denied(struct folder *f)
{
	enum folder_denied denied;

	lock_take(&f->lock);
	denied = f->denied;
	lock_drop(&f->lock);
	return denied;
}

void folder_job_done(struct fs *fs, struct folder *f, int result)
{
	bool ended;

	if (result == -ENOENT && is_denied_again(f))
		folder_emptied(fs, f);
	lock_take(&f->lock);
	f->busy = FOLDER_IDLE;
	f->job = 0;
	if (result != 0 && f->ask_again)
		result = -ESTALE;
	f->ask_again = false;
	if (result == -ESTALE)
		result = restart_locked(fs, f);
	else if (result == 0)
		folder_caught_up_locked(f);
	/* It was ended for the folder's sake: then it may be asked anew. */
	f->error = result == -ECANCELED && !fs->stopping ? 0 : result;
	f->failed_ms = clock_now_ms();
	f->gen++;
	ended = f->busy == FOLDER_IDLE;
	close_box_locked(f);
	lock_drop(&f->lock);
	park_wake(fs->park, tree_ino(fs->tree, f));
	if (!ended)
		return;
	if (result != 0 && result != -ECANCELED)
		load_stale_failed(fs, f, result);
	flush_folder_idle(fs);
	keep_job_ended(fs, f, result);
}

void folder_log_end(const struct folder *f, const char *what, int result,
		    const struct imap_error *why)
{
	bool is_shown_as_eio = result == -EIO || result == -EPROTO;

	if (result == -ECANCELED)
		return;
	log_write(is_shown_as_eio ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
		  "%s of '%s' ended: %s", what, f->path,
		  why && why->text[0] ? why->text : strerrordesc_np(-result));
}

bool folder_is_lost(const struct folder *f)
{
	return f->gone || !folder_has_messages(f);
}

/* Every message that is not gone yet; free(). */
static int all_ids(struct box *box, uint64_t **ret, size_t *ret_n)
{
	uint32_t *uids = NULL;
	uint64_t *unmoored = NULL, *ids = NULL;
	size_t n = 0, n_unmoored = 0, found = 0;
	struct cache_msg m;
	int r;

	r = box_uids(box, &uids, &n);
	if (r == 0)
		r = box_unmoored_ids(box, &unmoored, &n_unmoored);
	if (r == 0)
		ids = malloc((n + n_unmoored + 1) * sizeof(*ids));
	for (size_t i = 0; ids && i < n; i++)
		if (box_find_uid(box, uids[i], &m) == 0 && !m.doomed)
			ids[found++] = m.id;
	for (size_t i = 0; ids && i < n_unmoored; i++)
		ids[found++] = unmoored[i];
	free(uids);
	free(unmoored);
	if (!ids)
		return r != 0 ? r : -ENOMEM;
	*ret = ids;
	*ret_n = found;
	return 0;
}

/* Its box, though it has no messages any more; folder_put() it. */
static struct box *get_lost(struct fs *fs, struct folder *f, imap_job *ret_job)
{
	struct box *box;

	lock_take(&f->lock);
	*ret_job = f->job;
	f->known_ms = 0;
	if (!f->box && !f->gone && box_open(fs->cache, f->id, &f->box) != 0)
		f->box = NULL;
	box = f->box;
	if (box)
		f->box_users++;
	lock_drop(&f->lock);
	return box;
}

/* What was to go there comes back; the rest of what is unsent is listed. */
static void forget_changes(struct fs *fs, const struct folder *f)
{
	const struct journal_failure why = {
		.what = "to change a message",
		.why = "the folder is gone on the server",
		.file = f->path};
	struct journal_effects *effects = NULL;

	if (journal_leave_folder(fs->cache, f->id, &why, &effects) == 0)
		effects_tell(fs, effects);
	free(effects);
}

void folder_emptied(struct fs *fs, struct folder *f)
{
	struct cache_state none = {.changed_at_ns = arrive_now_ns()};
	unsigned budget = FS_REPLAY_MAX;
	uint64_t *ids = NULL;
	imap_job job;
	struct box *box = get_lost(fs, f, &job);
	size_t n = 0;
	int r;

	if (job)
		imap_cancel(fs->imap, job);
	forget_changes(fs, f);
	if (!box)
		return;
	r = all_ids(box, &ids, &n);
	if (r == 0)
		r = folder_doom(fs, f, ids, n, &none, &budget);
	if (r != 0)
		log_warn("folder: cannot forget what was in '%s': %s", f->path,
			 strerrordesc_np(-r));
	free(ids);
	folder_put(fs, f);
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

void folder_renamed_here(struct fs *fs, struct folder *f)
{
	imap_job job;

	lock_take(&f->lock);
	job = f->job;
	f->ask_again = job != 0;
	lock_drop(&f->lock);
	if (job)
		imap_cancel(fs->imap, job);
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
	forget_changes(fs, f);
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

static bool is_held(struct box *box, uint64_t id)
{
	struct cache_msg m;

	return box_find_id(box, id, &m) == 0 && m.held > 0;
}

bool folder_is_message_held(struct fs *fs, struct folder *f, uint64_t id)
{
	struct box *box;
	bool held;

	if (folder_get(fs, f, &box) != 0)
		return false;
	held = is_held(box, id);
	folder_put(fs, f);
	return held;
}

bool folder_forget_message(struct fs *fs, struct folder *f, uint64_t id,
			   uint64_t n)
{
	struct box *box;
	bool here, held;

	if (folder_get(fs, f, &box) != 0)
		return true; /* nobody has it any more */

	here = box_release(box, id, n);
	held = is_held(box, id);
	folder_put(fs, f);
	/* Whether its row is gone by now or only about to go. */
	if (here && !held)
		folder_drop_ghost(f, id);
	return here;
}
