/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/messages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "cache/blob.h"
#include "cache/internal.h"
#include "imap/log.h"

/*
 * The SQL of messages, in two tables. `messages` has what the packed index
 * needs and is clustered by folder and id: opening a folder is one scan of
 * neighbouring pages. `details` has the long rest, by id alone; it is read for
 * one message at a time, and knows the message's body. Neither has an index
 * on UIDs: the packed index keeps them unique, and rows go in twice as fast.
 * messages_read.c reads the rows back.
 *
 * The functions named run_* are called by the writer thread.
 */

#define MSG_COLUMNS 9
#define MSG_ROW "(?, ?, ?, ?, ?, ?, ?, ?, ?)"
#define ADD_MSG                                                                \
	"INSERT OR IGNORE INTO messages (folder, id, uid, flags, size,"        \
	" internaldate, changed_at, keywords, name) VALUES " MSG_ROW

#define DETAIL_COLUMNS 13
#define DETAIL_ROW "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
#define ADD_DETAIL                                                             \
	"INSERT OR IGNORE INTO details (id, date, from_, to_, cc, subject,"    \
	" message_id, keywords, gm_labels, emailid, gm_msgid, gm_thrid, size)" \
	" VALUES " DETAIL_ROW
/* What messages_copy_details() takes. */
#define DETAILS                                                                \
	"date, from_, to_, cc, subject, message_id, keywords, gm_labels,"      \
	" emailid, gm_msgid, gm_thrid"

/*
 * The body of another copy of `d`: of the one message that has several labels,
 * or of one to which the server gives the same EMAILID and the same size. It
 * may give them to thousands, so no other column is compared but those of the
 * index.
 */
#define SAME_EMAILID "t.emailid = d.emailid AND t.size = d.size AND t.size <> 0"
#define TWIN_BLOB                                                              \
	"coalesce((SELECT t.blob FROM details t"                               \
	" WHERE t.gm_msgid = d.gm_msgid AND t.gm_msgid <> 0"                   \
	" AND t.blob IS NOT NULL LIMIT 1),"                                    \
	" (SELECT t.blob FROM details t WHERE " SAME_EMAILID                   \
	" AND t.blob > x'' LIMIT 1))"

/* Half of what a row costs is beginning and ending a statement. */
#define ADD_AT_ONCE 10
#define NINE_MORE(row)                                                         \
	", " row ", " row ", " row ", " row ", " row ", " row ", " row         \
	", " row ", " row

const struct sql db_messages_sql[] = {
	{S_MSG_ADD, ADD_MSG},
	{S_MSG_ADD_TEN, ADD_MSG NINE_MORE(MSG_ROW)},
	{S_MSG_FLAGS, "UPDATE messages SET flags = ?, changed_at = ?,"
		      " keywords = ? WHERE folder = ? AND id = ?"},
	{S_MSG_SIZE, "UPDATE messages SET size = ?"
		     " WHERE folder = ? AND id = ?"},
	{S_MSG_REMOVE, "DELETE FROM messages WHERE folder = ? AND id = ?"},
	{S_MSG_LOAD, "SELECT id, uid, flags, size, internaldate, changed_at,"
		     " keywords, name FROM messages WHERE folder = ?"
		     " ORDER BY id"},
	{S_MSG_DROP_FOLDER, "DELETE FROM messages WHERE folder = ?"},
	{S_MSG_IDS, "SELECT id FROM messages WHERE folder = ?"
		    " ORDER BY id LIMIT 1000"},
	{S_DETAIL_ADD, ADD_DETAIL},
	{S_DETAIL_ADD_TEN, ADD_DETAIL NINE_MORE(DETAIL_ROW)},
	{S_DETAIL_KEYWORDS, "UPDATE details SET keywords = ? WHERE id = ?"},
	{S_DETAIL_LABELS, "UPDATE details SET gm_labels = ? WHERE id = ?"},
	{S_DETAIL_REMOVE, "DELETE FROM details WHERE id = ?"},
	{S_DETAIL_GET, "SELECT " DETAILS " FROM details WHERE id = ?"},
	{S_DETAIL_MAX_ID, "SELECT max(id) FROM details"},
	{S_DETAIL_BLOB,
	 "SELECT coalesce(d.blob, " TWIN_BLOB "), d.blob IS NULL,"
	 " EXISTS (SELECT 1 FROM details t WHERE " SAME_EMAILID
	 "  AND t.id <> d.id) FROM details d WHERE d.id = ?"},
	{S_DETAIL_BLOBS,
	 "SELECT d.id, coalesce(d.blob, " TWIN_BLOB ") AS key FROM details d"
	 " WHERE d.id BETWEEN ? AND ? AND key IS NOT NULL ORDER BY d.id"},
	{S_DETAIL_SET_BLOB, "UPDATE details SET blob = ? WHERE id = ?"},
	{S_DETAIL_CLEAR_BLOB, "UPDATE details SET blob = NULL WHERE blob = ?"},
	{S_DETAIL_USES_BLOB, "SELECT 1 FROM details WHERE blob = ? LIMIT 1"},
	{S_DETAIL_TWIN, "SELECT " DETAILS " FROM details WHERE gm_msgid = ?"
			" AND gm_msgid <> 0 AND size = ? LIMIT 1"},
	{S_DETAIL_GM_IN, "SELECT 1 FROM details d JOIN messages m"
			 " ON m.folder = ?2 AND m.id = d.id"
			 " WHERE d.gm_msgid = ?1 AND d.gm_msgid <> 0 LIMIT 1"},
	{S_DETAIL_ANY_GM, "SELECT 1 FROM details WHERE gm_msgid <> 0 LIMIT 1"},
	{0, NULL},
};

uint32_t cache_keywords_hash(const char *keywords)
{
	uint32_t sum = 0;

	/* Servers list keywords in any order: the order must not matter. */
	while (keywords && *keywords) {
		size_t len = strcspn(keywords, " ");

		if (len > 0)
			sum += (uint32_t)XXH3_64bits(keywords, len) | 1;
		keywords += len;
		keywords += strspn(keywords, " ");
	}
	return sum;
}

uint32_t messages_clamp_time(int64_t t)
{
	if (t < 0)
		return 0;
	return t > UINT32_MAX ? UINT32_MAX : (uint32_t)t;
}

/* --- adding --- */

size_t messages_text_bytes(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

static const char *row_text(const struct mail_row *row, int i)
{
	if (i == TEXT_KEYWORDS)
		return row->has & ROW_FLAGS ? row->keywords : NULL;
	if (i == TEXT_GM_LABELS)
		return row->has & ROW_LABELS ? row->gm_labels : NULL;
	if (i == TEXT_EMAILID)
		return row->has & ROW_EMAILID ? row->emailid : NULL;
	return row->has & ROW_FIELDS ? row->field[i] : NULL;
}

/* A twin's name is at most this much longer than the one wanted. */
#define NAME_ROOM 16

char *messages_copy_text(char **pool, const char *s)
{
	size_t n = messages_text_bytes(s);
	char *at = *pool;

	if (!s)
		return NULL;
	memcpy(at, s, n);
	*pool += n;
	return at;
}

static void copy_row(struct add_row *to, const struct cache_new *from,
		     char **pool)
{
	const struct mail_row *row = from->row;

	to->uid = row->uid;
	to->flags = row->has & ROW_FLAGS ? row->flags & RECORD_FLAGS : 0;
	to->size = row->has & ROW_SIZE ? row->size : 0;
	to->internaldate = row->has & ROW_DATE ? row->internaldate : 0;
	to->changed_at = messages_clamp_time(to->internaldate);
	to->gm_msgid = row->has & ROW_GM ? row->gm_msgid : 0;
	to->gm_thrid = row->has & ROW_GM ? row->gm_thrid : 0;
	for (int i = 0; i < N_TEXTS; i++)
		to->text[i] = messages_copy_text(pool, row_text(row, i));
	to->keywords = cache_keywords_hash(to->text[TEXT_KEYWORDS]);
	to->name = messages_copy_text(pool, from->name);
	*pool += NAME_ROOM;
}

/* The arguments of a row begin behind `at`. */
static void bind_msg(struct db *db, enum stmt s, int at, uint64_t folder,
		     const struct add_row *row)
{
	db_bind_int(db, s, at + 1, (int64_t)folder);
	db_bind_int(db, s, at + 2, (int64_t)row->id);
	db_bind_int(db, s, at + 3, row->uid);
	db_bind_int(db, s, at + 4, row->flags);
	db_bind_int(db, s, at + 5, (int64_t)row->size);
	db_bind_int(db, s, at + 6, row->internaldate);
	db_bind_int(db, s, at + 7, row->changed_at);
	db_bind_int(db, s, at + 8, row->keywords);
	db_bind_text(db, s, at + MSG_COLUMNS, row->name);
}

static void bind_detail(struct db *db, enum stmt s, int at,
			const struct add_row *row)
{
	db_bind_int(db, s, at + 1, (int64_t)row->id);
	for (int i = 0; i < N_TEXTS; i++)
		db_bind_text(db, s, at + 2 + i, row->text[i]);
	db_bind_int(db, s, at + 2 + N_TEXTS, (int64_t)row->gm_msgid);
	db_bind_int(db, s, at + 3 + N_TEXTS, (int64_t)row->gm_thrid);
	db_bind_int(db, s, at + DETAIL_COLUMNS, (int64_t)row->size);
}

/* `n` rows went in, or those that were there already stay as they were. */
static int run_insert(struct db *db, enum stmt s, int n)
{
	int r = db_run(db, s);

	if (r == 0 && sqlite3_changes(db->handle) != n)
		log_warn("cache: a row was left out: its id is there already");
	return r;
}

/* One row, or ADD_AT_ONCE of them. */
static int add_some(struct cache *c, uint64_t folder,
		    struct add_row *const *rows, int n)
{
	enum stmt msg = n == 1 ? S_MSG_ADD : S_MSG_ADD_TEN;
	enum stmt detail = n == 1 ? S_DETAIL_ADD : S_DETAIL_ADD_TEN;
	struct db *db = &c->write;
	int r;

	for (int i = 0; i < n; i++) {
		bind_msg(db, msg, i * MSG_COLUMNS, folder, rows[i]);
		bind_detail(db, detail, i * DETAIL_COLUMNS, rows[i]);
	}
	r = run_insert(db, msg, n);
	return r == 0 ? run_insert(db, detail, n) : r;
}

static int run_add(struct cache *c, struct op *op)
{
	struct add_op *a = (struct add_op *)op;
	struct add_row *some[ADD_AT_ONCE];
	int n = 0, r = 0;

	for (size_t i = 0; r == 0 && i < a->n; i++) {
		if (a->row[i].id == 0)
			continue;
		some[n++] = &a->row[i];
		if (n < ADD_AT_ONCE)
			continue;
		r = add_some(c, op->folder, some, n);
		n = 0;
	}
	for (int i = 0; r == 0 && i < n; i++)
		r = add_some(c, op->folder, &some[i], 1);
	if (r == 0 && a->has_state)
		r = folders_write_state(c, op->folder, &a->state);
	return r;
}

struct add_op *messages_add_new(uint64_t folder, const struct cache_new *rows,
				size_t n)
{
	size_t bytes = sizeof(struct add_op) + n * sizeof(struct add_row);
	struct add_op *op;
	char *pool;

	for (size_t i = 0; i < n; i++) {
		for (int t = 0; t < N_TEXTS; t++)
			bytes += messages_text_bytes(row_text(rows[i].row, t));
		bytes += messages_text_bytes(rows[i].name) + NAME_ROOM;
	}
	op = op_new(bytes, run_add, folder);
	if (!op)
		return NULL;

	op->n = n;
	pool = (char *)&op->row[n];
	for (size_t i = 0; i < n; i++)
		copy_row(&op->row[i], &rows[i], &pool);
	return op;
}

/* --- flags and size --- */

int messages_set_text(struct cache *c, enum stmt s, uint64_t id,
		      const char *text)
{
	db_bind_text(&c->write, s, 1, text);
	db_bind_int(&c->write, s, 2, (int64_t)id);
	return db_run(&c->write, s);
}

static int run_flags(struct cache *c, struct op *op)
{
	struct flags_op *f = (struct flags_op *)op;
	struct db *db = &c->write;
	int r = 0;

	for (size_t i = 0; r == 0 && i < f->n; i++) {
		const struct flags_row *row = &f->row[i];

		if (row->id == 0)
			continue;
		db_bind_int(db, S_MSG_FLAGS, 1, row->flags);
		db_bind_int(db, S_MSG_FLAGS, 2, row->changed_at);
		db_bind_int(db, S_MSG_FLAGS, 3, row->keywords);
		db_bind_int(db, S_MSG_FLAGS, 4, (int64_t)op->folder);
		db_bind_int(db, S_MSG_FLAGS, 5, (int64_t)row->id);
		r = db_run(db, S_MSG_FLAGS);
		if (r == 0 && row->text)
			r = messages_set_text(c, S_DETAIL_KEYWORDS, row->id,
					      row->text);
		if (r == 0 && row->labels)
			r = messages_set_text(c, S_DETAIL_LABELS, row->id,
					      row->labels);
	}
	return r;
}

struct flags_op *messages_flags_new(uint64_t folder,
				    const struct cache_flags *v, size_t n)
{
	size_t bytes = sizeof(struct flags_op) + n * sizeof(struct flags_row);
	uint32_t now = messages_clamp_time(time(NULL));
	struct flags_op *op;
	char *pool;

	for (size_t i = 0; i < n; i++)
		bytes += messages_text_bytes(v[i].keywords) +
			 messages_text_bytes(v[i].labels);
	op = op_new(bytes, run_flags, folder);
	if (!op)
		return NULL;

	op->n = n;
	pool = (char *)&op->row[n];
	for (size_t i = 0; i < n; i++) {
		struct flags_row *row = &op->row[i];

		row->id = v[i].id;
		row->flags = v[i].flags & RECORD_FLAGS;
		row->changed_at = now;
		row->text = messages_copy_text(&pool, v[i].keywords);
		row->keywords = cache_keywords_hash(row->text);
		row->labels = messages_copy_text(&pool, v[i].labels);
	}
	return op;
}

struct size_op {
	struct op op;
	uint64_t id;
	uint64_t size;
};

static int run_size(struct cache *c, struct op *op)
{
	struct size_op *s = (struct size_op *)op;

	db_bind_int(&c->write, S_MSG_SIZE, 1, (int64_t)s->size);
	db_bind_int(&c->write, S_MSG_SIZE, 2, (int64_t)op->folder);
	db_bind_int(&c->write, S_MSG_SIZE, 3, (int64_t)s->id);
	return db_run(&c->write, S_MSG_SIZE);
}

struct op *messages_size_new(uint64_t folder, uint64_t id, uint64_t size)
{
	struct size_op *op = op_new(sizeof(*op), run_size, folder);

	if (!op)
		return NULL;
	op->id = id;
	op->size = size;
	return &op->op;
}

/* --- removing --- */

static int run_remove(struct cache *c, struct op *op)
{
	struct remove_op *rm = (struct remove_op *)op;
	int r = 0;

	for (size_t i = 0; r == 0 && i < rm->n; i++) {
		db_bind_int(&c->write, S_MSG_REMOVE, 1, (int64_t)op->folder);
		db_bind_int(&c->write, S_MSG_REMOVE, 2, (int64_t)rm->id[i]);
		r = db_run(&c->write, S_MSG_REMOVE);
		if (r == 0)
			r = blob_forget_message(c, rm->id[i]);
	}
	if (r == 0 && rm->has_state)
		r = folders_write_state(c, op->folder, &rm->state);
	return r;
}

struct remove_op *messages_remove_new(uint64_t folder, const uint64_t *ids,
				      size_t n)
{
	struct remove_op *op =
		op_new(sizeof(*op) + n * sizeof(ids[0]), run_remove, folder);

	if (!op)
		return NULL;
	op->n = n;
	if (n > 0)
		memcpy(op->id, ids, n * sizeof(ids[0]));
	return op;
}
