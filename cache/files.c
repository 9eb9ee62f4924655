/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/blob.h"

/*
 * Where the files of bodies are, and the sweep that removes those that no
 * row knows (left by a kill, or by a database that was set aside).
 *
 * Paths are built anew each time and folders are made when they are missed:
 * the user may wipe cache_dir at any moment. The sweep takes one of the 256
 * folders at a time between other work of the writer; it leaves what is
 * younger than this start alone, for a body that is being published has its
 * file before its row. On its way it drops rows whose files are gone.
 *
 * A file tells whether that has happened: the tag by which backups know a cache
 * (https://bford.info/cachedir/), made by us, and gone with the rest.
 */

#define TAG_NAME "CACHEDIR.TAG"
#define TAG "Signature: 8a477f597d28d172789f06886806bc55\n"

#define HEX "0123456789abcdef"

char *blob_path(struct cache *c, const blob_hash key)
{
	char name[2 * KEY_BYTES + 2];
	size_t at = 0;

	for (int i = 0; i < KEY_BYTES; i++) {
		name[at++] = HEX[key[i] >> 4];
		name[at++] = HEX[key[i] & 15];
		if (i == 0)
			name[at++] = '/';
	}
	name[at] = '\0';
	return path_join(c->cache_dir, name);
}

char *blob_part_path(struct cache *c, uint64_t id)
{
	char name[32];

	snprintf(name, sizeof(name), "parts/%08llx", (unsigned long long)id);
	return path_join(c->cache_dir, name);
}

int blob_make_dir(const char *path)
{
	char *dir = strdup(path);
	int r;

	if (!dir)
		return -ENOMEM;
	*strrchr(dir, '/') = '\0';
	r = home_make_dirs(dir);
	free(dir);
	return r;
}

void blob_unlink_damaged(struct cache *c, const blob_hash key, int fd)
{
	char *path = blob_path(c, key);
	struct stat ours, there;

	if (path && fstat(fd, &ours) == 0 && lstat(path, &there) == 0 &&
	    ours.st_ino == there.st_ino && ours.st_dev == there.st_dev)
		(void)unlink(path);
	free(path);
}

/* --- partial bodies that nobody knows --- */

static bool is_stray_part(struct cache *c, const char *name)
{
	char *end;
	unsigned long long id = strtoull(name, &end, 16);
	int r;

	if (*end || end - name != 8)
		return false; /* not ours */
	db_bind_int(&c->write, S_PART_LIST, 1, (int64_t)id);
	r = db_step(&c->write, S_PART_LIST);
	db_reset(&c->write, S_PART_LIST);
	return r == 0; /* in doubt it stays */
}

int blob_clean_parts(struct cache *c)
{
	char *path = path_join(c->cache_dir, "parts");
	struct dirent *e;
	DIR *d;

	if (!path)
		return -ENOMEM;
	d = opendir(path);
	free(path);
	if (!d)
		return 0;
	/* Nobody else reads this stream: readdir is safe. */
	while ((e = readdir(d))) { /* NOLINT(concurrency-mt-unsafe) */
		if (is_stray_part(c, e->d_name))
			(void)unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
	return 0;
}

/* --- the sweep --- */

struct sweep_op {
	struct op op;
	unsigned folder; /* 0 to 255 */
};

static int hex_digit(char ch)
{
	const char *at = ch ? strchr(HEX, ch) : NULL;

	return at ? (int)(at - HEX) : -1;
}

/* The key of a file in folder `first`; false: the name is not one of ours. */
static bool parse_key(unsigned first, const char *name, blob_hash key)
{
	if (strlen(name) != 2 * (size_t)(KEY_BYTES - 1))
		return false;
	key[0] = (unsigned char)first;
	for (size_t i = 1; i < KEY_BYTES; i++) {
		int high = hex_digit(name[2 * i - 2]);
		int low = hex_digit(name[2 * i - 1]);

		if (high < 0 || low < 0)
			return false;
		key[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

static bool is_older(const struct timespec *a, const struct timespec *b)
{
	if (a->tv_sec != b->tv_sec)
		return a->tv_sec < b->tv_sec;
	return a->tv_nsec < b->tv_nsec;
}

static void sweep_file(struct cache *c, DIR *d, unsigned first,
		       const char *name)
{
	struct stat st;
	blob_hash key;
	int r;

	if (!parse_key(first, name, key))
		return; /* not ours */
	if (fstatat(dirfd(d), name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !S_ISREG(st.st_mode) || !is_older(&st.st_ctim, &c->started_at))
		return;
	db_bind_blob(&c->write, S_BLOB_GET, 1, key, KEY_BYTES);
	r = db_step(&c->write, S_BLOB_GET);
	db_reset(&c->write, S_BLOB_GET);
	if (r == 0)
		(void)unlinkat(dirfd(d), name, 0);
}

/* The next row after `*key`: 1, and `*key` is its; 0: there is none. */
static int next_row(struct cache *c, blob_hash key)
{
	sqlite3_stmt *st = c->write.stmt[S_BLOB_NEXT];
	int r;

	db_bind_blob(&c->write, S_BLOB_NEXT, 1, key, KEY_BYTES);
	r = db_step(&c->write, S_BLOB_NEXT);
	if (r == 1 && sqlite3_column_bytes(st, 0) == KEY_BYTES)
		memcpy(key, sqlite3_column_blob(st, 0), KEY_BYTES);
	else if (r == 1)
		r = 0;
	db_reset(&c->write, S_BLOB_NEXT);
	return r;
}

/* Rows of this folder whose files are gone. */
static int drop_lost(struct cache *c, unsigned first)
{
	blob_hash key = {(unsigned char)first};
	struct stat st;
	char *path;
	int r;

	while ((r = next_row(c, key)) == 1 && key[0] == first) {
		path = blob_path(c, key);
		if (!path)
			return -ENOMEM;
		r = lstat(path, &st) != 0 && errno == ENOENT;
		free(path);
		if (!r)
			continue;
		r = blob_remove(c, key);
		if (r != 0)
			return r;
		c->bodies.add_lost++;
	}
	return r < 0 ? r : 0;
}

static int run_sweep(struct cache *c, struct op *op)
{
	unsigned first = ((struct sweep_op *)op)->folder;
	char name[3] = {HEX[first >> 4], HEX[first & 15], '\0'};
	char *path = path_join(c->cache_dir, name);
	struct dirent *e;
	DIR *d;

	if (!path)
		return -ENOMEM;
	d = opendir(path);
	free(path);
	while (d && (e = readdir(d))) { /* NOLINT(concurrency-mt-unsafe) */
		if (e->d_name[0] != '.')
			sweep_file(c, d, first, e->d_name);
	}
	if (d)
		closedir(d);
	return drop_lost(c, first);
}

static void queue_sweep(struct cache *c, unsigned folder);

static void sweep_done(struct cache *c, struct op *op, int err)
{
	unsigned folder = ((struct sweep_op *)op)->folder;

	if (err == 0 && folder < 255)
		queue_sweep(c, folder + 1);
}

/* Without memory the sweep ends early; the next one finds the rest. */
static void queue_sweep(struct cache *c, unsigned folder)
{
	struct sweep_op *op = op_new(sizeof(*op), run_sweep, 0);

	if (!op)
		return;
	op->folder = folder;
	op->op.done = sweep_done;
	writer_push(c, &op->op);
}

void blob_start_sweep(struct cache *c)
{
	queue_sweep(c, 0);
}

bool cache_look_for_wipe(struct cache *c)
{
	char *path = path_join(c->cache_dir, TAG_NAME);
	struct stat st;
	int fd = -1;

	if (path && lstat(path, &st) != 0 && errno == ENOENT &&
	    home_make_dirs(c->cache_dir) == 0)
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	free(path);
	if (fd < 0)
		return false;
	/* Only its name counts for us. */
	(void)!write(fd, TAG, strlen(TAG));
	close(fd);
	blob_start_sweep(c);
	return true;
}
