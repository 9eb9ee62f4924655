/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mutexes with a rank. The list of ranks is the lock order of the whole
 * program: a thread that holds a lock may only take locks of a higher rank.
 * Debug builds (NDEBUG unset) abort on an inversion, and at a door that is
 * entered with a lock held; clang checks the annotations at compile time.
 *
 * No lock is held across the network, a reply or a notification to the
 * kernel, a callback into another folder, or anything that waits for another
 * thread: those places call lock_assert_none().
 */
#ifndef IMAPFS_IMAP_LOCK_H
#define IMAPFS_IMAP_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __clang__
#define THREAD_ANNOTATION(x) __attribute__((x))
#else
#define THREAD_ANNOTATION(x)
#endif
#define CAPABILITY(x) THREAD_ANNOTATION(capability(x))
#define GUARDED_BY(x) THREAD_ANNOTATION(guarded_by(x))
#define REQUIRES(...) THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define ACQUIRES(...) THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define RELEASES(...) THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define NO_LOCK_ANALYSIS THREAD_ANNOTATION(no_thread_safety_analysis)

/* The order: outermost first. */
enum lock_rank {
	RANK_DRAFT = 5,      /* fs: one file that is being written */
	RANK_TREE = 10,      /* fs: the tree of folders */
	RANK_FOLDER = 20,    /* fs: what is going on in one folder */
	RANK_FLUSH = 26,     /* fs: what goes to the server, and who waits */
	RANK_AHEAD = 28,     /* fs: streams of readers, sets of bodies */
	RANK_LOAD = 30,      /* fs: bodies on their way */
	RANK_KEEP = 35,      /* fs: what is due to be asked */
	RANK_OFFLINE = 36,   /* fs: folders whose bodies are to be here */
	RANK_MAILBOXES = 37, /* fs: mailboxes that are made, removed, renamed */
	RANK_QUOTA = 38,     /* fs: how much room there is */
	RANK_DRAFTS = 39,    /* fs: all files that are being written */
	RANK_PARK = 40,      /* fs: requests that wait */
	RANK_REPLAY = 45,    /* fs: what the helper process is to do */
	RANK_NOTIFY = 50,    /* fs: what the kernel is to be told */
	RANK_STORE = 52,     /* fs: bodies for the kernel */
	RANK_BUDGET = 54,    /* fs: what may still come and go today */
	RANK_CONTROL = 55,   /* fs: snapshots of .imapfs */
	RANK_JOURNAL = 58,   /* cache: changes that the server has not seen */
	RANK_INDEX = 60,     /* cache: the packed index of one folder */
	RANK_IDS = 65,       /* cache: the sequence of ids */
	RANK_BLOB = 70,      /* cache: table of open bodies */
	RANK_DB_READ = 75,   /* cache: the reading connection to SQLite */
	RANK_WRITER = 80,    /* cache: queue of the SQLite writer */
	RANK_POOL = 85,      /* imap: jobs and connections */
	RANK_SECRET = 90,    /* imap: the password in memory */
	RANK_TLS = 95,       /* imap: TLS sessions to be resumed */
	RANK_LOG = 100,      /* the log: may be taken below any other */
};

struct CAPABILITY("mutex") lock {
	pthread_mutex_t mutex;
	enum lock_rank rank;
};

/* Condition variables on CLOCK_MONOTONIC, waited for with a lock held. */
struct lock_cond {
	pthread_cond_t cond;
};

void lock_init(struct lock *l, enum lock_rank rank);
void lock_finish(struct lock *l);
void lock_take(struct lock *l) ACQUIRES(*l);
void lock_drop(struct lock *l) RELEASES(*l);

/*
 * Two locks of one rank: the only way to hold both. They are taken in the order
 * of their addresses, so that no two threads wait for each other.
 */
void lock_take_both(struct lock *a, struct lock *b) ACQUIRES(*a, *b);

/* Abort (debug builds) if this thread holds any lock. */
void lock_assert_none(void);

void lock_cond_init(struct lock_cond *c);
void lock_cond_finish(struct lock_cond *c);
void lock_cond_wake(struct lock_cond *c);     /* one waiter */
void lock_cond_wake_all(struct lock_cond *c); /* every waiter */

/*
 * Wait for a wake-up with `l` held (it must be the innermost lock held by
 * this thread). `deadline_ms` is on the clock of clock_now_ms(), or
 * CLOCK_NEVER. Returns false when the deadline passed. The caller loops on its
 * predicate.
 */
bool lock_cond_wait(struct lock_cond *c, struct lock *l, int64_t deadline_ms)
	REQUIRES(*l);

#define CLOCK_NEVER INT64_MAX

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t clock_now_ms(void);

static inline int64_t clock_earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

#endif
