/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/change.h"

#include <errno.h>

#include "imap/pool.h"
#include "imap/verbs.h"

/*
 * imap_copy(), imap_move(), imap_remove(): how messages go from one mailbox to
 * another, or away.
 *
 * Runs on the thread of the connection that has the job.
 */

static void start_copy(struct job *job, struct session *s)
{
	struct uid_change *j = (struct uid_change *)job;

	if (verbs_begin(j, s))
		verbs_add(j, VERB_COPY);
}

static void start_move(struct job *job, struct session *s)
{
	struct uid_change *j = (struct uid_change *)job;

	if (!verbs_begin(j, s))
		return;
	if (session_has(s, CAP_MOVE))
		verbs_add(j, VERB_MOVE);
	else
		change_fail(&j->c, -EOPNOTSUPP,
			    "is on a server that does not have MOVE");
}

static void start_remove(struct job *job, struct session *s)
{
	struct uid_change *j = (struct uid_change *)job;

	if (!verbs_begin(j, s))
		return;
	if (select_kept_flags(s, MAIL_DELETED) == 0) {
		change_fail(&j->c, -EPERM,
			    "does not keep the mark of a deleted message");
		return;
	}
	j->set.flags = MAIL_DELETED;
	verbs_add(j, VERB_SET);
	j->c.end.only_flagged = !session_has(s, CAP_UIDPLUS);
	if (!j->c.end.only_flagged)
		verbs_add(j, VERB_EXPUNGE);
}

/* Without a tag: is it about our messages, while we wait for an answer? */
static bool copied(struct job *job, const struct status *st)
{
	struct uid_change *j = (struct uid_change *)job;

	if (j->c.in_flight == 0 || !pairs_match(&j->pairs, st))
		return false;
	pairs_take(&j->pairs, st);
	return true;
}

static void copy_done(struct job *job)
{
	struct uid_change *j = (struct uid_change *)job;

	j->c.end.n_pairs = pairs_list(&j->pairs, &j->c.end.pairs);
	j->c.end.uidvalidity = j->pairs.uidvalidity;
	change_done(job);
}

/* Copying out of a mailbox does not change it: EXAMINE will do. */
static const struct job_class copy_class = {
	.name = "copy",
	.changes = true,
	.start = start_copy,
	.pump = verbs_pump,
	.answer = verbs_answer,
	.copied = copied,
	.repeat = change_repeat,
	.done = copy_done,
	.free = verbs_free,
};

static const struct job_class move_class = {
	.name = "move",
	.changes = true,
	.writes = true,
	.start = start_move,
	.pump = verbs_pump,
	.answer = verbs_answer,
	.copied = copied,
	.repeat = change_repeat,
	.done = copy_done,
	.free = verbs_free,
};

static const struct job_class remove_class = {
	.name = "remove",
	.changes = true,
	.writes = true,
	.start = start_remove,
	.pump = verbs_pump,
	.answer = verbs_answer,
	.repeat = change_repeat,
	.done = change_done,
	.free = verbs_free,
};

static int new_copy(const struct job_class *class,
		    const struct imap_messages *which, const char *to_wire,
		    struct uid_change **ret)
{
	struct uid_change *j;
	int r = verbs_new(class, sizeof(*j), which, &j);

	if (r < 0)
		return r;
	r = job_copy_name(to_wire, &j->to);
	if (r == 0)
		r = pairs_init(&j->pairs, j->uids, j->n_uids);
	if (r < 0) {
		verbs_free(&j->c.job);
		return r;
	}
	*ret = j;
	return 0;
}

int imap_copy(struct imap *im, const struct imap_messages *which,
	      const char *to_wire, imap_change_fn done, void *ctx,
	      imap_job *ret)
{
	struct uid_change *j;
	int r = new_copy(&copy_class, which, to_wire, &j);

	return r < 0 ? r : change_submit(im, &j->c, done, ctx, ret);
}

int imap_move(struct imap *im, const struct imap_messages *which,
	      const char *to_wire, imap_change_fn done, void *ctx,
	      imap_job *ret)
{
	struct uid_change *j;
	int r = new_copy(&move_class, which, to_wire, &j);

	return r < 0 ? r : change_submit(im, &j->c, done, ctx, ret);
}

int imap_remove(struct imap *im, const struct imap_messages *which,
		imap_change_fn done, void *ctx, imap_job *ret)
{
	struct uid_change *j;
	int r = verbs_new(&remove_class, sizeof(*j), which, &j);

	return r < 0 ? r : change_submit(im, &j->c, done, ctx, ret);
}

static bool has_cap(struct imap *im, unsigned cap)
{
	bool has;

	lock_take(&im->lock);
	has = (im->caps & cap) != 0;
	lock_drop(&im->lock);
	return has;
}

bool imap_has_move(struct imap *im)
{
	return has_cap(im, CAP_MOVE);
}

bool imap_has_labels(struct imap *im)
{
	return has_cap(im, CAP_GMAIL);
}

uint64_t imap_append_limit(struct imap *im)
{
	uint64_t limit;

	lock_take(&im->lock);
	limit = im->append_limit;
	lock_drop(&im->lock);
	return limit;
}
