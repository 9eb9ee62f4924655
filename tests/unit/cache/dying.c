/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dying.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "changed.h"

/*
 * Our own calls come here by --wrap, those of SQLite by its table of system
 * calls.
 */

struct progress *progress;

/* True: this step is the last one. */
static bool is_last(void)
{
	return atomic_fetch_sub(&progress->steps_left, 1) == 1;
}

static void die_if_last(void)
{
	if (is_last())
		(void)kill(getpid(), SIGKILL);
}

static bool ends_in(int fd, const char *name)
{
	char link[64], path[400];
	size_t len = strlen(name);
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	return n >= (ssize_t)len && memcmp(path + n - len, name, len) == 0;
}

static bool is_log(int fd)
{
	return ends_in(fd, "index.db-wal");
}

static ssize_t write_or_die(int fd, const void *buf, size_t n, off_t at)
{
	if (is_log(fd))
		progress->is_dirty = true;
	/* That a file has gone must not be forgotten before it has. */
	if (progress->is_loose && is_log(fd))
		_exit(10);
	if (is_last()) {
		/* Torn: half of it is there. */
		if (progress->tears)
			(void)!pwrite(fd, buf, n / 2, at);
		(void)kill(getpid(), SIGKILL);
	}
	return pwrite(fd, buf, n, at);
}

#define WRAP2(ret, name, type1, type2)                                         \
	ret __real_##name(type1 a, type2 b);                                   \
	ret __wrap_##name(type1 a, type2 b);                                   \
	ret __wrap_##name(type1 a, type2 b)                                    \
	{                                                                      \
		if (progress)                                                  \
			die_if_last();                                         \
		return __real_##name(a, b);                                    \
	}

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker wants these names. */
WRAP2(int, link, const char *, const char *)

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	if (progress)
		die_if_last();
	if (progress && ends_in(fd, "/spool"))
		progress->is_loose = false;
	return __real_fsync(fd);
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	if (progress)
		die_if_last();
	if (progress && is_log(fd))
		progress->is_dirty = false;
	return __real_fdatasync(fd);
}

/*
 * J6: a file goes only when the disk is known to have it that its record has
 * gone; a power loss after it would find a record without a file.
 */
static void check_order(const char *path)
{
	bool is_file = strstr(path, "/spool/0") && !strchr(path, '~');

	if (!progress)
		return;
	die_if_last();
	if (progress->is_dirty && is_file)
		_exit(9);
	progress->is_loose |= is_file;
}

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
	check_order(path);
	return __real_unlink(path);
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
	check_order(from);
	return __real_rename(from, to);
}
/* NOLINTEND(bugprone-reserved-identifier) */

void hook_sqlite(void)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	assert_non_null(vfs);
	assert_int_equal(vfs->xSetSystemCall(vfs, "pwrite",
					     (sqlite3_syscall_ptr)write_or_die),
			 SQLITE_OK);
	assert_int_equal(vfs->xSetSystemCall(vfs, "pwrite64",
					     (sqlite3_syscall_ptr)write_or_die),
			 SQLITE_OK);
}
