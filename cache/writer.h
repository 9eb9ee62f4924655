/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The one thread that writes SQL.
 *
 * Others push operations; the writer runs them in that order, many in one
 * transaction. An operation is a block of memory that begins with a struct
 * op; it holds copies of all it needs and belongs to the writer once pushed.
 * It may run more than once: a failed transaction is rolled back and tried
 * again a second later, so `run` changes nothing in memory; `done` does,
 * after the commit.
 */
#ifndef IMAPFS_CACHE_WRITER_H
#define IMAPFS_CACHE_WRITER_H

#include "imap/lock.h"
#include "imap/mail.h"

struct cache;

#define OP_ANY_FOLDER UINT64_MAX /* rows of several folders */

struct op {
	struct op *next;
	/*
	 * In a transaction of the writer thread: 0 or an errno, which fails
	 * the transaction.
	 */
	int (*run)(struct cache *c, struct op *op);
	/*
	 * After the commit (`err` 0), or when the operation is given up; no
	 * lock held; may be NULL. The writer frees the block afterwards.
	 */
	void (*done)(struct cache *c, struct op *op, int err);
	uint64_t folder;  /* whose rows it changes; 0: of no folder */
	size_t bytes;     /* of the block */
	size_t more;      /* bytes that it holds beside the block */
	bool when_broken; /* runs even if the database is damaged */
};

struct writer {
	pthread_t thread;
	bool started;
	int wal_fd;

	struct lock lock; /* RANK_WRITER, guards what follows */
	struct lock_cond work;
	struct lock_cond done;
	struct op *head, *tail;              /* waiting */
	struct op *batch;                    /* in the present transaction */
	size_t bytes;                        /* of both */
	uint64_t pushed, applied, synced;    /* counted operations */
	uint64_t commit_wanted, sync_wanted; /* so much, at once */
	uint64_t attempts;
	bool busy, stop, broken;
	bool retry;                  /* at once, though the last one failed */
	unsigned holds;              /* nothing is begun meanwhile */
	int failing;                 /* the last attempt failed with this */
	int first_error;             /* for cache_writer_error() */
	int64_t retry_at, synced_at; /* clock_now_ms() */
};

MUST_CHECK int writer_start(struct cache *c);
/*
 * Write what is queued (tried once more if it fails) and end the thread. False:
 * some of it is lost.
 */
bool writer_stop(struct cache *c);

/* A zeroed block for an operation: NULL if there is no memory. */
void *op_new(size_t bytes, int (*run)(struct cache *c, struct op *op),
	     uint64_t folder);

/* Of one that was not pushed. NULL is fine. */
void op_free(struct op *op);

/*
 * Never waits and never fails: may be called with locks held. The number of the
 * operation, for writer_has_run().
 */
uint64_t writer_push(struct cache *c, struct op *op);

/*
 * Wait until the queue has room. The writer's error, if the queue is full and
 * cannot be written. No lock may be held.
 */
MUST_CHECK int writer_wait_room(struct cache *c);

/*
 * Have what was pushed for `folder` (0: for any) written at once, and wait
 * until it can be read from SQL. The writer's error, if that cannot be now. No
 * lock may be held.
 */
int writer_drain(struct cache *c, uint64_t folder);

/*
 * Wait until no transaction runs, and have none begun until writer_release():
 * what has not run then stays as it is in the queue, and may be changed there.
 * No lock may be held.
 */
void writer_hold(struct cache *c);
void writer_release(struct cache *c);

/* Was the operation of this number written, or given up? */
bool writer_has_run(struct cache *c, uint64_t number);

bool writer_is_broken(struct cache *c);

/* The error that the writer is stuck with now, or 0. */
int writer_failing(struct cache *c);

#endif
