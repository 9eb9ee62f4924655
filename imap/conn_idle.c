/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/pool.h"

#include <stdlib.h>
#include <string.h>

#include "imap/alive.h"

/*
 * A connection that has nothing to do: how long it waits, what keeps it from
 * being forgotten on the way (a NAT, a server that ends silent sessions), and
 * whether it is needed at all. And what others are to know of one that is
 * busy. On the connection's own thread.
 */

int conn_keep_alive(struct conn *c)
{
	static const struct call nobody = {0};
	struct session *s = &c->session;
	struct command cmd;

	if (s->n_slots > 0 || clock_now_ms() - s->used_ms < c->im->keepalive_ms)
		return 0;
	session_begin(s, &cmd);
	command_text(&cmd, "NOOP");
	return session_send(s, &cmd, &nobody);
}

bool conn_is_superfluous(struct conn *c)
{
	struct imap *im = c->im;
	bool others = false;

	if (c->running.first ||
	    clock_now_ms() - c->session.used_ms < im->idle_ms)
		return false;
	/* The first one stays: so two can never both leave it to the other. */
	lock_take(&im->lock);
	for (struct conn *i = im->conn; i < c; i++)
		others = others || (i->state == CONN_READY && !i->watching);
	lock_drop(&im->lock);
	return others;
}

int64_t conn_next_deadline(const struct conn *c)
{
	const struct imap *im = c->im;
	int64_t used_ms = c->session.used_ms;
	int64_t at_ms = c->look_at_ms;

	for (const struct job *j = c->running.first; j; j = j->next) {
		if (j->started && j->class->deadline)
			at_ms = clock_earlier(at_ms, j->class->deadline(j));
	}
	/* An answer that is waited for is the session's business. */
	if (c->running.first || c->session.n_slots > 0)
		return at_ms;
	return clock_earlier(at_ms,
			     used_ms + (clock_now_ms() - used_ms < im->idle_ms
						? im->idle_ms
						: im->keepalive_ms));
}

void conn_publish_locked(struct imap *im, struct conn *c)
{
	struct session *s = &c->session;
	unsigned n = 0;

	c->n_background = 0;
	c->uploading = session_leftover(s);
	c->watching = false;
	for (struct job *j = c->running.first; j; j = j->next) {
		c->running_id[n] = j->id;
		c->running_job[n++] = j;
		c->n_background += job_is_background(j);
		c->uploading += j->upload;
		c->watching = c->watching || j->class->lasting;
	}
	c->n_running = n;
	c->word = c->running.first ? c->running.first->word : NULL;
	c->doubted = session_is_probed(s);
	c->in_flight = conn_in_flight(c);
	c->expected = session_expected(s);
	c->bytes_in = net_bytes_in(s->net);
	c->bytes_out = net_bytes_out(s->net);
	c->compressed = net_is_compressed(s->net);
	if (c->state == CONN_READY) {
		memcpy(im->server, s->server, sizeof(s->server));
		im->caps = s->caps;
		im->append_limit = s->append_limit;
	}
	if (c->outdated && n == 0 && c->in_flight == 0) {
		select_forget(s);
		c->outdated = false;
	}
	c->opened_ms = s->opened_ms;
	if ((s->mailbox == NULL) != (c->mailbox == NULL) ||
	    (s->mailbox && strcmp(s->mailbox, c->mailbox) != 0)) {
		free(c->mailbox);
		c->mailbox = s->mailbox ? strdup(s->mailbox) : NULL;
	}
	c->writable = s->writable;
}
