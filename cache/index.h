/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The packed index of one folder: records, an arena of names, and two hash
 * tables (by name, by UID) whose slots are four bytes. About 115 bytes a
 * message with names of 60 bytes. No locks and no I/O: the box that owns the
 * index guards it.
 *
 * A record has a place (its position), and a rank among all by ascending id.
 * The two are the same unless a message was moved here (index_insert()).
 *
 * A record that is killed leaves both tables at once; its place goes when
 * nobody holds it any more and the next compaction comes by.
 */
#ifndef IMAPFS_CACHE_INDEX_H
#define IMAPFS_CACHE_INDEX_H

#include "cache/cache.h"

#define INDEX_NONE SIZE_MAX

/* A slot of a table has 24 bits for a position (see table.c). */
#define INDEX_RECORDS_MAX ((1u << 24) - 2)
_Static_assert(INDEX_RECORDS_MAX > MAIL_MESSAGES_MAX + MAIL_MESSAGES_MAX / 2,
	       "a mailbox, and the dead ones that wait for a compaction");

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
	struct area order;    /* positions by rank, if is_mixed */
	bool is_mixed;        /* records do not stand in the order of ids */
	bool has_stray_names; /* names do not stand in that of records */
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

/*
 * Make room: after it, `n` appends of `name_bytes` in all cannot fail; nor can
 * renaming, or setting UIDs. A compaction leaves it.
 */
MUST_CHECK int index_reserve(struct index *ix, size_t n, size_t name_bytes);
/* The same for index_insert(), in addition. */
MUST_CHECK int index_reserve_order(struct index *ix, size_t n);

/* `r->id` is above all others; `name_at` and `name_len` are set here. */
void index_append(struct index *ix, const struct record *r, const char *name,
		  size_t len);
/*
 * A record with any id that no living record has. If there is a dead one with
 * it, that lives again, held as `r` says.
 */
void index_insert(struct index *ix, const struct record *r, const char *name,
		  size_t len);

struct record *index_at(const struct index *ix, size_t pos);
const char *index_name(const struct index *ix, const struct record *r);

/* Positions, or INDEX_NONE. They hold until the next compaction. */
size_t index_find_id(const struct index *ix, uint64_t id);
size_t index_find_name(const struct index *ix, const char *name, size_t len);
size_t index_find_uid(const struct index *ix, uint32_t uid);

/* The first rank whose record has an id above `after`, dead or not. */
size_t index_rank_after(const struct index *ix, uint64_t after);
size_t index_pos(const struct index *ix, size_t rank);
struct record *index_ranked(const struct index *ix, size_t rank);

/* Every record that has a UID loses it, and the living ones are unmoored. */
void index_unmoor(struct index *ix);
/* Make room: after it, `n` records without a UID can get one. */
MUST_CHECK int index_reserve_uids(struct index *ix, size_t n);
/* Of a living record; no other has this UID. 0: none. */
void index_set_uid(struct index *ix, size_t pos, uint32_t uid);
/* Of a living record without a UID. */
void index_set_unmoored(struct index *ix, size_t pos, bool is_unmoored);
/* Of a living record; the name is free. index_reserve() comes first. */
void index_set_name(struct index *ix, size_t pos, const char *name, size_t len);

/* Of a living record: it only waits to go. */
void index_doom(struct index *ix, size_t pos);
/* Of a living record. It leaves both tables. */
void index_kill(struct index *ix, size_t pos);
/* It is not here any more, whoever holds it: it went to another folder. */
void index_take(struct index *ix, size_t pos);
/* Of a dead record that nobody holds: it may be forgotten. */
void index_note_gone(struct index *ix, size_t pos);
/* As if it had just been loaded: nothing is held, all that is here is shown. */
void index_forget_kernel(struct index *ix);
/* Forget what is gone if that is a good part. */
void index_compact(struct index *ix);

/*
 * `wanted`, or the first of its twins (`.2` before `.eml`) that is free.
 * `ret` holds CACHE_NAME_MAX + 1 bytes. Returns the length.
 */
size_t index_free_name(const struct index *ix, const char *wanted, char *ret);

/* Twin number `k` of `wanted`, cut at a character if it grows too long. */
size_t index_twin_name(const char *wanted, uint32_t k, char *ret);

/* May a file have this name? */
bool index_name_is_valid(const char *name, size_t len);

/* --- table.c, for index.c: memory, and tables of positions --- */

MUST_CHECK int area_reserve(struct area *a, size_t bytes);
void area_free(struct area *a);
/* Make room for `more` positions. */
MUST_CHECK int table_reserve(struct index *ix, struct table *t, size_t more);
void table_put(const struct index *ix, struct table *t, size_t pos);
void table_remove(const struct index *ix, struct table *t, size_t pos);
/* All living records, into an empty table. */
void table_fill(struct index *ix, struct table *t);

#endif
