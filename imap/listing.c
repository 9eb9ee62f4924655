/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/listing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imap/change.h"
#include "imap/lock.h"
#include "imap/log.h"

/*
 * The common half of listings. A message that the server describes wrongly
 * costs itself only: it is asked for once more, alone, and then left out with
 * a line in the log.
 */

#define ITEMS "UID FLAGS RFC822.SIZE INTERNALDATE"
#define GMAIL_ITEMS " X-GM-MSGID X-GM-THRID X-GM-LABELS"
#define OBJECTID_ITEMS " EMAILID"
#define ASKED_MAX 2 /* for a row without a header */

int listing_init(struct listing *l, const struct job_class *class,
		 const char *wire, const struct listing_ops *ops, void *ctx)
{
	int r = job_init(&l->job, class, wire);

	if (r < 0)
		return r;
	l->ops = *ops;
	l->ctx = ctx;
	return 0;
}

/* Every row is kept on the disk: a server must not fill it with inventions. */
static void too_many(struct listing *l)
{
	struct imap_error why = {.fault = FAULT_PROTOCOL};

	(void)snprintf(why.text, sizeof(why.text),
		       "the server says that %.300s has more than %d messages",
		       l->job.mailbox, MAIL_MESSAGES_MAX);
	job_finish(&l->job, -EPROTO, &why);
}

bool listing_opened(struct listing *l, struct session *s)
{
	struct imap_mailbox box = s->box;
	int r;

	if (s->box.messages > MAIL_MESSAGES_MAX) {
		too_many(l);
		return false;
	}
	box.highestmodseq = select_settled(s, 0);
	lock_assert_none();
	r = l->ops.opened(l->ctx, &box);
	if (r >= 0)
		return true;
	job_finish(&l->job, r, NULL);
	return false;
}

void listing_flush(struct listing *l, struct rows *from)
{
	int r;

	if (from->n == 0)
		return;
	rows_sort(from, l->newest_first);
	l->rows_sum += from->n;
	/* Some come twice; twice as many are no mailbox any more. */
	if (l->rows_sum > 2ULL * MAIL_MESSAGES_MAX)
		too_many(l);
	if (!l->job.finished) {
		lock_assert_none();
		l->handed_out = true;
		r = l->ops.rows(l->ctx, from->row, from->n);
		if (r < 0)
			job_finish(&l->job, r, NULL);
	}
	rows_clear(from);
}

void listing_add(struct listing *l, struct rows *to, const struct mail_row *row)
{
	int r = rows_add(to, row);

	/* Rows without fields wait for them; the lines of this one are many. */
	if (r == -ENOSPC && l->in_two_steps && to != &l->rows) {
		listing_ask_again(l, row);
		return;
	}
	if (r == -ENOSPC) {
		listing_flush(l, to);
		r = rows_add(to, row);
	}
	if (r < 0)
		job_finish(&l->job, r, NULL);
}

bool listing_is_row(const struct mail_row *row)
{
	return (row->has & (ROW_SIZE | ROW_DATE | ROW_FIELDS)) != 0;
}

bool listing_is_fields(const struct mail_row *row)
{
	return (row->has & (ROW_UID | ROW_SIZE | ROW_DATE | ROW_FIELDS)) ==
	       (ROW_UID | ROW_FIELDS);
}

static void leave_out(const struct listing *l, uint32_t uid, uint32_t seq)
{
	if (uid > 0)
		log_warn("imap: message %u of '%s' is left out: the server "
			 "describes it wrongly",
			 uid, l->job.mailbox);
	else
		log_warn("imap: message number %u of '%s' is left out: the "
			 "server describes it wrongly",
			 seq, l->job.mailbox);
}

void listing_leave_out_deadly(const struct listing *l, uint32_t uid)
{
	log_warn("imap: message %u of '%s' is left out: the server ends the "
		 "session when it is to describe it",
		 uid, l->job.mailbox);
}

static struct again *find_again(struct listing *l, const struct mail_row *row)
{
	for (unsigned i = 0; i < l->n_again; i++) {
		struct again *a = &l->again[i];

		if (a->uid > 0 && (row->has & ROW_UID) ? a->uid == row->uid
						       : a->seq == row->seq)
			return a;
	}
	return NULL;
}

/* The answer to the question that was put again is no better. */
static bool still_odd(struct listing *l, struct again *a, struct fetch *f)
{
	bool lacks_header_only = f->no_header && ((f->row.has | ROW_FIELDS) &
						  ROW_FULL) == ROW_FULL;

	if (lacks_header_only && a->asked < ASKED_MAX) {
		a->once_more = true;
		return false;
	}
	if (!lacks_header_only) {
		leave_out(l, a->uid, f->row.seq);
		return false;
	}
	f->row.has |= ROW_FIELDS;
	return true;
}

bool listing_again(struct listing *l, struct fetch *f)
{
	uint32_t uid = f->row.has & ROW_UID ? f->row.uid : 0;
	struct again *a = find_again(l, &f->row);

	if (a)
		return a->sent && still_odd(l, a, f);
	if (l->n_again == AGAIN_MAX || l->again_sum == AGAIN_SUM_MAX) {
		leave_out(l, uid, f->row.seq);
		return false;
	}
	l->again_sum++;
	l->again[l->n_again++] = (struct again){.uid = uid, .seq = f->row.seq};
	return false;
}

void listing_ask_again(struct listing *l, const struct mail_row *row)
{
	struct fetch f = {.row = *row};

	(void)listing_again(l, &f);
}

bool listing_send(struct listing *l, struct session *s, const char *what,
		  uint32_t first, uint32_t last, int kind)
{
	const struct call call = {
		.job = &l->job,
		.kind = kind,
		.first = first,
		.last = last,
	};
	struct command c;
	int r;

	session_begin(s, &c);
	command_text(&c, "%s %u", what, first);
	if (last == UINT32_MAX)
		command_text(&c, ":*");
	else if (last != first)
		command_text(&c, ":%u", last);
	command_text(&c, " (" ITEMS "%s%s%s)",
		     l->in_two_steps && kind != CALL_AGAIN ? ""
							   : " " LISTING_FIELDS,
		     session_has(s, CAP_GMAIL) ? GMAIL_ITEMS : "",
		     session_has(s, CAP_OBJECTID) ? OBJECTID_ITEMS : "");
	r = session_send(s, &c, &call);
	if (r < 0) {
		job_finish(&l->job, r, NULL);
		return false;
	}
	l->in_flight++;
	return true;
}

void listing_pump_again(struct listing *l, struct session *s)
{
	for (unsigned i = 0; i < l->n_again && session_has_room(s); i++) {
		struct again *a = &l->again[i];
		uint32_t n = a->uid > 0 ? a->uid : a->seq;

		if (a->sent)
			continue;
		a->sent = true;
		a->asked++;
		if (!listing_send(l, s, a->uid > 0 ? "UID FETCH" : "FETCH", n,
				  n, CALL_AGAIN))
			return;
	}
}

/* One that has gone is no loss; that it cannot now says nothing of any. */
static void refused_again(struct listing *l, const struct again *a,
			  const struct status *st)
{
	if (st->code == CODE_EXPUNGEISSUED)
		return;
	if (imap_is_for_now(session_change_errno(st)))
		job_refuse(&l->job, st);
	else
		leave_out(l, a->uid, a->seq);
}

void listing_answer_again(struct listing *l, const struct call *call,
			  const struct status *st)
{
	for (unsigned i = 0; i < l->n_again; i++) {
		struct again *a = &l->again[i];

		if (!a->sent || (a->uid > 0 ? a->uid : a->seq) != call->first)
			continue;
		if (st->kind != STATUS_OK)
			refused_again(l, a, st);
		if (a->once_more)
			a->sent = a->once_more = false;
		else
			*a = l->again[--l->n_again];
		return;
	}
}

bool listing_repeat(struct job *j)
{
	struct listing *l = (struct listing *)j;

	if (l->handed_out)
		return false;
	rows_clear(&l->rows);
	l->n_again = 0;
	l->in_flight = 0;
	l->refusals = 0;
	return true;
}

void listing_free(struct job *j)
{
	struct listing *l = (struct listing *)j;

	rows_finish(&l->rows);
	free(j->mailbox);
	free(l);
}
