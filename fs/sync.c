/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/sync_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/heard.h"
#include "cache/recall.h"
#include "fs/arrive.h"
#include "fs/effects.h"
#include "fs/replay.h"

/*
 * What changed in a folder that was listed: what is new, gone and flagged.
 *
 * Callbacks run on a connection's thread, one at a time, since a folder has
 * one job. Flags and new messages are taken in as they come; what is gone is
 * decided at the end, when all has been heard (sync_end.c). Until then the
 * state on disk says what was known before: a kill in between costs the same
 * question once more.
 */

static void sync_free(struct sync *y)
{
	ranges_clear(&y->named);
	ranges_clear(&y->gone);
	free(y);
}

static int sync_opened(void *ctx, const struct imap_mailbox *now);
static int sync_rows(void *ctx, const struct mail_row *rows, size_t n);
static int sync_present(void *ctx, const struct mail_range *v, size_t n);
static int sync_vanished(void *ctx, const struct mail_range *v, size_t n);
static void sync_done(void *ctx, int result, const struct imap_error *why,
		      const struct imap_sync_end *end);
static void sync_recall(void *ctx, const struct mail_row *rows, size_t n,
			imap_recalled_fn found, void *to);

static const struct imap_sync_ops sync_ops = {
	sync_opened, sync_rows, sync_present, sync_vanished, sync_done};

/* `first`: the one whose answer is doubted, or NULL. */
static int start_locked(struct fs *fs, struct folder *f,
			enum imap_priority prio, const struct sync *first)
	REQUIRES(f->lock)
{
	struct imap_sync_request req = {0};
	struct cache_state s;
	struct sync *y;
	int r;

	if (fs->stopping)
		return -ENOTCONN;
	box_state(f->box, &s);
	y = calloc(1, sizeof(*y));
	if (!y)
		return -ENOMEM;

	y->fs = fs;
	y->f = f;
	y->second = first != NULL;
	y->recounts = first && first->recounts;
	y->uidnext = s.uidnext;
	y->budget = FS_REPLAY_MAX;
	req.uidvalidity = s.uidvalidity;
	req.uidnext = s.uidnext;
	req.highestmodseq = s.highestmodseq;
	req.plain = y->second || f->distrusted;
	if (cache_may_recall(fs->cache))
		req.recall = sync_recall;
	f->busy = FOLDER_SYNCING;
	f->asked_ms = clock_now_ms();
	f->progress_ms = f->asked_ms;
	r = imap_sync(fs->imap, f->wire, prio, &req, &sync_ops, y, &f->job);
	if (r == 0)
		return 0;
	f->busy = FOLDER_IDLE;
	sync_free(y);
	return r;
}

int sync_start_locked(struct fs *fs, struct folder *f, enum imap_priority prio)
{
	return start_locked(fs, f, prio, NULL);
}

static int sync_opened(void *ctx, const struct imap_mailbox *now)
{
	struct sync *y = ctx;
	struct cache_state s;
	struct box *box;
	int r;

	if (folder_is_lost(y->f))
		return -ENOENT;
	r = folder_get(y->fs, y->f, &box);
	if (r != 0)
		return r;

	/* The job may have begun again on a new connection. */
	ranges_clear(&y->named);
	ranges_clear(&y->gone);
	y->messages = now->messages;
	folder_note_count(y->fs, y->f, now->messages);
	y->opened_uidnext = now->uidnext;
	y->new_uidnext = y->uidnext;
	if (now->uidnext > y->new_uidnext)
		y->new_uidnext = now->uidnext;
	box_state(box, &s);
	if (s.uidvalidity != now->uidvalidity)
		r = moor_begin(y->f, box, now);
	folder_put(y->fs, y->f);
	return r;
}

/* A change that shows by its replay as long as there are not too many. */
static void show(struct sync *y, enum replay_op op, const struct cache_msg *m)
{
	y->f->touched_ms = clock_now_ms();
	folder_change(y->fs, y->f, op, m, y->budget > 0);
	if (y->budget > 0)
		y->budget--;
}

/* Do these rows of labels name the same ones? */
static bool is_same(const char *a, const char *b)
{
	return strlen(a) == strlen(b) &&
	       cache_keywords_hash(a) == cache_keywords_hash(b);
}

/*
 * The labels of a row, if they are news; else NULL. Memory has none, but rows
 * come only of messages that have changed, as far as the server can tell.
 */
static const char *new_labels(struct box *box, uint64_t id,
			      const struct mail_row *row)
{
	struct cache_details *d;
	bool same;

	if (!(row->has & ROW_LABELS) || box_details(box, id, &d) != 0)
		return NULL;
	same = is_same(d->gm_labels, row->gm_labels);
	free(d);
	return same ? NULL : row->gm_labels;
}

/* Messages that were known: which have other flags, or labels? */
static int take_known(struct sync *y, struct box *box,
		      const struct mail_row *rows, size_t n)
{
	struct cache_flags *v = calloc(n, sizeof(*v));
	struct cache_msg m;
	size_t changed = 0;
	int r = v ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const char *labels;

		r = ranges_add(&y->named, rows[i].uid, rows[i].uid);
		if (box_find_uid(box, rows[i].uid, &m) != 0)
			continue; /* one that could not be listed before */
		labels = new_labels(box, m.id, &rows[i]);
		if (labels || m.flags != rows[i].flags ||
		    box_keywords_hash(box, m.id) !=
			    cache_keywords_hash(rows[i].keywords))
			v[changed++] = (struct cache_flags){
				m.id, rows[i].flags, rows[i].keywords, labels};
	}
	if (r == 0 && changed > 0)
		r = box_set_flags(box, v, changed);
	for (size_t i = 0; r == 0 && i < changed; i++)
		if (box_find_id(box, v[i].id, &m) == 0)
			show(y, REPLAY_ATTRIB, &m);
	free(v);
	return r;
}

/* Messages that were not known, ascending by UID. */
static int take_new(struct sync *y, struct box *box,
		    const struct mail_row *rows, size_t n)
{
	uint64_t *ids = calloc(n, sizeof(*ids));
	struct cache_state s;
	struct cache_msg m;
	int r = ids ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = ranges_add(&y->named, rows[i].uid, rows[i].uid);
		if (rows[i].uid >= y->new_uidnext && rows[i].uid < UINT32_MAX)
			y->new_uidnext = rows[i].uid + 1;
	}
	if (r == 0) {
		box_state(box, &s);
		s.changed_at_ns = arrive_now_ns();
		r = arrive_add_rows(y->fs, box, rows, n, false, &s, ids);
	}
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (ids[i] == 0)
			continue;
		y->n_new++;
		if (box_find_id(box, ids[i], &m) == 0)
			show(y, REPLAY_CREATE, &m);
	}
	free(ids);
	return r;
}

/*
 * Rows of messages from `uidnext` on may be here all the same: of a sync that
 * was cut off, or found by what is in them (moor.c). Their flags count.
 */
static int take_full(struct sync *y, struct box *box,
		     const struct mail_row *rows, size_t n)
{
	size_t begin = 0;
	int r = 0;

	while (r == 0 && begin < n) {
		struct cache_msg m;
		bool known = box_find_uid(box, rows[begin].uid, &m) == 0;
		size_t end = begin + 1;

		while (end < n &&
		       (box_find_uid(box, rows[end].uid, &m) == 0) == known)
			end++;
		r = known ? take_known(y, box, rows + begin, end - begin)
			  : take_new(y, box, rows + begin, end - begin);
		begin = end;
	}
	return r;
}

/*
 * Of messages that are elsewhere by now, for the server does not know that yet.
 * They may be back before it does, and this is not said again.
 */
static int take_moved(struct sync *y, struct box *box,
		      const struct mail_row *rows, size_t n)
{
	struct journal_place from = {.folder = y->f->id};
	struct journal_effects *effects = NULL;
	struct cache_state s;
	int r;

	box_state(box, &s);
	from.uidvalidity = s.uidvalidity;
	r = journal_hear(y->fs->cache, from, rows, n, &effects);
	if (r == 0 && effects)
		effects_tell(y->fs, effects);
	free(effects);
	return r;
}

static int sync_rows(void *ctx, const struct mail_row *rows, size_t n)
{
	struct sync *y = ctx;
	struct box *box;
	size_t known = 0;
	int r;

	if (folder_is_lost(y->f))
		return -ENOENT;
	r = folder_get(y->fs, y->f, &box);
	if (r != 0)
		return r;

	while (known < n && !(rows[known].has & ROW_SIZE))
		known++;
	if (known > 0)
		r = take_known(y, box, rows, known);
	if (r == 0 && known < n)
		r = take_full(y, box, rows + known, n - known);
	if (r == 0)
		r = take_moved(y, box, rows, n);
	folder_put(y->fs, y->f);
	return r;
}

static void sync_recall(void *ctx, const struct mail_row *rows, size_t n,
			imap_recalled_fn found, void *to)
{
	struct sync *y = ctx;

	/* New mail comes under several labels at once. */
	arrive_recall(y->fs, true, rows, n, found, to);
}

static int sync_present(void *ctx, const struct mail_range *v, size_t n)
{
	struct sync *y = ctx;

	return ranges_add_all(&y->named, v, n);
}

static int sync_vanished(void *ctx, const struct mail_range *v, size_t n)
{
	struct sync *y = ctx;

	return ranges_add_all(&y->gone, v, n);
}

/* The second question instead of the end. */
static int ask_again(struct sync *y)
{
	struct folder *f = y->f;
	int r;

	lock_take(&f->lock);
	f->busy = FOLDER_IDLE;
	r = f->box ? start_locked(y->fs, f, IMAP_PRIO_LISTING, y) : -ENODATA;
	lock_drop(&f->lock);
	return r;
}

static void sync_done(void *ctx, int result, const struct imap_error *why,
		      const struct imap_sync_end *end)
{
	struct sync *y = ctx;
	bool goes_on = false;

	if (result == 0) {
		result = sync_finish(y, end);
		if (result == -EAGAIN) {
			result = ask_again(y);
			goes_on = result == 0;
		}
	} else {
		folder_log_end(y->f, "sync: a sync", result, why);
	}
	if (!goes_on)
		folder_job_done(y->fs, y->f, result);
	sync_free(y);
}
