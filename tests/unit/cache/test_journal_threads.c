/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "changed.h"

/*
 * Users who move and flag the same messages, a server that flags them too, one
 * who sends and gets answers, and readers who must find each message once at
 * every moment. Most of the worth shows in a build with the thread sanitizer.
 */

#define MESSAGES 24
#define ROUNDS 150

struct worker {
	struct changed *t;
	unsigned nr;
	const uint64_t *ids;
	pthread_t thread;
	const char *error; /* cmocka's asserts are for the main thread */
};

static unsigned roll(unsigned *state, unsigned n)
{
	*state = *state * 1103515245 + 12345;
	return (*state >> 8) % n;
}

static struct box *any_box(struct changed *t, unsigned n)
{
	return n == 0 ? t->a : n == 1 ? t->b : t->trash;
}

static bool is_fine(int r)
{
	return r == 0 || r == -ENOENT;
}

static void *move_and_flag(void *arg)
{
	struct worker *w = arg;
	unsigned state = w->nr + 1;

	for (unsigned i = 0; i < ROUNDS && !w->error; i++) {
		uint64_t id = w->ids[roll(&state, MESSAGES)];
		struct box *from = any_box(w->t, roll(&state, 3));
		struct journal_move how = {.to = any_box(w->t, roll(&state, 3)),
					   .name = "m.eml"};
		struct journal_flags v = {.id = id,
					  .add = roll(&state, 16),
					  .add_keywords = i % 8 ? NULL : "red"};

		v.remove = roll(&state, 16) & ~v.add;
		if (!is_fine(journal_move(from, id, &how, NULL)))
			w->error = "a move failed";
		if (journal_change_flags(how.to, &v, 1) != 0)
			w->error = "flags were not changed";
		if (i % 50 == 0 && cache_sync(w->t->s->c) != 0)
			w->error = "sync failed";
	}
	return NULL;
}

/* Each message is in one of the three, though it may move meanwhile. */
static void *look(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < ROUNDS * 4 && !w->error; i++) {
		uint64_t id = w->ids[i % MESSAGES];
		uint64_t folder = cache_folder_of(w->t->s->c, id);
		struct cache_msg m[8];
		struct cache_flags v = {id, i % 32, NULL};
		struct box *b = folder == w->t->in_a   ? w->t->a
				: folder == w->t->in_b ? w->t->b
						       : w->t->trash;

		if (folder == 0)
			w->error = "a message is in no folder";
		if (box_hold(b, id) == 0)
			for (unsigned k = 0; !box_release(b, id, 1); k++)
				b = any_box(w->t, k % 3);
		if (box_set_flags(b, &v, 1) != 0)
			w->error = "the server's flags were not taken";
		if (box_read(w->t->b, 0, m, 8) > MESSAGES)
			w->error = "too many";
	}
	return NULL;
}

static int answer(struct changed *t, const struct journal_mark *m, size_t n,
		  unsigned *state)
{
	static uint32_t uid = 1000; /* this thread's alone */
	struct journal_result r[8];
	struct journal_list *e;
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		if (!m[i].marked || journal_get(t->s->c, m[i].id, &e) != 0)
			continue;
		r[k] = (struct journal_result){
			.id = m[i].id, .done = m[i].parts, .uid = uid++};
		r[k].uidvalidity = e->v[0].sent_to == t->in_a   ? VALID_A
				   : e->v[0].sent_to == t->in_b ? VALID_B
								: VALID_TRASH;
		free(e);
		if (roll(state, 4) == 0) {
			r[k].done = 0;
			r[k].rest =
				roll(state, 2) ? JOURNAL_UNDO : JOURNAL_AGAIN;
		}
		k++;
	}
	return journal_settle(t->s->c, r, k, NULL);
}

static void *send_and_settle(void *arg)
{
	struct worker *w = arg;
	struct journal_filter f = {.phases = 1u << JOURNAL_QUEUED, .max = 8};
	unsigned state = 99;

	for (unsigned i = 0; i < ROUNDS && !w->error; i++) {
		struct journal_mark m[8] = {{0}};
		struct journal_list *list;

		if (journal_read(w->t->s->c, &f, &list) != 0) {
			w->error = "the journal cannot be read";
			break;
		}
		for (size_t k = 0; k < list->n; k++)
			m[k] = (struct journal_mark){.id = list->v[k].id,
						     .gen = list->v[k].gen,
						     .parts = list->v[k].what};
		if (journal_mark_sent(w->t->s->c, m, list->n) != 0)
			w->error = "not marked";
		if (answer(w->t, m, list->n, &state) != 0)
			w->error = "not settled";
		free(list);
	}
	return NULL;
}

static size_t count_rows(struct changed *t, const uint64_t *ids)
{
	size_t n = 0;

	for (size_t i = 0; i < MESSAGES; i++)
		n += (size_t)has_row(t->a, ids[i]) + has_row(t->b, ids[i]) +
		     has_row(t->trash, ids[i]);
	return n;
}

static void messages_of_many_threads_are_each_in_one_place(void **state)
{
	static void *(*const run[])(void *) = {move_and_flag, move_and_flag,
					       look, send_and_settle};
	struct changed *t = *state;
	uint64_t ids[MESSAGES];
	uint32_t flags[MESSAGES];
	struct worker w[4];

	for (uint32_t i = 0; i < MESSAGES; i++)
		ids[i] = changed_add(t->a, i + 1, "m.eml");
	for (unsigned i = 0; i < 4; i++) {
		w[i] = (struct worker){.t = t, .nr = i, .ids = ids};
		assert_int_equal(
			pthread_create(&w[i].thread, NULL, run[i], &w[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(w[i].thread, NULL);
		if (w[i].error)
			fail_msg("%s", w[i].error);
	}
	assert_int_equal(count_rows(t, ids), MESSAGES);
	for (size_t i = 0; i < MESSAGES; i++) {
		uint64_t in = cache_folder_of(t->s->c, ids[i]);

		flags[i] = row_of(in == t->in_a   ? t->a
				  : in == t->in_b ? t->b
						  : t->trash,
				  ids[i])
				   .flags;
	}
	changed_reopen(t);
	assert_int_equal(count_rows(t, ids), MESSAGES);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM failed"), 0);
	for (size_t i = 0; i < MESSAGES; i++) {
		uint64_t in = cache_folder_of(t->s->c, ids[i]);

		assert_int_equal(row_of(in == t->in_a   ? t->a
					: in == t->in_b ? t->b
							: t->trash,
					ids[i])
					 .flags,
				 flags[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			messages_of_many_threads_are_each_in_one_place,
			changed_setup, changed_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
