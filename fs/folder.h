/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One folder: entering it, listing it, keeping it in step with the server.
 *
 * A folder costs nothing until it is entered. Then its box is loaded from the
 * cache; if it was never listed to the end, a listing runs (newest first, in
 * windows that are shown as they come); else, at most once in
 * FS_ENTER_INTERVAL_MS, a sync asks what is new, gone and flagged.
 *
 *   IDLE --enter, not complete--> LISTING --rows*, done--> IDLE
 *   IDLE --enter, interval over--> SYNCING --rows*, done--> IDLE
 *
 * Whatever moves (rows, end, error) raises folder_gen() and wakes who is
 * parked on the directory's inode number.
 */
#ifndef IMAPFS_FS_FOLDER_H
#define IMAPFS_FS_FOLDER_H

#include "fs/tree.h"

/*
 * The folder's box, opened if it was not, and kept until folder_put().
 * -ENODATA: it has none (\Noselect). -EBADMSG, -EIO, -ENOMEM: the cache.
 */
MUST_CHECK int folder_get(struct fs *fs, struct folder *f, struct box **ret);
void folder_put(struct fs *fs, struct folder *f);

/*
 * Somebody enters: start what has to be asked. 0: what is known is what there
 * is, or being asked for took longer than `waited_ms` allows. -EAGAIN: wait for
 * the folder's key, then call again. Else why the folder cannot be shown at
 * all (-ENOTCONN ...).
 */
MUST_CHECK int folder_enter(struct fs *fs, struct folder *f, int64_t waited_ms);

/*
 * How long entering waits for what changed before it shows what is known; 0:
 * nothing is known yet, it waits for the first window.
 */
int64_t folder_enter_limit_ms(struct folder *f);

/*
 * The box ends here, or so it seems. 0: it is the end. -EAGAIN: more is
 * coming; wait. Else why the listing cannot go on.
 */
MUST_CHECK int folder_more(struct fs *fs, struct folder *f);

/* When somebody who waits for the next window must be told -ETIMEDOUT. */
int64_t folder_deadline(struct folder *f);

/* Ask the server now, whenever it was asked last (touch, reconnect). */
void folder_resync(struct fs *fs, struct folder *f);

uint64_t folder_gen(struct folder *f);

/* mtime of the directory, ns since the epoch; 0: it was never listed. */
int64_t folder_mtime_ns(struct folder *f);

/*
 * The mailbox is gone: end its job, forget its rows, on disk now, in memory
 * once nobody uses them.
 */
void folder_drop(struct fs *fs, struct folder *f);

/* References by the kernel to the directory itself. */
void folder_hold(struct folder *f);
void folder_release(struct fs *fs, struct folder *f, uint64_t n);

/* Does the kernel know the directory, so that it must be told of changes? */
bool folder_is_held(struct folder *f);

/*
 * A message leaves the box. If the kernel holds it, somebody may have it open:
 * its body, if it is here, stays readable until the kernel forgets it.
 */
MUST_CHECK int folder_remove(struct fs *fs, struct folder *f, struct box *box,
			     const struct cache_msg *m);

/* Give back the bodies kept so; before the cache is closed. */
void folder_drop_ghosts(struct folder *f);

/* References by the kernel to a message in it were given back. */
void folder_forget_message(struct fs *fs, struct folder *f, uint64_t id,
			   uint64_t n);

/*
 * What the helper did, or could not do (sync.c queued it): the row is made to
 * be as the replay would have left it, the kernel is told where it was not,
 * and who waits for the last replay is woken.
 */
enum replay_op; /* replay.h */
void folder_replayed(struct fs *fs, struct folder *f, enum replay_op op,
		     uint64_t id, int error);

/*
 * For listing.c and sync.c: a job ended; wakes everybody. -ESTALE: the box was
 * emptied, since the mailbox is a new one, and is listed from the start.
 */
void folder_job_done(struct fs *fs, struct folder *f, int result);
/* For them too: something moved; wakes everybody. */
void folder_moved(struct fs *fs, struct folder *f);

/* listing.c, sync.c: the jobs. Called with the folder's lock held, state IDLE.
 */
int listing_start_locked(struct fs *fs, struct folder *f) REQUIRES(f->lock);
int sync_start_locked(struct fs *fs, struct folder *f) REQUIRES(f->lock);

#endif
