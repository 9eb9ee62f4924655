/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The flusher: what the journal has (cache/journal.h) goes to the server.
 *
 * One thread reads the journal, joins neighbours into batches (one command of
 * imap/change.h for up to IMAP_CHANGE_UIDS_MAX messages), sends them, and
 * settles what the server answered. What is queued is gathered for a moment
 * before it is sent, unless somebody waits for it; while a batch of a pair of
 * folders is on its way, the next one gathers.
 *
 *  F1  No command goes out before its records are SENT on disk (J3).
 *  F2  A command whose answer was lost is never sent again before both folders
 *      were looked at: then it is done, or finished by removing exactly those
 *      messages from the source, or sent again.
 *  F3  While a batch names a folder, nobody lists or syncs it, and no batch
 *      begins while somebody does (folder_flush_begin()): so what comes back
 *      from the server is known to be ours before anybody hears of it.
 *  F4  What the server refuses for good is undone here, told to the kernel and
 *      listed. If it refuses many at once, they are tried in halves, so that
 *      one that it does not take does not stop the others.
 *
 * Without a connection the queue waits for one.
 *
 * Every function may be called from any thread with no lock held.
 */
#ifndef IMAPFS_FS_FLUSH_H
#define IMAPFS_FS_FLUSH_H

#include "fs/tree.h"

/* The key to wait for (park.h): no inode has this number. */
#define FLUSH_INO 2u

/* How long a program that was unmounted goes on sending. */
#define FLUSH_AT_END_MS 60000

struct flush;

/*
 * Before the account is connected. Folders with changes that were sent and
 * not answered are kept from being synced from now on. Starts the thread.
 * -ENOMEM, -EAGAIN (no thread), and errors of the cache.
 */
MUST_CHECK int flush_new(struct fs *fs, struct flush **ret);

/*
 * Nothing is queued any more: send what there is, FLUSH_AT_END_MS at most, as
 * long as there is a connection; then join the thread. Before imap_free().
 */
void flush_stop(struct flush *fl);
/* After imap_free(). NULL is fine. */
void flush_free(struct flush *fl);

/* Something was queued: it is gathered for a moment, then sent. */
void flush_wake(struct fs *fs);

/* The connection is there, or is gone. */
void flush_online(struct fs *fs);

/*
 * What became of the changes of this message? 0: nothing of it is unsent.
 * -EAGAIN: it is under way, and in a hurry from now on: wait for FLUSH_INO.
 * -ENOTCONN: it waits for a connection, or for another day (budget.h). Else why
 * the server refused the last one (remembered of the last FLUSH_REFUSALS
 * messages).
 */
MUST_CHECK int flush_state(struct fs *fs, uint64_t id);
#define FLUSH_REFUSALS 512

/*
 * The same for the whole queue; refusals do not count. -EDQUOT: some of it
 * waits for another day.
 */
MUST_CHECK int flush_drained(struct fs *fs);

/* Do new messages wait for another day? */
bool flush_waits_for_day(struct fs *fs);

/* Moves whenever either of the two may have another answer. */
uint64_t flush_gen(struct fs *fs);

/* A folder's job has ended: does a batch wait for it? (folder.c) */
void flush_folder_idle(struct fs *fs);

#endif
