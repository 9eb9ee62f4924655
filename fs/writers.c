/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/writers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

/*
 * One inotify descriptor, a table of watches, a thread that reads events. The
 * table is the lock's; it is held while a watch is set, so that an event is
 * never read before its key is known.
 *
 * The lease is set and taken off at once: the kernel refuses it while there is
 * a writer, which is all that is asked for. A writer that opens just then sends
 * SIGIO, which the helper ignores.
 */

static struct {
	int fd; /* set before the thread is started */
	writers_closed_fn closed;

	pthread_mutex_t mutex; /* guards what follows */
	struct {
		int wd;
		uint32_t key;
	} v[WRITERS_WATCHES_MAX];
	size_t n;
} watches = {.fd = -1, .mutex = PTHREAD_MUTEX_INITIALIZER};

static bool find_key(int wd, uint32_t *ret)
{
	bool found = false;

	pthread_mutex_lock(&watches.mutex);
	for (size_t i = 0; i < watches.n && !found; i++) {
		found = watches.v[i].wd == wd;
		*ret = watches.v[i].key;
	}
	pthread_mutex_unlock(&watches.mutex);
	return found;
}

/* The kernel took the watch away: its directory is gone, or the mount. */
static void forget(int wd)
{
	pthread_mutex_lock(&watches.mutex);
	for (size_t i = 0; i < watches.n; i++) {
		if (watches.v[i].wd == wd)
			watches.v[i] = watches.v[--watches.n];
	}
	pthread_mutex_unlock(&watches.mutex);
}

static void hear(const struct inotify_event *e)
{
	uint32_t key;

	if (e->mask & IN_IGNORED)
		forget(e->wd);
	else if ((e->mask & IN_CLOSE_WRITE) && e->len > 0 &&
		 find_key(e->wd, &key))
		watches.closed(key, e->name);
	/* Events that were lost (IN_Q_OVERFLOW) are made up for by time. */
}

static void *listen_thread(void *arg)
{
	static _Alignas(struct inotify_event) char buf[16384];
	const struct inotify_event *e;
	ssize_t n;

	(void)arg;
	for (;;) {
		n = read(watches.fd, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return NULL;
		for (char *at = buf; at < buf + n; at += sizeof(*e) + e->len) {
			e = (const struct inotify_event *)at;
			hear(e);
		}
	}
}

void writers_start(writers_closed_fn closed)
{
	pthread_t thread;

	watches.closed = closed;
	watches.fd = inotify_init1(IN_CLOEXEC);
	if (watches.fd < 0)
		return;
	if (pthread_create(&thread, NULL, listen_thread, NULL) != 0) {
		close(watches.fd);
		watches.fd = -1;
	}
}

static int add_watch(const char *path, uint32_t key)
{
	int wd;

	if (watches.n == WRITERS_WATCHES_MAX)
		return ENOSPC;
	wd = inotify_add_watch(watches.fd, path, IN_CLOSE_WRITE | IN_ONLYDIR);
	if (wd < 0)
		return errno;
	for (size_t i = 0; i < watches.n; i++) {
		if (watches.v[i].wd == wd) {
			watches.v[i].key = key;
			return 0;
		}
	}
	watches.v[watches.n].wd = wd;
	watches.v[watches.n++].key = key;
	return 0;
}

int writers_watch(int dir, const char *path, uint32_t key)
{
	char full[PATH_MAX];
	int r;

	if (dir != AT_FDCWD) {
		r = snprintf(full, sizeof(full), "/proc/self/fd/%d/%s", dir,
			     path);
		if (r < 0 || (size_t)r >= sizeof(full))
			return ENAMETOOLONG;
		path = full;
	}
	pthread_mutex_lock(&watches.mutex);
	r = add_watch(path, key);
	pthread_mutex_unlock(&watches.mutex);
	return r;
}

int writers_unwatch(uint32_t key)
{
	int wd = -1;

	pthread_mutex_lock(&watches.mutex);
	for (size_t i = 0; i < watches.n && wd < 0; i++) {
		if (watches.v[i].key != key)
			continue;
		wd = watches.v[i].wd;
		watches.v[i] = watches.v[--watches.n];
	}
	pthread_mutex_unlock(&watches.mutex);
	if (wd < 0)
		return ENOENT;
	return inotify_rm_watch(watches.fd, wd) == 0 ? 0 : errno;
}

int writers_left(int dir, const char *path)
{
	int fd = openat(dir, path,
			O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return errno;
	if (fcntl(fd, F_SETLEASE, F_RDLCK) != 0)
		error = errno;
	else
		(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	close(fd);
	return error;
}
