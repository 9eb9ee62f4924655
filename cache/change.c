/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/box.h"
#include "cache/messages.h"

/*
 * Changes of a folder in use, each in three steps: wait for room in the
 * writer's queue and copy what the writer needs (no lock held); change the
 * index; push the copy before the lock is dropped. So the disk sees the
 * changes of a folder in the order in which memory saw them, and no request
 * waits for the disk with the lock held.
 */

/* --- adding --- */

#define ADD_MAX 1000000 /* rows of one call */

/* Rows whose UID is not here yet; of two with one UID both are counted. */
static uint32_t count_fresh(struct box *b, const struct add_op *op)
	REQUIRES(b->lock)
{
	uint32_t n = 0;

	for (size_t i = 0; i < op->n; i++) {
		if (index_find_uid(&b->index, op->row[i].uid) == INDEX_NONE)
			n++;
	}
	return n;
}

static void append_row(struct box *b, struct add_row *row, uint64_t id,
		       bool announced) REQUIRES(b->lock, b->c->map.lock)
{
	struct record r = {
		.id = (uint32_t)id,
		.uid = row->uid,
		.size = row->size,
		.internaldate = row->internaldate,
		.changed_at = row->changed_at,
		.keywords = row->keywords,
		.state = row->flags | (announced ? RECORD_ANNOUNCED : 0u),
	};
	char name[CACHE_NAME_MAX + 1];
	size_t len = index_free_name(&b->index, row->name, name);

	row->id = id;
	memcpy(row->name, name, len + 1);
	index_append(&b->index, &r, name, len);
	map_set_locked(&b->c->map, id, (uint32_t)b->folder);
}

/*
 * All that can fail comes first; then the rows go in. -EAGAIN: the ids have
 * been taken by somebody else meanwhile.
 */
static int add_locked(struct box *b, const struct cache_new *rows,
		      struct add_op *op, uint64_t *ret_ids) REQUIRES(b->lock)
{
	uint32_t n = count_fresh(b, op);
	uint64_t id = 0;
	int r = index_reserve(&b->index, n, n * (size_t)CACHE_NAME_MAX);

	if (r == 0 && n > 0 && !ids_take(b->c, n, &id))
		r = -EAGAIN;
	if (r != 0)
		return r;

	lock_take(&b->c->map.lock);
	r = map_reserve_locked(&b->c->map, id, n);
	for (size_t i = 0; r == 0 && i < op->n; i++) {
		struct add_row *row = &op->row[i];

		if (index_find_uid(&b->index, row->uid) == INDEX_NONE)
			append_row(b, row, id++, rows[i].announced);
		if (ret_ids)
			ret_ids[i] = row->id;
	}
	lock_drop(&b->c->map.lock);
	if (r == 0 && op->has_state)
		b->state = op->state;
	if (r == 0)
		writer_push(b->c, &op->op);
	return r;
}

static int check_new(const struct cache_new *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!index_name_is_valid(rows[i].name, strlen(rows[i].name)))
			return -EINVAL;
		if (rows[i].row->size > MAIL_SIZE_MAX)
			return -EOVERFLOW;
	}
	return n > ADD_MAX ? -EOVERFLOW : 0;
}

int box_add(struct box *b, const struct cache_new *rows, size_t n,
	    const struct cache_state *s, uint64_t *ret_ids)
{
	struct add_op *op;
	int r = check_new(rows, n);

	if (r == 0)
		r = writer_wait_room(b->c);
	if (r != 0)
		return r;
	op = messages_add_new(b->folder, rows, n);
	if (!op)
		return -ENOMEM;

	if (s) {
		op->has_state = true;
		op->state = *s;
	}
	do {
		r = ids_prepare(b->c, (uint32_t)n);
		if (r != 0)
			break;
		lock_take(&b->lock);
		r = add_locked(b, rows, op, ret_ids);
		lock_drop(&b->lock);
	} while (r == -EAGAIN);
	if (r != 0)
		op_free(&op->op);
	return r;
}

/* --- changing --- */

int box_set_state(struct box *b, const struct cache_state *s)
{
	struct op *op;
	int r = writer_wait_room(b->c);

	if (r != 0)
		return r;
	op = folders_state_new(b->folder, s);
	if (!op)
		return -ENOMEM;

	lock_take(&b->lock);
	b->state = *s;
	writer_push(b->c, op);
	lock_drop(&b->lock);
	return 0;
}

/* A living record, or NULL. */
static struct record *find_living(struct box *b, uint64_t id) REQUIRES(b->lock)
{
	size_t pos = index_find_id(&b->index, id);

	if (pos == INDEX_NONE)
		return NULL;
	if (index_at(&b->index, pos)->state & RECORD_DEAD)
		return NULL;
	return index_at(&b->index, pos);
}

static void set_flags_locked(struct box *b, struct flags_row *v)
	REQUIRES(b->lock)
{
	struct record *r = find_living(b, v->id);
	uint32_t keywords;

	if (!r) {
		v->id = 0;
		return;
	}
	keywords = v->text ? v->keywords : r->keywords;
	if ((r->state & RECORD_FLAGS) == v->flags && r->keywords == keywords) {
		v->id = 0; /* nothing new: ctime stays */
		return;
	}
	r->state = (r->state & ~RECORD_FLAGS) | v->flags;
	r->keywords = keywords;
	r->changed_at = v->changed_at;
	v->keywords = keywords;
}

int box_set_flags(struct box *b, const struct cache_flags *v, size_t n)
{
	struct flags_op *op;
	int r = writer_wait_room(b->c);

	if (r != 0)
		return r;
	op = messages_flags_new(b->folder, v, n);
	if (!op)
		return -ENOMEM;

	lock_take(&b->lock);
	for (size_t i = 0; i < n; i++)
		set_flags_locked(b, &op->row[i]);
	writer_push(b->c, &op->op);
	lock_drop(&b->lock);
	return 0;
}

int box_set_size(struct box *b, uint64_t id, uint64_t size)
{
	struct record *rec;
	struct op *op;
	int r = size > MAIL_SIZE_MAX ? -EOVERFLOW : writer_wait_room(b->c);

	if (r != 0)
		return r;
	op = messages_size_new(b->folder, id, size);
	if (!op)
		return -ENOMEM;

	lock_take(&b->lock);
	rec = find_living(b, id);
	if (rec) {
		rec->size = size;
		writer_push(b->c, op);
	}
	lock_drop(&b->lock);
	if (!rec)
		op_free(op);
	return rec ? 0 : -ENOENT;
}

void box_announce(struct box *b, uint64_t id)
{
	struct record *r;

	lock_take(&b->lock);
	r = find_living(b, id);
	if (r && !(r->state & RECORD_ANNOUNCED)) {
		r->state |= RECORD_ANNOUNCED;
		b->index.n_shown++;
	}
	lock_drop(&b->lock);
}

int box_doom(struct box *b, const uint64_t *ids, size_t n,
	     const struct cache_state *s)
{
	struct remove_op *op;
	struct record *rec;
	int r = writer_wait_room(b->c);

	if (r != 0)
		return r;
	op = messages_remove_new(b->folder, ids, n);
	if (!op)
		return -ENOMEM;

	if (s) {
		op->has_state = true;
		op->state = *s;
	}
	lock_take(&b->lock);
	for (size_t i = 0; i < n; i++) {
		rec = find_living(b, ids[i]);
		if (rec)
			index_doom(&b->index, index_find_id(&b->index, ids[i]));
	}
	if (s)
		b->state = *s;
	writer_push(b->c, &op->op);
	lock_drop(&b->lock);
	return 0;
}

static void forget_id(struct box *b, uint64_t id) REQUIRES(b->lock)
{
	lock_take(&b->c->map.lock);
	map_set_locked(&b->c->map, id, 0);
	lock_drop(&b->c->map.lock);
}

int box_remove(struct box *b, const uint64_t *ids, size_t n)
{
	struct remove_op *op;
	int r = writer_wait_room(b->c);

	if (r != 0)
		return r;
	op = messages_remove_new(b->folder, ids, n);
	if (!op)
		return -ENOMEM;

	lock_take(&b->lock);
	for (size_t i = 0; i < n; i++) {
		struct record *rec = find_living(b, ids[i]);

		if (!rec)
			continue;
		index_kill(&b->index, index_find_id(&b->index, ids[i]));
		if (rec->held == 0)
			forget_id(b, ids[i]);
	}
	index_compact(&b->index);
	writer_push(b->c, &op->op);
	lock_drop(&b->lock);
	return 0;
}

/* --- what the kernel holds --- */

int box_hold(struct box *b, uint64_t id)
{
	int r = -ENOENT;
	size_t pos;

	lock_take(&b->lock);
	pos = index_find_id(&b->index, id);
	if (pos != INDEX_NONE) {
		struct record *rec = index_at(&b->index, pos);

		if (rec->held == UINT32_MAX) {
			r = -EOVERFLOW;
		} else if (rec->held > 0 || !(rec->state & RECORD_DEAD)) {
			rec->held++;
			b->index.held++;
			r = 0;
		}
	}
	lock_drop(&b->lock);
	return r;
}

static void release_locked(struct box *b, size_t pos, uint64_t n)
	REQUIRES(b->lock)
{
	struct record *r = index_at(&b->index, pos);
	uint64_t id = r->id;

	if (r->held == 0)
		return;
	if (n > r->held)
		n = r->held;
	r->held -= (uint32_t)n;
	b->index.held -= n;
	if (r->held > 0 || !(r->state & RECORD_DEAD))
		return;

	index_note_gone(&b->index, pos);
	forget_id(b, id);
	index_compact(&b->index);
}

void box_release(struct box *b, uint64_t id, uint64_t n)
{
	size_t pos;

	lock_take(&b->lock);
	pos = index_find_id(&b->index, id);
	if (pos != INDEX_NONE)
		release_locked(b, pos, n);
	lock_drop(&b->lock);
}
