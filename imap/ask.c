/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/outcome.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "imap/lock.h"

/*
 * What is asked about a mailbox without opening it, before it is changed:
 * imap_uidnext(), imap_quota(), imap_rights(). One command each; what comes is
 * taken if it names the mailbox.
 *
 * Runs on the thread of the connection that has the job.
 */

struct ask {
	struct job job;
	const char *command;   /* with a blank behind it */
	const char *items;     /* behind the name */
	enum capability needs; /* 0: every server can */
	int silent; /* what it means that the server says nothing but OK */
	char *wire;
	union {
		imap_uidnext_fn uidnext;
		imap_quota_fn quota;
		imap_rights_fn rights;
	} tell;
	void *ctx;

	bool is_out;
	bool told; /* the answer is here: */
	struct imap_mailbox box;
	struct imap_quota quota;
	unsigned rights;
	bool is_other; /* QUOTA that comes now is of another mailbox */
};

static void start(struct job *job, struct session *s)
{
	struct ask *j = (struct ask *)job;

	j->is_out = false;
	j->told = false;
	j->is_other = false;
	if (j->needs && !session_has(s, j->needs))
		job_finish(job, -EOPNOTSUPP, NULL);
}

static void pump(struct job *job, struct session *s)
{
	struct ask *j = (struct ask *)job;
	const struct call call = {.job = job};
	struct command cmd;
	int r;

	if (j->is_out || !session_has_room(s))
		return;
	j->is_out = true;
	session_begin(s, &cmd);
	command_text(&cmd, "%s ", j->command);
	command_mailbox(&cmd, j->wire);
	command_text(&cmd, "%s", j->items);
	r = session_send(s, &cmd, &call);
	if (r < 0)
		job_finish(job, r, NULL);
}

static bool repeat(struct job *job)
{
	(void)job;
	return true;
}

static void ask_free(struct job *job)
{
	struct ask *j = (struct ask *)job;

	free(j->wire);
	free(j);
}

static void answer(struct job *job, struct session *s, const struct call *call,
		   const struct status *st)
{
	struct ask *j = (struct ask *)job;
	struct imap_error why;

	(void)s;
	(void)call;
	if (st->kind == STATUS_OK) {
		job_finish(job, j->told ? 0 : j->silent, NULL);
		return;
	}
	job_explain(job, j->wire, st, &why);
	job_finish(job, why.code, &why);
}

/* Is it the name of our mailbox? Frees it. */
static bool is_ours(const struct ask *j, char *wire)
{
	bool is = strcmp(wire, j->wire) == 0;

	free(wire);
	return is;
}

/* What `done` is told. */
static int result_of(struct job *job)
{
	lock_assert_none();
	change_no_login(&job->why);
	return job->why.code;
}

static int new_job(const struct job_class *class, const char *wire,
		   const char *command, const char *items, struct ask **ret)
{
	struct ask *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return -ENOMEM;
	j->command = command;
	j->items = items;
	j->silent = -EPROTO;
	r = job_init(&j->job, class, NULL);
	if (r == 0)
		r = job_copy_name(wire, &j->wire);
	if (r < 0) {
		ask_free(&j->job);
		return r;
	}
	*ret = j;
	return 0;
}

/* --- UIDNEXT --- */

static void uidnext_data(struct job *job, struct session *s,
			 const struct response *r)
{
	struct ask *j = (struct ask *)job;
	struct mail_folder f;

	(void)s;
	if (r->kind != RESPONSE_STATUS || grammar_status(r, &f) < 0 ||
	    !is_ours(j, f.wire) || !f.has_status)
		return;
	j->told = true;
	j->box.uidvalidity = f.uidvalidity;
	j->box.uidnext = f.uidnext;
	j->box.messages = f.messages;
}

static void uidnext_done(struct job *job)
{
	struct ask *j = (struct ask *)job;

	j->tell.uidnext(j->ctx, result_of(job), &j->box, &job->why);
}

static const struct job_class uidnext_class = {
	.name = "uidnext",
	.changes = true,
	.start = start,
	.pump = pump,
	.answer = answer,
	.data = uidnext_data,
	.repeat = repeat,
	.done = uidnext_done,
	.free = ask_free,
};

int imap_uidnext(struct imap *im, const char *wire, imap_uidnext_fn done,
		 void *ctx, imap_job *ret)
{
	struct ask *j;
	int r = new_job(&uidnext_class, wire, "STATUS",
			" (UIDVALIDITY UIDNEXT MESSAGES)", &j);

	if (r < 0)
		return r;
	j->tell.uidnext = done;
	j->ctx = ctx;
	return change_queue(im, &j->job, ret);
}

/* --- quota --- */

static uint64_t left(const struct imap_quota *q)
{
	return q->used_kib < q->limit_kib ? q->limit_kib - q->used_kib : 0;
}

/* QUOTAROOT names the mailbox, and the QUOTA behind it are its roots. */
static void quota_data(struct job *job, struct session *s,
		       const struct response *r)
{
	struct ask *j = (struct ask *)job;
	struct imap_quota q;
	char *wire;

	(void)s;
	if (r->kind == RESPONSE_QUOTAROOT && grammar_quotaroot(r, &wire) == 0)
		j->is_other = !is_ours(j, wire);
	if (r->kind != RESPONSE_QUOTA || j->is_other ||
	    !grammar_quota(r, &q.used_kib, &q.limit_kib))
		return;
	if (!j->told || left(&q) < left(&j->quota))
		j->quota = q;
	j->told = true;
}

static void quota_done(struct job *job)
{
	struct ask *j = (struct ask *)job;

	j->tell.quota(j->ctx, result_of(job), &j->quota, &job->why);
}

static const struct job_class quota_class = {
	.name = "quota",
	.changes = true,
	.start = start,
	.pump = pump,
	.answer = answer,
	.data = quota_data,
	.repeat = repeat,
	.done = quota_done,
	.free = ask_free,
};

int imap_quota(struct imap *im, const char *wire, imap_quota_fn done, void *ctx,
	       imap_job *ret)
{
	struct ask *j;
	int r = new_job(&quota_class, wire, "GETQUOTAROOT", "", &j);

	if (r < 0)
		return r;
	j->needs = CAP_QUOTA;
	j->silent = -EOPNOTSUPP;
	j->tell.quota = done;
	j->ctx = ctx;
	return change_queue(im, &j->job, ret);
}

/* --- rights --- */

static void rights_start(struct job *job, struct session *s)
{
	struct ask *j = (struct ask *)job;

	start(job, s);
	if (session_has(s, CAP_ACL))
		return;
	j->rights = RIGHT_ALL;
	job_finish(job, 0, NULL);
}

static void rights_data(struct job *job, struct session *s,
			const struct response *r)
{
	struct ask *j = (struct ask *)job;
	unsigned rights;
	char *wire;

	(void)s;
	if (r->kind != RESPONSE_MYRIGHTS ||
	    grammar_rights(r, &wire, &rights) < 0 || !is_ours(j, wire))
		return;
	j->told = true;
	j->rights = rights;
}

static void rights_done(struct job *job)
{
	struct ask *j = (struct ask *)job;

	j->tell.rights(j->ctx, result_of(job), j->rights, &job->why);
}

static const struct job_class rights_class = {
	.name = "rights",
	.changes = true,
	.start = rights_start,
	.pump = pump,
	.answer = answer,
	.data = rights_data,
	.repeat = repeat,
	.done = rights_done,
	.free = ask_free,
};

int imap_rights(struct imap *im, const char *wire, imap_rights_fn done,
		void *ctx, imap_job *ret)
{
	struct ask *j;
	int r = new_job(&rights_class, wire, "MYRIGHTS", "", &j);

	if (r < 0)
		return r;
	j->tell.rights = done;
	j->ctx = ctx;
	return change_queue(im, &j->job, ret);
}
