/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One connection to the server, from the greeting on.
 *
 * A session belongs to one thread, which calls session_open() and then
 * session_step() in a loop. Commands are put into one buffer and sent without
 * waiting for answers; up to a window of them is in flight, and each answer
 * goes by its tag, in any order, to `answer`. Untagged data goes to the other
 * operations as it comes: it says what is so in the mailbox, not which command
 * asked, so whoever is interested picks from it.
 *
 *   closed --session_open()--> ready --error, BYE, time-out--> closed
 *
 * session_open() does greeting, STARTTLS, login (login.c, auth.c) and waits
 * for each; also for COMPRESS, where the link is slow enough to be worth it.
 * What follows is pipelined.
 */
#ifndef IMAPFS_IMAP_SESSION_H
#define IMAPFS_IMAP_SESSION_H

#include <stdatomic.h>

#include "imap/command.h"
#include "imap/frame.h"
#include "imap/grammar.h"
#include "imap/imap.h"
#include "imap/net.h"
#include "imap/quirks.h"
#include "imap/status.h"

struct job; /* imap/job.h; here only a name */

/* What the server can do (capabilities we have a use for). */
enum capability {
	CAP_IMAP4 = 1 << 0, /* IMAP4rev1 or rev2 */
	CAP_STARTTLS = 1 << 1,
	CAP_LOGINDISABLED = 1 << 2,
	CAP_SASL_IR = 1 << 3,
	CAP_AUTH_PLAIN = 1 << 4,
	CAP_AUTH_OAUTHBEARER = 1 << 5,
	CAP_AUTH_XOAUTH2 = 1 << 6,
	CAP_ID = 1 << 7,
	CAP_NAMESPACE = 1 << 8,
	CAP_ESEARCH = 1 << 9,
	CAP_LITERAL_PLUS = 1 << 10,
	CAP_LITERAL_MINUS = 1 << 11,
	CAP_LIST_EXTENDED = 1 << 12,
	CAP_LIST_STATUS = 1 << 13,
	CAP_SPECIAL_USE = 1 << 14,
	CAP_CONDSTORE = 1 << 15,
	CAP_GMAIL = 1 << 16,
	CAP_COMPRESS = 1 << 17, /* DEFLATE */
	CAP_ENABLE = 1 << 18,
	CAP_QRESYNC = 1 << 19,
	CAP_IDLE = 1 << 20,
	CAP_NOTIFY = 1 << 21,
	CAP_MOVE = 1 << 22,
	CAP_UIDPLUS = 1 << 23,
	CAP_QUOTA = 1 << 24,
	CAP_ACL = 1 << 25,
	CAP_OBJECTID = 1 << 26,
};

/* What a mailbox is opened with, see imap/select.h. */
enum select_with { SELECT_PLAIN, SELECT_CONDSTORE, SELECT_QRESYNC };

/* A command in flight; the fields but `job` are its owner's business. */
struct call {
	struct job *job; /* NULL: nobody waits for it any more */
	int kind;
	uint32_t first;
	uint32_t last;
	bool forgotten;  /* nobody waits for what it brings */
	uint64_t expect; /* body bytes that it may bring */
	uint32_t bodies; /* messages whose bodies it asks for */
};

struct session_ops {
	void (*answer)(void *ctx, const struct call *call,
		       const struct status *st);
	void (*fetch)(void *ctx, struct fetch *f);
	/* Untagged COPYUID. */
	void (*copied)(void *ctx, const struct status *st);
	/*
	 * LIST, LSUB, STATUS, SEARCH, ESEARCH, EXISTS, EXPUNGE, VANISHED,
	 * QUOTAROOT, QUOTA, MYRIGHTS.
	 */
	void (*data)(void *ctx, const struct response *r);
	/* A body comes; negative: the rest of it is skipped. */
	int (*body_begin)(void *ctx, const struct body_head *head,
			  uint64_t size);
	int (*body_data)(void *ctx, const void *bytes, size_t n);
	void (*body_end)(void *ctx);
	/* Asked while session_open() waits: is it to be given up? */
	bool (*stopped)(void *ctx);
};

#define SESSION_SLOTS 32
#define SESSION_FAR_MS 5       /* so far away, compression is worth it */
#define SESSION_OUT_MAX 16384u /* unanswered bytes of commands */

struct slot {
	unsigned tag;
	struct call call;
	struct command cmd;
	size_t queued; /* bytes of cmd that were moved to `out` */
	int64_t sent_ms;
	unsigned waits; /* continuations that came */
	bool answered;  /* but the rest of a literal is still to be sent */
	bool idle;      /* IDLE: what follows its `+` waits for more, alive.h */
};

/* A tagged answer, kept for session_ask(). */
struct answer {
	enum status_kind kind;
	enum status_code code;
	char words[256];
	char text[IMAP_ERROR_TEXT / 2];
};

struct session {
	/* Set by the owner before session_open(), fixed. */
	const struct imap_config *cfg;
	struct net_tls *tls;
	const struct session_ops *ops;
	void *ctx;
	const char *name; /* for the log */

	struct net *net;
	struct frame *frame;
	struct grammar *grammar;

	uint64_t append_limit; /* RFC 7889; 0: not known */
	unsigned caps;         /* enum capability; 0: not known */
	struct quirks quirks;
	char server[128];

	/* The mailbox that is open, or being opened: select.c. */
	char *mailbox;
	int64_t opened_ms; /* when that was asked for */
	bool writable;     /* by SELECT */
	bool opening;
	enum select_with opening_with;
	unsigned gave_up; /* bits of select_with: refused, maybe for that */
	unsigned clashes; /* [ALREADYEXISTS], one after the other */
	bool exists_said; /* box.messages counts, though it may be 0 */
	bool strays;      /* what came while opening may not be its changes */
	struct imap_mailbox box;
	char keywords[MAIL_KEYWORDS_MAX]; /* of PERMANENTFLAGS */
	uint64_t settled_modseq; /* it was HIGHESTMODSEQ for long; 0: none */
	uint64_t seen_modseq;    /* it is to become that; 0: none */
	int64_t seen_modseq_ms;
	uint64_t body_size; /* about what a body has; 0: none has come yet */

	struct slot slots[SESSION_SLOTS]; /* in the order of sending */
	unsigned n_slots;
	unsigned last_tag;
	char *in;  /* what is being read */
	char *out; /* what is being sent */
	size_t out_n;
	size_t out_sent;

	/*
	 * The account's, for each connection anew; atomic, for a test makes it
	 * shorter in the middle of a wait.
	 */
	atomic_uint timeout_ms;
	int64_t progress_ms; /* a byte came, or waiting began */
	int64_t late_ms;     /* a wait that is so much too long was no wait */
	int64_t probe_ms; /* so long may the next probe take; 0: none is due */
	int64_t probe_at_ms; /* it is lost if no byte came by then */
	int64_t used_ms;     /* the last command was sent */
	bool out_bulk;       /* there are bytes of a file in `out` */
	bool idle_over;      /* IDLE is to be ended */
	bool notify_lost;    /* the server does not notify any more */
	bool greeted;
	bool caps_fresh;   /* they came since this was set to false */
	bool asks_tls;     /* STARTTLS is in flight */
	bool secured_next; /* ... and was agreed to: nothing may follow */
	bool injected;     /* ... but something did */
	unsigned compress; /* tag of COMPRESS in flight; 0: none */
	bool packed_next;  /* ... which was agreed to: what follows is packed */
	int64_t rtt_ms;    /* the quickest answer so far */
	int64_t far_ms;    /* SESSION_FAR_MS; fixed at session_open() */
	bool body_open;
	bool body_sunk; /* the response being read had a body literal */
	bool body_skip;
	bool ended; /* BYE was said */
	enum status_code ended_code;
	/* So often Gmail said that we are near its limits. Any thread. */
	_Atomic uint64_t throttled;
	struct answer answer;
	struct answer greeting; /* or BYE */
	char web_page[256];     /* of the last WEBALERT; "": there was none */
	struct imap_error why;
};

MUST_CHECK int session_init(struct session *s);
void session_finish(struct session *s);

/*
 * Connect, secure, log in. Negative with `s->why`: -ENOTCONN, -ETIMEDOUT,
 * -EPROTO, -EACCES, -ECANCELED (`stopped` said so), -ENOMEM.
 */
MUST_CHECK int session_open(struct session *s);

/* Drop the connection; what was in flight is forgotten, without `answer`. */
void session_close(struct session *s);

/* Say goodbye, without waiting for an answer; then session_close(). */
void session_logout(struct session *s);

/*
 * Send, wait (until the deadline, a wake-up, or something came), dispatch.
 * Negative: the connection is lost, `s->why` says how: -ENOTCONN (also if a
 * probe was not answered, see alive.h), -EPROTO, or -ETIMEDOUT (commands in
 * flight, and no byte for the account's time-out).
 */
MUST_CHECK int session_step(struct session *s, int64_t deadline_ms);

/* Is there room for another command in the window? */
bool session_has_room(const struct session *s);

/* Body bytes that the commands in flight may still bring. */
uint64_t session_expected(const struct session *s);

/* Bytes of messages that are still to be sent, though nobody waits for it. */
uint64_t session_leftover(const struct session *s);

/* Messages whose bodies the commands in flight ask for. */
uint64_t session_bodies(const struct session *s);

bool session_has(const struct session *s, enum capability cap);

/* A command begins, with its tag. Build it, then session_send(). */
void session_begin(struct session *s, struct command *c);

/* Queue it; `c` is used up in any case. -EINVAL, -ENOMEM of its pieces. */
MUST_CHECK int session_send(struct session *s, struct command *c,
			    const struct call *call);

/*
 * Send it and wait for its answer, which is left in s->answer (OK, NO or BAD);
 * for the account's time-out, whatever else comes meanwhile (-ETIMEDOUT).
 * Only while nothing else is in flight.
 */
MUST_CHECK int session_ask(struct session *s, struct command *c);

/*
 * Why nothing at all may have come from the server, to be put behind a
 * sentence; "" if there is nothing to say. Without implicit TLS (RFC 8314) at
 * a port that expects it both sides wait for the other to begin.
 */
const char *session_silence_hint(const struct imap_config *cfg);

/* There was no answer in time: fill s->why; returns -ETIMEDOUT. */
int session_fail_timeout(struct session *s);

/* Fill s->why; returns `code`. */
int session_fail(struct session *s, int code, enum imap_fault fault,
		 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/*
 * --- fill.c: for session.c and dispatch.c ---
 *
 * Move bytes of commands to `out`. -EIO: a file cannot be read to its end.
 */
MUST_CHECK int session_fill(struct session *s);

/* A command is over, and all of it was sent. */
void session_drop_slot(struct session *s, unsigned i);

/* Which errno a NO or BAD comes to: when reading, and when changing. */
int session_errno(const struct status *st);
int session_change_errno(const struct status *st);
/* A limit of how many there may be (RFC 5530), not of how fast they come? */
bool session_is_full(const struct status *st);

#endif
