/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What sync.c (asking) and sync_hear.c (taking in) share: one imap_sync(). All
 * of it belongs to the thread of the connection that has the job.
 */
#ifndef IMAPFS_IMAP_SYNC_H
#define IMAPFS_IMAP_SYNC_H

#include "imap/fields.h"

#define SYNC_ASKS_MAX 128    /* questions that wait to be sent */
#define SYNC_FRESH_UIDS 500u /* that are asked for at once in two steps */
#define SYNC_FRESH_MAX 64    /* ... so often; what is left in one step */
#define SYNC_ODD_MAX 64      /* messages whose flags are asked for once more */

/* What is asked of a range of UIDs. */
enum sync_question {
	SYNC_ASK_CHANGED = CALL_OWN, /* flags that are newer than MODSEQ */
	SYNC_ASK_PRESENT,            /* which UIDs are there */
	SYNC_ASK_FLAGS,              /* flags of all of them */
	SYNC_ASK_NEW,                /* full rows */
	SYNC_ASK_ODD,                /* flags of messages that had none */
};

struct sync_ask {
	enum sync_question what;
	struct mail_range uids;
};

/* A message that had a row without flags. */
struct sync_odd {
	uint32_t uid;
	bool asked; /* for its flags alone */
};

struct sync_job {
	struct listing l;
	struct imap_sync_ops ops;
	struct imap_sync_request req;
	enum imap_sync_method method;

	struct sync_ask ask[SYNC_ASKS_MAX]; /* the last one is sent first */
	unsigned n_asks;
	unsigned n_halved;
	unsigned search;        /* tag of the search in flight; 0: none */
	bool searched;          /* ... which has got an answer */
	unsigned n_incremental; /* questions in flight by another method ... */
	bool given_up;          /* ... of which nothing is wanted any more */

	/* New messages in two steps: a range of UIDs at a time. */
	struct fields fresh;
	struct mail_range fresh_uids;
	bool has_fresh;     /* one is asked for */
	uint32_t fresh_top; /* all up to it were */
	unsigned n_fresh;
	bool described; /* a new message was, as it should be */

	/* sync_cut.c: the server has ended a session while it was asked for new
	 * messages; now they are asked for by UIDs, a range at a time. */
	bool careful;
	struct mail_range asked;    /* in flight; from 0: none */
	struct mail_range suspects; /* one of them did it; from 0: none */
	unsigned cuts;              /* sessions that ended so */
	uint32_t cut_uid;           /* it has done it, alone; 0: none has */
	uint32_t left[LISTING_CUTS_MAX]; /* ... twice: they are left out */
	unsigned n_left;

	bool opened;      /* the one who asked was told */
	bool heard;       /* the server named what changed (QRESYNC) */
	bool unsure;      /* a row came that could be any message's */
	bool withheld;    /* flags of some message could not be told */
	uint64_t settled; /* may be remembered, if not */
	uint64_t ranges_sum;
	struct sync_odd odd[SYNC_ODD_MAX];
	unsigned n_odd;
};

/*
 * An answer by QRESYNC or CONDSTORE is not to be trusted: ask for the flags of
 * all messages, when what is still to come of it has come.
 */
void sync_fall_back(struct sync_job *j);

/*
 * Tell `opened`, once, when it is sure that this is the mailbox. False: it is
 * not, and the job is finished.
 */
bool sync_open(struct sync_job *j, struct session *s);

/* A question that is to be sent next. */
void sync_push(struct sync_job *j, enum sync_question what, uint32_t first,
	       uint32_t last);

/* sync_fresh.c. The job begins. */
void sync_fresh_begin(struct sync_job *j, const struct session *s);
/* Send SYNC_ASK_NEW, of all UIDs or, in two steps, of the first of them. */
void sync_fresh_ask(struct sync_job *j, struct session *s,
		    struct mail_range uids);
/* Send what the second step needs. */
void sync_fresh_pump(struct sync_job *j, struct session *s);
/* Was this row, of a new message, one of the two steps? */
bool sync_fresh_take(struct sync_job *j, const struct mail_row *row);
/* SYNC_ASK_NEW is over. */
void sync_fresh_answer(struct sync_job *j, struct session *s,
		       const struct call *call, const struct status *st);
/* It was refused: if there is something new, its halves are asked for. */
void sync_fresh_refused(struct sync_job *j, const struct session *s,
			const struct call *call, const struct status *st);
/* CALL_AGAIN is over. */
void sync_fresh_again(struct sync_job *j, const struct call *call,
		      const struct status *st);
/* Hand on the rows that have taken both steps. */
void sync_fresh_hand_on(struct sync_job *j);

/* sync_cut.c. Ask for what is new, when it is known where that ends. */
void sync_push_new(struct sync_job *j, const struct session *s);

/* Members of the class of this job, see job.h. */
bool sync_repeat(struct job *job);
bool sync_cut(struct job *job);
void sync_fetch(struct job *job, struct session *s, struct fetch *f);
void sync_data(struct job *job, struct session *s, const struct response *r);

/* The flags of messages that had none were asked for (false: in vain). */
void sync_odd_answered(struct sync_job *j, bool ok);

#endif
