/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Certificates made on the spot, and a server on 127.0.0.1 with a port of the
 * kernel's choice that serves one connection, or a few, for the tests of the
 * network code. Failures here abort: they are no result of a test.
 */
#ifndef IMAPFS_TEST_TLS_SERVER_H
#define IMAPFS_TEST_TLS_SERVER_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct cert {
	X509 *x509;
	EVP_PKEY *key;
};

/*
 * A certificate for `cn` and, if not NULL, the alternative names `san` (as
 * openssl.cnf writes them: "DNS:a,IP:127.0.0.1"), valid from `from_s` to
 * `to_s` seconds from now, signed by `issuer` (NULL: by itself).
 */
struct cert cert_new(const char *cn, const char *san, const struct cert *issuer,
		     long from_s, long to_s);
void cert_free(struct cert *c);

/* Write it as PEM. */
void cert_save(const struct cert *c, const char *path);

/* SHA-256 of the DER form, 64 hex digits. */
void cert_pin(const struct cert *c, char pin[65]);

enum server_mode {
	SERVE_ECHO,   /* what comes goes back, until the end */
	SERVE_BIG,    /* SERVER_BIG bytes, after the first byte came */
	SERVE_CLOSE,  /* close at once (after the handshake, with a cert) */
	SERVE_SILENT, /* accept, never say a word, until server_stop() */
	SERVE_TEXT,   /* "* OK ready" in plain text, then as SERVE_SILENT */
};

#define SERVER_BIG (3u << 20)

struct server {
	int listener;
	uint16_t port;
	enum server_mode mode;
	const struct cert *cert; /* NULL: no TLS */
	int max_version;         /* of TLS; 0: any */
	unsigned connections;    /* to serve, one after the other; 0: one */
	char sni[128];           /* the name that the client asked for */
	pthread_t thread;
	int stop[2];
};

/* `mode`, `cert` and `max_version` are set by the caller. */
void server_start(struct server *s);

/* End the connection and the thread; `sni` may be read then. */
void server_stop(struct server *s);

#endif
