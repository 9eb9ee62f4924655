/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/srv.h"
#include "imap/lock.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <resolv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * The question is asked in a detached thread, since a resolver call cannot be
 * cancelled. The thread owns its data and one end of a socket pair, on which
 * it sends the answer; whoever waits may leave at any time, by closing the
 * other end. So nothing is shared, and there is no lock.
 */

struct question {
	int fd;
	char domain[256];
	unsigned timeout_ms;
};

#define SRV_FIXED 6      /* priority, weight, port */
#define PACKET_MAX 65536 /* of any DNS message */

/* One SRV record; false: malformed, or no service. */
static bool read_record(const ns_msg *msg, const ns_rr *rr,
			struct srv_answer *ret, unsigned *ret_priority)
{
	const unsigned char *data = ns_rr_rdata(*rr);
	char host[NS_MAXDNAME];

	if (ns_rr_type(*rr) != ns_t_srv || ns_rr_class(*rr) != ns_c_in ||
	    ns_rr_rdlen(*rr) <= SRV_FIXED)
		return false;
	if (dn_expand(ns_msg_base(*msg), ns_msg_end(*msg), data + SRV_FIXED,
		      host, sizeof(host)) < 0)
		return false;

	*ret_priority = ns_get16(data);
	ret->port = (uint16_t)ns_get16(data + 4);
	if (host[0] == '\0' || strcmp(host, ".") == 0 || ret->port == 0 ||
	    strlen(host) >= sizeof(ret->host))
		return false;
	memcpy(ret->host, host, strlen(host) + 1);
	return true;
}

int srv_parse(const unsigned char *packet, size_t n, struct srv_answer *ret)
{
	struct srv_answer best = {0}, answer = {0};
	unsigned best_priority = UINT32_MAX, priority;
	ns_msg msg;
	ns_rr rr;

	if (n > PACKET_MAX || ns_initparse(packet, (int)n, &msg) < 0)
		return -ENOENT;
	if (ns_msg_getflag(msg, ns_f_rcode) != ns_r_noerror)
		return -ENOENT;
	for (int i = 0; i < ns_msg_count(msg, ns_s_an); i++) {
		if (ns_parserr(&msg, ns_s_an, i, &rr) < 0)
			break;
		if (!read_record(&msg, &rr, &answer, &priority) ||
		    priority >= best_priority)
			continue;
		best = answer;
		best_priority = priority;
	}
	if (best_priority == UINT32_MAX)
		return -ENOENT;

	best.is_authentic = ns_msg_getflag(msg, ns_f_ad) != 0;
	*ret = best;
	return 0;
}

static int ask(struct __res_state *state, const char *service,
	       const char *domain, struct srv_answer *ret)
{
	unsigned char *packet;
	char name[NS_MAXDNAME];
	int n, r = -ENOENT;

	n = snprintf(name, sizeof(name), "%s._tcp.%s", service, domain);
	if (n < 0 || (size_t)n >= sizeof(name))
		return -ENOENT;
	packet = malloc(PACKET_MAX);
	if (!packet)
		return -ENOENT;

	n = res_nquery(state, name, ns_c_in, ns_t_srv, packet, PACKET_MAX);
	if (n > 0)
		r = srv_parse(packet, n < PACKET_MAX ? (size_t)n : PACKET_MAX,
			      ret);
	free(packet);
	return r;
}

static void *run(void *arg)
{
	struct question *q = arg;
	struct srv_answer answer = {0};
	struct __res_state state;
	int r = -ENOENT;

	memset(&state, 0, sizeof(state));
	if (res_ninit(&state) == 0) {
		/* Bounds the thread's life; who waits has a clock of its own.
		 */
		state.retrans = (int)(q->timeout_ms / 1000) + 1;
		state.retry = 1;
		r = ask(&state, "_imaps", q->domain, &answer);
		if (r < 0) {
			answer.is_starttls = true;
			r = ask(&state, "_imap", q->domain, &answer);
		}
		res_nclose(&state);
	}
	if (r == 0)
		(void)send(q->fd, &answer, sizeof(answer), MSG_NOSIGNAL);
	close(q->fd);
	free(q);
	return NULL;
}

/* Start the thread, with all signals blocked: they are for others. */
static int start(struct question *q)
{
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_t thread;
	int r;

	r = pthread_attr_init(&attr);
	if (r)
		return -r;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&thread, &attr, run, q);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

/* The thread closes its end when it has nothing to say. */
static int wait_for(int fd, unsigned timeout_ms, struct srv_answer *ret)
{
	int64_t deadline_ms = clock_now_ms() + timeout_ms;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct srv_answer answer;
	int64_t left_ms;
	int r;

	do {
		left_ms = deadline_ms - clock_now_ms();
		r = poll(&p, 1, left_ms > 0 ? (int)left_ms : 0);
	} while (r < 0 && errno == EINTR);
	if (r <= 0 || recv(fd, &answer, sizeof(answer), MSG_DONTWAIT) !=
			      (ssize_t)sizeof(answer))
		return -ENOENT;
	*ret = answer;
	return 0;
}

int srv_lookup(const char *domain, unsigned timeout_ms, struct srv_answer *ret)
{
	struct question *q;
	int fds[2];
	int r;

	if (strlen(domain) >= sizeof(q->domain))
		return -ENOENT;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -ENOENT;
	q = calloc(1, sizeof(*q));
	if (q) {
		q->fd = fds[1];
		q->timeout_ms = timeout_ms;
		memcpy(q->domain, domain, strlen(domain) + 1);
	}
	if (!q || start(q) < 0) {
		free(q);
		close(fds[1]);
		close(fds[0]);
		return -ENOENT;
	}
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): `q` is the thread's */
	r = wait_for(fds[0], timeout_ms, ret);
	close(fds[0]);
	return r;
}
