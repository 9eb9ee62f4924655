/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/server.h"

/*
 * Changes of a folder in use, as the server tells of them, each in three steps:
 * wait for room in the writer's queue and copy what the writer needs (no lock
 * held); change the index; push the copy before the journal's lock is dropped
 * (box.h). No request waits for the disk with a lock held.
 *
 * What the user has changed and the server has not seen stays: rows that have
 * a record in the journal are looked after by server.c.
 */

/* --- adding --- */

#define ADD_MAX 1000000 /* rows of one call */

/* Is the message here, or was it moved away from here? */
static bool is_known(struct box *b, const struct add_op *op, uint32_t uid)
	REQUIRES(b->lock, b->c->journal.lock)
{
	struct journal_place at = {b->folder,
				   op->has_state ? op->state.uidvalidity
						 : b->state.uidvalidity,
				   uid};

	return index_find_uid(&b->index, uid) != INDEX_NONE ||
	       journal_has_left_locked(&b->c->journal, &at);
}

/* Rows whose UID is not known yet; of two with one UID both are counted. */
static uint32_t count_fresh(struct box *b, const struct add_op *op)
	REQUIRES(b->lock, b->c->journal.lock)
{
	uint32_t n = 0;

	for (size_t i = 0; i < op->n; i++) {
		if (!is_known(b, op, op->row[i].uid))
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
		      struct add_op *op, uint64_t *ret_ids)
	REQUIRES(b->lock, b->c->journal.lock)
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

		if (!is_known(b, op, row->uid))
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
	recall_note(b->c, rows, n);

	if (s) {
		op->has_state = true;
		op->state = *s;
	}
	do {
		r = ids_prepare(b->c, (uint32_t)n);
		if (r != 0)
			break;
		lock_take(&b->c->journal.lock);
		lock_take(&b->lock);
		r = add_locked(b, rows, op, ret_ids);
		lock_drop(&b->lock);
		lock_drop(&b->c->journal.lock);
	} while (r == -EAGAIN);
	if (r != 0)
		op_free(&op->op);
	return r;
}

/* --- changing --- */

int box_set_state(struct box *b, const struct cache_state *s)
{
	struct cache_state next = *s;
	struct op *op;
	int r = writer_wait_room(b->c);

	if (r != 0)
		return r;
	lock_take(&b->lock);
	/* The user may have moved something since the caller looked. */
	if (next.changed_at_ns < b->state.changed_at_ns)
		next.changed_at_ns = b->state.changed_at_ns;
	op = folders_state_new(b->folder, &next);
	if (op) {
		b->state = next;
		writer_push(b->c, op);
	}
	lock_drop(&b->lock);
	return op ? 0 : -ENOMEM;
}

size_t box_find_living(const struct box *b, uint64_t id)
{
	size_t pos = index_find_id(&b->index, id);

	if (pos == INDEX_NONE ||
	    (index_at(&b->index, pos)->state & RECORD_DEAD))
		return INDEX_NONE;
	return pos;
}

/* A living record, or NULL. */
static struct record *find_living(struct box *b, uint64_t id) REQUIRES(b->lock)
{
	size_t pos = box_find_living(b, id);

	return pos == INDEX_NONE ? NULL : index_at(&b->index, pos);
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
	if ((r->state & RECORD_FLAGS) == v->flags && r->keywords == keywords &&
	    !v->labels) {
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
	struct plan p;
	int r = writer_wait_room(b->c);

	if (r != 0)
		return r;
	op = messages_flags_new(b->folder, v, n);
	if (!op)
		return -ENOMEM;

	plan_init(&p, b->c);
	lock_take(&p.c->journal.lock);
	r = server_flags_locked(&p, b, v, op);
	if (r == 0) {
		lock_take(&b->lock);
		for (size_t i = 0; i < n; i++)
			set_flags_locked(b, &op->row[i]);
		lock_drop(&b->lock);
		writer_push(b->c, &op->op);
	}
	lock_drop(&p.c->journal.lock);
	if (r != 0)
		op_free(&op->op);
	return r;
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

	lock_take(&b->c->journal.lock);
	lock_take(&b->lock);
	rec = find_living(b, id);
	if (rec) {
		rec->size = size;
		writer_push(b->c, op);
	}
	lock_drop(&b->lock);
	lock_drop(&b->c->journal.lock);
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

/* Rows that are not here (any more) must not be removed elsewhere. */
static void doom_locked(struct box *b, struct remove_op *op) REQUIRES(b->lock)
{
	for (size_t i = 0; i < op->n; i++) {
		size_t pos = box_find_living(b, op->id[i]);

		if (pos != INDEX_NONE)
			index_doom(&b->index, pos);
		else
			op->id[i] = 0;
	}
	if (op->has_state)
		b->state = op->state;
}

static void forget_id(struct box *b, uint64_t id) REQUIRES(b->lock)
{
	lock_take(&b->c->map.lock);
	map_clear_locked(&b->c->map, id, (uint32_t)b->folder);
	lock_drop(&b->c->map.lock);
}

static void remove_locked(struct box *b, struct remove_op *op) REQUIRES(b->lock)
{
	for (size_t i = 0; i < op->n; i++) {
		struct record *rec = find_living(b, op->id[i]);

		if (!rec) {
			op->id[i] = 0;
			continue;
		}
		index_kill(&b->index, index_find_id(&b->index, op->id[i]));
		if (rec->held == 0)
			forget_id(b, op->id[i]);
	}
	index_compact(&b->index);
}

static int leave(struct box *b, struct remove_op *op,
		 void (*do_locked)(struct box *b, struct remove_op *op))
{
	struct plan p;
	int r;

	plan_init(&p, b->c);
	lock_take(&p.c->journal.lock);
	r = server_gone_locked(&p, b, op);
	if (r == 0) {
		lock_take(&b->lock);
		do_locked(b, op);
		lock_drop(&b->lock);
		writer_push(b->c, &op->op);
	}
	lock_drop(&p.c->journal.lock);
	if (r != 0)
		op_free(&op->op);
	return r;
}

int box_doom(struct box *b, const uint64_t *ids, size_t n,
	     const struct cache_state *s)
{
	struct remove_op *op;
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
	return leave(b, op, doom_locked);
}

int box_remove(struct box *b, const uint64_t *ids, size_t n)
{
	struct remove_op *op;
	int r = writer_wait_room(b->c);

	if (r != 0)
		return r;
	op = messages_remove_new(b->folder, ids, n);
	return op ? leave(b, op, remove_locked) : -ENOMEM;
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

bool box_release(struct box *b, uint64_t id, uint64_t n)
{
	size_t pos;
	bool is_here;

	lock_take(&b->lock);
	pos = index_find_id(&b->index, id);
	/* One that went to another folder may still have its place here. */
	is_here = pos != INDEX_NONE &&
		  (index_at(&b->index, pos)->held > 0 ||
		   !(index_at(&b->index, pos)->state & RECORD_DEAD));
	if (is_here)
		release_locked(b, pos, n);
	lock_drop(&b->lock);
	return is_here;
}
