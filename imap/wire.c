/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/wire.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

/*
 * OpenSSL sits on a BIO of our own: its socket BIO calls write(2), which
 * raises SIGPIPE on a dead connection, where send(2) can be told not to. The
 * BIO is also where bytes are counted, as they are on the wire.
 *
 * Nothing here waits. Runs on the thread of the connection, without locks.
 */

/* --- the BIO --- */

static long plain_read(struct wire *w, void *buf, size_t size)
{
	ssize_t r;

	do
		r = recv(w->fd, buf, size, 0);
	while (r < 0 && errno == EINTR);
	if (r > 0)
		atomic_fetch_add_explicit(&w->bytes_in, (uint64_t)r,
					  memory_order_relaxed);
	if (r > 0)
		return r;
	if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	return -ENOTCONN;
}

static long plain_write(struct wire *w, const void *buf, size_t size)
{
	ssize_t r;

	do
		r = send(w->fd, buf, size, MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	if (r >= 0)
		atomic_fetch_add_explicit(&w->bytes_out, (uint64_t)r,
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

BIO *wire_bio(struct wire *w)
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
	BIO_set_data(bio, w);
	BIO_set_init(bio, 1);
	return bio;
}

/* --- the stream --- */

/* 0 to try again later, or an error. */
static long tls_trouble(struct wire *w, int r)
{
	int code = SSL_get_error(w->ssl, r);

	if (code == SSL_ERROR_WANT_READ)
		return 0;
	if (code == SSL_ERROR_WANT_WRITE) {
		w->tls_wants_write = true;
		return 0;
	}
	if (code == SSL_ERROR_SSL && ERR_GET_REASON(ERR_peek_error()) !=
					     SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return -EPROTO;
	return -ENOTCONN;
}

long wire_read(struct wire *w, void *buf, size_t n)
{
	size_t got = 0;
	int r;

	if (!w->ssl)
		return plain_read(w, buf, n);

	ERR_clear_error();
	w->tls_wants_write = false;
	r = SSL_read_ex(w->ssl, buf, n, &got);
	return r == 1 ? (long)got : tls_trouble(w, r);
}

long wire_write(struct wire *w, const void *buf, size_t n)
{
	size_t put = 0;
	bool reader_wants = w->tls_wants_write;
	long result;
	int r;

	if (!w->ssl)
		return plain_write(w, buf, n);

	ERR_clear_error();
	r = SSL_write_ex(w->ssl, buf, n, &put);
	if (r == 1)
		return (long)put;
	result = tls_trouble(w, r);
	/* Writers ask net_wait() for room themselves. */
	w->tls_wants_write = reader_wants;
	return result;
}

void wire_close(struct wire *w)
{
	if (w->ssl) {
		/* One try to say goodbye; nobody waits for the answer. */
		ERR_clear_error();
		if (SSL_is_init_finished(w->ssl))
			(void)SSL_shutdown(w->ssl);
		SSL_free(w->ssl);
		ERR_clear_error();
	}
	w->ssl = NULL;
	w->tls_wants_write = false;
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}
