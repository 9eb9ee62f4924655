/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "imap/lock.h"
#include "imap/log.h"

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
 * How many are in flight is found out: a server that describes a hundred
 * messages a millisecond, 50 ms away, wants ten thousand asked for at once; on
 * a slow line a tenth of that is more than a reader likes to wait behind. So
 * each answer that came in time lets one more be sent, a late one one less.
 *
 * A listing makes room for a reader of another mailbox between two windows,
 * and goes on below what was handed out.
 */

#define FIRST_WINDOW 100
#define WINDOW 500
#define WINDOWS_MIN 2
#define WINDOWS_START 8
#define WINDOWS_MAX 24
#define WINDOW_LATE_MS 400 /* beyond the round trip */
#define HALVES_MAX 64
#define REFUSALS_MAX 64

enum { CALL_WINDOW = CALL_OWN, CALL_SEARCH };

struct window {
	uint32_t first;
	uint32_t last;
	bool answered;
	int64_t sent_ms;
	struct rows rows;
};

struct list_job {
	struct listing l;
	void (*done)(void *ctx, int result, const struct imap_error *why);
	uint32_t below_uid; /* 0: from the top */
	uint32_t lowest;    /* UID that was handed out; 0: none */
	uint32_t top;       /* the greatest number not asked for; 0: none */
	bool searching;
	bool first_window;
	struct window window[WINDOWS_MAX]; /* in the order of sending */
	unsigned n_windows;
	unsigned may_fly;  /* so many windows at once */
	struct rows spare; /* empty, with memory for the next window */
	struct mail_range half[HALVES_MAX];
	unsigned n_halves;
};

/* Which is the greatest sequence number with a UID below? */
static void search(struct list_job *j, struct session *s)
{
	const struct call call = {.job = &j->l.job, .kind = CALL_SEARCH};
	struct command c;
	int r;

	session_begin(s, &c);
	command_text(&c, "SEARCH %sUID 1:%u",
		     session_has(s, CAP_ESEARCH) ? "RETURN (MAX) " : "",
		     j->below_uid - 1);
	r = session_send(s, &c, &call);
	if (r < 0) {
		job_finish(&j->l.job, r, NULL);
		return;
	}
	j->l.in_flight++;
	j->searching = true;
	j->top = 0;
}

static void start(struct job *job, struct session *s)
{
	struct list_job *j = (struct list_job *)job;

	if (!listing_opened(&j->l, s))
		return;
	j->top = s->box.messages;
	j->first_window = true;
	j->may_fly = WINDOWS_START;
	j->searching = false;
	j->n_halves = 0;
	if (j->below_uid == 1)
		j->top = 0;
	else if (j->below_uid > 1 && j->top > 0)
		search(j, s);
}

static void flush(struct list_job *j, struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++) {
		if (j->lowest == 0 || rows->row[i].uid < j->lowest)
			j->lowest = rows->row[i].uid;
	}
	listing_flush(&j->l, rows);
}

static void remove_window(struct list_job *j, unsigned i)
{
	struct rows rows = j->window[i].rows;

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

/* The uppermost of the halves that wait to be sent; n_halves: none does. */
static unsigned upper_half(const struct list_job *j)
{
	unsigned found = j->n_halves;

	for (unsigned i = 0; i < j->n_halves; i++) {
		if (found == j->n_halves ||
		    j->half[i].first > j->half[found].first)
			found = i;
	}
	return found;
}

/* The window that is to be handed on next; n_windows: it is not complete. */
static unsigned next_window(const struct list_job *j)
{
	unsigned half = upper_half(j);
	unsigned found = j->n_windows;

	for (unsigned i = 0; i < j->n_windows; i++) {
		if (found == j->n_windows ||
		    j->window[i].first > j->window[found].first)
			found = i;
	}
	if (found == j->n_windows || !j->window[found].answered)
		return j->n_windows;
	if (half < j->n_halves && j->half[half].first > j->window[found].first)
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
		flush(j, &j->window[i].rows);
		remove_window(j, i);
	}
}

static void send_window(struct list_job *j, struct session *s)
{
	uint32_t n = j->first_window ? FIRST_WINDOW : WINDOW;
	struct mail_range w = {.first = 1, .last = j->top};
	struct window *to = &j->window[j->n_windows];

	if (j->n_halves > 0) {
		unsigned i = upper_half(j);

		w = j->half[i];
		j->half[i] = j->half[--j->n_halves];
	} else {
		if (j->top > n)
			w.first = j->top - n + 1;
		j->top = w.first - 1;
	}
	if (!listing_send(&j->l, s, "FETCH", w.first, w.last, CALL_WINDOW))
		return;
	*to = (struct window){
		.first = w.first, .last = w.last, .sent_ms = clock_now_ms()};
	j->n_windows++;
}

/* The first window goes alone, or the others would share the line with it. */
static bool may_send(const struct list_job *j, const struct session *s)
{
	unsigned max = j->first_window ? 1 : j->may_fly;

	if (j->l.job.finished || j->n_windows >= max || !session_has_room(s))
		return false;
	return j->n_halves > 0 || (j->top > 0 && !j->l.job.yield);
}

static void pump(struct job *job, struct session *s)
{
	struct list_job *j = (struct list_job *)job;

	if (j->searching || job->finished)
		return;
	listing_pump_again(&j->l, s);
	while (may_send(j, s))
		send_window(j, s);
	/* For want of room in the session nothing may be in flight either. */
	if (j->l.in_flight == 0 && j->l.n_again == 0 && j->n_halves == 0 &&
	    j->top == 0) {
		hand_on(j);
		job_finish(job, 0, NULL);
	}
}

/* A window was refused: its halves, without what is not there any more. */
static void halve(struct list_job *j, struct session *s,
		  const struct call *call, const struct status *st)
{
	struct mail_range w = {.first = call->first, .last = call->last};
	uint32_t middle = w.first + (w.last - w.first) / 2;

	if (session_errno(st) != -EIO || ++j->l.refusals > REFUSALS_MAX ||
	    j->n_halves + 2 > HALVES_MAX) {
		job_refuse(&j->l.job, st);
		return;
	}
	if (w.first > s->box.messages)
		return;
	if (w.last > s->box.messages) {
		w.last = s->box.messages;
		j->half[j->n_halves++] = w;
	} else if (w.first == w.last) {
		log_warn("imap: message number %u of '%s' is left out: the "
			 "server refuses to describe it",
			 w.first, j->l.job.mailbox);
	} else {
		j->half[j->n_halves++] = (struct mail_range){w.first, middle};
		j->half[j->n_halves++] =
			(struct mail_range){middle + 1, w.last};
	}
}

unsigned list_may_fly(unsigned now, int64_t took_ms, int64_t rtt_ms)
{
	bool late = took_ms - WINDOW_LATE_MS > rtt_ms;

	if (late)
		return now > WINDOWS_MIN ? now - 1 : now;
	return now < WINDOWS_MAX ? now + 1 : now;
}

static void answer_window(struct list_job *j, struct session *s,
			  const struct call *call, const struct status *st)
{
	unsigned i = 0;

	while (i < j->n_windows &&
	       (j->window[i].answered || j->window[i].first != call->first ||
		j->window[i].last != call->last))
		i++;
	if (i < j->n_windows && !j->first_window)
		j->may_fly = list_may_fly(j->may_fly,
					  clock_now_ms() - j->window[i].sent_ms,
					  s->rtt_ms);
	j->first_window = false;
	if (st->kind != STATUS_OK || st->code == CODE_MESSAGELIMIT) {
		/* What came of it comes once more, with its half. */
		if (i < j->n_windows)
			remove_window(j, i);
		halve(j, s, call, st);
	} else if (i < j->n_windows) {
		j->window[i].answered = true;
	}
	hand_on(j);
}

static void answer(struct job *job, struct session *s, const struct call *call,
		   const struct status *st)
{
	struct list_job *j = (struct list_job *)job;

	j->l.in_flight--;
	if (call->kind == CALL_AGAIN) {
		listing_answer_again(&j->l, call);
		hand_on(j);
	} else if (call->kind == CALL_SEARCH) {
		j->searching = false;
		if (st->kind != STATUS_OK)
			job_refuse(job, st);
	} else {
		answer_window(j, s, call, st);
	}
}

/* Where does this row belong? NULL: nowhere, it will come again. */
static struct rows *place(struct list_job *j, const struct mail_row *row)
{
	for (unsigned i = 0; i < j->n_windows; i++) {
		struct window *w = &j->window[i];

		if (row->seq < w->first || row->seq > w->last)
			continue;
		if (!w->rows.row) {
			w->rows = j->spare;
			j->spare = (struct rows){0};
		}
		return &w->rows;
	}
	/* Below all windows that were sent: that one is still to come. */
	if (row->seq <= j->top)
		return NULL;
	for (unsigned i = 0; i < j->n_halves; i++) {
		if (row->seq >= j->half[i].first && row->seq <= j->half[i].last)
			return NULL;
	}
	/* Shifted from above: what was there has been handed on. */
	return &j->l.rows;
}

static void fetch(struct job *job, struct session *s, struct fetch *f)
{
	struct list_job *j = (struct list_job *)job;
	struct rows *to;

	(void)s;
	if (!listing_is_row(&f->row))
		return;
	if ((f->row.has & ROW_UID) && j->below_uid > 0 &&
	    f->row.uid >= j->below_uid)
		return;
	to = place(j, &f->row);
	if (!to)
		return;
	if ((f->row.has & ROW_FULL) == ROW_FULL)
		listing_add(&j->l, to, &f->row);
	else
		listing_again(&j->l, &f->row);
}

static void data(struct job *job, struct session *s, const struct response *r)
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

static void drop_windows(struct list_job *j)
{
	for (unsigned i = 0; i < j->n_windows; i++)
		rows_finish(&j->window[i].rows);
	rows_finish(&j->spare);
	j->n_windows = 0;
}

static bool repeat(struct job *job)
{
	drop_windows((struct list_job *)job);
	return listing_repeat(job);
}

static bool list_pause(struct job *job)
{
	struct list_job *j = (struct list_job *)job;

	if (j->searching || j->l.in_flight > 0 || j->l.n_again > 0 ||
	    j->n_halves > 0)
		return false;
	hand_on(j);
	if (j->lowest > 0)
		j->below_uid = j->lowest;
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
	.fetch = fetch,
	.data = data,
	.repeat = repeat,
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
	j->done = ops->done;
	j->below_uid = req->below_uid;
	j->l.newest_first = true;
	r = listing_init(&j->l, &list_class, wire, &heard, ctx);
	if (r < 0) {
		list_free(&j->l.job);
		return r;
	}
	return pool_submit(im, &j->l.job, prio, ret);
}
