/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

/*
 * rawreader [-z] [-o FOLDER] HOST PORT CAFILE USER PASSWORD MAILBOX COMMAND...
 *
 * What the wire can do: one TLS connection that logs in, opens the mailbox,
 * sends all COMMANDs at once (without tags), and throws the answers away as
 * fast as they come. The measure for all benches of reading: it understands
 * nothing but where lines and literals end.
 *
 *   -z         COMPRESS=DEFLATE (RFC 4978) after the login
 *   -o FOLDER  each literal becomes a file there, named by its number
 *
 * Prints one line of JSON: `connect`, seconds until the mailbox is open;
 * `open`, the part of it that opened the mailbox; `seconds` from the first
 * COMMAND to the last tagged answer; `first`, the same to the first byte that
 * came; `wire`, the bytes received in that time inside TLS; `bytes`, the same
 * after inflating; `literals`.
 *
 * One thread; a server that says nothing for two minutes ends it.
 */

#define BUFFER (1 << 18)
#define MAX_LINE (1 << 16)
#define MAX_LITERAL (1UL << 30)
#define SILENCE_S 120

struct reader {
	SSL *ssl;
	bool compressed;
	z_stream up, down;

	char line[MAX_LINE]; /* the line so far */
	size_t n_line;
	bool goes_on; /* it began before a literal */
	size_t literal_left;

	int folder; /* of -o, or -1 */
	char *body; /* the literal so far */
	size_t n_body, room;

	char wanted[32]; /* the tag whose answer is waited for */
	bool answered;

	double first; /* the moment of the first byte, 0: none yet */
	unsigned long long wire, bytes, literals;
};

static void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "rawreader: %s%s%s\n", what, why ? ": " : "",
		      why ? why : "");
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
	struct timeval patience = {.tv_sec = SILENCE_S};
	int fd = -1;

	if (getaddrinfo(host, port, &hints, &list) != 0)
		die("host unknown", host);
	for (a = list; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	if (fd < 0)
		die("cannot connect", NULL);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
			 sizeof(patience));
	return fd;
}

static void send_bytes(struct reader *r, const void *data, size_t n)
{
	size_t done;

	if (n > 0 && SSL_write_ex(r->ssl, data, n, &done) != 1)
		die("cannot write", NULL);
}

static void say(struct reader *r, const char *text)
{
	static unsigned char out[BUFFER];

	if (!r->compressed) {
		send_bytes(r, text, strlen(text));
		return;
	}
	r->up.next_in = (unsigned char *)text;
	r->up.avail_in = (unsigned)strlen(text);
	r->up.next_out = out;
	r->up.avail_out = sizeof(out);
	if (deflate(&r->up, Z_SYNC_FLUSH) != Z_OK || r->up.avail_out == 0)
		die("cannot compress", NULL);
	send_bytes(r, out, sizeof(out) - r->up.avail_out);
}

/* A literal is complete: with -o it becomes a file. */
static void literal_end(struct reader *r)
{
	char name[32];
	int fd;

	r->literals++;
	if (r->folder < 0)
		return;
	snprintf(name, sizeof(name), "%llu", r->literals);
	fd = openat(r->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		    0600);
	if (fd < 0 || write(fd, r->body, r->n_body) != (ssize_t)r->n_body ||
	    close(fd) != 0)
		die("cannot write the file", name);
	r->n_body = 0;
}

static size_t take_literal(struct reader *r, const char *p, size_t n)
{
	if (n > r->literal_left)
		n = r->literal_left;
	if (r->folder >= 0) {
		memcpy(r->body + r->n_body, p, n);
		r->n_body += n;
	}
	r->literal_left -= n;
	if (r->literal_left == 0)
		literal_end(r);
	return n;
}

/* The number of a line that ends in {n}: a literal follows. */
static bool announces_literal(const char *line, size_t n, size_t *ret)
{
	const char *brace;
	char *end;

	if (n == 0 || line[n - 1] != '}')
		return false;
	brace = memrchr(line, '{', n);
	if (!brace || brace[1] < '0' || brace[1] > '9')
		return false;
	*ret = strtoul(brace + 1, &end, 10);
	return end == line + n - 1;
}

static void line_end(struct reader *r)
{
	size_t n = r->n_line, size = 0, tag = strlen(r->wanted);

	if (n > 0 && r->line[n - 1] == '\r')
		n--;
	r->line[n] = '\0';
	r->n_line = 0;
	if (announces_literal(r->line, n, &size)) {
		if (size > MAX_LITERAL)
			die("a literal too large", r->line);
		if (r->folder >= 0 && size > r->room) {
			r->room = size * 2;
			r->body = realloc(r->body, r->room);
			if (!r->body)
				die("no memory", NULL);
		}
		r->literal_left = size;
		r->goes_on = true;
		if (size == 0)
			literal_end(r);
		return;
	}
	if (!r->goes_on && strncmp(r->line, r->wanted, tag) == 0) {
		if (r->line[0] != '*' && strncmp(r->line + tag, " OK", 3) != 0)
			die("refused", r->line);
		r->answered = true;
	}
	r->goes_on = false;
}

static size_t take_line(struct reader *r, const char *p, size_t n)
{
	const char *end = memchr(p, '\n', n);
	size_t take = end ? (size_t)(end - p) : n;

	if (r->n_line + take >= MAX_LINE)
		die("a line too long", NULL);
	memcpy(r->line + r->n_line, p, take);
	r->n_line += take;
	if (!end)
		return take;
	line_end(r);
	return take + 1;
}

static void take(struct reader *r, const char *p, size_t n)
{
	r->bytes += n;
	while (n > 0) {
		size_t used = r->literal_left ? take_literal(r, p, n)
					      : take_line(r, p, n);

		p += used;
		n -= used;
	}
}

static void take_compressed(struct reader *r, const unsigned char *p, size_t n)
{
	static unsigned char out[BUFFER];

	r->down.next_in = (unsigned char *)p;
	r->down.avail_in = (unsigned)n;
	do {
		int z;

		r->down.next_out = out;
		r->down.avail_out = sizeof(out);
		z = inflate(&r->down, Z_SYNC_FLUSH);
		if (z != Z_OK && z != Z_BUF_ERROR)
			die("cannot inflate", r->down.msg);
		take(r, (char *)out, sizeof(out) - r->down.avail_out);
	} while (r->down.avail_out == 0);
}

static void read_answer(struct reader *r, const char *tag)
{
	static unsigned char buf[BUFFER];
	size_t n;

	snprintf(r->wanted, sizeof(r->wanted), "%s", tag);
	r->answered = false;
	while (!r->answered) {
		if (SSL_read_ex(r->ssl, buf, sizeof(buf), &n) != 1)
			die("connection lost", NULL);
		if (r->first == 0)
			r->first = now();
		r->wire += n;
		if (r->compressed)
			take_compressed(r, buf, n);
		else
			take(r, (char *)buf, n);
	}
}

static void ask(struct reader *r, const char *tag, const char *verb,
		const char *arguments)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "%s %s %s\r\n", tag, verb,
			 arguments);

	if (n >= (int)sizeof(line))
		die("arguments too long", verb);
	say(r, line);
	read_answer(r, tag);
}

static void connect_tls(struct reader *r, char **arg)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	char words[512];

	if (!ctx || SSL_CTX_load_verify_locations(ctx, arg[2], NULL) != 1)
		die("cannot read CAFILE", arg[2]);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_read_ahead(ctx, 1);
	r->ssl = SSL_new(ctx);
	if (!r->ssl || SSL_set_fd(r->ssl, dial(arg[0], arg[1])) != 1 ||
	    SSL_connect(r->ssl) != 1)
		die("TLS failed", NULL);
	read_answer(r, "* OK");
	snprintf(words, sizeof(words), "%s %s", arg[3], arg[4]);
	ask(r, "zqx.login", "LOGIN", words);
}

/* Both directions from here on; the server waits for our next command. */
static void compress_start(struct reader *r)
{
	ask(r, "zqx.z", "COMPRESS", "DEFLATE");
	if (deflateInit2(&r->up, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS,
			 8, Z_DEFAULT_STRATEGY) != Z_OK ||
	    inflateInit2(&r->down, -MAX_WBITS) != Z_OK)
		die("no memory", NULL);
	r->compressed = true;
}

/* All commands in one go; the answer of the last one is the end. */
static void run_commands(struct reader *r, char **command, int n)
{
	size_t room = 1;
	char *text, tag[32], *at;

	for (int i = 0; i < n; i++)
		room += strlen(command[i]) + 32;
	text = at = malloc(room);
	if (!text)
		die("no memory", NULL);
	for (int i = 0; i < n; i++) {
		snprintf(tag, sizeof(tag), "zqx.c%d", i);
		at += sprintf(at, "%s %s\r\n", tag, command[i]);
	}
	say(r, text);
	free(text);
	read_answer(r, tag);
}

int main(int argc, char *argv[])
{
	static struct reader r = {.folder = -1};
	double began = now(), opening, ready, end;
	bool compressed = false;
	char **arg, mailbox[512];
	int opt;

	while ((opt = getopt(argc, argv, "zo:")) != -1) {
		if (opt == 'z')
			compressed = true;
		else if (opt == 'o')
			r.folder = open(optarg, O_DIRECTORY | O_CLOEXEC);
		if (opt == '?' || (opt == 'o' && r.folder < 0))
			die("bad option", optarg);
	}
	arg = argv + optind;
	if (argc - optind < 7)
		die("usage", "[-z] [-o FOLDER] HOST PORT CAFILE USER PASSWORD "
			     "MAILBOX COMMAND...");
	connect_tls(&r, arg);
	if (compressed)
		compress_start(&r);
	opening = now();
	snprintf(mailbox, sizeof(mailbox), "\"%s\"", arg[5]);
	ask(&r, "zqx.open", "EXAMINE", mailbox);

	r.wire = r.bytes = r.literals = 0;
	r.first = 0;
	ready = now();
	run_commands(&r, arg + 6, argc - optind - 6);
	end = now();
	printf("{\"connect\":%.6f,\"open\":%.6f,\"seconds\":%.6f,"
	       "\"first\":%.6f,\"wire\":%llu,\"bytes\":%llu,"
	       "\"literals\":%llu}\n",
	       ready - began, ready - opening, end - ready, r.first - ready,
	       r.wire, r.bytes, r.literals);
	free(r.body);
	return 0;
}
