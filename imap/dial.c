/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/dial.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "imap/lock.h"
#include "imap/resolve.h"
#include "imap/why.h"

/*
 * From a host's name to a connected socket: all its addresses, one after the
 * other, each with an equal share of the time that is left. No state and no
 * lock; the descriptor belongs to nobody else until it is returned.
 */

/* The kernel asks a silent peer after a minute, and gives it another one. */
#define KEEP_IDLE_S 60
#define KEEP_INTERVAL_S 15
#define KEEP_COUNT 4

#define UNSENT_MAX (128 * 1024) /* bytes that the kernel holds back */

static bool is_loopback(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)sa;

		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	}
	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)sa;

		return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	}
	return false;
}

static void set(int fd, int level, int option, int value)
{
	/* Whatever cannot be set costs time at most. */
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

static int open_socket(const struct addrinfo *ai, const struct dial *d)
{
	int fd = socket(ai->ai_family,
			ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
			ai->ai_protocol);

	if (fd < 0)
		return -errno;
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* commands are waited for */
	/* A peer that is gone must be noticed, also by who waits for nothing.
	 */
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S);
	set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S);
	set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_COUNT);
	if (d->patience_ms > 0 && d->patience_ms <= INT_MAX)
		set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)d->patience_ms);
	/*
	 * What waits in the kernel has not been sent: for time-outs, and for
	 * commands behind it, little of that.
	 */
	set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_MAX);
	return fd;
}

/* 0, -ECANCELED, -ETIMEDOUT, or -errno of connect(2). */
static int connect_fd(int fd, const struct addrinfo *ai, const struct dial *d,
		      int64_t deadline_ms)
{
	struct pollfd p[2] = {
		{.fd = d->wake_fd, .events = POLLIN},
		{.fd = fd, .events = POLLOUT},
	};
	socklen_t len = sizeof(int);
	int error = 0;
	int r;

	if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -errno;

	do
		r = poll(p, 2, deadline_poll_ms(deadline_ms));
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r == 0 ? -ETIMEDOUT : -errno;
	if (p[0].revents)
		return -ECANCELED;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

static int connect_one(const struct addrinfo *ai, const struct dial *d,
		       int64_t deadline_ms, int *ret_fd)
{
	int fd = open_socket(ai, d);
	int r;

	if (fd < 0)
		return fd;
	r = connect_fd(fd, ai, d, deadline_ms);
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

/* An equal share of the time left, so that one dead address costs not all. */
static int64_t share_of(int64_t deadline_ms, unsigned addresses)
{
	int64_t now = clock_now_ms();

	if (deadline_ms == CLOCK_NEVER || deadline_ms <= now)
		return deadline_ms;
	return now + (deadline_ms - now) / addresses;
}

static int connect_any(const struct dial *d, const struct addrinfo *list,
		       int *ret_fd)
{
	unsigned left = 0;
	int r = -ENOTCONN;

	for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
		if (d->loopback_only && !is_loopback(ai->ai_addr))
			return -EINVAL;
		left++;
	}
	for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
		r = connect_one(ai, d, share_of(d->deadline_ms, left--),
				ret_fd);
		if (r == 0 || r == -ECANCELED)
			return r;
	}
	return r;
}

static int connect_failed(int r, const struct dial *d, int64_t since_ms,
			  struct imap_error *why)
{
	const char *host = d->host;
	unsigned port = d->port;

	switch (-r) {
	case ECANCELED:
		return net_fail_canceled(why);
	case ETIMEDOUT:
		return net_fail_timeout(d->host, d->port, since_ms, why);
	case ENOMEM:
		return net_fail(why, r, FAULT_NONE, "out of memory");
	case EINVAL:
		if (!d->loopback_only) /* connect(2) says so, of fe80::1 */
			break;
		return net_fail(why, r, FAULT_NETWORK,
				"'%s' is not this computer: tls=none is for "
				"loopback addresses only",
				host);
	case ECONNREFUSED:
		return net_fail(why, -ENOTCONN, FAULT_NETWORK,
				"'%s' port %u refuses connections", host, port);
	default:
		break;
	}
	return net_fail(why, -ENOTCONN, FAULT_NETWORK,
			"'%s' port %u cannot be reached: %s", host, port,
			strerrordesc_np(-r));
}

int dial_host(const struct dial *d, int *ret_fd, struct imap_error *why)
{
	int64_t since_ms = clock_now_ms();
	struct addrinfo *list = NULL;
	int gai = 0;
	int r;

	r = resolve_host(d->host, d->port, d->wake_fd, d->deadline_ms, &list,
			 &gai);
	if (r == -ENOENT && gai == EAI_NONAME)
		return net_fail(why, -ENOTCONN, FAULT_NETWORK,
				"host '%s' is unknown", d->host);
	if (r == -ENOENT)
		return net_fail(why, -ENOTCONN, FAULT_NETWORK,
				"host '%s' cannot be looked up: %s", d->host,
				gai_strerror(gai));
	if (r == 0) {
		r = connect_any(d, list, ret_fd);
		freeaddrinfo(list);
	}
	return r < 0 ? connect_failed(r, d, since_ms, why) : 0;
}
