/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the tests of the network code share: a connection, a certificate
 * authority, a good certificate, and an echo.
 */
#ifndef IMAPFS_TEST_NET_SCENE_H
#define IMAPFS_TEST_NET_SCENE_H

#include <stddef.h>
#include <stdint.h>

#include "imap/net.h"
#include "tls_server.h"

#define DAY 86400L

extern char folder[];
extern char cafile[64]; /* of `ca`, in `folder` */
extern struct cert ca;
extern struct cert good; /* localhost and 127.0.0.1, by `ca` */
extern struct net *net;
extern struct imap_error why;

/* A deadline that is not reached if all goes well. */
int64_t soon(void);

struct net_tls *trusting(const char *file, const char *pin);

/* A fresh connection to `s` as `host`; the result of the handshake. */
int shake(struct server *s, struct net_tls *tls, const char *host);
/* Close it, stop the server, free `tls`. */
void done(struct server *s, struct net_tls *tls);

void send_all(const char *bytes, size_t n);
long read_some(char *buf, size_t size);

/* What is sent comes back, and is counted. */
void echo_works(void);

/* For the group, and for each test. */
int set_up(void **state);
int tear_down(void **state);
int open_net(void **state);
int free_net(void **state);

#define CASE(f) cmocka_unit_test_setup_teardown(f, open_net, free_net)

#endif
