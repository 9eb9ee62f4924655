/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The log. Lines read `module: what failed 'object': why`.
 *
 * error: the user must act. warn: something was lost or is degraded. info:
 * mount, connect, reconnect, unmount. debug: one line an operation. wire: the
 * protocol, both directions, without secrets and without bodies.
 *
 * The last LOG_RING_BYTES of info and above (of everything that is enabled,
 * with -d) are kept in memory: they are what `.imapfs/log` shows. No password,
 * token or body is ever given to the log; control characters that a server
 * sent are escaped. A module (the text up to the first `:`) that repeats
 * itself is cut off after LOG_BURST lines a second (debug and wire excepted),
 * and the number of lines left out is said. The caller's errno is kept.
 */
#ifndef IMAPFS_IMAP_LOG_H
#define IMAPFS_IMAP_LOG_H

#include <stdarg.h>
#include <stddef.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_WIRE
};

enum log_target { LOG_TO_STDERR, LOG_TO_SYSLOG, LOG_TO_NOWHERE };

#define LOG_RING_BYTES 65536
#define LOG_BURST 50

/* Call before threads are started; may be called again after a fork. */
void log_setup(enum log_level max, enum log_target target);

/* The same while threads run: lines go elsewhere from now on. */
void log_turn(enum log_level max, enum log_target target);

enum log_level log_max_level(void);

void log_write(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Log `n` protocol bytes (any content) as one escaped line, cut at 512. */
void log_wire(const char *conn, char direction, const void *bytes, size_t n);

/*
 * A copy of the ring, oldest line first, NUL-terminated; yours to free.
 * NULL: out of memory. `*ret_len` may be NULL.
 */
char *log_snapshot(size_t *ret_len);

#endif
