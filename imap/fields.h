/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rows in two steps (struct imap_list_request, `recall`): first they come
 * without header fields; those that are known from another mailbox are taken
 * from there, and the others asked for by UID. Plain functions of the thread
 * that has the job.
 *
 *   ROWS -> (answered) KNOWN -> DONE
 *                        ^ a FETCH of fields, one at a time, as often as need
 *                          be: the next portion, or half of one that failed
 */
#ifndef IMAPFS_IMAP_FIELDS_H
#define IMAPFS_IMAP_FIELDS_H

#include "imap/listing.h"

enum fields_step {
	FIELDS_ROWS,  /* rows may still come */
	FIELDS_KNOWN, /* all have: fields are asked for */
	FIELDS_DONE,  /* every row that is left has its fields */
};

struct fields {
	struct rows rows;
	enum fields_step step;
	size_t n;     /* rows of the first step, in order; later ones follow */
	size_t at;    /* rows before have been asked for, or have fields */
	size_t end;   /* up to here a command is in flight; at: none is */
	size_t asked; /* rows that it asks for */
	size_t portion; /* rows without fields that are asked for at once */
	bool retried;   /* the one at `at` alone was refused, and is again */
};

/* What a row of the first step has to have. */
enum { ROW_BARE = ROW_FULL & ~ROW_FIELDS };

/* All rows have come: which of them are known? */
void fields_begin(struct listing *l, struct fields *w);

/* Send the next question, if it is time for one, as CALL_FIELDS. */
void fields_pump(struct listing *l, struct session *s, struct fields *w,
		 const struct call *call);

/* A row of header fields only: was it for this window? */
bool fields_take(struct listing *l, struct fields *w,
		 const struct mail_row *row);

/* CALL_FIELDS of this window is over. */
void fields_answer(struct listing *l, struct fields *w,
		   const struct status *st);

#endif
