/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/pages.h"
#include "imap/log.h"

/*
 * The sequence of ids (C1) and the map from ids to folders.
 *
 * Ids are given out of blocks. The upper end of a block is committed before
 * its first id is given, in the database and in a small file beside it, so
 * that neither a kill nor the loss of the database makes an id come twice;
 * what is left of a block is skipped. The next block is asked for when half
 * of the present one is used up, so that hardly anybody waits.
 *
 * The map has two levels, because ids are dense in some places and absent in
 * most: one page of a mebibyte for 2^18 ids, touched only where it is used.
 */

#define BLOCK 4096
#define IDS_FILE "ids"

/* --- the high-water mark --- */

static int read_file_mark(struct cache *c, uint64_t *ret)
{
	char *path = path_join(c->state_dir, IDS_FILE);
	char text[24] = "";
	uint64_t v;
	FILE *f;

	if (!path)
		return -ENOMEM;
	f = fopen(path, "re");
	free(path);
	if (!f)
		return 0;
	/* A file that was torn by a power loss says nothing. */
	if (fgets(text, sizeof(text), f) && strchr(text, '\n')) {
		v = strtoull(text, NULL, 10);
		if (v <= CACHE_ID_LIMIT && v > *ret)
			*ret = v;
	}
	fclose(f);
	return 0;
}

static int write_text(const char *path, uint64_t mark)
{
	FILE *f = fopen(path, "we");
	int r;

	if (!f)
		return home_errno(errno);
	r = fprintf(f, "%llu\n", (unsigned long long)mark) < 0 ? -EIO : 0;
	if (fclose(f) != 0)
		r = home_errno(errno);
	return r;
}

/* No fsync: inode numbers need to be unique in one boot only. */
static int write_file_mark(struct cache *c, uint64_t mark)
{
	char *path = path_join(c->state_dir, IDS_FILE);
	char *temp = path_join(c->state_dir, IDS_FILE ".new");
	int r = path && temp ? write_text(temp, mark) : -ENOMEM;

	if (r == 0 && rename(temp, path) != 0)
		r = home_errno(errno);
	free(path);
	free(temp);
	return r;
}

static int read_max(struct cache *c, enum stmt s, uint64_t *ret)
{
	int r = db_step(&c->write, s);

	if (r == 1) {
		int64_t v = sqlite3_column_int64(c->write.stmt[s], 0);

		if (v >= 0 && v < CACHE_ID_LIMIT && (uint64_t)v >= *ret)
			*ret = (uint64_t)v + 1;
		r = 0;
	}
	db_reset(&c->write, s);
	return r;
}

static int read_db_mark(struct cache *c, uint64_t *ret)
{
	int r;

	db_bind_text(&c->write, S_VALUE_GET, 1, "ids");
	r = db_step(&c->write, S_VALUE_GET);
	if (r == 1) {
		sqlite3_stmt *st = c->write.stmt[S_VALUE_GET];
		int64_t v = sqlite3_column_int64(st, 0);

		if (v > 0 && v <= CACHE_ID_LIMIT && (uint64_t)v > *ret)
			*ret = (uint64_t)v;
		r = 0;
	}
	db_reset(&c->write, S_VALUE_GET);
	return r;
}

int ids_init(struct cache *c)
{
	uint64_t mark = CACHE_ID_FIRST;
	int r = read_file_mark(c, &mark);

	if (r == 0)
		r = read_db_mark(c, &mark);
	if (r == 0)
		r = read_max(c, S_FOLDER_MAX_ID, &mark);
	if (r == 0)
		r = read_max(c, S_DETAIL_MAX_ID, &mark);
	if (mark < CACHE_ID_FIRST)
		mark = CACHE_ID_FIRST;
	c->ids.next = c->ids.committed = c->ids.requested = mark;
	return r;
}

/* --- blocks --- */

struct mark_op {
	struct op op;
	uint64_t mark;
};

static int run_mark(struct cache *c, struct op *op)
{
	uint64_t mark = ((struct mark_op *)op)->mark;
	int r = write_file_mark(c, mark);

	if (r != 0 || writer_is_broken(c))
		return r;
	db_bind_text(&c->write, S_VALUE_SET, 1, "ids");
	db_bind_int(&c->write, S_VALUE_SET, 2, (int64_t)mark);
	return db_run(&c->write, S_VALUE_SET);
}

static void mark_done(struct cache *c, struct op *op, int err)
{
	struct ids *ids = &c->ids;

	lock_take(&c->ids.lock);
	if (err == 0)
		ids->committed = ((struct mark_op *)op)->mark;
	else
		ids->requested = ids->committed;
	lock_cond_wake_all(&ids->cond);
	lock_drop(&c->ids.lock);
}

/* Ask for ids up to `next + n` and a block more. */
static int request_locked(struct cache *c, uint64_t n) REQUIRES(c->ids.lock)
{
	struct ids *ids = &c->ids;
	uint64_t mark = ids->next + n + BLOCK;
	struct mark_op *op;

	if (mark > CACHE_ID_LIMIT)
		mark = CACHE_ID_LIMIT;
	if (mark <= ids->requested)
		return 0;
	op = op_new(sizeof(*op), run_mark, 0);
	if (!op)
		return -ENOMEM;

	op->mark = mark;
	op->op.done = mark_done;
	op->op.when_broken = true;
	ids->requested = mark;
	writer_push(c, &op->op);
	return 0;
}

int ids_prepare(struct cache *c, uint32_t n)
{
	struct ids *ids = &c->ids;
	int r = 0;

	lock_take(&c->ids.lock);
	while (r == 0 && ids->next + n > ids->committed) {
		if (ids->next + n > CACHE_ID_LIMIT)
			r = -EOVERFLOW;
		else
			r = request_locked(c, n);
		if (r != 0)
			break;
		/* A writer that is stuck does not wake us: look at it. */
		(void)lock_cond_wait(&ids->cond, &c->ids.lock,
				     clock_now_ms() + 100);
		if (ids->next + n > ids->committed)
			r = writer_failing(c);
	}
	lock_drop(&c->ids.lock);
	return r;
}

bool ids_take(struct cache *c, uint32_t n, uint64_t *ret)
{
	struct ids *ids = &c->ids;
	bool ok;

	lock_take(&c->ids.lock);
	ok = ids->next + n <= ids->committed;
	if (ok) {
		*ret = ids->next;
		ids->next += n;
		/* Asked for ahead; if it fails, ids_prepare() asks again. */
		if (ids->committed - ids->next < BLOCK / 2)
			(void)request_locked(c, n);
	}
	lock_drop(&c->ids.lock);
	return ok;
}

uint64_t ids_end(struct cache *c)
{
	uint64_t end;

	lock_take(&c->ids.lock);
	end = c->ids.next;
	lock_drop(&c->ids.lock);
	return end;
}

int cache_new_ids(struct cache *c, uint32_t n, uint64_t *ret)
{
	int r;

	do {
		r = ids_prepare(c, n);
	} while (r == 0 && !ids_take(c, n, ret));
	return r;
}

/* --- the folder of an id --- */

int map_init(struct idmap *m)
{
	m->page = calloc(MAP_TOP, sizeof(struct map_page *));
	return m->page ? 0 : -ENOMEM;
}

static void drop_page(struct map_page **at)
{
	pages_unmap(*at, sizeof(**at));
	*at = NULL;
}

void map_finish(struct idmap *m)
{
	for (size_t i = 0; m->page && i < MAP_TOP; i++) {
		if (m->page[i])
			drop_page(&m->page[i]);
	}
	free(m->page);
	m->page = NULL;
}

int map_reserve_locked(struct idmap *m, uint64_t first, size_t n)
{
	if (n == 0)
		return 0;
	for (uint64_t i = first >> MAP_LOW_BITS;
	     i <= (first + n - 1) >> MAP_LOW_BITS; i++) {
		if (!m->page[i])
			m->page[i] = pages_map(sizeof(*m->page[i]), false);
		if (!m->page[i])
			return -ENOMEM;
	}
	return 0;
}

void map_set_locked(struct idmap *m, uint64_t id, uint32_t folder)
{
	struct map_page **at = &m->page[id >> MAP_LOW_BITS];
	uint32_t *slot;

	if (!*at)
		return;
	slot = &(*at)->slot[id & ((1u << MAP_LOW_BITS) - 1)];
	(*at)->used += (folder != 0) - (*slot != 0);
	*slot = folder;
	if ((*at)->used == 0)
		drop_page(at);
}

uint32_t map_folder_locked(const struct idmap *m, uint64_t id)
{
	const struct map_page *page = m->page[id >> MAP_LOW_BITS];

	return page ? page->slot[id & ((1u << MAP_LOW_BITS) - 1)] : 0;
}

void map_clear_locked(struct idmap *m, uint64_t id, uint32_t folder)
{
	if (map_folder_locked(m, id) == folder)
		map_set_locked(m, id, 0);
}

uint64_t cache_folder_of(struct cache *c, uint64_t id)
{
	uint64_t folder;

	if (id >= CACHE_ID_LIMIT)
		return 0;
	lock_take(&c->map.lock);
	folder = map_folder_locked(&c->map, id);
	lock_drop(&c->map.lock);
	return folder;
}
