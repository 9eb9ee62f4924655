/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A server that plays a script, on a loopback address of its own, in a thread;
 * and an account that is connected to it. For tests of the connection and the
 * pool.
 *
 * A script is a list of steps for one connection, ended by NULL:
 *   "S: text"   send text and CRLF; `$T` is the tag of the last command read
 *   "R: text"   send text without CRLF
 *   "C: words"  read a line; it must contain these words
 *   "T: text"   read just these bytes, as a literal has them
 *   "E: n"      read so many bytes, whatever they are
 *   "Y: ms"     read nothing for so long
 *   "X:"        close, with nothing unread
 *   "P: text"   as S:, but it goes out together with the next S: or R:
 *   "L: ms"     a slow link: from here on, whatever is sent takes that long
 *   "Z:"        from here on, both ways are compressed (RFC 4978)
 *   "B: n"      a bomb: n MiB of the letter x, without a line end, packed
 *   "K: text"   half of the bytes that the text is packed to, then close
 *   "H:"        say nothing more, until the client goes
 *   "D: text"   send the line again and again, until the client goes
 *   "W:"        wait until the test calls server_go()
 *   "V:"        wait until the test calls server_go_too()
 *   "N:"        nothing may come any more but LOGOUT, until the client goes
 *   "M:"        a mark: one server_wait() of the test may go on
 * Behind the last step the server hangs (H:). Connections that come when no
 * script is left are closed at once.
 */
#ifndef IMAPFS_TESTS_SCRIPT_H
#define IMAPFS_TESTS_SCRIPT_H

#include "imap/imap.h"
#include "imap/lock.h"

/* So long may anything take that a test waits for: only against hanging. */
#define PATIENCE_MS 60000

typedef const char *const *script;

struct server;

/* A script, and a server that plays it to its only client. */
#define STEPS(...)                                                             \
	(script)(const char *const[])                                          \
	{                                                                      \
		__VA_ARGS__, NULL                                              \
	}
#define SERVER(...) server_start((const script[]){__VA_ARGS__, NULL})

/* Start; `scripts` ends with NULL and must outlive the server. */
struct server *server_start(const script *scripts);
const char *server_address(const struct server *s, uint16_t *ret_port);

/* Connections that were accepted so far. */
unsigned server_connections(struct server *s);

/* Let one `W:`, or `V:`, go on, now or when it is reached. */
void server_go(struct server *s);
void server_go_too(struct server *s);

/* Wait until an `M:` is reached, or fail the test; each counts once. */
void server_wait(struct server *s);

/* Stop; fails the test if a script was not followed. */
void server_stop(struct server *s);

/* Stop; false: a script was not followed, `why` says where. */
#define SERVER_WHY 512
bool server_followed(struct server *s, char why[SERVER_WHY]);

/* What most scripts begin with. */
#define GREETING "S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready"
#define LOGIN                                                                  \
	GREETING, "C: AUTHENTICATE PLAIN",                                     \
		"S: $T OK [CAPABILITY IMAP4rev1 ESEARCH] in"
#define LOGIN_WITH(caps)                                                       \
	GREETING, "C: AUTHENTICATE PLAIN",                                     \
		"S: $T OK [CAPABILITY IMAP4rev1 " caps "] in"
#define EXAMINE(exists)                                                        \
	"C: EXAMINE", "S: * " exists " EXISTS", "S: * OK [UIDVALIDITY 7] ok",  \
		"S: * OK [UIDNEXT 100] ok", "S: $T OK [READ-ONLY] done"

/* A whole row, without the last parenthesis. */
#define ROW(seq, uid)                                                          \
	"* " seq " FETCH (UID " uid " FLAGS (\\Seen) RFC822.SIZE 10 "          \
	"INTERNALDATE \"01-Feb-2026 03:04:05 +0000\" "                         \
	"BODY[HEADER.FIELDS (DATE FROM TO CC SUBJECT MESSAGE-ID)] "            \
	"\"Subject: x\""

/* What a job did. */
#define SEEN_MAX 2048
struct seen {
	unsigned opened;
	struct imap_mailbox box;
	int opened_returns;
	uint32_t uid[SEEN_MAX]; /* of rows, or of bodies that ended well */
	unsigned has[SEEN_MAX];
	uint64_t size[SEEN_MAX];
	unsigned n;
	unsigned begun;
	unsigned ended;
	int end_result; /* the last one that was not 0 */
	char body[4096];
	size_t n_body;
	struct mail_folder folder[16];
	unsigned n_folders;
	/*
	 * Of a sync: what was told, in order, as
	 * "open gone(3:4,7) rows(8) here(1:9) new(100,101)".
	 */
	char told[1024];
	unsigned n_ranges;
	struct imap_sync_end end;
	bool has_end;
	int result;
	struct imap_error why;
	bool done;
};

extern const struct imap_list_ops seen_list_ops;
extern const struct imap_sync_ops seen_sync_ops;
extern const struct imap_body_ops seen_body_ops;
extern const struct imap_folders_ops seen_folders_ops;
extern const struct imap_folders_request seen_no_status;

/* Wait until the job is done, or fail the test. */
void seen_wait(struct seen *s);
/* Wait until something has begun: a row, a body, an opened mailbox. */
void seen_wait_begun(struct seen *s);
/* Wait until bytes of a body have come. */
void seen_wait_body(struct seen *s);

/* An account on this server: user "u", password "p w" if none is given. */
struct account_options {
	unsigned connections; /* 0: 1 */
	unsigned timeout_ms;  /* 0: an hour, so that nothing is saved by it */
	enum imap_tls tls;    /* 0 is IMPLICIT: set it */
	const char *password;
	const char *tokencmd; /* in its place */
};
struct imap *account_new(struct server *s, const struct account_options *o);
void account_free(struct imap *im);

/*
 * From here on a connection (0: the first) has this time-out, also for what it
 * is waiting for by now; until it is lost.
 */
void account_hurry(struct imap *im, unsigned i, unsigned timeout_ms);

/* How often events came. */
unsigned account_online(void);
unsigned account_offline(void);

/*
 * Connect to a server that plays this; the result is a time-out in the last
 * step. A busy machine may not get there in time: then it is given more.
 */
void account_times_out(script steps, struct imap_error *why);

/* A millisecond goes by; or the test fails, if that time is over. */
void wait_a_bit(int64_t until_ms);

/* Look at the state, into `now`, until this is so; or fail the test. */
#define WAIT_STATE(im, now, is_so)                                             \
	for (int64_t until_ms_ = clock_now_ms() + PATIENCE_MS;                 \
	     imap_get_state(im, &(now)), !(is_so);)                            \
	wait_a_bit(until_ms_)

/* Start a job on INBOX: the listing below a UID (0: all of it), what changed
 * of its messages below UID 100 since that HIGHESTMODSEQ (0: unknown), bodies
 * of it; its UIDVALIDITY is 7. */
void seen_list(struct imap *im, struct seen *seen, uint32_t below);
void seen_sync(struct imap *im, struct seen *seen, uint64_t modseq);
/* The listing of a mailbox of this wire name, for somebody who waits. */
imap_job seen_list_of(struct imap *im, const char *wire, struct seen *seen);
imap_job seen_fetch(struct imap *im, struct seen *seen, const uint32_t *uids,
		    size_t n);

/* Such a sync on a server that plays this, to its end. */
struct seen seen_synced(script steps, uint64_t modseq);

/* imap_connect(), which must work; but it may be offline again by now. */
void account_connect(struct imap *im);

/* account_new() and account_connect(). */
struct imap *account_connected(struct server *s, unsigned connections);

/* account_free() and server_stop(). */
void account_end(struct imap *im, struct server *s);

#endif
