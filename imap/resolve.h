/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Host names to addresses, with a deadline: getaddrinfo(3) cannot be
 * cancelled, so it runs in a detached thread that owns its data, and whoever
 * asked may go away before it answers.
 */
#ifndef IMAPFS_IMAP_RESOLVE_H
#define IMAPFS_IMAP_RESOLVE_H

#include <netdb.h>

#include "imap/mail.h"

/*
 * Addresses of `host` for a TCP stream, in the order in which they should be
 * tried; the caller frees them by freeaddrinfo(3). Waits until `deadline_ms`
 * (clock_now_ms()) or until `wake_fd` is readable (which is left so).
 *
 * -ENOENT: the name is unknown, `*ret_gai` is getaddrinfo's reason.
 * -ETIMEDOUT, -ECANCELED, -ENOMEM (also: no thread can be made).
 */
MUST_CHECK int resolve_host(const char *host, uint16_t port, int wake_fd,
			    int64_t deadline_ms, struct addrinfo **ret,
			    int *ret_gai);

/* Milliseconds until the deadline, as poll(2) wants them: -1 is never. */
int deadline_poll_ms(int64_t deadline_ms);

#endif
