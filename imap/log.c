/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/log.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "imap/lock.h"

/*
 * A line is formatted and escaped on the caller's stack, put into the ring
 * with `guard` held, and written to stderr or syslog with no lock held, so
 * that a slow reader of stderr delays only the thread that logs.
 *
 * Rate limit: one counter a second for each module (the text up to the first
 * `:`). Debug and wire lines are what the user asked for with -d, so they are
 * not counted. What was left out is said by the first line, of any module,
 * that comes after the second is over.
 *
 * The caller's errno is kept, so that logging an error does not change it.
 */

#define LINE_MAX_BYTES 1024
#define WIRE_MAX_BYTES 512
#define MODULES 16
#define MODULE_NAME 24

struct module {
	char name[MODULE_NAME];
	int64_t since_ms;
	unsigned lines;
	unsigned dropped;
};

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",
	[LOG_LEVEL_WIRE] = "wire",
};

/* Read by every thread at every line, changed once: no lock is needed. */
static _Atomic enum log_level max_level = LOG_LEVEL_INFO;
static _Atomic enum log_target target_now = LOG_TO_STDERR;

static struct lock guard = {PTHREAD_MUTEX_INITIALIZER, RANK_LOG};

/* guard: */
static char ring[LOG_RING_BYTES];
static uint64_t ring_end; /* bytes ever written */
static struct module modules[MODULES];

void log_setup(enum log_level max, enum log_target target)
{
	/* After a fork another thread's hold on the lock is nobody's. */
	lock_init(&guard, RANK_LOG);
	log_turn(max, target);
}

void log_turn(enum log_level max, enum log_target target)
{
	if (target == LOG_TO_SYSLOG)
		openlog("mount.imapfs", LOG_PID, LOG_DAEMON);
	max_level = max;
	target_now = target;
}

enum log_level log_max_level(void)
{
	return max_level;
}

/* --- text --- */

/*
 * Copy with control characters, DEL and backslashes written as escapes;
 * `all`: every byte that is not printable ASCII too. Returns the length of
 * the result, which ends in NUL.
 */
static size_t escape(char *to, size_t size, const char *from, size_t n,
		     bool all)
{
	static const char hex[] = "0123456789abcdef";
	size_t out = 0;

	for (size_t i = 0; i < n && out + 5 < size; i++) {
		unsigned char c = (unsigned char)from[i];
		bool plain = c >= 0x20 && c != 0x7f && (c < 0x80 || !all);

		if (plain) {
			to[out++] = (char)c;
			continue;
		}
		to[out++] = '\\';
		if (c == '\r' || c == '\n' || c == '\t') {
			to[out++] = "tn..r"[c - '\t'];
			continue;
		}
		to[out++] = 'x';
		to[out++] = hex[c >> 4];
		to[out++] = hex[c & 15];
	}
	to[out] = '\0';
	return out;
}

/* --- ring and rate --- */

static void ring_put(const char *bytes, size_t n) REQUIRES(guard)
{
	for (size_t i = 0; i < n; i++)
		ring[ring_end++ % LOG_RING_BYTES] = bytes[i];
}

static void ring_add(enum log_level level, const char *text) REQUIRES(guard)
{
	char head[64];
	struct tm tm;
	time_t now = time(NULL);
	int n;

	if (level > LOG_LEVEL_INFO && level > max_level)
		return;
	gmtime_r(&now, &tm);
	n = (int)strftime(head, 32, "%Y-%m-%dT%H:%M:%SZ ", &tm);
	n += snprintf(head + n, sizeof(head) - (size_t)n,
		      "%s: ", level_names[level]);
	ring_put(head, (size_t)n);
	ring_put(text, strlen(text));
	ring_put("\n", 1);
}

static void write_out(enum log_level level, const char *text)
{
	static const int priorities[] = {
		[LOG_LEVEL_ERROR] = LOG_ERR,  [LOG_LEVEL_WARN] = LOG_WARNING,
		[LOG_LEVEL_INFO] = LOG_INFO,  [LOG_LEVEL_DEBUG] = LOG_DEBUG,
		[LOG_LEVEL_WIRE] = LOG_DEBUG,
	};
	char line[LINE_MAX_BYTES + 64];
	int n;

	if (level > max_level || target_now == LOG_TO_NOWHERE)
		return;
	if (target_now == LOG_TO_SYSLOG) {
		syslog(priorities[level], "%s: %s", level_names[level], text);
		return;
	}
	n = snprintf(line, sizeof(line), "mount.imapfs: %s: %s\n",
		     level_names[level], text);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(line))
		n = sizeof(line) - 1;
	/* One write a line; there is nobody to tell if stderr is gone. */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

static struct module *find_module(const char *text, int64_t now) REQUIRES(guard)
{
	const char *colon = strchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : strlen(text);
	struct module *oldest = &modules[0];

	if (n >= MODULE_NAME)
		n = MODULE_NAME - 1;
	for (struct module *m = modules; m < modules + MODULES; m++) {
		if (strncmp(m->name, text, n) == 0 && m->name[n] == '\0')
			return m;
		if (m->since_ms < oldest->since_ms)
			oldest = m;
	}
	memset(oldest, 0, sizeof(*oldest));
	memcpy(oldest->name, text, n);
	oldest->since_ms = now;
	return oldest;
}

/* May this line pass? */
static bool rate_allows(const char *text, int64_t now) REQUIRES(guard)
{
	struct module *m = find_module(text, now);

	if (now - m->since_ms >= 1000) {
		m->since_ms = now;
		m->lines = 0;
	}
	if (m->lines < LOG_BURST) {
		m->lines++;
		return true;
	}
	m->dropped++;
	return false;
}

/* One module whose second is over and that was cut off: say so. */
static bool take_dropped(int64_t now, char *text, size_t size) REQUIRES(guard)
{
	for (struct module *m = modules; m < modules + MODULES; m++) {
		if (m->dropped == 0 || now - m->since_ms < 1000)
			continue;
		(void)snprintf(text, size, "%s: %u lines left out", m->name,
			       m->dropped);
		m->dropped = 0;
		ring_add(LOG_LEVEL_WARN, text);
		return true;
	}
	return false;
}

static void say_dropped(int64_t now)
{
	char text[MODULE_NAME + 40];
	bool more = true;

	while (more) {
		lock_take(&guard);
		more = take_dropped(now, text, sizeof(text));
		lock_drop(&guard);
		if (more)
			write_out(LOG_LEVEL_WARN, text);
	}
}

static void put_line(enum log_level level, const char *text)
{
	int64_t now = clock_now_ms();
	bool pass = true;

	say_dropped(now);
	lock_take(&guard);
	if (level <= LOG_LEVEL_INFO)
		pass = rate_allows(text, now);
	if (pass)
		ring_add(level, text);
	lock_drop(&guard);
	if (pass)
		write_out(level, text);
}

/* --- the interface --- */

void log_write(enum log_level level, const char *fmt, ...)
{
	char raw[LINE_MAX_BYTES];
	char line[LINE_MAX_BYTES];
	int saved = errno;
	va_list ap;
	int n;

	if (level > LOG_LEVEL_INFO && level > max_level)
		return;

	va_start(ap, fmt);
	n = vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	if (n >= 0) {
		escape(line, sizeof(line), raw, strlen(raw), false);
		put_line(level, line);
	}
	errno = saved;
}

void log_wire(const char *conn, char direction, const void *bytes, size_t n)
{
	char line[LINE_MAX_BYTES];
	char text[LINE_MAX_BYTES - 64];
	int saved = errno;
	bool cut = n > WIRE_MAX_BYTES;

	if (max_level < LOG_LEVEL_WIRE)
		return;

	escape(text, sizeof(text), bytes, cut ? WIRE_MAX_BYTES : n, true);
	(void)snprintf(line, sizeof(line), "%.32s: %c %s%s", conn, direction,
		       text, cut ? "..." : "");
	put_line(LOG_LEVEL_WIRE, line);
	errno = saved;
}

char *log_snapshot(size_t *ret_len)
{
	char *copy = malloc(LOG_RING_BYTES + 1);
	size_t n;
	size_t skip = 0;

	if (!copy)
		return NULL;
	say_dropped(clock_now_ms());

	lock_take(&guard);
	n = ring_end < LOG_RING_BYTES ? (size_t)ring_end : LOG_RING_BYTES;
	for (size_t i = 0; i < n; i++)
		copy[i] = ring[(ring_end - n + i) % LOG_RING_BYTES];
	/* The oldest line may have lost its head. */
	if (ring_end > LOG_RING_BYTES) {
		while (skip < n && copy[skip] != '\n')
			skip++;
		skip += skip < n;
	}
	lock_drop(&guard);

	memmove(copy, copy + skip, n - skip);
	copy[n - skip] = '\0';
	if (ret_len)
		*ret_len = n - skip;
	return copy;
}
