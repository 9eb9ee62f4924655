/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "script.h"
#include "packed.h"

#include <arpa/inet.h>
#include <errno.h>
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

#include "imap/lock.h"
#include "imap/secret.h"

/*
 * One thread accepts, one more per connection plays its script. Waiting is
 * done by poll(2) on the socket and an eventfd that means stop, so nothing
 * sleeps and nothing can hang longer than the test.
 */

#define LINE_SIZE 65536
#define CLIENTS_MAX 16

struct server {
	int listener;
	int stop;
	uint16_t port;
	const script *scripts;
	pthread_t thread;
	pthread_mutex_t mutex;
	unsigned accepted;
	char failure[512];
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

static bool readable(struct server *s, int fd)
{
	struct pollfd p[2] = {{.fd = fd, .events = POLLIN},
			      {.fd = s->stop, .events = POLLIN}};

	while (poll(p, 2, -1) < 0 && errno == EINTR)
		;
	return p[1].revents == 0;
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

/* The next line, without CRLF; false: the client is gone, or we stop. */
static bool read_line(struct player *p, char *line)
{
	for (;;) {
		char *end = memchr(p->in, '\n', p->n);
		ssize_t got;

		if (end) {
			size_t n = (size_t)(end - p->in);

			memcpy(line, p->in, n);
			line[n > 0 && line[n - 1] == '\r' ? n - 1 : n] = '\0';
			p->n -= n + 1;
			memmove(p->in, end + 1, p->n);
			return true;
		}
		if (p->n == sizeof(p->in) || !readable(p->server, p->fd))
			return false;
		got = receive(p, p->in + p->n, sizeof(p->in) - p->n);
		if (got <= 0)
			return false;
		p->n += (size_t)got;
	}
}

/* Wait as a slow link does, or until the test stops. */
static void delay(const struct player *p)
{
	struct pollfd stop = {.fd = p->server->stop, .events = POLLIN};

	if (p->delay_ms > 0)
		(void)poll(&stop, 1, p->delay_ms);
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
	delay(p);
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

/* One step; false: the play is over. */
static bool play_step(struct player *p, const char *step)
{
	static _Thread_local char line[LINE_SIZE];

	switch (step[0]) {
	case 'P':
	case 'L':
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
		(void)sscanf(line, "%31s", p->tag);
		if (!strstr(line, step + 3))
			note_failure(p->server, step + 3, line);
		return true;
	case 'X':
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

		if (fd < 0)
			continue;
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
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(at);

	assert_non_null(s);
	s->scripts = scripts;
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	s->stop = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&at, n), 0);
	assert_int_equal(listen(s->listener, 16), 0);
	assert_int_equal(getsockname(s->listener, (struct sockaddr *)&at, &n),
			 0);
	s->port = ntohs(at.sin_port);
	pthread_mutex_init(&s->mutex, NULL);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
	return s;
}

uint16_t server_port(const struct server *s)
{
	return s->port;
}

unsigned server_connections(struct server *s)
{
	unsigned n;

	pthread_mutex_lock(&s->mutex);
	n = s->accepted;
	pthread_mutex_unlock(&s->mutex);
	return n;
}

void server_stop(struct server *s)
{
	char failure[sizeof(s->failure)];

	assert_int_equal(eventfd_write(s->stop, 1), 0);
	pthread_join(s->thread, NULL);
	close(s->listener);
	close(s->stop);
	pthread_mutex_destroy(&s->mutex);
	memcpy(failure, s->failure, sizeof(failure));
	free(s);
	if (failure[0])
		fail_msg("the script was not followed: %s", failure);
}

/* --- what jobs do --- */

static pthread_mutex_t seen_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t seen_cond = PTHREAD_COND_INITIALIZER;
static unsigned online;
static unsigned offline;

static int on_opened(void *ctx, const struct imap_mailbox *box)
{
	struct seen *s = ctx;

	pthread_mutex_lock(&seen_mutex);
	s->opened++;
	s->box = *box;
	pthread_cond_broadcast(&seen_cond);
	pthread_mutex_unlock(&seen_mutex);
	return s->opened_returns;
}

static int on_rows(void *ctx, const struct mail_row *rows, size_t n)
{
	struct seen *s = ctx;

	pthread_mutex_lock(&seen_mutex);
	for (size_t i = 0; i < n && s->n < SEEN_MAX; i++) {
		s->uid[s->n] = rows[i].uid;
		s->has[s->n] = rows[i].has;
		s->size[s->n++] = rows[i].size;
	}
	s->begun++;
	pthread_cond_broadcast(&seen_cond);
	pthread_mutex_unlock(&seen_mutex);
	return 0;
}

static void finish(struct seen *s, int result, const struct imap_error *why)
{
	pthread_mutex_lock(&seen_mutex);
	s->result = result;
	if (why)
		s->why = *why;
	s->done = true;
	pthread_cond_broadcast(&seen_cond);
	pthread_mutex_unlock(&seen_mutex);
}

static void on_done(void *ctx, int result, const struct imap_error *why)
{
	finish(ctx, result, why);
}

static int on_begin(void *ctx, uint32_t uid, uint64_t offset, uint64_t size)
{
	struct seen *s = ctx;

	(void)uid;
	(void)offset;
	(void)size;
	pthread_mutex_lock(&seen_mutex);
	s->begun++;
	s->n_body = 0;
	pthread_cond_broadcast(&seen_cond);
	pthread_mutex_unlock(&seen_mutex);
	return 0;
}

static int on_data(void *ctx, uint32_t uid, const void *bytes, size_t n)
{
	struct seen *s = ctx;

	(void)uid;
	pthread_mutex_lock(&seen_mutex);
	if (s->n_body + n < sizeof(s->body)) {
		memcpy(s->body + s->n_body, bytes, n);
		s->n_body += n;
		s->body[s->n_body] = '\0';
	}
	pthread_mutex_unlock(&seen_mutex);
	return 0;
}

static void on_end(void *ctx, uint32_t uid, int result)
{
	struct seen *s = ctx;

	pthread_mutex_lock(&seen_mutex);
	s->ended++;
	if (result < 0)
		s->end_result = result;
	else if (s->n < SEEN_MAX)
		s->uid[s->n++] = uid;
	pthread_mutex_unlock(&seen_mutex);
}

static void on_folders(void *ctx, int result, const struct mail_folder *folders,
		       size_t n)
{
	static char names[16][64];
	struct seen *s = ctx;

	pthread_mutex_lock(&seen_mutex);
	for (size_t i = 0; i < n && i < 16; i++) {
		s->folder[i] = folders[i];
		(void)snprintf(names[i], sizeof(names[i]), "%s",
			       folders[i].wire);
		s->folder[i].wire = names[i];
		s->n_folders++;
	}
	pthread_mutex_unlock(&seen_mutex);
	finish(s, result, NULL);
}

const struct imap_list_ops seen_list_ops = {on_opened, on_rows, on_done};
const struct imap_body_ops seen_body_ops = {on_begin, on_data, on_end, on_done};
const struct imap_folders_ops seen_folders_ops = {on_folders};

static void wait_for(struct seen *s, bool begun)
{
	struct timespec at;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += 20;
	pthread_mutex_lock(&seen_mutex);
	while (!s->done && !(begun && s->begun + s->opened > 0) && r == 0)
		r = pthread_cond_timedwait(&seen_cond, &seen_mutex, &at);
	pthread_mutex_unlock(&seen_mutex);
	if (r != 0)
		fail_msg("the job does not end");
}

void seen_wait(struct seen *s)
{
	wait_for(s, false);
}

void seen_wait_begun(struct seen *s)
{
	wait_for(s, true);
}

/* --- the account --- */

static struct secret *password;

static void on_online(void *ctx)
{
	(void)ctx;
	pthread_mutex_lock(&seen_mutex);
	online++;
	pthread_mutex_unlock(&seen_mutex);
}

static void on_offline(void *ctx, const struct imap_error *why)
{
	(void)ctx;
	(void)why;
	pthread_mutex_lock(&seen_mutex);
	offline++;
	pthread_mutex_unlock(&seen_mutex);
}

unsigned account_online(void)
{
	unsigned n;

	pthread_mutex_lock(&seen_mutex);
	n = online;
	pthread_mutex_unlock(&seen_mutex);
	return n;
}

unsigned account_offline(void)
{
	unsigned n;

	pthread_mutex_lock(&seen_mutex);
	n = offline;
	pthread_mutex_unlock(&seen_mutex);
	return n;
}

struct imap *account_new(struct server *s, const struct account_options *o)
{
	static const struct imap_events events = {on_online, on_offline};
	struct imap_config cfg = {
		.host = "127.0.0.1",
		.port = server_port(s),
		.tls = o->tls,
		.user = "u",
		.version = "1",
		.connections = o->connections ? o->connections : 1,
		.timeout_ms = o->timeout_ms ? o->timeout_ms : 10000,
		.connect_timeout_ms = 5000,
	};
	struct imap_error why;
	struct imap *im;

	online = 0;
	offline = 0;
	assert_int_equal(secret_new(SECRET_PASSWORD, "p w", 3, &password), 0);
	cfg.secret = password;
	assert_int_equal(imap_new(&cfg, &events, NULL, &im, &why), 0);
	return im;
}

void account_free(struct imap *im)
{
	imap_free(im);
	secret_free(password);
	password = NULL;
}

struct imap *account_connected(struct server *s, unsigned connections)
{
	const struct account_options o = {.connections = connections,
					  .tls = IMAP_TLS_NONE};
	struct imap *im = account_new(s, &o);
	struct imap_error why;

	if (imap_connect(im, &why) < 0)
		fail_msg("%s", why.text);
	return im;
}
