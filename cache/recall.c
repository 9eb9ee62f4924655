/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/recall.h"

#include <errno.h>
#include <stdlib.h>

#include "cache/internal.h"
#include "cache/messages.h"

/*
 * Header fields that are known under another label. The size that is compared
 * is the one that the server told of both: an X-GM-MSGID that it gives to two
 * messages names neither. Details that a change of the user's wrote anew have
 * no such size, and are nobody's.
 *
 * By the reading connection, a window of rows at a time under its lock.
 */

bool cache_may_recall(struct cache *c)
{
	return atomic_load(&c->has_gm);
}

void recall_note(struct cache *c, const struct cache_new *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if ((rows[i].row->has & ROW_GM) && rows[i].row->gm_msgid != 0)
			atomic_store(&c->has_gm, true);
	}
}

int recall_init(struct cache *c)
{
	int r = db_step(&c->write, S_DETAIL_ANY_GM);

	atomic_store(&c->has_gm, r == 1);
	db_reset(&c->write, S_DETAIL_ANY_GM);
	return r < 0 ? r : 0;
}

static int find_twin(struct cache *c, const struct mail_row *row,
		     struct cache_details **ret) REQUIRES(c->read_lock)
{
	struct db *db = &c->read;
	int r;

	db_bind_int(db, S_DETAIL_TWIN, 1, (int64_t)row->gm_msgid);
	db_bind_int(db, S_DETAIL_TWIN, 2, (int64_t)row->size);
	r = db_step(db, S_DETAIL_TWIN);
	if (r == 1)
		*ret = messages_copy_details(db->stmt[S_DETAIL_TWIN]);
	db_reset(db, S_DETAIL_TWIN);
	return r;
}

void cache_recall(struct cache *c, const struct mail_row *rows, size_t n,
		  bool settled, struct cache_details **ret)
{
	const unsigned needs = ROW_GM | ROW_SIZE;
	int r = 0;

	for (size_t i = 0; i < n; i++)
		ret[i] = NULL;
	if (!cache_may_recall(c))
		return;
	/* What cannot be written now is not found: it is asked for again. */
	if (settled)
		(void)writer_drain(c, 0);
	lock_take(&c->read_lock);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		if ((rows[i].has & needs) == needs && rows[i].gm_msgid != 0 &&
		    rows[i].size != 0)
			r = find_twin(c, &rows[i], &ret[i]);
	}
	lock_drop(&c->read_lock);
	if (r == -EBADMSG)
		store_mark_damaged(c);
}

bool cache_has_gm(struct cache *c, uint64_t folder, uint64_t gm_msgid)
{
	struct db *db = &c->read;
	int r;

	(void)writer_drain(c, 0);
	lock_take(&c->read_lock);
	db_bind_int(db, S_DETAIL_GM_IN, 1, (int64_t)gm_msgid);
	db_bind_int(db, S_DETAIL_GM_IN, 2, (int64_t)folder);
	r = db_step(db, S_DETAIL_GM_IN);
	db_reset(db, S_DETAIL_GM_IN);
	lock_drop(&c->read_lock);
	if (r == -EBADMSG)
		store_mark_damaged(c);
	return r != 0;
}
