/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>

#include "cache/index.h"
#include "cache/pages.h"

/*
 * The memory and the two hash tables of an index. Both tables probe linearly,
 * hold at most three quarters of their slots and grow by half, which keeps
 * them at 5 to 8 bytes a message; a slot is a position plus one, and
 * eight bits of the hash, so that hardly any record is looked at that is not
 * the one wanted. Any number of slots will do: the home of a hash is found by
 * multiplication, not by a mask. Removal shifts the followers back, so there
 * are no tombstones.
 */

#define SLOTS_MIN 1024

/* A slot's lower bits are a position plus one; 0: it is free. */
#define POS_BITS 24
#define POS_MASK ((1u << POS_BITS) - 1)
_Static_assert(INDEX_RECORDS_MAX == POS_MASK - 1, "every position fits a slot");

/* --- areas --- */

int area_reserve(struct area *a, size_t bytes)
{
	size_t want = a->bytes + a->bytes / 2;
	void *p;

	if (bytes <= a->bytes)
		return 0;

	if (want < bytes)
		want = bytes;
	want = pages_round(want);
	if (a->at)
		p = mremap(a->at, a->bytes, want, MREMAP_MAYMOVE);
	else
		p = pages_map(want, false);
	if (!p || p == MAP_FAILED)
		return -ENOMEM;

	a->at = p;
	a->bytes = want;
	return 0;
}

void area_free(struct area *a)
{
	if (a->at)
		pages_unmap(a->at, a->bytes);
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

void table_put(const struct index *ix, struct table *t, size_t pos)
{
	uint32_t *slot = t->area.at;
	uint32_t hash = hash_of(ix, t, (uint32_t)pos);
	uint32_t i = home(t, hash);

	assert(slot); /* table_reserve() has made room */
	while (slot[i] != 0)
		i = next_slot(t, i);
	slot[i] = hash << POS_BITS | ((uint32_t)pos + 1);
	t->used++;
}

void table_remove(const struct index *ix, struct table *t, size_t pos)
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

void table_fill(struct index *ix, struct table *t)
{
	t->used = 0;
	for (size_t pos = 0; pos < ix->n; pos++) {
		const struct record *r = index_at(ix, pos);

		if (r->state & RECORD_DEAD)
			continue;
		if (t == &ix->by_uid && r->uid == 0)
			continue;
		table_put(ix, t, pos);
	}
}

int table_reserve(struct index *ix, struct table *t, size_t more)
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

/* --- finding --- */

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
