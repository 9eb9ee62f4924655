/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>

#include "fs/folder_private.h"
#include "fs/keep.h"
#include "fs/rules.h"
#include "imap/change.h"
#include "imap/log.h"

/*
 * Is a folder behind the server? Words that something moved are noted here,
 * and compared with what was asked for when: a word is out of date if the
 * folder was asked for after it. Times are those at which a question was put,
 * not answered, so that nothing falls between the two.
 */

static bool is_used_locked(const struct folder *f) REQUIRES(f->lock)
{
	return (f->held > 0 || f->kept) && folder_has_messages(f) && !f->gone;
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

/* When a train of our own changes is over, for whoever waits for that. */
static int64_t own_end_locked(const struct folder *f) REQUIRES(f->lock)
{
	int64_t since = f->train_ms > f->asked_ms ? f->train_ms : f->asked_ms;

	if (f->flushed_ms == 0)
		return 0;
	return clock_earlier(f->flushed_ms + KEEP_OWN_MS,
			     since + KEEP_OWN_MAX_MS);
}

static int64_t due_locked(const struct folder *f) REQUIRES(f->lock)
{
	int64_t due = CLOCK_NEVER;

	if (!is_used_locked(f))
		return CLOCK_NEVER;
	if (f->moved_ms != 0 && f->moved_ms >= f->known_ms)
		due = own_end_locked(f);
	if (f->doubted)
		due = clock_earlier(due, f->doubted_ms + RULES_DOUBT_MS);
	return due;
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

void folder_note_count(struct fs *fs, struct folder *f, uint32_t messages)
{
	bool is_limit = imap_has_labels(fs->imap) && rules_is_limit(messages);
	bool tell;

	lock_take(&f->lock);
	tell = is_limit && !f->told_limit;
	f->told_limit |= is_limit;
	f->limit = is_limit ? messages : 0;
	lock_drop(&f->lock);
	if (tell)
		log_warn("folder: '%s' shows %u messages, and older ones are "
			 "hidden if the account limits IMAP folders to so "
			 "many: see 'Folder size limits' in Gmail's settings",
			 f->path, messages);
}

void folder_hear_status(struct fs *fs, struct folder *f,
			const struct mail_folder *m, int64_t asked_ms)
{
	/* Its HIGHESTMODSEQ counts a change before it shows it. */
	bool is_ahead = imap_has_labels(fs->imap);
	struct cache_state s;
	enum rules_moved moved;

	lock_take(&f->lock);
	folder_state_locked(f, &s);
	if (!s.complete) {
		if (f->heard_uidnext == 0 && m->has_status)
			f->heard_uidnext = m->uidnext;
		else if (m->uidnext > f->heard_uidnext &&
			 asked_ms > f->moved_ms)
			f->moved_ms = asked_ms;
		lock_drop(&f->lock);
		return;
	}
	moved = rules_compare(&s, m);
	/* One that this was counted for may have come behind the last mount. */
	if (moved == RULES_UNMOVED && is_ahead && !f->has_synced)
		moved = RULES_UNKNOWN;
	/* What was asked for later than that knows better. */
	if (moved == RULES_UNMOVED && asked_ms > f->known_ms)
		f->known_ms = asked_ms;
	if (moved == RULES_MOVED && asked_ms > f->moved_ms) {
		f->moved_ms = asked_ms;
		f->heard_ms = asked_ms;
		f->heard = *m;
		f->heard.wire = NULL; /* it is the caller's */
	}
	/* Who has entered it would not learn of it in any other way. */
	if (moved == RULES_UNKNOWN && f->box && asked_ms > f->moved_ms)
		f->moved_ms = asked_ms;
	lock_drop(&f->lock);
}

void folder_caught_up_locked(struct folder *f)
{
	struct cache_state s;

	f->known_ms = f->asked_ms;
	f->ended_ms = clock_now_ms();
	f->denied = FOLDER_NOT_DENIED;
	/* Was the last word that it moved told in numbers, and are these now
	 * its own? Then it came too late to be news. */
	folder_state_locked(f, &s);
	if (f->heard_ms != 0 && f->heard_ms == f->moved_ms &&
	    f->moved_ms >= f->known_ms &&
	    rules_compare(&s, &f->heard) == RULES_UNMOVED)
		f->known_ms = f->moved_ms + 1;
}

void folder_hear_named(struct folder *f, int64_t asked_ms)
{
	lock_take(&f->lock);
	if (f->denied == FOLDER_DENIED && asked_ms >= f->failed_ms) {
		f->denied = FOLDER_NAMED;
		f->moved_ms = clock_now_ms();
	}
	lock_drop(&f->lock);
}

static bool was_listed_locked(struct folder *f) REQUIRES(f->lock)
{
	struct cache_state s;

	folder_state_locked(f, &s);
	return s.complete || s.low_uid != 0 || (f->box && box_count(f->box));
}

int folder_catch_up(struct fs *fs, struct folder *f)
{
	int r = 0;

	lock_take(&f->lock);
	/*
	 * Of a folder that was never listed nobody waits for news, but for that
	 * which is watched above all: somebody may wait there for an event.
	 */
	if (due_locked(f) > clock_now_ms() ||
	    (!was_listed_locked(f) && !keep_is_inbox(fs, f))) {
		lock_drop(&f->lock);
		return 0;
	}
	if (f->busy != FOLDER_IDLE || f->replays > 0 || f->flushing > 0 ||
	    f->flush_waits)
		r = -EAGAIN;
	if (r == 0)
		r = folder_open_box_locked(fs, f);
	if (r == 0)
		r = folder_start_job_locked(fs, f, IMAP_PRIO_SYNC);
	lock_drop(&f->lock);
	return r == 0 ? 1 : r;
}
