/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What draft.c (the table), draft_open.c (how a file becomes a draft),
 * draft_write.c (its bytes), draft_edit.c (renamed, removed, copied),
 * draft_watch.c and draft_life.c (when it is complete), draft_send.c
 * (completing it) and draft_rest.c (what an earlier mount has left) share.
 */
#ifndef IMAPFS_FS_DRAFT_PRIVATE_H
#define IMAPFS_FS_DRAFT_PRIVATE_H

#include "cache/journal.h"
#include "fs/content.h"
#include "fs/draft.h"

#define DRAFT_SLOTS 1024 /* of the hash table */
#define DRAFT_THREADS 4
#define DRAFT_COPY_BYTES (128u << 10)
/* The name of the hidden file of a message: this, and its id. */
#define DRAFT_HIDDEN ".imapfs-draft-"
/* Copies that are written to, by whoever has made them: so many, so long. */
#define DRAFT_COPIES_MAX 16
#define DRAFT_COPY_MS 60000
/* A watch that nobody needs stays for so long: the next file may come soon. */
#define DRAFT_WATCH_IDLE_MS 10000
/* Files that are gone, whose bytes somebody has open: so many descriptors. */
#define DRAFT_GHOSTS_MAX 200

enum draft_kind {
	DRAFT_SCRATCH,
	DRAFT_MESSAGE, /* a new one */
	DRAFT_REWRITE, /* of one that is on the server, in `file_id` */
	DRAFT_GHOST,   /* its row is gone; somebody may have it open */
};

struct watch {
	struct watch *next;
	struct folder *f;
	enum watch_state {
		WATCH_NONE,
		WATCH_COMING,
		WATCH_SET, /* or it cannot be */
	} state;
	unsigned users;
	int64_t idle_ms; /* since when there are none */
};

struct draft {
	uint64_t id; /* fixed */

	/* Of DRAFT_REWRITE, fixed: the folder that is kept open for the hidden
	 * row, and the name of the message. */
	struct folder *pinned;
	char *name;

	struct lock lock;       /* RANK_DRAFT: whoever writes, or completes */
	struct content content; /* of the first bytes, as far as looked at */
	int refused; /* what a write was told: no message; 0: none was */

	bool is_copy; /* fixed: of DRAFT_REWRITE, of a fresh copy */

	/* The table's lock. */
	struct draft *next;
	unsigned refs; /* one is the table's */
	bool is_in_table;
	enum draft_kind kind;
	uint64_t file_id; /* whose file in the spool has the bytes */
	int fd;           /* of DRAFT_GHOST: its bytes; else -1 */
	bool may_write;   /* of DRAFT_GHOST */
	int outcome;      /* of DRAFT_GHOST: why it was refused; 0 */
	uint64_t became;  /* of DRAFT_GHOST: what took its place; 0: nothing */
	uint64_t size;
	int64_t mtime;
	bool is_moved; /* size or mtime are not in its row */
	struct watch *watch;

	/* The same lock: its life (draft_life.c). */
	int64_t touched_ms, closed_ms; /* closed: 0, it was not */
	int64_t not_before_ms; /* something failed, or somebody writes */
	enum draft_life {
		LIFE_OPEN,   /* for all that is known */
		LIFE_ASKING, /* the lease is on its way */
		LIFE_BLIND,  /* there are no leases: only time tells */
		LIFE_CLEAR,  /* nobody writes */
		LIFE_BUSY,   /* a thread has taken it */
	} life;
	unsigned touches, asked_touches;
	bool is_hurried;
	int failed; /* why it could not be completed, by the last try; 0 */
	bool is_given_up; /* at the end: it was tried */
};

struct drafts {
	struct fs *fs;
	pthread_t threads[DRAFT_THREADS];
	unsigned n_threads; /* started; drafts_start() and drafts_stop() */

	/* No lock: whoever finds none need not look, and what comes only now
	 * comes after that. */
	_Atomic unsigned n;
	_Atomic uint64_t gen;

	struct lock lock; /* RANK_DRAFTS, guards what follows */
	struct lock_cond cond;
	struct draft *slots[DRAFT_SLOTS];
	struct watch *watches;
	unsigned n_ghosts;
	struct {
		uint64_t id;
		int64_t until_ms;
	} copies[DRAFT_COPIES_MAX];
	unsigned next_copy;
	int64_t look_ms; /* when the thread will look by itself */
	bool stopping;
};

/* --- draft.c --- */

/* With a reference; NULL: none. */
struct draft *draft_get(struct drafts *ds, uint64_t id);
void draft_put(struct drafts *ds, struct draft *d);

/*
 * Into the table. If there is one already, that. `f`: where it is. -ENOMEM.
 */
struct draft_new {
	uint64_t id, file_id;
	enum draft_kind kind;
	struct folder *f;
	uint64_t size;
	int64_t mtime;
	bool is_copy;
	/* Taken over on success. */
	struct folder *pinned;
	char *name;
};
MUST_CHECK int draft_enter(struct drafts *ds, const struct draft_new *v,
			   struct draft **ret);
/* Out of the table; wakes who waits. */
void draft_leave(struct drafts *ds, struct draft *d);

/* Its row is gone. Takes `fd`; -1: its bytes cannot be read any more. */
void draft_become_ghost(struct drafts *ds, struct draft *d, int fd,
			bool may_write);

struct draft *draft_find_locked(struct drafts *ds, uint64_t id)
	REQUIRES(ds->lock);

/* --- draft_open.c --- */

/* The draft of a file that is to be written to. Errors of draft_write(). */
MUST_CHECK int draft_open(struct fs *fs, uint64_t id, bool truncating,
			  struct draft **ret);
/*
 * The same of one that was not sent, or is written to already: no message of
 * the server becomes a draft by it. -EPERM.
 */
MUST_CHECK int draft_reopen(struct fs *fs, uint64_t id, struct draft **ret);

/* --- draft_write.c --- */

/* Its file. -ENOENT. The descriptor is yours to close. */
MUST_CHECK int draft_open_file(struct fs *fs, struct draft *d, bool for_writing,
			       int *ret_fd);

/*
 * Look at what was not looked at. 0: it is a message. -ENODATA: it is empty.
 * -EINVAL, -EFBIG. With its lock.
 */
MUST_CHECK int draft_check_locked(struct fs *fs, struct draft *d, int fd)
	REQUIRES(d->lock);

/* Size and mtime as they are now into the row. */
void draft_save_row(struct fs *fs, struct draft *d);

/* --- draft_life.c --- */

/* Something has happened to it: now. */
void draft_touch_locked(struct drafts *ds, struct draft *d) REQUIRES(ds->lock);
/* It could not be completed, and is tried again. */
void draft_note_failure(struct drafts *ds, struct draft *d, int error);
/* A thread is to look at this time, or earlier. */
void draft_look_locked(struct drafts *ds, int64_t at_ms) REQUIRES(ds->lock);

/* --- draft_watch.c --- */

/* The watch that it needs, of this folder (NULL: none). */
void draft_use_watch_locked(struct drafts *ds, struct draft *d,
			    struct folder *f) REQUIRES(ds->lock);

/*
 * Out of the list those that nobody needs any more; `*look` is made earlier if
 * one will be so. Then, with no lock, end them.
 */
struct watch *draft_idle_watches_locked(struct drafts *ds, int64_t now,
					int64_t *look) REQUIRES(ds->lock);
void draft_end_watches(struct fs *fs, struct watch *w);

/* --- draft_send.c --- */

/*
 * Nobody writes to it: complete it. 0: it is out of the table, or a ghost;
 * wake the flusher. -EAGAIN: it was renamed or removed meanwhile, and is as it
 * was. Else it is to be tried again, too. `*ret`, NULL or yours to free: what
 * was undone with it, to be told (effects.h) without its lock.
 */
MUST_CHECK int draft_complete(struct fs *fs, struct draft *d,
			      struct journal_effects **ret) REQUIRES(d->lock);

/* --- draft_rest.c --- */

/* What an earlier mount has left: into the table. */
MUST_CHECK int draft_find_rest(struct fs *fs);

#endif
