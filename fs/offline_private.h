/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What offline.c (which bodies, and when) and offline_large.c (large ones, in
 * pieces) share.
 */
#ifndef IMAPFS_FS_OFFLINE_PRIVATE_H
#define IMAPFS_FS_OFFLINE_PRIVATE_H

#include "fs/offline.h"

/*
 * What was asked for has ended: `n` bodies are here now; `result` is the first
 * error. The other one that is asked for goes on.
 */
void offline_ended(struct fs *fs, struct folder *f, size_t n, int result);

/*
 * Fetch one body in pieces, so that readers need not wait for its end. 0: then
 * offline_ended() will be called.
 */
MUST_CHECK int offline_fetch_large(struct fs *fs, struct folder *f,
				   const struct cache_msg *m);

#endif
