/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cache/blob.h"

/*
 * The rows of bodies that are here in part: which whole chunks of the file
 * cache_dir/parts/ID are good, and their hashes. A chunk that is not listed
 * is fetched again after a restart, whatever the file holds.
 */

const struct sql db_parts_sql[] = {
	{S_PART_PUT, "INSERT INTO parts (id, size, read_at) VALUES (?1, ?2, ?3)"
		     " ON CONFLICT (id) DO UPDATE SET size = ?2, read_at = ?3"},
	{S_PART_REMOVE, "DELETE FROM parts WHERE id = ?"},
	{S_PART_LIST, "SELECT 1 FROM parts WHERE id = ?"},
	{S_PART_CHUNKS, "SELECT chunk, hash FROM part_chunks WHERE id = ?"
			" ORDER BY chunk"},
	{S_PART_CHUNK_PUT, "INSERT INTO part_chunks (id, chunk, hash)"
			   " VALUES (?1, ?2, ?3) ON CONFLICT (id, chunk)"
			   " DO UPDATE SET hash = ?3"},
	{S_PART_CHUNK_REMOVE, "DELETE FROM part_chunks WHERE id = ?"
			      " AND chunk = ?"},
	{S_PART_CHUNKS_REMOVE, "DELETE FROM part_chunks WHERE id = ?"},
	{S_PART_SUM, "SELECT count(*) FROM part_chunks"},
	{S_PART_KEPT, "SELECT 1 FROM folders f CROSS JOIN messages m"
		      " WHERE f.kept <> 0 AND m.folder = f.id AND m.id = ?"
		      " LIMIT 1"},
	{0, NULL},
};

/*
 * The body is held until the row is written: whoever opens it meanwhile
 * shares what memory knows and does not read rows that are out of date.
 */
struct part_op {
	struct op op;
	struct body *body;
	uint64_t id;
	uint64_t size;
	struct part_chunk chunk;
};

static void release_body(struct cache *c, struct op *op, int err)
{
	(void)c;
	(void)err; /* what is not recorded is fetched again */
	body_put(((struct part_op *)op)->body);
}

static int remove_chunk(struct cache *c, const struct part_op *p)
{
	int r;

	db_bind_int(&c->write, S_PART_CHUNK_REMOVE, 1, (int64_t)p->id);
	db_bind_int(&c->write, S_PART_CHUNK_REMOVE, 2, (int64_t)p->chunk.chunk);
	r = db_run(&c->write, S_PART_CHUNK_REMOVE);
	if (r == 0)
		c->bodies.add_bytes -=
			(int64_t)CACHE_CHUNK * sqlite3_changes(c->write.handle);
	return r;
}

static int run_chunk(struct cache *c, struct op *op)
{
	struct part_op *p = (struct part_op *)op;
	struct db *db = &c->write;
	int r;

	db_bind_int(db, S_PART_PUT, 1, (int64_t)p->id);
	db_bind_int(db, S_PART_PUT, 2, (int64_t)p->size);
	db_bind_int(db, S_PART_PUT, 3, p->chunk.read_at);
	r = db_run(db, S_PART_PUT);
	if (r != 0)
		return r;

	/* One that was cut and came again must not be counted twice. */
	r = remove_chunk(c, p);
	if (r != 0)
		return r;
	db_bind_int(db, S_PART_CHUNK_PUT, 1, (int64_t)p->id);
	db_bind_int(db, S_PART_CHUNK_PUT, 2, (int64_t)p->chunk.chunk);
	db_bind_blob(db, S_PART_CHUNK_PUT, 3, p->chunk.hash, KEY_BYTES);
	r = db_run(db, S_PART_CHUNK_PUT);
	if (r == 0)
		c->bodies.add_bytes += CACHE_CHUNK;
	return r;
}

int parts_queue_chunk(struct cache *c, struct body *b, uint64_t size,
		      const struct part_chunk *chunk)
{
	struct part_op *op = op_new(sizeof(*op), run_chunk, 0);

	if (!op)
		return -ENOMEM;
	op->op.done = release_body;
	op->body = b;
	op->id = body_id(b);
	op->size = size;
	op->chunk = *chunk;
	writer_push(c, &op->op);
	return 0;
}

static int run_drop_chunk(struct cache *c, struct op *op)
{
	return remove_chunk(c, (struct part_op *)op);
}

int parts_queue_drop_chunk(struct cache *c, struct body *b, uint64_t chunk)
{
	struct part_op *op = op_new(sizeof(*op), run_drop_chunk, 0);

	if (!op)
		return -ENOMEM;
	op->op.done = release_body;
	op->body = b;
	op->id = body_id(b);
	op->chunk.chunk = chunk;
	writer_push(c, &op->op);
	return 0;
}

int parts_remove(struct cache *c, uint64_t id)
{
	struct db *db = &c->write;
	char *path;
	int r;

	db_bind_int(db, S_PART_REMOVE, 1, (int64_t)id);
	r = db_run(db, S_PART_REMOVE);
	if (r != 0 || sqlite3_changes(db->handle) == 0)
		return r;

	db_bind_int(db, S_PART_CHUNKS_REMOVE, 1, (int64_t)id);
	r = db_run(db, S_PART_CHUNKS_REMOVE);
	if (r != 0)
		return r;
	c->bodies.add_bytes -=
		(int64_t)CACHE_CHUNK * sqlite3_changes(db->handle);
	path = blob_part_path(c, id);
	if (!path)
		return -ENOMEM;
	(void)unlink(path); /* gone already if the body was published */
	free(path);
	return 0;
}

/* --- finding --- */

static int read_chunks(struct cache *c, uint64_t id, struct part_chunk **list,
		       size_t *n) REQUIRES(c->read_lock)
{
	sqlite3_stmt *st = c->read.stmt[S_PART_CHUNKS];
	size_t room = 0;
	int r;

	db_bind_int(&c->read, S_PART_CHUNKS, 1, (int64_t)id);
	while ((r = db_step(&c->read, S_PART_CHUNKS)) == 1) {
		int64_t chunk = sqlite3_column_int64(st, 0);
		struct part_chunk *p = *list;

		if (chunk < 0 || chunk > (int64_t)(MAIL_SIZE_MAX / CACHE_CHUNK))
			continue;
		if (sqlite3_column_bytes(st, 1) != KEY_BYTES)
			continue;
		if (*n == room) {
			room = room ? room * 2 : 16;
			p = realloc(*list, room * sizeof(*p));
			if (!p) {
				r = -ENOMEM;
				break;
			}
			*list = p;
		}
		p[*n].chunk = (uint64_t)chunk;
		memcpy(p[*n].hash, sqlite3_column_blob(st, 1), KEY_BYTES);
		(*n)++;
	}
	db_reset(&c->read, S_PART_CHUNKS);
	return r;
}

int parts_find(struct cache *c, uint64_t id, struct part_chunk **ret,
	       size_t *ret_n)
{
	struct part_chunk *list = NULL;
	size_t n = 0;
	int r;

	lock_take(&c->read_lock);
	r = read_chunks(c, id, &list, &n);
	lock_drop(&c->read_lock);
	if (r == -EBADMSG)
		store_mark_damaged(c);
	if (r == 0 && n == 0)
		r = -ENODATA;
	if (r != 0) {
		free(list);
		return r;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}
