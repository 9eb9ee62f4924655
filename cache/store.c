/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/blob.h"
#include "cache/recover.h"
#include "cache/spool.h"
#include "imap/log.h"

/*
 * Opening and closing: the folders, the locks, the database, and what to do
 * when it is damaged.
 *
 * Order of an opening: folders, locks, then everything that touches the
 * database; the writer thread starts last, so that until then one thread owns
 * both connections. A damaged database (found now, or marked as damaged by an
 * earlier run) is renamed together with its -wal and -shm, never deleted, and
 * a new one begun; the sequence of ids goes on by the file `ids`.
 */

#define DB_FILE "index.db"
#define DAMAGE_FILE "index.db.is-damaged"

/* --- damage --- */

void store_mark_damaged(struct cache *c)
{
	char *path = path_join(c->state_dir, DAMAGE_FILE);
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (fd >= 0)
		close(fd);
	else
		log_error("cache: cannot mark '%s' as damaged", c->state_dir);
	free(path);
}

static bool is_marked_damaged(struct cache *c)
{
	char *path = path_join(c->state_dir, DAMAGE_FILE);
	bool yes = path && access(path, F_OK) == 0;

	free(path);
	return yes;
}

/* Rename DB_FILE, -wal and -shm to the same name with `suffix`. */
static int rename_all(struct cache *c, const char *suffix, char *to, size_t n)
{
	static const char *const files[] = {"-wal", "-shm", ""};
	int r = 0;

	/* Order matters: the main file last, so that a kill repeats this. */
	for (size_t i = 0; r == 0 && i < 3; i++) {
		char name[64];
		char *from;

		snprintf(name, sizeof(name), "%s%s", DB_FILE, files[i]);
		from = path_join(c->state_dir, name);
		if (!from)
			return -ENOMEM;
		snprintf(to, n, "%s/%s%s%s", c->state_dir, DB_FILE, suffix,
			 files[i]);
		if (rename(from, to) != 0 && errno != ENOENT)
			r = home_errno(errno);
		free(from);
	}
	return r;
}

static int set_aside(struct cache *c, struct cache_report *report)
{
	char stamp[32], suffix[64];
	time_t now = time(NULL);
	struct tm tm;
	char *mark;
	int r;

	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), ".damaged-%Y%m%dT%H%M%SZ", &tm);
	snprintf(suffix, sizeof(suffix), "%s", stamp);
	for (int k = 1;; k++) {
		snprintf(report->set_aside, sizeof(report->set_aside),
			 "%s/%s%s", c->state_dir, DB_FILE, suffix);
		if (access(report->set_aside, F_OK) != 0)
			break;
		snprintf(suffix, sizeof(suffix), "%s-%d", stamp, k);
	}
	r = rename_all(c, suffix, report->set_aside, sizeof(report->set_aside));
	mark = path_join(c->state_dir, DAMAGE_FILE);
	if (r == 0 && mark)
		(void)unlink(mark);
	free(mark);
	if (r == 0)
		log_warn("cache: the index was damaged; it is kept as '%s'",
			 report->set_aside);
	return r;
}

/* --- the database --- */

static int read_secret(struct cache *c)
{
	int r;

	db_bind_text(&c->write, S_VALUE_GET, 1, "secret");
	r = db_step(&c->write, S_VALUE_GET);
	if (r == 1) {
		sqlite3_stmt *st = c->write.stmt[S_VALUE_GET];

		if (sqlite3_column_bytes(st, 0) == SECRET_BYTES)
			memcpy(c->secret, sqlite3_column_blob(st, 0),
			       SECRET_BYTES);
		else
			r = -EBADMSG;
	}
	db_reset(&c->write, S_VALUE_GET);
	if (r != 0)
		return r < 0 ? r : 0;

	if (getrandom(c->secret, SECRET_BYTES, 0) != SECRET_BYTES)
		return -EIO;
	db_bind_text(&c->write, S_VALUE_SET, 1, "secret");
	db_bind_blob(&c->write, S_VALUE_SET, 2, c->secret, SECRET_BYTES);
	return db_run(&c->write, S_VALUE_SET);
}

/* Was the last run ended by cache_close()? From now on: not. */
static int note_running(struct cache *c, bool *ret_was_clean)
{
	int r;

	db_bind_text(&c->write, S_VALUE_GET, 1, "clean");
	r = db_step(&c->write, S_VALUE_GET);
	*ret_was_clean = r == 1 &&
			 sqlite3_column_int(c->write.stmt[S_VALUE_GET], 0) == 1;
	db_reset(&c->write, S_VALUE_GET);
	if (r < 0)
		return r;
	db_bind_text(&c->write, S_VALUE_SET, 1, "clean");
	db_bind_int(&c->write, S_VALUE_SET, 2, 0);
	return db_run(&c->write, S_VALUE_SET);
}

static int open_reader(struct cache *c, const char *path)
{
	int r;

	lock_take(&c->read_lock);
	r = db_open_reader(&c->read, path);
	lock_drop(&c->read_lock);
	return r;
}

static void close_db(struct cache *c)
{
	lock_take(&c->read_lock);
	db_close(&c->read);
	lock_drop(&c->read_lock);
	db_close(&c->write);
	if (c->writer.wal_fd >= 0)
		close(c->writer.wal_fd);
	c->writer.wal_fd = -1;
}

/* SQLite follows no link, not even one on the way to the folder. */
static char *db_path(const struct cache *c)
{
	char *dir = realpath(c->state_dir, NULL);
	char *path = dir ? path_join(dir, DB_FILE) : NULL;

	free(dir);
	return path;
}

static int open_db(struct cache *c, bool *is_new, bool *was_clean)
{
	char *path = db_path(c);
	int r = path ? db_open_writer(&c->write, path, is_new)
		     : home_errno(errno);

	if (r == 0)
		r = read_secret(c);
	if (r == 0)
		r = note_running(c, was_clean);
	if (r == 0)
		r = blob_count(c);
	if (r == 0)
		r = ids_init(c);
	if (r == 0)
		r = recall_init(c);
	if (r == 0)
		r = open_reader(c, path);
	free(path);
	return r;
}

static void explain(int r, struct cache *c, struct cache_report *report)
{
	if (report->text[0])
		return;
	if (r == -ENOTSUP)
		snprintf(report->text, sizeof(report->text),
			 "the cache in '%.300s' was written by a newer version "
			 "of this program",
			 c->state_dir);
	else
		snprintf(report->text, sizeof(report->text),
			 "cannot open the cache in '%.300s': %s", c->state_dir,
			 strerrordesc_np(-r));
}

/* The WAL is fsynced through a descriptor of our own (see writer.c). */
static int open_wal(struct cache *c)
{
	char *path = path_join(c->state_dir, DB_FILE "-wal");
	int dir;

	if (!path)
		return -ENOMEM;
	c->writer.wal_fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	free(path);
	if (c->writer.wal_fd < 0)
		return home_errno(errno);
	/* The names of new files are durable, too. */
	dir = open(c->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0) {
		(void)fsync(dir);
		close(dir);
	}
	return 0;
}

/*
 * Order matters (J6): that a record is gone must be on the disk before its
 * file goes.
 */
static int open_journal(struct cache *c, struct cache_report *report)
{
	int r = spool_make_dirs(c, report);

	if (r == 0)
		r = journal_recover(c);
	if (r == 0 && fdatasync(c->writer.wal_fd) != 0)
		r = home_errno(errno);
	if (r == 0)
		r = leftovers_open(c);
	return r == 0 ? spool_find_orphans(c) : r;
}

/* All that reads the database. */
static int open_all(struct cache *c, bool *was_clean,
		    struct cache_report *report)
{
	int r = open_db(c, &report->is_new, was_clean);

	if (r == 0)
		r = open_wal(c);
	if (r == 0)
		r = open_journal(c, report);
	return r == 0 ? blob_clean_parts(c) : r;
}

static int open_or_rebuild(struct cache *c, bool *was_clean,
			   struct cache_report *report)
{
	bool damaged = is_marked_damaged(c);
	int r = damaged ? 0 : open_all(c, was_clean, report);

	if (r == -EBADMSG)
		damaged = true;
	if (!damaged)
		return r;
	close_db(c);
	journal_forget(c);
	r = set_aside(c, report);
	return r == 0 ? open_all(c, was_clean, report) : r;
}

/* --- the whole --- */

static struct cache *new_cache(const struct cache_config *cfg)
{
	struct cache *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->lock_fd = -1;
	c->bodies_lock_fd = -1;
	c->writer.wal_fd = -1;
	clock_gettime(CLOCK_REALTIME_COARSE, &c->started_at);
	c->bodies.stats.max_bytes = cfg->max_bytes;
	lock_init(&c->read_lock, RANK_DB_READ);
	lock_init(&c->writer.lock, RANK_WRITER);
	lock_cond_init(&c->writer.work);
	lock_cond_init(&c->writer.done);
	lock_init(&c->ids.lock, RANK_IDS);
	lock_cond_init(&c->ids.cond);
	lock_init(&c->map.lock, RANK_IDS);
	lock_cond_init(&c->map.loaded);
	lock_init(&c->bodies.lock, RANK_BLOB);
	lock_init(&c->journal.lock, RANK_JOURNAL);
	lock_cond_init(&c->journal.trial_ended);
	lock_cond_init(&c->bodies.cond);
	c->state_dir = strdup(cfg->state_dir);
	c->cache_dir = strdup(cfg->cache_dir);
	if (c->state_dir && c->cache_dir && map_init(&c->map) == 0 &&
	    journal_init(c) == 0)
		return c;
	cache_close(c);
	return NULL;
}

int cache_open(const struct cache_config *cfg, unsigned wait_ms,
	       struct cache **ret, struct cache_report *report)
{
	struct cache *c = new_cache(cfg);
	bool was_clean = true;
	int r;

	*report = (struct cache_report){0};
	if (!c)
		return -ENOMEM;
	r = home_make(c->state_dir, report);
	if (r == 0)
		r = home_make(c->cache_dir, report);
	if (r == 0)
		r = home_lock(c, wait_ms, report);
	if (r == 0)
		r = open_or_rebuild(c, &was_clean, report);
	if (r == 0)
		r = writer_start(c);
	if (r != 0) {
		explain(r, c, report);
		cache_close(c);
		return r;
	}
	if (!was_clean)
		blob_start_sweep(c);
	evict_if_over(c);
	*ret = c;
	return 0;
}

void cache_close(struct cache *c)
{
	bool is_clean;

	if (!c)
		return;

	if (c->writer.started) {
		touches_queue(c);
		is_clean = writer_stop(c);
		db_bind_text(&c->write, S_VALUE_SET, 1, "clean");
		db_bind_int(&c->write, S_VALUE_SET, 2, is_clean);
		/* Failing costs a sweep at the next start. */
		(void)db_run(&c->write, S_VALUE_SET);
	}
	close_db(c);
	/* Order matters: the locks go when nothing is open any more. */
	if (c->bodies_lock_fd >= 0)
		close(c->bodies_lock_fd);
	if (c->lock_fd >= 0)
		close(c->lock_fd);
	journal_finish(c);
	map_finish(&c->map);
	lock_cond_finish(&c->journal.trial_ended);
	lock_finish(&c->journal.lock);
	lock_cond_finish(&c->bodies.cond);
	lock_finish(&c->bodies.lock);
	lock_cond_finish(&c->map.loaded);
	lock_finish(&c->map.lock);
	lock_cond_finish(&c->ids.cond);
	lock_finish(&c->ids.lock);
	lock_cond_finish(&c->writer.done);
	lock_cond_finish(&c->writer.work);
	lock_finish(&c->writer.lock);
	lock_finish(&c->read_lock);
	explicit_bzero(c->secret, sizeof(c->secret));
	free(c->bodies.touches);
	free(c->state_dir);
	free(c->cache_dir);
	free(c);
}
