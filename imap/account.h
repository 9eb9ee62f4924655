/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From what the user wrote (`alice@gmail.com`, `imaps://user@host:port/box`)
 * to a server: host, port, TLS, user name. RFC 5092 (URLs), RFC 6186 (SRV).
 */
#ifndef IMAPFS_IMAP_ACCOUNT_H
#define IMAPFS_IMAP_ACCOUNT_H

#include "imap/imap.h"

struct account {
	char *host;
	uint16_t port;
	enum imap_tls tls;
	char *user;
	char *mailbox;   /* UTF-8; the mount shows only it and its children;
			  * NULL: everything */
	bool lookup_srv; /* host is a guess: account_resolve() may do better */
	char *suggested; /* a host that DNS named, but could not be believed:
			  * worth telling if `host` fails; or NULL */
};

struct srv_answer;

/*
 * Parse and look up the table of providers. No network. -EINVAL with `why`: not
 * an address and not a URL, a password in the URL (refused, with the reason),
 * an unknown scheme, a bad port or escape, control characters. -ENOMEM.
 */
MUST_CHECK int account_parse(const char *source, struct account *ret,
			     struct imap_error *why);

/*
 * For an address whose domain is not in the table: ask DNS for
 * _imaps._tcp (then _imap._tcp: STARTTLS), at most `timeout_ms`; else
 * imap.DOMAIN stays. Never fails; a target of "." means no such service and
 * changes nothing. DNS can be forged, so a target outside the mail domain is
 * believed only if the resolver has verified it or it is a server of the
 * table of providers; else it is remembered in `suggested`.
 */
void account_resolve(struct account *a, unsigned timeout_ms);

/* What account_resolve() does with the answer of DNS. */
void account_take_srv(struct account *a, const struct srv_answer *answer);

/*
 * The name under which this account is kept on disk: `user@host`, with every
 * byte other than letters, digits, `.`, `-`, `_`, `@`, `+` written %XX, port
 * appended as `:port` unless it is the standard one; at most 200 bytes, longer
 * ones end in a digest. Yours to free; NULL: out of memory.
 */
char *account_key(const struct account *a);

void account_finish(struct account *a);

#endif
