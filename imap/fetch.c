/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "imap/lock.h"
#include "imap/log.h"

/*
 * imap_fetch(): bodies, streamed to the one who asked, in constant memory.
 *
 * The UIDs go out in portions of about a MiB (by what bodies of this
 * connection had so far), a few in flight, so that a more urgent job is never
 * far behind. A body belongs to the UID that stands in front of it; if a server
 * says the UID only behind the body, bodies are asked for one at a time.
 *
 * State of each UID:
 *   PENDING -> SENT -> DONE (came, is gone, or failed)
 *   SENT -> ALONE   its portion was refused: it is asked for by itself
 *   SENT -> PENDING the connection was lost, or the body could not be told
 */

#define PORTION_BYTES (1u << 20)
#define PORTION_UIDS 250
#define PORTIONS_IN_FLIGHT 3
#define EXPECTED_MAX (4u << 20)
#define FIRST_GUESS (32u << 10)
#define NO_BODY SIZE_MAX

enum body_state { PENDING, ALONE, SENT, DONE };

struct body_job {
	struct job job;
	struct imap_body_ops ops;
	void *ctx;
	struct imap_body_request req; /* uids: owned */
	uint8_t *state;               /* enum body_state of each */
	uint32_t *uids;
	size_t next; /* all before are not PENDING or ALONE */
	unsigned in_flight;
	struct imap_error failed; /* of a UID: the job goes on, and ends so */

	size_t open; /* the body that is coming, or NO_BODY */
	uint64_t size;
	int open_result;
	bool unproven; /* its UID is to be seen at the end of the response */
};

static void start(struct job *job, struct session *s)
{
	struct body_job *j = (struct body_job *)job;

	if (s->box.uidvalidity != j->req.uidvalidity)
		job_finish(job, -ESTALE, NULL);
}

static uint64_t guess(const struct body_job *j, const struct session *s)
{
	if (j->req.length > 0)
		return j->req.length;
	return s->body_size > 0 ? s->body_size : FIRST_GUESS;
}

/* How many UIDs go into the next command? */
static size_t portion(const struct body_job *j, const struct session *s)
{
	uint64_t n = PORTION_BYTES / (guess(j, s) + 1);
	size_t by_line = s->quirks.line_max / 12;

	if (s->quirks.body_alone)
		return 1;
	if (n > PORTION_UIDS)
		n = PORTION_UIDS;
	if (n > by_line)
		n = by_line;
	return n > 0 ? (size_t)n : 1;
}

/* Take the next UIDs; what stands between `first` and `last` is theirs. */
static size_t gather(struct body_job *j, size_t max, uint32_t *uids,
		     struct call *call)
{
	size_t n = 0;

	for (size_t i = j->next; i < j->req.n_uids && n < max; i++) {
		bool alone = j->state[i] == ALONE;

		if (j->state[i] == DONE || (j->state[i] == SENT && n == 0))
			continue;
		if (j->state[i] == SENT || (alone && n > 0))
			break;
		if (n == 0)
			call->first = (uint32_t)i;
		call->last = (uint32_t)i;
		uids[n++] = j->uids[i];
		j->state[i] = SENT;
		if (alone)
			break;
	}
	if (n > 0)
		j->next = call->last + 1;
	return n;
}

static bool send_portion(struct body_job *j, struct session *s)
{
	uint32_t uids[PORTION_UIDS];
	struct call call = {.job = &j->job};
	struct command c;
	size_t n = gather(j, portion(j, s), uids, &call);
	int r;

	if (n == 0)
		return false;
	call.bodies = (uint32_t)n;
	call.expect = n * guess(j, s);
	session_begin(s, &c);
	command_text(&c, "UID FETCH ");
	command_uids(&c, uids, n);
	command_text(&c, " (UID BODY.PEEK[]");
	if (j->req.length > 0)
		command_text(&c, "<%llu.%llu>",
			     (unsigned long long)j->req.offset,
			     (unsigned long long)j->req.length);
	command_text(&c, ")");
	r = session_send(s, &c, &call);
	if (r < 0) {
		job_finish(&j->job, r, NULL);
		return false;
	}
	j->in_flight++;
	return true;
}

static bool may_send(const struct body_job *j, const struct session *s)
{
	uint64_t expected = session_expected(s);

	if (j->job.finished || !session_has_room(s) ||
	    j->in_flight >= PORTIONS_IN_FLIGHT)
		return false;
	if (s->quirks.body_alone)
		return expected == 0;
	if (j->in_flight == 0 && j->job.prio == IMAP_PRIO_READER)
		return true;
	return expected < EXPECTED_MAX;
}

static void pump(struct job *job, struct session *s)
{
	struct body_job *j = (struct body_job *)job;

	while (may_send(j, s) && send_portion(j, s))
		;
	if (j->in_flight > 0 || job->finished)
		return;
	for (size_t i = j->next; i < j->req.n_uids; i++) {
		if (j->state[i] != DONE)
			return;
	}
	job_finish(job, j->failed.code, &j->failed);
}

static void fail_one(struct body_job *j, size_t i, int result)
{
	j->state[i] = DONE;
	if (j->failed.code == 0)
		j->failed.code = result;
	log_warn("imap: the body of message %u of '%s' is not understood",
		 j->uids[i], j->job.mailbox);
}

static void answer(struct job *job, struct session *s, const struct call *call,
		   const struct status *st)
{
	struct body_job *j = (struct body_job *)job;
	bool refused = st->kind != STATUS_OK;
	enum body_state then = DONE;

	j->in_flight--;
	if (refused && call->bodies == 1 && j->failed.code == 0) {
		struct job told = *job;

		job_refuse(&told, st);
		j->failed = told.why;
	}
	if (refused && session_errno(st) != -EIO) {
		job_refuse(job, st);
		return;
	}
	if (refused && call->bodies > 1)
		then = ALONE;
	else if (s->quirks.body_alone && call->bodies > 1)
		then = PENDING;
	for (size_t i = call->first; i <= call->last; i++) {
		if (j->state[i] != SENT)
			continue;
		j->state[i] = (uint8_t)then;
		if (then != DONE && i < j->next)
			j->next = i;
	}
}

/* --- bodies that come --- */

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

static bool is_origin_right(const struct body_job *j, bool has, uint64_t origin)
{
	if (j->req.length == 0)
		return !has || origin == 0;
	return origin == j->req.offset;
}

static bool wants(struct job *job, struct session *s,
		  const struct body_head *head)
{
	struct body_job *j = (struct body_job *)job;

	(void)s;
	return j->open == NO_BODY && !job->finished &&
	       which(j, head->uid) != NO_BODY &&
	       is_origin_right(j, head->has_origin, head->origin);
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

static void end(struct body_job *j, int result)
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

static int body_begin(struct job *job, struct session *s,
		      const struct body_head *head, uint64_t size)
{
	struct body_job *j = (struct body_job *)job;

	(void)s;
	j->unproven = head->uid == 0;
	return begin(j, which(j, head->uid), size);
}

static int body_data(struct job *job, const void *bytes, size_t n)
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

static void body_end(struct job *job, struct session *s)
{
	struct body_job *j = (struct body_job *)job;

	if (j->open == NO_BODY)
		return;
	if (j->req.length == 0)
		s->body_size = s->body_size > 0
				       ? (s->body_size * 7 + j->size) / 8
				       : j->size;
	if (!j->unproven)
		end(j, 0);
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

			(void)body_data(&j->job, text + at, piece);
			at += piece;
		}
	}
	end(j, 0);
	free(text);
}

static void fetch(struct job *job, struct session *s, struct fetch *f)
{
	struct body_job *j = (struct body_job *)job;
	uint32_t uid = f->row.has & ROW_UID ? f->row.uid : 0;
	size_t i;

	if (f->body == BODY_ABSENT)
		return;
	if (j->unproven && j->open != NO_BODY) {
		end(j, uid == j->uids[j->open] ? 0 : -EBADMSG);
		return;
	}
	i = uid > 0 ? find(j, uid) : NO_BODY;
	if (i == NO_BODY)
		return;
	if (f->body == BODY_NIL)
		j->state[i] = DONE;
	else if (!is_origin_right(j, f->has_origin, f->origin))
		return;
	else if (!s->body_sunk)
		take_inline(j, i, &f->body_text);
}

/* --- the job --- */

static bool repeat(struct job *job)
{
	struct body_job *j = (struct body_job *)job;
	size_t was_open = j->open;

	end(j, -ENOTCONN);
	/* What the one who asked has stopped by itself is not repeated. */
	if (was_open != NO_BODY && j->open_result >= 0)
		j->state[was_open] = PENDING;
	for (size_t i = 0; i < j->req.n_uids; i++) {
		if (j->state[i] == SENT)
			j->state[i] = PENDING;
	}
	j->next = 0;
	j->in_flight = 0;
	return true;
}

static void done(struct job *job)
{
	struct body_job *j = (struct body_job *)job;

	end(j, job->result < 0 ? job->result : -ENOTCONN);
	lock_assert_none();
	j->ops.done(j->ctx, job->result, &job->why);
}

static void body_free(struct job *job)
{
	struct body_job *j = (struct body_job *)job;

	free(j->uids);
	free(j->state);
	free(job->mailbox);
	free(j);
}

static const struct job_class body_class = {
	.name = "fetch",
	.start = start,
	.pump = pump,
	.answer = answer,
	.fetch = fetch,
	.wants = wants,
	.body_begin = body_begin,
	.body_data = body_data,
	.body_end = body_end,
	.repeat = repeat,
	.done = done,
	.free = body_free,
};

static bool is_valid(const struct imap_body_request *req)
{
	if (req->n_uids == 0 || req->n_uids > IMAP_BODY_UIDS_MAX ||
	    (req->length == 0 && req->offset > 0) ||
	    req->offset > MAIL_SIZE_MAX || req->length > MAIL_SIZE_MAX)
		return false;
	for (size_t i = 0; i < req->n_uids; i++) {
		if (req->uids[i] == 0 ||
		    (i > 0 && req->uids[i] <= req->uids[i - 1]))
			return false;
	}
	return true;
}

/* NOLINTNEXTLINE(readability-function-size): the contract has seven. */
int imap_fetch(struct imap *im, const char *wire, enum imap_priority prio,
	       const struct imap_body_request *req,
	       const struct imap_body_ops *ops, void *ctx, imap_job *ret)
{
	struct body_job *j;
	int r = -ENOMEM;

	if (!is_valid(req))
		return -EINVAL;
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	j->ops = *ops;
	j->ctx = ctx;
	j->req = *req;
	j->open = NO_BODY;
	j->uids = malloc(req->n_uids * sizeof(*j->uids));
	j->state = calloc(req->n_uids, 1);
	if (!j->uids || !j->state)
		goto fail;
	memcpy(j->uids, req->uids, req->n_uids * sizeof(*j->uids));
	j->req.uids = j->uids;
	r = job_init(&j->job, &body_class, wire);
	if (r < 0)
		goto fail;
	return pool_submit(im, &j->job, prio, ret);

fail:
	body_free(&j->job);
	return r;
}
