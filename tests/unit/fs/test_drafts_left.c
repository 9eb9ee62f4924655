/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flushing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/draft_private.h"
#include "fs/folder.h"
#include "fs/rejected.h"

/*
 * A message of the server that is marked as a draft is written to, and what is
 * left of an earlier time when that was done is there still.
 */

#define NEW_TEXT "Subject: x\r\n\r\nx\r\n"
#define OLD_TEXT "Subject: old\r\n\r\nold\r\n"

static struct box *open_a(struct flushing *t)
{
	struct box *box = NULL;

	assert_int_equal(folder_get(t->fs, t->a, &box), 0);
	return box;
}

/* The first message is marked as a draft, and the kernel knows it. */
static struct box *with_draft(struct flushing *t)
{
	const struct cache_flags v = {.id = t->id[0], .flags = MAIL_DRAFT};
	struct box *box = open_a(t);

	assert_int_equal(box_set_flags(box, &v, 1), 0);
	assert_int_equal(box_hold(box, t->id[0]), 0);
	return box;
}

static void without_draft(struct flushing *t, struct box *box)
{
	(void)box_release(box, t->id[0], 1);
	draft_forgotten(t->fs, t->id[0]);
	folder_put(t->fs, t->a);
}

/* A hidden file of it that could be neither completed nor removed. */
static void leave_hidden(struct flushing *t, uint64_t of, const char *text)
{
	struct box *box = open_a(t);
	char name[64];
	const struct journal_new v = {.name = name, .is_scratch = true};
	uint64_t id;
	int fd;

	snprintf(name, sizeof(name), DRAFT_HIDDEN "%llu",
		 (unsigned long long)of);
	assert_int_equal(journal_create(box, &v, &id, &fd), 0);
	assert_int_equal(spool_write(fd, text, strlen(text), 0), 0);
	close(fd);
	folder_put(t->fs, t->a);
}

/* All that is in rejected/: this text; NULL: nothing is. */
static void expect_rejected(struct flushing *t, const char *text)
{
	struct rejected_names *l;
	struct rejected which;
	char buf[100];

	assert_int_equal(rejected_list(t->fs, &l), 0);
	assert_int_equal(l->n, text ? 1 : 0);
	if (text) {
		assert_int_equal(rejected_find(t->fs, l->v[0], &which), 0);
		assert_int_equal(rejected_read(t->fs, l->v[0], &which, buf,
					       sizeof(buf), 0),
				 strlen(text));
		assert_memory_equal(buf, text, strlen(text));
	}
	free(l);
}

static void rewrite(struct flushing *t, uint64_t id, const char *text)
{
	char buf[100];
	long n = (long)strlen(text);

	assert_int_equal(draft_truncate(t->fs, id, 0), 0);
	assert_int_equal(draft_write(t->fs, id, text, (size_t)n, 0), 0);
	assert_int_equal(draft_read(t->fs, id, buf, sizeof(buf), 0), n);
	assert_memory_equal(buf, text, (size_t)n);
}

static void what_is_left_of_a_rewrite_is_not_in_the_way_of_another(void **state)
{
	struct flushing *t = *state;
	struct box *box = with_draft(t);

	leave_hidden(t, t->id[0], OLD_TEXT);
	rewrite(t, t->id[0], NEW_TEXT);
	expect_rejected(t, OLD_TEXT);
	without_draft(t, box);
}

static void what_is_left_and_empty_is_not_kept(void **state)
{
	struct flushing *t = *state;
	struct box *box = with_draft(t);

	leave_hidden(t, t->id[0], "");
	rewrite(t, t->id[0], NEW_TEXT);
	expect_rejected(t, NULL);
	without_draft(t, box);
}

/* Who renames or removes it may come when it has just been completed. */
static void a_look_at_it_makes_no_draft_of_a_message(void **state)
{
	struct flushing *t = *state;
	struct box *box = with_draft(t);
	struct draft *d;

	assert_int_equal(draft_reopen(t->fs, t->id[0], &d), -EPERM);
	rewrite(t, t->id[0], NEW_TEXT);
	assert_int_equal(draft_reopen(t->fs, t->id[0], &d), 0);
	draft_put(t->fs->drafts, d);
	without_draft(t, box);
}

#define T(f)                                                                   \
	cmocka_unit_test_setup_teardown(f, drafting_setup, drafting_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_left_of_a_rewrite_is_not_in_the_way_of_another),
		T(what_is_left_and_empty_is_not_kept),
		T(a_look_at_it_makes_no_draft_of_a_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
