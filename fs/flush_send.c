/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/flush_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/folder.h"

/*
 * Commands. Callbacks run on connections' threads, and write into the batch,
 * which the flusher's thread does not touch until all of them have come.
 */

/* Copy the server's words; NULL is fine. */
static char *copy_words(const struct imap_error *why)
{
	return why && why->text[0] ? strdup(why->text) : NULL;
}

/* --- answers --- */

/* Both in ascending order of the UID in the source. */
static void take_pairs(struct batch *b, const struct imap_outcome *end)
{
	size_t at = 0;

	for (size_t i = 0; i < end->n_pairs; i++) {
		while (at < b->n && b->v[at].uid < end->pairs[i].from)
			at++;
		if (at < b->n && b->v[at].uid == end->pairs[i].from)
			b->v[at].to = end->pairs[i].to;
	}
	if (end->n_pairs > 0)
		b->heard_uidvalidity = end->uidvalidity;
}

static void take_outcome(struct batch *b, const struct imap_outcome *end)
{
	b->result = end->result;
	b->unknown = end->unknown;
	b->only_flagged = end->only_flagged;
	b->is_read_only = end->is_read_only;
	b->left_flags = end->left_flags;
	free(b->left_keywords);
	b->left_keywords = end->left_keywords && end->left_keywords[0]
				   ? strdup(end->left_keywords)
				   : NULL;
	free(b->why);
	b->why = copy_words(&end->why);
}

static void command_done(void *ctx, const struct imap_outcome *end)
{
	struct batch *b = ctx;

	take_outcome(b, end);
	take_pairs(b, end);
	flush_arrived(b);
}

/* Where they are kept without it is of no interest. */
static void label_taken(void *ctx, const struct imap_outcome *end)
{
	struct batch *b = ctx;

	take_outcome(b, end);
	flush_arrived(b);
}

/* Several run side by side: each writes into its own message only. */
static void append_done(void *ctx, const struct imap_outcome *end)
{
	struct item *it = ctx;
	struct batch *b = it->batch;

	it->result = end->result;
	it->unknown = end->unknown;
	free(it->why);
	it->why = copy_words(&end->why);
	if (end->n_pairs == 1) {
		it->to = end->pairs[0].to;
		lock_take(&b->flush->lock);
		b->heard_uidvalidity = end->uidvalidity;
		lock_drop(&b->flush->lock);
	}
	flush_arrived(b);
}

static void uidnext_done(void *ctx, int result, const struct imap_mailbox *box,
			 const struct imap_error *why)
{
	struct batch *b = ctx;

	b->result = result;
	free(b->why);
	b->why = copy_words(why);
	if (result == 0) {
		b->to_uidvalidity = box->uidvalidity;
		b->to_uidnext = box->uidnext;
	}
	flush_arrived(b);
}

/* --- commands --- */

/* The UIDs of those that wait for a verdict; free(). NULL: no memory. */
static uint32_t *open_uids(const struct batch *b, size_t *ret_n)
{
	uint32_t *uids = malloc((b->n + 1) * sizeof(*uids));
	size_t n = 0;

	for (size_t i = 0; uids && i < b->n; i++)
		if (b->v[i].verdict == VERDICT_OPEN)
			uids[n++] = b->v[i].uid;
	*ret_n = n;
	return uids;
}

/* Away from this mailbox, and never more than that where they are labels. */
static int take_away(struct batch *b, const struct imap_messages *which)
{
	struct fs *fs = b->flush->fs;
	bool is_label = imap_has_labels(fs->imap) &&
			!(b->from->attrs & (FOLDER_TRASH | FOLDER_JUNK));
	struct folder *all;
	imap_job job;

	if (!is_label)
		return imap_remove(fs->imap, which, command_done, b, &job);
	all = tree_special(fs->tree, FOLDER_ALL);
	if (!all || all == b->from)
		return -EPERM;
	return imap_move(fs->imap, which, all->wire, label_taken, b, &job);
}

static int start(struct batch *b, enum journal_part part,
		 const struct imap_messages *which)
{
	struct imap *im = b->flush->fs->imap;
	const struct imap_flag_delta delta = {
		b->add,          b->remove,
		b->add_keywords, b->remove_keywords,
		b->add_labels,   b->remove_labels};
	imap_job job;

	switch (part) {
	case JOURNAL_COPY:
		return imap_copy(im, which, b->to->wire, command_done, b, &job);
	case JOURNAL_STORE:
		return imap_store(im, which, &delta, command_done, b, &job);
	case JOURNAL_MOVE:
		/* Without MOVE it is copied, and removed when that is known. */
		return b->has_copied ? imap_copy(im, which, b->to->wire,
						 command_done, b, &job)
				     : imap_move(im, which, b->to->wire,
						 command_done, b, &job);
	default:
		return take_away(b, which);
	}
}

/* A command that could not be begun was not sent. */
void flush_run(struct batch *b, enum journal_part part)
{
	struct imap_messages which = {.wire = b->from->wire,
				      .uidvalidity = b->from_uidvalidity,
				      .since_ms = b->from->touched_ms};
	uint32_t *uids = open_uids(b, &which.n_uids);
	int r = uids ? 0 : -ENOMEM;

	which.uids = uids;
	b->has_copied =
		part == JOURNAL_MOVE && !imap_has_move(b->flush->fs->imap);
	flush_expect(b, 1);
	if (r == 0)
		r = start(b, part, &which);
	free(uids);
	if (r == 0)
		return;
	b->result = r;
	b->unknown = false;
	flush_arrived(b);
}

/* What the row and the details say of a message that is to be appended. */
static int append_one(struct batch *b, struct item *it)
{
	struct fs *fs = b->flush->fs;
	struct imap_append_request req = {.wire = b->to->wire};
	struct cache_details *d = NULL;
	struct cache_msg m;
	struct box *box;
	imap_job job;
	int r, fd = -1;

	r = folder_get(fs, b->to, &box);
	if (r != 0)
		return r;
	r = box_find_id(box, it->id, &m);
	if (r == 0)
		r = box_details(box, it->id, &d);
	folder_put(fs, b->to);
	if (r == 0)
		r = spool_open(fs->cache, it->id, false, &fd);
	if (r == 0)
		r = spool_size(fd, &it->size);
	if (r == 0) {
		req.flags = m.flags;
		req.keywords = d->keywords;
		req.internaldate = m.internaldate;
		req.fd = fd;
		req.size = it->size;
		flush_expect(b, 1);
		r = imap_append(fs->imap, &req, append_done, it, &job);
		if (r != 0)
			flush_expect(b, -1);
	}
	if (fd >= 0)
		close(fd);
	free(d);
	return r;
}

static void append_all(struct batch *b)
{
	flush_expect(b, 1);
	for (size_t i = 0; i < b->n; i++) {
		struct item *it = &b->v[i];
		int r = it->verdict == VERDICT_OPEN ? append_one(b, it) : 0;

		if (r == 0)
			continue;
		it->result = r == -ENOENT ? -ECANCELED : r;
		it->unknown = false;
	}
	flush_arrived(b);
}

/* --- before the command --- */

/* F1. Those that have changed since they were read are left out. */
static int mark(struct batch *b)
{
	struct journal_mark *m = calloc(b->n, sizeof(*m));
	int r = m ? 0 : -ENOMEM;

	for (size_t i = 0; m && i < b->n; i++)
		m[i] = (struct journal_mark){.id = b->v[i].id,
					     .gen = b->v[i].gen,
					     .parts = b->part,
					     .is_look = b->is_look,
					     .uidvalidity = b->to_uidvalidity,
					     .uidnext = b->to_uidnext};
	if (r == 0)
		r = journal_mark_sent(b->flush->fs->cache, m, b->n);
	for (size_t i = b->n; r == 0 && i-- > 0;)
		if (!m[i].marked)
			batch_drop(b, i);
	free(m);
	return r;
}

/* Nothing is marked, so nothing is to be settled. */
static void give_up(struct batch *b, int error)
{
	while (b->n > 0)
		batch_drop(b, b->n - 1);
	b->result = error;
	flush_end(b);
}

void flush_send_marked(struct batch *b)
{
	b->state = BATCH_SENDING;
	if (b->part == JOURNAL_APPEND)
		append_all(b);
	else
		flush_run(b, b->part);
}

static void send(struct batch *b)
{
	int r = mark(b);

	if (r != 0 || b->n == 0) {
		give_up(b, r);
	} else if (b->is_look) {
		flush_look_properly(b);
	} else if (b->is_doubted) {
		b->is_relooking = true;
		b->looks = FLUSH_LOOKS - 1;
		flush_look(b);
	} else {
		flush_send_marked(b);
	}
}

/*
 * A lower bound of the destination's UIDNEXT: what is new from there on may be
 * ours. One that is known already will do, since it only grows.
 */
static bool knows_uidnext(struct batch *b)
{
	const struct lane *l = flush_lane(b->flush, b->part, b->from, b->to);
	struct cache_state s;

	folder_state(b->to, &s);
	if (s.uidvalidity != 0 && s.uidnext != 0) {
		b->to_uidvalidity = s.uidvalidity;
		b->to_uidnext = s.uidnext;
	} else if (l) {
		b->to_uidvalidity = l->to_uidvalidity;
		b->to_uidnext = l->to_uidnext;
	}
	return b->to_uidnext != 0;
}

static void learn_uidnext(struct batch *b)
{
	struct lane *l = flush_lane(b->flush, b->part, b->from, b->to);

	if (!l)
		return;
	l->to_uidvalidity = b->to_uidvalidity;
	l->to_uidnext = b->to_uidnext;
}

void flush_begin(struct batch *b)
{
	imap_job job;
	int r;

	if (!b->to || b->is_doubted || knows_uidnext(b)) {
		send(b);
		return;
	}
	b->state = BATCH_ASKING;
	flush_expect(b, 1);
	r = imap_uidnext(b->flush->fs->imap, b->to->wire, uidnext_done, b,
			 &job);
	if (r == 0)
		return;
	b->result = r;
	flush_arrived(b);
}

void flush_asked(struct batch *b)
{
	if (b->result == 0)
		learn_uidnext(b);
	/* What cannot be asked is refused by the command, in its words. */
	if (b->result == 0 || !imap_is_for_now(b->result)) {
		send(b);
		return;
	}
	give_up(b, b->result);
}
