/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/index.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

/*
 * The packed index of one folder: its records, in the order in which they
 * came, and their names. Nearly always that is the ascending order of their
 * ids, too. A message that is moved here keeps its id, which is lower than
 * others: from then on `order` has the positions of all records by id, until
 * the next compaction writes the records in that order.
 *
 * No locks, no I/O, no logging here; the caller holds the lock of the box.
 */

/* --- life --- */

int index_init(struct index *ix)
{
	*ix = (struct index){0};
	if (getrandom(&ix->seed, sizeof(ix->seed), 0) != sizeof(ix->seed))
		return -EIO;
	return 0;
}

void index_finish(struct index *ix)
{
	area_free(&ix->records);
	area_free(&ix->names);
	area_free(&ix->order);
	area_free(&ix->by_name.area);
	area_free(&ix->by_uid.area);
	*ix = (struct index){0};
}

int index_reserve(struct index *ix, size_t n, size_t name_bytes)
{
	int r;

	if (ix->n + n > INDEX_RECORDS_MAX)
		return -EOVERFLOW;
	if (ix->names_used + name_bytes > UINT32_MAX)
		return -EOVERFLOW;
	r = area_reserve(&ix->records, (ix->n + n) * sizeof(struct record));
	if (r == 0)
		r = area_reserve(&ix->names, ix->names_used + name_bytes);
	if (r == 0 && ix->is_mixed)
		r = index_reserve_order(ix, n);
	if (r == 0)
		r = table_reserve(ix, &ix->by_name, n);
	if (r == 0)
		r = table_reserve(ix, &ix->by_uid, n);
	return r;
}

int index_reserve_order(struct index *ix, size_t n)
{
	return area_reserve(&ix->order, (ix->n + n) * sizeof(uint32_t));
}

/* Fill the place `pos`; the name goes to the end of the arena. */
static void fill(struct index *ix, size_t pos, const struct record *r,
		 const char *name, size_t len)
{
	struct record *new = index_at(ix, pos);

	assert(len <= CACHE_NAME_MAX);
	*new = *r;
	new->name_at = (uint32_t)ix->names_used;
	new->name_len = len;
	memcpy((char *)ix->names.at + ix->names_used, name, len);
	ix->names_used += len;
	table_put(ix, &ix->by_name, pos);
	if (r->uid != 0)
		table_put(ix, &ix->by_uid, pos);
	if (r->state & RECORD_ANNOUNCED)
		ix->n_shown++;
	if (r->state & RECORD_UNMOORED)
		ix->n_unmoored++;
	ix->held += r->held;
}

void index_append(struct index *ix, const struct record *r, const char *name,
		  size_t len)
{
	uint32_t *order = ix->order.at;

	assert(ix->n == 0 || index_ranked(ix, ix->n - 1)->id < r->id);
	if (ix->is_mixed)
		order[ix->n] = (uint32_t)ix->n;
	ix->n++;
	fill(ix, ix->n - 1, r, name, len);
}

static void mix(struct index *ix)
{
	uint32_t *order = ix->order.at;

	if (ix->is_mixed)
		return;
	for (size_t pos = 0; pos < ix->n; pos++)
		order[pos] = (uint32_t)pos;
	ix->is_mixed = true;
}

/* It was here before: its dead record lives again. */
static void revive(struct index *ix, size_t pos, const struct record *r,
		   const char *name, size_t len)
{
	const struct record *old = index_at(ix, pos);

	assert(old->state & RECORD_DEAD);
	if (old->held == 0)
		ix->n_gone--;
	else
		ix->names_lost += old->name_len;
	ix->held -= old->held;
	ix->has_stray_names = true;
	fill(ix, pos, r, name, len);
}

void index_insert(struct index *ix, const struct record *r, const char *name,
		  size_t len)
{
	size_t rank = index_rank_after(ix, r->id - 1);
	uint32_t *order = ix->order.at;

	if (rank == ix->n) {
		index_append(ix, r, name, len);
		return;
	}
	if (index_ranked(ix, rank)->id == r->id) {
		revive(ix, index_pos(ix, rank), r, name, len);
		return;
	}
	mix(ix);
	memmove(order + rank + 1, order + rank,
		(ix->n - rank) * sizeof(order[0]));
	order[rank] = (uint32_t)ix->n;
	ix->n++;
	fill(ix, ix->n - 1, r, name, len);
}

struct record *index_at(const struct index *ix, size_t pos)
{
	return (struct record *)ix->records.at + pos;
}

const char *index_name(const struct index *ix, const struct record *r)
{
	return (const char *)ix->names.at + r->name_at;
}

/* --- finding --- */

size_t index_pos(const struct index *ix, size_t rank)
{
	const uint32_t *order = ix->order.at;

	return ix->is_mixed ? order[rank] : rank;
}

struct record *index_ranked(const struct index *ix, size_t rank)
{
	return index_at(ix, index_pos(ix, rank));
}

size_t index_rank_after(const struct index *ix, uint64_t after)
{
	size_t low = 0, high = ix->n, guess;

	/*
	 * Ids ascend, most of them by one: the record with the id `after` + 1
	 * stands where it would without a gap, or before.
	 */
	if (ix->n > 0 && after >= index_ranked(ix, 0)->id) {
		guess = after + 1 - index_ranked(ix, 0)->id;
		if (guess < high && index_ranked(ix, guess)->id == after + 1)
			return guess;
		if (guess < high)
			high = guess;
	}
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (index_ranked(ix, mid)->id <= after)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

size_t index_find_id(const struct index *ix, uint64_t id)
{
	size_t rank;

	if (id == 0)
		return INDEX_NONE;
	rank = index_rank_after(ix, id - 1);
	if (rank == ix->n || index_ranked(ix, rank)->id != id)
		return INDEX_NONE;
	return index_pos(ix, rank);
}

/* --- UIDs and names that change --- */

void index_unmoor(struct index *ix)
{
	for (size_t pos = 0; pos < ix->n; pos++) {
		struct record *r = index_at(ix, pos);

		if (r->uid == 0)
			continue;
		r->uid = 0;
		/* What is doomed has left the disk: it only waits to go. */
		if (r->state & (RECORD_DEAD | RECORD_DOOMED))
			continue;
		r->state |= RECORD_UNMOORED;
		ix->n_unmoored++;
	}
	if (ix->by_uid.area.at)
		memset(ix->by_uid.area.at, 0, ix->by_uid.area.bytes);
	ix->by_uid.used = 0;
}

int index_reserve_uids(struct index *ix, size_t n)
{
	return table_reserve(ix, &ix->by_uid, n);
}

void index_set_uid(struct index *ix, size_t pos, uint32_t uid)
{
	struct record *r = index_at(ix, pos);

	if (r->uid != 0)
		table_remove(ix, &ix->by_uid, pos);
	r->uid = uid;
	if (uid == 0)
		return;
	table_put(ix, &ix->by_uid, pos);
	if (r->state & RECORD_UNMOORED)
		ix->n_unmoored--;
	r->state &= ~(uint64_t)RECORD_UNMOORED;
}

void index_set_unmoored(struct index *ix, size_t pos, bool is_unmoored)
{
	struct record *r = index_at(ix, pos);

	ix->n_unmoored += is_unmoored;
	ix->n_unmoored -= (r->state & RECORD_UNMOORED) != 0;
	r->state &= ~(uint64_t)RECORD_UNMOORED;
	if (is_unmoored)
		r->state |= RECORD_UNMOORED;
}

void index_set_name(struct index *ix, size_t pos, const char *name, size_t len)
{
	struct record *r = index_at(ix, pos);

	table_remove(ix, &ix->by_name, pos);
	ix->names_lost += r->name_len;
	ix->has_stray_names = true;
	r->name_at = (uint32_t)ix->names_used;
	r->name_len = len;
	memcpy((char *)ix->names.at + ix->names_used, name, len);
	ix->names_used += len;
	table_put(ix, &ix->by_name, pos);
}

/* --- forgetting --- */

void index_doom(struct index *ix, size_t pos)
{
	struct record *r = index_at(ix, pos);

	if (r->state & RECORD_UNMOORED)
		ix->n_unmoored--;
	r->state = (r->state & ~(uint64_t)RECORD_UNMOORED) | RECORD_DOOMED;
}

void index_kill(struct index *ix, size_t pos)
{
	struct record *r = index_at(ix, pos);

	table_remove(ix, &ix->by_name, pos);
	if (r->uid != 0)
		table_remove(ix, &ix->by_uid, pos);
	if (r->state & RECORD_ANNOUNCED)
		ix->n_shown--;
	if (r->state & RECORD_UNMOORED)
		ix->n_unmoored--;
	r->state = (r->state & ~(uint64_t)RECORD_UNMOORED) | RECORD_DEAD;
	if (r->held == 0)
		index_note_gone(ix, pos);
}

void index_take(struct index *ix, size_t pos)
{
	struct record *r = index_at(ix, pos);
	uint32_t held = r->held;

	ix->held -= held;
	r->held = 0;
	if (!(r->state & RECORD_DEAD))
		index_kill(ix, pos);
	else if (held > 0)
		index_note_gone(ix, pos);
}

void index_note_gone(struct index *ix, size_t pos)
{
	ix->n_gone++;
	ix->names_lost += index_at(ix, pos)->name_len;
}

void index_forget_kernel(struct index *ix)
{
	for (size_t pos = 0; pos < ix->n; pos++) {
		struct record *r = index_at(ix, pos);

		/* What is doomed has left the disk. */
		if (r->state & (RECORD_DEAD | RECORD_DOOMED)) {
			index_take(ix, pos);
			continue;
		}
		ix->n_shown += !(r->state & RECORD_ANNOUNCED);
		r->state |= RECORD_ANNOUNCED;
		ix->held -= r->held;
		r->held = 0;
	}
}

/* --- compaction --- */

static bool is_gone(const struct record *r)
{
	return (r->state & RECORD_DEAD) && r->held == 0;
}

/* Names stand in the order of their records: one pass moves both. */
static void close_gaps(struct index *ix)
{
	size_t to = 0, names_to = 0;
	char *names = ix->names.at;

	for (size_t pos = 0; pos < ix->n; pos++) {
		struct record *r = index_at(ix, pos);

		if (is_gone(r))
			continue;
		memmove(names + names_to, names + r->name_at, r->name_len);
		r->name_at = (uint32_t)names_to;
		names_to += r->name_len;
		*index_at(ix, to++) = *r;
	}
	ix->n = to;
	ix->names_used = names_to;
}

/*
 * Anew, in the order of ids. Without memory for it all stays as it is. There is
 * as much room as before: somebody may have reserved it, and not used it yet.
 */
static int write_anew(struct index *ix)
{
	struct area records = {0}, names = {0};
	size_t to = 0, names_to = 0;
	int r = area_reserve(&records, ix->records.bytes);

	if (r == 0)
		r = area_reserve(&names, ix->names.bytes);
	if (r != 0) {
		area_free(&records);
		return r;
	}
	for (size_t rank = 0; rank < ix->n; rank++) {
		const struct record *from = index_ranked(ix, rank);
		struct record *at = (struct record *)records.at + to;

		if (is_gone(from))
			continue;
		assert(names_to + from->name_len <= names.bytes);
		*at = *from;
		at->name_at = (uint32_t)names_to;
		memcpy((char *)names.at + names_to, index_name(ix, from),
		       from->name_len);
		names_to += from->name_len;
		to++;
	}
	area_free(&ix->records);
	area_free(&ix->names);
	ix->records = records;
	ix->names = names;
	ix->n = to;
	ix->names_used = names_to;
	ix->is_mixed = ix->has_stray_names = false;
	return 0;
}

#define COMPACT_GONE 64
#define COMPACT_NAMES 16384

static bool is_worth_it(const struct index *ix)
{
	if (ix->n_gone >= COMPACT_GONE && ix->n_gone >= ix->n / 4)
		return true;
	return ix->names_lost >= COMPACT_NAMES &&
	       ix->names_lost >= ix->names_used / 4;
}

void index_compact(struct index *ix)
{
	if (!is_worth_it(ix))
		return;
	if (!ix->is_mixed && !ix->has_stray_names)
		close_gaps(ix);
	else if (write_anew(ix) != 0)
		return;
	ix->n_gone = 0;
	ix->names_lost = 0;
	memset(ix->by_name.area.at, 0, ix->by_name.area.bytes);
	memset(ix->by_uid.area.at, 0, ix->by_uid.area.bytes);
	table_fill(ix, &ix->by_name);
	table_fill(ix, &ix->by_uid);
}
