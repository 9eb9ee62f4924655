/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What load.c and load_*.c share: the table of messages whose bodies are on
 * their way, just failed, or are being read.
 */
#ifndef IMAPFS_FS_LOAD_PRIVATE_H
#define IMAPFS_FS_LOAD_PRIVATE_H

#include "fs/load.h"
#include "fs/origin.h"

/* Large bodies kept open after their last reader: the next read is near. */
#define LOAD_KEEP 4
#define LOAD_JOBS 2
#define LOAD_WAKE_BYTES (128u << 10)
#define LOAD_END_UNKNOWN UINT64_MAX
/* READs that were refused, and may be repeated: more than are ever under way.
 */
#define LOAD_REFUSED 512
#define LOAD_UNTOLD 65536 /* bits */
/* Readers of mailboxes that were made anew: more than there ever are. */
#define LOAD_STALE 512

struct part {
	uint64_t offset;
	uint64_t end;
	imap_job job;
};

/* A message whose bytes are wanted, and where it is. */
struct wanted {
	const struct cache_msg *m;
	struct origin from;
};

struct fetch {
	struct fetch *next; /* most recently used first */
	uint64_t id;
	struct body *body;
	struct part parts[LOAD_JOBS];
	unsigned n_parts;
	uint64_t straight_to; /* where a reader that goes straight on is */
	uint64_t ahead;       /* how far beyond it is asked for */
	uint64_t woken_at;    /* bytes arrived when readers were woken last */
	uint64_t arrived;
	uint64_t end_at; /* the least end that an answer has shown */
	bool end_known;  /* that is it, with the byte before it */
	bool damaged;    /* our copy was bad: EBADMSG if it stays away */
	int error;       /* of the last fetch */
	int64_t failed_ms;
	unsigned users; /* callers and jobs that hold a pointer */
};

struct refused {
	uint64_t id; /* 0: none */
	uint64_t offset, end;
};

struct stale {
	uint64_t id; /* 0: none */
	const struct folder *f;
	int64_t noted_ms;
	int error; /* 0: it is not known yet */
	int64_t failed_ms;
};

struct load {
	struct fs *fs;

	struct lock lock; /* RANK_LOAD, guards what follows */
	struct fetch *head;
	unsigned n;
	struct reading *readings;
	struct correction *corrections;
	struct lock_cond corrected;           /* one was taken off */
	struct refused refused[LOAD_REFUSED]; /* the oldest is overwritten */
	unsigned next_refused;
	struct stale stale[LOAD_STALE]; /* likewise */
	unsigned next_stale;

	/* Counters: read without the lock, exactness does not matter. */
	_Atomic uint64_t gen;
	_Atomic uint64_t hits, misses;

	/* By id: may the kernel believe in a size that it had too early? */
	_Atomic uint64_t untold[LOAD_UNTOLD / 64];
};

/*
 * The entry of a message, found or made, with one user more, which
 * load_fetch_put() takes back. -ENOMEM and the errors of body_open().
 */
MUST_CHECK int load_fetch_get(struct fs *fs, const struct cache_msg *m,
			      struct fetch **ret);
void load_fetch_put(struct fs *fs, struct fetch *t);

/* Something about this message's body moved: who waits for it looks again. */
void load_moved(struct fs *fs, uint64_t id);

/*
 * The body turned out to have another length than the listing said. To be
 * called before a reader can find the body whole, or its end known: when this
 * returns the kernel has been told, whichever thread did it. Afterwards
 * load_moved(): meanwhile who reads it is sent away to wait.
 */
void load_correct_size(struct fs *fs, uint64_t id, uint64_t size);

/*
 * Asked when the row of a message was read: may its size be one that the kernel
 * has not been told of yet?
 */
bool load_is_correcting(struct fs *fs, uint64_t id);

/* Has a reader asked for this body, and is it on its way? */
bool load_is_coming(struct fs *fs, uint64_t id);

/*
 * Who reads this message waits until the UIDs of its folder are known; to be
 * called before that is asked for: see load_stale_failed().
 */
void load_stale_note(struct fs *fs, uint64_t id, const struct folder *f);
/* Why they could not be found out just now; 0: nothing is known of it. */
int load_stale_error(struct fs *fs, uint64_t id);

/*
 * Ask the server for a part that is on the list. If this fails the caller takes
 * it off the list: -ENOMEM, and the errors of imap_fetch().
 */
MUST_CHECK int load_ask(struct fs *fs, struct fetch *t, const struct wanted *w,
			const struct part *p);

/* Take a part off the list; it was, or could not be, asked for. */
void load_drop_part_locked(struct fetch *t, uint64_t offset);

#endif
