/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Changes of messages that are on the server, as store.c (flags) and change.c
 * (the others) make them: some commands ("verbs") on a set of UIDs. All of it
 * belongs to the thread of the connection that has the job.
 */
#ifndef IMAPFS_IMAP_VERBS_H
#define IMAPFS_IMAP_VERBS_H

#include "imap/outcome.h"
#include "imap/pairs.h"

enum verb {
	VERB_SET,     /* +FLAGS.SILENT */
	VERB_TAKE,    /* -FLAGS.SILENT */
	VERB_LABEL,   /* +X-GM-LABELS.SILENT */
	VERB_UNLABEL, /* -X-GM-LABELS.SILENT */
	VERB_COPY,
	VERB_MOVE,
	VERB_EXPUNGE,
};

#define VERBS_MAX 4

/* What +FLAGS or -FLAGS gets, and +X-GM-LABELS or -X-GM-LABELS. */
struct verb_flags {
	unsigned flags; /* enum mail_flag */
	char *keywords; /* or NULL; owned */
	char *labels;   /* likewise */
};

struct uid_change {
	struct change c;
	uint32_t uidvalidity;
	uint32_t *uids;
	size_t n_uids;
	struct verb_flags set;
	struct verb_flags take;
	char *to;           /* of a copy; owned */
	struct pairs pairs; /* likewise */

	enum verb verb[VERBS_MAX];
	unsigned n_verbs;
	size_t next;    /* of the portion that is being sent, or is next */
	size_t portion; /* UIDs in it */
	unsigned step;  /* verbs of it that were sent */
};

/*
 * The beginning of such a job, which is all zero and `size` bytes long.
 * -EINVAL, -ENOMEM; else it is yours until you submit it or call verbs_free().
 */
MUST_CHECK int verbs_new(const struct job_class *class, size_t size,
			 const struct imap_messages *which,
			 struct uid_change **ret);

/*
 * The mailbox is open, nothing is planned. False: it is not the one that was
 * meant, or cannot be changed; the job is finished.
 */
bool verbs_begin(struct uid_change *j, const struct session *s);

/* Plan a verb, for all messages. */
void verbs_add(struct uid_change *j, enum verb verb);

/* Members of a class. */
void verbs_pump(struct job *job, struct session *s);
void verbs_answer(struct job *job, struct session *s, const struct call *call,
		  const struct status *st);
void verbs_free(struct job *job);

#endif
