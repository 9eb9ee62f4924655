/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Between the jobs of a connection and its session: a job that was taken has
 * its mailbox opened and is started; and what the session hears is sent on. A
 * tagged answer goes to the job that sent the command; rows and other data go
 * to every job that runs, because they tell what is so and not who asked; a
 * body goes to the first job that waits for just that body, or is skipped.
 *
 * Runs on the connection's thread, with no lock held: jobs call out from here.
 */

static void opened(struct conn *c, const struct status *st)
{
	struct session *s = &c->session;

	c->opening = false;
	if (st->kind != STATUS_OK) {
		free(s->mailbox);
		s->mailbox = NULL;
	}
	for (struct job *j = c->running.first; j; j = j->next) {
		if (j->started || j->finished || !j->mailbox)
			continue;
		if (st->kind != STATUS_OK) {
			job_refuse(j, st);
		} else {
			j->started = true;
			j->class->start(j, s);
		}
	}
}

static void on_answer(void *ctx, const struct call *call,
		      const struct status *st)
{
	struct conn *c = ctx;

	c->useful = c->useful || st->kind == STATUS_OK;
	if (call->kind == CALL_EXAMINE)
		opened(c, st);
	else if (call->job != &c->opener)
		call->job->class->answer(call->job, &c->session, call, st);
}

static void on_fetch(void *ctx, struct fetch *f)
{
	struct conn *c = ctx;

	for (struct job *j = c->running.first; j; j = j->next) {
		/* Each has its own copy: a job may cut what it looks at. */
		struct fetch copy = *f;

		if (j->started && !j->finished && j->class->fetch)
			j->class->fetch(j, &c->session, &copy);
	}
}

static void on_data(void *ctx, const struct response *r)
{
	struct conn *c = ctx;

	for (struct job *j = c->running.first; j; j = j->next) {
		if (j->started && !j->finished && j->class->data)
			j->class->data(j, &c->session, r);
	}
}

/* The UID was not said before the body: is there only one it can be? */
static bool is_only_body(struct session *s)
{
	if (session_bodies(s) == 1)
		return true;
	/* From now on there will be only one: those in flight are repeated. */
	s->quirks.body_alone = true;
	return false;
}

static int on_body_begin(void *ctx, const struct body_head *head, uint64_t size)
{
	struct conn *c = ctx;

	c->body_job = NULL;
	if (head->uid == 0 && !is_only_body(&c->session))
		return -EBADMSG;
	for (struct job *j = c->running.first; j; j = j->next) {
		if (!j->started || j->finished || !j->class->wants ||
		    !j->class->wants(j, &c->session, head))
			continue;
		c->body_job = j;
		return j->class->body_begin(j, &c->session, head, size);
	}
	return -EBADMSG;
}

static int on_body_data(void *ctx, const void *bytes, size_t n)
{
	struct conn *c = ctx;

	if (!c->body_job || c->body_job->finished)
		return -ECANCELED;
	return c->body_job->class->body_data(c->body_job, bytes, n);
}

static void on_body_end(void *ctx)
{
	struct conn *c = ctx;

	if (c->body_job)
		c->body_job->class->body_end(c->body_job, &c->session);
	c->body_job = NULL;
}

static bool on_stopped(void *ctx)
{
	struct conn *c = ctx;

	return atomic_load(&c->im->stop);
}

const struct session_ops route_ops = {
	.answer = on_answer,
	.fetch = on_fetch,
	.data = on_data,
	.body_begin = on_body_begin,
	.body_data = on_body_data,
	.body_end = on_body_end,
	.stopped = on_stopped,
};

/* --- to the session --- */

/* EXAMINE, for the first job that needs a mailbox. Nothing is in flight. */
static int open_mailbox(struct conn *c, const struct job *j)
{
	const struct call call = {.job = &c->opener, .kind = CALL_EXAMINE};
	struct session *s = &c->session;
	struct command cmd;
	char *name = strdup(j->mailbox);

	if (!name)
		return -ENOMEM;
	free(s->mailbox);
	s->mailbox = name;
	s->box = (struct imap_mailbox){0};
	c->opening = true;
	session_begin(s, &cmd);
	command_text(&cmd, "EXAMINE ");
	command_mailbox(&cmd, name);
	return session_send(s, &cmd, &call);
}

void route_begin(struct conn *c, struct job *j)
{
	struct session *s = &c->session;
	bool is_open =
		s->mailbox && j->mailbox && strcmp(s->mailbox, j->mailbox) == 0;
	int r;

	if (!j->mailbox || (is_open && !c->opening && !j->class->fresh)) {
		j->started = true;
		j->class->start(j, s);
	} else if (!c->opening) {
		r = open_mailbox(c, j);
		if (r < 0) {
			c->opening = false;
			free(s->mailbox);
			s->mailbox = NULL;
			job_finish(j, r, NULL);
		}
	}
}
