/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The packed index of one folder: records in ascending order of id, an arena
 * of names, and two hash tables (by name, by UID) whose slots are four bytes.
 * About 115 bytes a message with names of 60 bytes. No locks and no I/O: the
 * box that owns the index guards it.
 *
 * A record that is killed leaves both tables at once; its place goes when
 * nobody holds it any more and the next compaction comes by.
 */
#ifndef IMAPFS_CACHE_INDEX_H
#define IMAPFS_CACHE_INDEX_H

#include "cache/cache.h"

#define INDEX_NONE SIZE_MAX

/* The bits of record.state beside enum mail_flag, which has the lower five. */
enum record_bit {
	RECORD_ANNOUNCED = 1 << 5,
	RECORD_DOOMED = 1 << 6,
	RECORD_DEAD = 1 << 7,
	RECORD_UNMOORED = 1 << 8,
};
#define RECORD_FLAGS 0x1fu

struct record {
	int64_t internaldate;
	uint64_t size : 44;
	uint64_t state : 12; /* enum mail_flag, enum record_bit */
	uint64_t name_len : 8;
	uint32_t id;
	uint32_t uid; /* 0: none */
	uint32_t name_at;
	uint32_t keywords; /* cache_keywords_hash() */
	uint32_t changed_at;
	uint32_t held;
};
_Static_assert(sizeof(struct record) == 40, "memory of each message");

/* Memory that grows in place where it can; pages never touched cost nothing. */
struct area {
	void *at;
	size_t bytes;
};

struct table {
	struct area area;
	uint32_t slots;
	uint32_t used;
};

struct index {
	struct area records;
	size_t n;
	struct area names;
	size_t names_used;
	size_t names_lost; /* bytes of names of records that are gone */
	struct table by_name;
	struct table by_uid;
	uint64_t seed;  /* senders choose names: the tables are keyed */
	size_t n_shown; /* announced and living */
	size_t n_gone;  /* dead and not held */
	size_t n_unmoored;
	uint64_t held;
};

MUST_CHECK int index_init(struct index *ix);
void index_finish(struct index *ix);

/* Make room: after it, `n` appends of `name_bytes` in all cannot fail. */
MUST_CHECK int index_reserve(struct index *ix, size_t n, size_t name_bytes);

/* `r->id` is above all others; `name_at` and `name_len` are set here. */
void index_append(struct index *ix, const struct record *r, const char *name,
		  size_t len);

struct record *index_at(const struct index *ix, size_t pos);
const char *index_name(const struct index *ix, const struct record *r);

/* Positions, or INDEX_NONE. They hold until the next compaction. */
size_t index_find_id(const struct index *ix, uint64_t id);
size_t index_find_name(const struct index *ix, const char *name, size_t len);
size_t index_find_uid(const struct index *ix, uint32_t uid);
/* The first record with an id above `after`, dead or not. */
size_t index_first_after(const struct index *ix, uint64_t after);

/* Every record that has a UID loses it, and the living ones are unmoored. */
void index_unmoor(struct index *ix);
/* Make room: after it, `n` unmoored records can be moored. */
MUST_CHECK int index_reserve_uids(struct index *ix, size_t n);
/* Of an unmoored record; no other has this UID. */
void index_moor(struct index *ix, size_t pos, uint32_t uid);

/* Of a living record: it only waits to go. */
void index_doom(struct index *ix, size_t pos);
/* Of a living record. It leaves both tables. */
void index_kill(struct index *ix, size_t pos);
/* Of a dead record that nobody holds: it may be forgotten. */
void index_note_gone(struct index *ix, size_t pos);
/* Forget what is gone if that is a good part. */
void index_compact(struct index *ix);

/*
 * `wanted`, or the first of its twins (`.2` before `.eml`) that is free.
 * `ret` holds CACHE_NAME_MAX + 1 bytes. Returns the length.
 */
size_t index_free_name(const struct index *ix, const char *wanted, char *ret);

/* May a file have this name? */
bool index_name_is_valid(const char *name, size_t len);

#endif
