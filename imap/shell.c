/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/shell.h"
#include "imap/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * One command, run and listened to. The end is the end of the shell itself,
 * not of its pipes: a password manager may leave an agent behind that keeps
 * them open. It stays in our process group, so that it may ask on the terminal
 * (gpg's pinentry does) and Ctrl-C ends it with us.
 *
 * stdout is read straight into the caller's memory, so that there is no other
 * copy to wipe.
 */

#define LINE_MAX_BYTES 160

struct run {
	pid_t pid;
	int pidfd;
	int out, err;
	char *buf;
	size_t size, n;
	bool overflow;
	char line[LINE_MAX_BYTES]; /* the last line of stderr so far */
	size_t n_line;
	bool line_ended;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int spawn(struct run *r, const char *command, int out, int err)
{
	static char shell[] = "sh", dash_c[] = "-c";
	char *argv[] = {shell, dash_c, (char *)command, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t set;
	int e;

	if (posix_spawn_file_actions_init(&files))
		return -ENOMEM;
	if (posix_spawnattr_init(&attr)) {
		posix_spawn_file_actions_destroy(&files);
		return -ENOMEM;
	}
	/* Signals as a program expects them, whatever this thread blocks. */
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attr, &set);
	sigaddset(&set, SIGPIPE);
	sigaddset(&set, SIGXFSZ);
	sigaddset(&set, SIGCHLD);
	posix_spawnattr_setsigdefault(&attr, &set);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	e = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY,
					     0);
	if (e == 0)
		e = posix_spawn_file_actions_adddup2(&files, out, 1);
	if (e == 0)
		e = posix_spawn_file_actions_adddup2(&files, err, 2);
	if (e == 0)
		e = posix_spawn_file_actions_addclosefrom_np(&files, 3);
	if (e == 0)
		e = posix_spawn(&r->pid, "/bin/sh", &files, &attr, argv,
				environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return -e;
}

static void note_stderr(struct run *r, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == '\n') {
			r->line_ended = true;
			continue;
		}
		if (r->line_ended) {
			r->line_ended = false;
			r->n_line = 0;
		}
		if (r->n_line < sizeof(r->line) - 1)
			r->line[r->n_line++] = bytes[i];
	}
}

/* Take what is there now from a pipe; closes it at its end. */
static void drain(struct run *r, int *fd)
{
	char text[512];
	bool is_out = fd == &r->out;
	ssize_t n;

	while (*fd >= 0) {
		if (is_out && r->n < r->size)
			n = read(*fd, r->buf + r->n, r->size - r->n);
		else
			n = read(*fd, text, sizeof(text));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0)
			close_fd(fd);
		else if (!is_out)
			note_stderr(r, text, (size_t)n);
		else if (r->n < r->size)
			r->n += (size_t)n;
		else
			r->overflow = true;
	}
	explicit_bzero(text, sizeof(text));
}

/* Until the shell has ended; false: the time was up. */
static bool listen_to(struct run *r, unsigned timeout_ms)
{
	int64_t deadline_ms = clock_now_ms() + timeout_ms;

	for (;;) {
		struct pollfd p[] = {
			{.fd = r->out, .events = POLLIN},
			{.fd = r->err, .events = POLLIN},
			{.fd = r->pidfd, .events = POLLIN},
		};
		int64_t left_ms = deadline_ms - clock_now_ms();

		if (left_ms <= 0)
			return false;
		if (poll(p, 3, (int)left_ms) < 0 && errno != EINTR)
			return false;
		/* Order matters: all was written before the end shows. */
		drain(r, &r->out);
		drain(r, &r->err);
		if (p[2].revents)
			return true;
	}
}

/*
 * The last line of stderr, fit for a message: printable ASCII only; nothing if
 * the password may be in it.
 */
static const char *last_words(struct run *r)
{
	size_t n_secret = r->n < r->size ? r->n : r->size;

	while (n_secret > 0 &&
	       (r->buf[n_secret - 1] == '\n' || r->buf[n_secret - 1] == '\r'))
		n_secret--;
	if (n_secret > 0 && memmem(r->line, r->n_line, r->buf, n_secret))
		r->n_line = 0;
	for (size_t i = 0; i < r->n_line; i++)
		if (r->line[i] < ' ' || r->line[i] > '~')
			r->line[i] = '?';
	r->line[r->n_line] = '\0';
	return r->line;
}

static int judge(struct run *r, bool in_time, char why[SHELL_WHY])
{
	const char *words = last_words(r);
	const char *colon = *words ? ": " : "";
	siginfo_t info = {0};

	if (!in_time)
		(void)kill(r->pid,
			   SIGKILL); /* not reaped yet: the pid is its */
	while (waitid(P_PID, (id_t)r->pid, &info, WEXITED) < 0)
		if (errno != EINTR)
			break;
	if (!in_time)
		snprintf(why, SHELL_WHY, "did not end in time%s%s", colon,
			 words);
	else if (info.si_code != CLD_EXITED)
		snprintf(why, SHELL_WHY, "was killed by signal %d%s%s",
			 info.si_status, colon, words);
	else if (info.si_status != 0)
		snprintf(why, SHELL_WHY, "ended with status %d%s%s",
			 info.si_status, colon, words);
	else if (r->overflow)
		snprintf(why, SHELL_WHY, "printed too much");
	else
		return 0;
	return -EACCES;
}

static int run(struct run *r, const char *command, unsigned timeout_ms,
	       char why[SHELL_WHY])
{
	int out[2] = {-1, -1}, err[2] = {-1, -1};
	int e = 0;

	/* Non-blocking for us only: the commands' ends are made blocking. */
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 ||
	    fcntl(out[0], F_SETFL, O_NONBLOCK) < 0 ||
	    fcntl(err[0], F_SETFL, O_NONBLOCK) < 0)
		e = -errno;
	r->out = out[0];
	r->err = err[0];
	if (e == 0)
		e = spawn(r, command, out[1], err[1]);
	close_fd(&out[1]);
	close_fd(&err[1]);
	if (e < 0) {
		snprintf(why, SHELL_WHY, "could not be started: %s",
			 strerrordesc_np(-e));
		return -EACCES;
	}
	r->pidfd = pidfd_open(r->pid, 0);
	return judge(r, r->pidfd >= 0 && listen_to(r, timeout_ms), why);
}

int shell_read(const char *command, unsigned timeout_ms, char *buf, size_t size,
	       size_t *ret_n, char why[SHELL_WHY])
{
	struct run r = {.out = -1, .err = -1, .pidfd = -1};
	int e;

	r.buf = buf;
	r.size = size;
	e = run(&r, command, timeout_ms, why);

	close_fd(&r.out);
	close_fd(&r.err);
	close_fd(&r.pidfd);
	explicit_bzero(r.line, sizeof(r.line));
	if (e == 0)
		*ret_n = r.n;
	return e;
}
