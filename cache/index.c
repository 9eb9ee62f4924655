/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/index.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <xxhash.h>

/*
 * The packed index of one folder. Both hash tables probe linearly, hold at
 * most three quarters of their slots and grow by half, which keeps them at 5
 * to 8 bytes a message; a slot is a position plus one, and eight bits of the
 * hash, so that hardly any record is looked at that is not the one wanted. Any
 * number of slots will do: the home of a hash is found by multiplication, not
 * by a mask. Removal shifts the followers back, so there are no tombstones.
 *
 * No locks, no I/O, no logging here; the caller holds the lock of the box.
 */

#define PAGE 4096
#define SLOTS_MIN 1024

/* A slot's lower bits are a position plus one; 0: it is free. */
#define POS_BITS 24
#define POS_MASK ((1u << POS_BITS) - 1)
#define RECORDS_MAX (POS_MASK - 1)
_Static_assert(RECORDS_MAX > MAIL_MESSAGES_MAX + MAIL_MESSAGES_MAX / 2,
	       "a mailbox, and the dead ones that wait for a compaction");

/* --- areas --- */

static int area_reserve(struct area *a, size_t bytes)
{
	size_t want = a->bytes + a->bytes / 2;
	void *p;

	if (bytes <= a->bytes)
		return 0;

	if (want < bytes)
		want = bytes;
	want = (want + PAGE - 1) / PAGE * PAGE;
	if (a->at)
		p = mremap(a->at, a->bytes, want, MREMAP_MAYMOVE);
	else
		p = mmap(NULL, want, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;

	a->at = p;
	a->bytes = want;
	return 0;
}

static void area_free(struct area *a)
{
	if (a->at)
		munmap(a->at, a->bytes);
	*a = (struct area){0};
}

/* --- the two tables --- */

static uint32_t hash_name(const struct index *ix, const char *name, size_t len)
{
	return (uint32_t)XXH3_64bits_withSeed(name, len, ix->seed);
}

static uint32_t hash_uid(const struct index *ix, uint32_t uid)
{
	uint64_t x = (uid ^ ix->seed) * 0x9e3779b97f4a7c15ULL;

	x ^= x >> 32;
	return (uint32_t)((x * 0xd6e8feb86659fd93ULL) >> 32);
}

/* The hash by which the record at `pos` stands in this table. */
static uint32_t hash_of(const struct index *ix, const struct table *t,
			uint32_t pos)
{
	const struct record *r = index_at(ix, pos);

	if (t == &ix->by_uid)
		return hash_uid(ix, r->uid);
	return hash_name(ix, index_name(ix, r), r->name_len);
}

static uint32_t home(const struct table *t, uint32_t hash)
{
	return (uint32_t)(((uint64_t)hash * t->slots) >> 32);
}

static uint32_t next_slot(const struct table *t, uint32_t i)
{
	return i + 1 == t->slots ? 0 : i + 1;
}

static uint32_t distance(const struct table *t, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : to + t->slots - from;
}

static size_t pos_of(uint32_t slot)
{
	return (slot & POS_MASK) - 1;
}

/* home() looks at the upper bits of a hash, this at the lower ones. */
static bool may_be(uint32_t slot, uint32_t hash)
{
	return (uint8_t)(slot >> POS_BITS) == (uint8_t)hash;
}

static void table_put(struct table *t, uint32_t hash, size_t pos)
{
	uint32_t *slot = t->area.at;
	uint32_t i = home(t, hash);

	while (slot[i] != 0)
		i = next_slot(t, i);
	slot[i] = hash << POS_BITS | ((uint32_t)pos + 1);
	t->used++;
}

static void table_remove(const struct index *ix, struct table *t, size_t pos)
{
	uint32_t *slot = t->area.at;
	uint32_t i = home(t, hash_of(ix, t, (uint32_t)pos)), j;

	while (pos_of(slot[i]) != pos)
		i = next_slot(t, i);
	for (j = next_slot(t, i); slot[j] != 0; j = next_slot(t, j)) {
		uint32_t h = home(t, hash_of(ix, t, (uint32_t)pos_of(slot[j])));

		if (distance(t, h, j) < distance(t, i, j))
			continue;
		slot[i] = slot[j];
		i = j;
	}
	slot[i] = 0;
	t->used--;
}

static void table_fill(struct index *ix, struct table *t)
{
	t->used = 0;
	for (size_t pos = 0; pos < ix->n; pos++) {
		const struct record *r = index_at(ix, pos);

		if (r->state & RECORD_DEAD)
			continue;
		if (t == &ix->by_uid && r->uid == 0)
			continue;
		table_put(t, hash_of(ix, t, (uint32_t)pos), pos);
	}
}

static int table_reserve(struct index *ix, struct table *t, size_t more)
{
	uint64_t want = t->used + (uint64_t)more;
	uint64_t slots = t->slots;
	struct area fresh = {0};

	if (want * 4 <= slots * 3)
		return 0;

	slots += slots / 2;
	if (slots * 3 < want * 4)
		slots = want * 4 / 3 + 1;
	if (slots < SLOTS_MIN)
		slots = SLOTS_MIN;
	if (slots > UINT32_MAX)
		return -EOVERFLOW;
	if (area_reserve(&fresh, slots * sizeof(uint32_t)) != 0)
		return -ENOMEM;

	area_free(&t->area);
	t->area = fresh;
	t->slots = (uint32_t)slots;
	table_fill(ix, t);
	return 0;
}

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
	area_free(&ix->by_name.area);
	area_free(&ix->by_uid.area);
	*ix = (struct index){0};
}

int index_reserve(struct index *ix, size_t n, size_t name_bytes)
{
	int r;

	if (ix->n + n > RECORDS_MAX)
		return -EOVERFLOW;
	if (ix->names_used + name_bytes > UINT32_MAX)
		return -EOVERFLOW;
	r = area_reserve(&ix->records, (ix->n + n) * sizeof(struct record));
	if (r == 0)
		r = area_reserve(&ix->names, ix->names_used + name_bytes);
	if (r == 0)
		r = table_reserve(ix, &ix->by_name, n);
	if (r == 0)
		r = table_reserve(ix, &ix->by_uid, n);
	return r;
}

void index_append(struct index *ix, const struct record *r, const char *name,
		  size_t len)
{
	struct record *new = (struct record *)ix->records.at + ix->n;

	assert(len <= CACHE_NAME_MAX);
	assert(ix->n == 0 || new[-1].id < r->id);
	*new = *r;
	new->name_at = (uint32_t)ix->names_used;
	new->name_len = len;
	memcpy((char *)ix->names.at + ix->names_used, name, len);
	ix->names_used += len;
	table_put(&ix->by_name, hash_name(ix, name, len), ix->n);
	if (r->uid != 0)
		table_put(&ix->by_uid, hash_uid(ix, r->uid), ix->n);
	if (r->state & RECORD_ANNOUNCED)
		ix->n_shown++;
	if (r->state & RECORD_UNMOORED)
		ix->n_unmoored++;
	ix->n++;
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

size_t index_first_after(const struct index *ix, uint64_t after)
{
	size_t low = 0, high = ix->n, guess;

	/*
	 * Ids ascend, most of them by one: the record with the id `after` + 1
	 * stands where it would without a gap, or before.
	 */
	if (ix->n > 0 && after >= index_at(ix, 0)->id) {
		guess = after + 1 - index_at(ix, 0)->id;
		if (guess < high && index_at(ix, guess)->id == after + 1)
			return guess;
		if (guess < high)
			high = guess;
	}
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (index_at(ix, mid)->id <= after)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

size_t index_find_id(const struct index *ix, uint64_t id)
{
	size_t pos;

	if (id == 0)
		return INDEX_NONE;
	pos = index_first_after(ix, id - 1);
	if (pos == ix->n || index_at(ix, pos)->id != id)
		return INDEX_NONE;
	return pos;
}

size_t index_find_name(const struct index *ix, const char *name, size_t len)
{
	const uint32_t *slot = ix->by_name.area.at;
	uint32_t hash = hash_name(ix, name, len), i;

	if (ix->by_name.slots == 0)
		return INDEX_NONE;
	i = home(&ix->by_name, hash);
	for (; slot[i] != 0; i = next_slot(&ix->by_name, i)) {
		const struct record *r = index_at(ix, pos_of(slot[i]));

		if (may_be(slot[i], hash) && r->name_len == len &&
		    memcmp(index_name(ix, r), name, len) == 0)
			return pos_of(slot[i]);
	}
	return INDEX_NONE;
}

size_t index_find_uid(const struct index *ix, uint32_t uid)
{
	const uint32_t *slot = ix->by_uid.area.at;
	uint32_t hash = hash_uid(ix, uid), i;

	if (uid == 0 || ix->by_uid.slots == 0)
		return INDEX_NONE;
	i = home(&ix->by_uid, hash);
	for (; slot[i] != 0; i = next_slot(&ix->by_uid, i)) {
		if (may_be(slot[i], hash) &&
		    index_at(ix, pos_of(slot[i]))->uid == uid)
			return pos_of(slot[i]);
	}
	return INDEX_NONE;
}

/* --- UIDs that change --- */

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

void index_moor(struct index *ix, size_t pos, uint32_t uid)
{
	struct record *r = index_at(ix, pos);

	assert((r->state & RECORD_UNMOORED) && uid != 0);
	r->state &= ~(uint64_t)RECORD_UNMOORED;
	r->uid = uid;
	ix->n_unmoored--;
	table_put(&ix->by_uid, hash_uid(ix, uid), pos);
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

void index_note_gone(struct index *ix, size_t pos)
{
	ix->n_gone++;
	ix->names_lost += index_at(ix, pos)->name_len;
}

void index_compact(struct index *ix)
{
	size_t to = 0, names_to = 0;
	char *names = ix->names.at;

	if (ix->n_gone < 64 || ix->n_gone < ix->n / 4)
		return;

	/* Names stand in the order of their records: one pass moves both. */
	for (size_t pos = 0; pos < ix->n; pos++) {
		struct record *r = index_at(ix, pos);

		if ((r->state & RECORD_DEAD) && r->held == 0)
			continue;
		memmove(names + names_to, names + r->name_at, r->name_len);
		r->name_at = (uint32_t)names_to;
		names_to += r->name_len;
		*index_at(ix, to++) = *r;
	}
	ix->n = to;
	ix->names_used = names_to;
	ix->n_gone = 0;
	ix->names_lost = 0;
	memset(ix->by_name.area.at, 0, ix->by_name.area.bytes);
	memset(ix->by_uid.area.at, 0, ix->by_uid.area.bytes);
	table_fill(ix, &ix->by_name);
	table_fill(ix, &ix->by_uid);
}
