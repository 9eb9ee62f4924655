/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/fields.h"

#include <errno.h>
#include <string.h>

#include "imap/change.h"
#include "imap/lock.h"
#include "imap/log.h"

/*
 * The second step of a window of rows: the header fields that are not known.
 *
 * A message that the server gives no fields of is asked for as a whole, as any
 * that it describes wrongly. One that is gone meanwhile has no answer to that
 * either, and is left out in silence. A portion that is refused, or answered in
 * part (MESSAGELIMIT, RFC 9738), is halved; portions grow again behind it, so
 * that one bad message costs some twenty questions.
 */

/* Lines over 8,000 bytes are refused by some. */
_Static_assert(ROWS_MAX * sizeof("4294967295,") < 7000, "a set of all UIDs");

static bool lacks_fields(const struct fields *w, size_t i)
{
	return (w->rows.row[i].has & ROW_FIELDS) == 0;
}

/* What has its fields is passed over: is there anything left to ask for? */
static void settle(struct fields *w)
{
	while (w->at < w->n && !lacks_fields(w, w->at))
		w->at++;
	w->end = w->at;
	if (w->at == w->n)
		w->step = FIELDS_DONE;
}

static void recalled(void *to, size_t i, const char *const field[N_FIELDS])
{
	struct fields *w = to;

	/* Without memory it is asked for. */
	if (i < w->rows.n)
		(void)!rows_set_fields(&w->rows, i, field);
}

void fields_begin(struct listing *l, struct fields *w)
{
	rows_sort(&w->rows, l->newest_first);
	w->step = FIELDS_KNOWN;
	w->portion = ROWS_MAX;
	w->n = w->rows.n;
	w->at = 0;
	w->end = 0;
	if (w->n > 0) {
		lock_assert_none();
		l->recall(l->ctx, w->rows.row, w->n, recalled, w);
	}
	settle(w);
}

/* UIDs of the rows without fields in [from, to), ascending. */
static size_t gather(const struct listing *l, const struct fields *w,
		     size_t from, size_t to, uint32_t uids[ROWS_MAX])
{
	size_t n = 0;

	for (size_t i = from; i < to; i++) {
		size_t at = l->newest_first ? to - 1 - (i - from) : i;

		if (lacks_fields(w, at))
			uids[n++] = w->rows.row[at].uid;
	}
	return n;
}

/* The end of the next portion: so many rows without fields, or fewer. */
static size_t next_end(const struct fields *w)
{
	size_t end = w->at, n = 0;

	while (end < w->n && n < w->portion)
		n += lacks_fields(w, end++);
	return end;
}

static bool send(struct listing *l, struct session *s, const struct call *call,
		 const uint32_t *uids, size_t n)
{
	struct command c;
	int r;

	session_begin(s, &c);
	command_text(&c, "UID FETCH ");
	command_uids(&c, uids, n);
	command_text(&c, " (UID " LISTING_FIELDS ")");
	r = session_send(s, &c, call);
	if (r < 0)
		job_finish(&l->job, r, NULL);
	else
		l->in_flight++;
	return r == 0;
}

void fields_pump(struct listing *l, struct session *s, struct fields *w,
		 const struct call *call)
{
	uint32_t uids[ROWS_MAX];
	size_t end, n;

	if (w->step != FIELDS_KNOWN || w->end > w->at || !session_has_room(s))
		return;
	end = next_end(w);
	n = gather(l, w, w->at, end, uids);
	if (!send(l, s, call, uids, n))
		return;
	w->end = end;
	w->asked = n;
}

bool fields_take(struct listing *l, struct fields *w,
		 const struct mail_row *row)
{
	size_t low = w->at, high = w->end;
	int r;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		uint32_t uid = w->rows.row[mid].uid;

		if (uid == row->uid) {
			if (!lacks_fields(w, mid))
				return true;
			r = rows_set_fields(&w->rows, mid, row->field);
			if (r < 0)
				job_finish(&l->job, r, NULL);
			return true;
		}
		if ((uid < row->uid) != l->newest_first)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

/* Rows of the portion that are still without go; are they asked for again? */
static void drop_portion(struct listing *l, struct fields *w, bool again)
{
	size_t to = w->at;

	for (size_t i = w->at; i < w->rows.n; i++) {
		if (i >= w->end || !lacks_fields(w, i))
			w->rows.row[to++] = w->rows.row[i];
		else if (again)
			listing_ask_again(l, &w->rows.row[i]);
	}
	w->at = w->end - (w->rows.n - to);
	w->n -= w->rows.n - to;
	w->rows.n = to;
}

/* The portion was refused, or came in part. */
static void halve(struct listing *l, struct fields *w, const struct status *st)
{
	uint32_t uids[ROWS_MAX];
	size_t n = gather(l, w, w->at, w->end, uids);

	if (session_errno(st) != -EIO || ++l->refusals > LISTING_REFUSALS_MAX) {
		job_refuse(&l->job, st);
		return;
	}
	if (w->asked > 1) {
		w->portion = w->asked / 2;
		return;
	}
	if (!w->retried) {
		w->retried = true;
		return;
	}
	/* That it cannot now says nothing of this message. */
	if (imap_is_for_now(session_change_errno(st))) {
		job_refuse(&l->job, st);
		return;
	}
	w->retried = false;
	if (n == 1)
		log_warn("imap: message %u of '%s' is left out: the server "
			 "refuses to describe it",
			 uids[0], l->job.mailbox);
	drop_portion(l, w, false);
}

void fields_answer(struct listing *l, struct fields *w, const struct status *st)
{
	if (st->kind != STATUS_OK || st->code == CODE_MESSAGELIMIT) {
		halve(l, w, st);
	} else {
		w->retried = false;
		drop_portion(l, w, true);
		if (w->portion < ROWS_MAX)
			w->portion *= 2;
	}
	settle(w);
}
