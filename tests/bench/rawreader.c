/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/*
 * rawreader HOST PORT CAFILE USER PASSWORD MAILBOX COMMAND...
 *
 * What the wire can do: one TLS connection that logs in, opens the mailbox,
 * sends all COMMANDs at once (without tags), and throws the answers away as
 * fast as they come. Prints the seconds from the first COMMAND to the last
 * tagged answer, and the bytes received in that time. The measure for all
 * benches of reading; it parses nothing but the tags at the ends.
 */

#define BUFFER (1 << 18)

struct reader {
	SSL *ssl;
	char tail[16]; /* what may be the begin of a tagged answer */
	size_t n_tail;
	unsigned long long bytes;
};

static void die(const char *what)
{
	fprintf(stderr, "rawreader: %s\n", what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int dial(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *a;
	int fd = -1;

	if (getaddrinfo(host, port, &hints, &list) != 0)
		die("host unknown");
	for (a = list; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	if (fd < 0)
		die("cannot connect");
	return fd;
}

static void say(struct reader *r, const char *text)
{
	size_t done;

	if (SSL_write_ex(r->ssl, text, strlen(text), &done) != 1)
		die("cannot write");
}

/*
 * Read until a line begins with `tag`. Lines of literals could begin with it
 * too; tags are chosen so that no mail has them.
 */
static void read_until(struct reader *r, const char *tag)
{
	static char buf[BUFFER + 32];
	size_t n, keep = 0, want = strlen(tag);

	for (;;) {
		if (SSL_read_ex(r->ssl, buf + keep, BUFFER, &n) != 1)
			die("connection lost");
		r->bytes += n;
		n += keep;
		for (char *p = buf; (p = memmem(p, (size_t)(buf + n - p), tag,
						want)) != NULL;
		     p++)
			if ((p == buf || p[-1] == '\n') &&
			    memchr(p, '\n', (size_t)(buf + n - p)))
				return;
		keep = n < 31 ? n : 31;
		/* A tagged line that is not complete yet stays whole. */
		for (char *p = buf + n - keep; p < buf + n; p++)
			if (p[-1] == '\n' && strncmp(p, tag, want) == 0)
				keep = (size_t)(buf + n - p);
		memmove(buf, buf + n - keep, keep);
	}
}

static void command(struct reader *r, const char *tag, const char *text)
{
	char line[8192];

	snprintf(line, sizeof(line), "%s %s\r\n", tag, text);
	say(r, line);
}

int main(int argc, char *argv[])
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct reader r = {0};
	char line[1024], tag[32];
	double began;

	if (argc < 8)
		die("usage: HOST PORT CAFILE USER PASSWORD MAILBOX COMMAND...");
	if (!ctx || SSL_CTX_load_verify_locations(ctx, argv[3], NULL) != 1)
		die("cannot read CAFILE");
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	r.ssl = SSL_new(ctx);
	if (!r.ssl || SSL_set_fd(r.ssl, dial(argv[1], argv[2])) != 1 ||
	    SSL_connect(r.ssl) != 1)
		die("TLS failed");

	read_until(&r, "* OK");
	snprintf(line, sizeof(line), "LOGIN %s %s", argv[4], argv[5]);
	command(&r, "zqx.login", line);
	read_until(&r, "zqx.login OK");
	snprintf(line, sizeof(line), "EXAMINE \"%s\"", argv[6]);
	command(&r, "zqx.open", line);
	read_until(&r, "zqx.open OK");

	r.bytes = 0;
	began = now();
	for (int i = 7; i < argc; i++) {
		snprintf(tag, sizeof(tag), "zqx.%d", i);
		command(&r, tag, argv[i]);
	}
	snprintf(tag, sizeof(tag), "zqx.%d OK", argc - 1);
	read_until(&r, tag);
	printf("%.6f %llu\n", now() - began, r.bytes);
	return 0;
}
