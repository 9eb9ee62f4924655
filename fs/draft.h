/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * drafts: what is being written.
 *
 * There are three kinds of files that can be written to:
 *
 *  - a scratch file, by the name with which it was made (draft_is_scratch()):
 *    never sent, any content. Renamed to a plain name it becomes
 *  - a new message, which is sent when it is complete (below);
 *  - a message of the server that is marked \Draft. What is written goes into a
 *    hidden scratch file, which begins as a copy, and in the end takes the name
 *    and the place of the message, as if it had been renamed onto it: the new
 *    text is sent, then the old one goes. So it is with a copy that was made
 *    just now (draft_is_fresh_copy()).
 *
 * A new message is complete when nobody has it open for writing and nothing has
 * happened to it, nor was it closed, for DRAFT_QUIET_MS (at most
 * DRAFT_CLOSED_MS after the last writer has gone). The kernel does not tell who
 * has closed what (DESIGN B8): a watch of the folder says when to look, a lease
 * says whether a writer is left; both are the helper's (writers.h). Without the
 * watch it is looked after DRAFT_WRITTEN_MS without a change, without leases
 * DRAFT_BLIND_MS.
 *
 * Then it is held against content.h. What is no message is refused by the write
 * that shows it, and what was written of it is kept in rejected/ when its
 * writer has gone; a message that it had replaced is back then. What has bare
 * LF is written once more, with CRLF, and the new file is renamed onto the old
 * one, so it has another inode number: the kernel would serve the pages that it
 * has (DESIGN B8). Whoever has the old one open goes on reading that. An empty
 * file stays as it is, and is not sent.
 *
 * Drafts of an earlier mount are completed at the start.
 *
 * Threads: any, unless it says otherwise. Some threads of its own complete
 * drafts. Errors beside those named: -ENOSPC, -EIO, -ENOMEM, -EBADMSG.
 */
#ifndef IMAPFS_FS_DRAFT_H
#define IMAPFS_FS_DRAFT_H

#include "fs/tree.h"

#include <sys/stat.h>

#define DRAFT_QUIET_MS 500
#define DRAFT_CLOSED_MS 5000
#define DRAFT_WRITTEN_MS 2000
#define DRAFT_BLIND_MS 10000
#define DRAFT_WATCH_WAIT_MS 1000 /* longest wait for the watch of a folder */

struct drafts;

/* -ENOMEM. Nothing is completed before drafts_start(). */
MUST_CHECK int drafts_new(struct fs *fs, struct drafts **ret);
/* Find what an earlier mount has left, and begin. -EAGAIN: no thread. */
MUST_CHECK int drafts_start(struct fs *fs);
/* Complete all, for nobody writes any more, and join. */
void drafts_stop(struct fs *fs);
void drafts_free(struct drafts *ds);

/* --- names --- */

/* Is a file that is made under this name a scratch file? */
bool draft_is_scratch(const char *name);
/* A name that is ours: nobody may make it. */
bool draft_is_reserved(const char *name);

/* --- watching, before the reply to what makes a draft --- */

/*
 * Is the folder watched? 0: yes, or it cannot be, or that has taken too long
 * (`waited_ms`). -EAGAIN: it soon will be: wait for the folder's key.
 */
MUST_CHECK int draft_watch(struct fs *fs, struct folder *f, int64_t waited_ms);
/*
 * Must the folder be watched to which the file of this name is renamed? It must
 * if it was not sent.
 */
bool draft_needs_watch(struct fs *fs, struct folder *f, const char *name);
/* Moves with every watch that was set, and every draft that is done. */
uint64_t draft_gen(struct fs *fs);

/* The helper tells (replay.h). */
void draft_watched(struct fs *fs, struct folder *f, int error);
void draft_closed(struct fs *fs, uint64_t folder, const char *name);
void draft_asked(struct fs *fs, uint64_t id, int error);

/* --- what is done to files --- */

/*
 * A new file. -EEXIST; -EPERM: the name is reserved, or there can be no
 * messages; -EACCES, -EROFS: there may be none; -EINVAL: no file can have the
 * name.
 */
MUST_CHECK int draft_create(struct fs *fs, struct folder *f, const char *name,
			    mode_t mode, uint64_t *ret_id);

/*
 * Bytes read, 0 at the end. -ENOENT: it is nothing of ours; load.h has its
 * bytes.
 */
MUST_CHECK long draft_read(struct fs *fs, uint64_t id, void *buf, size_t n,
			   uint64_t offset);

/*
 * -EINVAL: that is no message. -EFBIG: the server would not take it. -EPERM: it
 * is on the server, and neither a draft nor a fresh copy. -ENOENT. -EAGAIN: it
 * is a draft whose body is not here yet: wait for the key `id` (load.h). Else
 * errors of load_read().
 */
MUST_CHECK int draft_write(struct fs *fs, uint64_t id, const void *buf,
			   size_t n, uint64_t offset);
MUST_CHECK int draft_truncate(struct fs *fs, uint64_t id, uint64_t size);

/*
 * On disk, and a message as far as it goes. Nothing to be done is 0. The same
 * errors but -EPERM and -EAGAIN.
 */
MUST_CHECK int draft_sync(struct fs *fs, uint64_t id);

/* The time of what was not sent. -ENOENT: that is not so (any more). */
MUST_CHECK int draft_set_date(struct fs *fs, uint64_t id, int64_t date);

/*
 * Make the new, empty message `into` a copy of what the server has as `from`,
 * by UID COPY. -EOPNOTSUPP: it has to be copied by its bytes.
 */
MUST_CHECK int draft_copy(struct fs *fs, uint64_t from, uint64_t into);
/*
 * Was it made by that a moment ago, as one of the last few? Then whoever did
 * may write more to it, as cat(1) does of several files: it can be written to
 * like a draft.
 */
bool draft_is_fresh_copy(struct fs *fs, uint64_t id);

/* What stat(2) says of it, if it is one that is being written. */
void draft_fill_stat(struct fs *fs, uint64_t id, struct stat *st);

/* Is it being written, so that the kernel's pages of it are the newest? */
bool draft_is_written(struct fs *fs, uint64_t id);

/* --- for whoever renames and removes --- */

/*
 * Could this scratch file be renamed to a plain name? 0, also if it is none.
 * -EINVAL: it is no message. -EFBIG.
 */
MUST_CHECK int draft_may_be_sent(struct fs *fs, uint64_t id);

/* A file that was not sent has another name, or is in another folder. */
void draft_moved(struct fs *fs, uint64_t id, struct folder *to);
/* Its mode or flags have changed: it is not quiet. */
void draft_touched(struct fs *fs, uint64_t id);

/*
 * It is about to be removed, or another file to take its name: whoever has it
 * open can go on reading and writing. To be called before its row goes, and
 * when it is `done`, or not.
 */
void draft_removing(struct fs *fs, uint64_t id);
void draft_removed(struct fs *fs, uint64_t id, bool done);

/* That it was renamed or removed was taken back: it is in `f`, as before. */
void draft_returned(struct fs *fs, uint64_t id, struct folder *f);

/* The kernel has forgotten the inode. */
void draft_forgotten(struct fs *fs, uint64_t id);

/* --- completing --- */

/* Complete it now, if nobody writes any more; without an id: all. */
void draft_hurry(struct fs *fs, uint64_t id);
/*
 * What came of that. 0: it is complete, or not sent, or somebody writes.
 * -EAGAIN: it is being found out: wait for DRAFT_KEY(id), or without an id for
 * all of them. -EINVAL, -EFBIG: it was refused. Else why it could not be
 * completed by the last try; it is tried again.
 */
MUST_CHECK int draft_state(struct fs *fs, uint64_t id);
/*
 * The message as which it is sent: another one, if it was written once more
 * when it was complete (bare LF, or a draft). Else `id`.
 */
uint64_t draft_became(struct fs *fs, uint64_t id);
/* The same, of one that is being completed when that is done. */
uint64_t draft_settled(struct fs *fs, uint64_t id);
#define DRAFT_KEY(id) ((id) | 1ULL << 48)

#endif
