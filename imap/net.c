/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/net.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "imap/dial.h"
#include "imap/lock.h"
#include "imap/resolve.h"
#include "imap/tls.h"
#include "imap/why.h"

/*
 * One non-blocking socket, one eventfd that ends waits, and OpenSSL on top
 * through a BIO of our own: OpenSSL's socket BIO calls write(2), which raises
 * SIGPIPE on a dead connection, where send(2) can be told not to. The BIO is
 * also where bytes are counted, as they are on the wire.
 *
 * All waiting goes through wait_fd(), which knows the deadline and the
 * eventfd. Runs on the thread of the connection; net_wake() only writes the
 * eventfd. No locks.
 */
struct net {
	int wake_fd;
	int fd; /* -1: closed */
	uint16_t port;
	SSL *ssl;             /* NULL: plain */
	bool tls_wants_write; /* a read cannot go on before a write */
	struct tls_verdict verdict;

	/* Counters are read by whoever shows them; nothing depends on them. */
	_Atomic uint64_t bytes_in;
	_Atomic uint64_t bytes_out;
};

/* --- the BIO --- */

static long plain_read(struct net *n, void *buf, size_t size)
{
	ssize_t r;

	do
		r = recv(n->fd, buf, size, 0);
	while (r < 0 && errno == EINTR);
	if (r > 0)
		atomic_fetch_add_explicit(&n->bytes_in, (uint64_t)r,
					  memory_order_relaxed);
	if (r > 0)
		return r;
	if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	return -ENOTCONN;
}

static long plain_write(struct net *n, const void *buf, size_t size)
{
	ssize_t r;

	do
		r = send(n->fd, buf, size, MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	if (r >= 0)
		atomic_fetch_add_explicit(&n->bytes_out, (uint64_t)r,
					  memory_order_relaxed);
	if (r >= 0)
		return r;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return 0;
	return -ENOTCONN;
}

static int bio_read(BIO *bio, char *buf, size_t size, size_t *ret)
{
	long r = plain_read(BIO_get_data(bio), buf, size);

	BIO_clear_retry_flags(bio);
	if (r == 0)
		BIO_set_retry_read(bio);
	if (r < 0)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	*ret = r > 0 ? (size_t)r : 0;
	return r > 0;
}

static int bio_write(BIO *bio, const char *buf, size_t size, size_t *ret)
{
	long r = plain_write(BIO_get_data(bio), buf, size);

	BIO_clear_retry_flags(bio);
	if (r == 0)
		BIO_set_retry_write(bio);
	*ret = r > 0 ? (size_t)r : 0;
	return r > 0;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	(void)num;
	(void)ptr;
	if (cmd == BIO_CTRL_EOF)
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	return cmd == BIO_CTRL_FLUSH;
}

static BIO *bio_new(struct net *n)
{
	static _Atomic(BIO_METHOD *) shared;
	BIO_METHOD *m = atomic_load(&shared);
	BIO_METHOD *none = NULL;
	BIO *bio;

	if (!m) {
		m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
				 "imapfs");
		if (!m)
			return NULL;
		BIO_meth_set_read_ex(m, bio_read);
		BIO_meth_set_write_ex(m, bio_write);
		BIO_meth_set_ctrl(m, bio_ctrl);
		if (!atomic_compare_exchange_strong(&shared, &none, m)) {
			BIO_meth_free(m);
			m = none;
		}
	}
	bio = BIO_new(m);
	if (!bio)
		return NULL;
	BIO_set_data(bio, n);
	BIO_set_init(bio, 1);
	return bio;
}

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
		{.fd = n->fd, .events = events},
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

unsigned net_wait(struct net *n, bool want_write, int64_t deadline_ms)
{
	short events = POLLIN;

	if (n->fd < 0)
		return NET_READABLE;
	/*
	 * Not SSL_has_pending(), which is true for half a record as well: a
	 * wait that ends at once would spin until the other half comes.
	 */
	if (n->ssl && SSL_pending(n->ssl) > 0) {
		unsigned ready = wait_fd(n, want_write ? POLLOUT : 0, 0);

		return ready | NET_READABLE;
	}
	if (want_write || n->tls_wants_write)
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

int net_connect(struct net *n, const char *host, uint16_t port,
		bool loopback_only, int64_t deadline_ms, struct imap_error *why)
{
	struct dial d = {
		.host = host,
		.port = port,
		.loopback_only = loopback_only,
		.wake_fd = n->wake_fd,
		.deadline_ms = deadline_ms,
	};
	int r;

	lock_assert_none();
	net_close(n);
	r = dial_host(&d, &n->fd, why);
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

		ERR_clear_error();
		r = SSL_do_handshake(n->ssl);
		if (r == 1)
			return 0;
		code = SSL_get_error(n->ssl, r);
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

int net_start_tls(struct net *n, struct net_tls *tls, const char *host,
		  int64_t deadline_ms, struct imap_error *why)
{
	BIO *bio;
	int r;

	lock_assert_none();
	if (n->fd < 0 || n->ssl)
		return net_fail(why, -ENOTCONN, FAULT_NETWORK,
				"there is no plain connection to '%s'", host);

	bio = bio_new(n);
	if (!bio)
		return net_fail(why, -ENOMEM, FAULT_NONE, "out of memory");
	n->verdict.host = host;
	n->verdict.text[0] = '\0';
	r = tls_start(tls, bio, &n->verdict, &n->ssl);
	if (r < 0)
		return net_fail(why, r == -EINVAL ? -EPROTO : r, FAULT_TLS,
				"TLS cannot be set up for '%s'", host);

	r = shake_hands(n, host, deadline_ms, why);
	if (r == 0 && !tls_pin_holds(tls, n->ssl, &n->verdict))
		r = net_fail(why, -EPROTO, FAULT_TLS, "%s", n->verdict.text);
	n->verdict.host = ""; /* the caller's string may go now */
	if (r < 0)
		net_close(n);
	return r;
}

/* --- the stream --- */

/* 0 to try again later, or an error. */
static long tls_trouble(struct net *n, int r)
{
	int code = SSL_get_error(n->ssl, r);

	if (code == SSL_ERROR_WANT_READ)
		return 0;
	if (code == SSL_ERROR_WANT_WRITE) {
		n->tls_wants_write = true;
		return 0;
	}
	if (code == SSL_ERROR_SSL && ERR_GET_REASON(ERR_peek_error()) !=
					     SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return -EPROTO;
	return -ENOTCONN;
}

long net_read(struct net *n, void *buf, size_t n_bytes)
{
	size_t got = 0;
	int r;

	if (n->fd < 0)
		return -ENOTCONN;
	if (n_bytes == 0)
		return 0;
	if (!n->ssl)
		return plain_read(n, buf, n_bytes);

	ERR_clear_error();
	n->tls_wants_write = false;
	r = SSL_read_ex(n->ssl, buf, n_bytes, &got);
	return r == 1 ? (long)got : tls_trouble(n, r);
}

long net_write(struct net *n, const void *buf, size_t n_bytes)
{
	size_t put = 0;
	bool reader_wants = n->tls_wants_write;
	long result;
	int r;

	if (n->fd < 0)
		return -ENOTCONN;
	if (n_bytes == 0)
		return 0;
	if (!n->ssl)
		return plain_write(n, buf, n_bytes);

	ERR_clear_error();
	r = SSL_write_ex(n->ssl, buf, n_bytes, &put);
	if (r == 1)
		return (long)put;
	result = tls_trouble(n, r);
	/* Writers ask net_wait() for room themselves. */
	n->tls_wants_write = reader_wants;
	return result;
}

/* --- the rest --- */

void net_close(struct net *n)
{
	if (n->ssl) {
		/* One try to say goodbye; nobody waits for the answer. */
		ERR_clear_error();
		if (SSL_is_init_finished(n->ssl))
			(void)SSL_shutdown(n->ssl);
		SSL_free(n->ssl);
		ERR_clear_error();
	}
	n->ssl = NULL;
	n->tls_wants_write = false;
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

int net_new(struct net **ret)
{
	struct net *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;

	n->fd = -1;
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
	return n->fd >= 0;
}

bool net_is_tls(const struct net *n)
{
	return n->ssl != NULL;
}

uint64_t net_bytes_in(const struct net *n)
{
	return atomic_load_explicit(&n->bytes_in, memory_order_relaxed);
}

uint64_t net_bytes_out(const struct net *n)
{
	return atomic_load_explicit(&n->bytes_out, memory_order_relaxed);
}
