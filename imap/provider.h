/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The table of mail providers: mail domain -> IMAP server. All speak TLS from
 * the first byte on port 993, and take the full address as user name.
 */
#ifndef IMAPFS_IMAP_PROVIDER_H
#define IMAPFS_IMAP_PROVIDER_H

#include <stdbool.h>

/* The server of a mail domain (any case); NULL: not in the table. Static. */
const char *provider_of_domain(const char *domain);

/* Is this (any case) a server of the table? */
bool provider_has_host(const char *host);

#endif
