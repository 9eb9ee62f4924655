/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/pool.h"

#include <errno.h>
#include <stdlib.h>

#include "imap/again.h"
#include "imap/alive.h"
#include "imap/log.h"
#include "imap/news.h"

/*
 * imap_watch(): a job that lasts as long as the account, on a connection that
 * has nothing else to do.
 *
 *   EXAMINE -> NOTIFY SET -> IDLE -> DONE -> IDLE ... -> DONE, NOTIFY NONE
 *
 * NOTIFY is set where the server has it: it tells of the other mailboxes,
 * while IDLE makes the server tell at any time, and keeps routers on the way
 * from forgetting the connection. Its STATUS option makes the server say how
 * all mailboxes are, so that what moved before comes out by comparison. It is
 * taken back when the job makes room, lest other jobs take what it brings for
 * answers of their own.
 *
 * It is taken back and set anew when IDLE is renewed, and soon after folders
 * came or went, or much has moved: Dovecot 2.3 tells nothing of a folder that
 * comes and goes within half a second, nor of what else happened then, and
 * falls silent for ever, of all but the open mailbox, when it rotates the log
 * of its list of mailboxes; and when it is set twice without being taken back.
 *
 * The watcher begins from the start whenever it gets a connection: after a
 * pause, a lost connection, a refusal. What moved in between comes out by the
 * numbers (news.h), so nothing is lost by any gap, however it came about.
 *
 * A server without IDLE, or one that does not keep to it, is asked by NOOP.
 * again.h says when that is so, and how soon the watcher begins once more.
 *
 * Runs on the thread of the connection that has the job, like any job.
 */

#define OVERFLOW_MS 60000 /* NOTIFY is not set again more often */
#define ROUND_SHARE 20    /* ... in proportion to the time it takes */

#define EVENTS "MessageNew MessageExpunge FlagChange"

enum { CALL_NOTIFY, CALL_IDLE, CALL_NOOP, CALL_NOTIFY_NONE };

struct watch {
	struct job job;
	struct imap *im;
	struct news *news;

	/* On this connection: */
	unsigned in_flight;
	bool has_notify;      /* the server can, and has not refused */
	bool is_set;          /* NOTIFY is, as the server may still think */
	bool notifies;        /* ... and what it tells is believed to be all */
	int64_t notify_at_ms; /* not to be set earlier */
	int64_t set_ms;       /* it was set ... */
	int64_t round_ms;     /* ... which took so long */
	int64_t soon_ms;      /* it is to be set anew; CLOCK_NEVER */
	bool idles;           /* IDLE is in flight */
	bool idle_granted;
	bool idle_ends; /* by us */
	int64_t idle_ms;
	int64_t noop_at_ms;

	/* On all of them: */
	bool paused;      /* the last one was left on our own wish */
	int64_t began_ms; /* the first behind a loss */
	struct again again;
	int64_t overflow_at_ms; /* an overflow before that is one too many */
};

static struct watch *watch_of(struct job *job)
{
	return (struct watch *)job;
}

/* From now on nothing is missed that gaps do not make up for. */
static void note_since(struct watch *w, int64_t *since_ms)
{
	lock_take(&w->im->lock);
	if (*since_ms == 0)
		*since_ms = clock_now_ms();
	lock_drop(&w->im->lock);
}

static void start(struct job *job, struct session *s)
{
	struct watch *w = watch_of(job);
	int64_t now_ms = clock_now_ms();

	w->in_flight = 0;
	if (!w->paused)
		w->began_ms = now_ms;
	w->has_notify = session_has(s, CAP_NOTIFY);
	w->is_set = false;
	w->notifies = false;
	w->notify_at_ms = now_ms;
	w->soon_ms = CLOCK_NEVER;
	w->idles = false;
	w->noop_at_ms = now_ms + w->im->noop_ms;
	news_opened(w->news, &s->box, w->paused);
	note_since(w, &w->im->watched_since_ms);
}

/* --- to the server --- */

static void sent(struct watch *w, int r)
{
	if (r < 0)
		job_finish(&w->job, r, NULL);
	else
		w->in_flight++;
}

static void send(struct watch *w, struct session *s, int kind, const char *text)
{
	const struct call call = {.job = &w->job, .kind = kind};
	struct command c;

	session_begin(s, &c);
	command_text(&c, "%s", text);
	sent(w, session_send(s, &c, &call));
}

static void set_notify(struct watch *w, struct session *s)
{
	s->notify_lost = false;
	w->soon_ms = CLOCK_NEVER;
	w->set_ms = clock_now_ms();
	news_round_begin(w->news);
	send(w, s, CALL_NOTIFY,
	     "NOTIFY SET STATUS (selected-delayed (" EVENTS ")) "
	     "(personal (" EVENTS " MailboxName))");
}

static void unset_notify(struct watch *w, struct session *s)
{
	send(w, s, CALL_NOTIFY_NONE, "NOTIFY NONE");
	w->is_set = false;
	w->notifies = false;
}

static void begin_idle(struct watch *w, struct session *s)
{
	const struct call call = {.job = &w->job, .kind = CALL_IDLE};

	w->job.word = w->notifies ? WORD_NOTIFY : WORD_IDLE;
	w->idles = true;
	w->idle_granted = false;
	w->idle_ends = false;
	w->idle_ms = clock_now_ms();
	sent(w, session_idle(s, &call));
}

static void ask(struct watch *w, struct session *s)
{
	w->job.word = "poll";
	if (clock_now_ms() < w->noop_at_ms)
		return;
	w->noop_at_ms = clock_now_ms() + w->im->noop_ms;
	send(w, s, CALL_NOOP, "NOOP");
}

static bool wants_notify(const struct watch *w)
{
	return w->has_notify && !w->notifies &&
	       clock_now_ms() >= w->notify_at_ms;
}

static bool may_idle(const struct watch *w, const struct session *s)
{
	return session_has(s, CAP_IDLE) &&
	       again_may_idle(&w->again, clock_now_ms());
}

static int64_t renew_at_ms(const struct watch *w)
{
	return clock_earlier(w->idle_ms + w->im->renew_ms, w->soon_ms);
}

static void end_idle(struct watch *w, struct session *s)
{
	w->idle_ends = true;
	session_end_idle(s);
}

/* IDLE begins anew, and NOTIFY with it: nothing but our wish lies between. */
static void renew(struct watch *w, struct session *s)
{
	if (w->notifies) {
		w->notifies = false;
		w->notify_at_ms = clock_now_ms();
		w->paused = true;
	}
	end_idle(w, s);
}

/* What must be over before another job may come; both at once. */
static void leave(struct watch *w, struct session *s)
{
	if (w->idles)
		end_idle(w, s);
	if (w->is_set)
		unset_notify(w, s);
}

/* The server has given up notifying, or some of it was lost. */
static void overflowed(struct watch *w, const struct session *s)
{
	int64_t now_ms = clock_now_ms();

	log_debug("imap: %s: notifications were lost", s->name);
	w->notifies = false;
	w->job.word = "idle";
	w->notify_at_ms =
		now_ms < w->overflow_at_ms ? w->overflow_at_ms : now_ms;
	w->overflow_at_ms = w->notify_at_ms + OVERFLOW_MS;
	news_all(w->news);
}

/* Is there a reason to doubt that all is told? */
static void look_for_doubt(struct watch *w)
{
	int64_t apart_ms = w->im->soon_ms;
	int64_t soon_ms = clock_now_ms() + apart_ms / 4;

	if (!w->notifies || w->soon_ms != CLOCK_NEVER ||
	    !news_are_many(w->news))
		return;
	if (w->round_ms > apart_ms / ROUND_SHARE)
		apart_ms = w->round_ms * ROUND_SHARE;
	w->soon_ms = w->set_ms + apart_ms;
	if (w->soon_ms < soon_ms)
		w->soon_ms = soon_ms;
}

static void pump(struct job *job, struct session *s)
{
	struct watch *w = watch_of(job);

	if (w->notifies && s->notify_lost)
		overflowed(w, s);
	look_for_doubt(w);
	if (!s->quirks.modseq_ahead)
		news_modseq(w->news, s->box.highestmodseq);
	w->idle_granted = w->idle_granted || session_is_idle(s);
	news_tell(w->news, false);
	if (job->yield) {
		leave(w, s);
	} else if (w->idles) {
		if (!w->idle_ends &&
		    (wants_notify(w) || clock_now_ms() >= renew_at_ms(w)))
			renew(w, s);
	} else if (w->in_flight == 0) {
		if (wants_notify(w) && w->is_set)
			unset_notify(w, s);
		else if (wants_notify(w))
			set_notify(w, s);
		else if (may_idle(w, s))
			begin_idle(w, s);
		else
			ask(w, s);
	}
}

static int64_t deadline(const struct job *job)
{
	const struct watch *w = (const struct watch *)job;
	int64_t at_ms = news_due_ms(w->news);

	if (w->idles && !w->idle_ends)
		at_ms = clock_earlier(at_ms, renew_at_ms(w));
	else if (w->in_flight > 0)
		return at_ms;
	else
		at_ms = clock_earlier(at_ms, w->noop_at_ms);
	if (w->has_notify && !w->notifies)
		at_ms = clock_earlier(at_ms, w->notify_at_ms);
	return at_ms;
}

/* --- from the server --- */

/* IDLE ended by the server's doing: in what way (NULL: with the connection)? */
static void idle_ended(struct watch *w, const struct status *st)
{
	int64_t now_ms = clock_now_ms();
	bool might = again_may_idle(&w->again, now_ms);

	if (st && st->kind != STATUS_OK)
		again_idle_refused(&w->again, now_ms);
	else
		again_idle_ended(&w->again,
				 st || w->idle_granted ? now_ms - w->idle_ms
						       : -1,
				 now_ms);
	if (might && !again_may_idle(&w->again, now_ms))
		log_info("imap: '%s' does not keep to IDLE: it is asked for "
			 "news every %lld s",
			 w->im->cfg.host, (long long)w->im->noop_ms / 1000);
}

static void idle_answered(struct watch *w, const struct session *s,
			  const struct status *st)
{
	w->idles = false;
	if (st->kind == STATUS_OK && s->idle_over)
		again_idle_kept(&w->again);
	else
		idle_ended(w, st);
}

static void answer(struct job *job, struct session *s, const struct call *call,
		   const struct status *st)
{
	struct watch *w = watch_of(job);

	w->in_flight--;
	if (call->kind == CALL_IDLE) {
		idle_answered(w, s, st);
	} else if (call->kind == CALL_NOTIFY) {
		w->notifies = st->kind == STATUS_OK;
		w->is_set = w->notifies;
		w->has_notify = w->notifies;
		w->round_ms = clock_now_ms() - w->set_ms;
		news_round_end(w->news, w->notifies);
		if (w->notifies)
			note_since(w, &w->im->notified_since_ms);
	}
}

static void fetch(struct job *job, struct session *s, struct fetch *f)
{
	(void)f;
	news_changed(watch_of(job)->news, s->box.messages);
}

static void data(struct job *job, struct session *s, const struct response *r)
{
	struct watch *w = watch_of(job);

	switch (r->kind) {
	case RESPONSE_EXISTS:
		news_exists(w->news, s->box.messages);
		break;
	case RESPONSE_EXPUNGE:
	case RESPONSE_VANISHED:
		news_changed(w->news, s->box.messages);
		break;
	default:
		if (w->has_notify)
			news_notified(w->news, r, w->paused);
		break;
	}
}

/* --- the job --- */

static bool watch_pause(struct job *job)
{
	struct watch *w = watch_of(job);

	if (w->in_flight > 0 || w->is_set)
		return false;
	news_tell(w->news, true);
	w->paused = true;
	job->word = NULL;
	job->not_before_ms = 0;
	return true;
}

/* It is always worth another try; but not at once where the last was short. */
static bool repeat(struct job *job)
{
	struct watch *w = watch_of(job);
	int64_t now_ms = clock_now_ms();
	int64_t held_ms = job->started ? now_ms - w->began_ms : 0;

	news_tell(w->news, true);
	w->paused = false;
	job->word = NULL;
	if (job->started && w->idles && !(w->idle_granted && w->idle_ends))
		idle_ended(w, NULL);
	if (job->finished && w->again.short_ones == 0)
		log_warn("imap: '%s' cannot be watched: %s", job->mailbox,
			 job->why.text);
	job->not_before_ms =
		now_ms + (job->finished ? again_refused(&w->again, held_ms)
					: again_lost(&w->again, held_ms));
	return true;
}

static void done(struct job *job)
{
	(void)job; /* it ends with the account, which nobody needs to be told */
}

static void watch_free(struct job *job)
{
	struct watch *w = watch_of(job);

	news_free(w->news);
	free(job->mailbox);
	free(w);
}

static const struct job_class watch_class = {
	.name = "watch",
	.fresh = true,
	.lasting = true,
	.start = start,
	.pump = pump,
	.answer = answer,
	.fetch = fetch,
	.data = data,
	.repeat = repeat,
	.pause = watch_pause,
	.deadline = deadline,
	.done = done,
	.free = watch_free,
};

int imap_watch(struct imap *im, const char *wire,
	       const struct imap_watch_ops *ops, void *ctx)
{
	const struct news_times times = {im->burst_ms, im->noop_ms};
	struct watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->im = im;
	w->again.first_ms = im->backoff_ms;
	w->again.lost_max_ms = im->noop_ms;
	r = job_init(&w->job, &watch_class, wire);
	if (r == 0)
		r = news_new(w->job.mailbox, &times, ops, ctx, &w->news);
	if (r == 0)
		r = pool_watch(im, &w->job);
	if (r < 0)
		watch_free(&w->job);
	return r;
}
