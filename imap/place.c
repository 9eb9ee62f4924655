/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/pool.h"

#include <string.h>

/*
 * Who may take what.
 *
 * A job goes to a connection that has its mailbox open, else to an idle one,
 * else a new connection is made for it, else it waits; and a busy connection
 * that meets a waiting job which nobody can take stops taking others, so that
 * it drains and can turn to it. Work in the background never occupies the last
 * connection: somebody who waits in read(2) finds one.
 *
 * New messages go out over one connection, large ones alone, and while they do
 * others are not put behind them if they can have another connection.
 *
 * The watcher has a connection of its own where there may be several, else the
 * only one while nobody else needs it. To IDLE nothing can be added, so that
 * connection takes no job, until the watcher has made room: it is the first to
 * do so, for whoever cannot have another connection, be it that the server
 * allows no more, or that it does not come for seconds (a firewall may drop
 * what it does not let through). It comes back when a connection was idle for a
 * while.
 *
 * Connection threads pull (pool_take_locked()); who adds work wakes them
 * (pool_kick_locked()).
 */

/* May there be work in the background on `c` (NULL: on a new connection)? */
static bool background_allowed(struct imap *im, const struct conn *c)
	REQUIRES(im->lock)
{
	unsigned busy = 0;

	if (im->limit <= 1 || (c && c->n_background > 0))
		return true;
	for (unsigned i = 0; i < im->cfg.connections; i++) {
		if (im->conn[i].n_background > 0)
			busy++;
	}
	return busy + 1 < im->limit;
}

/* Is the mailbox of this job open there, in the way in which it needs it? */
static bool has_open(const struct conn *c, const struct job *j)
{
	return j->mailbox && c->mailbox && !c->outdated &&
	       strcmp(c->mailbox, j->mailbox) == 0 &&
	       c->opened_ms > j->since_ms && (c->writable || !j->class->writes);
}

/*
 * Messages go out over one connection, which fills the link; the others stay
 * free for who reads.
 */
static bool somebody_uploads(struct imap *im, const struct conn *but)
	REQUIRES(im->lock)
{
	for (unsigned i = 0; i < im->cfg.connections; i++) {
		if (&im->conn[i] != but && im->conn[i].uploading > 0)
			return true;
	}
	return false;
}

/* Is it held back on purpose, though `c` (NULL: a new one) could run it? */
static bool is_held_back(struct imap *im, const struct conn *c,
			 const struct job *j) REQUIRES(im->lock)
{
	return (job_is_background(j) && !background_allowed(im, c)) ||
	       (j->upload > 0 && somebody_uploads(im, c));
}

/* Is what `c` sends so much that this job should not wait for it? */
static bool is_clogged(const struct conn *c, const struct job *j)
{
	if (j->upload > 0)
		return c->uploading > 0 &&
		       c->uploading + j->upload > POOL_UPLOAD_MAX;
	return c->uploading > POOL_UPLOAD_BESIDE;
}

/* Can this connection run this job right now? */
static bool fits(struct imap *im, const struct conn *c, const struct job *j)
	REQUIRES(im->lock)
{
	bool idle = c->n_running == 0 && c->in_flight == 0;

	if (c->state != CONN_READY || c->n_running >= POOL_RUNNING_MAX ||
	    c->watching || c->doubted)
		return false;
	if (is_held_back(im, c, j) || is_clogged(c, j))
		return false;
	if (idle || !j->mailbox)
		return true;
	if (j->class->fresh || !has_open(c, j))
		return false;
	/* A reader may wait behind a little more: it is near, and it is next.
	 */
	return c->expected < (j->prio == IMAP_PRIO_READER
				      ? 2 * POOL_EXPECTED_MAX
				      : POOL_EXPECTED_MAX);
}

static struct conn *spare(struct imap *im) REQUIRES(im->lock)
{
	struct conn *found = NULL;
	int64_t now = clock_now_ms();

	if (im->limit < im->cfg.connections && now >= im->limit_until_ms)
		im->limit = im->cfg.connections;
	if (keeper_is_rush_locked(im))
		return NULL;

	for (unsigned i = 0; i < im->cfg.connections; i++) {
		struct conn *c = &im->conn[i];

		if (c->state == CONN_CONNECTING || c->wanted)
			return NULL; /* one at a time */
		if (c->state == CONN_CLOSED && !found &&
		    (im->n_ready == 0 || now >= im->extra_at_ms))
			found = c;
	}
	return im->n_ready < im->limit ? found : NULL;
}

/* Is a connection being made that is worth waiting for? */
static bool help_is_near(struct imap *im) REQUIRES(im->lock)
{
	return im->near_until_ms != CLOCK_NEVER;
}

/* What a reader would have to wait behind there: many windows are in flight. */
static bool is_listing(const struct conn *c)
{
	for (unsigned k = 0; k < c->n_running; k++) {
		if (c->running_job[k]->prio == IMAP_PRIO_LISTING &&
		    c->running_job[k]->class->pause)
			return true;
	}
	return false;
}

/*
 * The connection that should run it now; NULL: none can. A reader goes to one
 * that lists the same mailbox only if no other can be had.
 */
static struct conn *best(struct imap *im, const struct job *j)
	REQUIRES(im->lock)
{
	struct conn *found = NULL;
	struct conn *last = NULL;

	for (unsigned i = 0; i < im->cfg.connections; i++) {
		struct conn *c = &im->conn[i];

		if (!fits(im, c, j))
			continue;
		if (has_open(c, j)) {
			if (j->prio != IMAP_PRIO_READER || !is_listing(c))
				return c;
			last = c;
		} else if (!found || c->n_running < found->n_running) {
			found = c;
		}
	}
	if (found || !last)
		return found;
	return help_is_near(im) || spare(im) ? NULL : last;
}

/* --- the watcher --- */

int64_t pool_watch_at_locked(struct imap *im, const struct conn *c)
{
	int64_t at_ms = c->job_ms > 0 ? c->job_ms + im->quiet_ms : 0;

	if (!im->watcher)
		return CLOCK_NEVER;
	at_ms = clock_earlier(at_ms, im->watcher_ms + POOL_STARVED_MS);
	return im->watcher->not_before_ms > at_ms ? im->watcher->not_before_ms
						  : at_ms;
}

void pool_watch_anew_locked(struct imap *im)
{
	if (im->watcher && im->limit > 1)
		im->watcher->not_before_ms =
			clock_earlier(im->watcher->not_before_ms,
				      clock_now_ms() + im->anew_ms);
}

static bool is_idle(const struct conn *c)
{
	return c->state == CONN_READY && c->n_running == 0 &&
	       c->in_flight == 0 && !c->doubted;
}

static struct conn *any_idle(struct imap *im) REQUIRES(im->lock)
{
	for (unsigned i = 0; i < im->cfg.connections; i++) {
		if (is_idle(&im->conn[i]))
			return &im->conn[i];
	}
	return NULL;
}

/*
 * The watcher, for `c`, which found no other job. It goes to a connection that
 * has nothing to do, but not to the only one if another can be made.
 */
static struct job *take_watcher(struct imap *im, const struct conn *c)
	REQUIRES(im->lock)
{
	struct job *j = im->watcher;
	struct conn *other = NULL;

	if (!j || clock_now_ms() < j->not_before_ms || help_is_near(im))
		return NULL;
	if (im->n_ready < 2 || !any_idle(im))
		other = spare(im);
	if (other) {
		pool_want_locked(im, other);
		return NULL;
	}
	if (!is_idle(c) || clock_now_ms() < pool_watch_at_locked(im, c))
		return NULL;
	im->watcher = NULL;
	return j;
}

/* Somebody is to think about the watcher. */
static void kick_watcher(struct imap *im) REQUIRES(im->lock)
{
	struct conn *c = any_idle(im);

	if (!im->watcher)
		return;
	for (unsigned i = 0; !c && i < im->cfg.connections; i++) {
		if (im->conn[i].state == CONN_READY)
			c = &im->conn[i];
	}
	if (c)
		conn_wake_locked(c);
}

/* --- the rules --- */

/* Nobody can take this job: make a connection for it, if there may be one. */
static void help(struct imap *im, const struct job *j) REQUIRES(im->lock)
{
	struct conn *c;

	if (is_held_back(im, NULL, j))
		return;
	c = spare(im);
	if (c)
		pool_want_locked(im, c);
}

struct job *pool_take_locked(struct imap *im, struct conn *c)
{
	for (unsigned p = 0; p < N_IMAP_PRIO; p++) {
		for (struct job *j = im->queue[p].first; j; j = j->next) {
			struct conn *to = best(im, j);

			if (to && to != c) {
				conn_wake_locked(to);
				continue;
			}
			if (to == c) {
				(void)jobs_remove(&im->queue[p], j);
				im->n_queued--;
				return j;
			}
			/* No reason to drain. */
			if (is_held_back(im, c, j))
				continue;
			/* Nobody can: let this connection drain for it. */
			if (!has_open(c, j) || j->class->fresh ||
			    is_clogged(c, j)) {
				help(im, j);
				return NULL;
			}
		}
	}
	return take_watcher(im, c);
}

/* All that `c` runs could be interrupted, and is less urgent than this. */
static bool may_yield(const struct conn *c, enum imap_priority prio)
{
	for (unsigned k = 0; k < c->n_running; k++) {
		if (c->running_job[k]->prio <= prio ||
		    !c->running_job[k]->class->pause)
			return false;
	}
	return c->state == CONN_READY && c->n_running > 0;
}

/*
 * Who makes room for a job of this priority? The watcher goes first: for whom
 * somebody waits, and for everybody where there is no other connection. Others
 * only go for a reader.
 */
static struct conn *who_yields(struct imap *im, enum imap_priority prio)
	REQUIRES(im->lock)
{
	bool shared = im->limit <= 1 || im->n_ready <= 1;

	for (unsigned i = 0; i < im->cfg.connections; i++) {
		if (im->conn[i].watching && (shared || prio < IMAP_PRIO_SYNC))
			return &im->conn[i];
	}
	/* One of several is enough. */
	for (unsigned i = 0; i < im->cfg.connections; i++) {
		if (prio == IMAP_PRIO_READER && may_yield(&im->conn[i], prio))
			return &im->conn[i];
	}
	return NULL;
}

bool pool_yields_locked(struct imap *im, const struct conn *c)
{
	const struct conn *found;

	if (help_is_near(im))
		return false;
	for (unsigned p = 0; p < N_IMAP_PRIO; p++) {
		for (struct job *j = im->queue[p].first; j; j = j->next) {
			if (best(im, j) || spare(im) ||
			    (has_open(c, j) && !c->watching))
				continue;
			if (is_held_back(im, NULL, j))
				continue;
			found = who_yields(im, p);
			if (found)
				return found == c;
		}
	}
	return false;
}

void pool_kick_locked(struct imap *im)
{
	if (atomic_load(&im->stop))
		return;
	for (unsigned p = 0; p < N_IMAP_PRIO; p++) {
		for (struct job *j = im->queue[p].first; j; j = j->next) {
			struct conn *c = best(im, j);

			if (c) {
				conn_wake_locked(c);
				return;
			}
			if (im->n_ready > 0 && is_held_back(im, NULL, j))
				continue;
			c = spare(im);
			if (c) {
				pool_want_locked(im, c);
				return;
			}
			c = who_yields(im, p);
			if (c)
				conn_wake_locked(c);
			return;
		}
	}
	kick_watcher(im);
}
