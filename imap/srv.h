/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where does DNS say that a domain's mail is read? RFC 6186: SRV records of
 * _imaps._tcp (TLS from the first byte) and _imap._tcp (STARTTLS).
 */
#ifndef IMAPFS_IMAP_SRV_H
#define IMAPFS_IMAP_SRV_H

#include "imap/mail.h"

struct srv_answer {
	char host[256]; /* never empty; not checked further */
	uint16_t port;  /* never 0 */
	bool is_starttls;
	bool is_authentic; /* the resolver has verified it (DNSSEC) */
};

/*
 * Ask, at most `timeout_ms` for both questions. -ENOENT: no such service,
 * no answer, or one that makes no sense. Starts a thread, which ends by itself.
 */
MUST_CHECK int srv_lookup(const char *domain, unsigned timeout_ms,
			  struct srv_answer *ret);

/*
 * Read a DNS message: the record of the lowest priority, the first one among
 * equals (one client spreads no load, so weights mean nothing to it); sets
 * host, port and is_authentic. -ENOENT: none, "." (RFC 6186: no such service),
 * or malformed.
 */
MUST_CHECK int srv_parse(const unsigned char *packet, size_t n,
			 struct srv_answer *ret);

#endif
