/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/net.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <openssl/err.h>

#include "imap/deflate.h"
#include "imap/dial.h"
#include "imap/lock.h"
#include "imap/resolve.h"
#include "imap/tls.h"
#include "imap/why.h"
#include "imap/wire.h"

/*
 * From below: the wire (wire.c: socket and TLS), on top of it, where the
 * session asked for it, the compression of deflate.c.
 *
 * All waiting goes through wait_fd(), which knows the deadline and the
 * eventfd that ends waits. Runs on the thread of the connection; net_wake()
 * only writes the eventfd. No locks.
 */
struct net {
	int wake_fd;
	uint16_t port;
	unsigned patience_ms; /* 0: as long as the system likes */
	struct wire wire;
	int64_t asked_ms; /* see net_asked_ms() */
	struct tls_verdict verdict;
	struct deflate *deflate; /* NULL: not compressed */
	size_t deflate_taken;    /* bytes packed, but not written entirely */
	/* Only added up, and shown: no lock. */
	_Atomic uint64_t plain_in;
	_Atomic uint64_t plain_out;
};

/* --- waiting --- */

/* Was net_wake() called? Forget it. */
static bool take_wake(struct net *n)
{
	uint64_t count;

	return read(n->wake_fd, &count, sizeof(count)) > 0;
}

static unsigned wait_fd(struct net *n, short events, int64_t deadline_ms)
{
	struct pollfd p[2] = {
		{.fd = n->wake_fd, .events = POLLIN},
		{.fd = n->wire.fd, .events = events},
	};
	unsigned ready = 0;
	int r;

	do
		r = poll(p, 2, deadline_poll_ms(deadline_ms));
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return NET_TIMEOUT;

	if (p[0].revents && take_wake(n))
		ready |= NET_WOKEN;
	/* Hang-up and error are found by whoever reads or writes next. */
	if (p[1].revents & (POLLIN | POLLHUP | POLLERR))
		ready |= NET_READABLE;
	if (p[1].revents & (POLLOUT | POLLERR))
		ready |= NET_WRITABLE;
	return ready;
}

/* Can net_read() go on without another byte from the socket? */
static bool has_buffered(const struct net *n)
{
	if (n->deflate && deflate_has_more(n->deflate))
		return true;
	/*
	 * Not SSL_has_pending(), which is true for half a record as well: a
	 * wait that ends at once would spin until the other half comes.
	 */
	return n->wire.ssl && SSL_pending(n->wire.ssl) > 0;
}

unsigned net_wait(struct net *n, bool want_write, int64_t deadline_ms)
{
	short events = POLLIN;

	if (n->wire.fd < 0)
		return NET_READABLE;
	if (has_buffered(n)) {
		unsigned ready = wait_fd(n, want_write ? POLLOUT : 0, 0);

		return ready | NET_READABLE;
	}
	if (want_write || n->wire.tls_wants_write)
		events |= POLLOUT;
	return wait_fd(n, events, deadline_ms);
}

void net_wake(struct net *n)
{
	uint64_t one = 1;
	int saved = errno;

	/* It fails only when the counter is full: then it is readable. */
	if (write(n->wake_fd, &one, sizeof(one)) < 0)
		errno = saved;
}

/* --- connecting --- */

void net_set_patience(struct net *n, unsigned ms)
{
	n->patience_ms = ms;
}

int net_connect(struct net *n, const char *host, uint16_t port,
		bool loopback_only, int64_t deadline_ms, struct imap_error *why)
{
	struct dial d = {
		.host = host,
		.port = port,
		.loopback_only = loopback_only,
		.wake_fd = n->wake_fd,
		.deadline_ms = deadline_ms,
		.patience_ms = n->patience_ms,
	};
	int r;

	lock_assert_none();
	net_close(n);
	n->asked_ms = clock_now_ms();
	r = dial_host(&d, &n->wire.fd, why);
	if (r == -ECANCELED)
		(void)take_wake(n);
	n->port = port;
	return r;
}

/* --- TLS --- */

static int shake_hands(struct net *n, const char *host, int64_t deadline_ms,
		       struct imap_error *why)
{
	int64_t since_ms = clock_now_ms();

	for (;;) {
		unsigned ready;
		int code;
		int r;

		n->asked_ms = clock_now_ms();
		ERR_clear_error();
		r = SSL_do_handshake(n->wire.ssl);
		if (r == 1)
			return 0;
		code = SSL_get_error(n->wire.ssl, r);
		if (code != SSL_ERROR_WANT_READ && code != SSL_ERROR_WANT_WRITE)
			return tls_handshake_failed(&n->verdict, code, n->port,
						    why);
		ready = wait_fd(n,
				code == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT,
				deadline_ms);
		if (ready & NET_WOKEN)
			return net_fail_canceled(why);
		if (ready == NET_TIMEOUT)
			return net_fail_timeout(host, n->port, since_ms, why);
	}
}

int64_t net_asked_ms(const struct net *n)
{
	return n->asked_ms;
}

int net_start_tls(struct net *n, struct net_tls *tls, const char *host,
		  int64_t deadline_ms, struct imap_error *why)
{
	BIO *bio;
	int r;

	lock_assert_none();
	if (n->wire.fd < 0 || n->wire.ssl)
		return net_fail(why, -ENOTCONN, FAULT_NETWORK,
				"there is no plain connection to '%s'", host);

	bio = wire_bio(&n->wire);
	if (!bio)
		return net_fail(why, -ENOMEM, FAULT_NONE, "out of memory");
	n->verdict.host = host;
	n->verdict.text[0] = '\0';
	r = tls_start(tls, bio, &n->verdict, &n->wire.ssl);
	if (r < 0)
		return net_fail(why, r == -EINVAL ? -EPROTO : r, FAULT_TLS,
				"TLS cannot be set up for '%s'", host);

	r = shake_hands(n, host, deadline_ms, why);
	if (r == 0 && !tls_is_trusted(tls, n->wire.ssl, &n->verdict))
		r = net_fail(why, -EPROTO, FAULT_TLS, "%s", n->verdict.text);
	n->verdict.host = ""; /* the caller's string may go now */
	if (r < 0) {
		tls_forget_sessions(tls);
		net_close(n);
	}
	return r;
}

/* --- compression --- */

int net_start_deflate(struct net *n, const void *early, size_t n_bytes)
{
	int r;

	if (n->wire.fd < 0 || n->deflate || n_bytes > NET_EARLY_MAX)
		return -ENOTCONN;
	r = deflate_new(&n->deflate);
	if (r < 0)
		return r;
	static_assert(NET_EARLY_MAX <= DEFLATE_IN_MAX, "early bytes fit");
	memcpy(deflate_room(n->deflate), early, n_bytes);
	deflate_came(n->deflate, n_bytes);
	n->deflate_taken = 0;
	return 0;
}

static long packed_read(struct net *n, void *buf, size_t n_bytes)
{
	long r = deflate_take(n->deflate, buf, n_bytes);

	if (r != 0)
		return r;
	r = wire_read(&n->wire, deflate_room(n->deflate), DEFLATE_IN_MAX);
	if (r <= 0)
		return r;
	deflate_came(n->deflate, (size_t)r);
	/*
	 * Once only: 0 may come of it (an empty block), and a peer that sends
	 * nothing but such must not keep us here.
	 */
	return deflate_take(n->deflate, buf, n_bytes);
}

/*
 * Bytes count as taken when the last byte that they were packed to is written.
 * Until then the answer is 0 and the same bytes are offered again, as to TLS:
 * so who waits for room waits for the right thing.
 */
static long packed_write(struct net *n, const void *buf, size_t n_bytes)
{
	size_t left;
	const void *p;

	if (n->deflate_taken == 0)
		n->deflate_taken = deflate_put(n->deflate, buf, n_bytes);
	while (p = deflate_packed(n->deflate, &left), left > 0) {
		long r = wire_write(&n->wire, p, left);

		if (r <= 0)
			return r;
		deflate_written(n->deflate, (size_t)r);
	}
	left = n->deflate_taken;
	n->deflate_taken = 0;
	return (long)left;
}

/* --- what the session calls --- */

static long counted(_Atomic uint64_t *sum, long r)
{
	if (r > 0)
		atomic_fetch_add_explicit(sum, (uint64_t)r,
					  memory_order_relaxed);
	return r;
}

long net_read(struct net *n, void *buf, size_t n_bytes)
{
	if (n->wire.fd < 0)
		return -ENOTCONN;
	if (n_bytes == 0)
		return 0;
	return counted(&n->plain_in,
		       n->deflate ? packed_read(n, buf, n_bytes)
				  : wire_read(&n->wire, buf, n_bytes));
}

long net_write(struct net *n, const void *buf, size_t n_bytes)
{
	if (n->wire.fd < 0)
		return -ENOTCONN;
	if (n_bytes == 0)
		return 0;
	return counted(&n->plain_out,
		       n->deflate ? packed_write(n, buf, n_bytes)
				  : wire_write(&n->wire, buf, n_bytes));
}

/* --- the rest --- */

void net_close(struct net *n)
{
	wire_close(&n->wire);
	deflate_free(n->deflate);
	n->deflate = NULL;
}

int net_new(struct net **ret)
{
	struct net *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;

	n->wire.fd = -1;
	n->verdict.host = "";
	n->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (n->wake_fd < 0) {
		free(n);
		return -ENOMEM;
	}
	*ret = n;
	return 0;
}

void net_free(struct net *n)
{
	if (!n)
		return;
	net_close(n);
	close(n->wake_fd);
	free(n);
}

bool net_is_open(const struct net *n)
{
	return n->wire.fd >= 0;
}

bool net_is_tls(const struct net *n)
{
	return n->wire.ssl != NULL;
}

bool net_is_resumed(const struct net *n)
{
	return n->wire.ssl && SSL_session_reused(n->wire.ssl);
}

bool net_is_compressed(const struct net *n)
{
	return n->deflate != NULL;
}

uint64_t net_bytes_in(const struct net *n)
{
	return atomic_load_explicit(&n->wire.bytes_in, memory_order_relaxed);
}

uint64_t net_bytes_out(const struct net *n)
{
	return atomic_load_explicit(&n->wire.bytes_out, memory_order_relaxed);
}

uint64_t net_plain_in(const struct net *n)
{
	return atomic_load_explicit(&n->plain_in, memory_order_relaxed);
}

uint64_t net_plain_out(const struct net *n)
{
	return atomic_load_explicit(&n->plain_out, memory_order_relaxed);
}
