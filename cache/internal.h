/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of cache/ share: the two connections to SQLite and their
 * statements, and the struct behind `struct cache`.
 *
 * The writing connection belongs to the writer thread alone once cache_open()
 * has started it; the reading one is used with `read_lock` held. Each SQL
 * table has one file that knows its columns (folders.c, blob.c, parts.c,
 * values.c, journal_sql.c, leftovers.c, failed.c; messages.c,
 * messages_read.c, moor.c and rows.c share that of messages and their details);
 * every statement is prepared once, when the database is opened, so that a
 * schema which does not fit is found there.
 *
 * Locks, outermost first: `journal.lock` (RANK_JOURNAL), a box's (RANK_INDEX;
 * two at once if a row goes from one to the other), `map.lock` or `ids.lock`
 * (RANK_IDS, never both), `bodies.lock` (RANK_BLOB), `read_lock`
 * (RANK_DB_READ), `writer.lock` (RANK_WRITER).
 */
#ifndef IMAPFS_CACHE_INTERNAL_H
#define IMAPFS_CACHE_INTERNAL_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <time.h>

#include "cache/journal.h"
#include "cache/writer.h"
#include "imap/lock.h"

/* --- db.c: connections and statements --- */

enum stmt {
	/* transactions (db.c) */
	S_BEGIN,
	S_COMMIT,
	S_ROLLBACK,
	/* values.c */
	S_VALUE_GET,
	S_VALUE_SET,
	/* folders.c */
	S_FOLDER_LIST,
	S_FOLDER_SAVE,
	S_FOLDER_DROP,
	S_FOLDER_MAX_ID,
	S_FOLDER_KEEP,
	S_FOLDER_TOUCH,
	S_FOLDER_RELIST,
	S_STATE_GET,
	S_STATE_SET,
	/* messages.c */
	S_MSG_ADD,
	S_MSG_ADD_TEN,
	S_MSG_FLAGS,
	S_MSG_SIZE,
	S_MSG_REMOVE,
	S_MSG_LOAD,
	S_MSG_DROP_FOLDER,
	S_MSG_IDS,
	S_DETAIL_ADD,
	S_DETAIL_ADD_TEN,
	S_DETAIL_KEYWORDS,
	S_DETAIL_LABELS,
	S_DETAIL_REMOVE,
	S_DETAIL_GET,
	S_DETAIL_MAX_ID,
	S_DETAIL_BLOB,
	S_DETAIL_BLOBS,
	S_DETAIL_SET_BLOB,
	S_DETAIL_CLEAR_BLOB,
	S_DETAIL_USES_BLOB,
	S_DETAIL_TWIN,
	S_DETAIL_GM_IN,
	S_DETAIL_ANY_GM,
	/* rows.c */
	S_ROW_PUT,
	S_ROW_GET,
	S_ROW_PENDING,
	S_ROW_UNMOOR,
	S_ROW_DETAILS,
	S_ROW_COPY,
	S_ROW_TEXTS,
	S_ROW_WORDS,
	S_ROW_KEY,
	/* journal_sql.c */
	S_CHANGE_PUT,
	S_CHANGE_DROP,
	S_CHANGE_LIST,
	S_CHANGE_SET_KEY,
	S_CHANGE_GET_KEY,
	/* failed.c */
	S_FAILED_ADD,
	S_FAILED_TRIM,
	S_FAILED_LIST,
	/* leftovers.c */
	S_LEFT_PUT,
	S_LEFT_DROP,
	S_LEFT_LIST,
	S_LEFT_CLEAR,
	/* moor.c */
	S_MOOR_CUT,
	S_MOOR_SET,
	S_MOOR_WALK,
	/* blob.c */
	S_BLOB_GET,
	S_BLOB_PUT,
	S_BLOB_REMOVE,
	S_BLOB_TOUCH,
	S_BLOB_SUM,
	S_BLOB_OLDEST,
	S_BLOB_KEPT,
	S_BLOB_NEXT,
	/* parts.c */
	S_PART_PUT,
	S_PART_REMOVE,
	S_PART_LIST,
	S_PART_CHUNKS,
	S_PART_CHUNK_PUT,
	S_PART_CHUNK_REMOVE,
	S_PART_CHUNKS_REMOVE,
	S_PART_SUM,
	S_PART_KEPT,
	N_STMTS
};

struct sql {
	enum stmt stmt;
	const char *text;
};

struct db {
	sqlite3 *handle;
	sqlite3_stmt *stmt[N_STMTS];
};

#define DB_APPLICATION_ID 0x494d4653 /* "IMFS" */
#define DB_VERSION 6

/* Arrays of statements, each ended by a NULL text. */
extern const struct sql db_values_sql[], db_folders_sql[], db_messages_sql[],
	db_blob_sql[], db_parts_sql[], db_moor_sql[], db_rows_sql[],
	db_journal_sql[], db_failed_sql[], db_left_sql[];

/*
 * Open `path`, made if missing. 0, or -EBADMSG: damaged; -ENOTSUP: written by
 * a newer version; else the errno. `*ret_is_new`: the schema was made now.
 */
MUST_CHECK int db_open_writer(struct db *db, const char *path,
			      bool *ret_is_new);
MUST_CHECK int db_open_reader(struct db *db, const char *path);
void db_close(struct db *db);

/* Step a statement without result to its end and reset it: 0 or an errno. */
int db_run(struct db *db, enum stmt s);

/*
 * Step to the next row: 1, or 0 at the end, or an errno. Anything but 1 has
 * reset the statement; who stops at a row calls db_reset().
 */
MUST_CHECK int db_step(struct db *db, enum stmt s);
void db_reset(struct db *db, enum stmt s);

/* Bind arguments, counted from 1. The bytes are borrowed until the reset. */
void db_bind_int(struct db *db, enum stmt s, int at, int64_t v);
void db_bind_text(struct db *db, enum stmt s, int at, const char *v);
void db_bind_blob(struct db *db, enum stmt s, int at, const void *v, size_t n);

/* --- ids.c: the sequence of ids, and the folder of each --- */

struct ids {
	struct lock lock; /* RANK_IDS, guards what follows */
	struct lock_cond cond;
	uint64_t next;      /* the next id to give */
	uint64_t committed; /* ids below may be given */
	uint64_t requested; /* what the writer was asked to commit */
};

MUST_CHECK int ids_init(struct cache *c);
void ids_finish(struct cache *c);
/* Wait until `n` ids could be taken at once. -EOVERFLOW, -ENOMEM, -ENOSPC. */
MUST_CHECK int ids_prepare(struct cache *c, uint32_t n);
/* Take them without waiting; false: prepare again. */
MUST_CHECK bool ids_take(struct cache *c, uint32_t n, uint64_t *ret);
/* No id from here on has been given. */
uint64_t ids_end(struct cache *c);

/* Tables of slots in two levels; a slot is a folder's id, 0 for none. */
#define MAP_LOW_BITS 18
#define MAP_TOP (1u << (32 - MAP_LOW_BITS))

struct map_page {
	uint32_t used;
	uint32_t slot[1u << MAP_LOW_BITS];
};

struct idmap {
	struct lock lock; /* RANK_IDS, guards what follows */
	struct map_page **page;
	struct box *boxes;       /* that are open or used here */
	struct lock_cond loaded; /* one of them */
};

MUST_CHECK int map_init(struct idmap *m);
void map_finish(struct idmap *m);
/* Make room for `n` ids from `first`. */
MUST_CHECK int map_reserve_locked(struct idmap *m, uint64_t first, size_t n)
	REQUIRES(m->lock);
/* `folder` 0 forgets. The room must be there. */
void map_set_locked(struct idmap *m, uint64_t id, uint32_t folder)
	REQUIRES(m->lock);
/* 0: none. */
uint32_t map_folder_locked(const struct idmap *m, uint64_t id)
	REQUIRES(m->lock);
/* Forget, if it is this folder's. */
void map_clear_locked(struct idmap *m, uint64_t id, uint32_t folder)
	REQUIRES(m->lock);

/* --- the bodies --- */

#define SECRET_BYTES 192
#define KEY_BYTES 16
#define BODY_BUCKETS 1024

struct touch; /* touch.c */

struct bodies {
	struct lock lock; /* RANK_BLOB, guards what follows */
	struct lock_cond cond;
	struct body *bucket[BODY_BUCKETS];
	struct cache_stats stats; /* without `deciding` */
	uint64_t queued_bytes;    /* of bodies that no row tells of yet */
	int64_t last_read;        /* the last blob_read_stamp() */
	bool evicting;            /* an eviction is queued */
	uint64_t evict_above;     /* bytes; the last one could not do better */
	struct touch *touches;    /* reads that no row knows of yet */
	size_t n_touches, touches_room;
	int64_t touches_from_ms; /* of the first of them */

	/* What the present transaction changes; of the writer thread. */
	int64_t add_bodies, add_bytes;
	uint64_t add_evicted, add_lost;
};

/* --- the journal (changes.h) --- */

struct change;
struct leftover;
struct journal_trial;

struct change_slot {
	uint64_t seq;
	struct change *change; /* NULL: it is gone */
};

struct journal {
	struct lock lock; /* RANK_JOURNAL, guards what follows */
	struct change **by_id, **by_origin;
	size_t buckets;           /* of each, a power of two */
	struct change_slot *slot; /* ascending by seq */
	size_t n_slots, room;
	size_t n; /* records */
	uint64_t next_seq, next_gen;
	bool has_new_files;           /* whose names were not fsynced */
	struct journal_trial *trials; /* trial.c: the newest first */
	uint64_t next_trial;
	struct lock_cond trial_ended;

	char *spool_dir; /* fixed at cache_open(), as what follows */
	char *rejected_dir;
	struct leftover *leftovers; /* of the writer thread: spool.c */
};

struct cache {
	char *state_dir; /* fixed at cache_open(), as what follows */
	char *cache_dir;
	int lock_fd;
	int bodies_lock_fd; /* guarded by bodies.lock; -1: none */
	unsigned char secret[SECRET_BYTES];
	struct timespec started_at; /* on the clock of file times */

	struct db write; /* of the writer thread */
	struct lock read_lock;
	struct db read; /* read_lock */
	/* Has a message an X-GM-MSGID? Only ever becomes true: no lock. */
	atomic_bool has_gm;

	struct writer writer;
	struct ids ids;
	struct idmap map;
	struct bodies bodies;
	struct journal journal;
};

/* --- home.c: folders and lock --- */

/* The errno of a file operation, in terms of cache.h. -EIO is logged. */
int home_errno(int error);
/* With its parents, all private. 0 if it is there already. */
MUST_CHECK int home_make_dirs(const char *dir);
/* Make a folder of ours, with its parents; it must be private. */
MUST_CHECK int home_make(const char *dir, struct cache_report *report);
MUST_CHECK int home_lock(struct cache *c, unsigned wait_ms,
			 struct cache_report *report);
/*
 * Before a file of parts/ is opened or made: the lock of cache_dir is held,
 * anew if its file was deleted with the rest. -EIO: another mount was faster;
 * -ENOMEM.
 */
MUST_CHECK int home_keep_lock(struct cache *c);

/* DIR/NAME, yours to free; NULL: no memory. */
char *path_join(const char *dir, const char *name);

/* --- store.c --- */

/* Damage was met: the database is set aside at the next open. */
void store_mark_damaged(struct cache *c);

#endif
