/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/connection.h"
#include "fs/entrance.h"
#include "fs/inherited.h"
#include "fs/writers.h"

/*
 * The helper's side. Its main thread reads orders and hands them to the
 * workers; at end of file it unmounts and exits, whatever a worker is stuck
 * in: their calls end with ENOTCONN once the connection is aborted. Everything
 * here runs in a process of its own: plain mutexes, no log, nothing of the
 * engine.
 *
 * The workers go into the mount by the entrance, if there is one, else by its
 * path. The main thread hears of every change of what is mounted, and gives the
 * entrance up when the mount is gone.
 */

struct work {
	struct work *next;
	struct helper_order order;
};

struct worker {
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	struct work *head, **tail;
};

struct mount_point {
	char path[PATH_MAX];
	char device[CONNECTION_DEVICE];
};

static int sock = -1;
static int orphaned_fd = -1; /* readable once the program is dying */

/* The main thread's; the path is fixed before the entrance is there. */
static struct mount_point mounted;
static int mounts_fd = -1;              /* tells of changes by POLLPRI */
static _Atomic int entrance = AT_FDCWD; /* that: there is none */

size_t helper_order_size(const struct helper_order *o)
{
	size_t n = strlen(o->path) + 1;

	if (o->op == HELPER_RENAME)
		n += strlen(o->path + n) + 1;
	return offsetof(struct helper_order, path) + n;
}

size_t helper_answer_size(const struct helper_answer *a)
{
	return offsetof(struct helper_answer, name) + strlen(a->name) + 1;
}

static void say(const struct helper_answer *a)
{
	ssize_t n;

	do
		n = send(sock, a, helper_answer_size(a), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	/* A program that is gone needs no answer. */
}

static void tell(uint64_t ticket, int error)
{
	struct helper_answer a = {.ticket = ticket, .error = error};

	say(&a);
}

static void tell_closed(uint32_t lane, const char *name)
{
	struct helper_answer a = {.ticket = HELPER_CLOSED, .lane = lane};

	snprintf(a.name, sizeof(a.name), "%s", name);
	say(&a);
}

/* What an order names, for the calls that take a directory's descriptor. */
static const char *find(int dir, const char *path)
{
	if (dir == AT_FDCWD)
		return path;
	path += strlen(mounted.path);
	path += *path == '/';
	return *path ? path : ".";
}

static int open_once(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

/* 0, or -1 with errno. */
static int replay(const struct helper_order *o, int dir, const char *path)
{
	switch (o->op) {
	case HELPER_MKNOD:
		return mknodat(dir, path, S_IFREG | 0600, 0);
	case HELPER_UNLINK:
		return unlinkat(dir, path, 0);
	case HELPER_UTIMES:
		return utimensat(dir, path, NULL, AT_SYMLINK_NOFOLLOW);
	case HELPER_MKDIR:
		return mkdirat(dir, path, 0700);
	case HELPER_RMDIR:
		return unlinkat(dir, path, AT_REMOVEDIR);
	case HELPER_RENAME:
		return renameat(dir, path, dir,
				find(dir, o->path + strlen(o->path) + 1));
	case HELPER_OPEN:
		return open_once(dir, path);
	default:
		errno = EINVAL;
		return -1;
	}
}

static int perform(const struct helper_order *o)
{
	int dir = entrance;
	const char *path = find(dir, o->path);

	switch (o->op) {
	case HELPER_WATCH:
		return writers_watch(dir, path, o->lane);
	case HELPER_UNWATCH:
		return writers_unwatch(o->lane);
	case HELPER_LEASE:
		return writers_left(dir, path);
	default:
		return replay(o, dir, path) == 0 ? 0 : errno;
	}
}

static void *worker_thread(void *arg)
{
	struct worker *w = arg;
	struct work *todo;

	tell(HELPER_HELLO, (int)syscall(SYS_gettid));
	for (;;) {
		pthread_mutex_lock(&w->mutex);
		while (!w->head)
			pthread_cond_wait(&w->cond, &w->mutex);
		todo = w->head;
		w->head = todo->next;
		if (!w->head)
			w->tail = &w->head;
		pthread_mutex_unlock(&w->mutex);

		tell(todo->order.ticket, perform(&todo->order));
		free(todo);
	}
	return NULL;
}

/* Which thread: watches and leases have their own. */
static unsigned thread_of(const struct helper_order *o)
{
	if (o->op == HELPER_WATCH || o->op == HELPER_UNWATCH)
		return HELPER_WORKERS;
	if (o->op == HELPER_LEASE)
		return HELPER_WORKERS + 1;
	return o->lane % HELPER_WORKERS;
}

static void hand_out(struct worker *workers, const struct helper_order *o,
		     size_t n)
{
	struct worker *w = &workers[thread_of(o)];
	struct work *todo = calloc(1, sizeof(*todo));

	if (!todo) {
		tell(o->ticket, ENOMEM);
		return;
	}
	memcpy(&todo->order, o, n);
	pthread_mutex_lock(&w->mutex);
	*w->tail = todo;
	w->tail = &todo->next;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->mutex);
}

/* --- the mount --- */

/*
 * Order matters: from the moment that mountinfo is open no change is missed,
 * and while there is an entrance no other mount gets the number of ours.
 */
static void enter(const struct helper_order *o)
{
	int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);

	memcpy(mounted.path, o->path, sizeof(mounted.path));
	connection_device(mounted.path, mounted.device);
	if (fd < 0 || !mounted.device[0])
		return;
	mounts_fd = fd;
	fd = entrance_open(mounted.path);
	if (fd >= 0)
		entrance = fd;
}

/*
 * It was unmounted: the file system may end, and what is at the path now is not
 * ours to touch. A worker may be inside, or on its way: what the number stands
 * for changes at once, and stays for ever something that has no files in it.
 */
static void leave_if_unmounted(void)
{
	if (connection_is_mounted(mounted.device))
		return;
	if (entrance == AT_FDCWD)
		entrance = STDIN_FILENO;
	else
		(void)dup3(STDIN_FILENO, entrance, O_CLOEXEC);
	close(mounts_fd);
	mounts_fd = -1;
}

/* Wait until something comes. False: the program is dead or dying. */
static bool wait_for_order(void)
{
	ssize_t n;

	for (;;) {
		struct pollfd p[3] = {{.fd = sock, .events = POLLIN},
				      {.fd = orphaned_fd, .events = POLLIN},
				      {.fd = mounts_fd, .events = POLLPRI}};

		n = poll(p, 3, -1);
		if (n < 0 && errno != EINTR)
			return false;
		if (n < 0)
			continue;
		if (p[2].revents)
			leave_if_unmounted();
		if (p[0].revents || p[1].revents)
			return p[0].revents != 0;
	}
}

static bool next_order(struct helper_order *o, size_t *ret_n)
{
	ssize_t n;

	if (!wait_for_order())
		return false;
	/* Two NULs are behind whatever comes. */
	memset(o, 0, sizeof(*o));
	n = recv(sock, o, sizeof(*o) - 2, MSG_DONTWAIT);
	if (n <= (ssize_t)offsetof(struct helper_order, path))
		return false;
	*ret_n = (size_t)n;
	return true;
}

static void start_workers(struct worker *workers)
{
	for (unsigned i = 0; i < HELPER_THREADS; i++) {
		workers[i].tail = &workers[i].head;
		pthread_mutex_init(&workers[i].mutex, NULL);
		pthread_cond_init(&workers[i].cond, NULL);
		if (pthread_create(&workers[i].thread, NULL, worker_thread,
				   &workers[i]) != 0)
			_exit(1);
	}
}

static void helper_run(void)
{
	static struct worker workers[HELPER_THREADS];
	static struct helper_order o;
	size_t n;

	start_workers(workers);
	writers_start(tell_closed);
	while (next_order(&o, &n)) {
		if (o.op == HELPER_GOODBYE)
			_exit(0);
		if (o.op == HELPER_MOUNTED) {
			enter(&o);
			tell(o.ticket, mounted.device[0] ? 0 : ENOENT);
			continue;
		}
		hand_out(workers, &o, n);
	}
	connection_end(mounted.path, mounted.device);
	_exit(0);
}

/* Whoever reads what the program prints must see its end. */
static void leave_terminal(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		_exit(1);
	for (int i = 0; i <= 2; i++)
		(void)dup2(fd, i);
	if (fd > 2)
		close(fd);
}

/*
 * The end of the socket comes only when the last thread of the program is gone;
 * the death of its first thread is told at once (prctl(2)). By a descriptor,
 * for a handler could run in a worker, or just before the wait.
 */
static void watch_parent(pid_t parent)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	orphaned_fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (orphaned_fd < 0)
		_exit(1);
	(void)prctl(PR_SET_PDEATHSIG, SIGUSR1);
	if (getppid() != parent)
		(void)raise(SIGUSR1);
}

int helper_start(int close_fd, int *ret_fd, pid_t *ret_pid)
{
	int pair[2];
	pid_t pid, parent;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -errno;

	parent = getpid();
	pid = fork();
	if (pid < 0) {
		int r = -errno;

		close(pair[0]);
		close(pair[1]);
		return r;
	}
	if (pid == 0) {
		/* Signals of the terminal are for the program. */
		(void)setsid();
		(void)prctl(PR_SET_NAME, "imapfs-helper");
		(void)signal(SIGINT, SIG_IGN);
		(void)signal(SIGTERM, SIG_IGN);
		(void)signal(SIGHUP, SIG_IGN);
		(void)signal(SIGPIPE, SIG_IGN);
		(void)signal(SIGIO, SIG_IGN); /* a lease is broken */
		watch_parent(parent);
		if (chdir("/") != 0)
			_exit(1);
		leave_terminal();
		inherited_close();
		close(pair[0]);
		if (close_fd >= 0)
			close(close_fd);
		sock = pair[1];
		helper_run();
	}

	close(pair[1]);
	if (fcntl(pair[0], F_SETFL, O_NONBLOCK) != 0) {
		int r = -errno;

		close(pair[0]);
		return r;
	}
	*ret_fd = pair[0];
	*ret_pid = pid;
	return 0;
}
