/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/internal.h"
#include "imap/log.h"

/*
 * The two folders of an account and the locks that one mount holds on them:
 * two, for mounts with other state folders may have the same one for bodies.
 * They are those of an open file description: each goes when the last process
 * that inherited the descriptor has closed it, also after a kill.
 */

#define LOCK_FILE "lock"
#define BODIES_LOCK_FILE "bodies.lock" /* both folders may be one */
#define LOCK_POLL_MS 50

char *path_join(const char *dir, const char *name)
{
	size_t n = strlen(dir) + strlen(name) + 2;
	char *path = malloc(n);

	if (path)
		snprintf(path, n, "%s/%s", dir, name);
	return path;
}

static int errno_of(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return -EACCES;
	case EROFS:
		return -EROFS;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return -ENOSPC;
	case ENOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

int home_errno(int error)
{
	int r = errno_of(error);

	if (r == -EIO)
		log_warn("cache: %s", strerrordesc_np(error));
	return r;
}

/* --- folders --- */

int home_make_dirs(const char *dir)
{
	char *path = strdup(dir);

	if (!path)
		return -ENOMEM;
	for (char *at = path + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		(void)mkdir(path, 0700); /* the last one tells what is wrong */
		*at = '/';
	}
	free(path);
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return errno_of(errno);
	return 0;
}

int home_make(const char *dir, struct cache_report *report)
{
	struct stat st;
	int r = home_make_dirs(dir);

	if (r == 0 && stat(dir, &st) != 0)
		r = errno_of(errno);
	if (r != 0) {
		snprintf(report->text, sizeof(report->text),
			 "cannot make the folder '%.300s': %s", dir,
			 strerrordesc_np(errno)); /* `r` has a few only */
		return r;
	}
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & 022) != 0) {
		snprintf(report->text, sizeof(report->text),
			 "'%.300s' must be a folder that belongs to you and "
			 "that nobody else can write to",
			 dir);
		return -EACCES;
	}
	/* Mail is private, also in a folder that was made by hand. */
	if ((st.st_mode & 077) != 0 && chmod(dir, 0700) != 0)
		return errno_of(errno);
	return 0;
}

/* --- the lock --- */

static int try_lock(int fd)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_OFD_SETLK, &l) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -EIO;
}

/* After the pid in the lock's file. */
#define ENDING " ending\n"

static void report_holder(int fd, struct cache_report *report)
{
	char pid[32] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);
	size_t digits;

	pid[n > 0 ? n : 0] = '\0';
	digits = strspn(pid, "0123456789");
	report->is_ending = strcmp(pid + digits, ENDING) == 0;
	pid[digits] = '\0';
	snprintf(report->text, sizeof(report->text),
		 "this account is mounted already, by process %s",
		 pid[0] ? pid : "(unknown)");
}

/* It is for people: that it cannot be written is no error. */
static void say_holder(int fd, const char *end)
{
	char pid[32];
	int n = snprintf(pid, sizeof(pid), "%d%s", (int)getpid(), end);

	if (ftruncate(fd, 0) == 0)
		(void)!pwrite(fd, pid, (size_t)n, 0);
}

static int open_lock(const char *path)
{
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/*
 * Another process's lock can only be waited for by asking again, for a wait
 * in the kernel has no time limit.
 */
static int lock_dir(const char *dir, const char *name, int64_t until,
		    int *ret_fd, struct cache_report *report)
{
	char *path = path_join(dir, name);
	int r;

	if (!path)
		return -ENOMEM;
	*ret_fd = open_lock(path);
	free(path);
	if (*ret_fd < 0)
		return errno_of(errno);

	while ((r = try_lock(*ret_fd)) == -EBUSY && clock_now_ms() < until)
		(void)poll(NULL, 0, LOCK_POLL_MS);
	if (r == -EBUSY)
		report_holder(*ret_fd, report);
	if (r != 0)
		return r;

	say_holder(*ret_fd, "\n");
	return 0;
}

int home_lock(struct cache *c, unsigned wait_ms, struct cache_report *report)
{
	int64_t until = clock_now_ms() + wait_ms;
	int r = lock_dir(c->state_dir, LOCK_FILE, until, &c->lock_fd, report);

	if (r != 0)
		return r;
	r = lock_dir(c->cache_dir, BODIES_LOCK_FILE, until, &c->bodies_lock_fd,
		     report);
	/* One that nothing can be written to is no reason not to mount. */
	return r == -EBUSY ? r : 0;
}

static bool is_same(const struct stat *a, int fd)
{
	struct stat b;

	return fd >= 0 && fstat(fd, &b) == 0 && a->st_ino == b.st_ino &&
	       a->st_dev == b.st_dev;
}

/* The file that was locked has gone. */
static int lock_anew_locked(struct cache *c, const char *path)
	REQUIRES(c->bodies.lock)
{
	struct stat st;
	int fd = open_lock(path), r;

	if (fd < 0 && errno == ENOENT && home_make_dirs(c->cache_dir) == 0)
		fd = open_lock(path);
	/* What comes next fails, too, and says why. */
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) == 0 && is_same(&st, c->bodies_lock_fd)) {
		close(fd);
		return 0; /* another thread was here */
	}
	/* Ours is of no use any more, and must not be in our own way. */
	if (c->bodies_lock_fd >= 0)
		close(c->bodies_lock_fd);
	c->bodies_lock_fd = fd;
	r = try_lock(fd);
	if (r == 0)
		say_holder(fd, "\n");
	if (r != -EBUSY)
		return 0;
	close(fd);
	c->bodies_lock_fd = -1;
	return -EIO;
}

int home_keep_lock(struct cache *c)
{
	char *path = path_join(c->cache_dir, BODIES_LOCK_FILE);
	struct stat st;
	bool is_there;
	int r = 0;

	if (!path)
		return -ENOMEM;
	is_there = lstat(path, &st) == 0;
	lock_take(&c->bodies.lock);
	if (!is_there || !is_same(&st, c->bodies_lock_fd))
		r = lock_anew_locked(c, path);
	lock_drop(&c->bodies.lock);
	free(path);
	if (r != 0)
		log_error("cache: '%s' was deleted, and another mount has it "
			  "now",
			  c->cache_dir);
	return r;
}

void cache_say_ending(struct cache *c)
{
	say_holder(c->lock_fd, ENDING);
	lock_take(&c->bodies.lock);
	if (c->bodies_lock_fd >= 0)
		say_holder(c->bodies_lock_fd, ENDING);
	lock_drop(&c->bodies.lock);
}
