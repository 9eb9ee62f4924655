/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What list.c (asking) and list_hear.c (taking in) share: one imap_list(). All
 * of it belongs to the thread of the connection that has the job.
 */
#ifndef IMAPFS_IMAP_LIST_H
#define IMAPFS_IMAP_LIST_H

#include "imap/fields.h"
#include "imap/halves.h"
#include "imap/pace.h"

#define WINDOWS_MAX 24

enum { CALL_WINDOW = CALL_OWN, CALL_SEARCH, CALL_UIDS, CALL_NAME };

struct window {
	uint32_t first;
	uint32_t last;
	int64_t sent_ms;
	struct fields f;
};

struct list_job {
	struct listing l;
	void (*coming)(void *ctx);
	void (*done)(void *ctx, int result, const struct imap_error *why);
	uint32_t below_uid; /* 0: from the top */
	uint32_t uidvalidity;
	struct mail_range uids; /* that are wanted; from 0: all */
	bool by_uid;            /* ... and asked for alone */
	uint32_t lowest;        /* UID that was handed out; 0: none */
	uint32_t top;           /* the greatest number not asked for; 0: none */
	bool searching;
	struct window window[WINDOWS_MAX]; /* in the order of sending */
	unsigned n_windows;
	int64_t slow_ms;
	struct pace pace;
	int64_t handed_ms; /* rows were handed on, or spoken of */
	struct rows spare; /* empty, with memory for the next window */
	struct halves halves;
	uint32_t alone[LISTING_REFUSALS_MAX]; /* refused alone, once */
	unsigned n_alone;

	/* list_cut.c: messages, the next ones, at one of which the server ends
	 * the session; 0: none is known of. */
	uint32_t suspects;
	uint32_t innocent; /* ... the upper ones of them, as it seems */
	unsigned cuts;     /* sessions that ended so */
	uint32_t name_seq; /* the one that was asked for alone ... */
	uint32_t name_uid; /* ... is this one; 0: not known */
	uint32_t cut_uid;  /* it has ended a session, alone; 0: none has */
};

/*
 * Which is the greatest sequence number with a UID below? It is asked of those
 * up to `top`; of so many of them at a time, from above, where the server would
 * tell all in place of one.
 */
void list_search(struct list_job *j, struct session *s, uint32_t top);
/* CALL_SEARCH is over. */
void list_search_answered(struct list_job *j, struct session *s,
			  const struct call *call, const struct status *st);

/* list_cut.c. A window was refused, or answered in part: its halves, without
 * what is not there any more, or once more the same one. */
void list_halve(struct list_job *j, struct session *s, const struct call *call,
		const struct status *st);
/* How many messages is the next window to have? */
uint32_t list_window(const struct list_job *j);
/* The window with this number is to be of one suspect: ask which it is. */
void list_ask_name(struct list_job *j, struct session *s, uint32_t seq);
/* A row has come: is it the answer? */
void list_hear_name(struct list_job *j, const struct mail_row *row);
/* A window of so many messages is complete. */
void list_clear(struct list_job *j, uint32_t n);
/* Go on below what was handed out or left out: start() is next. */
void list_go_on(struct list_job *j);
/* Member of the class. */
bool list_cut(struct job *job);

/* Members of the class of this job, see job.h. */
void list_fetch(struct job *job, struct session *s, struct fetch *f);
void list_data(struct job *job, struct session *s, const struct response *r);

#endif
