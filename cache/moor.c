/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/blob.h"
#include "cache/server.h"

/*
 * Rows whose mailbox has other UIDs now (C6), and finding out which message of
 * the new listing each of them is (match.c compares).
 *
 * On disk an unmoored row has the UID UNMOORED_UID; one that is pending (the
 * journal has its record) has NULL, and is not meant by anything here. The
 * texts that keys are made of are read in lots, so that others who read SQL do
 * not wait for a whole folder.
 */

#define WALK_LOT 1000

/* Columns of messages and details, as messages.c knows them. */
const struct sql db_moor_sql[] = {
	{S_MOOR_CUT, "UPDATE messages SET uid = 0"
		     " WHERE folder = ? AND uid <> 0"},
	{S_MOOR_SET, "UPDATE messages SET uid = ?"
		     " WHERE folder = ? AND id = ? AND uid = 0"},
	/* The size that the server told, right or wrong: it will again. */
	{S_MOOR_WALK, "SELECT m.id, m.uid, coalesce(nullif(d.size, 0), m.size),"
		      " m.internaldate, d.gm_msgid, d.message_id, d.emailid,"
		      " d.blob IS NULL FROM messages m"
		      " JOIN details d ON d.id = m.id"
		      " WHERE m.folder = ?1 AND m.id > ?2"
		      " AND m.uid IS NOT NULL"
		      " ORDER BY m.id LIMIT ?3"},
	{0, NULL},
};

/* --- losing and getting UIDs --- */

struct unmoor_op {
	struct op op;
	struct cache_state state;
};

static int run_unmoor(struct cache *c, struct op *op)
{
	int r;

	db_bind_int(&c->write, S_MOOR_CUT, 1, (int64_t)op->folder);
	r = db_run(&c->write, S_MOOR_CUT);
	if (r == 0)
		r = folders_write_state(c, op->folder,
					&((struct unmoor_op *)op)->state);
	return r;
}

int box_unmoor(struct box *b, const struct cache_state *s, size_t *ret_n)
{
	struct unmoor_op *op;
	int r = writer_wait_room(b->c);

	if (r != 0)
		return r;
	op = op_new(sizeof(*op), run_unmoor, b->folder);
	if (!op)
		return -ENOMEM;

	op->state = *s;
	lock_take(&b->c->journal.lock);
	lock_take(&b->lock);
	index_unmoor(&b->index);
	b->state = *s;
	*ret_n = b->index.n_unmoored;
	writer_push(b->c, &op->op);
	lock_drop(&b->lock);
	lock_drop(&b->c->journal.lock);
	return 0;
}

size_t box_unmoored(struct box *b)
{
	size_t n;

	lock_take(&b->lock);
	n = b->index.n_unmoored;
	lock_drop(&b->lock);
	return n;
}

int box_unmoored_ids(struct box *b, uint64_t **ret, size_t *ret_n)
{
	uint64_t *ids;
	size_t n = 0;

	lock_take(&b->lock);
	ids = malloc((b->index.n_unmoored + 1) * sizeof(*ids));
	for (size_t pos = 0; ids && pos < b->index.n; pos++) {
		const struct record *r = index_at(&b->index, pos);

		if (r->state & RECORD_UNMOORED)
			ids[n++] = r->id;
	}
	lock_drop(&b->lock);
	if (!ids)
		return -ENOMEM;
	*ret = ids;
	*ret_n = n;
	return 0;
}

struct moor_op {
	struct op op;
	size_t n;
	struct cache_moor row[]; /* id 0: left out */
};

static int run_moor(struct cache *c, struct op *op)
{
	const struct moor_op *m = (const struct moor_op *)op;
	struct db *db = &c->write;
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n; i++) {
		if (m->row[i].id == 0)
			continue;
		db_bind_int(db, S_MOOR_SET, 1, m->row[i].uid);
		db_bind_int(db, S_MOOR_SET, 2, (int64_t)op->folder);
		db_bind_int(db, S_MOOR_SET, 3, (int64_t)m->row[i].id);
		r = db_run(db, S_MOOR_SET);
	}
	return r;
}

static bool may_moor(const struct box *b, const struct cache_moor *row)
	REQUIRES(b->lock)
{
	size_t pos = index_find_id(&b->index, row->id);

	return pos != INDEX_NONE && row->uid != 0 &&
	       (index_at(&b->index, pos)->state & RECORD_UNMOORED) &&
	       index_find_uid(&b->index, row->uid) == INDEX_NONE;
}

/* Also of two rows with one UID the second one is left out. */
static void moor_all(struct box *b, struct moor_op *op)
{
	lock_take(&b->lock);
	for (size_t i = 0; i < op->n; i++) {
		struct cache_moor *row = &op->row[i];

		if (may_moor(b, row))
			index_set_uid(&b->index,
				      index_find_id(&b->index, row->id),
				      row->uid);
		else
			row->id = 0;
	}
	lock_drop(&b->lock);
}

static int reserve(struct box *b, struct moor_op *op)
{
	int r;

	lock_take(&b->lock);
	r = index_reserve_uids(&b->index, op->n);
	for (size_t i = 0; r == 0 && i < op->n; i++) {
		if (!may_moor(b, &op->row[i]))
			op->row[i].id = 0;
	}
	lock_drop(&b->lock);
	return r;
}

int box_moor(struct box *b, const struct cache_moor *v, size_t n)
{
	struct moor_op *op;
	struct plan p;
	int r = writer_wait_room(b->c);

	if (r != 0)
		return r;
	op = op_new(sizeof(*op) + n * sizeof(v[0]), run_moor, b->folder);
	if (!op)
		return -ENOMEM;

	op->n = n;
	if (n > 0)
		memcpy(op->row, v, n * sizeof(v[0]));
	plan_init(&p, b->c);
	lock_take(&p.c->journal.lock);
	r = reserve(b, op);
	if (r == 0)
		r = server_moored_locked(&p, b, op->row, n);
	if (r == 0) {
		moor_all(b, op);
		writer_push(b->c, &op->op);
	}
	lock_drop(&p.c->journal.lock);
	if (r != 0)
		op_free(&op->op);
	return r;
}

/* --- what is on disk of each row --- */

/* What a walk hands out; it may keep nothing of `row`. */
typedef int (*walk_fn)(void *ctx, uint64_t id, const struct mail_row *row,
		       bool has_body);

static int walk_row(sqlite3_stmt *st, walk_fn fn, void *ctx)
{
	struct mail_row row = {
		.has = ROW_SIZE | ROW_DATE | ROW_FIELDS | ROW_GM | ROW_EMAILID,
		.uid = (uint32_t)sqlite3_column_int64(st, 1),
		.size = (uint64_t)sqlite3_column_int64(st, 2),
		.internaldate = sqlite3_column_int64(st, 3),
		.gm_msgid = (uint64_t)sqlite3_column_int64(st, 4),
	};

	row.field[FIELD_MESSAGE_ID] = (const char *)sqlite3_column_text(st, 5);
	row.emailid = (const char *)sqlite3_column_text(st, 6);
	return fn(ctx, (uint64_t)sqlite3_column_int64(st, 0), &row,
		  sqlite3_column_int(st, 7) == 0);
}

/* One lot of rows with ids above `*after`, which moves on: how many. */
static int walk_lot(struct box *b, uint64_t *after, walk_fn fn, void *ctx)
{
	struct db *db = &b->c->read;
	int n = 0, r;

	lock_take(&b->c->read_lock);
	db_bind_int(db, S_MOOR_WALK, 1, (int64_t)b->folder);
	db_bind_int(db, S_MOOR_WALK, 2, (int64_t)*after);
	db_bind_int(db, S_MOOR_WALK, 3, WALK_LOT);
	while ((r = db_step(db, S_MOOR_WALK)) == 1) {
		*after = (uint64_t)sqlite3_column_int64(db->stmt[S_MOOR_WALK],
							0);
		n++;
		r = walk_row(db->stmt[S_MOOR_WALK], fn, ctx);
		if (r != 0)
			break;
	}
	db_reset(db, S_MOOR_WALK);
	lock_drop(&b->c->read_lock);
	if (r == -EBADMSG)
		store_mark_damaged(b->c);
	return r != 0 ? r : n;
}

static int walk(struct box *b, walk_fn fn, void *ctx)
{
	uint64_t after = 0;
	int n;

	/* Rows that are still on their way to the disk are waited for. */
	(void)writer_drain(b->c, b->folder);
	do
		n = walk_lot(b, &after, fn, ctx);
	while (n == WALK_LOT);
	return n < 0 ? n : 0;
}

/* Room for one more element of `size` bytes; capacities are powers of two. */
static int grow(void **v, size_t n, size_t size)
{
	void *bigger;

	if (n != 0 && (n & (n - 1)) != 0)
		return 0;
	bigger = realloc(*v, (n ? n * 2 : 1) * size);
	if (!bigger)
		return -ENOMEM;
	*v = bigger;
	return 0;
}

struct key_walk {
	struct cache *c;
	struct cache_key *v;
	size_t n;
};

static int take_key(void *ctx, uint64_t id, const struct mail_row *row,
		    bool has_body)
{
	struct key_walk *w = ctx;
	struct cache_key key;

	(void)has_body;
	if (row->uid != UNMOORED_UID || !cache_key_of(w->c, row, &key))
		return 0;
	if (grow((void **)&w->v, w->n, sizeof(w->v[0])) != 0)
		return -ENOMEM;
	key.of = id;
	w->v[w->n++] = key;
	return 0;
}

int box_unmoored_keys(struct box *b, struct cache_key **ret, size_t *ret_n)
{
	struct key_walk w = {.c = b->c};
	int r = walk(b, take_key, &w);

	if (r != 0) {
		free(w.v);
		return r;
	}
	*ret = w.v;
	*ret_n = w.n;
	return 0;
}

struct missing {
	uint32_t uid;
	uint64_t id;
};

struct missing_walk {
	struct missing *v;
	size_t n;
};

static int take_missing(void *ctx, uint64_t id, const struct mail_row *row,
			bool has_body)
{
	struct missing_walk *w = ctx;

	if (has_body || row->uid == UNMOORED_UID)
		return 0;
	if (grow((void **)&w->v, w->n, sizeof(w->v[0])) != 0)
		return -ENOMEM;
	w->v[w->n++] = (struct missing){row->uid, id};
	return 0;
}

static int by_uid_descending(const void *a, const void *b)
{
	const struct missing *x = a, *y = b;

	return (x->uid < y->uid) - (x->uid > y->uid);
}

int box_missing_bodies(struct box *b, uint64_t **ret, size_t *ret_n)
{
	struct missing_walk w = {0};
	uint64_t *ids = NULL;
	int r;

	/* Bodies are published by operations of no folder. */
	(void)writer_drain(b->c, 0);
	r = walk(b, take_missing, &w);
	if (r == 0) {
		ids = malloc((w.n + 1) * sizeof(*ids));
		r = ids ? 0 : -ENOMEM;
	}
	if (r == 0) {
		if (w.n > 0)
			qsort(w.v, w.n, sizeof(w.v[0]), by_uid_descending);
		for (size_t i = 0; i < w.n; i++)
			ids[i] = w.v[i].id;
		*ret = ids;
		*ret_n = w.n;
	}
	free(w.v);
	return r;
}
