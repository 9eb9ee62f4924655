/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/secret_private.h"

#include "imap/locked.h"
#include "imap/netrc.h"
#include "imap/prompt.h"
#include "imap/shell.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Where the secret comes from, in order; each source reads straight into the
 * locked memory of a struct secret. The first source that is there decides: if
 * it fails, that is an error, and no other one is tried, so that nobody logs
 * in with another password than the one that was configured.
 *
 * secret_get() and secret_renew() may come from any thread; the lock is not
 * held while a command runs.
 */

#define NETRC_SIZE_MAX 65536
#define APP_PASSWORD_LETTERS 16

int secret_refuse(struct imap_error *why, const char *fmt, ...)
{
	va_list ap;

	why->code = -EACCES;
	why->fault = FAULT_AUTH;
	va_start(ap, fmt);
	vsnprintf(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	return -EACCES;
}

void secret_wipe(void *buf, size_t n)
{
	explicit_bzero(buf, n);
}

struct secret *secret_make(enum secret_kind kind)
{
	struct secret *s = locked_alloc(sizeof(*s));

	if (!s)
		return NULL;
	lock_init(&s->lock, RANK_SECRET);
	lock_cond_init(&s->renewed);
	s->kind = kind;
	s->locked_by = getpid();
	return s;
}

void secret_stay(struct secret *s)
{
	locked_stay(s, sizeof(*s));
}

void secret_free(struct secret *s)
{
	if (!s)
		return;
	free(s->tokencmd);
	lock_cond_finish(&s->renewed);
	lock_finish(&s->lock);
	locked_free(s, sizeof(*s));
}

/* Drop one newline; what is left must be one line that IMAP can carry. */
static int check_bytes(char *bytes, size_t *n, const char *source,
		       struct imap_error *why)
{
	size_t len = *n;

	if (len > 0 && bytes[len - 1] == '\n')
		len--;
	if (len > 0 && len < *n && bytes[len - 1] == '\r')
		len--;
	if (len == 0)
		return secret_refuse(why, "The password from %s is empty.",
				     source);
	if (len > SECRET_MAX)
		return secret_refuse(why,
				     "The password from %s is longer than %d "
				     "bytes.",
				     source, SECRET_MAX);
	if (memchr(bytes, '\n', len) || memchr(bytes, '\r', len) ||
	    memchr(bytes, '\0', len))
		return secret_refuse(why,
				     "The password from %s is more than one "
				     "line.",
				     source);
	*n = len;
	return 0;
}

/*
 * Google shows app passwords as four groups of four letters. Only that shape
 * is touched: any other password may have blanks of its own.
 */
static void join_groups(struct secret *s, const char *host)
{
	char joined[APP_PASSWORD_LETTERS];
	size_t n = 0;

	if (strcasecmp(host, "imap.gmail.com") != 0 &&
	    strcasecmp(host, "imap.googlemail.com") != 0)
		return;
	for (size_t i = 0; i < s->n; i++) {
		if (s->bytes[i] == ' ')
			continue;
		if (n == sizeof(joined) || !isalpha((unsigned char)s->bytes[i]))
			goto out;
		joined[n++] = s->bytes[i];
	}
	if (n == sizeof(joined)) {
		explicit_bzero(s->bytes, s->n);
		memcpy(s->bytes, joined, n);
		s->n = n;
	}
out:
	explicit_bzero(joined, sizeof(joined));
}

int secret_run(struct secret *s, const char *option, const char *command,
	       struct imap_error *why)
{
	char reason[SHELL_WHY];
	int r = shell_read(command, SECRET_COMMAND_MS, s->bytes,
			   sizeof(s->bytes), &s->n, reason);

	if (r < 0)
		return secret_refuse(why, "The command of %s %s.", option,
				     reason);
	return check_bytes(s->bytes, &s->n, option, why);
}

/* What must hold of a file before its secret is used. */
enum trust { TRUST_OWNER_ONLY, TRUST_SYSTEMD };

static int check_owner(int fd, const char *path, struct imap_error *why)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return secret_refuse(why,
				     "The file '%.200s' cannot be read: %s.",
				     path, strerrordesc_np(errno));
	if (st.st_uid != geteuid())
		return secret_refuse(why,
				     "The file '%.200s' with the password "
				     "belongs to somebody else.",
				     path);
	if (st.st_mode & 077)
		return secret_refuse(why,
				     "The file '%.200s' with the password is "
				     "open to others: run chmod 600 on it.",
				     path);
	return 0;
}

/*
 * Open a regular file, whatever stands there: a FIFO must not block us.
 * -ENOENT: there is none (no sentence).
 */
static int open_file(const char *path, int *ret, struct imap_error *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return -ENOENT;
	if (fd < 0)
		return secret_refuse(why,
				     "The file '%.200s' cannot be read: %s.",
				     path, strerrordesc_np(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return secret_refuse(why, "'%.200s' is not a regular file.",
				     path);
	}
	*ret = fd;
	return 0;
}

static int read_all(int fd, const char *path, char *buf, size_t size,
		    size_t *ret_n, struct imap_error *why)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, buf + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return secret_refuse(why,
					     "The file '%.200s' cannot be "
					     "read: %s.",
					     path, strerrordesc_np(errno));
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret_n = len;
	return 0;
}

/* A file that holds the password and nothing else. */
static int read_file(struct secret *s, const char *path, enum trust trust,
		     struct imap_error *why)
{
	int fd = -1;
	int r = open_file(path, &fd, why);

	if (r < 0)
		return r;
	if (trust == TRUST_OWNER_ONLY)
		r = check_owner(fd, path, why);
	if (r == 0)
		r = read_all(fd, path, s->bytes, sizeof(s->bytes), &s->n, why);
	close(fd);
	return r < 0 ? r : check_bytes(s->bytes, &s->n, path, why);
}

/*
 * One of ~/.authinfo and ~/.netrc. -ENOENT: no file, or nothing in it for us;
 * only a file that has our password in it must be closed to others.
 */
static int read_netrc(struct secret *s, const char *path,
		      const struct secret_sources *src, struct imap_error *why)
{
	struct netrc_query query = {src->host, src->user, src->port};
	char *text;
	size_t n = 0;
	int fd = -1;
	int r = open_file(path, &fd, why);

	if (r < 0)
		return r;
	text = locked_alloc(NETRC_SIZE_MAX);
	r = text ? read_all(fd, path, text, NETRC_SIZE_MAX, &n, why) : -ENOMEM;
	if (r == 0 && n == NETRC_SIZE_MAX)
		r = secret_refuse(why, "The file '%.200s' is too large.", path);
	if (r == 0)
		r = netrc_find(text, n, &query, s->bytes, sizeof(s->bytes),
			       &s->n);
	locked_free(text, NETRC_SIZE_MAX);
	if (r == -EFBIG)
		r = secret_refuse(why, "The password in '%.200s' is too long.",
				  path);
	if (r == 0)
		r = check_owner(fd, path, why);
	close(fd);
	return r < 0 ? r : check_bytes(s->bytes, &s->n, path, why);
}

static int read_credential(struct secret *s, struct imap_error *why)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): before the first thread */
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char *path;
	int r;

	if (!dir || dir[0] != '/')
		return -ENOENT;
	if (asprintf(&path, "%s/imapfs", dir) < 0)
		return -ENOMEM;
	/* Mode and owner are systemd's affair: with User= an ACL lets us in. */
	r = read_file(s, path, TRUST_SYSTEMD, why);
	free(path);
	return r;
}

static int read_home(struct secret *s, const struct secret_sources *src,
		     struct imap_error *why)
{
	static const char *const names[] = {".authinfo", ".netrc"};
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): before the first thread */
	const char *home = getenv("HOME");
	int r = -ENOENT;

	if (!home || home[0] != '/')
		return -ENOENT;
	for (size_t i = 0; i < 2 && r == -ENOENT; i++) {
		char *path;

		if (asprintf(&path, "%s/%s", home, names[i]) < 0)
			return -ENOMEM;
		r = read_netrc(s, path, src, why);
		free(path);
	}
	return r;
}

static int read_prompt(struct secret *s, const struct secret_sources *src,
		       struct imap_error *why)
{
	char question[512];
	int r;

	if (!src->may_prompt)
		return -ENOENT;
	snprintf(question, sizeof(question),
		 "Password for %.200s on %.200s: ", src->user, src->host);
	r = prompt_read(question, s->bytes, sizeof(s->bytes), &s->n);
	if (r == -ENXIO)
		return -ENOENT;
	if (r == -EINTR) {
		(void)secret_refuse(why, "No password was given.");
		why->code = -EINTR;
		return -EINTR;
	}
	if (r == -EFBIG)
		return secret_refuse(why,
				     "The password is longer than %d bytes.",
				     SECRET_MAX);
	return r < 0 ? r : check_bytes(s->bytes, &s->n, "the prompt", why);
}

static int find(struct secret *s, const struct secret_sources *src,
		struct imap_error *why)
{
	int r;

	if (src->passcmd)
		return secret_run(s, "passcmd=", src->passcmd, why);
	if (src->passfile) {
		r = read_file(s, src->passfile, TRUST_OWNER_ONLY, why);
		return r != -ENOENT ? r
				    : secret_refuse(why,
						    "There is no passfile "
						    "'%.200s'.",
						    src->passfile);
	}
	if (src->tokencmd) {
		s->kind = SECRET_TOKEN;
		s->tokencmd = strdup(src->tokencmd);
		return s->tokencmd
			       ? secret_run(s, "tokencmd=", src->tokencmd, why)
			       : -ENOMEM;
	}
	r = read_credential(s, why);
	if (r == -ENOENT)
		r = read_home(s, src, why);
	if (r == -ENOENT)
		r = read_prompt(s, src, why);
	if (r == -ENOENT)
		r = secret_refuse(why,
				  "There is no password for %.100s on %.100s: "
				  "use passcmd=, passfile=, tokencmd=, "
				  "~/.authinfo or ~/.netrc, or mount from a "
				  "terminal.",
				  src->user, src->host);
	return r;
}

int secret_find(const struct secret_sources *src, struct secret **ret,
		struct imap_error *why)
{
	struct secret *s = secret_make(SECRET_PASSWORD);
	int r;

	if (!s)
		return -ENOMEM;
	r = find(s, src, why);
	if (r < 0) {
		secret_free(s);
		return r;
	}
	if (s->kind == SECRET_PASSWORD)
		join_groups(s, src->host);
	*ret = s;
	return 0;
}

int secret_new(enum secret_kind kind, const char *bytes, size_t n,
	       struct secret **ret)
{
	struct secret *s;

	if (n == 0 || n > SECRET_MAX || memchr(bytes, '\0', n))
		return -EINVAL;
	s = secret_make(kind);
	if (!s)
		return -ENOMEM;
	memcpy(s->bytes, bytes, n);
	s->n = n;
	*ret = s;
	return 0;
}

enum secret_kind secret_kind(const struct secret *s)
{
	return s->kind;
}

void secret_get(struct secret *s, char *buf, size_t *ret_n)
{
	lock_take(&s->lock);
	if (s->locked_by != getpid()) {
		locked_again(s, sizeof(*s));
		s->locked_by = getpid();
	}
	memcpy(buf, s->bytes, s->n);
	buf[s->n] = '\0';
	*ret_n = s->n;
	lock_drop(&s->lock);
}
