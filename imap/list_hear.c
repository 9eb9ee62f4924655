/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/list.h"

#include "imap/lock.h"

/*
 * What comes while an imap_list() runs: rows, which find their window by their
 * sequence number; header fields of a second step, which find their row by its
 * UID; and the answer to where a listing goes on.
 *
 * Runs on the thread of the connection that has the job; no lock is held when
 * the one who asked is called.
 */

#define COMING_MS 500 /* rows that are gathered are spoken of so often */

/*
 * Where does this row belong, and what must it have? NULL: nowhere, it will
 * come again.
 */
static struct rows *place(struct list_job *j, const struct mail_row *row,
			  unsigned *ret_needs)
{
	*ret_needs = ROW_FULL;
	for (unsigned i = 0; i < j->n_windows; i++) {
		struct window *w = &j->window[i];

		if (row->seq < w->first || row->seq > w->last)
			continue;
		if (!w->f.rows.row) {
			w->f.rows = j->spare;
			j->spare = (struct rows){0};
		}
		if (j->l.in_two_steps && w->f.step == FIELDS_ROWS)
			*ret_needs = ROW_BARE;
		return &w->f.rows;
	}
	/* Below all windows that were sent: that one is still to come. */
	if (row->seq <= j->top || halves_has(&j->halves, row->seq))
		return NULL;
	/* Shifted from above: what was there has been handed on. */
	return &j->l.rows;
}

/* Somebody may wait for a window that takes its time. */
static void speak_of_rows(struct list_job *j)
{
	int64_t now_ms = clock_now_ms();

	if (now_ms - j->handed_ms < COMING_MS || !j->coming)
		return;
	j->handed_ms = now_ms;
	lock_assert_none();
	j->coming(j->l.ctx);
}

static void take_fields(struct list_job *j, const struct mail_row *row)
{
	for (unsigned i = 0; i < j->n_windows; i++) {
		if (j->window[i].f.step == FIELDS_KNOWN &&
		    fields_take(&j->l, &j->window[i].f, row))
			return;
	}
}

void list_fetch(struct job *job, struct session *s, struct fetch *f)
{
	struct list_job *j = (struct list_job *)job;
	unsigned needs;
	struct rows *to;

	(void)s;
	list_hear_name(j, &f->row);
	if (!listing_is_row(&f->row))
		return;
	speak_of_rows(j);
	if (j->l.in_two_steps && listing_is_fields(&f->row)) {
		take_fields(j, &f->row);
		return;
	}
	j->pace.rows++;
	if ((f->row.has & ROW_UID) && j->below_uid > 0 &&
	    f->row.uid >= j->below_uid)
		return;
	/* `*` is the last message, whatever its UID. */
	if ((f->row.has & ROW_UID) && j->by_uid && f->row.uid < j->uids.first)
		return;
	to = place(j, &f->row, &needs);
	if (!to)
		return;
	if ((f->row.has & needs) == needs || listing_again(&j->l, f))
		listing_add(&j->l, to, &f->row);
}

void list_data(struct job *job, struct session *s, const struct response *r)
{
	struct list_job *j = (struct list_job *)job;
	uint32_t max;

	if (!j->searching ||
	    (r->kind != RESPONSE_SEARCH && r->kind != RESPONSE_ESEARCH))
		return;
	max = grammar_search_max(r);
	if (max > s->box.messages)
		max = s->box.messages;
	if (max > j->top)
		j->top = max;
}

void list_search_answered(struct list_job *j, struct session *s,
			  const struct call *call, const struct status *st)
{
	uint32_t top = call->first - 1;

	if (top > s->box.messages)
		top = s->box.messages;
	j->searching = false;
	if (st->kind != STATUS_OK)
		job_refuse(&j->l.job, st);
	else if (j->top == 0 && top > 0)
		list_search(j, s, top);
}
