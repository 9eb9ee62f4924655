/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making a connection: names, addresses, time. For net.c only.
 */
#ifndef IMAPFS_IMAP_DIAL_H
#define IMAPFS_IMAP_DIAL_H

#include "imap/imap.h"

struct dial {
	const char *host;
	uint16_t port;
	bool loopback_only; /* refuse a host with any other address */
	int wake_fd;        /* readable: give up; it is left readable */
	int64_t deadline_ms;
	unsigned patience_ms; /* net_set_patience() */
};

/* A connected, non-blocking socket. Errors are those of net_connect(). */
MUST_CHECK int dial_host(const struct dial *d, int *ret_fd,
			 struct imap_error *why);

#endif
