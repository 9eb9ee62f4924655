/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the jobs of change.h share: how they end, and what the one who asked is
 * told. All of it belongs to the thread of the connection that has the job.
 */
#ifndef IMAPFS_IMAP_OUTCOME_H
#define IMAPFS_IMAP_OUTCOME_H

#include "imap/change.h"
#include "imap/job.h"

/* All of enum mail_flag. */
#define CHANGE_FLAGS                                                           \
	((unsigned)(MAIL_SEEN | MAIL_ANSWERED | MAIL_FLAGGED | MAIL_DELETED |  \
		    MAIL_DRAFT))

struct change {
	struct job job;
	imap_change_fn tell;
	void *ctx;
	char *wire;              /* the mailbox that is changed; owned */
	struct imap_outcome end; /* what only some kinds of changes tell */
	struct imap_error
		refused; /* the first refusal that counts; or code 0 */
	unsigned in_flight;
	bool settled;     /* the server has said all that counts ... */
	bool is_doubtful; /* ... but does not know what it has done */
};

/*
 * As job_init(). `wire`: the mailbox that is changed; `open`: the one that has
 * to be open for it (NULL: none).
 */
MUST_CHECK int change_init(struct change *c, const struct job_class *class,
			   const char *wire, const char *open);

/* As pool_submit(): tell `tell` when it is over. */
MUST_CHECK int change_submit(struct imap *im, struct change *c,
			     imap_change_fn tell, void *ctx, imap_job *ret);

/* As pool_submit(), for a job of change.h that is no struct change. */
MUST_CHECK int change_queue(struct imap *im, struct job *job, imap_job *ret);

/* What a refused login is for all of them: no connection. */
void change_no_login(struct imap_error *why);

/* Send a command of this change. False: it has failed, and is finished. */
bool change_send(struct change *c, struct session *s, struct command *cmd,
		 const struct call *call);

/* End it before anything was sent; `words` end a sentence about the mailbox. */
void change_fail(struct change *c, int result, const char *words);

/* Keep a refusal, if it is the first one. */
void change_refuse(struct change *c, const struct status *st);

/* All is answered: end with the refusal, or with 0. */
void change_finish(struct change *c);

/* Members of a class. A change is repeated only if it was not sent. */
bool change_repeat(struct job *job);
void change_done(struct job *job);

/* Frees `wire` and the job itself: last in a class's `free`. */
void change_job_free(struct job *job);

#endif
