/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/sync.h"

#include <errno.h>

#include "imap/change.h"

/*
 * The new messages of an imap_sync() in two steps (fields.h), where header
 * fields may be known from another mailbox.
 *
 * They are asked for a range of UIDs at a time, so that their rows fit into
 * memory while they wait for their fields; EXAMINE says up to where. There may
 * be nothing at all in a range: so many are tried, and what is left is asked
 * for in one step, as other servers are asked for all of them.
 *
 * A range that is refused is asked for in halves, until the message that the
 * server cannot describe is alone: it is asked for once more, and left out. But
 * what is new is often one message, and a server may refuse all of them for a
 * while: so only where another one was described.
 */

static void drop(struct sync_job *j)
{
	rows_clear(&j->fresh.rows);
	j->fresh = (struct fields){.rows = j->fresh.rows};
	j->has_fresh = false;
}

void sync_fresh_begin(struct sync_job *j, const struct session *s)
{
	drop(j);
	j->n_fresh = 0;
	j->fresh_top = 0;
	j->described = false;
	j->l.in_two_steps =
		!j->careful && j->l.recall && session_has(s, CAP_GMAIL);
}

void sync_fresh_ask(struct sync_job *j, struct session *s,
		    struct mail_range uids)
{
	if (j->n_fresh == SYNC_FRESH_MAX)
		j->l.in_two_steps = false;
	if (j->l.in_two_steps) {
		if (uids.last - uids.first >= SYNC_FRESH_UIDS)
			uids.last = uids.first + SYNC_FRESH_UIDS - 1;
		if (uids.last > j->fresh_top)
			j->fresh_top = uids.last;
		j->fresh_uids = uids;
		j->has_fresh = true;
	}
	j->asked = uids;
	(void)listing_send(&j->l, s, "UID FETCH", uids.first, uids.last,
			   (int)SYNC_ASK_NEW);
}

void sync_fresh_pump(struct sync_job *j, struct session *s)
{
	const struct call call = {.job = &j->l.job, .kind = CALL_FIELDS};

	if (j->has_fresh && !j->l.job.finished)
		fields_pump(&j->l, s, &j->fresh, &call);
}

bool sync_fresh_take(struct sync_job *j, const struct mail_row *row)
{
	if (!j->l.in_two_steps)
		return false;
	if (listing_is_fields(row)) {
		if (j->has_fresh && j->fresh.step == FIELDS_KNOWN)
			(void)fields_take(&j->l, &j->fresh, row);
		return true;
	}
	if (!j->has_fresh || j->fresh.step != FIELDS_ROWS ||
	    row->uid < j->fresh_uids.first || row->uid > j->fresh_uids.last ||
	    (row->has & ROW_BARE) != ROW_BARE)
		return false;
	listing_add(&j->l, &j->fresh.rows, row);
	return true;
}

/* Is there anything above the ranges that were asked for? */
static void go_on(struct sync_job *j, const struct session *s)
{
	uint32_t top = j->fresh_top;

	if (top == UINT32_MAX ||
	    (s->box.uidnext > 0 && s->box.uidnext <= top + 1))
		return;
	/* Only behind this range, which has yet to take its second step. */
	j->n_fresh = s->box.uidnext == 0 ? SYNC_FRESH_MAX : j->n_fresh + 1;
	sync_push(j, SYNC_ASK_NEW, top + 1, UINT32_MAX);
}

void sync_fresh_answer(struct sync_job *j, struct session *s,
		       const struct call *call, const struct status *st)
{
	if (!j->has_fresh)
		return;
	if (st->kind != STATUS_OK || st->code == CODE_MESSAGELIMIT) {
		drop(j);
		if (call->first < call->last)
			return; /* its halves are yet to come */
	} else {
		fields_begin(&j->l, &j->fresh);
	}
	if (call->last == j->fresh_top)
		go_on(j, s);
}

void sync_fresh_refused(struct sync_job *j, const struct session *s,
			const struct call *call, const struct status *st)
{
	const struct mail_row row = {.has = ROW_UID, .uid = call->first};
	uint32_t last = call->last;
	uint32_t middle;

	if (s->box.uidnext > 0 && last >= s->box.uidnext)
		last = s->box.uidnext - 1;
	/* Of what is not there that is an answer. */
	if (last < call->first || s->box.messages == 0)
		return;
	if (last == UINT32_MAX || imap_is_for_now(session_change_errno(st)) ||
	    ++j->l.refusals > LISTING_REFUSALS_MAX) {
		job_refuse(&j->l.job, st);
		return;
	}
	if (last == call->first) {
		listing_ask_again(&j->l, &row);
		return;
	}
	middle = call->first + (last - call->first) / 2;
	sync_push(j, SYNC_ASK_NEW, middle + 1, call->last);
	sync_push(j, SYNC_ASK_NEW, call->first, middle);
}

void sync_fresh_again(struct sync_job *j, const struct call *call,
		      const struct status *st)
{
	bool refused = st->kind != STATUS_OK &&
		       st->code != CODE_EXPUNGEISSUED &&
		       session_errno(st) == -EIO;

	if (refused && !j->described)
		job_refuse(&j->l.job, st);
	else
		listing_answer_again(&j->l, call, st);
}

void sync_fresh_hand_on(struct sync_job *j)
{
	if (!j->has_fresh || j->fresh.step != FIELDS_DONE)
		return;
	listing_flush(&j->l, &j->l.rows);
	listing_flush(&j->l, &j->fresh.rows);
	drop(j);
}
