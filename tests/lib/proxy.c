/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * testproxy: a TCP line with a delay, a rate and faults, for the end-to-end
 * tests. `testproxy HOST:PORT RTT_MS RATE_MBIT` listens on a free port of
 * 127.0.0.1 and prints {"port":N}; then it obeys one command a line on stdin
 * and answers each with a line of JSON. It ends when stdin does.
 *
 *   rtt MS       round trip, half of it each way   rate MBIT  each way; 0: free
 *   cut rst|fin  end every connection now          cutdown N  RST after N more
 *                                                  bytes down, each connection
 *   hole 0|1     nothing passes, nothing is accepted, nothing is closed
 *   refuse 0|1   new connections get an RST        stats      counters
 *   most N       at most N at a time; others wait, unanswered; 0: no limit
 *   reset        counters to zero
 *
 * Each direction of a connection is a delay line: a chunk is stamped with the
 * moment at which its last bit is due (serialised by the rate, then half an
 * RTT of flight) and leaves then; many chunks are in flight at once. The rate
 * is that of the line, whatever the number of its connections: who opens
 * several gets no more. What is queued is bounded, so that a slow reader is
 * felt by the writer, and nobody waits long behind the others. A `turn` is
 * counted when the client sends after the server has: what a client waited
 * for. The connection to the target is made 1.5 RTT after the accept: SYN,
 * SYN/ACK, ACK; the client's first bytes wait for it like everything else.
 *
 * One thread, poll(2) and ppoll's nanoseconds; TLS passes through opaquely.
 */
#include "proxy.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void cut_all(bool rst)
{
	for (int i = 0; i < MAX_CONNS; i++)
		if (px.conns[i].used)
			conn_end(&px.conns[i], rst);
}

static void set_cutdown(int64_t n)
{
	px.cutdown = n;
	for (int i = 0; i < MAX_CONNS; i++)
		px.conns[i].cut_left = n;
}

static int count_live(void)
{
	int live = 0;

	for (int i = 0; i < MAX_CONNS; i++)
		live += px.conns[i].used;
	return live;
}

static void answer(const char *error)
{
	if (error)
		printf("{\"error\":\"%s\"}\n", error);
	else
		printf("{\"down\":%llu,\"up\":%llu,\"turns\":%llu,"
		       "\"connections\":%llu,\"live\":%d}\n",
		       (unsigned long long)px.bytes[DOWN],
		       (unsigned long long)px.bytes[UP],
		       (unsigned long long)px.turns,
		       (unsigned long long)px.connections, count_live());
	(void)fflush(stdout);
}

static void obey(char *text)
{
	char *rest = NULL;
	const char *word = strtok_r(text, " ", &rest);
	const char *arg = strtok_r(NULL, " ", &rest);
	double number = arg ? strtod(arg, NULL) : 0;

	if (!word) {
		answer("empty command");
		return;
	}
	if (!strcmp(word, "rtt")) {
		px.rtt_ms = number;
	} else if (!strcmp(word, "rate")) {
		px.mbit = number;
	} else if (!strcmp(word, "cut")) {
		cut_all(!arg || strcmp(arg, "fin") != 0);
	} else if (!strcmp(word, "cutdown")) {
		set_cutdown((int64_t)number);
	} else if (!strcmp(word, "hole")) {
		px.hole = number != 0;
	} else if (!strcmp(word, "refuse")) {
		px.refuse = number != 0;
	} else if (!strcmp(word, "most")) {
		px.most = (int)number;
	} else if (!strcmp(word, "reset")) {
		px.bytes[DOWN] = px.bytes[UP] = 0;
		px.turns = px.connections = 0;
	} else if (strcmp(word, "stats") != 0) {
		answer("unknown command");
		return;
	}
	answer(NULL);
}

/* False at the end of stdin: the test is over. */
static bool read_commands(void)
{
	static char buffer[4096];
	static size_t used;
	ssize_t n = read(STDIN_FILENO, buffer + used, sizeof(buffer) - used);
	char *end;

	if (n <= 0)
		return false;
	used += (size_t)n;
	for (;;) {
		end = memchr(buffer, '\n', used);
		if (!end)
			return used < sizeof(buffer);
		*end = '\0';
		used -= (size_t)(end + 1 - buffer);
		obey(buffer);
		memmove(buffer, end + 1, used);
	}
}

/*
 * Fill the poll set: stdin, the listener, then two entries for each
 * connection, in order; an unused one has fd -1. In a hole only stdin is
 * looked at.
 */
static nfds_t watch(struct pollfd *set)
{
	nfds_t n = 2;

	set[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
	set[1] = (struct pollfd){.fd = px.listener, .events = POLLIN};
	if (px.hole)
		return 1;
	if (px.most > 0 && count_live() >= px.most)
		set[1].fd = -1;
	for (int i = 0; i < MAX_CONNS; i++) {
		struct conn *c = &px.conns[i];

		for (int side = 0; side < 2; side++, n++) {
			set[n] = (struct pollfd){.fd = -1};
			if (!c->used || c->fd[side] < 0)
				continue;
			set[n].events = conn_events(c, side);
			/* A descriptor with no wish would spin on POLLHUP. */
			if (set[n].events)
				set[n].fd = c->fd[side];
		}
	}
	return n;
}

static void handle(const struct pollfd *set, nfds_t n)
{
	for (nfds_t i = 2; i < n; i++) {
		struct conn *c = &px.conns[(i - 2) / 2];
		int side = (int)(i % 2);

		if (set[i].revents && c->used && c->fd[side] == set[i].fd)
			conn_handle(c, side, set[i].revents);
	}
	if (n > 1 && set[1].revents)
		conn_accept();
	for (int i = 0; i < MAX_CONNS && !px.hole; i++) {
		struct conn *c = &px.conns[i];

		if (c->used && c->connect_at && c->connect_at <= now_ns())
			conn_connect(c);
		for (int d = 0; d < 2; d++)
			if (c->used && c->connected)
				line_flush(c, d);
	}
}

static bool setup(char **argv)
{
	struct sockaddr_in self = {.sin_family = AF_INET};
	socklen_t n = sizeof(self);
	char *colon = strrchr(argv[1], ':');

	if (!colon)
		return false;
	*colon = '\0';
	px.target.sin_family = AF_INET;
	px.target.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	if (inet_pton(AF_INET, argv[1], &px.target.sin_addr) != 1)
		return false;
	px.rtt_ms = strtod(argv[2], NULL);
	px.mbit = strtod(argv[3], NULL);
	self.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	px.listener =
		socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (px.listener < 0 ||
	    bind(px.listener, (struct sockaddr *)&self, n) < 0 ||
	    listen(px.listener, 64) < 0 ||
	    getsockname(px.listener, (struct sockaddr *)&self, &n) < 0)
		return false;
	printf("{\"port\":%d}\n", ntohs(self.sin_port));
	return fflush(stdout) == 0;
}

int main(int argc, char **argv)
{
	static struct pollfd set[2 + 2 * MAX_CONNS];

	if (argc != 4 || !setup(argv)) {
		(void)fprintf(stderr, "usage: testproxy HOST:PORT RTT RATE\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	/* Timers are rounded up by 50 us otherwise; the line must be exact. */
	(void)prctl(PR_SET_TIMERSLACK, 1000UL);
	for (;;) {
		struct timespec wait = {0};
		nfds_t n = watch(set);
		int64_t due = next_due();

		if (due >= 0) {
			int64_t left = due - now_ns();

			if (left < 0)
				left = 0;
			wait.tv_sec = left / NS_PER_S;
			wait.tv_nsec = left % NS_PER_S;
		}
		if (ppoll(set, n, due >= 0 ? &wait : NULL, NULL) < 0)
			continue;
		if (set[0].revents && !read_commands())
			return 0;
		handle(set, n);
	}
}
