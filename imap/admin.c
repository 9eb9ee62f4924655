/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/outcome.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

/*
 * Mailboxes: imap_create(), imap_delete_mailbox(), imap_subscribe(). One
 * command counts; others, about the subscription, are a courtesy to other
 * clients of the user: they are waited for, and their answers are ignored.
 *
 * A mailbox is deleted with INBOX open: some servers refuse to delete the one
 * that is open, and ours would stay open under a name that has become free.
 *
 * Runs on the thread of the connection that has the job.
 */

enum { CALL_COUNTS, CALL_COURTESY };

struct admin {
	struct change c;
	const char *verb;     /* the command that counts */
	const char *courtesy; /* sent right behind it; or NULL */
	const char *then;     /* sent if that one succeeded; or NULL */
	bool deletes;
	unsigned step; /* so many of the first two were sent */
};

static bool send_one(struct admin *j, struct session *s, const char *verb,
		     int kind)
{
	const struct call call = {.job = &j->c.job, .kind = kind};
	struct command cmd;

	session_begin(s, &cmd);
	command_text(&cmd, "%s ", verb);
	command_mailbox(&cmd, j->c.wire);
	return change_send(&j->c, s, &cmd, &call);
}

static void start(struct job *job, struct session *s)
{
	struct admin *j = (struct admin *)job;

	(void)s;
	j->step = 0;
	j->c.in_flight = 0;
}

static void pump(struct job *job, struct session *s)
{
	struct admin *j = (struct admin *)job;

	if (j->step == 0 && session_has_room(s)) {
		j->step++;
		if (!send_one(j, s, j->verb, CALL_COUNTS))
			return;
	}
	if (j->step == 1 && j->courtesy && !j->c.settled &&
	    session_has_room(s)) {
		j->step++;
		(void)send_one(j, s, j->courtesy, CALL_COURTESY);
	}
}

/*
 * The answer that counts: what is to be done about the subscription? There is
 * room for one command at least, where the answered one was.
 */
static void settle(struct admin *j, struct session *s, const struct status *st)
{
	bool ok = st->kind == STATUS_OK;

	j->c.settled = true;
	if (!ok)
		change_refuse(&j->c, st);
	if (ok && j->then)
		(void)send_one(j, s, j->then, CALL_COURTESY);
	/* There is nothing to be subscribed to, so take it back. */
	if (!ok && j->step == 2 && j->c.refused.code != -EEXIST)
		(void)send_one(j, s, "UNSUBSCRIBE", CALL_COURTESY);
}

static void answer(struct job *job, struct session *s, const struct call *call,
		   const struct status *st)
{
	struct admin *j = (struct admin *)job;

	j->c.in_flight--;
	if (call->kind == CALL_COUNTS) {
		if (st->kind == STATUS_OK && j->deletes)
			job_forget_mailboxes(s, j->c.wire);
		settle(j, s, st);
	}
	if (j->c.settled && j->c.in_flight == 0)
		change_finish(&j->c);
}

static const struct job_class admin_class = {
	.name = "admin",
	.changes = true,
	.start = start,
	.pump = pump,
	.answer = answer,
	.repeat = change_repeat,
	.done = change_done,
	.free = change_job_free,
};

static int new_job(const char *wire, const char *open, const char *verb,
		   struct admin **ret)
{
	struct admin *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return -ENOMEM;
	j->verb = verb;
	r = change_init(&j->c, &admin_class, wire, open);
	if (r < 0) {
		change_job_free(&j->c.job);
		return r;
	}
	*ret = j;
	return 0;
}

int imap_create(struct imap *im, const char *wire, imap_change_fn done,
		void *ctx, imap_job *ret)
{
	struct admin *j;
	int r = new_job(wire, NULL, "CREATE", &j);

	if (r < 0)
		return r;
	j->courtesy = "SUBSCRIBE";
	return change_submit(im, &j->c, done, ctx, ret);
}

int imap_delete_mailbox(struct imap *im, const char *wire, imap_change_fn done,
			void *ctx, imap_job *ret)
{
	struct admin *j;
	int r = -EINVAL;

	if (strcasecmp(wire, "INBOX") != 0)
		r = new_job(wire, "INBOX", "DELETE", &j);
	if (r < 0)
		return r;
	j->deletes = true;
	j->then = "UNSUBSCRIBE";
	return change_submit(im, &j->c, done, ctx, ret);
}

int imap_subscribe(struct imap *im, const char *wire, bool on,
		   imap_change_fn done, void *ctx, imap_job *ret)
{
	struct admin *j;
	int r = new_job(wire, NULL, on ? "SUBSCRIBE" : "UNSUBSCRIBE", &j);

	return r < 0 ? r : change_submit(im, &j->c, done, ctx, ret);
}
