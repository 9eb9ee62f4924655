/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "script.h"
#include "../scratch.h"
#include "packed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/*
 * One thread accepts, one more per connection plays its script. Waiting is
 * done by poll(2) on the socket and an eventfd that means stop, so nothing
 * sleeps and nothing can hang longer than the test.
 */

#define LINE_SIZE 65536
#define CLIENTS_MAX 32

struct server {
	int listener;
	int stop;
	int go;     /* a semaphore: how many `W:` may go on */
	int go_too; /* ... `V:` */
	int mark;   /* likewise: how many `M:` were reached */
	uint16_t port;
	char host[16];
	const script *scripts;
	pthread_t thread;
	pthread_mutex_t mutex;
	unsigned accepted;
	char failure[SERVER_WHY];
};

struct player {
	struct server *server;
	int fd;
	script steps;
	char in[LINE_SIZE];
	size_t n;
	char tag[32];
	char held[1024]; /* of P: */
	size_t held_n;
	int delay_ms;          /* of L: */
	struct packed *packed; /* NULL: in clear */
	pthread_t thread;
};

static void note_failure(struct server *s, const char *want, const char *got)
{
	pthread_mutex_lock(&s->mutex);
	if (!s->failure[0])
		(void)snprintf(s->failure, sizeof(s->failure),
			       "wanted '%.200s', got '%.200s'", want, got);
	pthread_mutex_unlock(&s->mutex);
}

/* What is there already is read, even if the test is over. */
static bool readable(struct server *s, int fd)
{
	struct pollfd p[2] = {{.fd = fd, .events = POLLIN},
			      {.fd = s->stop, .events = POLLIN}};

	while (poll(p, 2, -1) < 0 && errno == EINTR)
		;
	return p[0].revents != 0 || p[1].revents == 0;
}

static ssize_t receive(struct player *p, char *buf, size_t size)
{
	char raw[4096];
	ssize_t n;

	if (!p->packed)
		return recv(p->fd, buf, size, 0);
	n = recv(p->fd, raw, sizeof(raw), 0);
	return n <= 0 ? n
		      : (ssize_t)packed_unpack(p->packed, raw, (size_t)n, buf,
					       size);
}

/* More bytes of the client; false: it is gone, or we stop. */
static bool read_more(struct player *p)
{
	ssize_t got;

	if (p->n == sizeof(p->in) || !readable(p->server, p->fd))
		return false;
	got = receive(p, p->in + p->n, sizeof(p->in) - p->n);
	if (got <= 0)
		return false;
	p->n += (size_t)got;
	return true;
}

/* The next line, without CRLF; false: the client is gone, or we stop. */
static bool read_line(struct player *p, char *line)
{
	for (;;) {
		char *end = memchr(p->in, '\n', p->n);

		if (end) {
			size_t n = (size_t)(end - p->in);

			memcpy(line, p->in, n);
			line[n > 0 && line[n - 1] == '\r' ? n - 1 : n] = '\0';
			p->n -= n + 1;
			memmove(p->in, end + 1, p->n);
			return true;
		}
		if (!read_more(p))
			return false;
	}
}

/* The next `n` bytes must be these; NULL: whatever they are. */
static bool read_bytes(struct player *p, const char *text, size_t n)
{
	while (n > 0) {
		size_t take;

		if (p->n == 0 && !read_more(p)) {
			note_failure(p->server, text ? text : "bytes",
				     "(the end)");
			return false;
		}
		take = p->n < n ? p->n : n;
		if (text && memcmp(text, p->in, take) != 0)
			note_failure(p->server, text, "other bytes");
		text = text ? text + take : NULL;
		n -= take;
		p->n -= take;
		memmove(p->in, p->in + take, p->n);
	}
	return true;
}

/* Wait as a slow server or link does, or until the test stops. */
static void delay(const struct player *p, int ms)
{
	struct pollfd stop = {.fd = p->server->stop, .events = POLLIN};

	if (ms > 0)
		(void)poll(&stop, 1, ms);
}

/* What was held back first; packed, if that was agreed to. */
static void send_bytes(struct player *p, const char *bytes, size_t n, bool half)
{
	static _Thread_local char out[2 * LINE_SIZE];

	memcpy(out, p->held, p->held_n);
	if (p->packed)
		n = packed_pack(p->packed, bytes, n, out + p->held_n,
				sizeof(out) - p->held_n);
	else
		memcpy(out + p->held_n, bytes, n);
	delay(p, p->delay_ms);
	(void)!send(p->fd, out, p->held_n + (half ? n / 2 : n), MSG_NOSIGNAL);
	p->held_n = 0;
}

static void send_bomb(struct player *p, long mib)
{
	static char piece[1 << 20];

	memset(piece, 'x', sizeof(piece));
	while (mib-- > 0)
		send_bytes(p, piece, sizeof(piece), false);
}

static size_t make_text(const struct player *p, const char *text, bool line,
			char *out, size_t size)
{
	const char *at = strstr(text, "$T");
	int n;

	if (at)
		n = snprintf(out, size, "%.*s%s%s%s", (int)(at - text), text,
			     p->tag, at + 2, line ? "\r\n" : "");
	else
		n = snprintf(out, size, "%s%s", text, line ? "\r\n" : "");
	return (size_t)n;
}

static void send_text(struct player *p, const char *text, bool line)
{
	char out[LINE_SIZE];

	send_bytes(p, out, make_text(p, text, line, out, sizeof(out)), false);
}

/* Steps about how bytes travel; false: the play is over. */
static bool play_link_step(struct player *p, const char *step)
{
	switch (step[0]) {
	case 'P':
		p->held_n =
			make_text(p, step + 3, true, p->held, sizeof(p->held));
		return true;
	case 'L':
		p->delay_ms = (int)strtol(step + 3, NULL, 10);
		return true;
	case 'Y':
		delay(p, (int)strtol(step + 3, NULL, 10));
		return true;
	case 'Z':
		p->packed = packed_new();
		return true;
	case 'B':
		send_bomb(p, strtol(step + 3, NULL, 10));
		return true;
	default:
		send_bytes(p, step + 3, strlen(step + 3), true);
		return false;
	}
}

/* Say it until the client goes or we stop, fifty times a second. */
static void chatter(struct player *p, const char *text)
{
	struct pollfd fd[2] = {{.fd = p->fd, .events = POLLRDHUP},
			       {.fd = p->server->stop, .events = POLLIN}};

	while (poll(fd, 2, 20) == 0)
		send_text(p, text, true);
}

static bool wait_for_go(struct player *p, int go)
{
	eventfd_t one;

	return readable(p->server, go) && eventfd_read(go, &one) == 0;
}

static void expect_nothing(struct player *p, char *line)
{
	while (read_line(p, line)) {
		if (!strstr(line, "LOGOUT"))
			note_failure(p->server, "(nothing)", line);
	}
}

/* One step; false: the play is over. */
static bool play_step(struct player *p, const char *step)
{
	static _Thread_local char line[LINE_SIZE];

	switch (step[0]) {
	case 'P':
	case 'L':
	case 'Y':
	case 'Z':
	case 'B':
	case 'K':
		return play_link_step(p, step);
	case 'S':
		send_text(p, step + 3, true);
		return true;
	case 'R':
		send_text(p, step + 3, false);
		return true;
	case 'C':
		if (!read_line(p, line)) {
			note_failure(p->server, step + 3, "(the end)");
			return false;
		}
		if (strcmp(line, "DONE") != 0) /* it belongs to IDLE's tag */
			(void)sscanf(line, "%31s", p->tag);
		if (!strstr(line, step + 3))
			note_failure(p->server, step + 3, line);
		return true;
	case 'T':
		return read_bytes(p, step + 3, strlen(step + 3));
	case 'E':
		return read_bytes(p, NULL, strtoul(step + 3, NULL, 10));
	case 'X':
		return false;
	case 'D':
		chatter(p, step + 3);
		return false;
	case 'W':
		return wait_for_go(p, p->server->go);
	case 'V':
		return wait_for_go(p, p->server->go_too);
	case 'M':
		return eventfd_write(p->server->mark, 1) == 0;
	case 'N':
		expect_nothing(p, line);
		return false;
	default:
		while (read_line(p, line))
			;
		return false;
	}
}

static void *play(void *arg)
{
	struct player *p = arg;
	script step = p->steps;

	while (*step && play_step(p, *step))
		step++;
	if (!*step)
		(void)play_step(p, "H:");
	shutdown(p->fd, SHUT_RDWR);
	close(p->fd);
	packed_free(p->packed);
	return NULL;
}

static void *serve(void *arg)
{
	struct server *s = arg;
	struct player *players[CLIENTS_MAX] = {0};
	script *next = (script *)s->scripts;
	unsigned n = 0;

	while (readable(s, s->listener)) {
		int fd = accept(s->listener, NULL, NULL);
		int on = 1;

		if (fd < 0)
			continue;
		/* Or each line of an answer waits for the one before it. */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		pthread_mutex_lock(&s->mutex);
		s->accepted++;
		pthread_mutex_unlock(&s->mutex);
		if (!*next || n == CLIENTS_MAX) {
			close(fd);
			continue;
		}
		players[n] = calloc(1, sizeof(struct player));
		if (!players[n])
			abort();
		players[n]->server = s;
		players[n]->fd = fd;
		players[n]->steps = *next++;
		if (pthread_create(&players[n]->thread, NULL, play,
				   players[n]) != 0)
			abort();
		n++;
	}
	for (unsigned i = 0; i < n; i++) {
		pthread_join(players[i]->thread, NULL);
		free(players[i]);
	}
	return NULL;
}

struct server *server_start(const script *scripts)
{
	struct server *s = calloc(1, sizeof(*s));
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_addr = scratch_address()};
	socklen_t n = sizeof(at);
	int small = 65536;

	assert_non_null(s);
	s->scripts = scripts;
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* So that what is not read is not sent, either. */
	assert_int_equal(setsockopt(s->listener, SOL_SOCKET, SO_RCVBUF, &small,
				    sizeof(small)),
			 0);
	s->stop = eventfd(0, EFD_CLOEXEC);
	s->go = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	s->mark = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	s->go_too = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&at, n), 0);
	assert_int_equal(listen(s->listener, 16), 0);
	assert_int_equal(getsockname(s->listener, (struct sockaddr *)&at, &n),
			 0);
	s->port = ntohs(at.sin_port);
	assert_non_null(
		inet_ntop(AF_INET, &at.sin_addr, s->host, sizeof(s->host)));
	pthread_mutex_init(&s->mutex, NULL);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
	return s;
}

const char *server_address(const struct server *s, uint16_t *ret_port)
{
	*ret_port = s->port;
	return s->host;
}

unsigned server_connections(struct server *s)
{
	unsigned n;

	pthread_mutex_lock(&s->mutex);
	n = s->accepted;
	pthread_mutex_unlock(&s->mutex);
	return n;
}

void server_go(struct server *s)
{
	assert_int_equal(eventfd_write(s->go, 1), 0);
}

void server_go_too(struct server *s)
{
	assert_int_equal(eventfd_write(s->go_too, 1), 0);
}

void server_wait(struct server *s)
{
	struct pollfd fd = {.fd = s->mark, .events = POLLIN};
	eventfd_t one;

	if (poll(&fd, 1, PATIENCE_MS) != 1 || eventfd_read(s->mark, &one) != 0)
		fail_msg("the script does not get to its mark");
}

bool server_followed(struct server *s, char why[SERVER_WHY])
{
	const int fds[] = {s->listener, s->stop, s->go, s->mark, s->go_too};

	assert_int_equal(eventfd_write(s->stop, 1), 0);
	pthread_join(s->thread, NULL);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close(fds[i]);
	pthread_mutex_destroy(&s->mutex);
	memcpy(why, s->failure, SERVER_WHY);
	free(s);
	return !why[0];
}

void server_stop(struct server *s)
{
	char why[SERVER_WHY];

	if (!server_followed(s, why))
		fail_msg("the script was not followed: %s", why);
}
