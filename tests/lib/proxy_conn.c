/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Connections of testproxy and their delay lines: read, stamp, keep, send
 * when due. Anything that goes wrong on one side ends both by RST, as a
 * broken line would.
 */
#include "proxy.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 32768
#define NS_PER_MS 1000000.0
/* What may stand before the wire, of all connections: a router's buffer. */
#define BACKLOG_NS 20000000LL

struct proxy px = {.cutdown = -1};

int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static size_t queue_limit(void)
{
	double flight = px.mbit > 0 ? px.mbit * 125.0 * px.rtt_ms : 4e6;

	return (size_t)flight + 262144;
}

void conn_end(struct conn *c, bool rst)
{
	struct linger hard = {.l_onoff = 1, .l_linger = 0};

	for (int side = 0; side < 2; side++) {
		if (c->fd[side] < 0)
			continue;
		if (rst)
			(void)setsockopt(c->fd[side], SOL_SOCKET, SO_LINGER,
					 &hard, sizeof(hard));
		close(c->fd[side]);
	}
	for (int d = 0; d < 2; d++) {
		while (c->line[d].head) {
			struct chunk *k = c->line[d].head;

			c->line[d].head = k->next;
			free(k);
		}
	}
	memset(c, 0, sizeof(*c));
}

void conn_accept(void)
{
	struct conn *c = NULL;
	int one = 1;
	int fd = accept4(px.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	for (int i = 0; i < MAX_CONNS && !c; i++)
		if (!px.conns[i].used)
			c = &px.conns[i];
	if (!c || px.refuse) {
		struct conn refused = {.fd = {fd, -1}};

		conn_end(&refused, true);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->used = true;
	c->fd[DOWN] = fd;
	c->fd[UP] = -1;
	c->connect_at = now_ns() + (int64_t)(px.rtt_ms * 1.5 * NS_PER_MS);
	c->line[DOWN].tail = &c->line[DOWN].head;
	c->line[UP].tail = &c->line[UP].head;
	c->cut_left = px.cutdown;
	c->last = UP;
	px.connections++;
}

void conn_connect(struct conn *c)
{
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	c->connect_at = 0;
	c->fd[UP] = fd;
	if (fd < 0) {
		conn_end(c, true);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&px.target, sizeof(px.target)) < 0 &&
	    errno != EINPROGRESS)
		conn_end(c, true);
}

/* Take what has come for direction `d` and stamp it with its due time. */
static void line_read(struct conn *c, enum direction d)
{
	struct line *l = &c->line[d];
	struct chunk *k = malloc(sizeof(*k) + CHUNK);
	int64_t t = now_ns();
	ssize_t n;

	if (!k) {
		conn_end(c, true);
		return;
	}
	n = recv(c->fd[!d], k->bytes, CHUNK, 0);
	if (n < 0) {
		free(k);
		if (errno != EAGAIN && errno != EINTR)
			conn_end(c, true);
		return;
	}
	if (px.wire_free[d] < t)
		px.wire_free[d] = t;
	if (px.mbit > 0)
		px.wire_free[d] += (int64_t)((double)n * 8000.0 / px.mbit);
	k->next = NULL;
	k->due = px.wire_free[d] + (int64_t)(px.rtt_ms * 0.5 * NS_PER_MS);
	k->len = (size_t)n;
	k->sent = 0;
	k->eof = l->eof_in = n == 0;
	*l->tail = k;
	l->tail = &k->next;
	l->queued += k->len;
	if (n > 0 && d == UP && c->last == DOWN)
		px.turns++;
	if (n > 0)
		c->last = d;
}

/*
 * Send one chunk as far as it goes. False: nothing more of this line goes out
 * (or the connection is over).
 */
static bool chunk_send(struct conn *c, enum direction d, struct chunk *k)
{
	size_t want = k->len - k->sent;
	ssize_t n;

	if (d == DOWN && c->cut_left >= 0 && want > (size_t)c->cut_left)
		want = (size_t)c->cut_left;
	n = want ? send(c->fd[d], k->bytes + k->sent, want, MSG_NOSIGNAL) : 0;
	if (n < 0 && errno == EAGAIN) {
		c->line[d].blocked = true;
		return false;
	}
	if (n < 0) {
		conn_end(c, true);
		return false;
	}
	k->sent += (size_t)n;
	c->line[d].queued -= (size_t)n;
	px.bytes[d] += (uint64_t)n;
	if (d == DOWN && c->cut_left >= 0) {
		c->cut_left -= n;
		if (c->cut_left == 0) {
			conn_end(c, true);
			return false;
		}
	}
	return true;
}

void line_flush(struct conn *c, enum direction d)
{
	struct line *l = &c->line[d];

	while (l->head && l->head->due <= now_ns() && !l->blocked) {
		struct chunk *k = l->head;

		if (k->eof) {
			(void)shutdown(c->fd[d], SHUT_WR);
			l->eof_out = true;
		} else if (!chunk_send(c, d, k)) {
			return;
		}
		if (k->sent < k->len)
			continue;
		l->head = k->next;
		if (!l->head)
			l->tail = &l->head;
		free(k);
	}
	if (c->line[DOWN].eof_out && c->line[UP].eof_out)
		conn_end(c, false);
}

/* Until when nothing more is taken for direction `d`; may be over. */
static int64_t wire_full_until(int d)
{
	return px.mbit > 0 ? px.wire_free[d] - BACKLOG_NS : 0;
}

int64_t next_due(void)
{
	int64_t best = -1, t = now_ns();

	for (int d = 0; d < 2 && !px.hole; d++) {
		int64_t until = wire_full_until(d);

		if (until > t && (best < 0 || until < best))
			best = until;
	}
	for (int i = 0; i < MAX_CONNS; i++) {
		struct conn *c = &px.conns[i];

		if (!c->used || px.hole)
			continue;
		if (c->connect_at && (best < 0 || c->connect_at < best))
			best = c->connect_at;
		for (int d = 0; d < 2; d++) {
			struct line *l = &c->line[d];

			if (!l->head || l->blocked || !c->connected)
				continue;
			if (best < 0 || l->head->due < best)
				best = l->head->due;
		}
	}
	return best;
}

short conn_events(const struct conn *c, int side)
{
	/* What leaves this socket is line !side, what enters it line side. */
	const struct line *from = &c->line[!side], *to = &c->line[side];
	short events = 0;

	if (side == UP && !c->connected)
		return POLLOUT;
	if (!from->eof_in && from->queued < queue_limit() &&
	    wire_full_until(!side) <= now_ns())
		events |= POLLIN;
	if (to->blocked)
		events |= POLLOUT;
	return events;
}

void conn_handle(struct conn *c, int side, short got)
{
	if (side == UP && !c->connected) {
		int failure = 0;
		socklen_t n = sizeof(failure);

		(void)getsockopt(c->fd[UP], SOL_SOCKET, SO_ERROR, &failure, &n);
		if (failure)
			conn_end(c, true);
		else
			c->connected = true;
		return;
	}
	if (got & POLLOUT)
		c->line[side].blocked = false;
	if (got & POLLERR) {
		conn_end(c, true);
		return;
	}
	if (got & (POLLIN | POLLHUP) && !c->line[!side].eof_in)
		line_read(c, side == UP ? DOWN : UP);
}
