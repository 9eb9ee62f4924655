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

/*
 * The folder is the cache's (journal_reject() puts files there); here it is
 * shown. Any thread. A symbolic link, or anything but a plain file, that
 * somebody has put there is not followed and not shown.
 */

static int open_dir(struct fs *fs)
{
	int fd = open(journal_rejected_dir(fs->cache),
		      O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : -EIO;
	return fd;
}

/* A descriptor, and what it is of. */
static int open_file(struct fs *fs, const char *name, struct rejected *ret)
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
	*ret = (struct rejected){st.st_dev, st.st_ino, (size_t)st.st_size,
				 st.st_mtime};
	return fd;
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
	int dir = open_dir(fs), r = 0;

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

static int read_names(DIR *d, char ***ret, size_t *ret_n)
{
	char **names = NULL, **more;
	struct dirent *e;
	size_t n = 0;

	while ((e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
		if (e->d_type != DT_REG && e->d_type != DT_UNKNOWN)
			continue;
		more = reallocarray(names, n + 1, sizeof(*names));
		if (more)
			names = more;
		if (!more || !(names[n] = strdup(e->d_name))) {
			*ret = names;
			*ret_n = n;
			return -ENOMEM;
		}
		n++;
	}
	*ret = names;
	*ret_n = n;
	return 0;
}

int rejected_list(struct fs *fs, struct rejected_names **ret)
{
	int fd = open_dir(fs), r;
	char **names = NULL;
	size_t n = 0;
	DIR *d;

	if (fd < 0)
		return fd == -ENOENT ? pack(NULL, 0, ret) : fd;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	r = read_names(d, &names, &n);
	closedir(d);
	if (r == 0)
		r = pack(names, n, ret);
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return r;
}

int64_t rejected_mtime(struct fs *fs)
{
	struct stat st;

	if (stat(journal_rejected_dir(fs->cache), &st) != 0)
		return 0;
	return st.st_mtime;
}
