/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What offline.c (which bodies, and when), offline_large.c (large ones, in
 * pieces) and offline_ask.c (what others ask) share.
 */
#ifndef IMAPFS_FS_OFFLINE_PRIVATE_H
#define IMAPFS_FS_OFFLINE_PRIVATE_H

#include "fs/offline.h"

struct kept {
	struct kept *next;
	struct folder *f;

	/* The own of keep.c's thread. */
	uint64_t *ids; /* of messages without a body, newest first */
	size_t n, at;
	int64_t retry_ms; /* look again for what failed; 0: nothing did */
	int64_t soon_ms;  /* so much later, for what was silent; 0: SOON_MS */

	/* offline.lock: */
	bool look;   /* find out what is missing */
	bool looks;  /* somebody does, so `missing` is old */
	bool failed; /* some could not be fetched */
	bool silent; /* some were asked for and did not come, or others fetch
		      * them */
	uint64_t missing;
	unsigned in_flight; /* of the sets and large bodies, those of it */
};

struct offline {
	/* The own of keep.c's thread. */
	uint64_t lost; /* of cache_stats, as last seen */
	int64_t again_ms;

	struct lock lock; /* RANK_OFFLINE, guards what follows */
	struct kept *kept;
	unsigned in_flight;
	unsigned n_failures; /* in a row */
	int64_t retry_ms;    /* nothing is asked before; 0: at once */
	const char *why;     /* it is waited for; "" */
};

/* NULL: this folder is not kept, or not known to be yet. */
struct kept *offline_find_locked(struct offline *o, const struct folder *f)
	REQUIRES(o->lock);

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
