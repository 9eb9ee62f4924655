/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/keep_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/budget.h"
#include "fs/folder.h"
#include "fs/mailboxes.h"
#include "fs/offline.h"
#include "imap/change.h"
#include "imap/log.h"
#include "imap/names.h"

/*
 * The thread, and those who have it work. A folder that is due is in a list of
 * the lock's; it leaves that before it is looked at, so whoever finds it due
 * once more puts it in again and nothing is lost.
 *
 * Callbacks of the watch run on connections' threads: they mark folders and
 * wake the thread.
 */

/* --- what is due --- */

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

void keep_make_due(struct keep *k, struct folder *f, int64_t not_before_ms)
{
	int64_t at_ms = folder_due_ms(f), soon_ms;

	if (at_ms == CLOCK_NEVER)
		return;
	at_ms = later(at_ms, not_before_ms);
	/* What it was to wait for is over; but not the gap behind a sync. */
	soon_ms = later(at_ms, clock_now_ms() + KEEP_GAP_MS);
	lock_take(&k->lock);
	if (!f->due && !k->stopping) {
		f->due = true;
		f->due_ms = at_ms;
		f->next_due = k->due;
		k->due = f;
		lock_cond_wake_all(&k->cond);
	} else if (f->due && soon_ms < f->due_ms) {
		f->due_ms = soon_ms;
		lock_cond_wake_all(&k->cond);
	}
	lock_drop(&k->lock);
}

/* A folder whose time has come, out of the list; NULL: none. */
static struct folder *take_due_locked(struct keep *k, int64_t now,
				      int64_t *deadline) REQUIRES(k->lock)
{
	for (struct folder **at = &k->due; *at; at = &(*at)->next_due) {
		struct folder *f = *at;

		if (f->due_ms > now) {
			if (f->due_ms < *deadline)
				*deadline = f->due_ms;
			continue;
		}
		if (k->n_running >= KEEP_SYNCS)
			return NULL;
		*at = f->next_due;
		f->due = false;
		f->in_background = true;
		k->n_running++;
		return f;
	}
	return NULL;
}

static void ended_locked(struct keep *k, struct folder *f) REQUIRES(k->lock)
{
	if (!f->in_background)
		return;
	f->in_background = false;
	k->n_running--;
	lock_cond_wake_all(&k->cond);
}

void keep_job_ended(struct fs *fs, struct folder *f, int result)
{
	struct keep *k = fs->keep;

	lock_take(&k->lock);
	ended_locked(k, f);
	lock_drop(&k->lock);
	if (result == 0) {
		keep_make_due(k, f, clock_now_ms() + KEEP_GAP_MS);
	} else if (result == -ENOENT && !f->gone &&
		   folder_denied(f) != FOLDER_EMPTY) {
		/* It is not there any more: what is? */
		(void)keep_ask_folders(fs, IMAP_PRIO_SYNC);
	} else if (result == -EIO || result == -ETIMEDOUT ||
		   (result == -ENOTCONN && fs->online)) {
		/* Nobody tells of these news again. */
		keep_make_due(k, f, clock_now_ms() + KEEP_RETRY_MS);
	}
}

void keep_look_again(struct fs *fs, struct folder *f)
{
	keep_make_due(fs->keep, f, 0);
}

void keep_note_used(struct fs *fs, struct folder *f)
{
	keep_make_due(fs->keep, f, 0);
}

void keep_offline_due(struct fs *fs)
{
	struct keep *k = fs->keep;

	lock_take(&k->lock);
	k->offline_ms = 0;
	lock_cond_wake_all(&k->cond);
	lock_drop(&k->lock);
}

void keep_budget_due(struct fs *fs)
{
	struct keep *k = fs->keep;

	lock_take(&k->lock);
	k->budget_ms = 0;
	lock_cond_wake_all(&k->cond);
	lock_drop(&k->lock);
}

void keep_online(struct fs *fs)
{
	keep_budget_due(fs);
	mailboxes_online(fs);
	(void)keep_ask_folders(fs, IMAP_PRIO_SYNC);
	keep_offline_due(fs);
}

/* --- the watch --- */

static void watch_moved(void *ctx, const char *wire)
{
	struct keep *k = ctx;
	struct folder *f = tree_by_wire(k->fs->tree, wire);

	if (!f)
		return;
	f->notified = true;
	folder_note_moved(f, clock_now_ms());
	keep_make_due(k, f, 0);
}

static void watch_folders(void *ctx)
{
	struct keep *k = ctx;

	(void)keep_ask_folders(k->fs, IMAP_PRIO_SYNC);
}

/*
 * All that there are have been named: is one of ours not among them? The server
 * may name some in LIST only (those that cannot be opened, for whatever
 * reason): it is asked once for each.
 */
static void compare_names(struct keep *k)
{
	struct folder **v;
	bool ask = false;
	size_t n;

	if (tree_all(k->fs->tree, &v, &n) != 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct folder *f = v[i];

		ask |= !f->named && !f->missed && !(f->attrs & FOLDER_NOSELECT);
		f->missed = !f->named;
		f->named = false;
	}
	free(v);
	if (ask)
		watch_folders(k);
}

/*
 * A mailbox of which no LIST has told yet, as in a first mount whose LIST is
 * slow. It is watched all the same (keep_list.c).
 */
static void note_early(struct keep *k, const char *wire)
{
	char *name = strdup(wire), **v = NULL;

	lock_take(&k->lock);
	if (name && k->n_early < KEEP_EARLY_MAX)
		v = reallocarray(k->early, k->n_early + 1, sizeof(*v));
	if (v) {
		v[k->n_early++] = name;
		k->early = v;
	} else {
		free(name);
	}
	lock_drop(&k->lock);
}

/*
 * What moved between the last LIST and the begin of the watch shows in the
 * numbers; so does a mailbox that came or went. A LIST that is on its way may
 * be older than that: then one more follows it.
 */
static void watch_begun(void *ctx, const struct mail_folder *box)
{
	struct keep *k = ctx;
	struct folder *f;

	if (!box) {
		compare_names(k);
		return;
	}
	f = tree_by_wire(k->fs->tree, box->wire);
	if (!f) {
		/* Or the LIST comes between the two. */
		note_early(k, box->wire);
		f = tree_by_wire(k->fs->tree, box->wire);
	}
	if (f) {
		f->notified = true;
		f->named = true;
	}
	if (!box->has_status)
		return;
	if (!f || (f->attrs & FOLDER_NOSELECT)) {
		watch_folders(k);
		return;
	}
	folder_hear_status(k->fs, f, box, clock_now_ms());
	keep_make_due(k, f, 0);
}

static const struct imap_watch_ops watch_ops = {watch_moved, watch_folders,
						watch_begun};

int keep_watch(struct fs *fs)
{
	const char *mailbox = fs->account->mailbox;
	struct keep *k = fs->keep;
	int r = 0;

	if (mailbox && strcasecmp(mailbox, "INBOX") != 0)
		r = utf7_encode(mailbox, &k->watched);
	else
		k->watched = strdup("INBOX");
	if (r == 0 && !k->watched)
		r = -ENOMEM;
	return r == 0 ? imap_watch(fs->imap, k->watched, &watch_ops, k) : r;
}

bool keep_is_inbox(const struct fs *fs, const struct folder *f)
{
	return fs->keep->watched && strcmp(f->wire, fs->keep->watched) == 0;
}

enum imap_watched keep_watched(const struct fs *fs, const struct folder *f,
			       int64_t *ret_since_ms)
{
	enum imap_watched how = imap_watched(fs->imap, f->wire, ret_since_ms);

	/* Servers forget to watch mailboxes that have come meanwhile. */
	if (how == IMAP_WATCHED_NOTIFY && !f->notified)
		return IMAP_WATCHED_NOT;
	return how;
}

int64_t keep_interval_ms(const struct fs *fs)
{
	return imap_has_labels(fs->imap) ? KEEP_ENTER_GMAIL_MS : KEEP_ENTER_MS;
}

/* --- the thread --- */

static bool anything_is_used(struct fs *fs)
{
	struct folder **v;
	bool used = false;
	size_t n;

	if (tree_all(fs->tree, &v, &n) != 0)
		return false;
	for (size_t i = 0; i < n && !used; i++)
		used = folder_is_used(v[i]);
	free(v);
	return used;
}

static void poll_folders(struct keep *k, int64_t now)
{
	bool used = k->fs->online && anything_is_used(k->fs);

	lock_take(&k->lock);
	k->poll_ms = now + KEEP_POLL_MS;
	lock_drop(&k->lock);
	if (used)
		(void)keep_ask_folders(k->fs, IMAP_PRIO_SYNC);
}

/* What says itself when it is due again: it may become due meanwhile, too. */
static void run(struct keep *k, int64_t *due_ms,
		int64_t (*work)(struct fs *fs, int64_t now_ms), int64_t now)
{
	int64_t next;

	lock_take(&k->lock);
	*due_ms = CLOCK_NEVER;
	lock_drop(&k->lock);
	next = work(k->fs, now);
	lock_take(&k->lock);
	if (next < *due_ms)
		*due_ms = next;
	lock_drop(&k->lock);
}

static void catch_up(struct keep *k, struct folder *f)
{
	int r = folder_catch_up(k->fs, f);

	if (r > 0)
		return; /* begun; keep_job_ended() will be called */
	if (r != 0 && r != -EAGAIN)
		log_debug("keep: cannot ask for '%s': %s", f->path,
			  strerrordesc_np(-r));
	lock_take(&k->lock);
	ended_locked(k, f);
	lock_drop(&k->lock);
	/* We have changed it since it became due: a little later. */
	if (folder_due_ms(f) > clock_now_ms())
		keep_make_due(k, f, 0);
}

enum work { WORK_STOP, WORK_FOLDER, WORK_POLL, WORK_OFFLINE, WORK_BUDGET };

static enum work wait_for_work(struct keep *k, int64_t *now,
			       struct folder **ret_f)
{
	enum work work = WORK_STOP;
	int64_t deadline;

	lock_take(&k->lock);
	for (;;) {
		*now = clock_now_ms();
		deadline = clock_earlier(k->poll_ms, k->offline_ms);
		deadline = clock_earlier(deadline, k->budget_ms);
		if (k->stopping)
			break;
		*ret_f = take_due_locked(k, *now, &deadline);
		work = *ret_f                  ? WORK_FOLDER
		       : k->poll_ms <= *now    ? WORK_POLL
		       : k->offline_ms <= *now ? WORK_OFFLINE
		       : k->budget_ms <= *now  ? WORK_BUDGET
					       : WORK_STOP;
		if (work != WORK_STOP)
			break;
		(void)lock_cond_wait(&k->cond, &k->lock, deadline);
	}
	lock_drop(&k->lock);
	return work;
}

static void *keep_thread(void *arg)
{
	struct keep *k = arg;
	struct folder *f;
	int64_t now;

	pthread_setname_np(pthread_self(), "keep");
	for (;;) {
		switch (wait_for_work(k, &now, &f)) {
		case WORK_STOP:
			return NULL;
		case WORK_FOLDER:
			catch_up(k, f);
			break;
		case WORK_POLL:
			poll_folders(k, now);
			break;
		case WORK_OFFLINE:
			run(k, &k->offline_ms, offline_run, now);
			break;
		case WORK_BUDGET:
			run(k, &k->budget_ms, budget_save, now);
			break;
		}
	}
}

int keep_new(struct fs *fs, struct keep **ret)
{
	struct keep *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;

	k->fs = fs;
	lock_init(&k->lock, RANK_KEEP);
	lock_cond_init(&k->cond);
	k->poll_ms = CLOCK_NEVER; /* the first LIST sets it */
	k->offline_ms = CLOCK_NEVER;
	k->budget_ms = CLOCK_NEVER;
	if (pthread_create(&k->thread, NULL, keep_thread, k) != 0) {
		lock_cond_finish(&k->cond);
		lock_finish(&k->lock);
		free(k);
		return -EAGAIN;
	}
	*ret = k;
	return 0;
}

void keep_stop(struct keep *k)
{
	lock_take(&k->lock);
	k->stopping = true;
	lock_cond_wake_all(&k->cond);
	lock_drop(&k->lock);
	pthread_join(k->thread, NULL);
}

void keep_free(struct keep *k)
{
	if (!k)
		return;
	lock_cond_finish(&k->cond);
	lock_finish(&k->lock);
	for (size_t i = 0; i < k->n_early; i++)
		free(k->early[i]);
	free(k->early);
	free(k->watched);
	free(k);
}
