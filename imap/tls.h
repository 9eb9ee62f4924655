/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The part of net.h that knows certificates: the account's settings, and the
 * sentences that say why a certificate is refused. For net.c only.
 */
#ifndef IMAPFS_IMAP_TLS_H
#define IMAPFS_IMAP_TLS_H

#include <openssl/ssl.h>

#include "imap/net.h"

/* What was found wrong with the peer's chain; lives as long as the SSL. */
struct tls_verdict {
	const char *host;
	char name[256]; /* the same, for as long as the SSL; "": too long */
	char text[IMAP_ERROR_TEXT]; /* "": nothing */
};

/*
 * A client's SSL over `bio` (taken over in every case), that verifies for
 * `host`, and resumes a session of this account if there is one of that host.
 * `verdict` is filled while it shakes hands. -ENOMEM, -EINVAL: `host`
 * can not be a name in a certificate.
 */
MUST_CHECK int tls_start(struct net_tls *tls, BIO *bio,
			 struct tls_verdict *verdict, SSL **ret);

/*
 * After the handshake, a resumed one too: a pinned certificate must be the
 * one, any other must have been verified. False: it is not so, and the verdict
 * says why.
 */
bool tls_is_trusted(const struct net_tls *tls, SSL *ssl,
		    struct tls_verdict *verdict);

/* A handshake failed: resume none of the sessions that are known by now. */
void tls_forget_sessions(struct net_tls *tls);

/*
 * Fill `why` after SSL_do_handshake() gave up with `code` of SSL_get_error();
 * OpenSSL's queue of errors must be as it left it. Returns -EPROTO, or
 * -ENOTCONN if it was the connection.
 */
int tls_handshake_failed(const struct tls_verdict *verdict, int code,
			 uint16_t port, struct imap_error *why);

#endif
