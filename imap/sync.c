/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/listing.h"

#include <errno.h>
#include <stdlib.h>

#include "imap/lock.h"

/*
 * imap_sync(): what changed in a mailbox since a UIDNEXT, by comparing: the
 * flags of every old message that is still there, then everything new. Both
 * commands go out together, and the server answers them in that order.
 *
 * `n:*` with n above the greatest UID means the last message (RFC 9051
 * section 6.4.8), so rows below n are no news; and a server that refuses it
 * where its UIDNEXT says that there is nothing has answered the question. Rows
 * of both kinds may also come unasked, when somebody else changes flags; they
 * are true, so they are taken.
 */

enum { CALL_FLAGS = CALL_OWN, CALL_NEW };

struct sync_job {
	struct listing l;
	struct imap_sync_ops ops;
	struct imap_sync_request req;
	struct imap_mailbox box; /* as EXAMINE said */
	bool flags_due;
	bool new_due;
	bool unsure; /* a message came whose UID or flags cannot be told */
};

static void start(struct job *job, struct session *s)
{
	struct sync_job *j = (struct sync_job *)job;

	if (!listing_opened(&j->l, s))
		return;
	if (s->box.uidvalidity != j->req.uidvalidity) {
		job_finish(job, -ESTALE, NULL);
		return;
	}
	j->box = s->box;
	j->flags_due = s->box.messages > 0 && j->req.uidnext > 1;
	j->new_due = s->box.messages > 0;
}

static void send_flags(struct sync_job *j, struct session *s)
{
	const struct call call = {.job = &j->l.job, .kind = CALL_FLAGS};
	struct command c;
	int r;

	session_begin(s, &c);
	command_text(&c, "UID FETCH 1:%u (UID FLAGS)", j->req.uidnext - 1);
	r = session_send(s, &c, &call);
	if (r < 0) {
		job_finish(&j->l.job, r, NULL);
		return;
	}
	j->l.in_flight++;
}

static void pump(struct job *job, struct session *s)
{
	struct sync_job *j = (struct sync_job *)job;

	if (j->flags_due && session_has_room(s)) {
		j->flags_due = false;
		send_flags(j, s);
	}
	if (j->new_due && !j->flags_due && session_has_room(s)) {
		j->new_due = false;
		(void)listing_send(&j->l, s, "UID FETCH", j->req.uidnext,
				   UINT32_MAX, CALL_NEW);
	}
	if (!j->new_due && !j->flags_due)
		listing_pump_again(&j->l, s);
	if (!job->finished && j->l.in_flight == 0 && j->l.n_again == 0 &&
	    !j->flags_due && !j->new_due) {
		listing_flush(&j->l, &j->l.rows);
		/* What has no row counts as gone: that must not be a guess. */
		job_finish(job, j->unsure ? -EBADMSG : 0, NULL);
	}
}

static void answer(struct job *job, struct session *s, const struct call *call,
		   const struct status *st)
{
	struct sync_job *j = (struct sync_job *)job;
	bool nothing_new =
		s->box.uidnext > 0 && s->box.uidnext <= j->req.uidnext;

	j->l.in_flight--;
	if (call->kind == CALL_AGAIN)
		listing_answer_again(&j->l, call);
	else if (st->kind != STATUS_OK &&
		 (call->kind != CALL_NEW || !nothing_new ||
		  session_errno(st) != -EIO))
		job_refuse(job, st);
	listing_flush(&j->l, &j->l.rows);
}

static void fetch(struct job *job, struct session *s, struct fetch *f)
{
	struct sync_job *j = (struct sync_job *)job;
	struct mail_row *row = &f->row;
	bool old = (row->has & ROW_UID) && row->uid < j->req.uidnext;

	(void)s;
	if (!(row->has & ROW_UID) && f->damaged)
		j->unsure = true;
	/* It is there, and must not count as gone for want of its flags. */
	if (old && !(row->has & ROW_FLAGS) &&
	    (f->damaged || (row->has == ROW_UID && f->body == BODY_ABSENT)))
		j->unsure = true;
	if (old && (row->has & ROW_FLAGS)) {
		row->has = ROW_UID | ROW_FLAGS;
		for (unsigned i = 0; i < N_FIELDS; i++)
			row->field[i] = NULL;
	} else if (old || !listing_is_row(row)) {
		return;
	} else if ((row->has & ROW_FULL) != ROW_FULL) {
		listing_again(&j->l, row);
		return;
	}
	/* A window has rows of one kind only. */
	if (j->l.rows.n > 0 &&
	    ((j->l.rows.row[0].has ^ row->has) & ROW_SIZE) != 0)
		listing_flush(&j->l, &j->l.rows);
	listing_add(&j->l, &j->l.rows, row);
}

static void done(struct job *job)
{
	struct sync_job *j = (struct sync_job *)job;
	const struct imap_sync_end end = {
		.method = IMAP_SYNC_FLAGS,
		.highestmodseq = j->box.highestmodseq,
	};

	lock_assert_none();
	j->ops.done(j->l.ctx, job->result, &job->why,
		    job->result == 0 ? &end : NULL);
}

static const struct job_class sync_class = {
	.name = "sync",
	.fresh = true,
	.start = start,
	.pump = pump,
	.answer = answer,
	.fetch = fetch,
	.repeat = listing_repeat,
	.done = done,
	.free = listing_free,
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
	r = listing_init(&j->l, &sync_class, wire, &heard, ctx);
	if (r < 0) {
		listing_free(&j->l.job);
		return r;
	}
	return pool_submit(im, &j->l.job, prio, ret);
}
