/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pool from inside: what pool.c (the queue), place.c (who may take what),
 * keeper.c (ends what has no connection, retries, tells) and conn.c (a
 * connection's thread) share. One lock guards it all; it is never held across a
 * callback, the network, or a wait for another thread.
 *
 * A connection:
 *
 *   CLOSED --wanted--> CONNECTING --ok--> READY --lost, idle, stop--> CLOSED
 *                          |
 *                          +--failed--> CLOSED
 */
#ifndef IMAPFS_IMAP_POOL_H
#define IMAPFS_IMAP_POOL_H

#include <stdatomic.h>

#include "imap/job.h"
#include "imap/lock.h"

#define POOL_FAIL_FAST_MS 2000 /* jobs fail at once behind a failure */
#define POOL_BACKOFF_MIN_MS 1000
#define POOL_BACKOFF_MAX_MS 60000
#define POOL_BACKOFF_LIMIT_MS 900000   /* the server itself asked for less */
#define POOL_RUSH_MAX 20               /* logins are too many ... */
#define POOL_RUSH_MS 2000              /* ... but for one in so long */
#define POOL_EXTRA_RETRY_MS 5000       /* an extra connection that failed */
#define POOL_NEAR_MS 3000              /* one is waited for, not for longer */
#define POOL_IDLE_MS 180000            /* an extra connection closes */
#define POOL_KEEPALIVE_MS 540000       /* NOOP, before a NAT forgets us */
#define POOL_RUNNING_MAX SESSION_SLOTS /* jobs of one connection */
#define POOL_EXPECTED_MAX (2u << 20)   /* body bytes; above, no more prefetch */
#define POOL_UPLOAD_MAX (1u << 20)     /* small messages go out together */
#define POOL_UPLOAD_BESIDE (64u << 10) /* other work waits behind so much */
#define POOL_TICK_MS 5000              /* the keeper compares the clocks */
#define POOL_QUIET_MS 1000             /* the watcher waits behind a job */
#define POOL_STARVED_MS 30000 /* ... but not when it has waited for so long */
#define POOL_ANEW_MS 15000    /* ... nor so long, behind a loss of all */
#define POOL_RENEW_MS 540000  /* IDLE begins anew, for the reason of NOOP */
#define POOL_SOON_MS 10000    /* NOTIFY, when there is reason to doubt it */
#define POOL_NOOP_MS 120000   /* the watcher asks, where there is no IDLE */
#define POOL_BURST_MS 300     /* news of one mailbox are told together */
#define POOL_STACK (4u << 20) /* libetpan wants 1 MiB of it */

/* What the watcher says of itself (job.word) while it is told what moves. */
#define WORD_IDLE "idle"
#define WORD_NOTIFY "notify"

enum conn_state { CONN_CLOSED, CONN_CONNECTING, CONN_READY };

struct conn {
	struct imap *im;
	char name[16];
	struct session
		session; /* of its thread; but session.net may be woken */
	struct job_list running; /* of its thread */
	struct job *body_job;    /* of its thread: takes the body that comes */
	struct job opener;       /* of its thread: stands for EXAMINE */
	bool reopen; /* of its thread: EXAMINE once more, without parameters */
	bool useful; /* of its thread: a job's command was answered OK */
	unsigned probes;    /* of its thread: how many it has heard of */
	unsigned login;     /* of its thread: by which of all logins it is */
	int64_t look_at_ms; /* of its thread: the watcher may come then */

	/* im->lock: */
	pthread_t thread;
	bool has_thread;
	struct lock_cond wake; /* while not READY */
	enum conn_state state;
	bool wanted;       /* until it is ready, or has failed */
	bool beside;       /* another one was good when it began to connect */
	bool writable;     /* by SELECT */
	bool outdated;     /* what `mailbox` names was renamed or deleted */
	char *mailbox;     /* open, or being opened; NULL: none */
	int64_t opened_ms; /* when that was asked for */
	unsigned n_running;
	unsigned n_background;
	unsigned in_flight; /* commands, also of jobs that were cancelled */
	uint64_t expected;
	uint64_t uploading; /* bytes of messages that it sends */
	uint64_t bytes_in;
	uint64_t bytes_out;
	bool compressed;
	bool watching;  /* it runs the watcher, and takes nothing else */
	bool doubted;   /* a probe is out: it takes nothing */
	int64_t job_ms; /* a job ended here last; 0: none did */
	const char *word;
	imap_job running_id[POOL_RUNNING_MAX];
	struct job *running_job[POOL_RUNNING_MAX];
};

struct imap {
	struct imap_config cfg; /* strings are ours; fixed */
	struct imap_events events;
	void *ctx;
	struct net_tls *tls;
	pthread_t keeper;
	bool has_keeper;
	atomic_bool stop;     /* read by threads in the middle of connecting */
	atomic_uint logins;   /* counted */
	int64_t idle_ms;      /* POOL_IDLE_MS; fixed at imap_connect(), as is */
	int64_t keepalive_ms; /* POOL_KEEPALIVE_MS, and so on */
	int64_t near_ms;
	int64_t extra_ms; /* POOL_EXTRA_RETRY_MS */
	int64_t tick_ms;
	int64_t late_ms;    /* ALIVE_LATE_MS */
	int64_t awake_ms;   /* ALIVE_PROBE_MS: to prove itself, behind sleep */
	int64_t doubt_ms;   /* cfg.timeout_ms: ... behind one that timed out */
	int64_t backoff_ms; /* POOL_BACKOFF_MIN_MS; also the watcher's */
	int64_t quiet_ms;
	int64_t anew_ms;
	int64_t renew_ms;
	int64_t soon_ms;
	int64_t slow_ms; /* PACE_SLOW_MS */
	int64_t noop_ms;
	int64_t burst_ms;           /* fixed at imap_watch() */
	int64_t (*asleep_ms)(void); /* how long was the machine, in all? */
	unsigned rush_max;          /* POOL_RUSH_MAX */
	int64_t rush_ms;

	struct lock lock; /* guards what follows, and `im->lock:` above */
	struct lock_cond keeper_wake;
	struct lock_cond attempted; /* a try to connect is over */
	struct conn conn[IMAP_CONNECTIONS_MAX];
	unsigned limit; /* connections that the server lets us have */
	unsigned n_queued;
	int64_t limit_until_ms; /* CLOCK_NEVER: a login was refused */
	struct job_list queue[N_IMAP_PRIO];
	struct job
		*watcher; /* waits for a connection; NULL: has one, or none */
	/* From when on the watcher misses nothing; 0: it has not begun. */
	int64_t watched_since_ms;  /* in its mailbox */
	int64_t notified_since_ms; /* in the others */
	int64_t watcher_ms;        /* the watcher waits since then */
	bool has_watcher;
	unsigned probes; /* counted: every connection follows each */
	int64_t probe_ms;
	struct job_list ended; /* for the keeper: `done` is due */
	imap_job last_id;
	unsigned n_ready;
	bool just_lost; /* the last one of them, and nothing was tried since */
	uint64_t attempts;
	int64_t fail_until_ms;
	int64_t retry_at_ms; /* CLOCK_NEVER: not by ourselves */
	int64_t rush_at_ms;  /* since then ... */
	unsigned rush;       /* ... one login is forgotten in each rush_ms */
	uint32_t jitter;
	/* So long a connection that is being made is waited for; CLOCK_NEVER:
	 * none is, or it took too long. */
	int64_t near_until_ms;
	int64_t extra_at_ms;     /* no try beside good connections until then */
	unsigned extra_failures; /* of extra_at_ms, one after the other */
	unsigned failures;       /* of all others */
	unsigned put_offs;       /* likewise, but of FAULT_LIMIT */
	bool refused;            /* FAULT_AUTH: ask the user, never loop */
	struct imap_error last_error;
	char server[128];
	unsigned caps; /* of the last login: enum capability */
	uint64_t append_limit;

	bool telling; /* some thread delivers events */
	bool told_online;
	uint64_t fails;
	uint64_t told_fails;
};

/* --- place.c --- */

/* The next job for this connection, or NULL. */
struct job *pool_take_locked(struct imap *im, struct conn *c)
	REQUIRES(im->lock);

/* Is `c` to make room for a job that nobody else can take? */
bool pool_yields_locked(struct imap *im, const struct conn *c)
	REQUIRES(im->lock);

/*
 * When may `c` have the watcher, if it has nothing else to do until then?
 * CLOCK_NEVER: the watcher does not wait for a connection.
 */
int64_t pool_watch_at_locked(struct imap *im, const struct conn *c)
	REQUIRES(im->lock);

/*
 * The first connection is there again. Where there may be others, all of them
 * were lost, which a watcher that sat on one has not brought about: it waits no
 * longer than for a short time. Its mailbox is asked about at once, by whoever
 * hears that we are online.
 */
void pool_watch_anew_locked(struct imap *im) REQUIRES(im->lock);

/* Wake, or make, a connection for what waits. */
void pool_kick_locked(struct imap *im) REQUIRES(im->lock);

/* --- pool.c --- */

/* Put a job back, in front: its connection was lost, or it made room. */
void pool_requeue_locked(struct imap *im, struct job *j) REQUIRES(im->lock);

/* All that waits ends with `result`. */
void pool_fail_locked(struct imap *im, int result, const struct imap_error *why)
	REQUIRES(im->lock);

/* Let this connection connect. */
void pool_want_locked(struct imap *im, struct conn *c) REQUIRES(im->lock);

/* Doubt every connection: is it still there? It has so long to answer. */
void pool_probe_locked(struct imap *im, int64_t ms) REQUIRES(im->lock);

/* --- keeper.c --- */

void *keeper_main(void *arg);

/* A try failed: when is the next one? */
void keeper_back_off_locked(struct imap *im, const struct imap_error *why)
	REQUIRES(im->lock);

/* The same, of one that was to be had beside good ones. */
void keeper_put_off_extra_locked(struct imap *im) REQUIRES(im->lock);

/*
 * Were there too many logins lately? A server that lets us in, and throws us
 * out at some command, is not to be logged in to in a loop: each login makes
 * somebody submit jobs, and each job is a reason for the next login. So no
 * connection is made for jobs then; without any they fail at once, and the
 * keeper tries again, later each time.
 */
bool keeper_is_rush_locked(struct imap *im) REQUIRES(im->lock);
void keeper_note_login_locked(struct imap *im) REQUIRES(im->lock);

/*
 * A connection is lost, and what it had to do waits again: a login that was
 * refused meanwhile is not tried once more for that.
 */
void keeper_stay_refused_locked(struct imap *im) REQUIRES(im->lock);

/* Tell the owner what has not been told yet. No lock held. */
void keeper_tell(struct imap *im);

/* For how long the machine has been asleep since it was started. */
int64_t keeper_asleep_ms(void);

/* Call `done` and `free`. No lock held. */
void keeper_end_job(struct job *j);

/* --- route.c --- */

/* Kinds of calls that are the connection's own. */
enum { CALL_EXAMINE = -1, CALL_FORGOTTEN = -2 };

/* Their context is the connection. */
extern const struct session_ops route_ops;

/* Make a job that was just taken ready to run. No lock held. */
void route_begin(struct conn *c, struct job *j);

/* Open the mailbox once more if that is due and nothing is in flight. */
void route_reopen(struct conn *c);

/*
 * Who has commands of which bytes went out? It can not be told any more when
 * they are gone. A command that cannot be made to its end fails by itself.
 */
void route_note_sent(struct conn *c);

/* Send what a job has to send, if it may by now. */
void route_pump(struct conn *c, struct job *j);

/* --- conn.c --- */

/* Nobody waits any more for the commands of this job; they still run. */
void route_forget(struct conn *c, const struct job *j);

/* Commands in flight whose meaning, or answer, depends on the mailbox. */
unsigned conn_in_flight(const struct conn *c);

MUST_CHECK int conn_init(struct conn *c, struct imap *im, unsigned index);
void conn_finish(struct conn *c);
void *conn_main(void *arg);

/* --- conn_idle.c; on the connection's thread, no lock held --- */

/* A NOOP, if nothing was sent for keepalive_ms. -EINVAL, -ENOMEM. */
MUST_CHECK int conn_keep_alive(struct conn *c);
/* An extra connection that nobody has used for long may go. */
bool conn_is_superfluous(struct conn *c);
/* When is there something to do, if nothing happens until then? */
int64_t conn_next_deadline(const struct conn *c);

/* Let the others see what they decide by. */
void conn_publish_locked(struct imap *im, struct conn *c) REQUIRES(im->lock);

/* Wake it, whatever it waits for. */
void conn_wake_locked(struct conn *c);

#endif
