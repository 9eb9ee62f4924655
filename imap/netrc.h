/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The format of ~/.netrc and ~/.authinfo: words `machine HOST login USER
 * password PASSWORD port PORT`, `default` for any machine, "quoted words" with
 * backslash escapes, `#` comments, `macdef` up to an empty line.
 */
#ifndef IMAPFS_IMAP_NETRC_H
#define IMAPFS_IMAP_NETRC_H

#include "imap/mail.h"

struct netrc_query {
	const char *host;
	const char *user;
	uint16_t port;
};

/*
 * The password of the first entry that fits: its machine is the host, the mail
 * domain of the user, or any (`default`); its login is the user, or missing;
 * its port is the port, `imap` or `imaps`, or missing. Goes to `buf` (`size`
 * bytes, not terminated), its length to `*ret_n`.
 * -ENOENT: none; -EFBIG: it does not fit.
 */
MUST_CHECK int netrc_find(const char *text, size_t n,
			  const struct netrc_query *query, char *buf,
			  size_t size, size_t *ret_n);

#endif
