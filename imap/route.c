/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/pool.h"

#include <errno.h>
#include <string.h>

/*
 * Between the jobs of a connection and its session: a job that was taken has
 * its mailbox opened and is started; and what the session hears is sent on. A
 * tagged answer goes to the job that sent the command; rows and other data go
 * to every job that runs, because they tell what is so and not who asked; a
 * body goes to the first job that waits for just that body, or is skipped.
 *
 * Eager jobs send behind EXAMINE without waiting for its answer. If it turns
 * out to be another mailbox than they knew, or none, they end, or begin again,
 * before anything of what comes is handed to them; it is skipped then, as what
 * comes for a job that was cancelled is.
 *
 * Runs on the connection's thread, with no lock held: jobs call out from here.
 */

/* It waits for its mailbox to be opened. */
static bool is_waiting(const struct job *j)
{
	return j->mailbox && !j->started && !j->finished;
}

/* What it sent behind an EXAMINE that is to be sent again is void. */
static bool begins_again(struct conn *c, struct job *j)
{
	if (!j->class->eager)
		return true;
	route_forget(c, j);
	return j->class->repeat(j);
}

static void opened(struct conn *c, const struct status *st)
{
	struct session *s = &c->session;
	enum select_result r = select_answered(s, st);

	c->reopen = r == SELECT_AGAIN;
	for (struct job *j = c->running.first; j; j = j->next) {
		if (!is_waiting(j))
			continue;
		if (r == SELECT_OPEN) {
			j->started = true;
			j->class->start(j, s);
		} else if (r == SELECT_REFUSED || !begins_again(c, j)) {
			job_refuse(j, st);
		}
	}
}

static void answered(struct conn *c, const struct call *call,
		     const struct status *st)
{
	/* In front of the answer to EXAMINE: there is no telling of what. */
	if (is_waiting(call->job))
		job_finish(call->job, -EPROTO, NULL);
	call->job->class->answer(call->job, &c->session, call, st);
}

static void on_answer(void *ctx, const struct call *call,
		      const struct status *st)
{
	struct conn *c = ctx;

	c->useful = c->useful || st->kind == STATUS_OK;
	call->job->sent = true;
	if (call->kind == CALL_EXAMINE)
		opened(c, st);
	else if (call->job != &c->opener)
		answered(c, call, st);
}

/* Is what comes meant for this job, too? */
static bool listens(const struct conn *c, const struct job *j)
{
	if (j->finished)
		return false;
	return j->started || (j->class->open && c->session.opening &&
			      select_is_told(&c->session));
}

static void on_fetch(void *ctx, struct fetch *f)
{
	struct conn *c = ctx;

	for (struct job *j = c->running.first; j; j = j->next) {
		/* Each has its own copy: a job may cut what it looks at. */
		struct fetch copy = *f;

		if (listens(c, j) && j->class->fetch)
			j->class->fetch(j, &c->session, &copy);
	}
}

static void on_copied(void *ctx, const struct status *st)
{
	struct conn *c = ctx;

	for (struct job *j = c->running.first; j; j = j->next) {
		if (j->started && !j->finished && j->class->copied &&
		    j->class->copied(j, st))
			return;
	}
}

static void on_data(void *ctx, const struct response *r)
{
	struct conn *c = ctx;

	for (struct job *j = c->running.first; j; j = j->next) {
		if (listens(c, j) && j->class->data)
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

void job_forget_mailboxes(struct session *s, const char *wire)
{
	struct imap *im = ((struct conn *)s->ctx)->im;
	size_t n = strlen(wire);

	lock_take(&im->lock);
	for (unsigned i = 0; i < im->cfg.connections; i++) {
		struct conn *c = &im->conn[i];

		if (!c->mailbox || strncmp(c->mailbox, wire, n) != 0)
			continue;
		c->outdated = true;
		conn_wake_locked(c);
	}
	lock_drop(&im->lock);
}

void route_note_sent(struct conn *c)
{
	struct session *s = &c->session;

	for (unsigned i = 0; i < s->n_slots; i++) {
		struct job *j = s->slots[i].call.job;

		if (!j)
			continue;
		j->sent = j->sent || s->slots[i].queued > 0;
		if (s->slots[i].cmd.error < 0)
			job_finish(j, s->slots[i].cmd.error, &s->why);
	}
}

static bool on_stopped(void *ctx)
{
	struct conn *c = ctx;

	return atomic_load(&c->im->stop);
}

const struct session_ops route_ops = {
	.answer = on_answer,
	.fetch = on_fetch,
	.copied = on_copied,
	.data = on_data,
	.body_begin = on_body_begin,
	.body_data = on_body_data,
	.body_end = on_body_end,
	.stopped = on_stopped,
};

/* --- to the session --- */

/* For the first job that needs a mailbox. Nothing is in flight. */
static void open_mailbox(struct conn *c, struct job *j)
{
	const struct call call = {.job = &c->opener, .kind = CALL_EXAMINE};
	struct select_how how = {.with = SELECT_PLAIN};
	struct session *s = &c->session;
	int r;

	c->reopen = false;
	if (j->class->open)
		j->class->open(j, s, &how);
	r = select_send(s, j->mailbox, j->class->writes, &how, &call);
	if (r < 0) {
		job_finish(j, r, NULL);
		c->reopen = true; /* for the next one */
	}
}

void route_begin(struct conn *c, struct job *j)
{
	struct session *s = &c->session;
	bool is_open = s->mailbox && j->mailbox &&
		       strcmp(s->mailbox, j->mailbox) == 0 &&
		       s->opened_ms > j->since_ms &&
		       (s->writable || !j->class->writes);

	if (!j->mailbox || (is_open && !s->opening && !j->class->fresh)) {
		j->started = true;
		j->class->start(j, s);
	} else if (!s->opening) {
		open_mailbox(c, j);
	}
}

void route_reopen(struct conn *c)
{
	for (struct job *j = c->running.first; j; j = j->next) {
		if (!c->reopen || conn_in_flight(c) > 0)
			return;
		if (is_waiting(j))
			open_mailbox(c, j);
	}
	c->reopen = false;
}

void route_pump(struct conn *c, struct job *j)
{
	if (j->started || (j->class->eager && c->session.opening))
		j->class->pump(j, &c->session);
}

void route_forget(struct conn *c, const struct job *j)
{
	struct session *s = &c->session;

	for (unsigned i = 0; i < s->n_slots; i++) {
		if (s->slots[i].call.job != j)
			continue;
		s->slots[i].call.job = &c->opener;
		s->slots[i].call.kind = CALL_FORGOTTEN;
		s->slots[i].call.forgotten = true;
	}
}
