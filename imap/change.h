/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * change: what an account can be told to change, and what may be asked before
 * a change. The other half of imap.h, which comes first: accounts, jobs,
 * threads and callbacks are as there. All have priority IMAP_PRIO_CHANGE.
 *
 * The rule of all that changes something: a command is sent at most once. A
 * job that was not sent when its connection was lost may still be sent on the
 * next one; a job that was sent never is. So `done` says three things: the
 * result, the server's words, and whether the outcome is `unknown`: then bytes
 * of the command may have reached the server and nobody knows what it made of
 * them, as the server itself does not when it says SERVERBUG. Look before you
 * repeat. What was cancelled after it was sent still runs, and an APPEND in the
 * middle of its message goes on to its end.
 *
 * At most one unfinished job may name a message: a server tells of copies by
 * UIDs alone, not always with the tag of the command.
 *
 * Nothing here can expunge a message that was not named: UID EXPUNGE of the
 * UIDs given is the only command that does, EXPUNGE and CLOSE are never sent.
 *
 * Errors, beside those of imap.h. For now, the same again may work later:
 *   -EAGAIN     throttled, limited, out of order, a bug of the server's; or
 *               other changes came between (EXPUNGEISSUED)
 *   -EBUSY      somebody else is at it ([INUSE])
 *   -ENOTCONN   no connection; also, with FAULT_AUTH, a login that is refused
 *               (not -EACCES as in imap.h, nor at once from the functions here)
 *   and -ECANCELED, -ENOMEM, -EPROTO, -ETIMEDOUT
 * For good:
 *   -EACCES     not permitted by ACL
 *   -EDQUOT     over quota (but a limit of commands or bytes is -EAGAIN)
 *   -EEXIST     there is such a mailbox
 *   -EFBIG      the message is larger than the server takes
 *   -EIO        NO without a reason that we know; or the file that was to be
 *               appended cannot be read
 *   -ENOENT     no such mailbox
 *   -ENOTEMPTY  the mailbox has children, and the server minds
 *   -EOPNOTSUPP the server does not know such a command
 *   -EPERM      not possible on this server, or BAD
 *   -EROFS      the mailbox, or the destination, can be opened only for
 *               reading, or its UIDs do not last (UIDNOTSTICKY): they could
 *               name another message by now
 *   -ESTALE     the mailbox's UIDVALIDITY is another one: no UID is good
 */
#ifndef IMAPFS_IMAP_CHANGE_H
#define IMAPFS_IMAP_CHANGE_H

#include "imap/imap.h"

/* Is this one of the errors that may not come another time? */
bool imap_is_for_now(int result);

/* Where a message was, and where its copy is. */
struct imap_pair {
	uint32_t from; /* UID in the source; 0 for imap_append() */
	uint32_t to;   /* UID in the destination */
};

/* How a change ended. All pointers are valid during the call of `done`. */
struct imap_outcome {
	int result;
	bool unknown; /* it may have been done, wholly or in part */
	/* -ENOENT was about the destination: creating it may help. */
	bool try_create;
	/* -EROFS is about the mailbox of the messages, not the destination. */
	bool is_read_only;
	struct imap_error why; /* the server's words; code is `result` */

	/*
	 * Of imap_copy(), imap_move(), imap_append(): what the server said of
	 * new UIDs (RFC 4315), whatever the result is. Only messages that were
	 * asked for, each at most once on either side, in ascending order of
	 * `from`. Messages without a pair: the server did not say (no UIDPLUS,
	 * or what it said made no sense), or there were no such messages.
	 */
	uint32_t uidvalidity; /* of the destination; 0 without pairs */
	const struct imap_pair *pairs;
	size_t n_pairs;

	/* Of imap_store(): what this mailbox does not keep; not tried. */
	unsigned left_flags;       /* enum mail_flag */
	const char *left_keywords; /* joined by one blank; "" if none */

	/*
	 * Of imap_remove(): \Deleted was set, and that was all: the server has
	 * no UID EXPUNGE (RFC 4315), or refused it (then the result says why).
	 */
	bool only_flagged;
};

typedef void (*imap_change_fn)(void *ctx, const struct imap_outcome *end);

/*
 * Messages of a mailbox. What came to it, or changed in it, until `since_ms`
 * (clock_now_ms(); 0: nothing) must be known to the connection that is used: it
 * opens the mailbox again if it has had it open since before that. Servers show
 * a session only what they have told it of: UID STORE of a message that came
 * later is no error and does nothing, and UID MOVE takes along the flags that
 * the session knew (Dovecot 2.3, as long as commands follow each other).
 */
struct imap_messages {
	const char *wire;
	uint32_t uidvalidity;
	int64_t since_ms;
	const uint32_t *uids; /* ascending; copied */
	size_t n_uids;        /* 1..IMAP_CHANGE_UIDS_MAX */
};
#define IMAP_CHANGE_UIDS_MAX 1000

/* --- messages --- */

/*
 * Flags and Gmail's labels to be set and to be taken off. One that stands in
 * both, a keyword that is no atom (RFC 9051 section 9), nothing at all:
 * -EINVAL. Strings may be NULL for none.
 */
struct imap_flag_delta {
	unsigned add_flags; /* enum mail_flag */
	unsigned remove_flags;
	const char *add_keywords; /* joined by one blank; copied */
	const char *remove_keywords;
	const char *add_labels; /* words of labels.h; copied */
	const char *remove_labels;
};

/*
 * UID STORE +FLAGS.SILENT and -FLAGS.SILENT. What PERMANENTFLAGS does not have
 * is left out and told. The same with X-GM-LABELS: -EOPNOTSUPP (as result)
 * where imap_has_labels() is false; a message that loses the label of the
 * mailbox is not in it any more. Repeating it is harmless.
 */
MUST_CHECK int imap_store(struct imap *im, const struct imap_messages *which,
			  const struct imap_flag_delta *delta,
			  imap_change_fn done, void *ctx, imap_job *ret);

/* UID COPY. Repeating it doubles mail (not on Gmail). */
MUST_CHECK int imap_copy(struct imap *im, const struct imap_messages *which,
			 const char *to_wire, imap_change_fn done, void *ctx,
			 imap_job *ret);

/*
 * UID MOVE (RFC 6851). -EOPNOTSUPP (as result) where imap_has_move() is false:
 * then imap_copy(), look whether each copy is there, imap_remove(). A refused
 * one may have moved some messages: those that have pairs.
 */
MUST_CHECK int imap_move(struct imap *im, const struct imap_messages *which,
			 const char *to_wire, imap_change_fn done, void *ctx,
			 imap_job *ret);

/*
 * \Deleted and UID EXPUNGE of exactly these messages. Repeating it is
 * harmless.
 */
MUST_CHECK int imap_remove(struct imap *im, const struct imap_messages *which,
			   imap_change_fn done, void *ctx, imap_job *ret);

/*
 * A new message: `size` bytes of a file from `offset` on, in constant memory.
 * They must be a message with CRLF line ends and no NUL, and must not change
 * until `done`, nor after it if the job was cancelled. Several are sent one
 * behind the other; `timeout_ms` counts from the last byte of progress in
 * either direction. -EFBIG (as result): over imap_append_limit(). -EINVAL:
 * the file is shorter than that, `size` is 0, or a year outside 1..9999.
 */
struct imap_append_request {
	const char *wire;
	unsigned flags;       /* enum mail_flag */
	const char *keywords; /* joined by one blank, or NULL; copied */
	int64_t internaldate; /* seconds since the epoch, UTC */
	int fd; /* of a regular file; duplicated, so it may be closed */
	uint64_t offset;
	uint64_t size;
};
MUST_CHECK int imap_append(struct imap *im,
			   const struct imap_append_request *req,
			   imap_change_fn done, void *ctx, imap_job *ret);

/* As the server said at the last login; before the first: false, 0. */
bool imap_has_move(struct imap *im);
/*
 * Are mailboxes labels of messages (X-GM-EXT-1)? Then a message that is moved
 * to the mailbox of all messages loses the label that it is moved out of, and
 * nothing else; what imap_remove() takes away with a label is a setting of the
 * account's, which may be the message itself.
 */
bool imap_has_labels(struct imap *im);
uint64_t imap_append_limit(struct imap *im); /* RFC 7889; 0: not known */

/* --- mailboxes --- */

/*
 * Names are in wire form (utf7_encode() makes it); one with CR or LF in it is
 * refused with -EINVAL, INBOX too where it makes no sense.
 */

/* CREATE, and SUBSCRIBE, which may fail. */
MUST_CHECK int imap_create(struct imap *im, const char *wire,
			   imap_change_fn done, void *ctx, imap_job *ret);

/* DELETE, whatever is in it; then UNSUBSCRIBE, which may fail. */
MUST_CHECK int imap_delete_mailbox(struct imap *im, const char *wire,
				   imap_change_fn done, void *ctx,
				   imap_job *ret);

/* RENAME with its children; the subscriptions of all of them follow. */
MUST_CHECK int imap_rename(struct imap *im, const char *from, const char *to,
			   imap_change_fn done, void *ctx, imap_job *ret);

/* SUBSCRIBE or UNSUBSCRIBE. */
MUST_CHECK int imap_subscribe(struct imap *im, const char *wire, bool on,
			      imap_change_fn done, void *ctx, imap_job *ret);

/* --- what is to be known before a change; repeated like other reading --- */

/*
 * STATUS: uidvalidity, uidnext and messages are set. -EPROTO: the server does
 * not say one of them.
 */
typedef void (*imap_uidnext_fn)(void *ctx, int result,
				const struct imap_mailbox *box,
				const struct imap_error *why);
MUST_CHECK int imap_uidnext(struct imap *im, const char *wire,
			    imap_uidnext_fn done, void *ctx, imap_job *ret);

/*
 * GETQUOTAROOT: the STORAGE of the root that has least room left.
 * -EOPNOTSUPP: no QUOTA (RFC 9208), or no limit on this mailbox.
 */
struct imap_quota {
	uint64_t used_kib;
	uint64_t limit_kib;
};
typedef void (*imap_quota_fn)(void *ctx, int result,
			      const struct imap_quota *quota,
			      const struct imap_error *why);
MUST_CHECK int imap_quota(struct imap *im, const char *wire, imap_quota_fn done,
			  void *ctx, imap_job *ret);

/* What MYRIGHTS (RFC 4314) lets us do; all, on servers without ACL. */
enum imap_right {
	RIGHT_READ = 1 << 0,    /* open it, read messages */
	RIGHT_SEEN = 1 << 1,    /* \Seen is kept */
	RIGHT_FLAGS = 1 << 2,   /* other flags, but \Deleted */
	RIGHT_INSERT = 1 << 3,  /* APPEND, COPY and MOVE into it */
	RIGHT_DELETE = 1 << 4,  /* \Deleted */
	RIGHT_EXPUNGE = 1 << 5, /* UID EXPUNGE; MOVE out of it */
	RIGHT_CREATE = 1 << 6,  /* mailboxes below it */
	RIGHT_REMOVE = 1 << 7,  /* DELETE or RENAME the mailbox itself */
	RIGHT_ALL = (1 << 8) - 1,
};
typedef void (*imap_rights_fn)(void *ctx, int result, unsigned rights,
			       const struct imap_error *why);
MUST_CHECK int imap_rights(struct imap *im, const char *wire,
			   imap_rights_fn done, void *ctx, imap_job *ret);

#endif
