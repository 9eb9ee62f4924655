/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The rows of messages in SQL: what box.c keeps in memory (table messages) and
 * what it does not (table details). Operations are built without locks, filled
 * in and pushed under the lock of the box, so that memory and disk agree on
 * the order of changes.
 */
#ifndef IMAPFS_CACHE_MESSAGES_H
#define IMAPFS_CACHE_MESSAGES_H

#include <sqlite3.h>

#include "cache/index.h"
#include "cache/internal.h"
#include "cache/writer.h"

/* The texts of a row: its header fields, then these three. */
enum { TEXT_KEYWORDS = N_FIELDS, TEXT_GM_LABELS, TEXT_EMAILID, N_TEXTS };

struct add_row {
	uint64_t id; /* 0: this row is left out */
	uint32_t uid;
	uint32_t flags;
	uint64_t size;
	int64_t internaldate;
	uint32_t changed_at;
	uint32_t keywords; /* their hash */
	uint64_t gm_msgid, gm_thrid;
	char *name; /* room for CACHE_NAME_MAX + 1 bytes only if it grows */
	const char *text[N_TEXTS];
};

struct add_op {
	struct op op;
	bool has_state;
	struct cache_state state;
	size_t n;
	struct add_row row[]; /* then their strings */
};

/* Copies of the rows, without ids. NULL: no memory. */
struct add_op *messages_add_new(uint64_t folder, const struct cache_new *rows,
				size_t n);

/*
 * recall.c: note whether one of these, or of those on the disk, has an
 * X-GM-MSGID.
 */
void recall_note(struct cache *c, const struct cache_new *rows, size_t n);
MUST_CHECK int recall_init(struct cache *c);

struct flags_row {
	uint64_t id; /* 0: left out */
	uint32_t flags;
	uint32_t changed_at;
	uint32_t keywords; /* their hash */
	/* NULL: as they were */
	const char *text; /* keywords */
	const char *labels;
};

struct flags_op {
	struct op op;
	size_t n;
	struct flags_row row[];
};

struct flags_op *messages_flags_new(uint64_t folder,
				    const struct cache_flags *v, size_t n);

/* In the writer's transaction: S_DETAIL_KEYWORDS or S_DETAIL_LABELS. */
MUST_CHECK int messages_set_text(struct cache *c, enum stmt s, uint64_t id,
				 const char *text);

struct remove_op {
	struct op op;
	bool has_state;
	struct cache_state state;
	size_t n;
	uint64_t id[];
};

/* NULL: no memory. The bodies that nobody else has go too. */
struct remove_op *messages_remove_new(uint64_t folder, const uint64_t *ids,
				      size_t n);

/* --- moor.c --- */

/* The UID of a row on disk that is unmoored: no server gives it. */
#define UNMOORED_UID 0

struct op *messages_size_new(uint64_t folder, uint64_t id, uint64_t size);

/* folders.c: the state of a folder alone, and inside another operation. */
struct op *folders_state_new(uint64_t folder, const struct cache_state *s);
int folders_write_state(struct cache *c, uint64_t folder,
			const struct cache_state *s);

/* Its mtime moves, if it is not later already. */
MUST_CHECK int folders_touch(struct cache *c, uint64_t folder,
			     int64_t changed_at_ns);

/* It is to be listed again from the top; rows that are there stay. */
MUST_CHECK int folders_relist(struct cache *c, uint64_t folder);

/* The state of a folder from SQL; -ENOENT: no such folder. */
int folders_read_state(struct cache *c, uint64_t folder,
		       struct cache_state *ret);

/*
 * For messages_read.c too: the bytes of a text with its NUL, 0 for NULL; a copy
 * of one in a pool, which moves on; seconds as the index keeps them.
 */
size_t messages_text_bytes(const char *s);
char *messages_copy_text(char **pool, const char *s);
uint32_t messages_clamp_time(int64_t t);

/* Every sound row of a folder into an empty index. -EBADMSG, -EIO, -ENOMEM. */
int messages_load(struct cache *c, uint64_t folder, struct index *ix);

/* Of a statement that begins with the columns of S_DETAIL_GET. NULL: memory. */
struct cache_details *messages_copy_details(sqlite3_stmt *st);

/* The details of one message. -ENOENT. */
int messages_read_details(struct cache *c, uint64_t id,
			  struct cache_details **ret);

#endif
