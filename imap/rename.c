/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/outcome.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "imap/log.h"

/*
 * imap_rename(): RENAME, which takes the children along; subscriptions are
 * names in a list of their own (RFC 9051 section 6.3.7), so they are asked for
 * before, and follow after.
 *
 * INBOX is open meanwhile, for the reasons that admin.c gives.
 *
 * Runs on the thread of the connection that has the job.
 */

#define FOLLOW_MAX 1000 /* subscriptions */

enum { CALL_LSUB, CALL_RENAME, CALL_FOLLOW };

struct rename {
	struct change c; /* wire: from */
	char *to;
	char *name[FOLLOW_MAX]; /* subscribed: `from`, and what is below it */
	size_t n;
	unsigned step; /* of the first two commands */
	bool listed;   /* LSUB was answered */
	size_t next;   /* of the commands behind them, two for each name */
};

static void clear(struct rename *j)
{
	for (size_t i = 0; i < j->n; i++)
		free(j->name[i]);
	j->n = 0;
}

static void start(struct job *job, struct session *s)
{
	struct rename *j = (struct rename *)job;

	(void)s;
	clear(j);
	j->step = 0;
	j->next = 0;
	j->listed = false;
	j->c.in_flight = 0;
}

/* --- asking --- */

static bool send_lsub(struct rename *j, struct session *s)
{
	const struct call call = {.job = &j->c.job, .kind = CALL_LSUB};
	size_t n = strlen(j->c.wire);
	char *pattern = malloc(n + 2);
	struct command cmd;

	if (!pattern) {
		job_finish(&j->c.job, -ENOMEM, NULL);
		return false;
	}
	memcpy(pattern, j->c.wire, n);
	memcpy(pattern + n, "*", 2);
	session_begin(s, &cmd);
	command_text(&cmd, "LSUB \"\" ");
	command_mailbox(&cmd, pattern);
	free(pattern);
	return change_send(&j->c, s, &cmd, &call);
}

static bool send_rename(struct rename *j, struct session *s)
{
	const struct call call = {.job = &j->c.job, .kind = CALL_RENAME};
	struct command cmd;

	session_begin(s, &cmd);
	command_text(&cmd, "RENAME ");
	command_mailbox(&cmd, j->c.wire);
	command_text(&cmd, " ");
	command_mailbox(&cmd, j->to);
	return change_send(&j->c, s, &cmd, &call);
}

/* SUBSCRIBE to the new name, then UNSUBSCRIBE from the old one. */
static bool send_follow(struct rename *j, struct session *s)
{
	const struct call call = {.job = &j->c.job, .kind = CALL_FOLLOW};
	const char *name = j->name[j->next / 2];
	const char *below = name + strlen(j->c.wire);
	char *new_name = malloc(strlen(j->to) + strlen(below) + 1);
	struct command cmd;

	if (!new_name) {
		job_finish(&j->c.job, -ENOMEM, NULL);
		return false;
	}
	stpcpy(stpcpy(new_name, j->to), below);
	session_begin(s, &cmd);
	command_text(&cmd, j->next % 2 ? "UNSUBSCRIBE " : "SUBSCRIBE ");
	command_mailbox(&cmd, j->next % 2 ? name : new_name);
	free(new_name);
	j->next++;
	return change_send(&j->c, s, &cmd, &call);
}

static void pump(struct job *job, struct session *s)
{
	struct rename *j = (struct rename *)job;

	if (j->step == 0 && session_has_room(s)) {
		j->step++;
		if (!send_lsub(j, s))
			return;
	}
	if (j->step == 1 && session_has_room(s)) {
		j->step++;
		if (!send_rename(j, s))
			return;
	}
	if (!j->c.settled || !j->listed)
		return;
	while (j->c.refused.code == 0 && j->next < 2 * j->n &&
	       session_has_room(s)) {
		if (!send_follow(j, s))
			return;
	}
	if (j->c.in_flight == 0 &&
	    (j->next == 2 * j->n || j->c.refused.code < 0))
		change_finish(&j->c);
}

/* --- hearing --- */

static bool concerns(const struct rename *j, const struct mail_folder *f)
{
	size_t n = strlen(j->c.wire);

	if (strncmp(f->wire, j->c.wire, n) != 0 || strpbrk(f->wire, "\r\n"))
		return false;
	return !f->wire[n] || (f->delimiter && f->wire[n] == f->delimiter);
}

static void keep(struct rename *j, char *wire)
{
	if (j->n == FOLLOW_MAX) {
		log_warn("imap: only %d subscriptions follow a renaming",
			 FOLLOW_MAX);
		free(wire);
		return;
	}
	j->name[j->n++] = wire;
}

static void data(struct job *job, struct session *s, const struct response *r)
{
	struct rename *j = (struct rename *)job;
	struct mail_folder f;

	(void)s;
	if (r->kind != RESPONSE_LSUB || j->listed || grammar_list(r, &f) < 0)
		return;
	if (concerns(j, &f))
		keep(j, f.wire);
	else
		free(f.wire);
}

static void answer(struct job *job, struct session *s, const struct call *call,
		   const struct status *st)
{
	struct rename *j = (struct rename *)job;

	j->c.in_flight--;
	if (call->kind == CALL_LSUB)
		j->listed = true;
	if (call->kind != CALL_RENAME)
		return;
	j->c.settled = true;
	if (st->kind != STATUS_OK)
		change_refuse(&j->c, st);
	else
		job_forget_mailboxes(s, j->c.wire);
}

static void rename_free(struct job *job)
{
	struct rename *j = (struct rename *)job;

	clear(j);
	free(j->to);
	change_job_free(job);
}

static const struct job_class rename_class = {
	.name = "rename",
	.changes = true,
	.start = start,
	.pump = pump,
	.answer = answer,
	.data = data,
	.repeat = change_repeat,
	.done = change_done,
	.free = rename_free,
};

int imap_rename(struct imap *im, const char *from, const char *to,
		imap_change_fn done, void *ctx, imap_job *ret)
{
	struct rename *j;
	int r;

	/* RENAME of INBOX would move its messages instead. */
	if (strcasecmp(from, "INBOX") == 0 || strcasecmp(to, "INBOX") == 0)
		return -EINVAL;
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	r = change_init(&j->c, &rename_class, from, "INBOX");
	if (r == 0)
		r = job_copy_name(to, &j->to);
	if (r < 0) {
		rename_free(&j->c.job);
		return r;
	}
	return change_submit(im, &j->c, done, ctx, ret);
}
