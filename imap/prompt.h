/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Ask for a password on the terminal.
 */
#ifndef IMAPFS_IMAP_PROMPT_H
#define IMAPFS_IMAP_PROMPT_H

#include "imap/mail.h"

/*
 * Write `question` to /dev/tty and read one line without echo, without its
 * newline, to `buf` (at most `size` bytes), its length to `*ret_n`.
 * -ENXIO: no terminal. -EINTR: Ctrl-C, or the line was ended by Ctrl-D before
 * it began; SIGTERM, SIGHUP and SIGQUIT take their own effect once the
 * terminal is as it was. -EFBIG: the line is too long.
 * Sets signal handlers while it waits: before the first thread only.
 */
MUST_CHECK int prompt_read(const char *question, char *buf, size_t size,
			   size_t *ret_n);

#endif
