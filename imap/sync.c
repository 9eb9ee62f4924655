/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/sync.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "imap/lock.h"
#include "imap/log.h"

/*
 * imap_sync(): what changed in a mailbox. Everything is asked in one flight
 * with EXAMINE, since all of it names UIDs; what comes is believed when EXAMINE
 * has said that they still mean the same messages (UIDVALIDITY).
 *
 *   QRESYNC    EXAMINE m (QRESYNC (uidvalidity modseq 1:n-1)), whose answer
 *              names what changed and what is gone
 *   CONDSTORE  EXAMINE m (CONDSTORE)
 *              UID FETCH 1:n-1 (UID FLAGS) (CHANGEDSINCE modseq)
 *              UID SEARCH RETURN (ALL) UID 1:n-1
 *   FLAGS      EXAMINE m
 *              UID FETCH 1:n-1 (UID FLAGS)
 *   and last   UID FETCH n:* of full rows, n being the UIDNEXT that is known
 *
 * The last one is sent though it is not known whether there is anything new:
 * if there is, it is here a round trip earlier, which is why most syncs are
 * made; if not, it costs one row. (`n:*` with n above the greatest UID means
 * the last message, RFC 9051 section 6.4.8; and a server that refuses it where
 * there is nothing has answered the question.)
 *
 * Where header fields may be known (Gmail), full rows come in two steps
 * (fields.h), of some hundred UIDs at a time.
 *
 * Only the third method needs no faith in the server's counting. So what looks
 * odd in an answer of the others (no MODSEQ any more, or a smaller one than
 * before; a refusal; a set that is none; a change that is not named) costs that
 * answer only, and the next method down is used within the same job.
 *
 * A server may answer a part (MESSAGELIMIT, RFC 9738): the question is then
 * asked of the two halves of its range.
 */

#define HALVED_MAX 4096

void sync_push(struct sync_job *j, enum sync_question what, uint32_t first,
	       uint32_t last)
{
	if (j->n_asks == SYNC_ASKS_MAX) {
		job_finish(&j->l.job, -EPROTO, NULL);
		return;
	}
	j->ask[j->n_asks++] = (struct sync_ask){what, {first, last}};
}

/* Take back what was to be asked of the messages that are known. */
static void drop_asks(struct sync_job *j)
{
	unsigned n = 0;

	for (unsigned i = 0; i < j->n_asks; i++) {
		if (j->ask[i].what == SYNC_ASK_NEW)
			j->ask[n++] = j->ask[i];
	}
	j->n_asks = n;
}

/* From now on this is how what is known is asked for. */
static void use_method(struct sync_job *j, enum imap_sync_method method)
{
	uint32_t last = j->req.uidnext - 1;

	j->method = method;
	drop_asks(j);
	if (last == 0)
		return;
	if (method == IMAP_SYNC_CONDSTORE) {
		sync_push(j, SYNC_ASK_PRESENT, 1, last);
		sync_push(j, SYNC_ASK_CHANGED, 1, last);
	} else if (method == IMAP_SYNC_FLAGS) {
		sync_push(j, SYNC_ASK_FLAGS, 1, last);
	}
}

void sync_fall_back(struct sync_job *j)
{
	if (j->method == IMAP_SYNC_FLAGS)
		return;
	log_debug("imap: sync of '%s': all flags are asked for",
		  j->l.job.mailbox);
	use_method(j, IMAP_SYNC_FLAGS);
	j->given_up = true;
	j->n_odd = 0;
}

static bool has_condstore(const struct session *s)
{
	return session_has(s, CAP_CONDSTORE) && !s->quirks.no_condstore;
}

static enum imap_sync_method choose(const struct sync_job *j,
				    const struct session *s)
{
	if (j->req.plain || j->req.highestmodseq == 0 || j->req.uidnext == 1)
		return IMAP_SYNC_FLAGS;
	if (session_has(s, CAP_QRESYNC) && session_has(s, CAP_ENABLE) &&
	    !s->quirks.no_qresync && j->req.uidvalidity > 0)
		return IMAP_SYNC_QRESYNC;
	if (has_condstore(s) && (session_has(s, CAP_ESEARCH) ||
				 j->req.uidnext <= LISTING_SEARCH_MAX))
		return IMAP_SYNC_CONDSTORE;
	return IMAP_SYNC_FLAGS;
}

static void sync_how(struct job *job, struct session *s, struct select_how *how)
{
	struct sync_job *j = (struct sync_job *)job;

	j->n_asks = 0;
	j->n_halved = 0;
	j->search = 0;
	j->n_incremental = 0;
	j->given_up = false;
	j->opened = false;
	j->heard = false;
	j->unsure = false;
	j->withheld = false;
	j->n_odd = 0;
	sync_fresh_begin(j, s);
	j->asked.first = 0;
	if (!j->careful)
		sync_push(j, SYNC_ASK_NEW, j->req.uidnext, UINT32_MAX);
	use_method(j, choose(j, s));
	if (j->method == IMAP_SYNC_QRESYNC)
		how->with = SELECT_QRESYNC;
	else if (has_condstore(s))
		how->with = SELECT_CONDSTORE;
	how->uidvalidity = j->req.uidvalidity;
	how->uidnext = j->req.uidnext;
	how->modseq = j->req.highestmodseq;
}

bool sync_open(struct sync_job *j, struct session *s)
{
	if (j->opened || j->l.job.finished)
		return !j->l.job.finished;
	j->opened = true;
	if (!listing_opened(&j->l, s))
		return false;
	if (s->box.uidvalidity == j->req.uidvalidity)
		return true;
	job_finish(&j->l.job, -ESTALE, NULL);
	return false;
}

/* It counts anew, or not at all; or not all that came counts. */
static bool is_doubtful(const struct sync_job *j, const struct session *s)
{
	return s->box.highestmodseq < j->req.highestmodseq ||
	       (j->method == IMAP_SYNC_QRESYNC && s->strays);
}

/* Something changed, and nothing was named. */
static bool is_silent(const struct sync_job *j, const struct session *s)
{
	return j->method == IMAP_SYNC_QRESYNC && !j->heard &&
	       s->box.highestmodseq > j->req.highestmodseq &&
	       s->box.uidnext <= j->req.uidnext;
}

static void start(struct job *job, struct session *s)
{
	struct sync_job *j = (struct sync_job *)job;

	if (!sync_open(j, s))
		return;
	if (is_doubtful(j, s))
		sync_fall_back(j);
	else if (is_silent(j, s))
		use_method(j, IMAP_SYNC_CONDSTORE);
	j->settled = select_settled(s, j->req.highestmodseq);
	if (j->careful)
		sync_push_new(j, s);
	if (s->box.messages == 0)
		j->n_asks = 0;
}

/* What is asked of messages that are known. On Gmail MODSEQ counts labels. */
static const char *known_items(const struct session *s)
{
	return session_has(s, CAP_GMAIL) ? "(UID FLAGS X-GM-LABELS)"
					 : "(UID FLAGS)";
}

/*
 * Since when? Where HIGHESTMODSEQ counts what is not seen yet, the change that
 * made it what was remembered may have come behind that.
 */
static uint64_t since(const struct sync_job *j, const struct session *s)
{
	return j->req.highestmodseq -
	       (s->quirks.modseq_ahead && j->req.highestmodseq > 1);
}

static bool is_incremental(int kind)
{
	return kind == SYNC_ASK_CHANGED || kind == SYNC_ASK_PRESENT;
}

static void ask(struct sync_job *j, struct session *s, const struct sync_ask *a)
{
	const struct call call = {
		.job = &j->l.job,
		.kind = (int)a->what,
		.first = a->uids.first,
		.last = a->uids.last,
	};
	struct command c;
	int r;

	session_begin(s, &c);
	if (a->what == SYNC_ASK_PRESENT)
		command_text(&c, "UID SEARCH %sUID %u:%u",
			     session_has(s, CAP_ESEARCH) ? "RETURN (ALL) " : "",
			     a->uids.first, a->uids.last);
	else
		command_text(&c, "UID FETCH %u:%u %s", a->uids.first,
			     a->uids.last, known_items(s));
	if (a->what == SYNC_ASK_CHANGED)
		command_text(&c, " (CHANGEDSINCE %llu)",
			     (unsigned long long)since(j, s));
	r = session_send(s, &c, &call);
	if (r < 0) {
		job_finish(&j->l.job, r, NULL);
		return;
	}
	j->l.in_flight++;
	j->n_incremental += is_incremental((int)a->what);
	if (a->what == SYNC_ASK_PRESENT) {
		j->search = s->last_tag;
		j->searched = false;
	}
}

static void pump_asks(struct sync_job *j, struct session *s)
{
	/* Rows of two questions could not be told apart. */
	if (j->given_up && (!j->l.job.started || j->n_incremental > 0))
		return;
	j->given_up = false;
	while (j->n_asks > 0 && !j->l.job.finished && session_has_room(s)) {
		struct sync_ask a = j->ask[j->n_asks - 1];

		/* Of two searches in flight, which one does SEARCH answer? */
		if (a.what == SYNC_ASK_PRESENT && j->search != 0)
			return;
		if (a.what == SYNC_ASK_NEW &&
		    (j->has_fresh || (j->careful && j->asked.first > 0)))
			return;
		j->n_asks--;
		if (a.what == SYNC_ASK_NEW)
			sync_fresh_ask(j, s, a.uids);
		else
			ask(j, s, &a);
	}
}

static int up(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* The flags of messages that had none, alone. */
static void pump_odd(struct sync_job *j, struct session *s)
{
	const struct call call = {.job = &j->l.job, .kind = SYNC_ASK_ODD};
	uint32_t uids[SYNC_ODD_MAX];
	struct command c;
	size_t n = 0;
	int r;

	if (j->n_odd == 0 || !session_has_room(s))
		return;
	for (unsigned i = 0; i < j->n_odd; i++) {
		uids[n++] = j->odd[i].uid;
		j->odd[i].asked = true;
	}
	qsort(uids, n, sizeof(*uids), up);
	session_begin(s, &c);
	command_text(&c, "UID FETCH ");
	command_uids(&c, uids, n);
	command_text(&c, " %s", known_items(s));
	r = session_send(s, &c, &call);
	if (r < 0)
		job_finish(&j->l.job, r, NULL);
	else
		j->l.in_flight++;
}

static void pump(struct job *job, struct session *s)
{
	struct sync_job *j = (struct sync_job *)job;

	sync_fresh_pump(j, s);
	pump_asks(j, s);
	if (j->n_asks == 0 && j->l.in_flight == 0)
		pump_odd(j, s);
	if (j->n_asks == 0)
		listing_pump_again(&j->l, s);
	if (!job->started || job->finished || j->l.in_flight > 0 ||
	    j->n_asks > 0 || j->n_odd > 0 || j->l.n_again > 0 || j->has_fresh)
		return;
	listing_flush(&j->l, &j->l.rows);
	/* What was not named counts as gone: that must not be a guess. */
	job_finish(job, j->unsure ? -EBADMSG : 0, NULL);
}

/* Only a part of the range was looked at. */
static void halve(struct sync_job *j, struct session *s,
		  const struct call *call)
{
	enum sync_question what = (enum sync_question)call->kind;
	uint32_t last = call->last;
	uint32_t middle;

	if (last == UINT32_MAX && s->box.uidnext > call->first)
		last = s->box.uidnext - 1;
	if (call->first >= last || ++j->n_halved > HALVED_MAX) {
		job_finish(&j->l.job, -EPROTO, NULL);
		return;
	}
	middle = call->first + (last - call->first) / 2;
	sync_push(j, what, middle + 1, call->last);
	sync_push(j, what, call->first, middle);
}

static void refused(struct sync_job *j, struct session *s,
		    const struct call *call, const struct status *st)
{
	bool no_reason = session_errno(st) == -EIO;

	if (no_reason && is_incremental(call->kind))
		sync_fall_back(j);
	else if (no_reason && call->kind == SYNC_ASK_NEW)
		sync_fresh_refused(j, s, call, st);
	/* Where there is nothing to be told, NO is an answer. */
	else if (!no_reason || s->box.messages > 0)
		job_refuse(&j->l.job, st);
}

static void answer(struct job *job, struct session *s, const struct call *call,
		   const struct status *st)
{
	struct sync_job *j = (struct sync_job *)job;
	bool found = call->kind != SYNC_ASK_PRESENT || j->searched;

	j->l.in_flight--;
	j->n_incremental -= is_incremental(call->kind);
	if (call->kind == SYNC_ASK_PRESENT)
		j->search = 0;
	if (call->kind == SYNC_ASK_NEW)
		j->asked.first = 0;
	if (job->finished)
		return;
	if (call->kind == CALL_AGAIN)
		sync_fresh_again(j, call, st);
	else if (call->kind == SYNC_ASK_ODD)
		sync_odd_answered(j, st->kind == STATUS_OK);
	/* Of a question that was given up any answer will do. */
	else if (j->given_up && is_incremental(call->kind))
		return;
	else if (call->kind == CALL_FIELDS)
		fields_answer(&j->l, &j->fresh, st);
	else if (st->kind != STATUS_OK)
		refused(j, s, call, st);
	else if (st->code == CODE_MESSAGELIMIT)
		halve(j, s, call);
	else if (!found)
		sync_fall_back(j);
	if (call->kind == SYNC_ASK_NEW)
		sync_fresh_answer(j, s, call, st);
	sync_fresh_hand_on(j);
	listing_flush(&j->l, &j->l.rows);
}

static void done(struct job *job)
{
	struct sync_job *j = (struct sync_job *)job;
	const struct imap_sync_end end = {
		.method = j->method,
		.highestmodseq =
			j->withheld ? j->req.highestmodseq : j->settled,
	};

	lock_assert_none();
	j->ops.done(j->l.ctx, job->result, &job->why,
		    job->result == 0 ? &end : NULL);
}

static void sync_free(struct job *job)
{
	struct sync_job *j = (struct sync_job *)job;

	rows_finish(&j->fresh.rows);
	listing_free(job);
}

static const struct job_class sync_class = {
	.name = "sync",
	.fresh = true,
	.eager = true,
	.open = sync_how,
	.start = start,
	.pump = pump,
	.answer = answer,
	.fetch = sync_fetch,
	.data = sync_data,
	.repeat = sync_repeat,
	.cut = sync_cut,
	.done = done,
	.free = sync_free,
};

/* NOLINTNEXTLINE(readability-function-size): the contract has seven. */
int imap_sync(struct imap *im, const char *wire, enum imap_priority prio,
	      const struct imap_sync_request *req,
	      const struct imap_sync_ops *ops, void *ctx, imap_job *ret)
{
	const struct listing_ops heard = {ops->opened, ops->rows};
	struct sync_job *j;
	int r;

	if (req->uidnext == 0)
		return -EINVAL;
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	j->ops = *ops;
	j->req = *req;
	j->l.recall = req->recall;
	r = listing_init(&j->l, &sync_class, wire, &heard, ctx);
	if (r < 0) {
		sync_free(&j->l.job);
		return r;
	}
	return pool_submit(im, &j->l.job, prio, ret);
}
