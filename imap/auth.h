/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Logging in: SASL PLAIN, OAUTHBEARER, XOAUTH2, or LOGIN.
 */
#ifndef IMAPFS_IMAP_AUTH_H
#define IMAPFS_IMAP_AUTH_H

#include "imap/session.h"

/*
 * Log in by the best way that both sides know, and wait for the answer. A
 * token that was refused is renewed once, and tried again if that made another
 * one of it; if it was refused in an earlier login, it is renewed in place of
 * the first try. Negative with `s->why`: -EACCES (FAULT_AUTH), -ENOTCONN
 * (FAULT_LIMIT, or the connection went), and what session_ask() says.
 */
MUST_CHECK int auth_login(struct session *s);

/* Does this answer mean: too many connections? */
bool auth_is_limit(const struct answer *a);

#endif
