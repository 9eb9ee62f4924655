/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>

#include "fs/ahead.h"
#include "fs/budget.h"
#include "fs/folder.h"
#include "fs/load_private.h"
#include "fs/offline_private.h"

/*
 * A large body, piece by piece, each a job of its own. A piece is asked for
 * from where the first gap is, and shows the end of the body if less comes
 * than was asked for: so the last one asks for more than there should be.
 * Callbacks run on a connection's thread, one at a time.
 */

#define PIECE (1u << 20)

struct large {
	struct fs *fs;
	struct folder *f;
	uint64_t id;
	uint32_t uid; /* when the first piece was asked for: in a mailbox that
		       * was made anew it is another message's */
	uint32_t uidvalidity;
	struct body *body;
	uint64_t offset; /* of the piece */
	uint64_t length;
	uint64_t at; /* where the next bytes go */
	bool came;   /* the piece has begun to come */
	int error;
};

static void finish(struct large *l, int result)
{
	struct fs *fs = l->fs;
	struct folder *f = l->f;
	uint64_t id = l->id;

	body_put(l->body);
	free(l);
	load_moved(fs, id);
	offline_ended(fs, f, result == 0, result);
}

static int ask(struct large *l);

static int large_begin(void *ctx, uint32_t uid, uint64_t offset, uint64_t size)
{
	struct large *l = ctx;

	if (uid != l->uid || offset != l->offset || size > l->length)
		return -EBADMSG;
	l->at = offset;
	l->came = true;
	return 0;
}

static int large_data(void *ctx, uint32_t uid, const void *bytes, size_t n)
{
	struct large *l = ctx;
	int r = body_write(l->body, l->at, bytes, n);

	(void)uid;
	if (r == 0)
		l->at += n;
	return r;
}

static void large_end(void *ctx, uint32_t uid, int result)
{
	struct large *l = ctx;

	(void)uid;
	if (result != 0)
		l->error = result;
}

static int end_of_body(struct large *l)
{
	int r;

	/* Before a reader can find it whole. */
	load_correct_size(l->fs, l->id, l->at);
	r = body_end(l->body, l->at);
	if (r == 0)
		ahead_remember(l->fs, l->id);
	return r;
}

static void large_done(void *ctx, int result, const struct imap_error *why)
{
	struct large *l = ctx;

	(void)why;
	budget_fetched(l->fs, result);
	if (result == 0)
		result = l->error;
	if (result == 0 && !l->came)
		result = -EBADMSG; /* no such message, or no body */
	if (result == 0 && l->at - l->offset < l->length) {
		finish(l, end_of_body(l));
		return;
	}
	if (result == 0)
		result = ask(l);
	if (result != 0)
		finish(l, result);
}

static const struct imap_body_ops large_ops = {large_begin, large_data,
					       large_end, large_done};

/* The first gap from where the last piece ended; behind all, what may be there.
 */
static void choose_piece(struct large *l)
{
	uint64_t size = body_size(l->body), gap;

	if (l->at >= size || !body_gap(l->body, l->at, &l->offset, &gap)) {
		l->offset = l->at > size ? l->at : size;
		gap = PIECE;
	}
	/* Up to the end, and further. */
	if (gap > PIECE || l->offset + gap >= size)
		gap = PIECE;
	l->length = gap;
	l->at = l->offset;
	l->came = false;
}

static int ask(struct large *l)
{
	struct imap_body_request req = {
		.uidvalidity = l->uidvalidity, .uids = &l->uid, .n_uids = 1};
	imap_job job;

	if (l->fs->stopping)
		return -ECANCELED;
	if (budget_ahead_left(l->fs) == 0)
		return -EDQUOT;
	choose_piece(l);
	req.offset = l->offset;
	req.length = l->length;
	return imap_fetch(l->fs->imap, l->f->wire, IMAP_PRIO_PREFETCH, &req,
			  &large_ops, l, &job);
}

/* The state comes first: of a row that was read before it says nothing. */
static int find_uid(struct large *l)
{
	struct cache_state s;
	struct cache_msg now;
	struct box *box;
	int r;

	r = folder_get(l->fs, l->f, &box);
	if (r != 0)
		return r;
	box_state(box, &s);
	r = box_find_id(box, l->id, &now);
	folder_put(l->fs, l->f);
	if (r != 0)
		return r;
	l->uid = now.uid;
	l->uidvalidity = s.uidvalidity;
	return l->uid != 0 ? 0 : -ESTALE;
}

int offline_fetch_large(struct fs *fs, struct folder *f,
			const struct cache_msg *m)
{
	struct large *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	*l = (struct large){.fs = fs, .f = f, .id = m->id};
	r = find_uid(l);
	if (r == 0)
		r = body_open(fs->cache, m->id, m->size, &l->body);
	if (r != 0) {
		free(l);
		return r;
	}
	r = ask(l);
	if (r != 0) {
		body_put(l->body);
		free(l);
	}
	return r;
}
