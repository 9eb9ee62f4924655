/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/rejected.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/journal.h"
#include "imap/log.h"

/*
 * The folder is the cache's (journal_reject() puts files there); here it is
 * shown. Any thread. A symbolic link, or anything but a plain file, that
 * somebody has put there is not followed and not shown.
 *
 * A name is taken by an empty file, for which the real one comes when it is on
 * the disk that its message is gone: within a second by itself, at once when
 * somebody looks for it here. Who saw the empty file would take it for what was
 * kept, or remove it for nothing.
 */

static int open_dir(struct fs *fs)
{
	int fd = open(journal_rejected_dir(fs->cache),
		      O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : -EIO;
	return fd;
}

/* A descriptor, and what it is of. -EAGAIN: only its name is there. */
static int try_open(struct fs *fs, const char *name, struct rejected *ret)
{
	int dir = open_dir(fs), fd;
	struct stat st;

	if (dir < 0)
		return dir;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	close(dir);
	if (fd < 0)
		return errno == ENOENT || errno == ELOOP ? -ENOENT : -EIO;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -ENOENT;
	}
	if (st.st_size == 0) {
		close(fd);
		return -EAGAIN;
	}
	*ret = (struct rejected){st.st_dev, st.st_ino, (size_t)st.st_size,
				 st.st_mtime};
	return fd;
}

/* If that fails they are not there, like any that are to come. */
static void let_them_come(struct fs *fs)
{
	int r = cache_sync(fs->cache);

	if (r != 0)
		log_debug("rejected: what is to come cannot come now: %s",
			  strerrordesc_np(-r));
}

static int open_file(struct fs *fs, const char *name, struct rejected *ret)
{
	int fd = try_open(fs, name, ret);

	if (fd == -EAGAIN) {
		let_them_come(fs);
		fd = try_open(fs, name, ret);
	}
	return fd == -EAGAIN ? -ENOENT : fd;
}

int rejected_find(struct fs *fs, const char *name, struct rejected *ret)
{
	int fd = open_file(fs, name, ret);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

long rejected_read(struct fs *fs, const char *name,
		   const struct rejected *which, char *buf, size_t n, off_t off)
{
	struct rejected now;
	ssize_t got;
	int fd = open_file(fs, name, &now);

	if (fd < 0)
		return fd;
	if (now.dev != which->dev || now.ino != which->ino) {
		close(fd);
		return -ENOENT;
	}
	do
		got = pread(fd, buf, n, off);
	while (got < 0 && errno == EINTR);
	close(fd);
	return got < 0 ? -EIO : got;
}

int rejected_remove(struct fs *fs, const char *name)
{
	struct rejected which;
	int r = rejected_find(fs, name, &which), dir;

	if (r != 0)
		return r;
	dir = open_dir(fs);
	if (dir < 0)
		return dir;
	if (unlinkat(dir, name, 0) != 0)
		r = errno == ENOENT ? -ENOENT : -EIO;
	close(dir);
	return r;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* All entries in one block: the pointers, then the names. */
static int pack(char *const *names, size_t n, struct rejected_names **ret)
{
	size_t bytes = sizeof(**ret) + n * sizeof((*ret)->v[0]), at = bytes;
	struct rejected_names *list;

	for (size_t i = 0; i < n; i++)
		bytes += strlen(names[i]) + 1;
	list = malloc(bytes);
	if (!list)
		return -ENOMEM;
	list->n = n;
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(names[i]) + 1;

		list->v[i] = memcpy((char *)list + at, names[i], len);
		at += len;
	}
	qsort(list->v, n, sizeof(list->v[0]), compare);
	*ret = list;
	return 0;
}

/* What is listed: a plain file, whose bytes are there. */
static bool is_shown(DIR *d, const char *name, bool *some_to_come)
{
	struct stat st;

	if (fstatat(dirfd(d), name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !S_ISREG(st.st_mode))
		return false;
	if (st.st_size == 0)
		*some_to_come = true;
	return st.st_size > 0;
}

struct names {
	char **v;
	size_t n;
	bool some_to_come;
};

static void free_names(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct names){0};
}

static int read_names(DIR *d, struct names *l)
{
	struct dirent *e;
	char **more;

	while ((e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
		if (!is_shown(d, e->d_name, &l->some_to_come))
			continue;
		more = reallocarray(l->v, l->n + 1, sizeof(*l->v));
		if (more)
			l->v = more;
		if (!more || !(l->v[l->n] = strdup(e->d_name)))
			return -ENOMEM;
		l->n++;
	}
	return 0;
}

/* `l` is yours to free, also on failure. */
static int read_dir(struct fs *fs, struct names *l)
{
	int fd = open_dir(fs), r;
	DIR *d;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	r = read_names(d, l);
	closedir(d);
	return r;
}

int rejected_list(struct fs *fs, struct rejected_names **ret)
{
	struct names l = {0};
	int r = read_dir(fs, &l);

	if (r == 0 && l.some_to_come) {
		let_them_come(fs);
		free_names(&l);
		r = read_dir(fs, &l);
	}
	if (r == 0)
		r = pack(l.v, l.n, ret);
	free_names(&l);
	return r;
}

int64_t rejected_mtime(struct fs *fs)
{
	struct stat st;

	if (stat(journal_rejected_dir(fs->cache), &st) != 0)
		return 0;
	return st.st_mtime;
}
