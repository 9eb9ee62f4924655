/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "imap/lock.h"
#include "imap/pool.h"

/*
 * imap_list(): a mailbox, newest first.
 *
 * Windows of sequence numbers go down from EXISTS, the first one small (a
 * screenful is what somebody waits for), a few in flight so that a long pipe
 * stays full. Messages that are expunged meanwhile shift what is above them
 * down: into a window that is still to come, or has come already. So a row may
 * come twice, but none is missed; and a window never has to know of EXPUNGE, or
 * of VANISHED.
 *
 * Servers answer what is in flight in any order, even mixed (Dovecot does):
 * each window gathers its own rows, and is handed on when it is complete and
 * all above it have been: a listing that breaks off goes on below the least
 * UID that was handed out, so nothing above that may be missing. For the same
 * reason windows wait while a message of theirs is asked for once more.
 *
 * A window that the server refuses, or answers in part (MESSAGELIMIT, RFC
 * 9738), is asked for in halves, the upper one first, until the message that it
 * cannot describe is alone.
 *
 * Where header fields may be known (Gmail), a window takes two steps
 * (fields.h); the first one of those below it is in flight with its second.
 *
 * A server may end the session in place of a refusal: list_cut.c.
 *
 * How much is in flight is found out (pace.h); on a slow line windows are
 * smaller, so that somebody who waits sees one after the other.
 *
 * A listing makes room for a reader of another mailbox between two windows,
 * and goes on below what was handed out.
 *
 * Where only some UIDs are wanted they are asked for with one UID FETCH in
 * place of the windows, which come if that is refused.
 */

void list_search(struct list_job *j, struct session *s, uint32_t top)
{
	struct call call = {.job = &j->l.job, .kind = CALL_SEARCH, .first = 1};
	bool one = session_has(s, CAP_ESEARCH);
	struct command c;
	int r;

	if (!one && top > LISTING_SEARCH_MAX)
		call.first = top - LISTING_SEARCH_MAX + 1;
	session_begin(s, &c);
	command_text(&c, "SEARCH %s", one ? "RETURN (MAX) " : "");
	if (call.first > 1)
		command_text(&c, "%u:%u ", call.first, top);
	command_text(&c, "UID 1:%u", j->below_uid - 1);
	r = session_send(s, &c, &call);
	if (r < 0) {
		job_finish(&j->l.job, r, NULL);
		return;
	}
	j->l.in_flight++;
	j->searching = true;
	j->top = 0;
}

static bool is_by_uid(const struct list_job *j, const struct session *s)
{
	return j->uids.first > 0 && j->below_uid == 0 && s->box.messages > 0 &&
	       j->uidvalidity == s->box.uidvalidity;
}

/* Only the UIDs that are wanted were asked for, in vain: all of them. */
static void answer_uids(struct list_job *j, struct session *s,
			const struct status *st)
{
	if (st->kind == STATUS_OK && st->code != CODE_MESSAGELIMIT)
		return;
	if (session_errno(st) != -EIO && st->kind != STATUS_OK) {
		job_refuse(&j->l.job, st);
		return;
	}
	rows_clear(&j->l.rows);
	j->by_uid = false;
	j->top = s->box.messages;
}

static void start(struct job *job, struct session *s)
{
	struct list_job *j = (struct list_job *)job;

	if (!listing_opened(&j->l, s))
		return;
	j->by_uid = is_by_uid(j, s);
	j->top = j->by_uid ? 0 : s->box.messages;
	j->pace = (struct pace){.slow_ms = j->slow_ms};
	j->searching = false;
	j->halves.n = 0;
	j->n_alone = 0;
	j->l.in_two_steps = j->l.recall && session_has(s, CAP_GMAIL);
	if (j->by_uid)
		(void)listing_send(&j->l, s, "UID FETCH", j->uids.first,
				   j->uids.last, CALL_UIDS);
	else if (j->below_uid == 1)
		j->top = 0;
	else if (j->below_uid > 1 && j->top > 0)
		list_search(j, s, j->top);
}

static void flush(struct list_job *j, struct rows *rows)
{
	j->handed_ms = clock_now_ms();
	for (size_t i = 0; i < rows->n; i++) {
		if (j->lowest == 0 || rows->row[i].uid < j->lowest)
			j->lowest = rows->row[i].uid;
	}
	listing_flush(&j->l, rows);
}

static void remove_window(struct list_job *j, unsigned i)
{
	struct rows rows = j->window[i].f.rows;

	j->n_windows--;
	memmove(&j->window[i], &j->window[i + 1],
		(j->n_windows - i) * sizeof(j->window[0]));
	if (!rows.row)
		return;
	/* Its memory serves the next window that gets a row. */
	rows_finish(&j->spare);
	rows_clear(&rows);
	j->spare = rows;
}

static bool is_complete(const struct window *w)
{
	return w->f.step == FIELDS_DONE;
}

/* The window that is to be handed on next; n_windows: it is not complete. */
static unsigned next_window(const struct list_job *j)
{
	const struct mail_range *half = halves_upper(&j->halves);
	unsigned found = j->n_windows;

	for (unsigned i = 0; i < j->n_windows; i++) {
		if (found == j->n_windows ||
		    j->window[i].first > j->window[found].first)
			found = i;
	}
	if (found == j->n_windows || !is_complete(&j->window[found]))
		return j->n_windows;
	if (half && half->first > j->window[found].first)
		return j->n_windows;
	return found;
}

/* Hand on the windows that are complete, from above. */
static void hand_on(struct list_job *j)
{
	unsigned i;

	if (j->l.n_again > 0)
		return;
	flush(j, &j->l.rows);
	while ((i = next_window(j)) < j->n_windows) {
		flush(j, &j->window[i].f.rows);
		remove_window(j, i);
	}
}

/* Rows that have yet to come. */
static unsigned on_their_way(const struct list_job *j)
{
	unsigned n = 0;

	for (unsigned i = 0; i < j->n_windows; i++) {
		if (!is_complete(&j->window[i]))
			n += j->window[i].last - j->window[i].first + 1;
	}
	return n;
}

static void send_window(struct list_job *j, struct session *s)
{
	uint32_t n = list_window(j);
	struct mail_range w = {.first = 1, .last = j->top};
	struct window *to = &j->window[j->n_windows];

	if (j->halves.n > 0) {
		w = halves_take(&j->halves);
	} else {
		if (j->top > n)
			w.first = j->top - n + 1;
		j->top = w.first - 1;
	}
	if (j->suspects == 1 && w.first == w.last)
		list_ask_name(j, s, w.first);
	if (!listing_send(&j->l, s, "FETCH", w.first, w.last, CALL_WINDOW))
		return;
	if (on_their_way(j) == 0)
		pace_begin(&j->pace, clock_now_ms());
	*to = (struct window){
		.first = w.first, .last = w.last, .sent_ms = clock_now_ms()};
	j->n_windows++;
}

static bool may_send(const struct list_job *j, const struct session *s)
{
	unsigned n = on_their_way(j);

	if (j->l.job.finished || j->n_windows == WINDOWS_MAX ||
	    !session_has_room(s))
		return false;
	/* Which one of two was it that ended the session? */
	if (n > 0 &&
	    (j->suspects > 0 || n + pace_window(&j->pace) > j->pace.ahead))
		return false;
	return j->halves.n > 0 || (j->top > 0 && !j->l.job.yield);
}

/* Is there anything to be asked for in a second step? */
static bool lacks_fields(const struct list_job *j)
{
	for (unsigned i = 0; i < j->n_windows; i++) {
		if (j->window[i].f.step == FIELDS_KNOWN)
			return true;
	}
	return false;
}

static void pump_fields(struct list_job *j, struct session *s)
{
	for (unsigned i = 0; i < j->n_windows && !j->l.job.finished; i++) {
		struct window *w = &j->window[i];
		const struct call call = {.job = &j->l.job,
					  .kind = CALL_FIELDS,
					  .first = w->first,
					  .last = w->last};

		fields_pump(&j->l, s, &w->f, &call);
	}
}

static void pump(struct job *job, struct session *s)
{
	struct list_job *j = (struct list_job *)job;

	if (j->searching || job->finished)
		return;
	listing_pump_again(&j->l, s);
	pump_fields(j, s);
	while (may_send(j, s))
		send_window(j, s);
	/* For want of room in the session nothing may be in flight either. */
	if (j->l.in_flight == 0 && j->l.n_again == 0 && j->halves.n == 0 &&
	    j->top == 0 && !lacks_fields(j)) {
		hand_on(j);
		job_finish(job, 0, NULL);
	}
}

/* The window at this step that such a command was for; n_windows: none. */
static unsigned find_window(const struct list_job *j, const struct call *call,
			    enum fields_step step)
{
	unsigned i = 0;

	while (i < j->n_windows && (j->window[i].f.step != step ||
				    j->window[i].first != call->first ||
				    j->window[i].last != call->last))
		i++;
	return i;
}

static void answer_window(struct list_job *j, struct session *s,
			  const struct call *call, const struct status *st)
{
	unsigned i = find_window(j, call, FIELDS_ROWS);

	pace_answered(&j->pace, clock_now_ms(), s->rtt_ms);
	if (st->kind == STATUS_OK)
		list_clear(j, call->last - call->first + 1);
	if (st->kind != STATUS_OK || st->code == CODE_MESSAGELIMIT) {
		/* What came of it comes once more, with its half. */
		if (i < j->n_windows)
			remove_window(j, i);
		list_halve(j, s, call, st);
	} else if (i < j->n_windows && j->l.in_two_steps) {
		fields_begin(&j->l, &j->window[i].f);
	} else if (i < j->n_windows) {
		j->window[i].f.step = FIELDS_DONE;
	}
	hand_on(j);
}

static void answer_fields(struct list_job *j, const struct call *call,
			  const struct status *st)
{
	unsigned i = find_window(j, call, FIELDS_KNOWN);

	if (i < j->n_windows)
		fields_answer(&j->l, &j->window[i].f, st);
	hand_on(j);
}

static void answer(struct job *job, struct session *s, const struct call *call,
		   const struct status *st)
{
	struct list_job *j = (struct list_job *)job;

	j->l.in_flight--;
	if (call->kind == CALL_AGAIN) {
		listing_answer_again(&j->l, call, st);
		hand_on(j);
	} else if (call->kind == CALL_FIELDS) {
		answer_fields(j, call, st);
	} else if (call->kind == CALL_SEARCH) {
		list_search_answered(j, s, call, st);
	} else if (call->kind == CALL_UIDS) {
		answer_uids(j, s, st);
	} else if (call->kind == CALL_WINDOW) {
		answer_window(j, s, call, st);
	}
}

static void drop_windows(struct list_job *j)
{
	for (unsigned i = 0; i < j->n_windows; i++)
		rows_finish(&j->window[i].f.rows);
	rows_finish(&j->spare);
	j->n_windows = 0;
}

static bool repeat(struct job *job)
{
	struct list_job *j = (struct list_job *)job;

	drop_windows(j);
	if (j->cuts > 0) {
		list_go_on(j);
		j->l.handed_out = false;
	}
	return listing_repeat(job);
}

static bool list_pause(struct job *job)
{
	struct list_job *j = (struct list_job *)job;

	if (j->searching || j->l.in_flight > 0 || j->l.n_again > 0 ||
	    j->halves.n > 0 || lacks_fields(j))
		return false;
	hand_on(j);
	list_go_on(j);
	return true;
}

static void list_done(struct job *job)
{
	struct list_job *j = (struct list_job *)job;

	lock_assert_none();
	j->done(j->l.ctx, job->result, &job->why);
}

static void list_free(struct job *job)
{
	drop_windows((struct list_job *)job);
	listing_free(job);
}

static const struct job_class list_class = {
	.name = "list",
	.fresh = true,
	.start = start,
	.pump = pump,
	.answer = answer,
	.fetch = list_fetch,
	.data = list_data,
	.repeat = repeat,
	.cut = list_cut,
	.pause = list_pause,
	.done = list_done,
	.free = list_free,
};

/* NOLINTNEXTLINE(readability-function-size): the contract has seven. */
int imap_list(struct imap *im, const char *wire, enum imap_priority prio,
	      const struct imap_list_request *req,
	      const struct imap_list_ops *ops, void *ctx, imap_job *ret)
{
	const struct listing_ops heard = {ops->opened, ops->rows};
	struct list_job *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return -ENOMEM;
	j->coming = ops->coming;
	j->done = ops->done;
	j->below_uid = req->below_uid;
	j->uidvalidity = req->uidvalidity;
	j->uids = req->uids;
	j->slow_ms = im->slow_ms;
	j->l.newest_first = true;
	j->l.recall = req->recall;
	r = listing_init(&j->l, &list_class, wire, &heard, ctx);
	if (r < 0) {
		list_free(&j->l.job);
		return r;
	}
	return pool_submit(im, &j->l.job, prio, ret);
}
