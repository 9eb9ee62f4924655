/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keeping up: when the server is asked what moved (DESIGN A4, B6).
 *
 * What may say so:
 *  - the watch (imap_watch()): IDLE on one mailbox, the URL's or INBOX; NOTIFY
 *    on all where the server can;
 *  - LIST with STATUS: at the start, after every reconnect, every
 *    KEEP_POLL_MS while any folder is in use, when a mailbox turned out not to
 *    be there any more, or another one, and when a folder of folders is
 *    entered that was not asked for a while;
 *  - whoever enters a folder (rules.h says when that asks), and touch(1).
 *
 * What is done: the folder is marked as behind, which costs nothing; if it is
 * in use (known to the kernel, or one whose bodies are kept) it is synced in
 * the background. Bursts are joined: while a sync runs the mark says that one
 * more is due, and that one begins KEEP_GAP_MS after the last has ended. At
 * most KEEP_SYNCS run at once. The same for LIST.
 *
 * Changes that we have made come back as news. They are waited out, so that
 * the next change (`mv` with -o sync makes one after the other, people and
 * scripts do with some tenths of a second between) finds the folder idle, and
 * open for writing, where a sync has it opened for reading: a sync begins
 * KEEP_OWN_MS after the last change, at the latest KEEP_OWN_MAX_MS after the
 * first one, or after the last sync.
 *
 * One thread waits for what is due and for the next deadline; it never waits
 * for the network. Every function may be called from any thread, with no lock
 * of the engine held but where it says so.
 */
#ifndef IMAPFS_FS_KEEP_H
#define IMAPFS_FS_KEEP_H

#include "fs/tree.h"

#define KEEP_POLL_MS 600000
/* Between two questions for a folder, when it is entered again and again. */
#define KEEP_ENTER_MS 60000
#define KEEP_ENTER_GMAIL_MS 600000 /* it counts what is asked */
#define KEEP_GAP_MS 250
/* After one, or a LIST, that failed: nobody tells of its news again. */
#define KEEP_RETRY_MS 60000
/* After a change of ours; at most, from the first of a train of them. */
#define KEEP_OWN_MS 500
#define KEEP_OWN_MAX_MS 2000
#define KEEP_SYNCS 8

struct keep;

/* Starts the thread. -ENOMEM, -EAGAIN (no thread). */
MUST_CHECK int keep_new(struct fs *fs, struct keep **ret);
/* Before imap_free(): joins the thread. What comes later is forgotten. */
void keep_stop(struct keep *k);
void keep_free(struct keep *k);

/* Have the account watched; before imap_connect(). */
MUST_CHECK int keep_watch(struct fs *fs);

/*
 * Ask for the folders and apply what comes; joined with a LIST that runs.
 * Errors of imap_list_folders().
 */
int keep_ask_folders(struct fs *fs, enum imap_priority prio);
/* A folder of folders is entered: are they still those? */
void keep_entered_folders(struct fs *fs);
/* Wait until one that was asked for has come. Its result. */
MUST_CHECK int keep_wait_folders(struct fs *fs);
/* Has a LIST been applied: in this mount, or ever (it is in the cache)? */
bool keep_has_folders(struct fs *fs);
bool keep_is_known(struct fs *fs);

/* The account is connected again. */
void keep_online(struct fs *fs);

/* From folder.c: a job has ended; is there more to do for this folder? */
void keep_job_ended(struct fs *fs, struct folder *f, int result);
/* What was in its way (replays, changes going out) is over. */
void keep_look_again(struct fs *fs, struct folder *f);

/* The folder is in use from now on. */
void keep_note_used(struct fs *fs, struct folder *f);

/* Have offline_run() run on the thread. */
void keep_offline_due(struct fs *fs);

/* Bytes come from now on: have them saved (budget.h) from time to time. */
void keep_budget_due(struct fs *fs);

/* --- asked under a folder's lock, too --- */

/* By what the server says it is, whatever its host is called. */
int64_t keep_interval_ms(const struct fs *fs);
/* How would we be told if this folder moved; and from when on would we? */
enum imap_watched keep_watched(const struct fs *fs, const struct folder *f,
			       int64_t *ret_since_ms);
/* Is it the mailbox that is watched above all? */
bool keep_is_inbox(const struct fs *fs, const struct folder *f);

#endif
