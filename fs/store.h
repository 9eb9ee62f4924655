/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bodies given to the kernel before it asks for them (FUSE_NOTIFY_STORE): a
 * program that goes through a folder then reads from the page cache, and sends
 * no request for most files.
 *
 * Threads of its own do it, for storing takes the same page locks as reading:
 * only whole bodies are stored, whose reads never wait. Bounded; what does not
 * fit in the queue is left out.
 */
#ifndef IMAPFS_FS_STORE_H
#define IMAPFS_FS_STORE_H

#include "cache/small.h"
#include "fs/tree.h"

struct fuse_session;
struct store;

/* Nothing is stored before store_start(). -ENOMEM. */
MUST_CHECK int store_new(struct fs *fs, struct store **ret);
/* The mount is there. -EAGAIN: not one thread. */
MUST_CHECK int store_start(struct store *s, struct fuse_session *se);
/* After the loop has ended: joins. */
void store_stop(struct store *s);
void store_free(struct store *s);

/* A message of this folder whose body is whole. */
void store_push(struct store *s, struct folder *f,
		const struct cache_small *body);
/* The same, of one that was published only now. */
void store_push_new(struct store *s, struct folder *f, uint64_t id,
		    uint64_t size);

uint64_t store_count(struct store *s); /* stored since the start */

#endif
