/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/*
 * The files of spool/: made, read and written through descriptors, which are
 * the caller's; and their way into the store of bodies, when the server has
 * them. Any thread, no locks: each file has one writer at a time, whom its
 * record knows.
 */

#define COPY_BYTES (128u << 10)

/* --- names --- */

char *spool_name(uint64_t id)
{
	char name[32];

	snprintf(name, sizeof(name), "%08llx", (unsigned long long)id);
	return strdup(name);
}

char *spool_path(struct cache *c, const char *name, bool is_scratch)
{
	char full[CACHE_NAME_MAX + 2];

	snprintf(full, sizeof(full), "%s%s", name, is_scratch ? "~" : "");
	return path_join(c->journal.spool_dir, full);
}

int spool_make_dirs(struct cache *c, struct cache_report *report)
{
	int r = home_make(c->journal.spool_dir, report);

	return r == 0 ? home_make(c->journal.rejected_dir, report) : r;
}

static int open_file(struct cache *c, const char *name, bool is_scratch,
		     int flags, int *ret_fd)
{
	char *path = spool_path(c, name, is_scratch);
	int fd, error;

	if (!path)
		return -ENOMEM;
	fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	error = errno;
	free(path);
	if (fd < 0)
		return error == ENOENT ? -ENOENT : home_errno(error);
	*ret_fd = fd;
	return 0;
}

int spool_create(struct cache *c, const char *name, bool is_scratch,
		 int *ret_fd)
{
	return open_file(c, name, is_scratch, O_RDWR | O_CREAT | O_EXCL,
			 ret_fd);
}

int spool_open_file(struct cache *c, const char *name, bool for_writing,
		    int *ret_fd)
{
	int flags = for_writing ? O_RDWR : O_RDONLY;
	int r = open_file(c, name, false, flags, ret_fd);

	if (r == -ENOENT)
		r = open_file(c, name, true, flags, ret_fd);
	/* It may have become a message between the two. */
	if (r == -ENOENT)
		r = open_file(c, name, false, flags, ret_fd);
	return r;
}

int spool_keep(struct cache *c, const char *name)
{
	char *from = spool_path(c, name, true),
	     *to = spool_path(c, name, false);
	int r = from && to ? 0 : -ENOMEM;

	if (r == 0 && rename(from, to) != 0 && errno != ENOENT)
		r = home_errno(errno);
	free(from);
	free(to);
	return r;
}

void spool_unlink(struct cache *c, const char *name)
{
	for (int is_scratch = 0; is_scratch < 2; is_scratch++) {
		char *path = spool_path(c, name, is_scratch);

		if (path)
			(void)unlink(path); /* else it is an orphan */
		free(path);
	}
}

/* --- what callers do with a descriptor --- */

/*
 * A file that fills the disk could never be removed: that has to be written
 * down, too.
 */
static int check_room(int fd, size_t n, uint64_t offset)
{
	struct statvfs v;
	struct stat st;

	if (fstat(fd, &st) != 0 || fstatvfs(fd, &v) != 0)
		return -EIO;
	if (offset + n <= (uint64_t)st.st_size ||
	    (uint64_t)v.f_bavail * v.f_frsize >= n + SPOOL_RESERVE)
		return 0;
	return -ENOSPC;
}

int spool_write(int fd, const void *bytes, size_t n, uint64_t offset)
{
	const char *at = bytes;
	int r;

	if (offset > MAIL_SIZE_MAX || n > MAIL_SIZE_MAX - offset)
		return -EOVERFLOW;
	r = check_room(fd, n, offset);
	if (r != 0)
		return r;
	while (n > 0) {
		ssize_t done = pwrite(fd, at, n, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return home_errno(errno);
		at += done;
		offset += (uint64_t)done;
		n -= (size_t)done;
	}
	return 0;
}

long spool_read(int fd, void *buf, size_t n, uint64_t offset)
{
	ssize_t got;

	if (offset > MAIL_SIZE_MAX)
		return 0;
	do
		got = pread(fd, buf, n, (off_t)offset);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -EIO : got;
}

int spool_truncate(int fd, uint64_t size)
{
	if (size > MAIL_SIZE_MAX)
		return -EOVERFLOW;
	return ftruncate(fd, (off_t)size) == 0 ? 0 : home_errno(errno);
}

int spool_size(int fd, uint64_t *ret)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return -EIO;
	*ret = (uint64_t)st.st_size;
	return 0;
}

int spool_sync(int fd)
{
	return fdatasync(fd) == 0 ? 0 : home_errno(errno);
}

/* The name of the file, if the record has one; and the phase. */
static int find_file(struct cache *c, uint64_t id, char **ret,
		     enum journal_phase *ret_phase)
{
	const struct change *v;
	int r = -ENOENT;

	lock_take(&c->journal.lock);
	v = journal_find_locked(&c->journal, id);
	if (v && v->spool) {
		*ret = strdup(v->spool);
		*ret_phase = v->phase;
		r = *ret ? 0 : -ENOMEM;
	}
	lock_drop(&c->journal.lock);
	return r;
}

int spool_open(struct cache *c, uint64_t id, bool for_writing, int *ret_fd)
{
	enum journal_phase phase;
	char *name;
	int r = find_file(c, id, &name, &phase);

	if (r != 0)
		return r;
	if (for_writing && phase != JOURNAL_SCRATCH && phase != JOURNAL_WRITING)
		r = -EBUSY;
	else
		r = spool_open_file(c, name, for_writing, ret_fd);
	free(name);
	return r;
}

int spool_open_published(struct cache *c, uint64_t id, int *ret_fd)
{
	enum journal_phase phase;
	char *name;
	int r = find_file(c, id, &name, &phase);

	if (r != 0)
		return r == -ENOENT ? -ENODATA : r;
	if (phase != JOURNAL_QUEUED && phase != JOURNAL_SENT)
		r = -EBUSY;
	else
		r = spool_open_file(c, name, false, ret_fd);
	free(name);
	return r;
}

/* --- durable --- */

int spool_sync_dir(struct cache *c)
{
	int fd = open(c->journal.spool_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return home_errno(errno);
	if (fsync(fd) != 0)
		r = home_errno(errno);
	close(fd);
	return r;
}

int spool_sync_names(struct cache *c)
{
	bool is_due;
	int r;

	lock_take(&c->journal.lock);
	is_due = c->journal.has_new_files;
	c->journal.has_new_files = false;
	lock_drop(&c->journal.lock);
	r = is_due ? spool_sync_dir(c) : 0;
	if (r == 0)
		return 0;
	lock_take(&c->journal.lock);
	c->journal.has_new_files = true;
	lock_drop(&c->journal.lock);
	return r;
}

int spool_harden(struct cache *c, const char *name, uint64_t *ret)
{
	uint64_t size = 0;
	int fd = -1, r = spool_open_file(c, name, false, &fd);

	if (r != 0)
		return r;
	/* Order matters: the size is that of the bytes that are on disk. */
	r = spool_sync(fd);
	if (r == 0)
		r = spool_size(fd, &size);
	close(fd);
	if (r == 0)
		r = spool_sync_dir(c);
	if (r == 0)
		*ret = size;
	return r;
}

/* --- copies --- */

static int copy_bytes(int from, int to)
{
	char *buf = malloc(COPY_BYTES);
	uint64_t at = 0;
	long n = 1;
	int r = buf ? 0 : -ENOMEM;

	while (r == 0 && n > 0) {
		n = spool_read(from, buf, COPY_BYTES, at);
		if (n < 0)
			r = (int)n;
		else
			r = spool_write(to, buf, (size_t)n, at);
		at += (uint64_t)(n > 0 ? n : 0);
	}
	free(buf);
	return r;
}

int spool_copy(struct cache *c, const char *from, const char *to)
{
	int in = -1, out = -1, r = spool_open_file(c, from, false, &in);

	if (r != 0)
		return r;
	r = spool_create(c, to, false, &out);
	if (r != 0) {
		close(in);
		return r;
	}
	r = copy_bytes(in, out);
	if (r == 0)
		r = spool_sync(out);
	if (r == 0)
		r = spool_sync_dir(c);
	close(in);
	close(out);
	if (r != 0)
		spool_unlink(c, to);
	return r;
}

/* --- into the store of bodies --- */

static int hash_file(struct cache *c, int fd, struct blob *b)
{
	int r = spool_size(fd, &b->size);
	blob_hash *hash;

	if (r != 0)
		return r;
	b->n_chunks = blob_chunks(b->size);
	hash = malloc(b->n_chunks * KEY_BYTES + 1);
	if (!hash)
		return -ENOMEM;
	for (size_t k = 0; r == 0 && k < b->n_chunks; k++)
		r = blob_hash_file(c, fd, (uint64_t)k * CACHE_CHUNK,
				   blob_chunk_bytes(b->size, k), hash[k]);
	if (r == 0)
		r = blob_make_key(c, hash, b->n_chunks, b->size, b->key);
	if (r == 0)
		b->hash = hash;
	else
		free(hash);
	return r;
}

/*
 * cache_dir may be on another file system: then by a copy, under the name of a
 * part, which a start removes if this is cut off.
 */
static int copy_blob(struct cache *c, uint64_t id, int fd, const char *to)
{
	char *part = blob_part_path(c, id);
	int flags = O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
	int out, r = part ? home_keep_lock(c) : -ENOMEM;

	if (r == 0)
		r = blob_make_dir(part);
	if (r != 0) {
		free(part);
		return r;
	}
	out = open(part, flags, 0600);
	r = out >= 0 ? copy_bytes(fd, out) : home_errno(errno);
	if (out >= 0)
		close(out);
	if (r == 0 && rename(part, to) != 0)
		r = home_errno(errno);
	if (r != 0)
		(void)unlink(part);
	free(part);
	return r;
}

static int place_blob(struct cache *c, uint64_t id, int fd, const char *from,
		      const char *to)
{
	int r = blob_make_dir(to);

	if (r != 0)
		return r;
	if (link(from, to) == 0 || errno == EEXIST)
		return 0;
	return copy_blob(c, id, fd, to);
}

int spool_adopt(struct cache *c, uint64_t id, const char *name,
		struct blob *ret)
{
	struct blob b = {0};
	char *from = spool_path(c, name, false), *to = NULL;
	int fd = -1, r = from ? spool_open_file(c, name, false, &fd) : -ENOMEM;

	if (r == 0)
		r = hash_file(c, fd, &b);
	if (r == 0) {
		to = blob_path(c, b.key);
		r = to ? place_blob(c, id, fd, from, to) : -ENOMEM;
	}
	if (fd >= 0)
		close(fd);
	free(from);
	free(to);
	if (r != 0)
		free(b.hash);
	else
		*ret = b;
	return r;
}
