/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/load_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/ahead.h"
#include "fs/attr.h"
#include "fs/budget.h"
#include "fs/folder.h"
#include "fs/keep.h"
#include "fs/park.h"
#include "imap/log.h"

/*
 * One imap_fetch() for a body that a reader waits for: what the server sends
 * goes into the cache, and who waits is woken now and then. The callbacks run
 * on the thread of a connection.
 */

/* One running imap_fetch(). */
struct part_job {
	struct fs *fs;
	struct fetch *t;
	struct origin from;
	const char *wire; /* as the folder was called then */
	uint32_t moves;   /* of the folder, before that */
	uint64_t offset;
	uint64_t length; /* 0: to the end */
	uint64_t listed; /* what the body has, as the server said */
	uint64_t at;     /* where the next bytes go */
	uint64_t size;   /* announced for this literal */
	bool began;
	int error;        /* of the answer; a repeated one may be right */
	int64_t asked_ms; /* the first time */
	bool asked_again;
};

void load_moved(struct fs *fs, uint64_t id)
{
	fs->load->gen++;
	park_wake(fs->park, id);
}

/* --- what the server sends; on a connection's thread --- */

static int part_begin(void *ctx, uint32_t uid, uint64_t offset, uint64_t size)
{
	struct part_job *j = ctx;

	(void)uid;
	j->error = 0;
	if (offset != j->offset)
		return -EBADMSG;
	if (j->length != 0 && size > j->length)
		return -EBADMSG;

	j->began = true;
	j->at = offset;
	j->size = size;
	return 0;
}

static int part_data(void *ctx, uint32_t uid, const void *bytes, size_t n)
{
	struct part_job *j = ctx;
	struct fetch *t = j->t;
	struct load *l = j->fs->load;
	bool wake;
	int r;

	(void)uid;
	r = body_write(t->body, j->at, bytes, n);
	if (r != 0)
		return r;

	j->at += n;
	lock_take(&l->lock);
	t->arrived += n;
	wake = t->arrived - t->woken_at >= LOAD_WAKE_BYTES;
	if (wake)
		t->woken_at = t->arrived;
	lock_drop(&l->lock);
	park_extend(j->fs->park, t->id, clock_now_ms() + j->fs->timeout_ms);
	if (wake)
		load_moved(j->fs, t->id);
	return 0;
}

/*
 * Does this answer show where the body ends? It does if all was asked for, if
 * nothing came (then at most here), or if less came than was asked for and the
 * listed size is reached. Less than that, short of the listed size, may be a
 * server that sends small pieces: the next question will tell.
 */
static bool shows_end(const struct part_job *j)
{
	if (j->length == 0 || j->size == 0)
		return true;
	return j->size < j->length && j->at >= j->listed;
}

/* An empty answer only says that the end is not behind it. */
static bool is_exact(const struct fetch *t, uint64_t end)
{
	uint64_t at, n;

	return end == 0 || !body_gap(t->body, end - 1, &at, &n) || at >= end;
}

/*
 * Parts may be answered in any order: whichever comes last completes a body
 * whose end some answer has shown. What has gaps only gets its size.
 *
 * Order matters: a reader may be answered as soon as the end is known, and
 * whoever it is that asks then must be told of the right size.
 */
static int end_if_known(const struct part_job *j)
{
	struct load *l = j->fs->load;
	struct fetch *t = j->t;
	uint64_t end;
	int r;

	lock_take(&l->lock);
	if (shows_end(j) && j->at < t->end_at)
		t->end_at = j->at;
	end = t->end_at;
	lock_drop(&l->lock);
	if (end == LOAD_END_UNKNOWN)
		return 0;
	if (is_exact(t, end)) {
		load_correct_size(j->fs, t->id, end);
		lock_take(&l->lock);
		t->end_known = true;
		lock_drop(&l->lock);
	}

	r = body_end(t->body, end);
	if (r != 0)
		log_warn("load: a body cannot be kept: %s",
			 strerrordesc_np(-r));
	else if (body_is_whole(t->body))
		ahead_remember(j->fs, t->id);
	return r;
}

static void part_end(void *ctx, uint32_t uid, int result)
{
	struct part_job *j = ctx;

	(void)uid;
	if (result == 0)
		result = end_if_known(j);
	if (result == 0) {
		/* The server's OK may be long in coming: do not wait for it. */
		load_moved(j->fs, j->t->id);
		return;
	}
	j->error = result;
}

void load_drop_part_locked(struct fetch *t, uint64_t offset)
{
	for (unsigned i = 0; i < t->n_parts; i++) {
		if (t->parts[i].offset != offset)
			continue;
		t->parts[i] = t->parts[--t->n_parts];
		return;
	}
}

/* Nothing came, and that is no fault: the reader is to ask somewhere else. */
static void part_ends(struct part_job *j)
{
	struct load *l = j->fs->load;

	lock_take(&l->lock);
	load_drop_part_locked(j->t, j->offset);
	j->t->error = 0;
	lock_drop(&l->lock);
	load_fetch_put(j->fs, j->t);
	free(j);
}

/* It, or its folder, was moved while it was asked for. */
static void part_moved(struct part_job *j)
{
	struct fs *fs = j->fs;
	uint64_t id = j->t->id;

	part_ends(j);
	load_moved(fs, id);
}

static bool is_gone(struct fs *fs, uint64_t id)
{
	struct cache_msg m;
	struct folder *f;

	return attr_find_message(fs, id, &m, &f) != 0 || m.dead || m.doomed;
}

/*
 * The mailbox has other UIDs now: the reader waits until it is known which of
 * them is this message's (moor.c wakes it), or that it cannot be known
 * (load_stale.c). It may be known since the part was asked for.
 */
static void part_stale(struct part_job *j)
{
	if (is_gone(j->fs, j->t->id) ||
	    origin_has_moved(j->fs, j->t->id, &j->from)) {
		part_moved(j);
		return;
	}
	load_stale_note(j->fs, j->t->id, j->from.f);
	folder_resync(j->fs, j->from.f);
	part_ends(j);
}

/* So there is news of its folder that nobody has told. */
static void note_gone(struct fs *fs, struct folder *f)
{
	folder_note_moved(f, clock_now_ms());
	keep_look_again(fs, f);
}

static int send_part(struct part_job *j);

/*
 * No answer: it is gone; or it came after this connection had opened the
 * mailbox, and the server has not told that session of it yet.
 */
static bool ask_again(struct part_job *j)
{
	if (j->asked_again)
		return false;
	j->asked_again = true;
	return send_part(j) == 0;
}

static void part_done(void *ctx, int result, const struct imap_error *why)
{
	struct part_job *j = ctx;
	struct load *l = j->fs->load;
	struct fetch *t = j->t;

	budget_fetched(j->fs, result);
	/* Also where the line was cut in the middle of it. */
	if (result == -ESTALE) {
		part_stale(j);
		return;
	}
	if (result == 0)
		result = j->error;
	/* NIL, or no answer: the message is gone, or has no such bytes. */
	if (result == 0 && !j->began && j->offset > 0 &&
	    j->offset >= j->listed) {
		j->at = j->offset;
		result = end_if_known(j);
		j->began = true;
	}
	if (((!j->began && result == 0) || result == -ENOENT) &&
	    (j->moves != j->from.f->moves ||
	     origin_has_moved(j->fs, t->id, &j->from))) {
		part_moved(j);
		return;
	}
	if (result == 0 && !j->began && ask_again(j))
		return;
	lock_take(&l->lock);
	load_drop_part_locked(t, j->offset);
	if (result == 0 && !j->began)
		result = -ENOENT;
	if (result != 0)
		t->error = result;
	if (t->error != 0)
		t->failed_ms = clock_now_ms();
	else if (body_is_whole(t->body))
		t->damaged = false;
	lock_drop(&l->lock);

	if (result != 0)
		folder_log_end(j->from.f, "load: a fetch", result, why);
	if (result == -ENOENT)
		note_gone(j->fs, j->from.f);
	load_moved(j->fs, t->id);
	load_fetch_put(j->fs, t);
	free(j);
}

static const struct imap_body_ops part_ops = {part_begin, part_data, part_end,
					      part_done};

static int send_part(struct part_job *j)
{
	const struct imap_body_request req = {
		.uidvalidity = j->from.uidvalidity,
		.since_ms = j->asked_again ? j->asked_ms : 0,
		.uids = &j->from.uid,
		.n_uids = 1,
		.offset = j->offset,
		.length = j->length,
		.bytes = j->listed,
	};
	imap_job job;

	return imap_fetch(j->fs->imap, j->wire, IMAP_PRIO_READER, &req,
			  &part_ops, j, &job);
}

int load_ask(struct fs *fs, struct fetch *t, const struct wanted *w,
	     const struct part *p)
{
	struct part_job *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return -ENOMEM;
	j->fs = fs;
	j->t = t;
	j->from = w->from;
	j->offset = p->offset;
	j->listed = w->m->size;
	j->length = p->end == UINT64_MAX ? 0 : p->end - p->offset;
	j->moves = w->from.f->moves;
	j->wire = w->from.f->wire;
	j->asked_ms = clock_now_ms();
	r = send_part(j);
	if (r != 0)
		free(j);
	return r;
}
