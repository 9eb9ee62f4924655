/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The helper's side. Its main thread reads orders and hands them to the
 * workers; at end of file it unmounts and exits, whatever a worker is stuck
 * in: their calls end with ENOTCONN once the connection is aborted. Everything
 * here runs in a process of its own: plain mutexes, no log, no other file of
 * ours.
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
	char device[32]; /* "major:minor" of the mount; "" if not mounted */
};

static int sock = -1;
static volatile sig_atomic_t orphaned;

static void on_orphaned(int signo)
{
	(void)signo;
	orphaned = 1;
}

size_t helper_order_size(const struct helper_order *o)
{
	return offsetof(struct helper_order, path) + strlen(o->path) + 1;
}

static void tell(uint64_t ticket, int error)
{
	struct helper_answer a = {ticket, error};
	ssize_t n;

	do
		n = send(sock, &a, sizeof(a), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	/* A program that is gone needs no answer. */
}

static int perform(const struct helper_order *o)
{
	int fd;

	switch (o->op) {
	case HELPER_MKNOD:
		return mknod(o->path, S_IFREG | 0600, 0) == 0 ? 0 : errno;
	case HELPER_UNLINK:
		return unlink(o->path) == 0 ? 0 : errno;
	case HELPER_UTIMES:
		return utimensat(AT_FDCWD, o->path, NULL,
				 AT_SYMLINK_NOFOLLOW) == 0
			       ? 0
			       : errno;
	case HELPER_OPEN:
		fd = open(o->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			return errno;
		close(fd);
		return 0;
	default:
		return EINVAL;
	}
}

static void *worker_thread(void *arg)
{
	struct worker *w = arg;
	struct work *todo;

	tell(0, (int)syscall(SYS_gettid));
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

static void hand_out(struct worker *workers, const struct helper_order *o,
		     size_t n)
{
	struct worker *w = &workers[o->lane % HELPER_WORKERS];
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

/*
 * The device of what is mounted on `path` now, from mountinfo (proc(5)), which
 * can be read without touching the mount: the last line for the path wins.
 */
static void device_of(const char *path, char ret[32])
{
	char line[2 * PATH_MAX], dev[32], at[PATH_MAX];
	FILE *f = fopen("/proc/self/mountinfo", "re");

	ret[0] = '\0';
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		char *out = at;

		if (sscanf(line, "%*d %*d %31s %*s %4095s", dev, at) != 2)
			continue;
		/* Blanks and backslashes are written \ooo. */
		for (const char *in = at; *in; out++) {
			if (in[0] == '\\' && in[1] && in[2] && in[3]) {
				*out = (char)((in[1] - '0') * 64 +
					      (in[2] - '0') * 8 + in[3] - '0');
				in += 4;
			} else {
				*out = *in++;
			}
		}
		*out = '\0';
		if (strcmp(at, path) == 0)
			(void)snprintf(ret, sizeof(dev), "%s", dev);
	}
	fclose(f);
}

/*
 * End the kernel's side of the connection, as fusectl lets its owner do: what
 * still waits for the dead program gets ENOTCONN, also if one of its threads
 * cannot die before that.
 */
static void abort_connection(const char *device)
{
	const char *minor_number = strchr(device, ':');
	char path[64];
	int fd;

	if (!minor_number)
		return;
	(void)snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%s/abort",
		       minor_number + 1);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	/* Best effort: the unmount follows. */
	if (write(fd, "1", 1) < 0)
		(void)0;
	close(fd);
}

/* The program died: take its mount away, if it is still the same one. */
static void clean_up(const struct mount_point *m)
{
	char device[32];
	pid_t pid;

	if (!m->device[0])
		return;
	device_of(m->path, device);
	if (strcmp(device, m->device) != 0)
		return;
	abort_connection(m->device);
	if (umount2(m->path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return;

	pid = fork();
	if (pid == 0) {
		execlp("fusermount3", "fusermount3", "-u", "-z", "-q", "--",
		       m->path, (char *)NULL);
		_exit(127);
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
}

static void helper_run(void)
{
	static struct worker workers[HELPER_WORKERS];
	static struct helper_order o;
	static struct mount_point m;
	ssize_t n;

	for (unsigned i = 0; i < HELPER_WORKERS; i++) {
		workers[i].tail = &workers[i].head;
		pthread_mutex_init(&workers[i].mutex, NULL);
		pthread_cond_init(&workers[i].cond, NULL);
		if (pthread_create(&workers[i].thread, NULL, worker_thread,
				   &workers[i]) != 0)
			_exit(1);
	}
	while (!orphaned) {
		n = recv(sock, &o, sizeof(o), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= (ssize_t)offsetof(struct helper_order, path))
			break;
		o.path[sizeof(o.path) - 1] = '\0';
		if (o.op == HELPER_GOODBYE)
			_exit(0);
		if (o.op == HELPER_MOUNTED) {
			memcpy(m.path, o.path, sizeof(m.path));
			device_of(m.path, m.device);
			tell(o.ticket, m.device[0] ? 0 : ENOENT);
			continue;
		}
		hand_out(workers, &o, (size_t)n);
	}
	clean_up(&m);
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
 * the death of its first thread is told at once (prctl(2)).
 */
static void watch_parent(pid_t parent)
{
	struct sigaction sa = {.sa_handler = on_orphaned};

	(void)sigaction(SIGUSR1, &sa, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGUSR1);
	if (getppid() != parent)
		orphaned = 1;
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
		watch_parent(parent);
		if (chdir("/") != 0)
			_exit(1);
		leave_terminal();
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
