/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One folder: entering it, listing it, keeping it in step with the server.
 *
 * A folder costs nothing until it is entered. Then its box is loaded from the
 * cache; if it was never listed to the end, a listing runs (newest first, in
 * windows that are shown as they come); else, if the rules say so (rules.h), a
 * sync asks what is new, gone and flagged. A mailbox whose UIDVALIDITY is
 * another one than it was is moored: its rows stay as they are until a listing
 * of the new UIDs has told which of them are which message.
 *
 *   IDLE --enter, not complete--> LISTING --rows*, done--> IDLE
 *   IDLE --enter or keep.c, moved--> SYNCING --rows*, done--> IDLE
 *   LISTING, SYNCING --other UIDVALIDITY--> MOORING --rows*, done--> SYNCING
 *
 * Whatever moves (rows, end, error) raises folder_gen() and wakes who is
 * parked on the directory's inode number.
 */
#ifndef IMAPFS_FS_FOLDER_H
#define IMAPFS_FS_FOLDER_H

#include "fs/tree.h"

/*
 * The folder's box, opened if it was not, and kept until folder_put().
 * -ENODATA: it has none (\Noselect), or is gone. -EBADMSG, -EIO, -ENOMEM: the
 * cache.
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

/* Ask the server now, whenever it was asked last (touch). */
void folder_resync(struct fs *fs, struct folder *f);

/*
 * EXAMINE has counted its messages: `limit` becomes what it says, and is told
 * when it is news. From the thread of the folder's job.
 */
void folder_note_count(struct fs *fs, struct folder *f, uint32_t messages);

/* Something moved in this mailbox, or may have. */
void folder_note_moved(struct folder *f, int64_t at_ms);

/* The same, by what LIST and STATUS say, which were asked for at `asked_ms`. */
void folder_hear_status(struct fs *fs, struct folder *f,
			const struct mail_folder *m, int64_t asked_ms);

/*
 * LIST, asked for at `asked_ms`, has it. If SELECT has said before that there
 * is no such mailbox it is asked once more, and if it says so again the folder
 * is empty from then on, until SELECT works. (Dovecot leaves such a name when a
 * mailbox goes that another session has selected.)
 */
void folder_hear_named(struct folder *f, int64_t asked_ms);
enum folder_denied folder_denied(struct folder *f);

/*
 * When it is to be caught up with: if it is in use, and was said to have moved
 * since it was asked for, now; if the last answer was doubted, a while after
 * that; else CLOCK_NEVER.
 */
int64_t folder_due_ms(struct folder *f);

/*
 * Ask in the background what moved, if it is due: 1, and keep_job_ended() will
 * be called. 0: it is not. -EAGAIN: something else runs, at whose end it is to
 * be looked at again. Errors of the job that could not be begun.
 */
MUST_CHECK int folder_catch_up(struct fs *fs, struct folder *f);

/*
 * Does anybody have it: the kernel, or the wish to keep its bodies? The others
 * are synced when they are entered.
 */
bool folder_is_used(struct folder *f);
/* The same, and its messages are known and looked at. */
bool folder_is_entered(struct folder *f);

/*
 * A message has no UID at the moment: start what finds it out. -EAGAIN: it is
 * on its way; or why it is not.
 */
MUST_CHECK int folder_need_uids(struct fs *fs, struct folder *f);

/*
 * All its messages are to be known: 0. -EAGAIN: they are being asked for in
 * the background. -ENODATA: it has none, ever; or why they are not.
 */
MUST_CHECK int folder_need_list(struct fs *fs, struct folder *f);

/* What is known of it, box or no box. */
void folder_state(struct folder *f, struct cache_state *ret);

uint64_t folder_gen(struct folder *f);

/* mtime of the directory, ns since the epoch; 0: it was never listed. */
int64_t folder_mtime_ns(struct folder *f);

/*
 * The mailbox has another name: its job is ended, and its UIDs are not
 * believed any more.
 */
void folder_renamed(struct fs *fs, struct folder *f);

/*
 * The same, by this mount: it is the same mailbox for certain. What was being
 * asked for is asked for once more, under its new name.
 */
void folder_renamed_here(struct fs *fs, struct folder *f);

/*
 * The mailbox cannot be opened any more (\Noselect), but its folder stays, for
 * those below it: its messages go.
 */
void folder_emptied(struct fs *fs, struct folder *f);

/*
 * The mailbox is gone: end its job, forget its rows, on disk now, in memory
 * once nobody uses them.
 */
void folder_drop(struct fs *fs, struct folder *f);

/* Give back its memory if nobody uses it. */
void folder_close(struct folder *f);

/* References by the kernel to the directory itself. */
void folder_hold(struct folder *f);
void folder_release(struct fs *fs, struct folder *f, uint64_t n);

/* Does the kernel know the directory, so that it must be told of changes? */
bool folder_is_held(struct folder *f);

/* The kernel gave references to a message back. False: it is not in it. */
bool folder_forget_message(struct fs *fs, struct folder *f, uint64_t id,
			   uint64_t n);
/* Has it references to that message, be it gone or not? */
bool folder_is_message_held(struct fs *fs, struct folder *f, uint64_t id);

/* --- flush_hold.c: whose turn it is (F3) --- */

/*
 * A batch of changes that names this folder begins: no job may, until
 * folder_flush_end(). False: one runs. Batches do not exclude each other.
 */
MUST_CHECK bool folder_flush_begin(struct fs *fs, struct folder *f);
void folder_flush_end(struct fs *fs, struct folder *f);
/*
 * One is to begin when the job has ended: until then nothing is begun in the
 * background. Who waits for the folder comes first all the same.
 */
void folder_flush_waits(struct folder *f, bool waits);

/* --- settle.c: how a change becomes visible --- */

enum replay_op; /* replay.h */

/*
 * Hand a change that is in the box to the helper, or (`replay` is false, or
 * the kernel does not know the folder) do without: then the row is made to be
 * as the replay would have left it, and the kernel is told.
 */
void folder_change(struct fs *fs, struct folder *f, enum replay_op op,
		   const struct cache_msg *m, bool replay);

/*
 * A message that was shown here under this name is in another folder now, or
 * nowhere, and the kernel does not know.
 */
void folder_left(struct fs *fs, struct folder *f, uint64_t id,
		 const char *name);

/*
 * What the helper did, or could not do: the row is made to be as the replay
 * would have left it, the kernel is told where it was not, and who waits for
 * the last replay is woken.
 */
struct replayed;
void folder_replayed(struct fs *fs, struct folder *f,
		     const struct replayed *what, int error);

/*
 * Messages that are gone on the server, with the state that says so: they
 * leave the disk now, and the kernel when their replays come; `*budget` is how
 * many of these may still be made. What somebody may have open of them stays
 * readable until the kernel forgets it, up to FS_GHOSTS_MAX of them.
 */
MUST_CHECK int folder_doom(struct fs *fs, struct folder *f, const uint64_t *ids,
			   size_t n, const struct cache_state *s,
			   unsigned *budget);

/* The same of one message, which is about to go. */
void folder_keep_body(struct fs *fs, struct folder *f,
		      const struct cache_msg *m);
/* The body that was kept so of a message is not needed any more. */
void folder_drop_ghost(struct folder *f, uint64_t id);
/* All of them; before the cache is closed. */
void folder_drop_ghosts(struct folder *f);

/* --- the jobs: listing.c, sync.c, moor.c --- */

/*
 * A job ended; wakes everybody. -ESTALE: something else is to be asked first,
 * and is asked now: the state of the box says what.
 */
void folder_job_done(struct fs *fs, struct folder *f, int result);
/*
 * `what` of the folder failed. What is shown as EIO says nothing by itself: the
 * log has the server's words. `why` may be NULL.
 */
void folder_log_end(const struct folder *f, const char *what, int result,
		    const struct imap_error *why);
/* Something moved; wakes everybody. */
void folder_moved(struct fs *fs, struct folder *f);

/* Is there no mailbox any more, so that a job of it is to end? */
bool folder_is_lost(const struct folder *f);

/* Called with the folder's lock held, state IDLE. */
MUST_CHECK int listing_start_locked(struct fs *fs, struct folder *f,
				    enum imap_priority prio) REQUIRES(f->lock);
MUST_CHECK int sync_start_locked(struct fs *fs, struct folder *f,
				 enum imap_priority prio) REQUIRES(f->lock);
MUST_CHECK int moor_start_locked(struct fs *fs, struct folder *f,
				 enum imap_priority prio) REQUIRES(f->lock);

/*
 * The mailbox has another UIDVALIDITY than it had (RFC 9051 section 2.3.1.1):
 * its rows are unmoored. -ESTALE if that was done.
 */
MUST_CHECK int moor_begin(struct folder *f, struct box *box,
			  const struct imap_mailbox *now);

#endif
