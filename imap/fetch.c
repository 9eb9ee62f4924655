/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "imap/lock.h"

/*
 * imap_fetch(): bodies, streamed to the one who asked, in constant memory.
 *
 * The UIDs go out in portions of about a MiB (by what was listed, or by what
 * bodies of this connection had so far), a few in flight, so that a more urgent
 * job is never far behind. A body belongs to the UID that stands in front of
 * it; if a server says the UID only behind the body, bodies are asked for one
 * at a time. What comes is taken in by fetch_body.c, on the same thread.
 */

#define PORTION_BYTES (1u << 20)
#define PORTION_UIDS 250
#define PORTIONS_IN_FLIGHT 3
#define EXPECTED_MAX (4u << 20)
#define FIRST_GUESS (32u << 10)

static uint64_t guess(const struct body_job *j, const struct session *s)
{
	if (j->req.length > 0)
		return j->req.length;
	if (j->req.bytes > 0)
		return j->req.bytes / j->req.n_uids + 1;
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

bool fetch_has_forgotten(const struct session *s)
{
	for (unsigned i = 0; i < s->n_slots; i++) {
		if (s->slots[i].call.forgotten && s->slots[i].call.bodies > 0)
			return true;
	}
	return false;
}

static bool may_send(const struct body_job *j, const struct session *s)
{
	uint64_t expected = session_expected(s);

	if (j->job.finished || j->job.yield || !session_has_room(s) ||
	    j->in_flight >= PORTIONS_IN_FLIGHT || fetch_has_forgotten(s))
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

static void answer(struct job *job, struct session *s, const struct call *call,
		   const struct status *st)
{
	struct body_job *j = (struct body_job *)job;
	bool refused = st->kind != STATUS_OK;
	enum body_state then = DONE;

	j->in_flight--;
	if (refused && call->bodies == 1 && j->failed.code == 0)
		job_explain(job, job->mailbox, st, &j->failed);
	if (refused && session_errno(st) != -EIO) {
		job_refuse(job, st);
		return;
	}
	if (refused && call->bodies > 1)
		then = ALONE;
	else if ((s->quirks.body_alone && call->bodies > 1) || j->doubtful)
		then = PENDING; /* what has not come is asked for again */
	j->doubtful = j->doubtful && j->in_flight > 0;
	for (size_t i = call->first; i <= call->last; i++) {
		if (j->state[i] != SENT)
			continue;
		j->state[i] = (uint8_t)then;
		if (then != DONE && i < j->next)
			j->next = i;
	}
}

/* --- the job --- */

static bool repeat(struct job *job)
{
	struct body_job *j = (struct body_job *)job;
	size_t was_open = j->open;

	fetch_end(j, -ENOTCONN);
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

static void start(struct job *job, struct session *s)
{
	struct body_job *j = (struct body_job *)job;

	if (s->box.uidvalidity == j->req.uidvalidity)
		return;
	/* What went out behind an EXAMINE is to be asked again, too. */
	if (job_reopen(job, s))
		(void)repeat(job);
	else
		job_finish(job, -ESTALE, NULL);
}

static bool body_pause(struct job *job)
{
	struct body_job *j = (struct body_job *)job;

	return j->in_flight == 0 && j->open == NO_BODY;
}

static void done(struct job *job)
{
	struct body_job *j = (struct body_job *)job;

	fetch_end(j, job->result < 0 ? job->result : -ENOTCONN);
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
	.eager = true,
	.start = start,
	.pump = pump,
	.answer = answer,
	.fetch = fetch_row,
	.wants = fetch_wants,
	.body_begin = fetch_body_begin,
	.body_data = fetch_body_data,
	.body_end = fetch_body_end,
	.repeat = repeat,
	.pause = body_pause,
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
	j->job.since_ms = req->since_ms;
	return pool_submit(im, &j->job, prio, ret);

fail:
	body_free(&j->job);
	return r;
}
