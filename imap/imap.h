/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * imap: an IMAP account, spoken to over a few connections.
 *
 * The model. A `struct imap` is an account with a pool of at most
 * `connections` connections, one thread each. Work is given to it as jobs: a
 * job names a mailbox (or none), a priority and a set of callbacks, and
 * returns at once. A connection keeps its mailbox selected and takes next the
 * most urgent job that fits it; commands are pipelined, answers matched by
 * tag. Lost connections are made again, with exponential backoff and jitter;
 * a job that has not handed out data yet and may be repeated is repeated on
 * the new connection, others end with -ENOTCONN. All jobs here only read
 * (EXAMINE, BODY.PEEK), so repeating is safe; those of imap/change.h change
 * something, and are never sent twice.
 *
 * Order of calls: imap_new(), imap_connect() once, then jobs from any thread,
 * imap_free() last: it cancels what is left, joins the threads and ends every
 * job's `done` before it returns.
 *
 * Callbacks run on a connection's thread, with no lock of ours held, one at a
 * time per job, `done` exactly once and last. They may start and cancel jobs;
 * they must not wait for the network or for another job. Exception: when a
 * function below returns a negative value, no callback will run.
 *
 * Errors are negative errno, from this list only:
 *   -EACCES     the server refuses the login, or refuses access by ACL
 *   -EBADMSG    the server's answer for this message cannot be understood
 *   -ECANCELED  imap_cancel() or imap_free()
 *   -EDQUOT     over a quota or a bandwidth limit of the server
 *   -EINVAL     an argument can not be expressed in IMAP
 *   -EIO        the server says NO or BAD without a reason that we know
 *   -ENOENT     no such mailbox, or no such message
 *   -ENOMEM
 *   -ENOTCONN   there is no connection, and making one failed just now
 *   -EPROTO     the server does not keep to the protocol, or says that a
 *               mailbox has more than MAIL_MESSAGES_MAX messages
 *   -ESTALE     the mailbox's UIDVALIDITY is another one
 *   -ETIMEDOUT  no byte of progress for `timeout_ms`
 * or whatever negative value a callback returned to stop its job.
 */
#ifndef IMAPFS_IMAP_IMAP_H
#define IMAPFS_IMAP_IMAP_H

#include "imap/mail.h"

struct imap;
struct secret; /* imap/secret.h */

enum imap_tls {
	IMAP_TLS_IMPLICIT, /* TLS from the first byte */
	IMAP_TLS_STARTTLS, /* required, never optional */
	IMAP_TLS_NONE,     /* loopback addresses only */
};

/* Why something failed, by what a user can do about it. */
enum imap_fault {
	FAULT_NONE,
	FAULT_NETWORK,  /* host unknown, refused, no answer, cut */
	FAULT_TLS,      /* certificate or handshake */
	FAULT_AUTH,     /* user name, password, token, policy */
	FAULT_LIMIT,    /* too many connections, throttled */
	FAULT_PROTOCOL, /* not an IMAP server, or a broken one */
};

#define IMAP_ERROR_TEXT 512

struct imap_error {
	int code; /* negative errno; 0: no error */
	enum imap_fault fault;
	char text[IMAP_ERROR_TEXT]; /* one sentence, for the user, no secrets */
};

struct imap_config {
	const char *host; /* name or address; verified against */
	uint16_t port;
	enum imap_tls tls;
	const char *user;
	const char *cafile;     /* NULL: the system's trust store */
	const char *pin_sha256; /* 64 hex digits of the certificate's SHA-256
				 * (colons allowed); NULL: none. A pinned
				 * certificate needs no chain and no name. */
	const char *version;    /* ours, for ID */
	unsigned connections;   /* 1..15 */
	unsigned timeout_ms;    /* from the last byte of progress */
	unsigned connect_timeout_ms; /* for imap_connect() and reconnects */
	struct secret *secret; /* asked at each login; outlives the account */
};

/* Connections going up and down; called from connection threads, no locks. */
struct imap_events {
	/* The first connection is logged in, after none was. */
	void (*online)(void *ctx);
	/* The last connection is lost, or a try to connect failed. */
	void (*offline)(void *ctx, const struct imap_error *why);
};

/*
 * `cfg` and its strings are copied (but `secret`). -ENOMEM. -EINVAL: a value
 * out of range, or as `why` says: the cafile cannot be read, the pin is no
 * SHA-256.
 */
MUST_CHECK int imap_new(const struct imap_config *cfg,
			const struct imap_events *events, void *ctx,
			struct imap **ret, struct imap_error *why);

/*
 * Make the first connection and log in; wait for it, for connect_timeout_ms if
 * the server says nothing at all (the attempt then goes on, -ETIMEDOUT), else
 * as long as each of its answers comes within timeout_ms. On failure `*why`
 * says what happened, in one sentence; the account stays usable, and tries
 * again by itself when a job comes or the backoff is over (never after
 * FAULT_AUTH: then only after imap_retry()).
 */
MUST_CHECK int imap_connect(struct imap *im, struct imap_error *why);

/* Forget the backoff and a refused login: try again at the next job. */
void imap_retry(struct imap *im);

void imap_free(struct imap *im);

/* --- jobs --- */

/* Urgent first. A job of a better priority overtakes queued ones of others. */
enum imap_priority {
	IMAP_PRIO_READER,  /* somebody waits in read(2) */
	IMAP_PRIO_LISTING, /* somebody waits in readdir(3) or stat(2) */
	IMAP_PRIO_CHANGE,  /* a change goes out */
	IMAP_PRIO_SYNC,
	IMAP_PRIO_PREFETCH,
	N_IMAP_PRIO
};

/*
 * A job is known by a number, never 0, never used twice; `*ret` is written
 * before its first callback. The functions that start one refuse at once, and
 * then no callback runs: -ENOTCONN for two seconds after connecting failed
 * (later ones try again and wait for that), -EACCES while the login is refused
 * (until imap_retry()), -ECANCELED during imap_free(), -EINVAL, -ENOMEM.
 */
typedef uint64_t imap_job;

/* -ECANCELED will be its result unless it is finished by then. Any thread. */
void imap_cancel(struct imap *im, imap_job job);

/* Make a queued job more urgent; no effect on one that was sent. */
void imap_hurry(struct imap *im, imap_job job, enum imap_priority prio);

/*
 * All mailboxes of the personal namespace, in the server's order, each once:
 * LIST "" "*" with SPECIAL-USE, SUBSCRIBED and STATUS where the server can
 * (RFC 5258, 5819, 6154), by plain LIST otherwise.
 * `done` gets an array that is valid during the call; names that cannot be a
 * mailbox (NUL, over MAIL_WIRE_NAME_MAX or MAIL_LEVELS_MAX) are left out, and
 * logged.
 *
 * Where LIST gives no STATUS, those of `status_of` are asked for theirs one by
 * one, as far as they are listed and can be opened. The names are copied.
 */
struct imap_folders_request {
	const char *const *status_of;
	size_t n_status_of;
};
struct imap_folders_ops {
	void (*done)(void *ctx, int result, const struct mail_folder *folders,
		     size_t n);
};
MUST_CHECK int imap_list_folders(struct imap *im, enum imap_priority prio,
				 const struct imap_folders_request *req,
				 const struct imap_folders_ops *ops, void *ctx,
				 imap_job *ret);

/*
 * What EXAMINE or SELECT said (RFC 9051 section 6.3.2). 0: it did not say. All
 * that is told of the mailbox then is at least as new as `highestmodseq`. The
 * last four say what a mailbox that was opened by SELECT can keep.
 */
struct imap_mailbox {
	uint32_t uidvalidity;
	uint32_t uidnext;
	uint32_t messages;
	uint64_t highestmodseq;
	bool no_modseq;       /* NOMODSEQ (RFC 7162): there never is one */
	bool uids_not_sticky; /* UIDNOTSTICKY (RFC 4315) */
	bool read_only;
	bool has_permanent_flags; /* else all of its flags are */
	bool new_keywords;        /* any keyword may be made up */
	uint32_t permanent_flags; /* enum mail_flag */
};

/*
 * Where messages have an X-GM-MSGID (Gmail), rows may come in two steps, so
 * that header fields which are known from another mailbox are not fetched
 * again. A recall() is given rows with all but ROW_FIELDS, most with ROW_GM,
 * and calls `found` with the index and the fields (copied) of those it knows.
 */
typedef void (*imap_recalled_fn)(void *to, size_t i,
				 const char *const field[N_FIELDS]);
typedef void (*imap_recall_fn)(void *ctx, const struct mail_row *rows, size_t n,
			       imap_recalled_fn found, void *to);

struct imap_list_ops {
	/*
	 * The mailbox is open. A negative value ends the job with it.
	 * Called again if the job is repeated after a lost connection, or goes
	 * on after it made room for a more urgent one.
	 */
	int (*opened)(void *ctx, const struct imap_mailbox *box);
	/* A window of rows; pointers valid during the call. Negative: stop. */
	int (*rows)(void *ctx, const struct mail_row *rows, size_t n);
	/* Rows are coming, though no window is complete yet. May be NULL. */
	void (*coming)(void *ctx);
	void (*done)(void *ctx, int result, const struct imap_error *why);
};

/*
 * List a mailbox, newest first: rows with ROW_UID, ROW_FLAGS, ROW_SIZE,
 * ROW_DATE and ROW_FIELDS, in windows of sequence numbers going down, the
 * first one small; within a call of `rows` the newest is first. A message
 * may be handed out twice (messages expunged meanwhile shift the windows),
 * never left out. `below_uid` 0: from the top; else only messages with
 * smaller UIDs (a listing that goes on). Result 0: down to the oldest.
 * A message that the server describes wrongly is left out, and logged.
 *
 * `uids`, if it begins above 0: of a mailbox with this UIDVALIDITY only these
 * are wanted, and asked for with one command. If the server does not answer
 * that, or it is another mailbox, all is listed, until the caller stops it.
 */
struct imap_list_request {
	uint32_t below_uid;
	uint32_t uidvalidity;
	struct mail_range uids;
	imap_recall_fn recall; /* NULL: all header fields are fetched */
};
MUST_CHECK int imap_list(struct imap *im, const char *wire,
			 enum imap_priority prio,
			 const struct imap_list_request *req,
			 const struct imap_list_ops *ops, void *ctx,
			 imap_job *ret);

/* How a sync asks; the server's abilities and the quirk table decide. */
enum imap_sync_method {
	IMAP_SYNC_FLAGS,     /* the flags of all messages (RFC 4549) */
	IMAP_SYNC_CONDSTORE, /* CHANGEDSINCE, and a search for what is there */
	IMAP_SYNC_QRESYNC,   /* the server names what changed and vanished */
};

/* Of a sync that succeeded. */
struct imap_sync_end {
	enum imap_sync_method method;
	uint64_t highestmodseq; /* all up to it was handed out; 0: unknown */
};

struct imap_sync_ops {
	/* As in struct imap_list_ops; what was told before is void. */
	int (*opened)(void *ctx, const struct imap_mailbox *box);
	/*
	 * Rows with ROW_UID and ROW_FLAGS only, of known messages (UID <
	 * `uidnext` of the request) whose flags are, or may be, others; and
	 * full rows of new ones, in ascending order of UID within a call.
	 * Never both kinds in one call. Negative: stop.
	 */
	int (*rows)(void *ctx, const struct mail_row *rows, size_t n);
	/*
	 * These UIDs are in the mailbox (not IMAP_SYNC_QRESYNC). At done(0) a
	 * known message that no call has named is gone. A message that had a
	 * row counts as named.
	 */
	int (*present)(void *ctx, const struct mail_range *v, size_t n);
	/* These are gone; some may never have been here (RFC 7162). */
	int (*vanished)(void *ctx, const struct mail_range *v, size_t n);
	/* `end` is NULL unless the result is 0. */
	void (*done)(void *ctx, int result, const struct imap_error *why,
		     const struct imap_sync_end *end);
};

/*
 * What changed in a mailbox since it was listed or synced last.
 * -ESTALE: it has another UIDVALIDITY (`opened` was called with it).
 */
struct imap_sync_request {
	uint32_t uidvalidity;
	uint32_t uidnext;       /* messages below are known; at least 1 */
	uint64_t highestmodseq; /* changes up to it are known; 0: none are */
	imap_recall_fn recall;  /* NULL: all header fields are fetched */
	bool plain; /* IMAP_SYNC_FLAGS in any case: an answer is doubted */
};
MUST_CHECK int imap_sync(struct imap *im, const char *wire,
			 enum imap_priority prio,
			 const struct imap_sync_request *req,
			 const struct imap_sync_ops *ops, void *ctx,
			 imap_job *ret);

/* --- being told --- */

struct imap_watch_ops {
	/*
	 * Something moved in this mailbox, or may have while nobody watched:
	 * ask with imap_sync(). `wire` is valid during the call.
	 */
	void (*moved)(void *ctx, const char *wire);
	/* Mailboxes came, went or were renamed: ask imap_list_folders(). */
	void (*folders)(void *ctx);
	/*
	 * This mailbox is watched from now on. The first time this is how it
	 * stands (has_status): what moved before is for the caller to find
	 * out. NULL: so are all that there are (NOTIFY), which the server is
	 * asked for again and again; each time all are named.
	 */
	void (*begun)(void *ctx, const struct mail_folder *box);
};

/*
 * Watch a mailbox (IDLE, RFC 2177), and all others too where the server can
 * (NOTIFY, RFC 5465), from the next connection on and until imap_free(). One
 * connection is used for it while no waiting job needs it. Call once, before
 * imap_connect(); the callbacks come from connection threads, with no lock
 * held. -EINVAL, -ENOMEM.
 */
MUST_CHECK int imap_watch(struct imap *im, const char *wire,
			  const struct imap_watch_ops *ops, void *ctx);

enum imap_watched { IMAP_WATCHED_NOT, IMAP_WATCHED_IDLE, IMAP_WATCHED_NOTIFY };
/*
 * Is this mailbox watched at this moment? Then whatever moved in it from
 * `*ret_since_ms` on (clock_now_ms()) has been told, or will be at once.
 */
enum imap_watched imap_watched(struct imap *im, const char *wire,
			       int64_t *ret_since_ms);

struct imap_body_ops {
	/*
	 * The server begins to send `size` bytes of the body of `uid`, from
	 * `offset` on. Negative: these bytes are read and thrown away, and
	 * end() gets that value.
	 */
	int (*begin)(void *ctx, uint32_t uid, uint64_t offset, uint64_t size);
	/* The next bytes; at most 64 KiB a call. Negative: as for begin(). */
	int (*data)(void *ctx, uint32_t uid, const void *bytes, size_t n);
	/*
	 * All `size` bytes were handed out (0), or why not. Once per begin().
	 * A uid that was asked for and has no begin() by the time of done(0)
	 * does not exist any more (or its body is NIL).
	 */
	void (*end)(void *ctx, uint32_t uid, int result);
	void (*done)(void *ctx, int result, const struct imap_error *why);
};

/*
 * Bodies: UID FETCH of BODY.PEEK[] (whole, or `length` bytes from `offset`),
 * streamed in constant memory, in the order in which the server sends them.
 * An answer for a UID that was not asked for is skipped.
 * -ESTALE if the mailbox has another UIDVALIDITY.
 *
 * Servers show a session only the messages that they have told it of: what came
 * until `since_ms` (clock_now_ms(); 0: nothing) must be known to the connection
 * that is used, which else opens the mailbox again.
 */
struct imap_body_request {
	uint32_t uidvalidity;
	const uint32_t *uids; /* ascending; copied */
	size_t n_uids;        /* 1..IMAP_BODY_UIDS_MAX */
	uint64_t offset;
	uint64_t length; /* 0: to the end */
	/* Of all of them, as listed; 0: not known. How much may be asked for
	 * at once depends on it, nothing else. */
	uint64_t bytes;
	int64_t since_ms;
};
#define IMAP_BODY_UIDS_MAX 1000
MUST_CHECK int imap_fetch(struct imap *im, const char *wire,
			  enum imap_priority prio,
			  const struct imap_body_request *req,
			  const struct imap_body_ops *ops, void *ctx,
			  imap_job *ret);

/* --- state, for people --- */

struct imap_connection_state {
	/*
	 * A word: "closed", "connecting", "ready", "busy"; of the connection
	 * that watches: "idle" (its mailbox), "notify" (all mailboxes), "poll"
	 * (its mailbox, every two minutes, since the server cannot IDLE).
	 */
	const char *state;
	char mailbox[128]; /* selected, in wire form, cut; "" if none */
	uint64_t bytes_in; /* since the program was started, on the wire */
	uint64_t bytes_out;
	bool compressed; /* RFC 4978: what is on the wire is less than said */
};

#define IMAP_CONNECTIONS_MAX 15

struct imap_state {
	bool online;      /* some connection is logged in */
	char server[128]; /* the server's ID or greeting, one line, may be "" */
	unsigned n_connections;
	struct imap_connection_state conn[IMAP_CONNECTIONS_MAX];
	unsigned jobs_queued;
	unsigned jobs_running;
	struct imap_error last_error; /* code 0 if there was none */
	int64_t retry_in_ms; /* until the next try to connect; -1: not due */
};

void imap_get_state(struct imap *im, struct imap_state *ret);

/*
 * Since imap_new(), over all connections; takes no lock. Bytes of the protocol
 * are as they are before compression, which is what a server may count.
 */
struct imap_traffic {
	uint64_t in;
	uint64_t out;
	/* Answers, good ones, by which Gmail said that its limits are near. */
	uint64_t throttled;
};
void imap_get_traffic(const struct imap *im, struct imap_traffic *ret);

#endif
