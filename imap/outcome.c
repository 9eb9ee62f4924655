/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/outcome.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "imap/lock.h"

/*
 * The end of a change. It is known when the server has answered what counts;
 * if the job ends before, because the connection is gone, nobody answers or
 * the job is called off, it is unknown as soon as a byte of it was sent. So it
 * is when the server says that something went wrong with itself: Dovecot (2.3,
 * sdbox), killed in the middle of a MOVE, says SERVERBUG to the next one, and
 * has by then brought to light what the first one had copied.
 *
 * A login that is refused is no refusal of the change: there is no connection,
 * and when there is one again the change may go out.
 */

int change_init(struct change *c, const struct job_class *class,
		const char *wire, const char *open)
{
	int r = job_init(&c->job, class, open);

	if (r == 0)
		r = job_copy_name(wire, &c->wire);
	c->end.left_keywords = "";
	return r;
}

int change_submit(struct imap *im, struct change *c, imap_change_fn tell,
		  void *ctx, imap_job *ret)
{
	c->tell = tell;
	c->ctx = ctx;
	return change_queue(im, &c->job, ret);
}

int change_queue(struct imap *im, struct job *job, imap_job *ret)
{
	int r = pool_submit(im, job, IMAP_PRIO_CHANGE, ret);

	return r == -EACCES ? -ENOTCONN : r;
}

void change_no_login(struct imap_error *why)
{
	if (why->code == -EACCES && why->fault == FAULT_AUTH)
		why->code = -ENOTCONN;
}

bool change_send(struct change *c, struct session *s, struct command *cmd,
		 const struct call *call)
{
	int r = session_send(s, cmd, call);

	if (r < 0) {
		job_finish(&c->job, r, NULL);
		return false;
	}
	c->in_flight++;
	return true;
}

void change_fail(struct change *c, int result, const char *words)
{
	struct imap_error why = {.fault = FAULT_NONE};

	(void)snprintf(why.text, sizeof(why.text), "%.300s %s", c->wire, words);
	job_finish(&c->job, result, &why);
}

void change_refuse(struct change *c, const struct status *st)
{
	c->is_doubtful |= st->code == CODE_SERVERBUG;
	if (c->refused.code < 0)
		return;
	job_explain(&c->job, c->wire, st, &c->refused);
	c->end.try_create = st->code == CODE_TRYCREATE;
}

void change_finish(struct change *c)
{
	c->settled = true;
	job_finish(&c->job, c->refused.code, &c->refused);
}

bool change_repeat(struct job *job)
{
	return !job->sent;
}

void change_done(struct job *job)
{
	struct change *c = (struct change *)job;
	struct imap_outcome *end = &c->end;

	/* What was still out then was only a courtesy. */
	end->why = c->settled ? c->refused : job->why;
	change_no_login(&end->why);
	end->result = end->why.code;
	end->unknown =
		end->result < 0 && (c->settled ? c->is_doubtful : job->sent);
	if (end->n_pairs == 0)
		end->uidvalidity = 0;
	lock_assert_none();
	c->tell(c->ctx, end);
}

void change_job_free(struct job *job)
{
	struct change *c = (struct change *)job;

	free(job->mailbox);
	free(c->wire);
	free(c);
}
