/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What secret.c (finding it) and secret_renew.c (another token) share. */
#ifndef IMAPFS_IMAP_SECRET_PRIVATE_H
#define IMAPFS_IMAP_SECRET_PRIVATE_H

#include "imap/lock.h"
#include "imap/secret.h"

#define SECRET_COMMAND_MS 30000 /* for passcmd and tokencmd */

struct secret {
	struct lock lock; /* RANK_SECRET */
	enum secret_kind kind;
	char *tokencmd;
	struct lock_cond renewed;
	bool renewing;   /* lock: somebody runs tokencmd */
	bool is_refused; /* lock: no server takes this token any more */
	pid_t locked_by; /* lock: the process that has locked the memory */
	size_t n;        /* lock */
	char bytes[SECRET_MAX + 2]; /* lock; one more, to notice what is over */
};

/* In locked memory; NULL: no memory. secret_free(). */
struct secret *secret_make(enum secret_kind kind);
/* What the command of this option prints becomes the secret. -EACCES. */
MUST_CHECK int secret_run(struct secret *s, const char *option,
			  const char *command, struct imap_error *why);
/* Write why; -EACCES. */
int secret_refuse(struct imap_error *why, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
