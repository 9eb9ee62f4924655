/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What fetch.c (asking) and fetch_body.c (taking in) share: one imap_fetch().
 * All of it belongs to the thread of the connection that has the job.
 */
#ifndef IMAPFS_IMAP_FETCH_H
#define IMAPFS_IMAP_FETCH_H

#include "imap/job.h"

#define NO_BODY SIZE_MAX

/*
 * State of each UID:
 *   PENDING -> SENT -> DONE (came, is gone, or failed)
 *   SENT -> ALONE   its portion was refused: it is asked for by itself
 *   SENT -> PENDING the connection was lost, or the body could not be told
 */
enum body_state { PENDING, ALONE, SENT, DONE };

struct body_job {
	struct job job;
	struct imap_body_ops ops;
	void *ctx;
	struct imap_body_request req; /* uids: owned */
	uint8_t *state;               /* enum body_state of each */
	uint32_t *uids;
	size_t next; /* all before are not PENDING or ALONE */
	unsigned in_flight;
	struct imap_error failed; /* of a UID: the job goes on, and ends so */

	size_t open; /* the body that is coming, or NO_BODY */
	uint64_t size;
	int open_result;
	bool unproven; /* its UID is to be seen at the end of the response */
	bool doubtful; /* a body came that may be a cancelled job's */
};

/* Members of the class of this job, see job.h. */
bool fetch_wants(struct job *job, struct session *s,
		 const struct body_head *head);
int fetch_body_begin(struct job *job, struct session *s,
		     const struct body_head *head, uint64_t size);
int fetch_body_data(struct job *job, const void *bytes, size_t n);
void fetch_body_end(struct job *job, struct session *s);
void fetch_row(struct job *job, struct session *s, struct fetch *f);

/*
 * May bodies come that a cancelled job asked for? They could be other parts of
 * the messages that this job is about to ask for, and be taken for those.
 */
bool fetch_has_forgotten(const struct session *s);

/* The body that is coming, if there is one, ends with this result. */
void fetch_end(struct body_job *j, int result);

#endif
