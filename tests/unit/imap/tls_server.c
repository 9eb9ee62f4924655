/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tls_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "tls_server: %s failed\n", what);
	abort();
}

/* --- certificates --- */

static void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	must(e && X509_add_ext(x, e, -1) == 1, "X509_add_ext");
	X509_EXTENSION_free(e);
}

struct cert cert_new(const char *cn, const char *san, const struct cert *issuer,
		     long from_s, long to_s)
{
	static long serial = 1;
	struct cert c = {X509_new(), EVP_EC_gen("P-256")};
	X509_NAME *name;

	must(c.x509 && c.key, "EVP_EC_gen");
	name = X509_get_subject_name(c.x509);
	must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					(const unsigned char *)cn, -1, -1,
					0) == 1,
	     "X509_NAME_add_entry_by_txt");
	X509_set_version(c.x509, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c.x509), serial++);
	X509_gmtime_adj(X509_getm_notBefore(c.x509), from_s);
	X509_gmtime_adj(X509_getm_notAfter(c.x509), to_s);
	X509_set_issuer_name(
		c.x509, issuer ? X509_get_subject_name(issuer->x509) : name);
	X509_set_pubkey(c.x509, c.key);
	if (san)
		add_extension(c.x509, issuer ? issuer->x509 : c.x509,
			      NID_subject_alt_name, san);
	else
		add_extension(c.x509, issuer ? issuer->x509 : c.x509,
			      NID_basic_constraints, "critical,CA:TRUE");
	must(X509_sign(c.x509, issuer ? issuer->key : c.key, EVP_sha256()) > 0,
	     "X509_sign");
	return c;
}

void cert_free(struct cert *c)
{
	X509_free(c->x509);
	EVP_PKEY_free(c->key);
}

void cert_save(const struct cert *c, const char *path)
{
	FILE *f = fopen(path, "we");

	must(f && PEM_write_X509(f, c->x509) == 1 && fclose(f) == 0, path);
}

void cert_pin(const struct cert *c, char pin[65])
{
	unsigned char raw[32];
	unsigned n = 0;

	must(X509_digest(c->x509, EVP_sha256(), raw, &n) == 1, "X509_digest");
	for (int i = 0; i < 32; i++)
		(void)sprintf(pin + (size_t)2 * i, "%02x", raw[i]);
}

/* --- the server --- */

static long get(SSL *ssl, int fd, void *buf, int n)
{
	return ssl ? SSL_read(ssl, buf, n) : recv(fd, buf, (size_t)n, 0);
}

static bool put(SSL *ssl, int fd, const char *buf, int n)
{
	while (n > 0) {
		long r = ssl ? SSL_write(ssl, buf, n)
			     : send(fd, buf, (size_t)n, MSG_NOSIGNAL);

		if (r <= 0)
			return false;
		buf += r;
		n -= (int)r;
	}
	return true;
}

static void wait_for_stop(const struct server *s)
{
	struct pollfd p = {.fd = s->stop[0], .events = POLLIN};

	while (poll(&p, 1, -1) < 1)
		;
}

static void serve(const struct server *s, SSL *ssl, int fd)
{
	static const char text[] = "* OK ready\r\n";
	char buf[4096];
	long n;

	switch (s->mode) {
	case SERVE_ECHO:
		while ((n = get(ssl, fd, buf, sizeof(buf))) > 0) {
			if (!put(ssl, fd, buf, (int)n))
				return;
		}
		return;
	case SERVE_BIG:
		if (get(ssl, fd, buf, 1) != 1)
			return;
		memset(buf, 'x', sizeof(buf));
		for (size_t i = 0; i < SERVER_BIG / sizeof(buf); i++) {
			if (!put(ssl, fd, buf, sizeof(buf)))
				return;
		}
		wait_for_stop(s);
		return;
	case SERVE_CLOSE:
		return;
	case SERVE_TEXT:
		(void)put(NULL, fd, text, sizeof(text) - 1);
		wait_for_stop(s);
		return;
	case SERVE_SILENT:
		wait_for_stop(s);
	}
}

/* One for all connections, so that sessions can be resumed. */
static SSL_CTX *make_ctx(const struct server *s)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	must(ctx && SSL_CTX_use_certificate(ctx, s->cert->x509) == 1 &&
		     SSL_CTX_use_PrivateKey(ctx, s->cert->key) == 1,
	     "SSL_CTX_use_certificate");
	if (s->max_version) {
		SSL_CTX_set_security_level(ctx, 0);
		SSL_CTX_set_max_proto_version(ctx, s->max_version);
	}
	return ctx;
}

static void serve_tls(struct server *s, SSL_CTX *ctx, int fd)
{
	const char *sni;
	SSL *ssl;

	ssl = SSL_new(ctx);
	must(ssl && SSL_set_fd(ssl, fd) == 1, "SSL_set_fd");
	if (SSL_accept(ssl) == 1) {
		sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
		(void)snprintf(s->sni, sizeof(s->sni), "%s", sni ? sni : "");
		serve(s, ssl, fd);
		(void)SSL_shutdown(ssl);
	}
	SSL_free(ssl);
}

/* The next connection is served; false: stopped. */
static bool serve_one(struct server *s, SSL_CTX *ctx)
{
	struct pollfd p[2] = {{.fd = s->listener, .events = POLLIN},
			      {.fd = s->stop[0], .events = POLLIN}};
	int fd;

	while (poll(p, 2, -1) < 1)
		;
	if (!(p[0].revents & POLLIN))
		return false;
	fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	must(fd >= 0, "accept");
	if (ctx)
		serve_tls(s, ctx, fd);
	else
		serve(s, NULL, fd);
	close(fd);
	return true;
}

static void *run(void *arg)
{
	struct server *s = arg;
	SSL_CTX *ctx = s->cert ? make_ctx(s) : NULL;
	unsigned left = s->connections ? s->connections : 1;
	sigset_t pipe_only;

	/* OpenSSL's own socket writes may raise it in this thread. */
	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);

	while (left > 0 && serve_one(s, ctx))
		left--;
	SSL_CTX_free(ctx);
	return NULL;
}

void server_start(struct server *s)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	socklen_t n = sizeof(in);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(s->listener >= 0 &&
		     bind(s->listener, (struct sockaddr *)&in, n) == 0 &&
		     listen(s->listener, 8) == 0 &&
		     getsockname(s->listener, (struct sockaddr *)&in, &n) == 0,
	     "listen");
	s->port = ntohs(in.sin_port);
	must(pipe(s->stop) == 0, "pipe");
	must(pthread_create(&s->thread, NULL, run, s) == 0, "pthread_create");
}

void server_stop(struct server *s)
{
	must(write(s->stop[1], "x", 1) == 1, "write");
	pthread_join(s->thread, NULL);
	close(s->stop[0]);
	close(s->stop[1]);
	close(s->listener);
}
