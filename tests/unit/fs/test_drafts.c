/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flushing.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/change.h"
#include "fs/draft_private.h"
#include "fs/folder.h"

/*
 * What is renamed or removed while it is being completed. To complete it takes
 * as long as the disk does, and nobody waits for that: here the user is quicker
 * each time, for the check of its text (--wrap) lets him in.
 */

#define DATE 1000000000 /* of messages, as somebody sets it */
static void (*meanwhile)(struct flushing *t, uint64_t id);
static struct flushing *user;

int __real_draft_check_locked(struct fs *fs, struct draft *d, int fd)
	REQUIRES(d->lock);
int __wrap_draft_check_locked(struct fs *fs, struct draft *d, int fd)
	REQUIRES(d->lock);

int __wrap_draft_check_locked(struct fs *fs, struct draft *d, int fd)
{
	void (*change)(struct flushing * t, uint64_t id) = meanwhile;

	meanwhile = NULL;
	if (change)
		change(user, d->id);
	return __real_draft_check_locked(fs, d, fd);
}

/* There is no flusher here. */
void __wrap_flush_wake(struct fs *fs);

void __wrap_flush_wake(struct fs *fs)
{
	(void)fs;
}

/* --- the user --- */

static struct box *box_of(struct flushing *t, struct folder *f)
{
	struct box *box = NULL;

	assert_int_equal(folder_get(t->fs, f, &box), 0);
	return box;
}

static void to_b(struct flushing *t, uint64_t id)
{
	struct box *from = box_of(t, t->a), *to = box_of(t, t->b);
	const struct journal_move how = {.to = to, .name = "new.eml"};

	assert_int_equal(journal_move(from, id, &how, NULL), 0);
	folder_put(t->fs, t->a);
	folder_put(t->fs, t->b);
	draft_moved(t->fs, id, t->b);
}

static void to_other_name(struct flushing *t, uint64_t id)
{
	struct box *box = box_of(t, t->a);
	const struct journal_move how = {.to = box, .name = "other.eml"};

	assert_int_equal(journal_move(box, id, &how, NULL), 0);
	folder_put(t->fs, t->a);
	draft_moved(t->fs, id, t->a);
}

static void to_nowhere(struct flushing *t, uint64_t id)
{
	struct box *box = box_of(t, t->a);

	assert_int_equal(journal_remove(box, id), 0);
	folder_put(t->fs, t->a);
}

static uint64_t newest; /* of write_new() */
static pthread_t changer;
static int changed; /* what it was told */
static _Atomic bool has_changed;

static void *remove_thread(void *arg)
{
	struct flushing *t = arg;
	struct change_end end;

	changed = change_remove(t->fs, t->a, "new.eml", &end);
	has_changed = true;
	return NULL;
}

static void *date_thread(void *arg)
{
	struct flushing *t = arg;

	changed = draft_set_date(t->fs, newest, DATE);
	has_changed = true;
	return NULL;
}

static int set_star(struct flushing *t, uint64_t id, uint32_t flags)
{
	struct change_end end;

	return change_flags(t->fs, id, MAIL_FLAGGED, flags, &end);
}

static void *star_thread(void *arg)
{
	changed = set_star(arg, newest, MAIL_FLAGGED);
	has_changed = true;
	return NULL;
}

/* It has found the file, and waits until that is completed. */
static void change_it(struct flushing *t, uint64_t id, void *(*how)(void *))
{
	struct drafts *ds = t->fs->drafts;
	unsigned refs = 0;

	has_changed = false;
	assert_int_equal(pthread_create(&changer, NULL, how, t), 0);
	/* The table's, that of the one that is completed, and the other's. */
	while (refs < 3 && !has_changed) {
		sched_yield();
		lock_take(&ds->lock);
		refs = draft_find_locked(ds, id)->refs;
		lock_drop(&ds->lock);
	}
}

static void by_its_name(struct flushing *t, uint64_t id)
{
	change_it(t, id, remove_thread);
}

static void its_date(struct flushing *t, uint64_t id)
{
	change_it(t, id, date_thread);
}

static void its_star(struct flushing *t, uint64_t id)
{
	change_it(t, id, star_thread);
}

static uint64_t write_new(struct flushing *t, const char *text)
{
	uint64_t id = 0;

	assert_int_equal(draft_create(t->fs, t->a, "new.eml", 0600, &id), 0);
	assert_int_equal(draft_write(t->fs, id, text, strlen(text), 0), 0);
	newest = id;
	return id;
}

/* --- what comes of it --- */

/* The draft is completed, and `change` is made in the middle of it. */
static int complete(struct flushing *t, uint64_t id,
		    void (*change)(struct flushing *t, uint64_t id))
{
	struct journal_effects *effects = NULL;
	struct draft *d = draft_get(t->fs->drafts, id);
	int r;

	assert_non_null(d);
	user = t;
	meanwhile = change;
	lock_take(&d->lock);
	r = draft_complete(t->fs, d, &effects);
	lock_drop(&d->lock);
	assert_null(effects);
	draft_put(t->fs->drafts, d);
	return r;
}

static bool is_draft(struct flushing *t, uint64_t id)
{
	return draft_is_written(t->fs, id);
}

/* This many records, all of this phase, and no other. */
static void expect_records(struct flushing *t, size_t n,
			   enum journal_phase phase)
{
	struct journal_filter all = {0};
	struct journal_list *l;

	assert_int_equal(journal_read(t->fs->cache, &all, &l), 0);
	assert_int_equal(l->n, n);
	for (size_t i = 0; i < l->n; i++)
		assert_int_equal(l->v[i].phase, phase);
	free(l);
}

static bool has_name(struct flushing *t, struct folder *f, const char *name)
{
	struct box *box = box_of(t, f);
	struct cache_msg m;
	int r = box_find_name(box, name, &m);

	folder_put(t->fs, f);
	return r == 0 && !m.dead;
}

#define CRLF_TEXT "Subject: x\r\n\r\nx\r\n"
#define LF_TEXT "Subject: x\n\nx\n"

static void what_is_moved_while_it_is_completed_is_sent(void **state)
{
	struct flushing *t = *state;
	uint64_t id = write_new(t, CRLF_TEXT);

	assert_int_equal(complete(t, id, to_b), -EAGAIN);
	assert_true(is_draft(t, id));
	assert_int_equal(complete(t, id, NULL), 0);
	assert_false(is_draft(t, id));
	expect_records(t, 1, JOURNAL_QUEUED);
	assert_true(has_name(t, t->b, "new.eml"));
}

static void move_lf(struct flushing *t,
		    void (*change)(struct flushing *t, uint64_t id),
		    struct folder *to, const char *name)
{
	uint64_t id = write_new(t, LF_TEXT);

	assert_int_equal(complete(t, id, change), -EAGAIN);
	assert_true(is_draft(t, id));
	expect_records(t, 1, JOURNAL_WRITING);
	assert_int_equal(complete(t, id, NULL), 0);
	expect_records(t, 1, JOURNAL_QUEUED);
	assert_true(has_name(t, to, name));
	assert_false(has_name(t, t->a, "new.eml"));
}

static void what_is_moved_while_it_is_converted_is_sent_once(void **state)
{
	struct flushing *t = *state;

	move_lf(t, to_b, t->b, "new.eml");
}

static void what_is_renamed_while_it_is_converted_is_sent_once(void **state)
{
	struct flushing *t = *state;

	move_lf(t, to_other_name, t->a, "other.eml");
}

static void what_is_removed_while_it_is_completed_is_gone(void **state)
{
	struct flushing *t = *state;
	uint64_t id = write_new(t, CRLF_TEXT);

	assert_int_equal(complete(t, id, to_nowhere), 0);
	assert_false(is_draft(t, id));
	expect_records(t, 0, JOURNAL_QUEUED);
}

static void what_is_removed_while_it_is_converted_is_gone(void **state)
{
	struct flushing *t = *state;
	uint64_t id = write_new(t, LF_TEXT);

	assert_int_equal(complete(t, id, to_nowhere), -EAGAIN);
	expect_records(t, 0, JOURNAL_QUEUED);
	assert_false(has_name(t, t->a, "new.eml"));
	/* By whoever has removed it. */
	draft_removed(t->fs, id, true);
	assert_false(is_draft(t, id));
}

static void what_has_a_name_when_it_is_removed_goes(void **state)
{
	struct flushing *t = *state;
	uint64_t id = write_new(t, LF_TEXT);
	struct box *box = box_of(t, t->a);

	/* The kernel knows it: somebody may have it open. */
	assert_int_equal(box_hold(box, id), 0);
	assert_int_equal(complete(t, id, by_its_name), 0);
	assert_int_equal(pthread_join(changer, NULL), 0);
	assert_int_equal(changed, 0);
	assert_false(has_name(t, t->a, "new.eml"));
	expect_records(t, 0, JOURNAL_QUEUED);
	assert_true(box_release(box, id, 1));
	folder_put(t->fs, t->a);
}

static void check_date(struct flushing *t, const char *text)
{
	struct box *box = box_of(t, t->a);
	uint64_t id = write_new(t, text);
	struct cache_msg m;

	assert_int_equal(box_hold(box, id), 0);
	assert_int_equal(complete(t, id, its_date), 0);
	assert_int_equal(pthread_join(changer, NULL), 0);
	assert_int_equal(changed, 0);
	assert_int_equal(box_find_name(box, "new.eml", &m), 0);
	assert_int_equal(m.internaldate, DATE);
	assert_true(box_release(box, id, 1));
	folder_put(t->fs, t->a);
}

static void a_date_that_is_set_while_it_is_completed_is_its_date(void **state)
{
	check_date(*state, CRLF_TEXT);
}

static void a_date_that_is_set_while_it_is_converted_is_its_date(void **state)
{
	check_date(*state, LF_TEXT);
}

static bool has_star(struct box *box)
{
	struct cache_msg m;

	assert_int_equal(box_find_name(box, "new.eml", &m), 0);
	return m.flags & MAIL_FLAGGED;
}

static void flags_go_to_what_is_sent(void **state)
{
	struct flushing *t = *state;
	struct box *box = box_of(t, t->a);
	uint64_t id = write_new(t, LF_TEXT);

	assert_int_equal(box_hold(box, id), 0);
	assert_int_equal(complete(t, id, its_star), 0);
	assert_int_equal(pthread_join(changer, NULL), 0);
	assert_int_equal(changed, 0);
	assert_true(has_star(box));
	/* The kernel knows the old file still, by its name. */
	assert_int_equal(set_star(t, id, 0), 0);
	assert_false(has_star(box));
	assert_true(box_release(box, id, 1));
	folder_put(t->fs, t->a);
}

/* Of an earlier try: it could not be removed. */
static void leave_converted(struct flushing *t, uint64_t of)
{
	struct box *box = box_of(t, t->a);
	char name[64];
	const struct journal_new v = {.name = name, .is_scratch = true};
	uint64_t id;
	int fd;

	snprintf(name, sizeof(name), DRAFT_HIDDEN "%llu-crlf",
		 (unsigned long long)of);
	assert_int_equal(journal_create(box, &v, &id, &fd), 0);
	close(fd);
	folder_put(t->fs, t->a);
}

static void a_hidden_file_of_an_earlier_try_is_not_in_the_way(void **state)
{
	struct flushing *t = *state;
	uint64_t id = write_new(t, LF_TEXT);

	leave_converted(t, id);
	assert_int_equal(complete(t, id, NULL), 0);
	expect_records(t, 1, JOURNAL_QUEUED);
	assert_true(has_name(t, t->a, "new.eml"));
}

static unsigned count_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d)) /* NOLINT(concurrency-mt-unsafe): one thread */
		n++;
	closedir(d);
	return n;
}

/* Its bytes were held for who reads it on; then it was not removed. */
static void what_was_to_be_removed_leaves_no_descriptor(void **state)
{
	struct flushing *t = *state;
	struct box *box = box_of(t, t->a);
	unsigned before = count_descriptors();
	uint64_t id = write_new(t, LF_TEXT);

	assert_int_equal(box_hold(box, id), 0);
	draft_removing(t->fs, id);
	assert_int_equal(complete(t, id, NULL), 0);
	draft_removed(t->fs, id, false);
	assert_true(box_release(box, id, 1));
	draft_forgotten(t->fs, id);
	assert_false(is_draft(t, id));
	assert_int_equal(count_descriptors(), before);
	folder_put(t->fs, t->a);
}

#define T(f)                                                                   \
	cmocka_unit_test_setup_teardown(f, drafting_setup, drafting_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_moved_while_it_is_completed_is_sent),
		T(what_is_moved_while_it_is_converted_is_sent_once),
		T(what_is_renamed_while_it_is_converted_is_sent_once),
		T(what_is_removed_while_it_is_completed_is_gone),
		T(what_is_removed_while_it_is_converted_is_gone),
		T(what_has_a_name_when_it_is_removed_goes),
		T(what_was_to_be_removed_leaves_no_descriptor),
		T(flags_go_to_what_is_sent),
		T(a_hidden_file_of_an_earlier_try_is_not_in_the_way),
		T(a_date_that_is_set_while_it_is_completed_is_its_date),
		T(a_date_that_is_set_while_it_is_converted_is_its_date),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
