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

/*
 * The two folders of an account and the lock that one mount holds on them.
 * The lock is one of an open file description: it goes when the last process
 * that inherited the descriptor has closed it, also after a kill.
 */

#define LOCK_FILE "lock"
#define LOCK_POLL_MS 50

char *path_join(const char *dir, const char *name)
{
	size_t n = strlen(dir) + strlen(name) + 2;
	char *path = malloc(n);

	if (path)
		snprintf(path, n, "%s/%s", dir, name);
	return path;
}

int home_errno(int error)
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
		return home_errno(errno);
	return 0;
}

int home_make(const char *dir, struct cache_report *report)
{
	struct stat st;
	int r = home_make_dirs(dir);

	if (r == 0 && stat(dir, &st) != 0)
		r = home_errno(errno);
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
		return home_errno(errno);
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

/*
 * Another process's lock can only be waited for by asking again, for a wait
 * in the kernel has no time limit.
 */
int home_lock(struct cache *c, unsigned wait_ms, struct cache_report *report)
{
	int64_t until = clock_now_ms() + wait_ms;
	char *path = path_join(c->state_dir, LOCK_FILE);
	int r;

	if (!path)
		return -ENOMEM;
	c->lock_fd =
		open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	free(path);
	if (c->lock_fd < 0)
		return home_errno(errno);

	while ((r = try_lock(c->lock_fd)) == -EBUSY && clock_now_ms() < until)
		(void)poll(NULL, 0, LOCK_POLL_MS);
	if (r == -EBUSY)
		report_holder(c->lock_fd, report);
	if (r != 0)
		return r;

	say_holder(c->lock_fd, "\n");
	return 0;
}

void cache_say_ending(struct cache *c)
{
	say_holder(c->lock_fd, ENDING);
}
