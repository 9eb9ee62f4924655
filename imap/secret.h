/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Passwords and tokens: where they come from, and memory that is locked
 * (mlock(2), as far as the limits allow), left out of core dumps, and wiped.
 * It survives a fork, since the program goes to the background with it.
 *
 * Sources, the first that is there: passcmd, passfile, tokencmd,
 * $CREDENTIALS_DIRECTORY/imapfs, ~/.authinfo, ~/.netrc, a prompt on the
 * terminal. Whatever the source, one trailing newline is dropped; for hosts of
 * Google the blanks of an app password (16 letters) are removed. The first
 * source that is there decides: if it fails, no other one is tried.
 */
#ifndef IMAPFS_IMAP_SECRET_H
#define IMAPFS_IMAP_SECRET_H

#include "imap/imap.h"

#define SECRET_MAX 8192 /* bytes of a password or token */

struct secret;

struct secret_sources {
	const char *passcmd; /* run by /bin/sh -c; NULL: none */
	const char *passfile;
	const char *tokencmd;
	const char *user; /* looked up in authinfo and netrc */
	const char *host;
	uint16_t port;
	bool may_prompt; /* a terminal is there and may be asked */
};

enum secret_kind { SECRET_PASSWORD, SECRET_TOKEN };

/*
 * Find the secret now (before the first thread and before any fork). The
 * source is remembered. -EACCES with `why`: none found, the file may be read by
 * others, the command failed (its exit status, the last line of its stderr);
 * -EINTR: Ctrl-C at the prompt. -ENOMEM.
 */
MUST_CHECK int secret_find(const struct secret_sources *src,
			   struct secret **ret, struct imap_error *why);

/*
 * Make one of given bytes (tests, and a password from a pipe). -EINVAL: none,
 * more than SECRET_MAX, or a NUL among them; -ENOMEM.
 */
MUST_CHECK int secret_new(enum secret_kind kind, const char *bytes, size_t n,
			  struct secret **ret);

void secret_free(struct secret *s);

/* The program is where it stays: later children do not get a copy. */
void secret_stay(struct secret *s);

enum secret_kind secret_kind(const struct secret *s);

/*
 * A copy of the bytes, NUL-terminated, in the caller's buffer of
 * SECRET_MAX + 1 bytes, which the caller wipes with secret_wipe(). Any thread.
 */
void secret_get(struct secret *s, char *buf, size_t *ret_n);

/*
 * The server has refused this token: get another one. If there is one already,
 * because another connection was refused before, that is it; else tokencmd is
 * run, once for all who ask meanwhile. *ret_is_new: what secret_get() gives now
 * is not what was refused, so it is worth a try. -ENOTCONN (FAULT_LIMIT: it may
 * work later) if the command fails; -EACCES if there is none; -ENOMEM. Any
 * thread; waits for the command, at most 30 s.
 */
MUST_CHECK int secret_renew(struct secret *s, const char *refused,
			    bool *ret_is_new, struct imap_error *why);

/*
 * The server has refused this token, in an answer that says so of it: if it is
 * what secret_get() gives, secret_is_refused() until there is another one. Any
 * thread.
 */
void secret_note_refused(struct secret *s, const char *token);
bool secret_is_refused(struct secret *s);

void secret_wipe(void *buf, size_t n);

#endif
