/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/sync.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "imap/lock.h"
#include "imap/log.h"
#include "imap/set.h"

/*
 * What comes while an imap_sync() runs: rows, and sets of UIDs that are there
 * or gone. Data says what is so and not who asked, so rows of flags that come
 * because somebody else changes them are as good as others, and what vanishes
 * in the middle is handed on when it does.
 *
 * Sets are handed on as ranges, some at a time, and never expanded: a range
 * costs its bytes, whatever the numbers are.
 *
 * Runs on the thread of the connection that has the job; no lock is held when
 * the one who asked is called.
 */

#define RANGES_AT_ONCE 256
#define RANGES_SUM_MAX (2ULL * MAIL_MESSAGES_MAX)

/* --- rows --- */

static struct sync_odd *find_odd(struct sync_job *j, uint32_t uid)
{
	for (unsigned i = 0; i < j->n_odd; i++) {
		if (j->odd[i].uid == uid)
			return &j->odd[i];
	}
	return NULL;
}

/* Ranges, behind the rows that came before them. */
static void hand_on(struct sync_job *j, enum response_kind kind,
		    const struct mail_range *v, size_t n)
{
	int r;

	listing_flush(&j->l, &j->l.rows);
	j->ranges_sum += n;
	if (j->ranges_sum > RANGES_SUM_MAX)
		job_finish(&j->l.job, -EPROTO, NULL);
	if (n == 0 || j->l.job.finished)
		return;
	lock_assert_none();
	j->l.handed_out = true;
	r = kind == RESPONSE_VANISHED ? j->ops.vanished(j->l.ctx, v, n)
				      : j->ops.present(j->l.ctx, v, n);
	if (r < 0)
		job_finish(&j->l.job, r, NULL);
}

/* It is there, and its flags are a secret of the server's. */
static void leave_out(struct sync_job *j, uint32_t uid)
{
	const struct mail_range v = {uid, uid};

	log_warn("imap: the flags of message %u of '%s' are not known: the "
		 "server describes it wrongly",
		 uid, j->l.job.mailbox);
	j->withheld = true;
	if (j->method != IMAP_SYNC_QRESYNC)
		hand_on(j, RESPONSE_SEARCH, &v, 1);
}

/* A row of this message has no flags. */
static void note_odd(struct sync_job *j, uint32_t uid)
{
	struct sync_odd *odd = find_odd(j, uid);

	if (j->given_up || (odd && !odd->asked))
		return;
	if (odd) {
		leave_out(j, uid);
		*odd = j->odd[--j->n_odd];
	} else if (j->n_odd < SYNC_ODD_MAX) {
		j->odd[j->n_odd++] = (struct sync_odd){.uid = uid};
	} else if (j->method != IMAP_SYNC_FLAGS) {
		sync_fall_back(j);
	} else {
		leave_out(j, uid);
	}
}

void sync_odd_answered(struct sync_job *j, bool ok)
{
	unsigned n = 0;

	/* What had no row again is not there any more. */
	for (unsigned i = 0; i < j->n_odd; i++) {
		if (!j->odd[i].asked)
			j->odd[n++] = j->odd[i];
		else if (!ok)
			leave_out(j, j->odd[i].uid);
	}
	j->n_odd = n;
}

static void add(struct sync_job *j, const struct mail_row *row)
{
	/* A window has rows of one kind only. */
	if (j->l.rows.n > 0 &&
	    ((j->l.rows.row[0].has ^ row->has) & ROW_SIZE) != 0)
		listing_flush(&j->l, &j->l.rows);
	listing_add(&j->l, &j->l.rows, row);
}

static void take_known(struct sync_job *j, const struct fetch *f)
{
	struct sync_odd *odd = find_odd(j, f->row.uid);
	struct mail_row row = f->row;

	if (row.has & ROW_FLAGS) {
		j->heard = true;
		if (odd)
			*odd = j->odd[--j->n_odd];
		row.has = ROW_UID | ROW_FLAGS | (row.has & ROW_LABELS);
		memset(row.field, 0, sizeof(row.field));
		add(j, &row);
	} else if (f->damaged ||
		   ((row.has & ~(ROW_MODSEQ | ROW_LABELS)) == ROW_UID &&
		    f->body == BODY_ABSENT)) {
		note_odd(j, row.uid);
	}
}

/*
 * A row that does not say of which message: somebody's change, which will have
 * a newer MODSEQ the next time; unless it looks like one that was asked for.
 */
static void take_nameless(struct sync_job *j, const struct session *s,
			  const struct fetch *f)
{
	bool is_later = (f->row.has & ROW_MODSEQ) &&
			f->row.modseq > s->box.highestmodseq;

	if (j->given_up)
		return;
	if (j->method == IMAP_SYNC_FLAGS)
		j->unsure = j->unsure || f->damaged;
	else if (!is_later && (f->damaged || (f->row.has & ROW_FLAGS)))
		sync_fall_back(j);
}

/* A row of a message that is new. */
static void take_new(struct sync_job *j, struct fetch *f)
{
	if (!listing_is_row(&f->row))
		return;
	j->described |= (f->row.has & ROW_BARE) == ROW_BARE;
	if (sync_fresh_take(j, &f->row))
		return;
	if ((f->row.has & ROW_FULL) == ROW_FULL || listing_again(&j->l, f))
		add(j, &f->row);
}

void sync_fetch(struct job *job, struct session *s, struct fetch *f)
{
	struct sync_job *j = (struct sync_job *)job;

	if (!sync_open(j, s))
		return;
	if (!(f->row.has & ROW_UID))
		take_nameless(j, s, f);
	else if (f->row.uid < j->req.uidnext)
		take_known(j, f);
	else
		take_new(j, f);
}

/* --- sets --- */

/* Ranges on their way, gathered to some at once. */
struct batch {
	struct sync_job *j;
	enum response_kind kind;
	struct mail_range v[RANGES_AT_ONCE];
	size_t n;
};

static void batch_flush(struct batch *b)
{
	hand_on(b->j, b->kind, b->v, b->n);
	b->n = 0;
}

static void batch_add(struct batch *b, struct mail_range v)
{
	uint32_t last = b->j->req.uidnext - 1;

	/* What is there of the new ones is seen by their rows. */
	if (b->kind != RESPONSE_VANISHED) {
		if (v.first > last)
			return;
		if (v.last > last)
			v.last = last;
	}
	if (b->n > 0 && b->v[b->n - 1].last < UINT32_MAX &&
	    b->v[b->n - 1].last + 1 == v.first) {
		b->v[b->n - 1].last = v.last;
		return;
	}
	if (b->n == RANGES_AT_ONCE)
		batch_flush(b);
	b->v[b->n++] = v;
}

/* False: it is no set, or not to its end. */
static bool take_set(struct batch *b, const struct scan *at)
{
	struct set_run run;
	struct set set;
	int r;

	set_begin(&set, at);
	while ((r = set_next(&set, &run)) > 0 && !b->j->l.job.finished)
		batch_add(b, set_range(run));
	batch_flush(b);
	return r == 0;
}

static void take_vanished(struct sync_job *j, const struct response *r)
{
	struct batch b = {.j = j, .kind = RESPONSE_VANISHED};
	struct scan at;
	bool earlier;

	at = grammar_vanished(r, &earlier);
	/* Such a history was asked for with QRESYNC only. */
	if (earlier && j->method != IMAP_SYNC_QRESYNC)
		return;
	j->heard = true;
	if (!take_set(&b, &at))
		sync_fall_back(j);
}

static bool is_tag(const struct sync_job *j, const struct esearch *e)
{
	char tag[16];

	(void)snprintf(tag, sizeof(tag), "A%u", j->search);
	return e->n_tag == strlen(tag) && memcmp(e->tag, tag, e->n_tag) == 0;
}

static void take_esearch(struct sync_job *j, const struct response *r)
{
	struct batch b = {.j = j, .kind = RESPONSE_ESEARCH};
	struct esearch e;

	if (!grammar_esearch(r, &e) || !e.has_uids || !is_tag(j, &e))
		return;
	j->searched = take_set(&b, &e.all);
}

static void take_search(struct sync_job *j, const struct response *r)
{
	struct batch b = {.j = j, .kind = RESPONSE_SEARCH};
	struct scan at = r->rest;
	uint32_t uid;
	int more;

	while ((more = grammar_search_next(&at, &uid)) > 0 &&
	       !j->l.job.finished)
		batch_add(&b, (struct mail_range){uid, uid});
	batch_flush(&b);
	if (more == 0)
		j->searched = true;
	else
		sync_fall_back(j);
}

void sync_data(struct job *job, struct session *s, const struct response *r)
{
	struct sync_job *j = (struct sync_job *)job;
	bool searching = j->search != 0 && j->method == IMAP_SYNC_CONDSTORE;

	if (!sync_open(j, s))
		return;
	if (r->kind == RESPONSE_VANISHED)
		take_vanished(j, r);
	else if (r->kind == RESPONSE_ESEARCH && searching)
		take_esearch(j, r);
	else if (r->kind == RESPONSE_SEARCH && searching)
		take_search(j, r);
}
