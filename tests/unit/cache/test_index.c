/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scene.h"

#include "cache/index.h"

/*
 * The packed index when messages come that have lower ids than others, go to
 * other folders and get other names: against a plain table, after every step.
 */

#define IDS 400
#define STEPS 6000

struct model {
	bool is_here;
	uint32_t uid; /* 0: none */
	uint32_t held;
	char name[32];
};

static unsigned random_state;

static unsigned roll(unsigned n)
{
	random_state = random_state * 1103515245 + 12345;
	return (random_state >> 8) % n;
}

static void check(const struct index *ix, const struct model *m)
{
	size_t n_here = 0, rank = 0;
	uint64_t last = 0, held = 0;

	for (; rank < ix->n; rank++) {
		const struct record *r = index_ranked(ix, rank);

		assert_true(r->id > last);
		last = r->id;
		n_here += !(r->state & RECORD_DEAD);
	}
	for (uint32_t id = 1; id < IDS; id++) {
		size_t pos = index_find_id(ix, id);
		size_t named =
			index_find_name(ix, m[id].name, strlen(m[id].name));

		held += m[id].held;
		if (!m[id].is_here) {
			assert_true(pos == INDEX_NONE ||
				    (index_at(ix, pos)->state & RECORD_DEAD));
			assert_int_equal(named, INDEX_NONE);
			continue;
		}
		n_here--;
		assert_int_equal(named, pos);
		assert_int_equal(index_at(ix, pos)->uid, m[id].uid);
		assert_int_equal(index_at(ix, pos)->held, m[id].held);
		if (m[id].uid != 0)
			assert_int_equal(index_find_uid(ix, m[id].uid), pos);
	}
	assert_int_equal(n_here, 0);
	assert_int_equal(ix->held, held);
}

static void insert(struct index *ix, struct model *m, uint32_t id)
{
	struct record r = {.id = id,
			   .uid = roll(2) ? 10000 + id : 0,
			   .held = roll(3),
			   .state = RECORD_ANNOUNCED};

	assert_int_equal(index_reserve(ix, 1, CACHE_NAME_MAX), 0);
	assert_int_equal(index_reserve_order(ix, 1), 0);
	snprintf(m[id].name, sizeof(m[id].name), "n%u.%u", id, roll(1000));
	index_insert(ix, &r, m[id].name, strlen(m[id].name));
	m[id].is_here = true;
	m[id].uid = r.uid;
	m[id].held = r.held;
}

static void change(struct index *ix, struct model *m, uint32_t id)
{
	size_t pos = index_find_id(ix, id);

	switch (roll(4)) {
	case 0:
		index_take(ix, pos);
		m[id].is_here = false;
		m[id].held = 0;
		break;
	case 1:
		index_kill(ix, pos);
		m[id].is_here = false; /* but what is held stays so */
		break;
	case 2:
		assert_int_equal(index_reserve(ix, 1, CACHE_NAME_MAX), 0);
		m[id].uid = m[id].uid ? 0 : 20000 + id;
		index_set_uid(ix, pos, m[id].uid);
		break;
	default:
		assert_int_equal(index_reserve(ix, 1, CACHE_NAME_MAX), 0);
		snprintf(m[id].name, sizeof(m[id].name), "r%u.%u", id,
			 roll(1000));
		index_set_name(ix, pos, m[id].name, strlen(m[id].name));
	}
}

static void any_order_of_ids_is_found_again(void **state)
{
	struct model *m = calloc(IDS, sizeof(*m));
	struct index ix;

	(void)state;
	assert_non_null(m);
	random_state = 20261126;
	assert_int_equal(index_init(&ix), 0);
	for (int step = 0; step < STEPS; step++) {
		uint32_t id = 1 + roll(IDS - 1);

		if (m[id].is_here)
			change(&ix, m, id);
		else
			insert(&ix, m, id);
		if (roll(8) == 0)
			index_compact(&ix);
		if (step % 16 == 0)
			check(&ix, m);
	}
	check(&ix, m);
	index_finish(&ix);
	free(m);
}

/* Ids that ascend cost no table of their own. */
static void an_index_in_order_stays_packed(void **state)
{
	struct index ix;

	(void)state;
	assert_int_equal(index_init(&ix), 0);
	for (uint32_t id = 1; id < IDS; id++) {
		struct record r = {.id = id};

		assert_int_equal(index_reserve(&ix, 1, 8), 0);
		index_append(&ix, &r, "x", 1);
	}
	assert_false(ix.is_mixed);
	assert_int_equal(ix.order.bytes, 0);
	index_finish(&ix);
}

/* A folder in which names change often does not keep all old ones. */
static void old_names_are_forgotten(void **state)
{
	struct record r = {.id = 5};
	char name[64];
	struct index ix;

	(void)state;
	assert_int_equal(index_init(&ix), 0);
	assert_int_equal(index_reserve(&ix, 1, 64), 0);
	index_append(&ix, &r, "first", 5);
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "another-name-%u.eml", i);
		assert_int_equal(index_reserve(&ix, 1, 64), 0);
		index_set_name(&ix, index_find_id(&ix, 5), name, strlen(name));
		index_compact(&ix);
	}
	assert_true(ix.names.bytes < 1u << 17);
	assert_int_equal(index_find_name(&ix, name, strlen(name)),
			 index_find_id(&ix, 5));
	index_finish(&ix);
}

static void put(struct index *ix, uint32_t id, uint32_t held)
{
	struct record r = {.id = id, .held = held, .state = RECORD_ANNOUNCED};
	char name[CACHE_NAME_MAX + 1];

	memset(name, 'x', CACHE_NAME_MAX);
	name[CACHE_NAME_MAX] = '\0';
	snprintf(name, 16, "%u", id);
	name[strlen(name)] = '-';
	index_insert(ix, &r, name, CACHE_NAME_MAX);
}

/* The kernel forgets messages while others are about to come. */
static void a_compaction_leaves_the_room_that_was_made(void **state)
{
	const size_t more = 2000;
	struct index ix;
	size_t pos;

	(void)state;
	assert_int_equal(index_init(&ix), 0);
	assert_int_equal(index_reserve(&ix, 200, 200 * CACHE_NAME_MAX), 0);
	assert_int_equal(index_reserve_order(&ix, 200), 0);
	for (uint32_t id = 200; id > 0; id--)
		put(&ix, id, 1);
	for (uint32_t id = 1; id <= 150; id++)
		index_kill(&ix, index_find_id(&ix, id));

	assert_int_equal(index_reserve(&ix, more, more * CACHE_NAME_MAX), 0);
	assert_int_equal(index_reserve_order(&ix, more), 0);
	for (uint32_t id = 1; id <= 150; id++) {
		pos = index_find_id(&ix, id);
		index_at(&ix, pos)->held = 0;
		ix.held--;
		index_note_gone(&ix, pos);
	}
	index_compact(&ix);
	assert_int_equal(ix.n, 50);
	assert_true(ix.records.bytes >= (50 + more) * sizeof(struct record));
	assert_true(ix.names.bytes >= (50 + more) * CACHE_NAME_MAX);
	assert_true(ix.order.bytes >= (50 + more) * sizeof(uint32_t));
	for (uint32_t id = 1; id <= 150; id++)
		put(&ix, id, 0);
	for (uint32_t id = 201; id <= 50 + more; id++)
		put(&ix, id, 0);
	for (uint32_t id = 1; id <= 50 + more; id++)
		assert_int_not_equal(index_find_id(&ix, id), INDEX_NONE);
	index_finish(&ix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_order_of_ids_is_found_again),
		cmocka_unit_test(an_index_in_order_stays_packed),
		cmocka_unit_test(old_names_are_forgotten),
		cmocka_unit_test(a_compaction_leaves_the_room_that_was_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
