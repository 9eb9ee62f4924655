/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A byte stream to the server: socket, TLS, compression, cancellation,
 * time-outs.
 *
 * A `struct net` belongs to one thread; only net_wake() and
 * the counters may be called from others. Nothing here blocks longer than the
 * deadline that it is given, and net_wake() ends any wait. Names are resolved
 * in a detached thread that owns its data, since getaddrinfo(3) cannot be
 * cancelled. TLS is 1.2 or later, with chain, host name (or IP address) and
 * SNI, or a pinned certificate; sessions are resumed by later connections to
 * the same host with the same settings.
 *
 * Errors: -ECANCELED (woken while connecting), -ETIMEDOUT, -ENOTCONN (refused,
 * reset, ended by the peer, host unknown), -EPROTO (TLS), -ENOMEM. Each fills
 * `why` with a fault and a sentence.
 */
#ifndef IMAPFS_IMAP_NET_H
#define IMAPFS_IMAP_NET_H

#include "imap/imap.h"

struct net;

/*
 * An account's TLS settings, made once, shared by its connections; they also
 * hold the sessions to be resumed. Outlives them.
 */
struct net_tls;

/* -EINVAL with `why`: cafile unreadable, or pin not 64 hex digits. */
MUST_CHECK int net_tls_new(const char *cafile, const char *pin_sha256,
			   struct net_tls **ret, struct imap_error *why);
void net_tls_free(struct net_tls *tls);

MUST_CHECK int net_new(struct net **ret);
void net_free(struct net *n);

/*
 * From the next connection on: it counts as lost when the peer's kernel has
 * acknowledged nothing for so long (TCP_USER_TIMEOUT). Call before
 * net_connect(); otherwise that is the system's choice, a quarter of an hour.
 */
void net_set_patience(struct net *n, unsigned ms);

/*
 * Resolve, connect (every address in turn, IPv6 and IPv4), and for `tls`
 * shake hands. `loopback_only`: refuse to connect to any address that is not
 * in 127.0.0.0/8 or ::1 (-EINVAL).
 */
MUST_CHECK int net_connect(struct net *n, const char *host, uint16_t port,
			   bool loopback_only, int64_t deadline_ms,
			   struct imap_error *why);

/* The handshake, also in the middle of a connection (STARTTLS). */
MUST_CHECK int net_start_tls(struct net *n, struct net_tls *tls,
			     const char *host, int64_t deadline_ms,
			     struct imap_error *why);

/*
 * A moment before that part of connecting, or of the handshake, after which the
 * peer may speak: it has been asked to no earlier. (One after it says nothing:
 * this thread may have stood still between the two.)
 */
int64_t net_asked_ms(const struct net *n);

/*
 * From here on both ways are compressed (RFC 4978), until net_close(). The
 * `n_bytes` of `early` (at most NET_EARLY_MAX) are compressed ones that were
 * read already. -ENOTCONN: not open, or compressed already; -ENOMEM.
 */
#define NET_EARLY_MAX 65536u
MUST_CHECK int net_start_deflate(struct net *n, const void *early,
				 size_t n_bytes);

/*
 * Read what is there, at most `n` bytes, without waiting: > 0 bytes, 0 nothing
 * now, -ENOTCONN at the end of the stream, -EPROTO broken TLS, -EBADMSG what
 * came cannot be decompressed.
 */
MUST_CHECK long net_read(struct net *n, void *buf, size_t n_bytes);

/*
 * Write what goes without waiting: bytes taken (0: none now), or an error.
 * After 0 the next call must offer the same bytes again (more may follow).
 */
MUST_CHECK long net_write(struct net *n, const void *buf, size_t n_bytes);

/*
 * Wait until something can be read (always looked for), written (if
 * `want_write`), net_wake() was called, or the deadline is over. What TLS or
 * the decompressor has buffered counts as readable.
 */
enum net_ready {
	NET_TIMEOUT = 0,
	NET_READABLE = 1 << 0,
	NET_WRITABLE = 1 << 1,
	NET_WOKEN = 1 << 2,
};
MUST_CHECK unsigned net_wait(struct net *n, bool want_write,
			     int64_t deadline_ms);

/*
 * End a wait, now or the next one; that may be the wait of net_connect() or
 * net_start_tls(), which then give up. Any thread, async-signal-safe.
 */
void net_wake(struct net *n);

/* Close the socket at once; the struct may connect again. */
void net_close(struct net *n);

bool net_is_open(const struct net *n);
bool net_is_tls(const struct net *n);
bool net_is_resumed(const struct net *n); /* TLS, by a short handshake */
bool net_is_compressed(const struct net *n);

/* Bytes on the wire since net_new(), over all its connections. Any thread. */
uint64_t net_bytes_in(const struct net *n);
uint64_t net_bytes_out(const struct net *n);

/* The same before compression and TLS: what net_read() and net_write() took. */
uint64_t net_plain_in(const struct net *n);
uint64_t net_plain_out(const struct net *n);

#endif
