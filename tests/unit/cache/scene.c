/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../scratch.h"

/* The scene that all tests of cache/ play in; see scene.h. */

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_tree(const char *dir)
{
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

struct scene *scene_new(void)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	snprintf(s->dir, sizeof(s->dir), "%.200s/cache-test-XXXXXX",
		 scratch_root());
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->state_dir, sizeof(s->state_dir), "%s/state", s->dir);
	snprintf(s->cache_dir, sizeof(s->cache_dir), "%s/cache", s->dir);
	return s;
}

void scene_limit_files(rlim_t bytes)
{
	struct rlimit l;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &l), 0);
	l.rlim_cur = bytes < l.rlim_max ? bytes : l.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

bool scene_is_full(int r)
{
	return r == -ENOSPC || r == -EIO;
}

void scene_free(struct scene *s)
{
	scene_limit_files(RLIM_INFINITY);
	scene_close(s);
	remove_tree(s->dir);
	free(s);
}

void scene_open(struct scene *s)
{
	struct cache_config cfg = {s->state_dir, s->cache_dir, s->max_bytes};

	assert_int_equal(cache_open(&cfg, 0, &s->c, &s->report), 0);
}

void scene_close(struct scene *s)
{
	box_close(s->box);
	s->box = NULL;
	cache_close(s->c);
	s->c = NULL;
}

void scene_reopen(struct scene *s)
{
	bool had_box = s->box != NULL;

	scene_close(s);
	scene_open(s);
	if (had_box)
		assert_int_equal(box_open(s->c, s->folder, &s->box), 0);
}

int scene_setup(void **state)
{
	struct scene *s = scene_new();

	scene_open(s);
	*state = s;
	return 0;
}

int scene_teardown(void **state)
{
	scene_free(*state);
	return 0;
}

void scene_box(struct scene *s)
{
	char wire[] = "INBOX";
	struct cache_folder f = {.wire = wire, .delimiter = '/'};

	assert_int_equal(cache_new_ids(s->c, 1, &f.id), 0);
	assert_int_equal(cache_save_folder(s->c, &f), 0);
	s->folder = f.id;
	assert_int_equal(box_open(s->c, s->folder, &s->box), 0);
}

uint64_t scene_add_gm(struct scene *s, uint32_t uid, const char *name,
		      uint64_t gm_msgid)
{
	struct mail_row row = {
		.has = ROW_UID | ROW_FLAGS | ROW_SIZE | ROW_DATE | ROW_FIELDS |
		       ROW_GM | ROW_LABELS,
		.uid = uid,
		.flags = MAIL_SEEN,
		.keywords = "blue",
		.size = 1000 + uid,
		.internaldate = 1700000000,
		.gm_msgid = gm_msgid,
		.gm_labels = "",
		.field = {[FIELD_SUBJECT] = "Hello", [FIELD_FROM] = "a@b"},
	};
	struct cache_new add = {&row, name, true};
	uint64_t id = 1;

	assert_int_equal(box_add(s->box, &add, 1, NULL, &id), 0);
	return id;
}

uint64_t scene_add(struct scene *s, uint32_t uid, const char *name)
{
	return scene_add_gm(s, uid, name, 0);
}

/* --- files --- */

/* What nftw's callback has found; tests of one program run one by one. */
static char found_path[512];
static size_t found_files;

static int count_one(const char *path, const struct stat *st, int type,
		     struct FTW *ftw)
{
	(void)st;
	if (type == FTW_F && strcmp(path + ftw->base, "bodies.lock") != 0) {
		found_files++;
		snprintf(found_path, sizeof(found_path), "%s", path);
	}
	return 0;
}

size_t scene_count_files(struct scene *s)
{
	found_files = 0;
	(void)nftw(s->cache_dir, count_one, 16, FTW_PHYS);
	return found_files;
}

void scene_blob_path(struct scene *s, char *ret, size_t n)
{
	assert_int_equal(scene_count_files(s), 1);
	snprintf(ret, n, "%s", found_path);
}

void scene_wipe_cache_dir(struct scene *s)
{
	remove_tree(s->cache_dir);
}

void scene_wipe_state_dir(struct scene *s)
{
	remove_tree(s->state_dir);
}

/* --- bodies --- */

void scene_fill(unsigned char *buf, uint64_t offset, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t at = offset + i;

		buf[i] = (unsigned char)(at * 31 + (at >> 8) * 7 +
					 (at >> 16) * 3 + seed * 101);
	}
}

int scene_put_body(struct scene *s, uint64_t id, size_t n, unsigned seed)
{
	unsigned char *buf = malloc(n + 1);
	struct body *b;
	int r;

	assert_non_null(buf);
	scene_fill(buf, 0, n, seed);
	r = body_open(s->c, id, n, &b);
	for (size_t at = 0; r == 0 && at < n; at += 50000)
		r = body_write(b, at, buf + at,
			       n - at < 50000 ? n - at : 50000);
	if (r == 0)
		r = body_end(b, n);
	body_put(b);
	free(buf);
	return r;
}

static int compare(struct body *b, size_t n, unsigned seed)
{
	unsigned char *have = malloc(n + 1), *want = malloc(n + 1);
	int r = 1;

	assert_non_null(have);
	assert_non_null(want);
	scene_fill(want, 0, n, seed);
	if (body_size(b) == n && body_read(b, have, n, 0) == (long)n &&
	    body_read(b, have, 1, n) == 0 && memcmp(have, want, n) == 0)
		r = 0;
	free(have);
	free(want);
	return r;
}

int scene_check_body(struct scene *s, uint64_t id, size_t n, unsigned seed)
{
	struct body *b;
	int r = body_open(s->c, id, n, &b);

	if (r != 0)
		return r;
	r = body_is_whole(b) ? body_check(b, 0, n) : -ENODATA;
	if (r == 0)
		r = compare(b, n, seed);
	body_put(b);
	return r;
}

void scene_sql(struct scene *s, const char *sql)
{
	char path[320];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/index.db", s->state_dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	/* The writer may be at it: it notes things of its own, too. */
	(void)sqlite3_busy_timeout(db, 10000);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

int64_t scene_sql_number(struct scene *s, const char *sql)
{
	char path[320];
	sqlite3_stmt *st;
	sqlite3 *db;
	int64_t v;

	snprintf(path, sizeof(path), "%s/index.db", s->state_dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	v = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return v;
}

void scene_spoil_table(struct scene *s, const char *name)
{
	char path[320], sql[120], garbage[4096];
	int64_t page;
	int fd;

	snprintf(path, sizeof(path), "%s/index.db", s->state_dir);
	snprintf(sql, sizeof(sql),
		 "SELECT rootpage FROM sqlite_schema WHERE name = '%s'", name);
	page = scene_sql_number(s, sql);

	memset(garbage, 0xff, sizeof(garbage));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, garbage, sizeof(garbage),
				(page - 1) * (off_t)sizeof(garbage)),
			 sizeof(garbage));
	close(fd);
}

void scene_flip_bit(const char *path, long at)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	unsigned char byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

void scene_put_part(struct scene *s, uint64_t id, size_t size, size_t from,
		    size_t to)
{
	unsigned char *in = malloc(to - from);
	struct body *b;

	assert_non_null(in);
	scene_fill(in, from, to - from, 6);
	assert_int_equal(body_open(s->c, id, size, &b), 0);
	assert_int_equal(body_write(b, from, in, to - from), 0);
	body_put(b);
	free(in);
}
