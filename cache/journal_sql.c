/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/changes.h"
#include "cache/spool.h"

/*
 * The table of the journal's records, and the operation that writes a plan:
 * rows, records, what becomes of files and what is listed as failed, all in
 * one transaction (J1). Called by the writer thread.
 *
 * The content key is made here, from the details that the same transaction
 * may have written, when a record is new; it stays as long as the record does.
 */

#define CHANGE_COLUMNS                                                         \
	"id, seq, folder, uidvalidity, uid, how, phase, waits_for, add_flags," \
	" remove_flags, add_keywords, remove_keywords, add_labels,"            \
	" remove_labels, name, spool, sent, sent_to, sent_uidvalidity,"        \
	" sent_uidnext, sent_add_flags, sent_remove_flags,"                    \
	" sent_add_keywords, sent_remove_keywords, sent_add_labels,"           \
	" sent_remove_labels, queued_at, tries"

const struct sql db_journal_sql[] = {
	{S_CHANGE_PUT,
	 "INSERT INTO changes (" CHANGE_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?,"
	 " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	 " ON CONFLICT (id)"
	 " DO UPDATE SET seq = excluded.seq, folder = excluded.folder,"
	 " uidvalidity = excluded.uidvalidity, uid = excluded.uid,"
	 " how = excluded.how, phase = excluded.phase,"
	 " waits_for = excluded.waits_for, add_flags = excluded.add_flags,"
	 " remove_flags = excluded.remove_flags,"
	 " add_keywords = excluded.add_keywords,"
	 " remove_keywords = excluded.remove_keywords,"
	 " add_labels = excluded.add_labels,"
	 " remove_labels = excluded.remove_labels, name = excluded.name,"
	 " spool = excluded.spool, sent = excluded.sent,"
	 " sent_to = excluded.sent_to,"
	 " sent_uidvalidity = excluded.sent_uidvalidity,"
	 " sent_uidnext = excluded.sent_uidnext,"
	 " sent_add_flags = excluded.sent_add_flags,"
	 " sent_remove_flags = excluded.sent_remove_flags,"
	 " sent_add_keywords = excluded.sent_add_keywords,"
	 " sent_remove_keywords = excluded.sent_remove_keywords,"
	 " sent_add_labels = excluded.sent_add_labels,"
	 " sent_remove_labels = excluded.sent_remove_labels,"
	 " queued_at = excluded.queued_at, tries = excluded.tries"},
	{S_CHANGE_DROP, "DELETE FROM changes WHERE id = ?"},
	{S_CHANGE_LIST, "SELECT " CHANGE_COLUMNS " FROM changes ORDER BY seq"},
	{S_CHANGE_SET_KEY, "UPDATE changes SET key = ? WHERE id = ?"},
	{S_CHANGE_GET_KEY, "SELECT key FROM changes WHERE id = ?"},
	{0, NULL},
};

static void bind_delta(struct db *db, int at, const struct delta *d)
{
	db_bind_int(db, S_CHANGE_PUT, at, d->add.flags);
	db_bind_int(db, S_CHANGE_PUT, at + 1, d->remove.flags);
	db_bind_text(db, S_CHANGE_PUT, at + 2, d->add.words);
	db_bind_text(db, S_CHANGE_PUT, at + 3, d->remove.words);
	db_bind_text(db, S_CHANGE_PUT, at + 4, d->add.labels);
	db_bind_text(db, S_CHANGE_PUT, at + 5, d->remove.labels);
}

int journal_sql_put(struct cache *c, const struct change *v)
{
	struct db *db = &c->write;
	enum stmt s = S_CHANGE_PUT;

	db_bind_int(db, s, 1, (int64_t)v->id);
	db_bind_int(db, s, 2, (int64_t)v->seq);
	db_bind_int(db, s, 3, (int64_t)v->origin.folder);
	db_bind_int(db, s, 4, v->origin.uidvalidity);
	db_bind_int(db, s, 5, v->origin.uid);
	db_bind_int(db, s, 6, v->how);
	db_bind_int(db, s, 7, v->phase);
	db_bind_int(db, s, 8, (int64_t)v->after);
	bind_delta(db, 9, &v->delta);
	db_bind_text(db, s, 15, v->name);
	db_bind_text(db, s, 16, v->spool);
	db_bind_int(db, s, 17, v->sent);
	db_bind_int(db, s, 18, (int64_t)v->sent_to);
	db_bind_int(db, s, 19, v->sent_uidvalidity);
	db_bind_int(db, s, 20, v->sent_uidnext);
	bind_delta(db, 21, &v->sent_delta);
	db_bind_int(db, s, 27, v->queued_at);
	db_bind_int(db, s, 28, v->tries);
	return db_run(db, s);
}

int journal_sql_drop(struct cache *c, uint64_t id)
{
	db_bind_int(&c->write, S_CHANGE_DROP, 1, (int64_t)id);
	return db_run(&c->write, S_CHANGE_DROP);
}

static int put_key(struct cache *c, const struct step *s)
{
	struct cache_key key;
	int r = rows_key(c, s, &key);

	if (r <= 0)
		return r;
	db_bind_blob(&c->write, S_CHANGE_SET_KEY, 1, key.hash,
		     sizeof(key.hash));
	db_bind_int(&c->write, S_CHANGE_SET_KEY, 2, (int64_t)s->id);
	return db_run(&c->write, S_CHANGE_SET_KEY);
}

static int run_change(struct cache *c, const struct step *s)
{
	int r;

	if (!s->next)
		return s->had_change ? journal_sql_drop(c, s->id) : 0;
	r = journal_sql_put(c, s->next);
	if (r == 0 && s->is_new_key)
		r = put_key(c, s);
	return r;
}

static int run_step(struct cache *c, const struct step *s)
{
	int r = rows_run(c, s);

	if (r == 0)
		r = run_change(c, s);
	if (r == 0 && s->fate != SPOOL_STAYS)
		r = leftovers_put(c, s->spool, s->rejected);
	if (r == 0 && s->failure)
		r = journal_sql_fail(c, s->failure);
	return r;
}

static int run_plan(struct cache *c, struct op *op)
{
	struct plan_op *p = (struct plan_op *)op;
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->n; i++)
		r = run_step(c, p->v[i]);
	return r;
}

static void plan_done(struct cache *c, struct op *op, int err)
{
	struct plan_op *p = (struct plan_op *)op;

	for (size_t i = 0; err == 0 && i < p->n; i++) {
		if (p->v[i]->fate != SPOOL_STAYS)
			leftovers_note(c, p->v[i]);
	}
	lock_take(&c->journal.lock);
	plan_free_steps(&c->journal, p->v, p->n);
	lock_drop(&c->journal.lock);
}

struct plan_op *plan_op_new(size_t n)
{
	struct plan_op *op = op_new(sizeof(*op), run_plan, OP_ANY_FOLDER);

	if (!op)
		return NULL;
	op->op.done = plan_done;
	op->op.more = n * sizeof(struct step);
	op->n = n;
	return op;
}

/* --- keys, read from any thread --- */

int journal_key(struct cache *c, uint64_t id, struct cache_key *ret)
{
	sqlite3_stmt *st = c->read.stmt[S_CHANGE_GET_KEY];
	int r;

	lock_take(&c->read_lock);
	db_bind_int(&c->read, S_CHANGE_GET_KEY, 1, (int64_t)id);
	r = db_step(&c->read, S_CHANGE_GET_KEY);
	if (r == 1) {
		ret->of = id;
		if (sqlite3_column_bytes(st, 0) == sizeof(ret->hash))
			memcpy(ret->hash, sqlite3_column_blob(st, 0),
			       sizeof(ret->hash));
		else
			r = 0;
	}
	db_reset(&c->read, S_CHANGE_GET_KEY);
	lock_drop(&c->read_lock);
	if (r == -EBADMSG)
		store_mark_damaged(c);
	return r == 1 ? 0 : r == 0 ? -ENOENT : r;
}
