/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/changes.h"

/*
 * The list of what was refused, for people: the newest JOURNAL_FAILED_MAX
 * lines, in a table of their own. Texts come from servers and file names: what
 * could end a line or steer a terminal is made blank, and all are cut.
 */

#define TEXT_MAX 500

const struct sql db_failed_sql[] = {
	{S_FAILED_ADD, "INSERT INTO failed (at, what, why, file)"
		       " VALUES (?, ?, ?, ?)"},
	{S_FAILED_TRIM, "DELETE FROM failed WHERE seq <="
			" (SELECT max(seq) FROM failed) - ?"},
	{S_FAILED_LIST, "SELECT at, what, why, file FROM failed ORDER BY seq"},
	{0, NULL},
};

/* --- adding --- */

static size_t text_room(const char *s)
{
	size_t n = s ? strlen(s) : 0;

	return (n < TEXT_MAX ? n : TEXT_MAX) + 1;
}

/* Also those of C1, which are two bytes in UTF-8. */
static bool is_control(const char *s, size_t i)
{
	const unsigned char *u = (const unsigned char *)s;

	if (u[i] < 0x20 || u[i] == 0x7f)
		return true;
	if (u[i] == 0xc2)
		return u[i + 1] >= 0x80 && u[i + 1] < 0xa0;
	return i > 0 && u[i - 1] == 0xc2 && u[i] >= 0x80 && u[i] < 0xa0;
}

static const char *copy_text(char **pool, const char *s)
{
	size_t room = text_room(s);
	char *at = *pool;

	/* Cut at a character. */
	if (s && s[room - 1]) {
		while (room > 1 && ((unsigned char)s[room - 1] & 0xc0) == 0x80)
			room--;
	}
	for (size_t i = 0; i + 1 < room; i++) {
		at[i] = s[i];
		if (is_control(s, i))
			at[i] = ' ';
	}
	at[room - 1] = '\0';
	*pool += room;
	return at;
}

struct failure *failure_new(const struct journal_failure *f)
{
	struct failure *v = malloc(sizeof(*v) + text_room(f->what) +
				   text_room(f->why) + text_room(f->file));
	char *pool;

	if (!v)
		return NULL;
	pool = (char *)(v + 1);
	v->at = time(NULL);
	v->what = copy_text(&pool, f->what);
	v->why = copy_text(&pool, f->why);
	v->file = copy_text(&pool, f->file);
	return v;
}

int journal_sql_fail(struct cache *c, const struct failure *f)
{
	struct db *db = &c->write;
	int r;

	db_bind_int(db, S_FAILED_ADD, 1, f->at);
	db_bind_text(db, S_FAILED_ADD, 2, f->what);
	db_bind_text(db, S_FAILED_ADD, 3, f->why);
	db_bind_text(db, S_FAILED_ADD, 4, f->file);
	r = db_run(db, S_FAILED_ADD);
	if (r != 0)
		return r;
	db_bind_int(db, S_FAILED_TRIM, 1, JOURNAL_FAILED_MAX);
	return db_run(db, S_FAILED_TRIM);
}

struct note_op {
	struct op op;
	struct failure *failure;
};

static int run_note(struct cache *c, struct op *op)
{
	return journal_sql_fail(c, ((struct note_op *)op)->failure);
}

static void note_done(struct cache *c, struct op *op, int err)
{
	(void)c;
	(void)err;
	free(((struct note_op *)op)->failure);
}

int journal_note_failure(struct cache *c, const struct journal_failure *f)
{
	struct note_op *op;
	int r = writer_wait_room(c);

	if (r != 0)
		return r;
	op = op_new(sizeof(*op), run_note, 0);
	if (!op)
		return -ENOMEM;
	op->failure = failure_new(f);
	if (!op->failure) {
		op_free(&op->op);
		return -ENOMEM;
	}
	op->op.done = note_done;
	writer_push(c, &op->op);
	return 0;
}

/* --- reading --- */

static const char *column(sqlite3_stmt *st, int at)
{
	const char *text = (const char *)sqlite3_column_text(st, at);

	return text ? text : "";
}

static void print_line(FILE *f, sqlite3_stmt *st)
{
	time_t at = (time_t)sqlite3_column_int64(st, 0);
	const char *file = column(st, 3);
	char stamp[40] = "";
	struct tm tm;

	if (gmtime_r(&at, &tm))
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
	fprintf(f, "%s %s", stamp, column(st, 1));
	if (file[0])
		fprintf(f, " '%s'", file);
	fprintf(f, ": %s\n", column(st, 2));
}

int journal_failed_text(struct cache *c, char **ret)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *f = open_memstream(&text, &bytes);
	int r;

	if (!f)
		return -ENOMEM;
	/* A line that is still on its way to the disk is waited for. */
	(void)writer_drain(c, 0);
	lock_take(&c->read_lock);
	while ((r = db_step(&c->read, S_FAILED_LIST)) == 1)
		print_line(f, c->read.stmt[S_FAILED_LIST]);
	lock_drop(&c->read_lock);
	if (r == -EBADMSG)
		store_mark_damaged(c);
	if (fclose(f) != 0 && r == 0)
		r = -ENOMEM;
	if (r != 0) {
		free(text);
		return r;
	}
	*ret = text;
	return 0;
}
