/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/sync.h"

/*
 * New messages at one of which the server ends the session, as list_cut.c has
 * it of those of a listing.
 *
 * From the first such end on they are asked for when the mailbox is open and
 * has told where they end, since `n:*` is the last message even if that is not
 * new. A range that ended a session, without what came of it, is asked for in
 * halves; a message that did so alone, twice, is left out.
 *
 * What is new to a sync comes from the beginning each time, as all does where
 * the line was cut: whoever asked is told once more that it is opened, and what
 * was heard before is void.
 */

/* Those in the range that are not left out, to be sent from below. */
static void push_range(struct sync_job *j, uint32_t first, uint32_t last)
{
	while (first <= last) {
		uint32_t out = 0;

		for (unsigned i = 0; i < j->n_left; i++) {
			if (j->left[i] >= first && j->left[i] <= last &&
			    j->left[i] > out)
				out = j->left[i];
		}
		if (out < last)
			sync_push(j, SYNC_ASK_NEW,
				  out >= first ? out + 1 : first, last);
		if (out <= 1)
			return;
		last = out - 1;
	}
}

void sync_push_new(struct sync_job *j, const struct session *s)
{
	const struct mail_range v = j->suspects;
	uint32_t first = j->req.uidnext;
	uint32_t last = s->box.uidnext - 1;
	uint32_t middle = v.first + (v.last - v.first) / 2;

	if (s->box.uidnext == 0) {
		sync_push(j, SYNC_ASK_NEW, first, UINT32_MAX);
	} else if (v.first == 0) {
		push_range(j, first, last);
	} else {
		push_range(j, v.last + 1, last);
		push_range(j, middle + 1, v.last);
		push_range(j, v.first, middle);
		push_range(j, first, v.first - 1);
	}
}

/* Without those that came. */
static struct mail_range find_suspects(const struct sync_job *j)
{
	struct mail_range v = j->asked;

	for (size_t i = 0; i < j->l.rows.n; i++) {
		uint32_t uid = j->l.rows.row[i].uid;

		if (uid >= v.first && uid < v.last)
			v.first = uid + 1;
	}
	return v;
}

bool sync_repeat(struct job *job)
{
	struct sync_job *j = (struct sync_job *)job;

	j->l.handed_out = false;
	return listing_repeat(job);
}

bool sync_cut(struct job *job)
{
	struct sync_job *j = (struct sync_job *)job;

	if (j->asked.first == 0 || j->cuts == LISTING_CUTS_MAX ||
	    (j->careful && j->asked.last == UINT32_MAX))
		return false;
	j->cuts++;
	if (!j->careful) {
		j->careful = true;
		return true;
	}
	j->suspects = find_suspects(j);
	if (j->suspects.first < j->suspects.last)
		return true;
	if (j->cut_uid != j->suspects.first || j->asked.first < j->asked.last) {
		j->cut_uid = j->suspects.first;
		return true;
	}
	listing_leave_out_deadly(&j->l, j->cut_uid);
	j->left[j->n_left++] = j->cut_uid;
	j->suspects.first = 0;
	return true;
}
