/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What imap_list() and imap_sync() have in common: rows come, the good ones
 * are handed on in windows, the others are asked for once more.
 */
#ifndef IMAPFS_IMAP_LISTING_H
#define IMAPFS_IMAP_LISTING_H

#include "imap/job.h"
#include "imap/rows.h"

#define AGAIN_MAX 64 /* messages that are asked for once more, at one time */
#define AGAIN_SUM_MAX 4096 /* ... and by one job */

/* Questions that are put in another way when they are refused. */
#define LISTING_REFUSALS_MAX 64

/*
 * Sessions that the server may end in the middle of one job: fewer than are a
 * rush of logins (pool.h), and enough to find one message in a large window.
 */
#define LISTING_CUTS_MAX 16

/* Numbers of a SEARCH that are sure to fit into a line of the framer's. */
#define LISTING_SEARCH_MAX 500000u

enum { ROW_FULL = ROW_UID | ROW_FLAGS | ROW_SIZE | ROW_DATE | ROW_FIELDS };

/* The kinds of commands; sync.c and list.c add theirs from CALL_OWN on. */
enum { CALL_AGAIN, CALL_FIELDS, CALL_OWN };

#define LISTING_FIELDS                                                         \
	"BODY.PEEK[HEADER.FIELDS (DATE FROM TO CC SUBJECT MESSAGE-ID)]"

struct again {
	uint32_t uid; /* 0: only the sequence number is known */
	uint32_t seq;
	unsigned asked; /* so often */
	bool sent;      /* the command is in flight */
	bool once_more; /* ... and will be sent another time */
};

/* What is called of struct imap_list_ops and struct imap_sync_ops. */
struct listing_ops {
	int (*opened)(void *ctx, const struct imap_mailbox *box);
	int (*rows)(void *ctx, const struct mail_row *rows, size_t n);
};

struct listing {
	struct job job;
	struct listing_ops ops;
	void *ctx;
	imap_recall_fn recall;
	/* Rows come without header fields, see fields.h. */
	bool in_two_steps;
	struct rows rows;
	bool newest_first;
	bool handed_out;
	struct again again[AGAIN_MAX];
	unsigned n_again;
	unsigned again_sum; /* so many in all */
	uint64_t rows_sum;  /* rows that were handed out */
	unsigned in_flight; /* commands of this job */
	unsigned refusals;
};

MUST_CHECK int listing_init(struct listing *l, const struct job_class *class,
			    const char *wire, const struct listing_ops *ops,
			    void *ctx);

/* Tell `opened`. False: the job is finished (-EPROTO: too many messages). */
bool listing_opened(struct listing *l, struct session *s);

/* A row is good: put it into `to`. */
void listing_add(struct listing *l, struct rows *to,
		 const struct mail_row *row);

/*
 * A row lacks something: ask for it again, once. If it is the header (NIL),
 * which is what servers say of a message that was expunged a moment ago, twice:
 * with the answer to the first UID FETCH they take notice of that, so that the
 * second one finds nothing. True: it has found the message, which is without a
 * header then, and the row is full.
 */
bool listing_again(struct listing *l, struct fetch *f);
/* The same for a row of which nothing more is known. */
void listing_ask_again(struct listing *l, const struct mail_row *row);

/* Hand on what has been gathered there. */
void listing_flush(struct listing *l, struct rows *from);

/* Is it one of header fields only, of a message that has a row already? */
bool listing_is_fields(const struct mail_row *row);

/* Send a FETCH of all items (of a first step: without header fields): "FETCH
 * a:b", "UID FETCH a:*". */
bool listing_send(struct listing *l, struct session *s, const char *what,
		  uint32_t first, uint32_t last, int kind);

/* Send what is to be asked again. */
void listing_pump_again(struct listing *l, struct session *s);

/* CALL_AGAIN is over. A refusal that may not last ends the listing. */
void listing_answer_again(struct listing *l, const struct call *call,
			  const struct status *st);

/* The server has ended its session at this message, alone, again and again. */
void listing_leave_out_deadly(const struct listing *l, uint32_t uid);

/* Is this row one that a full FETCH has brought (and no flag update)? */
bool listing_is_row(const struct mail_row *row);

bool listing_repeat(struct job *j);
void listing_free(struct job *j);

#endif
