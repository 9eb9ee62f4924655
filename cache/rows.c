/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/blob.h"
#include "cache/changes.h"
#include "cache/messages.h"

/*
 * The row of a message as the journal changes it: written as a whole, as
 * memory has it now, so that it may be written twice. Called by the writer
 * thread, in a transaction. messages.c has the same tables as the server
 * changes them.
 *
 * On disk a row that is pending has no UID (NULL); one that is unmoored has
 * UNMOORED_UID.
 */

const struct sql db_rows_sql[] = {
	{S_ROW_PUT, "INSERT OR REPLACE INTO messages (folder, id, uid, flags,"
		    " size, internaldate, changed_at, keywords, name)"
		    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"},
	{S_ROW_GET, "SELECT id, uid, flags, size, internaldate, changed_at,"
		    " keywords, name FROM messages WHERE folder = ?"
		    " AND id = ?"},
	{S_ROW_PENDING, "SELECT folder, id FROM messages WHERE uid IS NULL"},
	{S_ROW_UNMOOR, "UPDATE messages SET uid = 0 WHERE folder = ?"
		       " AND id = ?"},
	{S_ROW_DETAILS, "INSERT OR REPLACE INTO details (id) VALUES (?)"},
	{S_ROW_COPY, "INSERT OR REPLACE INTO details (id, date, from_, to_, cc,"
		     " subject, message_id, keywords, gm_labels, emailid,"
		     " gm_msgid, gm_thrid, blob, size) SELECT ?1, date, from_,"
		     " to_, cc, subject, message_id, keywords, gm_labels,"
		     " emailid, gm_msgid, gm_thrid, blob, size FROM details"
		     " WHERE id = ?2"},
	{S_ROW_TEXTS, "UPDATE details SET date = ?, from_ = ?, to_ = ?, cc = ?,"
		      " subject = ?, message_id = ?, emailid = NULL, size = 0"
		      " WHERE id = ?"},
	{S_ROW_WORDS, "SELECT keywords, gm_labels FROM details WHERE id = ?"},
	{S_ROW_KEY, "SELECT gm_msgid, message_id, emailid, size FROM details"
		    " WHERE id = ?"},
	{0, NULL},
};

static int put_row(struct cache *c, const struct step *s)
{
	struct db *db = &c->write;
	const struct record *rec = &s->row;
	enum stmt st = S_ROW_PUT;

	db_bind_int(db, st, 1, (int64_t)s->will_be_in);
	db_bind_int(db, st, 2, (int64_t)s->id);
	if (rec->uid != 0 || (rec->state & RECORD_UNMOORED))
		db_bind_int(db, st, 3, rec->uid);
	else
		db_bind_text(db, st, 3, NULL);
	db_bind_int(db, st, 4, rec->state & RECORD_FLAGS);
	db_bind_int(db, st, 5, (int64_t)rec->size);
	db_bind_int(db, st, 6, rec->internaldate);
	db_bind_int(db, st, 7, rec->changed_at);
	db_bind_int(db, st, 8, rec->keywords);
	db_bind_text(db, st, 9, s->name);
	return db_run(db, st);
}

int rows_remove(struct cache *c, uint64_t folder, uint64_t id)
{
	db_bind_int(&c->write, S_MSG_REMOVE, 1, (int64_t)folder);
	db_bind_int(&c->write, S_MSG_REMOVE, 2, (int64_t)id);
	return db_run(&c->write, S_MSG_REMOVE);
}

/* --- details --- */

static int copy_details(struct cache *c, const struct step *s)
{
	db_bind_int(&c->write, S_ROW_COPY, 1, (int64_t)s->id);
	db_bind_int(&c->write, S_ROW_COPY, 2, (int64_t)s->copy_of);
	return db_run(&c->write, S_ROW_COPY);
}

static int new_details(struct cache *c, const struct step *s)
{
	if (s->copy_of != 0)
		return copy_details(c, s);
	if (s->was != ROW_NONE)
		return 0;
	db_bind_int(&c->write, S_ROW_DETAILS, 1, (int64_t)s->id);
	return db_run(&c->write, S_ROW_DETAILS);
}

static int put_texts(struct cache *c, const struct step *s)
{
	if (!s->texts)
		return 0;
	for (int i = 0; i < N_FIELDS; i++)
		db_bind_text(&c->write, S_ROW_TEXTS, 1 + i, s->texts->field[i]);
	db_bind_int(&c->write, S_ROW_TEXTS, 1 + N_FIELDS, (int64_t)s->id);
	return db_run(&c->write, S_ROW_TEXTS);
}

/* NULL for nothing. */
static int copy_column(sqlite3_stmt *st, int at, char **ret)
{
	const char *text = (const char *)sqlite3_column_text(st, at);

	*ret = text && text[0] ? strdup(text) : NULL;
	return text && text[0] && !*ret ? -ENOMEM : 0;
}

static int read_words(struct cache *c, uint64_t id, struct flagset *ret)
{
	sqlite3_stmt *st = c->write.stmt[S_ROW_WORDS];
	int r;

	db_bind_int(&c->write, S_ROW_WORDS, 1, (int64_t)id);
	r = db_step(&c->write, S_ROW_WORDS);
	if (r == 1) {
		r = copy_column(st, 0, &ret->words);
		if (r == 0)
			r = copy_column(st, 1, &ret->labels);
	}
	db_reset(&c->write, S_ROW_WORDS);
	return r;
}

static int write_words(struct cache *c, enum stmt st, uint64_t id,
		       const char *words)
{
	return messages_set_text(c, st, id, words ? words : "");
}

/* What is given as a whole, and what differs from what was there. */
static int put_words(struct cache *c, const struct step *s)
{
	const struct flagset *add = &s->words.add, *take = &s->words.remove;
	bool has_words = !s->keywords && (add->words || take->words);
	bool has_labels = !s->labels && (add->labels || take->labels);
	struct flagset has = {0}, more = {0}, left = {0};
	int r = 0;

	if (s->keywords)
		r = write_words(c, S_DETAIL_KEYWORDS, s->id, s->keywords);
	if (r == 0 && s->labels)
		r = write_words(c, S_DETAIL_LABELS, s->id, s->labels);
	if (r != 0 || (!has_words && !has_labels))
		return r;
	r = read_words(c, s->id, &has);
	if (r == 0)
		r = flagset_combine(&has, SET_PLUS, add, &more);
	if (r == 0)
		r = flagset_combine(&more, SET_MINUS, take, &left);
	if (r == 0 && has_words)
		r = write_words(c, S_DETAIL_KEYWORDS, s->id, left.words);
	if (r == 0 && has_labels)
		r = write_words(c, S_DETAIL_LABELS, s->id, left.labels);
	flagset_finish(&has);
	flagset_finish(&more);
	flagset_finish(&left);
	return r;
}

/* --- the whole --- */

/* The mtime of the folders that a row went from and to. */
static int touch(struct cache *c, const struct step *s)
{
	int r = 0;

	if (s->now_ns == 0)
		return 0;
	if (s->was == ROW_BOX)
		r = folders_touch(c, s->was_in, s->now_ns);
	if (r == 0 && s->will == ROW_BOX && s->will_be_in != s->was_in)
		r = folders_touch(c, s->will_be_in, s->now_ns);
	return r;
}

int rows_run(struct cache *c, const struct step *s)
{
	int r = 0;

	if (s->was == ROW_SAME)
		return 0;
	if (s->was != ROW_NONE &&
	    (s->will == ROW_NONE || s->was_in != s->will_be_in))
		r = rows_remove(c, s->was_in, s->id);
	if (r == 0 && s->will == ROW_NONE)
		r = blob_forget_message(c, s->id);
	if (s->will == ROW_NONE)
		return r == 0 ? touch(c, s) : r;
	if (r == 0)
		r = put_row(c, s);
	if (r == 0)
		r = new_details(c, s);
	if (r == 0)
		r = put_texts(c, s);
	if (r == 0)
		r = put_words(c, s);
	return r == 0 ? touch(c, s) : r;
}

int rows_key(struct cache *c, const struct step *s, struct cache_key *ret)
{
	struct mail_row row = {
		.has = ROW_SIZE | ROW_DATE | ROW_FIELDS | ROW_GM | ROW_EMAILID,
		.size = s->row.size,
		.internaldate = s->row.internaldate,
	};
	sqlite3_stmt *st = c->write.stmt[S_ROW_KEY];
	int64_t told;
	int r;

	db_bind_int(&c->write, S_ROW_KEY, 1, (int64_t)s->id);
	r = db_step(&c->write, S_ROW_KEY);
	if (r == 1) {
		/* Right or wrong, the server will tell this one again. */
		told = sqlite3_column_int64(st, 3);
		if (told > 0)
			row.size = (uint64_t)told;
		row.gm_msgid = (uint64_t)sqlite3_column_int64(st, 0);
		row.field[FIELD_MESSAGE_ID] =
			(const char *)sqlite3_column_text(st, 1);
		row.emailid = (const char *)sqlite3_column_text(st, 2);
		r = cache_key_of(c, &row, ret);
	}
	db_reset(&c->write, S_ROW_KEY);
	return r;
}
