/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * TLS sessions that can be resumed (RFC 8446 section 2.2, RFC 5077): kept in
 * memory only, for the next connections of one account. For tls.c only.
 *
 * A resumed handshake shows no certificate; what was found good in the full
 * one counts on. So a session is given out only for the host that it was
 * verified for, while its certificate is valid, and not for long.
 */
#ifndef IMAPFS_IMAP_RESUME_H
#define IMAPFS_IMAP_RESUME_H

#include <openssl/ssl.h>

#include "imap/lock.h"

#define RESUME_MAX 8u          /* sessions kept */
#define RESUME_HOST_MAX 256u   /* bytes of a host's name, with its NUL */
#define RESUME_AGE_MAX_S 3600L /* then chain and name are looked at again */

struct resume {
	struct lock lock; /* RANK_TLS, guards what follows */
	char host[RESUME_HOST_MAX];
	SSL_SESSION *kept[RESUME_MAX]; /* the newest last */
	unsigned n;
};

void resume_init(struct resume *r);
void resume_finish(struct resume *r);

/*
 * Keep what servers give to connections of `ctx`, whose application data this
 * becomes; those of its SSLs are a struct tls_verdict.
 */
void resume_allow(struct resume *r, SSL_CTX *ctx);

/*
 * Let `ssl`, before its handshake, try to resume a session of `host`. One of
 * TLS 1.3 is used up by that, so that nobody who watches can tell that two
 * connections belong together (RFC 8446 appendix C.4).
 */
void resume_offer(struct resume *r, const char *host, SSL *ssl);

/* Forget all: a handshake went wrong. */
void resume_forget(struct resume *r);

#endif
