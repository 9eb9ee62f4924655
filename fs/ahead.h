/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Read-ahead over a folder: who reads one message after the other, in the
 * order of the listing or against it, is followed by a window of bodies that
 * are fetched (one UID FETCH for a set of them) and given to the kernel
 * (store.h) before they are asked for.
 *
 * A reader is a stream: where it was last, which way it goes, how far ahead of
 * it has been looked. A window begins at the second message in a row (at the
 * first message of the folder, if its reader has just listed it), small unless
 * the two came quickly, doubles while the reader keeps going, in messages and
 * in bytes, and moves only when the reader does: when nobody reads, nothing is
 * fetched. Several readers are several streams.
 */
#ifndef IMAPFS_FS_AHEAD_H
#define IMAPFS_FS_AHEAD_H

#include <sys/types.h>

#include "fs/tree.h"

struct ahead;

/* -ENOMEM. */
MUST_CHECK int ahead_new(struct fs *fs, struct ahead **ret);
/* After imap_free(). */
void ahead_free(struct ahead *a);

/* A read of this message came in, from this process. */
void ahead_note(struct fs *fs, struct folder *f, const struct cache_msg *m,
		pid_t pid);

/* This process has read the listing of the folder to its end. */
void ahead_listed(struct fs *fs, const struct folder *f, pid_t pid);

/*
 * Is this message in a set that has been asked for, and not here yet? Then its
 * key is woken when it comes, or cannot come; and the set is made urgent.
 */
bool ahead_is_coming(struct fs *fs, uint64_t id);

/* A body has come just now, whoever asked for it. */
void ahead_remember(struct fs *fs, uint64_t id);
/* Bodies have been removed by somebody: nothing is remembered. */
void ahead_forget(struct fs *fs);

/* Is a reader of this folder still on its way to this message? */
bool ahead_is_wanted(struct fs *fs, struct folder *f, uint64_t id);

struct ahead_stats {
	uint64_t fetched; /* messages, since the start */
	uint64_t bytes;
	unsigned sets; /* on their way */
};
void ahead_get_stats(struct fs *fs, struct ahead_stats *ret);

#endif
