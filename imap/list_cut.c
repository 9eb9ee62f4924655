/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/list.h"

#include <errno.h>

#include "imap/change.h"
#include "imap/log.h"

/*
 * Messages that the server cannot describe.
 *
 * Most servers refuse the window with such a one, and it is asked for in
 * halves. But Dovecot ends the session (BYE) when it cannot open a message's
 * file: it would do so again and again, and nothing below would ever be listed.
 *
 * The first time it may be chance, and the listing is repeated as it was. From
 * the second time on one of the messages of the uppermost window in flight is
 * suspected. Over the next session the upper ones of them are asked for, with
 * nothing else in flight: they come, then it is in the others, or the session
 * ends, then it is one of these. Who answers in order was about to describe the
 * one behind those that came: what is above that is asked for first. If none
 * came it is the upper half. One that is left alone is asked for its UID first,
 * which Dovecot knows without the file. When that message has ended two
 * sessions the listing goes on below it.
 *
 * Each step of this costs a login, so there are LISTING_CUTS_MAX of them.
 */

/* --- refused --- */

/* It was refused alone, twice. */
static void leave_out(struct list_job *j, uint32_t number,
		      const struct status *st)
{
	/* That it cannot now says nothing of this message. */
	if (imap_is_for_now(session_change_errno(st)))
		job_refuse(&j->l.job, st);
	else
		log_warn("imap: message number %u of '%s' is left out: the "
			 "server refuses to describe it",
			 number, j->l.job.mailbox);
}

/* Was it so once before? */
static bool was_refused_alone(struct list_job *j, uint32_t number)
{
	for (unsigned i = 0; i < j->n_alone; i++) {
		if (j->alone[i] == number) {
			j->alone[i] = j->alone[--j->n_alone];
			return true;
		}
	}
	j->alone[j->n_alone++] = number;
	return false;
}

void list_halve(struct list_job *j, struct session *s, const struct call *call,
		const struct status *st)
{
	const struct mail_range w = {.first = call->first, .last = call->last};

	if (session_errno(st) != -EIO ||
	    ++j->l.refusals > LISTING_REFUSALS_MAX) {
		job_refuse(&j->l.job, st);
		return;
	}
	if (w.first > s->box.messages)
		return;
	if (w.first == w.last && was_refused_alone(j, w.first))
		leave_out(j, w.first, st);
	else if (!halves_add(&j->halves, w, s->box.messages))
		job_refuse(&j->l.job, st);
}

/* --- the session ends --- */

uint32_t list_window(const struct list_job *j)
{
	if (j->suspects == 0)
		return pace_window(&j->pace);
	return j->innocent > 0 ? j->innocent : (j->suspects + 1) / 2;
}

void list_ask_name(struct list_job *j, struct session *s, uint32_t seq)
{
	const struct call call = {.job = &j->l.job, .kind = CALL_NAME};
	struct command c;
	int r;

	j->name_seq = seq;
	session_begin(s, &c);
	command_text(&c, "FETCH %u (UID)", seq);
	r = session_send(s, &c, &call);
	if (r < 0)
		job_finish(&j->l.job, r, NULL);
	else
		j->l.in_flight++;
}

void list_hear_name(struct list_job *j, const struct mail_row *row)
{
	if (j->name_seq == row->seq && (row->has & ROW_UID))
		j->name_uid = row->uid;
}

void list_clear(struct list_job *j, uint32_t n)
{
	j->suspects -= n < j->suspects ? n : j->suspects;
	j->innocent = 0;
	j->name_seq = j->name_uid = 0;
}

void list_go_on(struct list_job *j)
{
	if (j->lowest > 0)
		j->below_uid = j->lowest;
	j->name_seq = j->name_uid = 0;
}

/* The uppermost window that is not complete; NULL: there is none. */
static const struct window *find_open(const struct list_job *j)
{
	const struct window *found = NULL;

	for (unsigned i = 0; i < j->n_windows; i++) {
		const struct window *w = &j->window[i];

		if (w->f.step != FIELDS_DONE &&
		    (!found || w->first > found->first))
			found = w;
	}
	return found;
}

/* It was alone, and has a name. */
static void suspect(struct list_job *j, uint32_t uid)
{
	if (uid != j->cut_uid) {
		j->cut_uid = uid;
		return;
	}
	listing_leave_out_deadly(&j->l, uid);
	j->lowest = uid;
	j->suspects = 0;
}

/* Who answers in order was about to describe the one behind those that came. */
static void narrow(struct list_job *j, const struct window *w)
{
	uint32_t came = 0;

	for (size_t i = 0; i < w->f.rows.n; i++) {
		if (w->f.rows.row[i].seq > came)
			came = w->f.rows.row[i].seq;
	}
	/* None came, or all: it may be any. */
	if (came == 0 || came >= w->last)
		came = w->first - 1;
	else
		j->innocent = w->last - came - 1;
	j->suspects = j->innocent > 0 ? j->innocent + 1 : w->last - came;
}

bool list_cut(struct job *job)
{
	struct list_job *j = (struct list_job *)job;
	const struct window *w = find_open(j);

	if (job->lost == 0 || !w || j->cuts == LISTING_CUTS_MAX)
		return false;
	j->cuts++;
	j->innocent = 0;
	narrow(j, w);
	if (j->name_uid > 0)
		suspect(j, j->name_uid);
	return true;
}
