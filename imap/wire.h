/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The lowest part of net.h: a non-blocking socket, TLS on top of it if it was
 * started, and the bytes counted as they are on the wire. For net.c only; one
 * thread, but the counters.
 */
#ifndef IMAPFS_IMAP_WIRE_H
#define IMAPFS_IMAP_WIRE_H

#include <stdatomic.h>

#include <openssl/ssl.h>

#include "imap/mail.h"

struct wire {
	int fd;               /* -1: closed */
	SSL *ssl;             /* NULL: plain; of net.c, which started it */
	bool tls_wants_write; /* a read cannot go on before a write */

	/* Counters are read by whoever shows them; nothing depends on them. */
	_Atomic uint64_t bytes_in;
	_Atomic uint64_t bytes_out;
};

/* A BIO over the socket, which raises no signal. NULL: no memory. */
BIO *wire_bio(struct wire *w);

/* As net_read() and net_write(), with `n` > 0, on an open wire. */
MUST_CHECK long wire_read(struct wire *w, void *buf, size_t n);
MUST_CHECK long wire_write(struct wire *w, const void *buf, size_t n);

/* Say goodbye to TLS, without waiting, and close. */
void wire_close(struct wire *w);

#endif
