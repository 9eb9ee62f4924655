/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/blob.h"
#include "cache/changes.h"
#include "cache/internal.h"
#include "imap/log.h"

/*
 * The SQL of folders: what LIST said, and how far each is known. There are
 * few of them, so they are read as a whole and written one by one.
 */

const struct sql db_folders_sql[] = {
	{S_FOLDER_LIST,
	 "SELECT uidvalidity, uidnext, low_uid, complete, highestmodseq,"
	 " messages, synced_at, changed_at_ns, id, wire, delimiter, attrs,"
	 " kept FROM folders ORDER BY id"},
	{S_FOLDER_SAVE, "INSERT INTO folders (id, wire, delimiter, attrs)"
			" VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO UPDATE"
			" SET wire = ?2, delimiter = ?3, attrs = ?4"},
	{S_FOLDER_DROP, "DELETE FROM folders WHERE id = ?"},
	{S_FOLDER_MAX_ID, "SELECT max(id) FROM folders"},
	{S_FOLDER_TOUCH, "UPDATE folders SET changed_at_ns ="
			 " max(changed_at_ns, ?) WHERE id = ?"},
	{S_FOLDER_RELIST, "UPDATE folders SET low_uid = 0, complete = 0"
			  " WHERE id = ?"},
	{S_FOLDER_KEEP, "UPDATE folders SET kept = ? WHERE id = ?"},
	{S_STATE_GET, "SELECT uidvalidity, uidnext, low_uid, complete,"
		      " highestmodseq, messages, synced_at, changed_at_ns"
		      " FROM folders WHERE id = ?"},
	{S_STATE_SET, "UPDATE folders SET uidvalidity = ?, uidnext = ?,"
		      " low_uid = ?, complete = ?, highestmodseq = ?,"
		      " messages = ?, synced_at = ?, changed_at_ns = ?"
		      " WHERE id = ?"},
	{0, NULL},
};

/* --- reading --- */

/* A growing copy of the table: the rows, and their names one after another. */
struct list {
	struct cache_folder *row;
	size_t n, room;
	char *names;
	size_t used, names_room;
};

static int grow(void **at, size_t *room, size_t need, size_t size)
{
	size_t want = *room ? *room * 2 : 64;
	void *p;

	if (need <= *room)
		return 0;
	if (want < need)
		want = need;
	p = realloc(*at, want * size);
	if (!p)
		return -ENOMEM;
	*at = p;
	*room = want;
	return 0;
}

/* Both statements that give a state begin with its columns. */
static void read_state(sqlite3_stmt *st, struct cache_state *ret)
{
	*ret = (struct cache_state){
		.uidvalidity = (uint32_t)sqlite3_column_int64(st, 0),
		.uidnext = (uint32_t)sqlite3_column_int64(st, 1),
		.low_uid = (uint32_t)sqlite3_column_int64(st, 2),
		.complete = sqlite3_column_int(st, 3) != 0,
		.highestmodseq = (uint64_t)sqlite3_column_int64(st, 4),
		.messages = (uint32_t)sqlite3_column_int64(st, 5),
		.synced_at = sqlite3_column_int64(st, 6),
		.changed_at_ns = sqlite3_column_int64(st, 7),
	};
}

static int list_add(struct list *l, sqlite3_stmt *st)
{
	int64_t id = sqlite3_column_int64(st, 8);
	const char *wire = (const char *)sqlite3_column_text(st, 9);
	size_t len = (size_t)sqlite3_column_bytes(st, 9);
	char delimiter = (char)sqlite3_column_int(st, 10);
	struct cache_folder *f;
	int r;

	if (id < CACHE_ID_FIRST || id >= (int64_t)CACHE_ID_LIMIT || !wire ||
	    len == 0 || len > MAIL_WIRE_NAME_MAX || strlen(wire) != len ||
	    mail_levels(wire, delimiter) > MAIL_LEVELS_MAX) {
		log_warn("cache: a folder is left out: its row cannot be");
		return 0;
	}
	r = grow((void **)&l->row, &l->room, l->n + 1, sizeof(l->row[0]));
	if (r == 0)
		r = grow((void **)&l->names, &l->names_room, l->used + len + 1,
			 1);
	if (r != 0)
		return r;

	f = &l->row[l->n++];
	*f = (struct cache_folder){
		.id = (uint64_t)id,
		.delimiter = delimiter,
		.attrs = (uint32_t)sqlite3_column_int64(st, 11),
		.kept = sqlite3_column_int(st, 12) != 0,
	};
	read_state(st, &f->state);
	memcpy(l->names + l->used, wire, len + 1);
	l->used += len + 1;
	return 0;
}

/* One block: the rows, then their names. */
static struct cache_folder *list_pack(const struct list *l)
{
	size_t bytes = l->n * sizeof(l->row[0]);
	struct cache_folder *f = malloc(bytes + l->used + 1);
	char *name;

	if (!f || l->n == 0)
		return f;
	memcpy(f, l->row, bytes);
	name = (char *)f + bytes;
	memcpy(name, l->names, l->used);
	for (size_t i = 0; i < l->n; i++) {
		f[i].wire = name;
		name += strlen(name) + 1;
	}
	return f;
}

int cache_load_folders(struct cache *c, struct cache_folder **ret,
		       size_t *ret_n)
{
	struct list l = {0};
	struct cache_folder *f = NULL;
	int r;

	(void)writer_drain(c, 0);
	lock_take(&c->read_lock);
	while ((r = db_step(&c->read, S_FOLDER_LIST)) == 1) {
		r = list_add(&l, c->read.stmt[S_FOLDER_LIST]);
		if (r != 0)
			break;
	}
	db_reset(&c->read, S_FOLDER_LIST);
	lock_drop(&c->read_lock);
	if (r == -EBADMSG)
		store_mark_damaged(c);
	if (r == 0) {
		f = list_pack(&l);
		r = f ? 0 : -ENOMEM;
	}
	free(l.row);
	free(l.names);
	if (r != 0)
		return r;
	*ret = f;
	*ret_n = l.n;
	return 0;
}

int folders_read_state(struct cache *c, uint64_t folder,
		       struct cache_state *ret)
{
	int r;

	lock_take(&c->read_lock);
	db_bind_int(&c->read, S_STATE_GET, 1, (int64_t)folder);
	r = db_step(&c->read, S_STATE_GET);
	if (r == 1)
		read_state(c->read.stmt[S_STATE_GET], ret);
	db_reset(&c->read, S_STATE_GET);
	lock_drop(&c->read_lock);
	if (r == -EBADMSG)
		store_mark_damaged(c);
	return r == 1 ? 0 : r == 0 ? -ENOENT : r;
}

/* --- writing --- */

struct save_op {
	struct op op;
	uint64_t id;
	int delimiter;
	uint32_t attrs;
	char wire[];
};

static int run_save(struct cache *c, struct op *op)
{
	struct save_op *s = (struct save_op *)op;

	db_bind_int(&c->write, S_FOLDER_SAVE, 1, (int64_t)s->id);
	db_bind_text(&c->write, S_FOLDER_SAVE, 2, s->wire);
	db_bind_int(&c->write, S_FOLDER_SAVE, 3, s->delimiter);
	db_bind_int(&c->write, S_FOLDER_SAVE, 4, s->attrs);
	return db_run(&c->write, S_FOLDER_SAVE);
}

int cache_save_folder(struct cache *c, const struct cache_folder *f)
{
	size_t len = strlen(f->wire);
	struct save_op *op;
	int r = len > MAIL_WIRE_NAME_MAX ? -EOVERFLOW : writer_wait_room(c);

	if (r != 0)
		return r;
	op = op_new(sizeof(*op) + len + 1, run_save, f->id);
	if (!op)
		return -ENOMEM;
	op->id = f->id;
	op->delimiter = (unsigned char)f->delimiter;
	op->attrs = f->attrs;
	memcpy(op->wire, f->wire, len + 1);
	writer_push(c, &op->op);
	return 0;
}

/*
 * The ids are read in lots first: rows may not be removed below the feet of
 * the statement that walks them.
 */
static int drop_details(struct cache *c, uint64_t folder)
{
	uint64_t ids[1000];
	size_t n;
	int r;

	do {
		n = 0;
		db_bind_int(&c->write, S_MSG_IDS, 1, (int64_t)folder);
		while ((r = db_step(&c->write, S_MSG_IDS)) == 1 && n < 1000)
			ids[n++] = (uint64_t)sqlite3_column_int64(
				c->write.stmt[S_MSG_IDS], 0);
		db_reset(&c->write, S_MSG_IDS);
		for (size_t i = 0; r == 0 && i < n; i++) {
			r = blob_forget_message(c, ids[i]);
			if (r != 0)
				break;
			db_bind_int(&c->write, S_MSG_REMOVE, 1,
				    (int64_t)folder);
			db_bind_int(&c->write, S_MSG_REMOVE, 2,
				    (int64_t)ids[i]);
			r = db_run(&c->write, S_MSG_REMOVE);
		}
	} while (r == 0 && n == 1000);
	return r;
}

static int run_drop(struct cache *c, struct op *op)
{
	int r = drop_details(c, op->folder);

	if (r == 0) {
		db_bind_int(&c->write, S_FOLDER_DROP, 1, (int64_t)op->folder);
		r = db_run(&c->write, S_FOLDER_DROP);
	}
	return r;
}

int cache_drop_folder(struct cache *c, uint64_t id)
{
	struct op *op;
	int r = writer_wait_room(c);

	if (r != 0)
		return r;
	op = op_new(sizeof(*op), run_drop, id);
	if (!op)
		return -ENOMEM;
	lock_take(&c->journal.lock);
	r = journal_names_locked(&c->journal, id) ? -EBUSY : 0;
	if (r == 0)
		writer_push(c, op);
	lock_drop(&c->journal.lock);
	if (r != 0)
		op_free(op);
	return r;
}

struct keep_op {
	struct op op;
	bool keep;
};

static int run_keep(struct cache *c, struct op *op)
{
	db_bind_int(&c->write, S_FOLDER_KEEP, 1, ((struct keep_op *)op)->keep);
	db_bind_int(&c->write, S_FOLDER_KEEP, 2, (int64_t)op->folder);
	return db_run(&c->write, S_FOLDER_KEEP);
}

static void keep_done(struct cache *c, struct op *op, int err)
{
	(void)op;
	/* What was kept may have to go now. */
	if (err == 0)
		evict_again(c);
}

int cache_keep_folder(struct cache *c, uint64_t folder, bool keep)
{
	struct keep_op *op;
	int r = writer_wait_room(c);

	if (r != 0)
		return r;
	op = op_new(sizeof(*op), run_keep, folder);
	if (!op)
		return -ENOMEM;
	op->op.done = keep_done;
	op->keep = keep;
	writer_push(c, &op->op);
	return 0;
}

struct state_op {
	struct op op;
	struct cache_state state;
};

int folders_write_state(struct cache *c, uint64_t folder,
			const struct cache_state *s)
{
	struct db *db = &c->write;

	db_bind_int(db, S_STATE_SET, 1, s->uidvalidity);
	db_bind_int(db, S_STATE_SET, 2, s->uidnext);
	db_bind_int(db, S_STATE_SET, 3, s->low_uid);
	db_bind_int(db, S_STATE_SET, 4, s->complete);
	db_bind_int(db, S_STATE_SET, 5, (int64_t)s->highestmodseq);
	db_bind_int(db, S_STATE_SET, 6, s->messages);
	db_bind_int(db, S_STATE_SET, 7, s->synced_at);
	db_bind_int(db, S_STATE_SET, 8, s->changed_at_ns);
	db_bind_int(db, S_STATE_SET, 9, (int64_t)folder);
	return db_run(db, S_STATE_SET);
}

int folders_touch(struct cache *c, uint64_t folder, int64_t changed_at_ns)
{
	db_bind_int(&c->write, S_FOLDER_TOUCH, 1, changed_at_ns);
	db_bind_int(&c->write, S_FOLDER_TOUCH, 2, (int64_t)folder);
	return db_run(&c->write, S_FOLDER_TOUCH);
}

int folders_relist(struct cache *c, uint64_t folder)
{
	db_bind_int(&c->write, S_FOLDER_RELIST, 1, (int64_t)folder);
	return db_run(&c->write, S_FOLDER_RELIST);
}

static int run_state(struct cache *c, struct op *op)
{
	return folders_write_state(c, op->folder,
				   &((struct state_op *)op)->state);
}

struct op *folders_state_new(uint64_t folder, const struct cache_state *s)
{
	struct state_op *op = op_new(sizeof(*op), run_state, folder);

	if (!op)
		return NULL;
	op->state = *s;
	return &op->op;
}
