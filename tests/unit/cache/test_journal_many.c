/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "changed.h"

#include "cache/internal.h"

/*
 * Ten thousand records: what they cost is counted in statements of SQL, which
 * is the same on every machine.
 */

#define MANY 10000

static unsigned statements;

static int count(unsigned type, void *ctx, void *p, void *x)
{
	(void)type;
	(void)ctx;
	(void)p;
	(void)x;
	__atomic_add_fetch(&statements, 1, __ATOMIC_RELAXED);
	return 0;
}

static bool is_idle(struct writer *w)
{
	bool idle;

	lock_take(&w->lock);
	idle = w->synced == w->pushed;
	lock_drop(&w->lock);
	return idle;
}

/*
 * From now on; the writer has nothing to do at this moment. (What it does may
 * queue more, as new ids are reserved before the old ones are used up.)
 */
static void start_counting(struct changed *t)
{
	do
		assert_int_equal(cache_sync(t->s->c), 0);
	while (!is_idle(&t->s->c->writer));
	(void)sqlite3_trace_v2(t->s->c->write.handle, SQLITE_TRACE_STMT, count,
			       NULL);
	(void)sqlite3_trace_v2(t->s->c->read.handle, SQLITE_TRACE_STMT, count,
			       NULL);
	__atomic_store_n(&statements, 0, __ATOMIC_RELAXED);
}

static unsigned counted(struct changed *t)
{
	assert_int_equal(cache_sync(t->s->c), 0);
	return __atomic_load_n(&statements, __ATOMIC_RELAXED);
}

static void add_many(struct changed *t, uint64_t *ids)
{
	struct mail_row *rows = calloc(MANY, sizeof(*rows));
	struct cache_new *add = calloc(MANY, sizeof(*add));

	assert_true(rows && add);
	for (uint32_t i = 0; i < MANY; i++) {
		rows[i] = (struct mail_row){.has = ROW_UID, .uid = i + 1};
		add[i] = (struct cache_new){&rows[i], "m.eml", true};
	}
	assert_int_equal(box_add(t->a, add, MANY, NULL, ids), 0);
	free(rows);
	free(add);
}

static void move_many(struct changed *t, const uint64_t *ids)
{
	for (size_t i = 0; i < MANY; i++)
		change_move(t->a, ids[i], t->b, "m.eml");
}

static void read_many(struct changed *t, const uint64_t *ids)
{
	struct journal_filter f = {.folder = t->in_b, .max = 1000};
	struct journal_list *list;
	size_t seen = 0;

	do {
		assert_int_equal(journal_read(t->s->c, &f, &list), 0);
		for (size_t i = 0; i < list->n; i++) {
			assert_int_equal(list->v[i].id, ids[seen]);
			assert_true(list->v[i].seq > f.after);
			f.after = list->v[i].seq;
			seen++;
		}
		f.max = list->n;
		free(list);
	} while (f.max > 0);
	assert_int_equal(seen, MANY);
	f = (struct journal_filter){.folder = t->in_trash};
	assert_int_equal(journal_read(t->s->c, &f, &list), 0);
	assert_int_equal(list->n, 0);
	free(list);
}

static void mark_many(struct changed *t, struct journal_mark *m)
{
	struct journal_filter all = {0};
	struct journal_list *list;

	assert_int_equal(journal_read(t->s->c, &all, &list), 0);
	assert_int_equal(list->n, MANY);
	for (size_t i = 0; i < MANY; i++)
		m[i] = (struct journal_mark){.id = list->v[i].id,
					     .gen = list->v[i].gen,
					     .parts = list->v[i].what,
					     .uidvalidity = VALID_B,
					     .uidnext = 1};
	free(list);
	assert_int_equal(journal_mark_sent(t->s->c, m, MANY), 0);
	for (size_t i = 0; i < MANY; i++)
		assert_true(m[i].marked);
}

static void settle_many(struct changed *t, const uint64_t *ids)
{
	struct journal_result *r = calloc(MANY, sizeof(*r));

	assert_non_null(r);
	for (uint32_t i = 0; i < MANY; i++)
		r[i] = (struct journal_result){.id = ids[i],
					       .done = JOURNAL_MOVE,
					       .uidvalidity = VALID_B,
					       .uid = MANY - i};
	assert_int_equal(journal_settle(t->s->c, r, MANY, NULL), 0);
	free(r);
}

static void ten_thousand_cost_a_few_statements_each(void **state)
{
	struct changed *t = *state;
	uint64_t *ids = calloc(MANY, sizeof(*ids));
	struct journal_mark *m = calloc(MANY, sizeof(*m));
	struct journal_counts n;
	unsigned commits;

	assert_true(ids && m);
	add_many(t, ids);
	start_counting(t);
	move_many(t, ids);
	/* A row, its old place, two mtimes, a record and its key. */
	assert_in_range(counted(t), MANY, 9 * MANY);
	journal_count(t->s->c, &n);
	assert_int_equal(n.queued, MANY);
	start_counting(t);
	read_many(t, ids);
	assert_int_equal(counted(t), 0);
	mark_many(t, m);
	commits = counted(t) - MANY;
	assert_in_range(commits, 0, 10); /* one transaction, however many */
	start_counting(t);
	settle_many(t, ids);
	assert_in_range(counted(t), 2 * MANY, 2 * MANY + 10);
	journal_count(t->s->c, &n);
	assert_int_equal(n.queued + n.sent, 0);
	changed_reopen(t);
	assert_int_equal(box_count(t->b), MANY);
	assert_int_equal(row_of(t->b, ids[0]).uid, MANY);
	assert_string_equal(row_of(t->b, ids[MANY - 1]).name, "m.10000.eml");
	free(ids);
	free(m);
}

/* The journal is read as a whole at the start. */
static void ten_thousand_are_there_after_a_restart(void **state)
{
	struct changed *t = *state;
	uint64_t *ids = calloc(MANY, sizeof(*ids));

	assert_non_null(ids);
	add_many(t, ids);
	move_many(t, ids);
	changed_reopen(t);
	read_many(t, ids);
	free(ids);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, changed_setup, changed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(ten_thousand_cost_a_few_statements_each),
		T(ten_thousand_are_there_after_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
