/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Folders whose bodies are to be here, whether anybody has read them or not
 * (user.imap.offline): fetched in the background, newest first, in sets, at
 * the least urgent priority; what arrives later, too. The cache does not evict
 * them (cache_keep_folder()).
 *
 * It stops when the disk is full, when cache_size is used up by such bodies
 * alone, or when a limit of the account is reached (budget.h), and tries again
 * OFFLINE_RETRY_MS later. Without a connection it waits for one.
 *
 * offline_run() is called by the thread of keep.c alone; all else from any
 * thread.
 */
#ifndef IMAPFS_FS_OFFLINE_H
#define IMAPFS_FS_OFFLINE_H

#include "fs/tree.h"

#define OFFLINE_RETRY_MS 600000

struct offline;

/* -ENOMEM. */
MUST_CHECK int offline_new(struct fs *fs, struct offline **ret);
/* After imap_free(). */
void offline_free(struct offline *o);

/*
 * Keep the bodies of this folder here from now on, or not any more. -EPERM: it
 * has no messages. Errors of cache_keep_folder().
 */
MUST_CHECK int offline_set(struct fs *fs, struct folder *f, bool keep);

/* There may be messages in this folder whose bodies are not here. */
void offline_note(struct fs *fs, struct folder *f);

/* Ask for what is missing. When to be called again: a time, or CLOCK_NEVER. */
int64_t offline_run(struct fs *fs, int64_t now_ms);

struct offline_report {
	const char *state; /* "looking", "fetching", "complete", "waiting" */
	const char *why;   /* it waits; "" else */
	uint64_t missing;  /* messages */
};
/* False: the folder is not kept. */
bool offline_get(struct fs *fs, struct folder *f, struct offline_report *ret);

#endif
