/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ops.h"

#include <errno.h>

#include "fs/draft.h"
#include "fs/flush.h"

/*
 * FSYNC and FSYNCDIR.
 *
 * What is open for writing is on disk then; what is not, and was written to, is
 * completed at once, and counts as changed. What was changed is on disk within
 * a second by itself; fsync(2) makes sure at once, and of a message waits for
 * the server, too, as long as there is one to be reached: without a connection
 * the change is queued, which is all that can be promised. That of
 * `.imapfs/queue` completes all that is written, waits for all changes, and
 * fails if they cannot be sent, or something that is written cannot be
 * completed for want of disk. A directory must not wait: the kernel has it
 * locked.
 */

/*
 * Longest wait for whether somebody writes to a file that is synced: the kernel
 * has its lock meanwhile, and who is asked about it may be waiting for that.
 */
#define DRAFT_WAIT_MS 2000

static bool is_file(const struct request *r)
{
	return r->ino < CONTROL_INO_FIRST;
}

/* What draft.h knows it by: all of them are 0. */
static uint64_t draft_of(const struct request *r)
{
	return is_file(r) ? r->ino : 0;
}

/* Until when may it be found out whether drafts are complete? */
static int64_t drafts_until_ms(const struct request *r)
{
	return r->began_ms + (is_file(r) ? DRAFT_WAIT_MS : r->fs->timeout_ms);
}

/* Wait for them, if there is time. */
static bool wait_for_drafts(struct request *r)
{
	if (r->began_ms != 0 && clock_now_ms() >= drafts_until_ms(r))
		return false;
	r->edit.waits = DRAFT_KEY(draft_of(r));
	return true;
}

static int file_state(struct request *r)
{
	int error = draft_state(r->fs, r->ino);

	if (error == -EAGAIN && wait_for_drafts(r))
		return error;
	if (error != 0 && error != -EAGAIN)
		return error;
	error = flush_state(r->fs, draft_became(r->fs, r->ino));
	return error == -ENOTCONN ? 0 : error;
}

/* What is written when all that was there has been completed is not meant. */
static int queue_state(struct request *r)
{
	int error = r->edit.made ? 0 : draft_state(r->fs, 0);

	if (error == -EAGAIN)
		return wait_for_drafts(r) ? error : -ETIMEDOUT;
	if (error != 0)
		return error;
	r->edit.made = true;
	return flush_drained(r->fs);
}

static int answer_to_sync(struct request *r)
{
	r->edit.waits = 0;
	return is_file(r) ? file_state(r) : queue_state(r);
}

static int sync_once(struct request *r)
{
	int error = answer_to_sync(r);

	if (error != -EAGAIN)
		ops_reply_err(r->req, error);
	return error;
}

static void sync_how(struct request *r, struct parking *ret)
{
	if (r->edit.waits != 0) {
		ret->key = r->edit.waits;
		ret->deadline_ms = drafts_until_ms(r);
		ret->late_error = 0;
		return;
	}
	ret->key = FLUSH_INO;
	/* From the last progress on: whatever moves wakes it. */
	ret->deadline_ms = clock_now_ms() + r->fs->timeout_ms;
	ret->late_error = -ETIMEDOUT;
}

static uint64_t sync_gen(struct request *r)
{
	return flush_gen(r->fs) + draft_gen(r->fs);
}

static void sync_resume(struct request *r);

static const struct waiting sync_waiting = {sync_once, sync_how, sync_gen,
					    sync_resume};

static void sync_resume(struct request *r)
{
	ops_run(r, &sync_waiting);
}

void ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
	       struct fuse_file_info *fi)
{
	struct request r = {.req = req, .fs = ops_fs(req), .ino = ino};
	bool is_queue = control_is(r.fs, ino, CONTROL_QUEUE);
	int error = 0;

	(void)datasync;
	(void)fi;
	if (is_file(&r))
		error = draft_sync(r.fs, ino);
	else if (is_queue)
		error = cache_sync(r.fs->cache);
	if (error == 0)
		draft_hurry(r.fs, draft_of(&r));
	if (error != 0 || !(is_file(&r) || is_queue))
		ops_reply_err(req, error);
	else
		ops_run(&r, &sync_waiting);
}

void ops_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
		  struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
	ops_reply_err(req, cache_sync(ops_fs(req)->cache));
}
