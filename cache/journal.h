/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The journal: what the user changed and the server has not seen.
 *
 * It is no log of operations. There is one record for each message that is not
 * yet on the server as it is here: the record says where the message is on the
 * server (its origin) and which flags differ, the row in its folder says where
 * it is to be, and how. What is to be sent is the difference of the two. So
 * changes that cancel each other leave nothing, A to B to C is one move from A
 * to C, and whoever sends a difference twice asks for the same twice.
 *
 *  J1  The local effect of a change and its record are one transaction.
 *  J2  A record leaves only by journal_settle(), with what the server did; or
 *      when nothing is left of the difference; or when the server itself has
 *      removed the message; or, unsent, because the user removed the message.
 *  J3  A record is JOURNAL_SENT on disk, fsynced, before journal_mark_sent()
 *      returns: before the first byte of its command goes out.
 *  J4  After a restart JOURNAL_SENT is still JOURNAL_SENT: the server is asked
 *      what became of it before anything is sent again.
 *  J5  A record names a UID only together with its UIDVALIDITY, and its content
 *      key (cache_key_of()) is stored with it.
 *  J6  The file of an unsent message is fsynced before its record is QUEUED,
 *      and is deleted, or moved to rejected/, only after the record is gone
 *      from the disk, fsynced.
 *  J7  A message with a record has exactly one row: in a folder, or in the
 *      limbo, which nobody sees: there are those that are to be gone for good.
 *      A row without a UID has a record (it is pending), or is unmoored (C6).
 *
 * The life of a record:
 *
 *     journal_create()        journal_create()
 *           |                       |
 *           v       a plain name    v     journal_publish()
 *        SCRATCH ---------------> WRITING -----------+
 *                                   ^                |
 *                                   +---reopen()---+ |
 *                                                  | v
 *     flags, move, remove, copy -----------------> QUEUED ---> gone: nothing
 *                                 JOURNAL_AGAIN, ^ |           is different
 *                                 or more to do  | | mark_sent()
 *                                                | v
 *                                                SENT ------> gone: done, or
 *                                                             undone
 *
 * A rename within a folder needs no record: the name is only here, and stays
 * through moves and listings.
 *
 * A record is in doubt when it is QUEUED again though its message may have
 * arrived where it was sent to, or may yet. Until that is decided it stays,
 * whatever the user does: if the message is to be there still, it is sent again
 * by whoever has looked once more; if it was taken back, moved on or removed,
 * it is only looked for (`is_look`), and settled as one that is SENT: done, and
 * what is left is the difference from there; or not. Its text cannot be
 * changed meanwhile, and nothing else is sent.
 *
 * Order. Records are sent in the order of `seq`, one command at a time for each
 * message. `waits_for` names a record that must be settled first: of a message
 * that was renamed onto this one (the new one arrives where it is to be before
 * the old one goes), or of a copy of this message that has not been made yet.
 *
 * Calling order for whoever sends: journal_read(), journal_mark_sent(), the
 * command, journal_settle(). While that is under way no listing and no sync of
 * the folders concerned may run, nor may anything be sent while one runs.
 *
 * The server's side needs not care: box_set_flags() lays changes that were not
 * sent over what the server says; box_add() leaves out a message that was moved
 * away from here, and box_uids() does not name it; box_remove() and box_doom()
 * drop the record of a message that is gone, and leave alone what is pending.
 * A message that was moved away from here and is gone on the server is found
 * by journal_find_uid() or journal_origins(), and settled as JOURNAL_GONE.
 *
 * Errors are those of cache.h. A change of the user's is refused (-ENOSPC,
 * -EIO, -EBADMSG) while the index cannot be written, and, like all that fails
 * here, leaves everything as it was. A change is on disk with the writer's next
 * batch, durable after cache_sync().
 *
 * Threads: as in cache.h. The boxes that are given must stay open meanwhile;
 * none needs to be listed.
 */
#ifndef IMAPFS_CACHE_JOURNAL_H
#define IMAPFS_CACHE_JOURNAL_H

#include "cache/cache.h"

#define JOURNAL_LIMBO 0u /* where a message is that is to be gone */

enum journal_phase {
	JOURNAL_SCRATCH = 1, /* a file that is never sent */
	JOURNAL_WRITING = 2, /* a new message that is not complete */
	JOURNAL_QUEUED = 3,
	JOURNAL_SENT = 4, /* a command may have reached the server */
};

/* What becomes of the message at the origin. */
enum journal_how {
	JOURNAL_MOVES = 1,
	JOURNAL_COPIES = 2, /* it stays: it is another one's */
};

/*
 * The parts of a difference, in the order in which they are sent. STORE with
 * COPY is for the copy, whose UID is known when the COPY is settled; with MOVE
 * it is for the origin. APPEND carries all flags, and no labels: these are
 * stored when it is settled. STORE with REMOVE is of labels: what is to be gone
 * for good here may stay elsewhere.
 */
enum journal_part {
	JOURNAL_APPEND = 1 << 0,
	JOURNAL_COPY = 1 << 1,
	JOURNAL_STORE = 1 << 2,
	JOURNAL_MOVE = 1 << 3,
	JOURNAL_REMOVE = 1 << 4, /* \Deleted and UID EXPUNGE of this one */
};

/* Where a message is on the server. Folder 0: nowhere, it is new. */
struct journal_place {
	uint64_t folder;
	uint32_t uidvalidity;
	uint32_t uid;
};

/* --- what the user changes --- */

struct journal_flags {
	uint64_t id;
	uint32_t add, remove; /* enum mail_flag */
	/* Joined by one blank; NULL: none. */
	const char *add_keywords, *remove_keywords;
	const char *add_labels, *remove_labels; /* as in struct mail_row */
};
/*
 * Rows that are not here are left out. -EBUSY: one is unmoored. -EOVERFLOW: too
 * many keywords or labels. -EINVAL: an id stands twice. May wait for the disk
 * if keywords or labels change.
 */
MUST_CHECK int journal_change_flags(struct box *b,
				    const struct journal_flags *v, size_t n);

enum journal_onto {
	JOURNAL_TWIN,    /* if the name is taken: `.2`, as box_add() does */
	JOURNAL_EXACT,   /* ... -EEXIST */
	JOURNAL_REPLACE, /* ... the other one goes */
};

struct journal_move {
	struct box *to; /* may be where it is: a rename */
	const char *name;
	enum journal_onto onto;
	struct box *trash; /* where a replaced one goes, not announced; NULL:
			    * the limbo. One that is unsent goes altogether */
	bool make_message; /* of a scratch file: it is one from now on */
	bool hide;         /* in another folder it is not announced */
	uint64_t only;     /* JOURNAL_REPLACE: which one; if another one has the
			    * name, or none: -EEXIST. 0: any */
};

struct journal_moved {
	char name[CACHE_NAME_MAX + 1]; /* that it has now */
	uint64_t replaced;             /* the other one; 0: none */
	uint64_t replaced_to;          /* its folder; 0: it is not shown */
	char replaced_name[CACHE_NAME_MAX + 1]; /* there */
};

/*
 * -ENOENT, -EEXIST, -EINVAL (the name); -EBUSY: the row is unmoored. What the
 * kernel holds of it is held in the new folder. The mtime of both folders
 * moves. `ret` may be NULL.
 */
MUST_CHECK int journal_move(struct box *from, uint64_t id,
			    const struct journal_move *how,
			    struct journal_moved *ret);

/*
 * Gone for good: into the limbo, or, if the server never saw it, altogether
 * (its file is deleted). The row stays, dead, while the kernel holds it.
 * -ENOENT, -EBUSY as above.
 */
MUST_CHECK int journal_remove(struct box *b, uint64_t id);

struct journal_copy {
	struct box *to;
	const char *name; /* wanted; a twin gets `.2` */
	/* Of a message that is being written in `to`: it becomes the copy, and
	 * keeps its name and flags; its file goes. 0: a new one, announced. */
	uint64_t into;
};
/*
 * A second message with the body, header fields and flags of this one. -ENOENT,
 * -EINVAL; -EBUSY as above, or the source is being written, or `into` is no
 * message that is.
 */
MUST_CHECK int journal_copy(struct box *from, uint64_t id,
			    const struct journal_copy *how, uint64_t *ret);

/* --- new messages and scratch files; their bytes: see the next section --- */

struct journal_new {
	const char *name; /* -EEXIST: it is taken */
	uint32_t flags;   /* enum mail_flag */
	int64_t internaldate;
	bool is_scratch;
	bool announced;
};
/* A row without UID, and an empty file: `*ret_fd` is yours to close. */
MUST_CHECK int journal_create(struct box *b, const struct journal_new *v,
			      uint64_t *ret_id, int *ret_fd);

/*
 * The file is complete: QUEUED. `row` has what it says of itself (ROW_FIELDS)
 * and its flags and date as they are to be (ROW_FLAGS, ROW_DATE; else as they
 * are); its size is that of the file. fsyncs the file. -ENOENT; -EINVAL: it is
 * empty, or a scratch file; -EBUSY: it was sent.
 */
MUST_CHECK int journal_publish(struct box *b, uint64_t id,
			       const struct mail_row *row);

/* Somebody writes to it again: WRITING. -ENOENT; -EBUSY: it was sent, or may
 * have been. */
MUST_CHECK int journal_reopen(struct box *b, uint64_t id);

/* The date of what was not sent. -ENOENT; -EBUSY: it was. */
MUST_CHECK int journal_set_date(struct box *b, uint64_t id,
				int64_t internaldate);

/* --- spool/: the files of what is unsent --- */

/*
 * -ENOENT: it has no file. -EBUSY: for writing, and it is QUEUED or SENT. The
 * descriptor is yours to close. The size in the row is yours to move
 * (box_set_size()). A file that is QUEUED or SENT is read by body_open(), too.
 */
MUST_CHECK int spool_open(struct cache *c, uint64_t id, bool for_writing,
			  int *ret_fd);
/*
 * All of it, or -ENOSPC, -EIO. SPOOL_RESERVE of the disk stay free for the
 * index.
 */
#define SPOOL_RESERVE (1u << 20)
MUST_CHECK int spool_write(int fd, const void *bytes, size_t n,
			   uint64_t offset);
/* Bytes read, 0 at the end; -EIO. */
MUST_CHECK long spool_read(int fd, void *buf, size_t n, uint64_t offset);
MUST_CHECK int spool_truncate(int fd, uint64_t size);
MUST_CHECK int spool_size(int fd, uint64_t *ret);
/* The bytes are on disk; the row is by cache_sync(). -ENOSPC, -EIO. */
MUST_CHECK int spool_sync(int fd);

/* --- what was refused --- */

/* Texts for people; what no line can have is made blank. NULL: "". */
struct journal_failure {
	const char *what; /* was tried */
	const char *why;
	const char *file; /* as the user knows it */
};

/*
 * It cannot be a message: row and record go, the file goes to rejected/ under
 * a name like the row's, which `ret_name` (CACHE_NAME_MAX + 1 bytes) tells, and
 * `why` is listed. What it was to replace comes back. For one that is being
 * written; nobody publishes it meanwhile. -ENOENT; -EBUSY: it is SENT. Effects
 * as of journal_settle().
 */
struct journal_effects;
MUST_CHECK int journal_reject(struct box *b, uint64_t id,
			      const struct journal_failure *why, char *ret_name,
			      struct journal_effects **ret);

/* state_dir/rejected; fixed while the cache is open. */
const char *journal_rejected_dir(const struct cache *c);

/* The newest of what was refused, this many lines at most are kept. */
#define JOURNAL_FAILED_MAX 1000
/* A line for each, oldest first; yours to free. */
MUST_CHECK int journal_failed_text(struct cache *c, char **ret);
/* Add a line. Queued. -ENOMEM. */
MUST_CHECK int journal_note_failure(struct cache *c,
				    const struct journal_failure *f);

/* --- for whoever sends --- */

struct journal_entry {
	uint64_t id;
	uint64_t seq;
	uint64_t gen; /* moves whenever the record or the row's place does */
	struct journal_place origin;
	enum journal_how how;
	enum journal_phase phase;
	unsigned what;      /* enum journal_part: the difference now */
	uint64_t at;        /* the folder of its row; JOURNAL_LIMBO */
	uint64_t waits_for; /* id of one to be settled first; 0: none */
	uint32_t add, remove;
	const char *add_keywords, *remove_keywords; /* "": none */
	const char *add_labels, *remove_labels;     /* likewise */
	/*
	 * What JOURNAL_SENT carried, and the destination as it was before. Of
	 * one that is QUEUED again nobody knows (`doubt` of a result) whether
	 * this part was done there, or will be. 0: it was not.
	 */
	unsigned sent, doubt;
	uint64_t sent_to;
	uint32_t sent_uidvalidity, sent_uidnext;
	int64_t queued_at; /* time(2) */
	unsigned tries;    /* that were told JOURNAL_AGAIN */
};

struct journal_list {
	size_t n;
	struct journal_entry v[];
};

struct journal_filter {
	uint64_t folder; /* of its row or its origin, or sent to; 0: any */
	unsigned phases; /* 1 << enum journal_phase; 0: any */
	uint64_t after;  /* seq */
	size_t max;      /* 0: all */
};
/* In the order of seq; one block, free(). Reads memory. -ENOMEM. */
MUST_CHECK int journal_read(struct cache *c, const struct journal_filter *f,
			    struct journal_list **ret);
/* The record of one message: a list of one. -ENOENT: it has none. */
MUST_CHECK int journal_get(struct cache *c, uint64_t id,
			   struct journal_list **ret);

/*
 * The content key of a record that was QUEUED once (J5); `of` is the id. Asks
 * SQL. -ENOENT: there is nothing to know the message by.
 */
MUST_CHECK int journal_key(struct cache *c, uint64_t id, struct cache_key *ret);

struct journal_counts {
	size_t scratch, writing, queued, sent;
	int64_t oldest; /* queued_at of the first QUEUED or SENT; 0: none */
};
void journal_count(struct cache *c, struct journal_counts *ret);

struct journal_mark {
	uint64_t id;
	uint64_t gen;   /* as it was read */
	unsigned parts; /* that the command carries */
	/* No command: what it is in doubt of (`parts`) is looked for, there
	 * where it was sent. */
	bool is_look;
	/* Of the destination, as the server said just before; else 0. */
	uint32_t uidvalidity, uidnext;
	bool marked; /* the answer. No: it has changed since, or waits */
};
/* J3. 0 even if some were not marked; else none is. -ENOSPC, -EIO, -EBADMSG. */
MUST_CHECK int journal_mark_sent(struct cache *c, struct journal_mark *v,
				 size_t n);

/* What becomes of the parts that were not done. */
enum journal_rest {
	JOURNAL_AGAIN, /* QUEUED, as they were */
	/* QUEUED, too; but flags may have been stored, wholly or in part: those
	 * that are not wanted any more are taken back. The result tells how
	 * they are now, wherever the row is by now, if that is known. */
	JOURNAL_UNSURE,
	JOURNAL_UNDO, /* refused for good: row and flags as on the server. A
		       * message that was never there goes to rejected/ */
	/* The message is nowhere any more: row and record go. What it was to
	 * replace comes back, unless the user has removed it since. */
	JOURNAL_GONE,
	/* No answer: it stays as it is, but the server has these flags now. */
	JOURNAL_HEARD,
};

struct journal_result {
	uint64_t id;
	unsigned done; /* of the parts sent, or of `what` if QUEUED */
	enum journal_rest rest;
	bool doubt; /* JOURNAL_AGAIN: it may have arrived, or may yet */
	/* After APPEND, COPY or MOVE: where it is now. Never 0. */
	uint32_t uidvalidity, uid;
	uint64_t size; /* after APPEND: RFC822.SIZE; 0: unknown */
	/* JOURNAL_UNSURE, JOURNAL_HEARD: the server has these now.
	 * JOURNAL_AGAIN of a move that is a copy and a removal: so has the
	 * origin. */
	bool has_flags;
	uint32_t flags;
	const char *keywords;
	const char *labels;                /* NULL: nobody knows those */
	const struct journal_failure *why; /* to be listed; NULL: nothing is */
};

/* Something that the kernel has to be told. */
struct journal_effect {
	uint64_t id;
	uint64_t from, to; /* folders; 0: not shown. Equal: only attributes */
	uint32_t held;     /* by the kernel */
	char from_name[CACHE_NAME_MAX + 1];
	char to_name[CACHE_NAME_MAX + 1];
};

struct journal_effects {
	size_t n;
	struct journal_effect v[];
};

/*
 * The answers for a batch, in one transaction. What the user changed since it
 * was sent is left as a new difference. Those that are not in the journal are
 * left out. A row that comes back is not announced. A message that replaced
 * another and is undone takes that one's move back, too. A second row that a
 * sync made meanwhile for the UID that a message has now goes, as an effect
 * tells. After APPEND the file becomes the stored body if the sizes agree, else
 * the body is fetched when it is read. -EINVAL: no UID; -ENOMEM. May wait for
 * the disk. `*ret` is one block, free() it; `ret` may be NULL.
 */
MUST_CHECK int journal_settle(struct cache *c, const struct journal_result *v,
			      size_t n, struct journal_effects **ret);

/*
 * The folder is gone: every record that names it is settled. What was to go
 * there comes back, what was there and moved away is gone, as is the rest.
 */
MUST_CHECK int journal_leave_folder(struct cache *c, uint64_t folder,
				    const struct journal_failure *why,
				    struct journal_effects **ret);

#endif
