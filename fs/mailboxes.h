/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mailboxes that the user makes, removes and renames: mkdir, rmdir and rename
 * of directories (DESIGN A3). Unlike changes of messages these are not queued:
 * whoever asks waits for the server, at most MAILBOXES_WAIT_MS, and is told
 * -ENOTCONN at once when the link is known to be down.
 *
 *   mkdir   CREATE and SUBSCRIBE
 *   rename  RENAME, with what is below; an empty one in its place is removed as
 *           by rmdir, between the two
 *   rmdir   nothing of it is unsent; no messages by STATUS; RENAME to a name
 *           that nothing else delivers to; once more no messages; DELETE, or
 *           RENAME back
 *
 * An operation is known by a number, never 0, from mailboxes_mkdir() etc. until
 * mailboxes_end() has told its result. It runs on by itself: by callbacks on
 * connections' threads, and who waits is woken by the key that was given. One
 * that nobody waits for any more (mailboxes_abandon()) still ends; the kernel
 * is told then of what it did.
 *
 * M1  A command is sent again only after a LIST has shown that it was not done.
 * M2  The name aside is on disk, fsynced, before a mailbox gets it. Whatever
 *     dies then: when the next LIST comes, the mailbox gets its own name back
 *     (or is deleted, if it is empty and another has that name).
 * M3  The tree is changed by what an operation did, or by a LIST that was asked
 *     for when no operation ran, and came before one began.
 * M4  While an operation gives a mailbox another name, nobody sends changes to
 *     it: mailboxes_use().
 *
 * Errors are those that the system calls return; what may work another time is
 * an error, too: none is -EAGAIN or -EBUSY. Every function may be called from
 * any thread, with no lock of the engine held.
 */
#ifndef IMAPFS_FS_MAILBOXES_H
#define IMAPFS_FS_MAILBOXES_H

#include "fs/tree.h"

#define MAILBOXES_WAIT_MS 10000

struct mailboxes;

/* -ENOMEM. */
MUST_CHECK int mailboxes_new(struct fs *fs, struct mailboxes **ret);
/* After imap_free(): no callback runs any more. */
void mailboxes_free(struct mailboxes *m);

/*
 * Begin; park on `key` as long as mailboxes_end() says -EAGAIN. What can be
 * refused without asking the server is refused here: -EROFS, -ENOTCONN (the
 * link is down), -EPERM (INBOX, special folders, names that there cannot be),
 * -EEXIST, -ENOTEMPTY, -EINVAL, -ENAMETOOLONG, -EACCES, -ENOENT, -ENOMEM.
 */
MUST_CHECK int mailboxes_mkdir(struct fs *fs, struct folder *parent,
			       const char *name, uint64_t key, uint64_t *ret);
MUST_CHECK int mailboxes_rmdir(struct fs *fs, struct folder *f, uint64_t key,
			       uint64_t *ret);
/* `onto`: the folder that has this name now, or NULL. */
struct mailboxes_rename {
	struct folder *f;
	struct folder *parent;
	const char *name;
	struct folder *onto;
};
MUST_CHECK int mailboxes_rename(struct fs *fs,
				const struct mailboxes_rename *what,
				uint64_t key, uint64_t *ret);

/*
 * Its end: the tree is as the result says, and the number means nothing any
 * more. -EAGAIN: it still runs. After mkdir `*ret` is the folder; may be NULL.
 */
MUST_CHECK int mailboxes_end(struct fs *fs, uint64_t op, struct folder **ret);

/* Moves when an operation ends. */
uint64_t mailboxes_gen(struct fs *fs);

/* Nobody waits for it any more. */
void mailboxes_abandon(struct fs *fs, uint64_t op);

/* --- for whoever sends changes of messages --- */

/*
 * The mailbox keeps its name until mailboxes_unuse(), as often as this was
 * called. False: it is about to lose it; the end of that is told by
 * flush_wake().
 */
MUST_CHECK bool mailboxes_use(struct fs *fs, struct folder *f);
void mailboxes_unuse(struct fs *fs, struct folder *f);

/* Records were settled: somebody may wait for the last one of a folder. */
void mailboxes_flushed(struct fs *fs);

/* --- for keep.c --- */

/* The account is connected again: what was lost can be looked up. */
void mailboxes_online(struct fs *fs);

/*
 * May a LIST be asked for? If so, `*ret_epoch` is for the other function.
 * False: keep_ask_folders() is called when the last operation has ended.
 */
bool mailboxes_are_quiet(struct fs *fs, uint64_t *ret_epoch);

/*
 * A LIST has come that was asked for then: may it be believed (M3)? Starts what
 * M2 promises; that is an operation, too.
 */
bool mailboxes_believe(struct fs *fs, uint64_t epoch,
		       const struct mail_folder *v, size_t n);

#endif
