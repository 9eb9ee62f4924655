/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Filling a struct imap_error; each returns the code that it fills in. Used
 * where a connection is made: dial.c, net.c, tls.c.
 */
#ifndef IMAPFS_IMAP_WHY_H
#define IMAPFS_IMAP_WHY_H

#include "imap/imap.h"

int net_fail(struct imap_error *why, int code, enum imap_fault fault,
	     const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* -ECANCELED */
int net_fail_canceled(struct imap_error *why);

/* -ETIMEDOUT, with the seconds since `since_ms`. */
int net_fail_timeout(const char *host, uint16_t port, int64_t since_ms,
		     struct imap_error *why);

#endif
