/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/*
 * The terminal must never be left without echo. While a question stands, the
 * signals that would end or stop the program are blocked but inside ppoll(2),
 * and only noted; then the terminal is restored, the signal takes the effect
 * it would have had, and after a stop the question is asked again.
 */

static const int watched[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
#define N_WATCHED (sizeof(watched) / sizeof(watched[0]))

static volatile sig_atomic_t caught;

struct prompt {
	int fd;
	struct termios before;
	struct sigaction actions[N_WATCHED];
	sigset_t mask; /* as it was, less the watched ones */
	sigset_t mask_before;
};

static void note_signal(int sig)
{
	caught = sig;
}

static void write_text(int fd, const char *s)
{
	size_t left = strlen(s);

	while (left > 0) {
		ssize_t n = write(fd, s, left);

		if (n < 0 && errno != EINTR)
			return; /* a terminal that is gone: the read will say */
		if (n > 0) {
			s += n;
			left -= (size_t)n;
		}
	}
}

static int begin(struct prompt *p)
{
	struct sigaction sa = {.sa_handler = note_signal};
	struct termios quiet;
	sigset_t set;

	if (tcgetattr(p->fd, &p->before) < 0)
		return -ENXIO;

	caught = 0;
	sigemptyset(&set);
	for (size_t i = 0; i < N_WATCHED; i++)
		sigaddset(&set, watched[i]);
	pthread_sigmask(SIG_BLOCK, &set, &p->mask_before);
	p->mask = p->mask_before;
	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < N_WATCHED; i++) {
		sigdelset(&p->mask, watched[i]);
		sigaction(watched[i], &sa, &p->actions[i]);
	}
	quiet = p->before;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK);
	quiet.c_lflag |= ICANON | ISIG | ECHONL;
	/* Stopped in the background by SIGTTOU until we may, as it should. */
	while (tcsetattr(p->fd, TCSAFLUSH, &quiet) < 0)
		if (errno != EINTR)
			break;
	return 0;
}

static void end(struct prompt *p)
{
	while (tcsetattr(p->fd, TCSAFLUSH, &p->before) < 0)
		if (errno != EINTR)
			break;
	for (size_t i = 0; i < N_WATCHED; i++)
		sigaction(watched[i], &p->actions[i], NULL);
	pthread_sigmask(SIG_SETMASK, &p->mask_before, NULL);
}

/* -EINTR: a signal was noted. */
static int read_line(struct prompt *p, char *buf, size_t size, size_t *ret_n)
{
	struct pollfd poll_fd = {.fd = p->fd, .events = POLLIN};
	bool is_long = false;
	size_t len = 0;
	ssize_t n;
	char c = 0;

	for (;;) {
		if (ppoll(&poll_fd, 1, NULL, &p->mask) < 0) {
			if (caught)
				return -EINTR;
			if (errno == EINTR)
				continue;
			return -ENXIO;
		}
		n = read(p->fd, &c, 1);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return -ENXIO;
		if (n == 0 && len == 0)
			return -EINTR;
		if (n == 0 || c == '\n')
			break;
		if (len < size)
			buf[len++] = c;
		else
			is_long = true;
	}
	explicit_bzero(&c, 1);
	*ret_n = len;
	return is_long ? -EFBIG : 0;
}

int prompt_read(const char *question, char *buf, size_t size, size_t *ret_n)
{
	struct prompt p;
	int r, sig;

	p.fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (p.fd < 0)
		return -ENXIO;
	do {
		r = begin(&p);
		if (r < 0)
			break;
		write_text(p.fd, question);
		r = read_line(&p, buf, size, ret_n);
		sig = caught;
		if (r == -EINTR)
			write_text(p.fd, "\n");
		end(&p);
		if (r == -EINTR && sig != 0 && sig != SIGINT)
			raise(sig);
	} while (r == -EINTR && sig == SIGTSTP);
	close(p.fd);
	return r;
}
