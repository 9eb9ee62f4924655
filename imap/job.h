/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A piece of work for a connection.
 *
 * queued --taken by a connection--> running --job_finish()--> finished
 *   |                                  | connection lost, may be repeated
 *   +-- cancelled, no connection       +--> queued again (once: but all
 *                                      |    connections may be lost at once,
 *                                      |    and it may ask for less: cut())
 *                                      |
 *                                      +--> queued again: it made room, or
 *                                           has another way (job_retry(),
 *                                           job_reopen())
 *
 * A class says how a kind of job runs. Its functions are called by the thread
 * of the connection that has the job, with no lock held. They end the job by
 * job_finish(); the connection then calls `done` and `free`. `done` alone is
 * also called, by the pool's keeper, for jobs that never got a connection.
 */
#ifndef IMAPFS_IMAP_JOB_H
#define IMAPFS_IMAP_JOB_H

#include <stdatomic.h>

#include "imap/select.h"

struct job;

struct job_class {
	const char *name;
	/*
	 * It never ends, but with the account: whatever happens to it, it
	 * waits for a connection again, which it has when nobody else needs
	 * one. repeat() is called when it is lost or refused.
	 */
	bool lasting;
	/* EXAMINE even if the mailbox is open: the job wants fresh numbers. */
	bool fresh;
	/* SELECT in place of EXAMINE: the job changes the mailbox. */
	bool writes;
	/* It is of change.h: refusals are told apart as they are there. */
	bool changes;
	/*
	 * Its commands name UIDs only, and start() compares UIDVALIDITY. So
	 * they go out right behind EXAMINE: pump() is called before start(),
	 * and what comes of it after that, or is thrown away.
	 */
	bool eager;

	/*
	 * The mailbox is about to be opened for this job: with which
	 * parameters? NULL: with none. A job that has this gets rows and data
	 * from when the mailbox has told its numbers on, which is before
	 * start().
	 */
	void (*open)(struct job *j, struct session *s, struct select_how *how);
	/* The mailbox (if any) is open; s->box is what EXAMINE said. */
	void (*start)(struct job *j, struct session *s);
	/* Send what there is to send, as long as session_has_room(). */
	void (*pump)(struct job *j, struct session *s);
	/* A command of this job is over. */
	void (*answer)(struct job *j, struct session *s,
		       const struct call *call, const struct status *st);
	/* The rest may be NULL. Untagged data, whoever asked for it. */
	void (*fetch)(struct job *j, struct session *s, struct fetch *f);
	void (*data)(struct job *j, struct session *s,
		     const struct response *r);
	/* Untagged COPYUID: was it for this job? */
	bool (*copied)(struct job *j, const struct status *st);
	/* Does this job want that body? */
	bool (*wants)(struct job *j, struct session *s,
		      const struct body_head *head);
	int (*body_begin)(struct job *j, struct session *s,
			  const struct body_head *head, uint64_t size);
	int (*body_data)(struct job *j, const void *bytes, size_t n);
	void (*body_end)(struct job *j, struct session *s);
	/* The connection is gone: may the job begin again? Then make it so. */
	bool (*repeat)(struct job *j);
	/*
	 * The server has ended the session (BYE). True: the job will ask for
	 * less, so that it may begin again however often it did; repeat() is
	 * next. NULL: it cannot.
	 */
	bool (*cut)(struct job *j);
	/*
	 * `yield` is set: a more urgent job needs the connection. True: no
	 * command of this job is out, and start() will go on where it is now.
	 * NULL: it cannot be interrupted.
	 */
	bool (*pause)(struct job *j);
	/* When to call pump() even if nothing happens; NULL: never. */
	int64_t (*deadline)(const struct job *j);

	/* Tell the one who asked. */
	void (*done)(struct job *j);
	void (*free)(struct job *j);
};

struct job {
	const struct job_class *class;
	char *mailbox;    /* NULL: needs none */
	uint64_t upload;  /* bytes of a message that it will send; fixed */
	int64_t since_ms; /* the mailbox was opened after that */
	imap_job id;

	enum imap_priority prio; /* pool's lock */
	struct job *next;        /* pool's lock while queued */
	atomic_bool cancelled;   /* a flag that any thread may set */

	/* Of the thread that runs it. */
	unsigned lost;    /* logins until it was repeated; 0: it was not */
	int64_t taken_ms; /* it was given to this connection */
	bool started;
	bool sent;  /* a byte of a command may have reached the server */
	bool yield; /* begin nothing new: see pause() */
	bool finished;
	bool again; /* finished only here: job_retry(), job_reopen() */
	int64_t not_before_ms; /* lasting: not to be begun again earlier */
	const char *word;      /* what it is doing; NULL: it is busy */
	int result;
	struct imap_error why;
};

/* A list of jobs, in the order in which they came. */
struct job_list {
	struct job *first;
	struct job *last;
};

void jobs_push(struct job_list *l, struct job *j);
void jobs_push_front(struct job_list *l, struct job *j);
bool jobs_remove(struct job_list *l, struct job *j);
struct job *jobs_pop(struct job_list *l);

/* End a job: the first result counts. `why` may be NULL. */
void job_finish(struct job *j, int result, const struct imap_error *why);

/* What a NO or BAD means to it, in words; `where` may be NULL. */
void job_explain(const struct job *j, const char *where,
		 const struct status *st, struct imap_error *ret);

/*
 * From answer(): what the server has refused may be granted when the job is
 * begun again as it is now, with this mailbox open. Nothing of it is in flight.
 * -EINVAL, -ENOMEM: it goes on as it was.
 */
MUST_CHECK int job_retry(struct job *j, const char *mailbox);

/*
 * From start(): the mailbox is not the one that the job is for. It may be the
 * session that is behind: one that was begun before the mailbox was made anew.
 * True: the job begins again, with the mailbox opened anew. False: it was
 * opened just now.
 */
MUST_CHECK bool job_reopen(struct job *j, const struct session *s);

/* Whatever its end was, it waits for a connection once more. */
void job_begin_anew(struct job *j);

/* End it because of a NO or BAD. */
void job_refuse(struct job *j, const struct status *st);

/*
 * The mailboxes whose names begin so are not what they were: a connection that
 * has one open will open it anew.
 */
void job_forget_mailboxes(struct session *s, const char *wire);

/* Behind all of enum imap_priority: the one that lasts. */
#define JOB_PRIO_LASTING N_IMAP_PRIO

/* Nobody waits for it: it must not keep others from a connection. */
static inline bool job_is_background(const struct job *j)
{
	return j->prio >= IMAP_PRIO_SYNC && !j->class->lasting;
}

/* Queue it; it is the pool's now, or freed if this fails. */
MUST_CHECK int pool_submit(struct imap *im, struct job *j,
			   enum imap_priority prio, imap_job *ret);

/* The one that lasts; it is the pool's now. -EINVAL: there is one already. */
MUST_CHECK int pool_watch(struct imap *im, struct job *j);

/* A name of a mailbox, as we write it. -EINVAL: it cannot be one; -ENOMEM. */
MUST_CHECK int job_copy_name(const char *wire, char **ret);

/* mailbox copied (NULL: none). -EINVAL: no name for a mailbox; -ENOMEM. */
MUST_CHECK int job_init(struct job *j, const struct job_class *class,
			const char *mailbox);

#endif
