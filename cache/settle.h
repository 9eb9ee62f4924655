/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Settling a batch: batch.c opens what is needed and commits, settle.c says
 * what an answer means for one record.
 */
#ifndef IMAPFS_CACHE_SETTLE_H
#define IMAPFS_CACHE_SETTLE_H

#include "cache/changes.h"
#include "cache/spool.h"

/* Made ready before the journal is locked, in case it is needed. */
struct batch_file {
	uint64_t id;
	char *rejected;   /* a name that was taken there; NULL: none */
	bool is_used;     /* the file will go there */
	struct blob body; /* that it becomes; `hash` NULL: none */
};

struct batch_folder {
	uint64_t id;
	struct box *box; /* NULL: there is no such folder */
};

struct batch {
	struct plan plan;

	struct batch_folder *folder; /* all that may be needed */
	size_t n_folders;

	struct batch_file *file; /* of unsent messages */
	size_t n_files;

	uint64_t *undo; /* ids of records whose moves are undone, too */
	size_t n_undo;
	bool is_undoing; /* these: nobody has refused their flags */
};

void batch_init(struct batch *b, struct cache *c, bool wants_effects);
/* After success `*ret` gets the effects; NULL: nobody wants them. */
void batch_finish(struct batch *b, int r, struct journal_effects **ret);
/* No lock may be held. 0 also if there is no such folder. */
MUST_CHECK int batch_open(struct batch *b, uint64_t folder);

/* Of an open folder of the batch; NULL: it is not needed, or the limbo. */
struct box *batch_box(const struct batch *b, uint64_t folder);
/* NULL: none was taken. */
const char *batch_rejected(struct batch *b, uint64_t id);
/* Records that wait for this one are undone with it. */
MUST_CHECK int batch_undo_waiters(struct batch *b, const struct change *c)
	REQUIRES(b->plan.c->journal.lock);
/* A folder that was never listed has this UIDVALIDITY. Queued. */
MUST_CHECK int batch_learn_uidvalidity(struct batch *b, uint64_t folder,
				       uint32_t uidvalidity)
	REQUIRES(b->plan.c->journal.lock);

MUST_CHECK int settle_one_locked(struct batch *b,
				 const struct journal_result *v)
	REQUIRES(b->plan.c->journal.lock);

#endif
