/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/spool.h"
#include "imap/log.h"

/*
 * Files of spool/ whose record is gone, and the files of rejected/.
 *
 * Order matters, for a kill or a power loss may come between any two steps: the
 * transaction that takes the record away names the file as a leftover; when it
 * is fsynced the file is deleted or moved; when that is fsynced, too, the
 * leftover is forgotten, or the file would come back as an orphan. Each step
 * may be done twice.
 *
 * The name in rejected/ is taken at once, by an empty file, so that it can be
 * told to the user; the file itself replaces that one.
 */

const struct sql db_left_sql[] = {
	{S_LEFT_PUT, "INSERT OR REPLACE INTO leftovers (spool, rejected)"
		     " VALUES (?, ?)"},
	{S_LEFT_DROP, "DELETE FROM leftovers WHERE spool = ?"},
	{S_LEFT_LIST, "SELECT spool, rejected FROM leftovers"},
	{S_LEFT_CLEAR, "DELETE FROM leftovers"},
	{0, NULL},
};

/* --- rejected/ --- */

static char *rejected_path(struct cache *c, const char *name)
{
	return path_join(c->journal.rejected_dir, name);
}

/* 0: the name is ours now; 1: it was taken. */
static int take_name(struct cache *c, const char *name)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
	char *path = rejected_path(c, name);
	int fd, error;

	if (!path)
		return -ENOMEM;
	fd = open(path, flags, 0600);
	error = errno;
	free(path);
	if (fd < 0)
		return error == EEXIST ? 1 : home_errno(error);
	close(fd);
	return 0;
}

#define TWINS_MAX 100000

int rejected_reserve(struct cache *c, const char *wanted, char **ret)
{
	char name[CACHE_NAME_MAX + 1];
	int r = take_name(c, wanted);

	snprintf(name, sizeof(name), "%s", wanted);
	for (uint32_t k = 2; r == 1 && k < TWINS_MAX; k++) {
		(void)index_twin_name(wanted, k, name);
		r = take_name(c, name);
	}
	if (r != 0)
		return r > 0 ? -EEXIST : r;
	*ret = strdup(name);
	if (*ret)
		return 0;
	rejected_cancel(c, name);
	return -ENOMEM;
}

void rejected_cancel(struct cache *c, const char *name)
{
	char *path = rejected_path(c, name);

	if (path)
		(void)unlink(path); /* else an empty file stays */
	free(path);
}

const char *journal_rejected_dir(const struct cache *c)
{
	return c->journal.rejected_dir;
}

/* --- one leftover --- */

struct leftover {
	struct leftover *next;
	char *spool, *rejected; /* NULL: it is deleted */
};

int leftovers_put(struct cache *c, const char *spool, const char *rejected)
{
	db_bind_text(&c->write, S_LEFT_PUT, 1, spool);
	db_bind_text(&c->write, S_LEFT_PUT, 2, rejected);
	return db_run(&c->write, S_LEFT_PUT);
}

static int forget(struct cache *c, const char *spool)
{
	db_bind_text(&c->write, S_LEFT_DROP, 1, spool);
	return db_run(&c->write, S_LEFT_DROP);
}

static bool clear_file(struct cache *c, const char *spool, bool is_scratch,
		       const char *to)
{
	char *from = spool_path(c, spool, is_scratch);
	bool done = false;

	if (from)
		done = (to ? rename(from, to) : unlink(from)) == 0 ||
		       errno == ENOENT;
	free(from);
	return done;
}

/* False: it is still there, and is left for the next start. */
static bool clear_one(struct cache *c, const char *spool, const char *rejected)
{
	char *to = rejected ? rejected_path(c, rejected) : NULL;
	bool done = false;

	if (to || !rejected)
		done = clear_file(c, spool, false, to) &&
		       clear_file(c, spool, true, to);
	if (!done)
		log_warn("cache: the file '%s' of spool/ cannot be %s", spool,
			 rejected ? "kept" : "removed");
	free(to);
	return done;
}

/* --- while the cache is open --- */

static void free_leftover(struct leftover *l)
{
	free(l->spool);
	free(l->rejected);
	free(l);
}

void leftovers_note(struct cache *c, const struct step *s)
{
	struct leftover *l = calloc(1, sizeof(*l));

	/* Without memory the file stays until the next start. */
	if (!l)
		return;
	l->spool = strdup(s->spool);
	l->rejected = s->rejected ? strdup(s->rejected) : NULL;
	if (!l->spool || (s->rejected && !l->rejected)) {
		free_leftover(l);
		return;
	}
	l->next = c->journal.leftovers;
	c->journal.leftovers = l;
}

struct forget_op {
	struct op op;
	char spool[];
};

static int run_forget(struct cache *c, struct op *op)
{
	return forget(c, ((struct forget_op *)op)->spool);
}

static void queue_forget(struct cache *c, const char *spool)
{
	size_t bytes = strlen(spool) + 1;
	struct forget_op *op = op_new(sizeof(*op) + bytes, run_forget, 0);

	if (!op)
		return;
	memcpy(op->spool, spool, bytes);
	writer_push(c, &op->op);
}

void leftovers_clear(struct cache *c)
{
	struct leftover *gone = NULL, *l;
	bool is_safe;

	while ((l = c->journal.leftovers)) {
		c->journal.leftovers = l->next;
		if (clear_one(c, l->spool, l->rejected)) {
			l->next = gone;
			gone = l;
		} else {
			free_leftover(l);
		}
	}
	is_safe = gone && spool_sync_dir(c) == 0;
	while ((l = gone)) {
		gone = l->next;
		if (is_safe)
			queue_forget(c, l->spool);
		free_leftover(l);
	}
}

void leftovers_finish(struct cache *c)
{
	while (c->journal.leftovers) {
		struct leftover *l = c->journal.leftovers;

		c->journal.leftovers = l->next;
		free_leftover(l);
	}
}

/* --- at the start --- */

static bool is_name(const char *name)
{
	return name && index_name_is_valid(name, strlen(name));
}

int leftovers_open(struct cache *c)
{
	sqlite3_stmt *st = c->write.stmt[S_LEFT_LIST];
	int r;

	while ((r = db_step(&c->write, S_LEFT_LIST)) == 1) {
		const char *spool = (const char *)sqlite3_column_text(st, 0);
		const char *rejected = (const char *)sqlite3_column_text(st, 1);

		if (is_name(spool) && (!rejected || is_name(rejected)))
			(void)clear_one(c, spool, rejected);
	}
	if (r != 0)
		return r;
	(void)!spool_sync_dir(c);
	/* Also those that no version of this program can have written. */
	return db_run(&c->write, S_LEFT_CLEAR);
}

/* --- orphans --- */

static bool is_known(struct cache *c, const char *name)
{
	uint64_t id = strtoull(name, NULL, 16);
	size_t len = strcspn(name, "~");
	const struct change *v;
	bool known;

	lock_take(&c->journal.lock);
	v = journal_find_locked(&c->journal, id);
	known = v && v->spool && strlen(v->spool) == len &&
		memcmp(v->spool, name, len) == 0;
	lock_drop(&c->journal.lock);
	return known;
}

/* What is in it may be the only copy of something. */
static int keep_orphan(struct cache *c, const char *name)
{
	struct journal_failure f = {
		.what = "to send a message whose record was lost"};
	char wanted[64], why[CACHE_NAME_MAX + 64];
	struct failure *line;
	char *kept;
	int r;

	snprintf(wanted, sizeof(wanted), "unsent-%.32s.eml", name);
	r = rejected_reserve(c, wanted, &kept);
	if (r != 0)
		return r;
	if (!clear_one(c, name, kept)) {
		free(kept);
		return -EIO;
	}
	snprintf(why, sizeof(why), "its text is kept as rejected/%s", kept);
	f.why = why;
	log_warn("cache: a file of spool/ that nothing knows is kept as "
		 "rejected/%s",
		 kept);
	free(kept);
	line = failure_new(&f);
	if (!line)
		return -ENOMEM;
	r = journal_sql_fail(c, line);
	free(line);
	return r;
}

static int look_at(struct cache *c, int dir, const char *name)
{
	size_t len = strlen(name);
	struct stat st;

	if (is_known(c, name) ||
	    fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !S_ISREG(st.st_mode))
		return 0;
	if (st.st_size == 0 || name[len - 1] == '~') {
		(void)unlinkat(dir, name, 0);
		return 0;
	}
	return keep_orphan(c, name);
}

/* A name that was taken for a file that then did not come. */
static int drop_empty(struct cache *c, int dir, const char *name)
{
	struct stat st;

	(void)c;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode) && st.st_size == 0)
		(void)unlinkat(dir, name, 0);
	return 0;
}

static int walk(struct cache *c, const char *path,
		int (*look)(struct cache *c, int dir, const char *name))
{
	DIR *d = opendir(path);
	struct dirent *e;
	int r = 0;

	if (!d)
		return home_errno(errno);
	/* Nobody else reads this stream: readdir is safe. */
	while (r == 0 && (e = readdir(d))) { /* NOLINT(concurrency-mt-unsafe) */
		if (e->d_name[0] != '.')
			r = look(c, dirfd(d), e->d_name);
	}
	closedir(d);
	return r;
}

int spool_find_orphans(struct cache *c)
{
	int r = walk(c, c->journal.spool_dir, look_at);

	return r == 0 ? walk(c, c->journal.rejected_dir, drop_empty) : r;
}
