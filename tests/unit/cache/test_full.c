/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/internal.h"
#include "scene.h"

/*
 * A disk without space. It is played by a limit on the size of files, which
 * needs no privilege: writing beyond it fails with EFBIG. (SQLite does not
 * always tell an EFBIG from other errors of a disk, so there both answers are
 * right.) As root, a small tmpfs in a mount namespace of our own says ENOSPC.
 */

/* A server that cannot make up its mind about a size must not drift it. */
static void a_chunk_that_comes_twice_is_counted_once(void **state)
{
	enum { MIB = 1 << 20 };
	static unsigned char in[MIB];
	struct scene *s = *state;
	struct cache_stats stats;
	struct body *b;
	uint64_t id;

	scene_box(s);
	id = scene_add(s, 1, "b.eml");
	assert_int_equal(body_open(s->c, id, 3 * MIB, &b), 0);
	assert_int_equal(body_write(b, MIB, in, MIB), 0);
	assert_int_equal(body_end(b, MIB + MIB / 2), 0);
	assert_int_equal(body_write(b, MIB, in, MIB), 0);
	assert_int_equal(cache_sync(s->c), 0);
	cache_get_stats(s->c, &stats);
	assert_int_equal(stats.body_bytes, MIB);
	body_put(b);
}

static void a_body_without_room_leaves_nothing_behind(void **state)
{
	struct scene *s = *state;
	static unsigned char in[200000];
	struct body *b;
	uint64_t id, at, n;

	scene_box(s);
	id = scene_add(s, 1, "b.eml");
	assert_int_equal(cache_sync(s->c), 0);
	scene_fill(in, 0, sizeof(in), 1);
	assert_int_equal(body_open(s->c, id, sizeof(in), &b), 0);
	assert_int_equal(body_write(b, 0, in, 50000), 0);
	scene_limit_files(100000);
	assert_int_equal(body_write(b, 50000, in + 50000, 150000), -ENOSPC);
	scene_limit_files(RLIM_INFINITY);
	/* What came before is good, the rest counts as not here. */
	assert_int_equal(body_check(b, 0, 50000), 0);
	assert_true(body_gap(b, 0, &at, &n) && at == 50000 && n == 150000);
	assert_int_equal(body_end(b, sizeof(in)), 0);
	assert_false(body_is_whole(b));
	body_put(b);
	assert_int_equal(scene_count_files(s), 0);
	assert_int_equal(scene_put_body(s, id, sizeof(in), 1), 0);
	scene_reopen(s);
	assert_int_equal(scene_check_body(s, id, sizeof(in), 1), 0);
}

static void changes_wait_until_there_is_room_again(void **state)
{
	struct scene *s = *state;
	struct cache_msg m;
	char name[32];
	uint64_t ids;
	int r;

	scene_box(s);
	assert_int_equal(cache_new_ids(s->c, 1, &ids), 0);
	assert_int_equal(cache_sync(s->c), 0);
	scene_limit_files(4096);
	for (uint32_t i = 1; i <= 500; i++) {
		snprintf(name, sizeof(name), "m%u.eml", i);
		assert_int_not_equal(scene_add(s, i, name), 0);
	}
	r = cache_sync(s->c);
	assert_true(scene_is_full(r));
	assert_int_equal(cache_writer_error(s->c), r);
	/* Memory is whole meanwhile. */
	assert_int_equal(box_find_name(s->box, "m500.eml", &m), 0);
	scene_limit_files(RLIM_INFINITY);
	assert_int_equal(cache_sync(s->c), 0);
	(void)cache_writer_error(s->c);
	assert_int_equal(cache_writer_error(s->c), 0);
	scene_reopen(s);
	assert_int_equal(box_count(s->box), 500);
	assert_int_equal(box_find_name(s->box, "m500.eml", &m), 0);
}

/* Rows with long fields, so that the queue fills up soon. */
static int add_long(struct scene *s, uint32_t uid)
{
	static char field[MAIL_FIELD_MAX];
	struct mail_row row = {.has = ROW_UID | ROW_FIELDS, .uid = uid};
	struct cache_new add = {&row, "long.eml", true};

	memset(field, 'f', sizeof(field) - 1);
	for (int i = 0; i < N_FIELDS; i++)
		row.field[i] = field;
	return box_add(s->box, &add, 1, NULL, NULL);
}

static void a_full_queue_is_an_error_not_a_hang(void **state)
{
	struct scene *s = *state;
	size_t count;
	uint32_t uid = 1;
	int r = 0;

	scene_box(s);
	assert_int_equal(cache_sync(s->c), 0);
	scene_limit_files(4096);
	while (r == 0 && uid < 20000)
		r = add_long(s, uid++);
	assert_true(scene_is_full(r));
	count = box_count(s->box);
	scene_limit_files(RLIM_INFINITY);
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(add_long(s, uid), 0);
	scene_reopen(s);
	assert_int_equal(box_count(s->box), count + 1);
}

static void a_fast_caller_waits_for_the_writer(void **state)
{
	struct scene *s = *state;

	scene_box(s);
	for (uint32_t uid = 1; uid <= 6000; uid++) {
		size_t bytes;

		assert_int_equal(add_long(s, uid), 0);
		lock_take(&s->c->writer.lock);
		bytes = s->c->writer.bytes;
		lock_drop(&s->c->writer.lock);
		assert_true(bytes < 9u << 20);
	}
}

static size_t count_descriptors(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 2000; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* A body is open until its row is written: of those there are not too many. */
static void bodies_that_cannot_be_written_down_are_few(void **state)
{
	enum { BODIES = 1500, BODY = 100 };
	struct scene *s = *state;
	static uint64_t ids[BODIES];
	size_t before, refused = 0;
	int r;

	scene_box(s);
	for (uint32_t i = 0; i < BODIES; i++)
		ids[i] = scene_add(s, i + 1, "m.eml");
	assert_int_equal(cache_sync(s->c), 0);
	before = count_descriptors();
	scene_limit_files(4096);
	for (uint32_t i = 0; i < BODIES; i++) {
		r = scene_put_body(s, ids[i], BODY, i);
		assert_true(r == 0 || scene_is_full(r));
		refused += r != 0;
	}
	assert_true(count_descriptors() < before + 600);
	assert_int_not_equal(refused, 0);
	scene_limit_files(RLIM_INFINITY);
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(count_descriptors(), before);
	for (uint32_t i = 0; i < BODIES; i++)
		refused -= !cache_has_body(s->c, ids[i]);
	assert_int_equal(refused, 0);
}

static void closing_without_room_ends(void **state)
{
	struct scene *s = *state;

	scene_box(s);
	assert_int_equal(cache_sync(s->c), 0);
	scene_limit_files(4096);
	assert_int_not_equal(scene_add(s, 1, "lost.eml"), 0);
	scene_close(s);
	scene_limit_files(RLIM_INFINITY);
	scene_open(s);
	assert_int_equal(box_open(s->c, s->folder, &s->box), 0);
	assert_int_equal(box_count(s->box), 0);
}

static int clean_mark(struct scene *s)
{
	char path[320];
	sqlite3_stmt *st;
	sqlite3 *db;
	int mark;

	snprintf(path, sizeof(path), "%s/index.db", s->state_dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db,
					    "SELECT value FROM vals"
					    " WHERE key = 'clean'",
					    -1, &st, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	mark = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return mark;
}

/* Files of bodies whose rows were lost are looked for at the next start. */
static void an_end_that_loses_rows_is_not_a_clean_one(void **state)
{
	struct scene *s = *state;
	char path[320];
	struct stat st;

	scene_box(s);
	assert_int_equal(cache_sync(s->c), 0);
	snprintf(path, sizeof(path), "%s/index.db-wal", s->state_dir);
	assert_int_equal(stat(path, &st), 0);
	writer_hold(s->c);
	for (uint32_t uid = 1; uid <= 100; uid++)
		assert_int_equal(add_long(s, uid), 0);
	/* There is room for a little. */
	scene_limit_files((rlim_t)st.st_size + (64u << 10));
	writer_release(s->c);
	scene_close(s);
	scene_limit_files(RLIM_INFINITY);
	assert_int_equal(clean_mark(s), 0);
	scene_open(s);
	scene_close(s);
	assert_int_equal(clean_mark(s), 1);
}

static void enter_small_disk(const struct scene *s)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("tmpfs", s->dir, "tmpfs", 0, "size=3m") != 0)
		skip();
}

static void a_small_disk_says_enospc_and_recovers(void **state)
{
	struct scene *s = *state;
	uint64_t ids[8];
	int r = 0;
	uint32_t uid = 100;

	scene_close(s);
	enter_small_disk(s);
	scene_open(s);
	scene_box(s);
	for (uint32_t i = 0; i < 8; i++)
		ids[i] = scene_add(s, i + 1, "b.eml");
	assert_int_equal(cache_sync(s->c), 0);
	for (unsigned i = 0; i < 8 && r == 0; i++)
		r = scene_put_body(s, ids[i], 700000, i);
	assert_int_equal(r, -ENOSPC);
	for (r = 0; r == 0 && uid < 20000; uid++)
		r = add_long(s, uid);
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(cache_sync(s->c), -ENOSPC);
	/* What is stored can still be read. */
	assert_int_equal(scene_check_body(s, ids[0], 700000, 0), 0);
	assert_int_equal(mount(NULL, s->dir, NULL, MS_REMOUNT, "size=100m"), 0);
	assert_int_equal(cache_sync(s->c), 0);
	assert_int_equal(scene_put_body(s, ids[7], 700000, 7), 0);
	scene_reopen(s);
	assert_int_equal(scene_check_body(s, ids[7], 700000, 7), 0);
	assert_true(box_count(s->box) > 8);
	scene_close(s);
	assert_int_equal(umount2(s->dir, MNT_DETACH), 0);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_chunk_that_comes_twice_is_counted_once),
		T(a_body_without_room_leaves_nothing_behind),
		T(changes_wait_until_there_is_room_again),
		T(a_full_queue_is_an_error_not_a_hang),
		T(a_fast_caller_waits_for_the_writer),
		T(bodies_that_cannot_be_written_down_are_few),
		T(an_end_that_loses_rows_is_not_a_clean_one),
		T(closing_without_room_ends),
		T(a_small_disk_says_enospc_and_recovers),
	};

	/* Or the limit would end the program. */
	(void)signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
