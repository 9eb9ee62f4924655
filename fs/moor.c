/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/heard.h"
#include "fs/arrive.h"
#include "fs/effects.h"
#include "fs/folder.h"
#include "fs/keep.h"
#include "fs/load.h"
#include "fs/offline.h"
#include "fs/ranges.h"
#include "imap/log.h"

/*
 * A mailbox with another UIDVALIDITY than it had, or another name: which of
 * its messages are those that we know? All of it is listed; of each message
 * only a key is kept (cache_key_of()), and when the listing has come to its
 * end, the rows whose key stands once on both sides get the new UIDs. They
 * keep their inode numbers, names and bodies. The others are gone.
 *
 * What is new is not taken in here: the state that is stored says that
 * messages are known below the first unknown one, and the sync that follows
 * brings it and those above, and everybody's flags. If too many are unknown
 * for that, an ordinary listing follows. A kill at any moment leaves rows
 * unmoored, for which this is done again.
 */

/* This often in a mount is no accident any more. */
#define RENEWED_MAX 3
/* So many may be expunged meanwhile, or not be described by the server. */
#define UNLISTED_MAX 64

/* The context of the job, whose thread it belongs to. */
struct moor {
	struct fs *fs;
	struct folder *f;
	struct cache_key *keys; /* of what is listed */
	size_t n_keys, size_keys;
	struct ranges uids;      /* of what is listed */
	uint32_t uidvalidity;    /* as EXAMINE said ... */
	uint32_t uidnext;        /* ... the first time */
	uint32_t messages;       /* ... the last time */
	uint32_t lowest_unknown; /* UID; 0: all are known */
	size_t n_unknown;
};

int moor_begin(struct folder *f, struct box *box,
	       const struct imap_mailbox *now)
{
	struct cache_state none = {.changed_at_ns = arrive_now_ns()}, s;
	unsigned renewed;
	size_t n = 0;
	int r;

	box_state(box, &s);
	lock_take(&f->lock);
	renewed = ++f->renewed;
	lock_drop(&f->lock);
	log_warn("sync: folder '%s' was made anew on the server: its messages "
		 "are looked for",
		 f->path);
	if (now->uidvalidity < s.uidvalidity)
		log_warn("sync: the UIDVALIDITY of '%s' went down, from %u to "
			 "%u",
			 f->path, s.uidvalidity, now->uidvalidity);
	if (renewed > RENEWED_MAX)
		log_warn("sync: the UIDVALIDITY of '%s' has changed %u times: "
			 "the server does not keep its numbers",
			 f->path, renewed);
	r = box_unmoor(box, &none, &n);
	return r == 0 ? -ESTALE : r;
}

static int moor_opened(void *ctx, const struct imap_mailbox *now);
static int moor_rows(void *ctx, const struct mail_row *rows, size_t n);
static void moor_done(void *ctx, int result, const struct imap_error *why);

static const struct imap_list_ops moor_ops = {moor_opened, moor_rows, NULL,
					      moor_done};

static void moor_free(struct moor *m)
{
	ranges_clear(&m->uids);
	free(m->keys);
	free(m);
}

int moor_start_locked(struct fs *fs, struct folder *f, enum imap_priority prio)
{
	const struct imap_list_request req = {0};
	struct moor *m;
	int r;

	if (fs->stopping)
		return -ENOTCONN;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;

	m->fs = fs;
	m->f = f;
	f->busy = FOLDER_MOORING;
	f->asked_ms = clock_now_ms();
	f->progress_ms = f->asked_ms;
	f->n_listed = 0;
	f->n_expected = 0;
	r = imap_list(fs->imap, f->wire, prio, &req, &moor_ops, m, &f->job);
	if (r != 0) {
		f->busy = FOLDER_IDLE;
		moor_free(m);
	}
	return r;
}

/*
 * What a change came to may have unmoored one row only, which is how a new
 * UIDVALIDITY is heard of first then: no other row has the UID that it had.
 */
static int unmoor_others(struct moor *m, const struct imap_mailbox *now)
{
	struct cache_state s;
	struct box *box;
	int r = folder_get(m->fs, m->f, &box);

	if (r != 0)
		return r;
	box_state(box, &s);
	if (s.uidvalidity != 0 && s.uidvalidity != now->uidvalidity)
		r = moor_begin(m->f, box, now);
	folder_put(m->fs, m->f);
	return r == -ESTALE ? 0 : r;
}

static int moor_opened(void *ctx, const struct imap_mailbox *now)
{
	struct moor *m = ctx;
	int r;

	if (folder_is_lost(m->f))
		return -ENOENT;
	r = unmoor_others(m, now);
	if (r != 0)
		return r;
	if (m->uidvalidity != now->uidvalidity) {
		/* The first time, or it has changed once more. */
		ranges_clear(&m->uids);
		m->n_keys = 0;
		m->uidvalidity = now->uidvalidity;
		m->uidnext = now->uidnext;
	}
	m->messages = now->messages;
	lock_take(&m->f->lock);
	m->f->n_expected = now->messages;
	lock_drop(&m->f->lock);
	return 0;
}

static int add_key(struct moor *m, const struct mail_row *row)
{
	struct cache_key key;

	if (!cache_key_of(m->fs->cache, row, &key))
		return 0;
	if (m->n_keys == m->size_keys) {
		size_t size = m->size_keys ? m->size_keys * 2 : 256;
		void *v = realloc(m->keys, size * sizeof(m->keys[0]));

		if (!v)
			return -ENOMEM;
		m->keys = v;
		m->size_keys = size;
	}
	m->keys[m->n_keys++] = key;
	return 0;
}

static int moor_rows(void *ctx, const struct mail_row *rows, size_t n)
{
	struct moor *m = ctx;
	int r = folder_is_lost(m->f) ? -ENOENT : 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		/* Handed out twice it would not be alone. */
		if (ranges_has(&m->uids, rows[i].uid))
			continue;
		r = ranges_add(&m->uids, rows[i].uid, rows[i].uid);
		if (r == 0)
			r = add_key(m, &rows[i]);
	}
	lock_take(&m->f->lock);
	m->f->n_listed += n;
	m->f->progress_ms = clock_now_ms();
	lock_drop(&m->f->lock);
	return r;
}

/* --- the end --- */

static int moor_matches(struct moor *m, struct box *box)
{
	struct cache_key *old = NULL;
	struct cache_moor *found;
	size_t n_old = 0, n;
	int r;

	r = box_unmoored_keys(box, &old, &n_old);
	if (r != 0)
		return r;
	n = n_old < m->n_keys ? n_old : m->n_keys;
	found = calloc(n + 1, sizeof(*found));
	r = found ? 0 : -ENOMEM;
	if (r == 0) {
		n = cache_match(old, n_old, m->keys, m->n_keys, found);
		r = box_moor(box, found, n);
	}
	if (r == 0)
		log_info("sync: %zu messages of '%s' were found again", n,
			 m->f->path);
	free(found);
	free(old);
	return r;
}

/* Those that the user has moved away from here, and are not found there. */
static int give_up_moved(struct moor *m)
{
	const struct journal_filter here = {.folder = m->f->id};
	const struct journal_failure why = {
		.what = "to change a message",
		.why = "the mailbox was made anew on the server, and it is not "
		       "certain which of its messages this was",
		.file = m->f->path};
	struct journal_effects *effects = NULL;
	struct journal_result *v;
	struct journal_list *list;
	size_t n = 0;
	int r;

	r = journal_read(m->fs->cache, &here, &list);
	if (r != 0)
		return r;
	v = calloc(list->n + 1, sizeof(*v));
	r = v ? 0 : -ENOMEM;
	for (size_t i = 0; v && i < list->n; i++) {
		const struct journal_entry *e = &list->v[i];

		if (e->origin.folder == m->f->id &&
		    e->origin.uidvalidity != m->uidvalidity &&
		    (e->at != m->f->id || e->how == JOURNAL_COPIES))
			v[n++] = (struct journal_result){
				.id = e->id, .rest = JOURNAL_GONE, .why = &why};
	}
	if (n > 0)
		r = journal_settle(m->fs->cache, v, n, &effects);
	if (r == 0)
		effects_tell(m->fs, effects);
	free(effects);
	free(v);
	free(list);
	return r;
}

/* What was moved away from here and is not on the server as it is here. */
static int moor_moved(struct moor *m)
{
	struct journal_effects *effects = NULL;
	struct cache_key *old = NULL;
	struct cache_moor *found;
	size_t n_old = 0, n;
	int r;

	r = journal_keys(m->fs->cache, m->f->id, m->uidvalidity, &old, &n_old);
	if (r != 0)
		return r;
	n = n_old < m->n_keys ? n_old : m->n_keys;
	found = calloc(n + 1, sizeof(*found));
	r = found ? 0 : -ENOMEM;
	if (found) {
		n = cache_match(old, n_old, m->keys, m->n_keys, found);
		r = journal_rebase(m->fs->cache, m->f->id, m->uidvalidity,
				   found, n, &effects);
	}
	if (r == 0)
		effects_tell(m->fs, effects);
	free(effects);
	free(found);
	free(old);
	return r == 0 ? give_up_moved(m) : r;
}

/* Changes of messages that are not found are not made on any other. */
static void list_lost(struct moor *m, struct box *box, const uint64_t *ids,
		      size_t n)
{
	struct journal_list *list;
	struct cache_msg msg;
	char *file;

	for (size_t i = 0; i < n; i++) {
		struct journal_failure f = {
			.what = "to change a message",
			.why = "the mailbox was made anew on the server, and "
			       "it was not found again"};

		if (journal_get(m->fs->cache, ids[i], &list) != 0)
			continue;
		free(list);
		file = NULL;
		if (box_find_id(box, ids[i], &msg) == 0 &&
		    asprintf(&file, "%s/%s", m->f->path, msg.name) < 0)
			file = NULL;
		f.file = file;
		if (journal_note_failure(m->fs->cache, &f) != 0)
			log_warn("sync: a change of '%s' is lost: %s",
				 file ? file : m->f->path, f.why);
		free(file);
	}
}

/* Which of the listed messages have no row? */
static void count_unknown(struct moor *m, struct box *box)
{
	struct cache_msg msg;

	m->n_unknown = 0;
	m->lowest_unknown = 0;
	for (size_t i = 0; i < m->uids.n; i++) {
		const struct mail_range *v = &m->uids.v[i];

		for (uint64_t uid = v->first; uid <= v->last; uid++) {
			if (box_find_uid(box, (uint32_t)uid, &msg) == 0)
				continue;
			m->n_unknown++;
			if (m->lowest_unknown == 0 || uid < m->lowest_unknown)
				m->lowest_unknown = (uint32_t)uid;
		}
	}
}

static void next_state(const struct moor *m, struct cache_state *ret)
{
	uint32_t top = m->uids.n > 0 ? m->uids.v[m->uids.n - 1].last : 0;

	if (top < UINT32_MAX)
		top++; /* behind it, if there can be another one */
	*ret = (struct cache_state){
		.uidvalidity = m->uidvalidity,
		.uidnext = m->uidnext > top ? m->uidnext : top,
		.messages = m->messages,
		.changed_at_ns = arrive_now_ns(),
	};
	if (m->n_unknown > FS_REPLAY_MAX)
		return; /* an ordinary listing brings them */
	ret->complete = true;
	if (m->lowest_unknown != 0 && m->lowest_unknown < ret->uidnext)
		ret->uidnext = m->lowest_unknown;
}

/* Who waits for a body of theirs looks again: it has a UID, or is gone. */
static void wake_all(struct fs *fs, const uint64_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		load_wake(fs, ids[i]);
}

static int moor_finish(struct moor *m, struct box *box)
{
	unsigned budget = FS_REPLAY_MAX;
	uint64_t *all = NULL, *gone = NULL;
	size_t n_all = 0, n_gone = 0;
	struct cache_state s;
	int r;

	/* What is not named here is lost: half an answer is none. */
	if (ranges_count(&m->uids) + UNLISTED_MAX < m->messages) {
		log_warn("sync: the server listed %llu of %u messages of '%s'",
			 (unsigned long long)ranges_count(&m->uids),
			 m->messages, m->f->path);
		return -EPROTO;
	}
	r = box_unmoored_ids(box, &all, &n_all);
	if (r == 0)
		r = moor_matches(m, box);
	if (r == 0)
		r = moor_moved(m);
	if (r == 0)
		r = box_unmoored_ids(box, &gone, &n_gone);
	if (r == 0) {
		list_lost(m, box, gone, n_gone);
		count_unknown(m, box);
		next_state(m, &s);
		r = folder_doom(m->fs, m->f, gone, n_gone, &s, &budget);
	}
	if (r == 0)
		wake_all(m->fs, all, n_all);
	free(gone);
	free(all);
	return r;
}

static void moor_done(void *ctx, int result, const struct imap_error *why)
{
	struct moor *m = ctx;
	struct box *box;

	if (result == 0) {
		result = folder_get(m->fs, m->f, &box);
		if (result == 0) {
			result = moor_finish(m, box);
			folder_put(m->fs, m->f);
		}
		/* The rest is asked for by what the state says now. */
		if (result == 0)
			result = -ESTALE;
	} else {
		folder_log_end(m->f, "sync: a listing", result, why);
	}
	folder_job_done(m->fs, m->f, result);
	offline_note(m->fs, m->f);
	/* Another mailbox under this name: where is the one that had it? */
	if (result == -ESTALE)
		(void)keep_ask_folders(m->fs, IMAP_PRIO_SYNC);
	moor_free(m);
	(void)malloc_trim(0);
}
