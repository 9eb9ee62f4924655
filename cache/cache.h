/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * cache: what is remembered of an account, on disk and in memory.
 *
 * On disk. `state_dir` holds what could not be fetched again: index.db
 * (SQLite, WAL), spool/ with the texts of what is unsent, rejected/ with those
 * that were refused. `cache_dir` holds bodies and may be wiped at any time,
 * also while mounted. Each has a lock, so that two mounts of one account share
 * neither. Both 0700. Invariants:
 *
 *  C1  An id is given once, to a folder or a message, and never again: not
 *      after a removal, a kill or a rebuild of the database in one boot. Ids
 *      are below 2^32, ascend in the order given, and begin at CACHE_ID_FIRST.
 *  C2  The state of a folder (struct cache_state) is in the same transaction
 *      as the rows that it covers.
 *  C3  A body is published (named by its content, known to its message) only
 *      when all its bytes are on disk and hashed; what is read back is
 *      checked against the hash once a mount, by CACHE_CHUNK bytes.
 *  C4  A schema newer than ours is refused, an older one migrated, a damaged
 *      database set aside under another name (never deleted) and begun anew.
 *  C5  Killing the program at any moment loses at most the rows of the last
 *      few milliseconds, never consistency, and nothing that cache_commit()
 *      was waited for.
 *  C6  A row whose mailbox has other UIDs now (box_unmoor()) keeps its id, name
 *      and body until it is moored to a UID that is certainly the same
 *      message's, or is removed; a kill in between changes nothing of that.
 *
 * In memory. Each folder in use has a `struct box`: fixed records, an arena of
 * names, a hash of names; lookups, listings and attributes read memory, never
 * SQL. Changes go to memory at once and to SQLite through one writer thread, in
 * order, in batches of a few milliseconds.
 *
 * Rows. Most are as the server has them, and have its UID. Those that the user
 * has moved, copied or written, and the server does not have there yet, have
 * none (`uid` is 0) and are not unmoored: they are pending, and journal.h is
 * their manual. Functions that name UIDs do not find them; lists of messages
 * and names have them like all others; and what the server says of a UID never
 * changes or removes them.
 *
 * Threads: every function may be called from any thread, unless it says
 * otherwise, and may wait for the disk, never for the network. Strings that
 * are returned in plain structs are copies.
 *
 * Errors: negative errno, from this list: -EBADMSG (local corruption),
 * -EBUSY, -EEXIST, -EIO, -ENODATA (not here), -ENOENT, -ENOMEM, -ENOSPC,
 * -EOVERFLOW (ids exhausted, or a limit), -EACCES, -EROFS, -ENOTSUP (schema),
 * -EINVAL (a name that no file can have).
 */
#ifndef IMAPFS_CACHE_CACHE_H
#define IMAPFS_CACHE_CACHE_H

#include "imap/mail.h"

#define CACHE_ID_FIRST 16u
#define CACHE_ID_LIMIT 0xffffffffu /* ids are below */
#define CACHE_NAME_MAX 255         /* bytes of a file name */
#define CACHE_CHUNK (1u << 20)     /* unit of hashing and of partial maps */

struct cache;
struct box;
struct body;

/* --- opening --- */

struct cache_config {
	const char *state_dir; /* of this account; made if missing */
	const char *cache_dir; /* of this account; made if missing */
	uint64_t max_bytes;    /* of bodies; 0: no bound */
};

struct cache_report {
	bool is_new;          /* there was no database */
	char set_aside[4096]; /* path of a damaged one; "" if none */
	char text[512];       /* a sentence on failure; "" if none */
	bool is_ending;       /* -EBUSY: see cache_say_ending() */
};

/*
 * -EBUSY: another mount holds the account (`report->text` names its pid);
 * `wait_ms` > 0: wait that long for it. -ENOTSUP: newer schema. -EACCES,
 * -EROFS, -ENOSPC, -EIO, -ENOMEM. Starts the writer thread: call after fork,
 * and a child forked later must close or exec, for it shares the lock.
 */
MUST_CHECK int cache_open(const struct cache_config *cfg, unsigned wait_ms,
			  struct cache **ret, struct cache_report *report);

/* This mount ends, and only sends what is queued: who is told -EBUSY may wait
 * for it. */
void cache_say_ending(struct cache *c);

/*
 * Every box and body must be closed. Writes what is queued (tried once if the
 * disk is full; what was changed since the last cache_sync() may be lost then,
 * but no file of spool/). NULL is fine.
 */
void cache_close(struct cache *c);

/*
 * All that was changed before this call is on disk, fsynced. -EIO, -ENOSPC;
 * -EBADMSG: the database is damaged.
 */
MUST_CHECK int cache_sync(struct cache *c);

/* The same outlives the program, if not a power loss. Errors as above. */
MUST_CHECK int cache_commit(struct cache *c);

/* The same in no hurry: with what is queued next, some milliseconds later. */
MUST_CHECK int cache_commit_gathered(struct cache *c);

/*
 * The first error that the writer met since the last call (-ENOSPC, -EIO ...),
 * or 0. Changes that failed stay in memory and are tried again once a second.
 */
int cache_writer_error(struct cache *c);

/* `n` consecutive ids, the first in `*ret`. Waits for the disk seldom. */
MUST_CHECK int cache_new_ids(struct cache *c, uint32_t n, uint64_t *ret);

/* A small value under a name: settings of the account. */
MUST_CHECK int cache_get_value(struct cache *c, const char *key, char **ret);
MUST_CHECK int cache_set_value(struct cache *c, const char *key,
			       const char *value);

/* --- folders --- */

/* How far a folder is known. Zeroes: nothing is. */
struct cache_state {
	uint32_t uidvalidity;
	uint32_t uidnext;       /* rows with smaller UIDs are known ... */
	uint32_t low_uid;       /* ... down to this one: the listing goes on
				 * below it; 0: nothing listed yet */
	bool complete;          /* ... down to the oldest */
	uint64_t highestmodseq; /* changes up to it are known; 0: none are */
	uint32_t messages;      /* as the server counted them then */
	int64_t synced_at;      /* time(2) of the last answer of the server */
	int64_t changed_at_ns;  /* mtime of the directory, ns since the epoch */
};

struct cache_folder {
	uint64_t id;
	const char *wire; /* unique */
	char delimiter;
	uint32_t attrs; /* enum mail_folder_attr */

	/* Loaded, not saved by cache_save_folder(). */
	struct cache_state state;
	bool kept; /* cache_keep_folder() */
};

/* All folders, ascending by id: one block of memory, free() it. */
MUST_CHECK int cache_load_folders(struct cache *c, struct cache_folder **ret,
				  size_t *ret_n);

/* Insert, or update the one with this id. Queued. -ENOMEM. */
MUST_CHECK int cache_save_folder(struct cache *c, const struct cache_folder *f);

/*
 * With all its messages. A box of it that is still open may be read, and rows
 * removed, but nothing added. Queued. -ENOMEM. -EBUSY: the journal names it
 * (journal_leave_folder()).
 */
MUST_CHECK int cache_drop_folder(struct cache *c, uint64_t id);

/* --- what is known of a folder's messages --- */

struct cache_msg {
	uint64_t id;
	uint32_t uid;
	uint32_t flags; /* enum mail_flag */
	uint64_t size;
	int64_t internaldate; /* seconds since the epoch */
	int64_t changed_at;   /* ctime, seconds since the epoch */
	bool announced;       /* may be shown to the kernel */
	bool doomed;          /* gone on the server, the kernel not yet told */
	bool unmoored;        /* has no UID: the mailbox has other ones now */
	bool dead;     /* removed; kept because the kernel holds its id */
	uint32_t held; /* references by the kernel */
	char name[CACHE_NAME_MAX + 1];
};

struct cache_new {
	const struct mail_row *row; /* uid, flags, size, date, fields ... */
	const char *name;           /* wanted; a twin gets `.2` before `.eml` */
	bool announced;
};

/*
 * The box of a folder, loaded from disk; all its rows are announced, none
 * doomed or dead. One box a folder at a time (-EBUSY). -ENOENT: the folder was
 * never saved. -EBADMSG: the database is damaged; it is set aside at the next
 * cache_open(). box_close() forgets the memory.
 */
MUST_CHECK int box_open(struct cache *c, uint64_t folder, struct box **ret);
void box_close(struct box *b);

void box_state(struct box *b, struct cache_state *ret);
MUST_CHECK int box_set_state(struct box *b, const struct cache_state *s);

size_t box_count(struct box *b); /* neither dead nor unannounced */

/* -ENOENT. Finds announced and unannounced rows, never dead ones. */
MUST_CHECK int box_find_name(struct box *b, const char *name,
			     struct cache_msg *ret);
/* -ENOENT. Finds dead ones too, as long as they are held. */
MUST_CHECK int box_find_id(struct box *b, uint64_t id, struct cache_msg *ret);
/* -ENOENT. Never dead ones; nor those without a UID: 0 is not found. */
MUST_CHECK int box_find_uid(struct box *b, uint32_t uid, struct cache_msg *ret);

/* Up to `n` announced, living rows with id > `after`, ascending by id. */
size_t box_read(struct box *b, uint64_t after, struct cache_msg *ret, size_t n);

/* The same with id < `before`, descending by id. */
size_t box_read_back(struct box *b, uint64_t before, struct cache_msg *ret,
		     size_t n);

/*
 * UIDs of every living row that has one, ascending; yours to free. Those of
 * messages that were moved away are not among them: journal_origins(). -ENOMEM.
 */
MUST_CHECK int box_uids(struct box *b, uint32_t **ret, size_t *ret_n);

/*
 * Add rows in this order, with new ids, and set the state (NULL: unchanged).
 * A row whose UID is there already is not added again (its flags may be others
 * now: box_set_flags()), nor one of a message that the journal has moved away
 * from here: its id in `ret_ids` is 0 (`ret_ids` may be NULL). The ctime of a
 * new row is its internaldate. All or none: -ENOMEM, -EOVERFLOW, -EINVAL;
 * -ENOSPC or -EIO if ids cannot be reserved. Like all that queues: the writer's
 * error, once its queue is full and cannot be written.
 */
MUST_CHECK int box_add(struct box *b, const struct cache_new *rows, size_t n,
		       const struct cache_state *s, uint64_t *ret_ids);

struct cache_flags {
	uint64_t id;
	uint32_t flags;
	const char *keywords; /* NULL: as they were */
	const char *labels;   /* as in struct mail_row; NULL: as they were */
};
/*
 * What the server says. Changes that it has not seen are laid over it. Rows
 * that are not here, or pending, are left out; ctime moves if anything changed.
 * Memory does not know the labels: whoever gives them says that they changed.
 */
MUST_CHECK int box_set_flags(struct box *b, const struct cache_flags *v,
			     size_t n);

/* What keywords, in any order, are compared by; 0 for none. */
uint32_t box_keywords_hash(struct box *b, uint64_t id);
uint32_t cache_keywords_hash(const char *keywords);

/* The server lied about the size. */
MUST_CHECK int box_set_size(struct box *b, uint64_t id, uint64_t size);
void box_announce(struct box *b, uint64_t id);

/*
 * Gone on the server, and so are their records in the journal (rows that are
 * pending are left out, here and below): the rows leave the disk now, in one
 * transaction with the state that says so (NULL: as it is), but are shown until
 * box_remove(). Their bodies go, too, unless they are open.
 */
MUST_CHECK int box_doom(struct box *b, const uint64_t *ids, size_t n,
			const struct cache_state *s);

/* Gone: the row leaves the disk; memory keeps it, dead, while it is held. */
MUST_CHECK int box_remove(struct box *b, const uint64_t *ids, size_t n);

/* The kernel took or gave back references. -ENOENT (not here), -EOVERFLOW. */
MUST_CHECK int box_hold(struct box *b, uint64_t id);
/* False: it is not here (any more), but where cache_folder_of() says. */
bool box_release(struct box *b, uint64_t id, uint64_t n);
uint64_t box_held(struct box *b); /* sum over all rows */

/* What is not in memory: read from SQL. One block, free() it. -ENOENT. */
struct cache_details {
	const char *keywords;
	const char *field[N_FIELDS]; /* NULL: none */
	uint64_t gm_msgid, gm_thrid;
	const char *gm_labels; /* "": none, or not known */
	const char *emailid;   /* NULL: likewise */
};
MUST_CHECK int box_details(struct box *b, uint64_t id,
			   struct cache_details **ret);

/* The folder whose open box has this id; 0: none. Reads memory. */
uint64_t cache_folder_of(struct cache *c, uint64_t id);

/* --- a mailbox whose UIDs are others now (UIDVALIDITY) --- */

/*
 * Every row loses its UID and is unmoored (C6), with the state `s` in the same
 * transaction. It is found, listed and read as before. How many rows are
 * unmoored now is in `*ret_n`.
 */
MUST_CHECK int box_unmoor(struct box *b, const struct cache_state *s,
			  size_t *ret_n);

/* How many rows are unmoored. */
size_t box_unmoored(struct box *b);

/*
 * What a message is known by when its UID is not: its X-GM-MSGID, else its
 * Message-ID, RFC822.SIZE and INTERNALDATE together, else its EMAILID and size;
 * a keyed hash: nobody who sends mail can make two of them meet.
 */
struct cache_key {
	unsigned char hash[16];
	uint64_t of; /* whose it is: an id, or a UID */
};

/* False: this message has nothing to be known by. `of` becomes the UID. */
bool cache_key_of(struct cache *c, const struct mail_row *row,
		  struct cache_key *ret);

/* The keys of the unmoored rows that have one; free(). Asks SQL. */
MUST_CHECK int box_unmoored_keys(struct box *b, struct cache_key **ret,
				 size_t *ret_n);

/* The row `id` is the message `uid` of the mailbox as it is now. */
struct cache_moor {
	uint64_t id;
	uint32_t uid;
};

/*
 * Which keys are in both lists, and once in each? Sorts both. `ret` has room
 * for the shorter one. Returns how many.
 */
size_t cache_match(struct cache_key *ids, size_t n_ids, struct cache_key *uids,
		   size_t n_uids, struct cache_moor *ret);

/*
 * Unmoored rows get these UIDs, and their records in the journal with them. One
 * whose UID is taken, or that is not unmoored (any more), stays as it is.
 */
MUST_CHECK int box_moor(struct box *b, const struct cache_moor *v, size_t n);

/* The ids of the rows that are unmoored, ascending; free(). -ENOMEM. */
MUST_CHECK int box_unmoored_ids(struct box *b, uint64_t **ret, size_t *ret_n);

/* --- folders whose bodies stay here --- */

/*
 * Bodies of messages of this folder are not evicted from now on, or may be
 * again. Kept over restarts; may be called for a folder without a box. Queued.
 * -ENOMEM.
 */
MUST_CHECK int cache_keep_folder(struct cache *c, uint64_t folder, bool keep);

/*
 * The messages whose bodies are not whole here, though that of another copy may
 * be (cache_has_body()): their ids, by UID descending; free(). Those without a
 * UID are left out. Asks SQL.
 */
MUST_CHECK int box_missing_bodies(struct box *b, uint64_t **ret, size_t *ret_n);

/*
 * Has `cache_dir` been wiped since the last time, in this mount or before? Then
 * the bodies that are not there any more are forgotten in the background, and
 * counted (struct cache_stats): true. Otherwise a body that was removed by
 * somebody is missed when it is read. Asks the disk once.
 */
bool cache_look_for_wipe(struct cache *c);

/* --- bodies --- */

/*
 * The body of a message, whole, in part, or not here yet. One struct an id:
 * opening again shares it. While it is open it is not evicted. That of an
 * unsent message is its file in spool/: whole, never evicted, and -EBUSY while
 * it is being written. `size`: what is believed of its length.
 */
MUST_CHECK int body_open(struct cache *c, uint64_t id, uint64_t size,
			 struct body **ret);
void body_put(struct body *b);

/*
 * May `n` bytes from `offset` be read (as far as the body goes)? 0: yes, they
 * are here and have been checked. -ENODATA: not all are here. -EBADMSG: they
 * were, but are damaged: what is damaged was thrown away and must be fetched
 * again. -EIO, -ENOMEM.
 */
MUST_CHECK int body_check(struct body *b, uint64_t offset, uint64_t n);

/* Bytes from the start that are not here: the first gap at or after `from`.
 * false: none. */
bool body_gap(struct body *b, uint64_t from, uint64_t *ret_offset,
	      uint64_t *ret_n);

/*
 * Read checked bytes: the number read, 0 at the end. -ENODATA: not all of
 * them are here any more, or they were not checked. -EIO.
 */
MUST_CHECK long body_read(struct body *b, void *buf, size_t n, uint64_t offset);

/*
 * A descriptor to read these bytes from, which are here and were checked;
 * borrowed until body_put(), also if the body is thrown away meanwhile.
 * -ENODATA: they are not, or go beyond the end.
 */
int body_range_fd(struct body *b, uint64_t offset, uint64_t n);

/*
 * The descriptor of the whole file, -1 if there is none yet. When damage is
 * found it changes: what body_check() said holds for the descriptor that
 * body_range_fd() gives.
 */
int body_fd(struct body *b);

/* Whole and published. */
bool body_is_whole(struct body *b);

/* Its length: exact when whole, else as believed. */
uint64_t body_size(struct body *b);

/*
 * Bytes that have arrived. They can be read at once. -ENOSPC, -EIO; on
 * failure these bytes count as not here. Safe with concurrent readers.
 */
MUST_CHECK int body_write(struct body *b, uint64_t offset, const void *bytes,
			  size_t n);

/*
 * The body ends at `size`: if all bytes are here it is hashed and published
 * (an equal one that is stored already is shared), else the size is only
 * corrected. Others are evicted soon after, if the cache is over its bound.
 * -ENOSPC, -EIO, -EOVERFLOW; the writer's error, as with box_add().
 */
MUST_CHECK int body_end(struct body *b, uint64_t size);

/* Is the body of this message whole in the cache? Asks SQL. */
bool cache_has_body(struct cache *c, uint64_t id);

struct cache_stats {
	uint64_t bodies; /* stored, each content once */
	uint64_t body_bytes;
	uint64_t max_bytes;
	uint64_t evicted; /* since the start */
	uint64_t damaged; /* found damaged since the start */
	uint64_t lost;    /* found missing since the start, all at once */
	bool full; /* over the bound by bodies of folders that are kept */
	/*
	 * With what is not written down yet it is over the bound, or an
	 * eviction is on its way: `full` is known soon.
	 */
	bool deciding;
};
void cache_get_stats(struct cache *c, struct cache_stats *ret);

#endif
