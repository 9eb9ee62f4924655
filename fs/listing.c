/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/arrive.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <time.h>

#include "cache/recall.h"
#include "fs/notify.h"
#include "fs/offline.h"
#include "fs/replay.h"

/*
 * The first listing of a folder. Callbacks run on a connection's thread, one
 * at a time, since a folder has one job. Rows are shown as they come. The state
 * that is stored with each window says how far down the listing has got, so
 * that it goes on from there after a lost connection or a remount; what it says
 * of changes (HIGHESTMODSEQ) is what the first EXAMINE said, for the flags of
 * the first window are as old as that.
 *
 * Nothing is announced by replay, with one exception: a folder that is listed
 * because of a message that has just come (keep.c) shows what came since the
 * mount to who watches it.
 */

/* The context of the job, whose thread it belongs to. */
struct listing_job {
	struct fs *fs;
	struct folder *f;
	bool again;   /* rows that were found again are here already */
	bool goes_on; /* what is above was listed by an earlier one */
	bool came;    /* rows did, of this job */
	uint32_t heard_uidnext; /* messages from here on are news; or 0 */
	unsigned budget;        /* replays that may still be made */
	bool recalled; /* what was added before it began is on the disk */
};

static int list_opened(void *ctx, const struct imap_mailbox *now);
static int list_rows(void *ctx, const struct mail_row *rows, size_t n);
static void list_coming(void *ctx);
static void list_recall(void *ctx, const struct mail_row *rows, size_t n,
			imap_recalled_fn found, void *to);
static void list_done(void *ctx, int result, const struct imap_error *why);

static const struct imap_list_ops list_ops = {list_opened, list_rows,
					      list_coming, list_done};

int listing_start_locked(struct fs *fs, struct folder *f,
			 enum imap_priority prio)
{
	struct imap_list_request req = {0};
	struct cache_state s;
	struct listing_job *j;
	int r;

	if (fs->stopping)
		return -ENOTCONN;
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;

	box_state(f->box, &s);
	req.below_uid = s.low_uid;
	/* A second step would be in vain where nothing can be known. */
	if (cache_may_recall(fs->cache))
		req.recall = list_recall;
	*j = (struct listing_job){
		.fs = fs,
		.f = f,
		.again = s.low_uid == 0 && box_count(f->box) > 0,
		.goes_on = s.low_uid != 0,
		.budget = FS_REPLAY_MAX,
	};
	/* Nobody is listing it: what has come is news to who watches. */
	if (prio > IMAP_PRIO_LISTING && !j->again)
		j->heard_uidnext = f->heard_uidnext;
	/* It was complete, and older ones have come to light (sync_end.c). */
	if (s.low_uid != 0 && f->has_synced)
		j->heard_uidnext = 1;
	f->busy = FOLDER_LISTING;
	f->asked_ms = clock_now_ms();
	f->progress_ms = f->asked_ms;
	f->n_listed = 0;
	f->n_expected = 0;
	r = imap_list(fs->imap, f->wire, prio, &req, &list_ops, j, &f->job);
	if (r != 0) {
		f->busy = FOLDER_IDLE;
		free(j);
	}
	return r;
}

static int list_opened(void *ctx, const struct imap_mailbox *now)
{
	struct listing_job *j = ctx;
	struct cache_state s;
	struct box *box;
	int r;

	if (folder_is_lost(j->f))
		return -ENOENT;
	r = folder_get(j->fs, j->f, &box);
	if (r != 0)
		return r;

	box_state(box, &s);
	if (s.uidvalidity == 0) {
		s.uidvalidity = now->uidvalidity;
		s.uidnext = now->uidnext;
		s.highestmodseq = now->highestmodseq;
		s.messages = now->messages;
		s.changed_at_ns = arrive_now_ns();
		r = box_set_state(box, &s);
	} else if (s.uidvalidity != now->uidvalidity) {
		r = moor_begin(j->f, box, now);
	}
	folder_put(j->fs, j->f);

	folder_note_count(j->fs, j->f, now->messages);
	lock_take(&j->f->lock);
	j->f->n_expected = now->messages;
	lock_drop(&j->f->lock);
	folder_moved(j->fs, j->f);
	return r;
}

/*
 * Rows are shown as they come. Has the kernel been told before that a name is
 * not here (by the mailbox that had this name before)? Then it must hear.
 */
static void tell_missed(struct listing_job *j, struct box *box,
			const uint64_t *ids, size_t n)
{
	uint64_t dir = tree_ino(j->fs->tree, j->f);
	struct cache_msg m;

	for (size_t i = 0; i < n; i++)
		if (ids[i] != 0 && box_find_id(box, ids[i], &m) == 0)
			notify_added(j->fs->notify, dir, m.name);
}

/* What has come since the mount is news to who watches the folder. */
static void show_news(struct listing_job *j, struct box *box,
		      const uint64_t *ids, size_t n)
{
	struct cache_msg m;

	for (size_t i = 0; i < n; i++) {
		if (ids[i] == 0 || box_find_id(box, ids[i], &m) != 0)
			continue;
		folder_change(j->fs, j->f, REPLAY_CREATE, &m, j->budget > 0);
		if (j->budget > 0)
			j->budget--;
	}
}

static int add_rows(struct listing_job *j, struct box *box,
		    const struct mail_row *rows, size_t n, uint64_t *ids)
{
	struct cache_state s;
	size_t news = 0;
	int r = 0;

	/* The newest are first. */
	while (j->heard_uidnext != 0 && news < n &&
	       rows[news].uid >= j->heard_uidnext)
		news++;
	box_state(box, &s);
	for (size_t i = 0; i < n; i++) {
		if (s.low_uid == 0 || rows[i].uid < s.low_uid)
			s.low_uid = rows[i].uid;
		/* No UIDNEXT from the server: one above what was seen. */
		if (rows[i].uid >= s.uidnext && rows[i].uid < UINT32_MAX)
			s.uidnext = rows[i].uid + 1;
	}
	if (news > 0)
		r = arrive_add_rows(j->fs, box, rows, news, false, NULL, ids);
	if (r == 0)
		show_news(j, box, ids, news);
	if (r == 0)
		r = arrive_add_rows(j->fs, box, rows + news, n - news, true, &s,
				    ids + news);
	if (r == 0 && j->f->told_missing)
		tell_missed(j, box, ids, n);
	return r;
}

static int list_rows(void *ctx, const struct mail_row *rows, size_t n)
{
	struct listing_job *j = ctx;
	uint64_t *ids = calloc(n ? n : 1, sizeof(*ids));
	struct box *box;
	int r = ids ? 0 : -ENOMEM;

	if (r == 0)
		r = folder_is_lost(j->f) ? -ENOENT
					 : folder_get(j->fs, j->f, &box);
	if (r == 0) {
		r = add_rows(j, box, rows, n, ids);
		folder_put(j->fs, j->f);
	}
	j->came = j->came || r == 0;
	free(ids);

	j->f->touched_ms = clock_now_ms();
	lock_take(&j->f->lock);
	j->f->n_listed += n;
	lock_drop(&j->f->lock);
	folder_moved(j->fs, j->f);
	return r;
}

static void list_recall(void *ctx, const struct mail_row *rows, size_t n,
			imap_recalled_fn found, void *to)
{
	struct listing_job *j = ctx;

	arrive_recall(j->fs, !j->recalled, rows, n, found, to);
	j->recalled = true;
}

static void list_coming(void *ctx)
{
	struct listing_job *j = ctx;

	folder_moved(j->fs, j->f);
}

static void list_done(void *ctx, int result, const struct imap_error *why)
{
	struct listing_job *j = ctx;
	struct cache_state s;
	struct box *box;

	if (result == 0) {
		result = folder_get(j->fs, j->f, &box);
		if (result == 0) {
			box_state(box, &s);
			s.complete = true;
			s.synced_at = time(NULL);
			if (s.uidnext == 0)
				s.uidnext = 1;
			result = box_set_state(box, &s);
			folder_put(j->fs, j->f);
		}
	} else {
		folder_log_end(j->f, "sync: a listing", result, why);
	}
	/*
	 * Rows came into a listing that the kernel may have kept; and those
	 * that were here already may have other flags.
	 */
	if (j->again)
		notify_listing(j->fs->notify, tree_ino(j->fs->tree, j->f));
	/*
	 * What has changed meanwhile is next; or the rest, over another
	 * connection, if there is one: Dovecot ends those that read from a
	 * mailbox which somebody deletes or renames, and who waits here is to
	 * hear what became of it.
	 */
	if (((j->again || j->goes_on) && result == 0) ||
	    (j->came && result == -ENOTCONN))
		result = -ESTALE;
	folder_job_done(j->fs, j->f, result);
	offline_note(j->fs, j->f);
	/* A large listing leaves much behind that nothing else will need. */
	(void)malloc_trim(0);
	free(j);
}
