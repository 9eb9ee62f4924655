/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/fetch.h"

#include <errno.h>
#include <stdlib.h>

#include "imap/lock.h"
#include "imap/log.h"

/*
 * The bodies of an imap_fetch() as they come: each belongs to a UID that was
 * sent for, or is not taken. They come in pieces from the framer, or whole in
 * the response if the server quotes them.
 *
 * Runs on the thread of the connection that has the job; no lock is held when
 * the one who asked is called.
 */

static void fail_one(struct body_job *j, size_t i, int result)
{
	j->state[i] = DONE;
	if (j->failed.code == 0)
		j->failed.code = result;
	log_warn("imap: the body of message %u of '%s' is not understood",
		 j->uids[i], j->job.mailbox);
}

/* Where in the list is a UID that was sent for? NO_BODY: nowhere. */
static size_t find(const struct body_job *j, uint32_t uid)
{
	size_t lo = 0;
	size_t hi = j->req.n_uids;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (j->uids[mid] < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < j->req.n_uids && j->uids[lo] == uid && j->state[lo] == SENT)
		return lo;
	return NO_BODY;
}

/* The only body that this job waits for. */
static size_t only_one(const struct body_job *j)
{
	for (size_t i = 0; i < j->req.n_uids; i++) {
		if (j->state[i] == SENT)
			return i;
	}
	return NO_BODY;
}

static size_t which(const struct body_job *j, uint32_t uid)
{
	return uid > 0 ? find(j, uid) : only_one(j);
}

/*
 * What begins at 0 may be the whole body or a part of it, which jobs of one
 * connection may both have asked for: so the origin must be there if a part was
 * asked for, and only then (RFC 9051 section 7.5.2). Servers that do not keep
 * to that are believed when there is nothing to mix up.
 */
static bool is_origin_right(const struct body_job *j, const struct session *s,
			    bool has, uint64_t origin)
{
	if (has != (j->req.length > 0) && session_bodies(s) != 1)
		return false;
	return (has ? origin : 0) == j->req.offset;
}

bool fetch_wants(struct job *job, struct session *s,
		 const struct body_head *head)
{
	struct body_job *j = (struct body_job *)job;

	if (j->open != NO_BODY || job->finished ||
	    which(j, head->uid) == NO_BODY ||
	    !is_origin_right(j, s, head->has_origin, head->origin))
		return false;
	j->doubtful = j->doubtful || fetch_has_forgotten(s);
	return !fetch_has_forgotten(s);
}

static int begin(struct body_job *j, size_t i, uint64_t size)
{
	j->size = size;
	if (size > MAIL_SIZE_MAX ||
	    (j->req.length > 0 && size > j->req.length)) {
		fail_one(j, i, -EBADMSG);
		return -EBADMSG;
	}
	j->open = i;
	lock_assert_none();
	j->open_result = j->ops.begin(j->ctx, j->uids[i], j->req.offset, size);
	return j->open_result;
}

void fetch_end(struct body_job *j, int result)
{
	size_t i = j->open;

	if (i == NO_BODY)
		return;
	j->open = NO_BODY;
	j->unproven = false;
	j->state[i] = DONE;
	lock_assert_none();
	j->ops.end(j->ctx, j->uids[i],
		   j->open_result < 0 ? j->open_result : result);
}

int fetch_body_begin(struct job *job, struct session *s,
		     const struct body_head *head, uint64_t size)
{
	struct body_job *j = (struct body_job *)job;

	(void)s;
	j->unproven = head->uid == 0;
	return begin(j, which(j, head->uid), size);
}

int fetch_body_data(struct job *job, const void *bytes, size_t n)
{
	struct body_job *j = (struct body_job *)job;

	if (j->open == NO_BODY)
		return -EBADMSG;
	lock_assert_none();
	if (atomic_load(&job->cancelled))
		j->open_result = -ECANCELED;
	else
		j->open_result =
			j->ops.data(j->ctx, j->uids[j->open], bytes, n);
	return j->open_result;
}

/*
 * What has come is not expected any more. Servers that sum up (Dovecot) say OK
 * to several commands only behind the last body of them all.
 */
static void take_off(struct body_job *j, struct session *s)
{
	for (unsigned i = 0; i < s->n_slots; i++) {
		struct call *call = &s->slots[i].call;

		if (call->job != &j->job || j->open < call->first ||
		    j->open > call->last)
			continue;
		call->expect -= j->size < call->expect ? j->size : call->expect;
		return;
	}
}

void fetch_body_end(struct job *job, struct session *s)
{
	struct body_job *j = (struct body_job *)job;

	if (j->open == NO_BODY)
		return;
	take_off(j, s);
	if (j->req.length == 0)
		s->body_size = s->body_size > 0
				       ? (s->body_size * 7 + j->size) / 8
				       : j->size;
	if (!j->unproven)
		fetch_end(j, 0);
}

/* A body that stands in the response itself: quoted, or empty. */
static void take_inline(struct body_job *j, size_t i,
			const struct scan_string *str)
{
	char *text = malloc(str->n + 1);
	size_t n;

	if (!text) {
		fail_one(j, i, -ENOMEM);
		return;
	}
	n = scan_text(str, text);
	if (begin(j, i, n) >= 0) {
		for (size_t at = 0; at < n && j->open_result >= 0;) {
			size_t piece = n - at < FRAME_PIECE_MAX
					       ? n - at
					       : FRAME_PIECE_MAX;

			(void)fetch_body_data(&j->job, text + at, piece);
			at += piece;
		}
	}
	fetch_end(j, 0);
	free(text);
}

void fetch_row(struct job *job, struct session *s, struct fetch *f)
{
	struct body_job *j = (struct body_job *)job;
	uint32_t uid = f->row.has & ROW_UID ? f->row.uid : 0;
	size_t i;

	if (f->body == BODY_ABSENT)
		return;
	if (j->unproven && j->open != NO_BODY) {
		fetch_end(j, uid == j->uids[j->open] ? 0 : -EBADMSG);
		return;
	}
	i = uid > 0 ? find(j, uid) : NO_BODY;
	if (i == NO_BODY)
		return;
	if (fetch_has_forgotten(s))
		j->doubtful = true;
	else if (f->body == BODY_NIL)
		j->state[i] = DONE;
	else if (!is_origin_right(j, s, f->has_origin, f->origin))
		return;
	else if (!s->body_sunk)
		take_inline(j, i, &f->body_text);
}
