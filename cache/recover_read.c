/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/recover.h"
#include "cache/spool.h"

/*
 * The records as the table has them, each checked by itself: what no version
 * of this program can have written is listed as failed and dropped, and its row
 * is looked after as one that has lost its record.
 *
 * The columns are those of CHANGE_COLUMNS in journal_sql.c, from 0 on.
 */

enum column {
	C_ID,
	C_SEQ,
	C_FOLDER,
	C_UIDVALIDITY,
	C_UID,
	C_HOW,
	C_PHASE,
	C_WAITS_FOR,
	C_DELTA, /* six of them */
	C_NAME = C_DELTA + 6,
	C_SPOOL,
	C_SENT,
	C_SENT_TO,
	C_SENT_UIDVALIDITY,
	C_SENT_UIDNEXT,
	C_SENT_DELTA, /* six of them */
	C_QUEUED_AT = C_SENT_DELTA + 6,
	C_TRIES,
};

#define PARTS_MASK                                                             \
	(JOURNAL_APPEND | JOURNAL_COPY | JOURNAL_STORE | JOURNAL_MOVE |        \
	 JOURNAL_REMOVE)

/* --- columns --- */

static bool read_u32(sqlite3_stmt *st, int at, uint32_t *ret)
{
	int64_t v = sqlite3_column_int64(st, at);

	*ret = (uint32_t)v;
	return v >= 0 && v <= UINT32_MAX;
}

static bool read_folder(sqlite3_stmt *st, int at, uint64_t *ret)
{
	int64_t v = sqlite3_column_int64(st, at);

	*ret = (uint64_t)v;
	return v == 0 || (v >= CACHE_ID_FIRST && v < CACHE_ID_LIMIT);
}

/* NULL stays NULL. */
static int read_text(sqlite3_stmt *st, int at, char **ret)
{
	const char *text = (const char *)sqlite3_column_text(st, at);

	*ret = text ? strdup(text) : NULL;
	return text && !*ret ? -ENOMEM : 0;
}

static bool words_are_sound(const char *words)
{
	if (!words)
		return true;
	for (const char *at = words; *at; at++) {
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			return false;
	}
	return words[0] && strlen(words) <= MAIL_KEYWORDS_MAX;
}

/* 1: it is sound. */
static int read_delta(sqlite3_stmt *st, int at, struct delta *ret)
{
	int r = read_text(st, at + 2, &ret->add.words);

	if (r == 0)
		r = read_text(st, at + 3, &ret->remove.words);
	if (r == 0)
		r = read_text(st, at + 4, &ret->add.labels);
	if (r == 0)
		r = read_text(st, at + 5, &ret->remove.labels);
	if (r != 0)
		return r;
	return read_u32(st, at, &ret->add.flags) &&
	       read_u32(st, at + 1, &ret->remove.flags) &&
	       ((ret->add.flags | ret->remove.flags) & ~RECORD_FLAGS) == 0 &&
	       (ret->add.flags & ret->remove.flags) == 0 &&
	       words_are_sound(ret->add.words) &&
	       words_are_sound(ret->remove.words) &&
	       words_are_sound(ret->add.labels) &&
	       words_are_sound(ret->remove.labels);
}

/* --- one record --- */

static bool origin_is_sound(const struct change *v)
{
	const struct journal_place *o = &v->origin;

	if (o->folder == 0)
		return o->uid == 0 && o->uidvalidity == 0 && v->spool &&
		       v->how == JOURNAL_MOVES;
	return o->uid != 0 && o->uidvalidity != 0 && !v->spool &&
	       v->phase >= JOURNAL_QUEUED;
}

/* A name that is ours, or the file of another could be read or deleted. */
static int spool_is_sound(const struct change *v)
{
	char *own;
	int r;

	if (!v->spool)
		return 1;
	own = spool_name(v->id);
	r = own ? strcmp(v->spool, own) == 0 : -ENOMEM;
	free(own);
	return r;
}

static bool read_numbers(sqlite3_stmt *st, struct change *v)
{
	uint32_t how, phase;
	bool ok;

	v->id = (uint64_t)sqlite3_column_int64(st, C_ID);
	v->seq = (uint64_t)sqlite3_column_int64(st, C_SEQ);
	v->after = (uint64_t)sqlite3_column_int64(st, C_WAITS_FOR);
	v->queued_at = sqlite3_column_int64(st, C_QUEUED_AT);
	ok = read_folder(st, C_FOLDER, &v->origin.folder) &&
	     read_u32(st, C_UIDVALIDITY, &v->origin.uidvalidity) &&
	     read_u32(st, C_UID, &v->origin.uid) && read_u32(st, C_HOW, &how) &&
	     read_u32(st, C_PHASE, &phase) && read_u32(st, C_SENT, &v->sent) &&
	     read_folder(st, C_SENT_TO, &v->sent_to) &&
	     read_u32(st, C_SENT_UIDVALIDITY, &v->sent_uidvalidity) &&
	     read_u32(st, C_SENT_UIDNEXT, &v->sent_uidnext) &&
	     read_u32(st, C_TRIES, &v->tries);
	if (!ok || how < JOURNAL_MOVES || how > JOURNAL_COPIES ||
	    phase < JOURNAL_SCRATCH || phase > JOURNAL_SENT)
		return false;
	v->how = (enum journal_how)how;
	v->phase = (enum journal_phase)phase;
	return (v->sent & ~(unsigned)PARTS_MASK) == 0 &&
	       (v->phase == JOURNAL_SENT) == (v->sent != 0) &&
	       v->seq < INT64_MAX;
}

/* 1: it is sound; 0: it is not; or an errno. */
static int read_change(struct cache *c, sqlite3_stmt *st, struct change *v)
{
	int r;

	if (!read_numbers(st, v) || v->id < CACHE_ID_FIRST ||
	    v->id >= ids_end(c))
		return 0;
	r = read_text(st, C_NAME, &v->name);
	if (r == 0)
		r = read_text(st, C_SPOOL, &v->spool);
	if (r != 0)
		return r;
	if (v->name && !index_name_is_valid(v->name, strlen(v->name)))
		return 0;
	r = read_delta(st, C_DELTA, &v->delta);
	if (r == 1)
		r = read_delta(st, C_SENT_DELTA, &v->sent_delta);
	if (r == 1)
		r = origin_is_sound(v) ? spool_is_sound(v) : 0;
	return r;
}

/* --- all of them --- */

static int add(struct cache *c, struct change *v) REQUIRES(c->journal.lock)
{
	int r = journal_reserve_locked(&c->journal, 1);

	if (r != 0)
		return r;
	/* They come in the order of seq: one that repeats it comes last. */
	if (v->seq < c->journal.next_seq)
		v->seq = c->journal.next_seq;
	c->journal.next_seq = v->seq + 1;
	v->gen = c->journal.next_gen++;
	journal_swap_locked(&c->journal, NULL, v);
	return 0;
}

/* 1: there is nothing to complain of. */
static int read_one(struct cache *c, uint64_t at) REQUIRES(c->journal.lock)
{
	struct change *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return -ENOMEM;
	v->refs = 1;
	v->at = at;
	r = read_change(c, c->write.stmt[S_CHANGE_LIST], v);
	if (r == 1) {
		r = add(c, v);
		if (r == 0)
			return 1;
	}
	change_free(v);
	return r;
}

/* Ids of records that are dropped, to be removed when the list is read. */
struct bad {
	uint64_t *v;
	size_t n;
};

static int note_bad(struct bad *bad, uint64_t id)
{
	uint64_t *v = realloc(bad->v, (bad->n + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	bad->v = v;
	v[bad->n++] = id;
	return 0;
}

int recover_read_locked(struct cache *c, uint64_t at)
{
	sqlite3_stmt *st = c->write.stmt[S_CHANGE_LIST];
	struct bad bad = {0};
	int r;

	while ((r = db_step(&c->write, S_CHANGE_LIST)) == 1) {
		r = read_one(c, at);
		if (r == 0)
			r = note_bad(&bad,
				     (uint64_t)sqlite3_column_int64(st, C_ID));
		if (r < 0)
			break;
	}
	db_reset(&c->write, S_CHANGE_LIST);
	for (size_t i = 0; r == 0 && i < bad.n; i++) {
		r = journal_sql_drop(c, bad.v[i]);
		if (r == 0)
			r = recover_report(c, "to change a message",
					   "the record of it is damaged", "");
	}
	free(bad.v);
	return r;
}
