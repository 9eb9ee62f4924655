/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/recover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/blob.h"
#include "cache/spool.h"
#include "imap/log.h"

/*
 * The journal when the cache is opened: the records are read (recover_read.c)
 * and held against the rows (J7), in one transaction, before there is a writer.
 *
 * After a kill, or a power loss, nothing is found here, for a record and its
 * row are written together. What is found is damage: it is put right so that no
 * row is lost and nothing is sent to the wrong message, and listed as failed.
 */

#define UNPLACED UINT64_MAX /* as `at`: no row was found yet */

/* --- telling --- */

int recover_report(struct cache *c, const char *what, const char *why,
		   const char *file)
{
	const struct journal_failure f = {what, why, file};
	struct failure *line = failure_new(&f);
	int r;

	if (!line)
		return -ENOMEM;
	log_warn("cache: %s: %s", line->what, line->why);
	r = journal_sql_fail(c, line);
	free(line);
	return r;
}

/* --- one row --- */

/* 1: there is such a row; its name in `ret_name`, as far as it is one. */
static int read_row(struct cache *c, uint64_t folder, uint64_t id,
		    struct record *ret, char *ret_name)
{
	sqlite3_stmt *st = c->write.stmt[S_ROW_GET];
	const char *name;
	size_t len;
	int r;

	db_bind_int(&c->write, S_ROW_GET, 1, (int64_t)folder);
	db_bind_int(&c->write, S_ROW_GET, 2, (int64_t)id);
	r = db_step(&c->write, S_ROW_GET);
	if (r == 1) {
		*ret = (struct record){
			.id = (uint32_t)id,
			.uid = (uint32_t)sqlite3_column_int64(st, 1),
			.state = (uint64_t)sqlite3_column_int64(st, 2) &
				 RECORD_FLAGS,
			.size = (uint64_t)sqlite3_column_int64(st, 3),
			.internaldate = sqlite3_column_int64(st, 4),
			.changed_at = (uint32_t)sqlite3_column_int64(st, 5),
			.keywords = (uint32_t)sqlite3_column_int64(st, 6),
		};
		name = (const char *)sqlite3_column_text(st, 7);
		len = (size_t)sqlite3_column_bytes(st, 7);
		if (!name || !index_name_is_valid(name, len))
			name = "unnamed.eml";
		snprintf(ret_name, CACHE_NAME_MAX + 1, "%s", name);
	}
	db_reset(&c->write, S_ROW_GET);
	return r;
}

static int remove_row(struct cache *c, uint64_t folder, uint64_t id)
{
	int r = rows_remove(c, folder, id);

	return r == 0 ? blob_forget_message(c, id) : r;
}

static int unmoor_row(struct cache *c, uint64_t folder, uint64_t id)
{
	db_bind_int(&c->write, S_ROW_UNMOOR, 1, (int64_t)folder);
	db_bind_int(&c->write, S_ROW_UNMOOR, 2, (int64_t)id);
	return db_run(&c->write, S_ROW_UNMOOR);
}

/* --- pending rows --- */

/* The record has its row: in the limbo that is kept with it. */
static int place(struct change *v, uint64_t folder, const struct record *rec,
		 const char *name)
{
	v->at = folder;
	if (folder != JOURNAL_LIMBO)
		return 0;
	v->row = *rec;
	v->row_name = strdup(name);
	return v->row_name ? 0 : -ENOMEM;
}

/* A row without a UID: is there a record that says why? */
static int look_at_pending(struct cache *c, struct change *v, uint64_t folder,
			   uint64_t id)
{
	char name[CACHE_NAME_MAX + 1];
	struct record rec;
	int r = read_row(c, folder, id, &rec, name);

	if (r <= 0)
		return r;
	if (v && v->at == UNPLACED)
		return place(v, folder, &rec, name);
	r = recover_report(c, "to keep what is known of a message",
			   v ? "it stood in two folders"
			     : "the record of its change is lost",
			   name);
	if (r != 0)
		return r;
	/* Of two one goes; what its record has lost is looked up again. */
	if (v)
		return rows_remove(c, folder, id);
	return folder == JOURNAL_LIMBO ? remove_row(c, folder, id)
				       : unmoor_row(c, folder, id);
}

struct pending {
	uint64_t folder, id;
};

/* The list first: rows may not be changed below the statement's feet. */
static int list_pending(struct cache *c, struct pending **ret, size_t *ret_n)
{
	sqlite3_stmt *st = c->write.stmt[S_ROW_PENDING];
	struct pending *list = NULL, *more;
	size_t n = 0, room = 0;
	int r;

	while ((r = db_step(&c->write, S_ROW_PENDING)) == 1) {
		if (n == room) {
			room = room ? room * 2 : 64;
			more = realloc(list, room * sizeof(*list));
			if (!more) {
				r = -ENOMEM;
				break;
			}
			list = more;
		}
		list[n++] =
			(struct pending){(uint64_t)sqlite3_column_int64(st, 0),
					 (uint64_t)sqlite3_column_int64(st, 1)};
	}
	db_reset(&c->write, S_ROW_PENDING);
	if (r != 0) {
		free(list);
		return r;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

static int place_pending(struct cache *c) REQUIRES(c->journal.lock)
{
	struct pending *list;
	size_t n;
	int r = list_pending(c, &list, &n);

	if (r != 0)
		return r;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = look_at_pending(
			c, journal_find_locked(&c->journal, list[i].id),
			list[i].folder, list[i].id);
	free(list);
	return r;
}

/* --- records --- */

/* The record goes, and is listed; its row, if any, stays. */
static int drop_record(struct cache *c, struct change *v, const char *why,
		       const char *name) REQUIRES(c->journal.lock)
{
	int r = recover_report(c, "to change a message", why, name);

	if (r == 0)
		r = journal_sql_drop(c, v->id);
	/* It may be listed there as if nothing had been. */
	if (r == 0 && v->origin.folder != 0)
		r = folders_relist(c, v->origin.folder);
	if (r == 0)
		journal_swap_locked(&c->journal, v, NULL);
	return r;
}

static int forget_rowless(struct cache *c, struct change *v)
	REQUIRES(c->journal.lock)
{
	int r = blob_forget_message(c, v->id);

	return r == 0 ? drop_record(c, v, "its row is lost", v->name) : r;
}

/* One whose row has a UID: it must be at home. */
static int place_at_home(struct cache *c, struct change *v)
	REQUIRES(c->journal.lock)
{
	char name[CACHE_NAME_MAX + 1] = "";
	struct record rec = {0};
	int r = 0;

	if (v->origin.folder != 0)
		r = read_row(c, v->origin.folder, v->id, &rec, name);
	if (r < 0)
		return r;
	if (r == 0)
		return forget_rowless(c, v);
	if (v->how != JOURNAL_MOVES || v->spool ||
	    (rec.uid != 0 && rec.uid != v->origin.uid))
		return drop_record(c, v, "its row is another message's", name);
	v->at = v->origin.folder;
	return 0;
}

/* Its row is elsewhere: there must be none at home. */
static int check_home(struct cache *c, const struct change *v)
{
	char name[CACHE_NAME_MAX + 1];
	struct record rec;
	int r;

	if (v->origin.folder == 0 || v->origin.folder == v->at)
		return 0;
	r = read_row(c, v->origin.folder, v->id, &rec, name);
	if (r <= 0)
		return r;
	r = recover_report(c, "to keep what is known of a message",
			   "it stood in two folders", name);
	return r == 0 ? rows_remove(c, v->origin.folder, v->id) : r;
}

/* The size of a file that was being written is that of the file. */
static int take_size(struct cache *c, const struct change *v, int fd)
{
	uint64_t size = 0;
	int r = spool_size(fd, &size);

	if (r != 0 || v->phase > JOURNAL_WRITING)
		return r;
	db_bind_int(&c->write, S_MSG_SIZE, 1, (int64_t)size);
	db_bind_int(&c->write, S_MSG_SIZE, 2, (int64_t)v->at);
	db_bind_int(&c->write, S_MSG_SIZE, 3, (int64_t)v->id);
	return db_run(&c->write, S_MSG_SIZE);
}

static int check_file(struct cache *c, struct change *v)
	REQUIRES(c->journal.lock)
{
	char name[CACHE_NAME_MAX + 1] = "";
	struct record rec;
	int fd, r;

	if (v->origin.folder != 0)
		return 0;
	r = v->spool ? spool_open_file(c, v->spool, false, &fd) : -ENOENT;
	if (r == 0) {
		r = take_size(c, v, fd);
		close(fd);
		return r;
	}
	if (r != -ENOENT)
		return r;
	r = read_row(c, v->at, v->id, &rec, name);
	if (r >= 0)
		r = remove_row(c, v->at, v->id);
	return r == 0 ? drop_record(c, v, "its text is lost", name) : r;
}

/* What is no difference needs no record. */
static int check_difference(struct cache *c, struct change *v)
	REQUIRES(c->journal.lock)
{
	int r = 0;

	if (v->phase != JOURNAL_QUEUED || change_what(v) != 0 ||
	    change_doubt(v) != 0)
		return 0;
	if (v->at == JOURNAL_LIMBO)
		r = remove_row(c, v->at, v->id);
	if (r == 0)
		r = journal_sql_drop(c, v->id);
	if (r == 0)
		journal_swap_locked(&c->journal, v, NULL);
	return r;
}

static int check_records(struct cache *c,
			 int (*check)(struct cache *c, struct change *v))
	REQUIRES(c->journal.lock)
{
	struct change *v;
	size_t at = 0;
	int r = 0;

	while (r == 0 && (v = journal_next_locked(&c->journal, &at)))
		r = check(c, v);
	return r;
}

static int check_place(struct cache *c, struct change *v)
	REQUIRES(c->journal.lock)
{
	return v->at == UNPLACED ? place_at_home(c, v) : check_home(c, v);
}

/* A circle of records that wait for each other would wait for ever. */
static int check_waiting(struct cache *c, struct change *v)
	REQUIRES(c->journal.lock)
{
	const struct change *at = v;
	size_t steps = 0;

	while (at && at->after != 0 && steps++ <= c->journal.n)
		at = journal_find_locked(&c->journal, at->after);
	if (!at || at->after == 0)
		return 0;
	v->after = 0;
	return journal_sql_put(c, v);
}

static int recover_locked(struct cache *c) REQUIRES(c->journal.lock)
{
	int r = recover_read_locked(c, UNPLACED);

	if (r == 0)
		r = place_pending(c);
	if (r == 0)
		r = check_records(c, check_place);
	if (r == 0)
		r = check_records(c, check_file);
	if (r == 0)
		r = check_records(c, check_difference);
	if (r == 0)
		r = check_records(c, check_waiting);
	if (r == 0)
		journal_count_waiters_locked(&c->journal);
	return r;
}

int journal_recover(struct cache *c)
{
	int r = db_run(&c->write, S_BEGIN);

	if (r != 0)
		return r;
	lock_take(&c->journal.lock);
	blob_begin_batch(c);
	r = recover_locked(c);
	lock_drop(&c->journal.lock);
	if (r == 0)
		r = db_run(&c->write, S_COMMIT);
	if (r == 0)
		blob_end_batch(c);
	else if (!sqlite3_get_autocommit(c->write.handle))
		(void)db_run(&c->write, S_ROLLBACK);
	return r;
}

void journal_forget(struct cache *c)
{
	struct journal *j = &c->journal;
	struct change *v;
	size_t at = 0;

	lock_take(&j->lock);
	while ((v = journal_next_locked(j, &at)))
		journal_swap_locked(j, v, NULL);
	lock_drop(&j->lock);
}
