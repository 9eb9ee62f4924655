/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/arrive.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "fs/notify.h"
#include "fs/replay.h"
#include "imap/log.h"

/*
 * What changed in a folder that was listed: what is new, gone and flagged.
 *
 * Callbacks run on a connection's thread, one at a time, since a folder has
 * one job. In a folder that the kernel knows a change becomes visible by its
 * replay (replay.h): until then a new message is not announced, and one that
 * is gone is still shown. In others it shows at once.
 */

/* What a running sync has collected; belongs to the job's thread. */
struct sync {
	uint32_t uidnext; /* rows below are known */
	uint32_t *seen;   /* UIDs below it that are still there */
	size_t n_seen, size_seen;
	uint32_t new_uidnext; /* what is known when it is done */
	uint32_t messages;    /* as EXAMINE said */
	size_t n_rows;        /* of messages at or above uidnext */
	size_t n_new;         /* of those, added */
};

static void sync_free(struct sync *s)
{
	if (!s)
		return;
	free(s->seen);
	free(s);
}

static int sync_opened(void *ctx, const struct imap_mailbox *now);
static int sync_rows(void *ctx, const struct mail_row *rows, size_t n);
static int sync_present(void *ctx, const struct mail_range *v, size_t n);
static int sync_vanished(void *ctx, const struct mail_range *v, size_t n);
static void sync_done(void *ctx, int result, const struct imap_error *why,
		      const struct imap_sync_end *end);

static const struct imap_sync_ops sync_ops = {
	sync_opened, sync_rows, sync_present, sync_vanished, sync_done};

int sync_start_locked(struct fs *fs, struct folder *f)
{
	struct imap_sync_request req = {0};
	struct cache_state s;
	struct arrive_job *j;
	int r;

	if (fs->stopping)
		return -ENOTCONN;
	box_state(f->box, &s);
	j = arrive_job_new(fs, f);
	f->sync = calloc(1, sizeof(*f->sync));
	if (!j || !f->sync) {
		r = -ENOMEM;
		goto fail;
	}

	req.uidvalidity = s.uidvalidity;
	req.uidnext = s.uidnext;
	req.plain = true;
	f->sync->uidnext = s.uidnext;
	f->sync->new_uidnext = s.uidnext;
	f->busy = FOLDER_SYNCING;
	f->progress_ms = clock_now_ms();
	r = imap_sync(fs->imap, f->wire, IMAP_PRIO_LISTING, &req, &sync_ops, j,
		      &f->job);
	if (r == 0)
		return 0;
	f->busy = FOLDER_IDLE;

fail:
	sync_free(f->sync);
	f->sync = NULL;
	free(j);
	return r;
}

static int sync_opened(void *ctx, const struct imap_mailbox *now)
{
	struct arrive_job *j = ctx;
	struct sync *y = j->f->sync;
	struct cache_state s;
	struct box *box;
	int r;

	if (j->f->gone)
		return -ENOENT;
	r = folder_get(j->fs, j->f, &box);
	if (r != 0)
		return r;

	y->n_seen = 0; /* the job may have begun again on a new connection */
	y->n_rows = 0;
	y->messages = now->messages;
	if (now->uidnext > y->new_uidnext)
		y->new_uidnext = now->uidnext;
	box_state(box, &s);
	if (s.uidvalidity != now->uidvalidity) {
		r = arrive_made_anew(j->fs, j->f, box);
	}
	folder_put(j->fs, j->f);
	return r;
}

static int note_seen(struct sync *y, uint32_t uid)
{
	if (y->n_seen == y->size_seen) {
		size_t size = y->size_seen ? y->size_seen * 2 : 256;
		uint32_t *seen = realloc(y->seen, size * sizeof(*seen));

		if (!seen)
			return -ENOMEM;
		y->seen = seen;
		y->size_seen = size;
	}
	y->seen[y->n_seen++] = uid;
	return 0;
}

/* Hand a change to the helper, or do without it. */
static void replay_or_settle(struct fs *fs, struct folder *f, enum replay_op op,
			     const struct cache_msg *m)
{
	bool known;

	lock_take(&f->lock);
	f->replays++;
	known = f->held > 0 && (op != REPLAY_ATTRIB || m->held > 0);
	lock_drop(&f->lock);
	if (!known || !replay_push(fs->replay, f, op, m->id, m->name))
		folder_replayed(fs, f, op, m->id, -ENOTCONN);
}

/* A message that was known: has it other flags? */
static int sync_known(struct arrive_job *j, struct box *box,
		      const struct mail_row *row)
{
	struct sync *y = j->f->sync;
	struct cache_flags change;
	struct cache_msg m;
	int r;

	r = note_seen(y, row->uid);
	if (r != 0)
		return r;
	if (box_find_uid(box, row->uid, &m) != 0)
		return 0; /* a row that could not be listed before */
	if (m.flags == row->flags &&
	    box_keywords_hash(box, m.id) == cache_keywords_hash(row->keywords))
		return 0;

	change = (struct cache_flags){m.id, row->flags, row->keywords};
	r = box_set_flags(box, &change, 1);
	if (r == 0)
		replay_or_settle(j->fs, j->f, REPLAY_ATTRIB, &m);
	return r;
}

/* Messages that were not known, ascending by UID. */
static int sync_new(struct arrive_job *j, struct box *box,
		    const struct mail_row *rows, size_t n)
{
	struct sync *y = j->f->sync;
	uint64_t *ids = calloc(n, sizeof(*ids));
	struct cache_state s;
	struct cache_msg m;
	int r;

	if (!ids)
		return -ENOMEM;

	y->n_rows += n;
	box_state(box, &s);
	for (size_t i = 0; i < n; i++)
		if (rows[i].uid >= y->new_uidnext && rows[i].uid < UINT32_MAX)
			y->new_uidnext = rows[i].uid + 1;
	s.changed_at_ns = arrive_now_ns();
	r = arrive_add_rows(j->fs, box, rows, n, false, &s, ids);
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (ids[i] == 0)
			continue;
		y->n_new++;
		if (box_find_id(box, ids[i], &m) == 0)
			replay_or_settle(j->fs, j->f, REPLAY_CREATE, &m);
	}
	free(ids);
	return r;
}

static int sync_rows(void *ctx, const struct mail_row *rows, size_t n)
{
	struct arrive_job *j = ctx;
	struct sync *y = j->f->sync;
	struct box *box;
	size_t i = 0;
	int r;

	if (j->f->gone)
		return -ENOENT;
	r = folder_get(j->fs, j->f, &box);
	if (r != 0)
		return r;

	for (; r == 0 && i < n && rows[i].uid < y->uidnext; i++)
		r = sync_known(j, box, &rows[i]);
	if (r == 0 && i < n)
		r = sync_new(j, box, rows + i, n - i);
	folder_put(j->fs, j->f);
	return r;
}

/* The flags of every message are asked for: each that is there has a row. */
static int sync_present(void *ctx, const struct mail_range *v, size_t n)
{
	(void)ctx;
	(void)v;
	(void)n;
	return 0;
}

/* What goes while the answers come has no row next time. */
static int sync_vanished(void *ctx, const struct mail_range *v, size_t n)
{
	(void)ctx;
	(void)v;
	(void)n;
	return 0;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Ascending, each once: rows may come unasked, and the last one comes twice. */
static void sort_seen(struct sync *y)
{
	size_t n = 0;

	if (y->n_seen == 0)
		return;
	qsort(y->seen, y->n_seen, sizeof(*y->seen), by_value);
	for (size_t i = 1; i < y->n_seen; i++)
		if (y->seen[i] != y->seen[n])
			y->seen[++n] = y->seen[i];
	y->n_seen = n + 1;
}

/*
 * May what had no row be taken for gone? Not if EXAMINE counted more messages
 * than came: servers have answered with half a mailbox, and what is forgotten
 * here by mistake never comes back, since its UID is not new. One that goes
 * between the two answers looks the same, so a few are believed when the next
 * sync says it again; more than half of a folder never.
 */
static int believe_gone(struct arrive_job *j, size_t gone, size_t known)
{
	struct sync *y = j->f->sync;

	if (gone == 0 || y->n_seen + y->n_rows >= y->messages) {
		j->f->doubted = false;
		return 0;
	}
	log_warn("sync: the server named %zu of %u messages of '%s': not "
		 "believed%s",
		 y->n_seen + y->n_rows, y->messages, j->f->path,
		 j->f->doubted ? " at first" : "");
	if (gone > 100 && gone > known / 2)
		return -EPROTO;
	j->f->doubted = !j->f->doubted;
	return j->f->doubted ? -EAGAIN : 0;
}

static int sync_sweep(struct arrive_job *j, struct box *box, size_t *ret_gone)
{
	struct sync *y = j->f->sync;
	uint32_t *known = NULL;
	size_t n = 0, k = 0, gone = 0;
	struct cache_msg m;
	int r;

	r = box_uids(box, &known, &n);
	if (r != 0)
		return r;

	sort_seen(y);
	for (size_t i = 0; i < n; i++)
		if (known[i] < y->uidnext &&
		    (y->n_seen == 0 || !bsearch(&known[i], y->seen, y->n_seen,
						sizeof(*y->seen), by_value)))
			known[gone++] = known[i];

	r = believe_gone(j, gone, n);
	if (r != 0) {
		free(known);
		return r == -EAGAIN ? 0 : r;
	}
	for (k = 0; k < gone; k++) {
		if (box_find_uid(box, known[k], &m) != 0 || m.doomed)
			continue;
		box_doom(box, m.id);
		replay_or_settle(j->fs, j->f, REPLAY_UNLINK, &m);
	}
	free(known);
	*ret_gone = gone;
	return 0;
}

static int sync_finish(struct arrive_job *j)
{
	struct sync *y = j->f->sync;
	struct cache_state s;
	struct box *box;
	size_t gone = 0;
	int r;

	r = folder_get(j->fs, j->f, &box);
	if (r != 0)
		return r;

	r = sync_sweep(j, box, &gone);
	if (r == 0) {
		box_state(box, &s);
		s.uidnext = y->new_uidnext;
		s.synced_at = time(NULL);
		if (gone > 0)
			s.changed_at_ns = arrive_now_ns();
		r = box_set_state(box, &s);
	}
	folder_put(j->fs, j->f);
	if (r == 0 && (gone > 0 || y->n_new > 0))
		notify_attr(j->fs->notify, tree_ino(j->fs->tree, j->f));
	return r;
}

static void sync_done(void *ctx, int result, const struct imap_error *why,
		      const struct imap_sync_end *end)
{
	struct arrive_job *j = ctx;
	struct sync *y = j->f->sync;

	(void)end;
	if (result == 0)
		result = sync_finish(j);
	else if (result != -ECANCELED)
		log_debug("sync: of '%s' ended: %s", j->f->path,
			  why ? why->text : "");

	j->f->sync = NULL;
	sync_free(y);
	folder_job_done(j->fs, j->f, result);
	free(j);
}
