/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "changed.h"

/*
 * Each change with the n-th allocation failing, for n = 1, 2, ... until it
 * succeeds: every failure says -ENOMEM and leaves all as it was. Allocations
 * of this thread fail, by --wrap; the writer's do not.
 */

static _Thread_local long left; /* until one fails; 0: none does */

static bool fails(void)
{
	return left > 0 && --left == 0;
}

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker wants these names. */
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);
char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* --- what there is --- */

struct picture {
	size_t n;
	struct cache_msg m[3][16];
	size_t rows[3];
	struct journal_list *list;
	size_t spool, rejected;
};

static void take_picture(struct changed *t, struct picture *p)
{
	struct box *b[3] = {t->a, t->b, t->trash};
	struct journal_filter all = {0};

	memset(p, 0, sizeof(*p));
	for (int i = 0; i < 3; i++)
		p->rows[i] = box_read(b[i], 0, p->m[i], 16);
	assert_int_equal(journal_read(t->s->c, &all, &p->list), 0);
	p->spool = count_state_files(t, "spool");
	p->rejected = count_state_files(t, "rejected");
}

static void expect_row(const struct cache_msg *a, const struct cache_msg *b)
{
	assert_int_equal(a->id, b->id);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->held, b->held);
	assert_string_equal(a->name, b->name);
}

static void expect_picture(struct changed *t, const struct picture *want)
{
	struct picture now;

	take_picture(t, &now);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(now.rows[i], want->rows[i]);
		for (size_t k = 0; k < now.rows[i]; k++)
			expect_row(&now.m[i][k], &want->m[i][k]);
	}
	assert_int_equal(now.list->n, want->list->n);
	for (size_t k = 0; k < now.list->n; k++) {
		assert_int_equal(now.list->v[k].id, want->list->v[k].id);
		assert_int_equal(now.list->v[k].gen, want->list->v[k].gen);
	}
	assert_int_equal(now.spool, want->spool);
	assert_int_equal(now.rejected, want->rejected);
	free(now.list);
}

/* Do it until there is memory enough. */
static void until_it_succeeds(struct changed *t, int (*f)(struct changed *t))
{
	struct picture before;
	long n = 0;
	int r;

	/* Whoever drains has nothing to wait for. */
	assert_int_equal(cache_sync(t->s->c), 0);
	take_picture(t, &before);
	do {
		left = ++n;
		r = f(t);
		left = 0;
		if (r != 0) {
			assert_int_equal(r, -ENOMEM);
			expect_picture(t, &before);
		}
	} while (r != 0);
	assert_true(n > 2);
	free(before.list);
}

/* --- the changes --- */

static uint64_t first, second, third, created;

static int flag_it(struct changed *t)
{
	struct journal_flags v = {first,  MAIL_FLAGGED, MAIL_SEEN, "red",
				  "blue", "red",        "blue"};

	return journal_change_flags(t->a, &v, 1);
}

static int replace_it(struct changed *t)
{
	struct journal_move how = {t->b, "two.eml", JOURNAL_REPLACE, t->trash,
				   false};

	return journal_move(t->a, first, &how, NULL);
}

static int copy_it(struct changed *t)
{
	struct journal_copy how = {.to = t->trash, .name = "copy.eml"};
	uint64_t id;

	return journal_copy(t->b, first, &how, &id);
}

static int remove_it(struct changed *t)
{
	return journal_remove(t->a, third);
}

static int create_it(struct changed *t)
{
	struct journal_new v = {.name = "new.eml", .announced = true};
	int fd, r = journal_create(t->a, &v, &created, &fd);

	if (r == 0) {
		left = 0;
		assert_int_equal(spool_write(fd, "X: 1\r\n", 6, 0), 0);
		close(fd);
	}
	return r;
}

static int publish_it(struct changed *t)
{
	struct mail_row row = {
		.has = ROW_FLAGS | ROW_FIELDS,
		.keywords = "new",
		.field = {[FIELD_MESSAGE_ID] = "<n@example.com>"}};

	return journal_publish(t->a, created, &row);
}

static int copy_unsent(struct changed *t)
{
	struct journal_copy how = {.to = t->b, .name = "new-copy.eml"};
	uint64_t id;

	return journal_copy(t->a, created, &how, &id);
}

/* Everything is undone at once: all that a settlement can do. */
static int undo_all(struct changed *t)
{
	const struct journal_failure why = {"change", "NO", "x"};
	struct journal_result r[3] = {{.id = first, .why = &why},
				      {.id = third, .why = &why},
				      {.id = created, .why = &why}};
	struct journal_effects *effects;
	int error;

	for (int i = 0; i < 3; i++)
		r[i].rest = JOURNAL_UNDO;
	error = journal_settle(t->s->c, r, 3, &effects);
	if (error == 0) {
		assert_int_equal(effects->n, 4); /* and the replaced one */
		free(effects);
	}
	return error;
}

static int server_flags(struct changed *t)
{
	struct cache_flags v[2] = {{first, MAIL_ANSWERED, "green", "green"},
				   {third, MAIL_ANSWERED, "green", "green"}};

	return box_set_flags(t->a, v, 2);
}

static int server_removes(struct changed *t)
{
	uint64_t ids[2] = {first, third};

	return box_remove(t->a, ids, 2);
}

static void without_memory_nothing_changes(void **state)
{
	struct changed *t = *state;

	first = changed_add(t->a, 1, "one.eml");
	second = changed_add(t->b, 2, "two.eml");
	third = changed_add(t->a, 3, "three.eml");
	assert_int_equal(box_hold(t->a, third), 0);
	until_it_succeeds(t, flag_it);
	until_it_succeeds(t, server_flags);
	until_it_succeeds(t, replace_it);
	until_it_succeeds(t, copy_it);
	until_it_succeeds(t, remove_it);
	until_it_succeeds(t, create_it);
	until_it_succeeds(t, publish_it);
	until_it_succeeds(t, copy_unsent);
	until_it_succeeds(t, undo_all);
	assert_string_equal(row_of(t->a, first).name, "one.eml");
	assert_string_equal(row_of(t->b, second).name, "two.eml");
	assert_int_equal(row_of(t->a, third).held, 1);
	assert_true(box_release(t->a, third, 1));
	change_flags(t->a, third, MAIL_DRAFT, 0);
	until_it_succeeds(t, server_removes);
	changed_reopen(t);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM failed"), 3);
	assert_int_equal(count_state_files(t, "rejected"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_memory_nothing_changes,
						changed_setup,
						changed_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
