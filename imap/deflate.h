/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * COMPRESS=DEFLATE (RFC 4978): two raw deflate streams (RFC 1951), one each
 * way, between the wire and the protocol. It does no input or output: net.c
 * moves the bytes. Memory is constant, whatever the peer sends: what comes out
 * goes straight into the caller's buffer, as much as fits there.
 *
 * A `struct deflate` belongs to one thread.
 */
#ifndef IMAPFS_IMAP_DEFLATE_H
#define IMAPFS_IMAP_DEFLATE_H

#include "imap/mail.h"

#define DEFLATE_IN_MAX 65536u  /* compressed bytes held at once */
#define DEFLATE_PIECE 16384u   /* bytes compressed at once */
#define DEFLATE_OUT_MAX 65536u /* bytes handed out at once */

struct deflate;

/* -ENOMEM. */
MUST_CHECK int deflate_new(struct deflate **ret);
void deflate_free(struct deflate *d);

/*
 * Where compressed bytes are to be read to (DEFLATE_IN_MAX of room), and that
 * `n` of them were. Only after deflate_take() said 0.
 */
void *deflate_room(struct deflate *d);
void deflate_came(struct deflate *d, size_t n);

/*
 * Unpack: > 0 bytes in `buf`, at most `n` and DEFLATE_OUT_MAX; 0: more must
 * come first. -ENOTCONN: the peer ended its stream. -EBADMSG: this is no
 * deflate; -ENOMEM. An error stays.
 */
MUST_CHECK long deflate_take(struct deflate *d, void *buf, size_t n);

/* Can deflate_take() go on with what it has? */
bool deflate_has_more(const struct deflate *d);

/*
 * Compress the first bytes of `buf`, so that the peer can unpack all of them:
 * how many were taken, at most DEFLATE_PIECE. Only while deflate_packed()
 * gives nothing.
 */
size_t deflate_put(struct deflate *d, const void *buf, size_t n);

/* What is to be written, `*ret_n` bytes (0: nothing), and that `n` were. */
const void *deflate_packed(const struct deflate *d, size_t *ret_n);
void deflate_written(struct deflate *d, size_t n);

#endif
