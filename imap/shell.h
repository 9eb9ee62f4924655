/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Run a command of the user's and take what it prints: passcmd=, tokencmd=.
 */
#ifndef IMAPFS_IMAP_SHELL_H
#define IMAPFS_IMAP_SHELL_H

#include "imap/mail.h"

#define SHELL_WHY 256

/*
 * `/bin/sh -c command` with stdin from /dev/null. What it writes to stdout
 * goes to `buf`, at most `size` bytes, their number to `*ret_n`. 0 if it exits
 * with 0. Waits at most `timeout_ms`, then kills it.
 * -EACCES: anything else; `why` says what, without a full stop, with the last
 * line of its stderr unless that repeats what was written to stdout. `buf` may
 * then hold a part of a secret: it is the caller's to wipe in any case.
 * Any thread.
 */
MUST_CHECK int shell_read(const char *command, unsigned timeout_ms, char *buf,
			  size_t size, size_t *ret_n, char why[SHELL_WHY]);

#endif
