/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "imap/log.h"

/*
 * imap_list(): a mailbox, newest first.
 *
 * Windows of sequence numbers go down from EXISTS, the first one small (a
 * screenful is what somebody waits for), a few in flight so that a long pipe
 * stays full. Messages that are expunged meanwhile shift what is above them
 * down: into a window that is still to come, or has come already. So a row may
 * come twice, but none is missed; and a window never has to know of EXPUNGE.
 *
 * Servers answer what is in flight in any order, even mixed (Dovecot does):
 * each window gathers its own rows, and is handed on when it is complete and
 * all above it have been.
 *
 * A window that the server refuses is asked for in halves, until the message
 * that it cannot describe is alone.
 */

#define FIRST_WINDOW 100
#define WINDOW 500
#define WINDOWS_IN_FLIGHT 8
#define HALVES_MAX 64
#define REFUSALS_MAX 64

enum { CALL_WINDOW = CALL_OWN, CALL_SEARCH };

struct window {
	uint32_t first;
	uint32_t last;
	bool answered;
	struct rows rows;
};

struct list_job {
	struct listing l;
	uint32_t below_uid; /* 0: from the top */
	uint32_t top;       /* the greatest number not asked for; 0: none */
	bool searching;
	bool first_window;
	struct window window[WINDOWS_IN_FLIGHT]; /* in the order of sending */
	unsigned n_windows;
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
	j->searching = false;
	j->n_halves = 0;
	if (j->below_uid == 1)
		j->top = 0;
	else if (j->below_uid > 1 && j->top > 0)
		search(j, s);
}

/* Hand on the windows that are complete, in order. */
static void hand_on(struct list_job *j)
{
	struct window w;

	while (j->n_windows > 0 && j->window[0].answered) {
		w = j->window[0];
		listing_flush(&j->l, &w.rows);
		j->n_windows--;
		memmove(&j->window[0], &j->window[1], j->n_windows * sizeof(w));
		/* Its memory serves the next window. */
		j->window[j->n_windows] = (struct window){.rows = w.rows};
	}
}

static void send_window(struct list_job *j, struct session *s)
{
	uint32_t n = j->first_window ? FIRST_WINDOW : WINDOW;
	struct mail_range w = {.first = 1, .last = j->top};
	struct window *to = &j->window[j->n_windows];

	if (j->n_halves > 0) {
		w = j->half[--j->n_halves];
	} else {
		if (j->top > n)
			w.first = j->top - n + 1;
		j->top = w.first - 1;
	}
	if (!listing_send(&j->l, s, "FETCH", w.first, w.last, CALL_WINDOW))
		return;
	to->first = w.first;
	to->last = w.last;
	to->answered = false;
	j->n_windows++;
}

/* The first window goes alone, or the others would share the line with it. */
static bool may_send(const struct list_job *j, const struct session *s)
{
	unsigned max = j->first_window ? 1 : WINDOWS_IN_FLIGHT;

	return !j->l.job.finished && (j->top > 0 || j->n_halves > 0) &&
	       j->n_windows < max && session_has_room(s);
}

static void pump(struct job *job, struct session *s)
{
	struct list_job *j = (struct list_job *)job;

	if (j->searching || job->finished)
		return;
	listing_pump_again(&j->l, s);
	while (may_send(j, s))
		send_window(j, s);
	if (j->l.in_flight == 0 && j->l.n_again == 0) {
		listing_flush(&j->l, &j->l.rows);
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

static void answer_window(struct list_job *j, struct session *s,
			  const struct call *call, const struct status *st)
{
	for (unsigned i = 0; i < j->n_windows; i++) {
		struct window *w = &j->window[i];

		if (w->answered || w->first != call->first ||
		    w->last != call->last)
			continue;
		w->answered = true;
		break;
	}
	j->first_window = false;
	if (st->kind != STATUS_OK)
		halve(j, s, call, st);
	hand_on(j);
}

static void answer(struct job *job, struct session *s, const struct call *call,
		   const struct status *st)
{
	struct list_job *j = (struct list_job *)job;

	j->l.in_flight--;
	if (call->kind == CALL_AGAIN) {
		listing_answer_again(&j->l, call);
	} else if (call->kind == CALL_SEARCH) {
		j->searching = false;
		if (st->kind != STATUS_OK)
			job_refuse(job, st);
	} else {
		answer_window(j, s, call, st);
	}
}

/* Where does the row with this sequence number belong? */
static struct rows *place(struct list_job *j, uint32_t seq)
{
	for (unsigned i = 0; i < j->n_windows; i++) {
		struct window *w = &j->window[i];

		if (seq >= w->first && seq <= w->last)
			return &w->rows;
	}
	/* Shifted, or asked for again: with what is handed on at the end. */
	return &j->l.rows;
}

static void fetch(struct job *job, struct session *s, struct fetch *f)
{
	struct list_job *j = (struct list_job *)job;

	(void)s;
	if (!listing_is_row(&f->row))
		return;
	if ((f->row.has & ROW_UID) && j->below_uid > 0 &&
	    f->row.uid >= j->below_uid)
		return;
	if ((f->row.has & ROW_FULL) == ROW_FULL)
		listing_add(&j->l, place(j, f->row.seq), &f->row);
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
	for (unsigned i = 0; i < WINDOWS_IN_FLIGHT; i++)
		rows_finish(&j->window[i].rows);
	j->n_windows = 0;
}

static bool repeat(struct job *job)
{
	drop_windows((struct list_job *)job);
	return listing_repeat(job);
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
	.done = listing_done,
	.free = list_free,
};

/* NOLINTNEXTLINE(readability-function-size): the contract has seven. */
int imap_list(struct imap *im, const char *wire, enum imap_priority prio,
	      const struct imap_list_request *req,
	      const struct imap_list_ops *ops, void *ctx, imap_job *ret)
{
	struct list_job *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return -ENOMEM;
	j->below_uid = req->below_uid;
	j->l.newest_first = true;
	r = listing_init(&j->l, &list_class, wire, ops, ctx);
	if (r < 0) {
		list_free(&j->l.job);
		return r;
	}
	return pool_submit(im, &j->l.job, prio, ret);
}
