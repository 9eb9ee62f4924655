/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the kernel is told: one thread, one queue, no lock held.
 *
 * The kernel takes a directory's or file's lock to be told of a change, and
 * holds the same locks while it waits for our answers: only this thread tells
 * it of changes, and nobody waits for it. (Apart from it are notify_size(), and
 * the bodies of store.h.) First publish the new state, then notify. Out of
 * memory loses a notification; the kernel then shows the old state until it
 * asks again, which is logged.
 */
#ifndef IMAPFS_FS_NOTIFY_H
#define IMAPFS_FS_NOTIFY_H

#include "fs/fs.h"

struct fuse_session;
struct park;

/* The queue; nothing is told before notify_start(). -ENOMEM. */
MUST_CHECK int notify_new(struct notify **ret);
/* The mount is there. -EAGAIN: no thread. */
MUST_CHECK int notify_start(struct notify *n, struct fuse_session *se,
			    struct park *park);
/* After the loop has ended, before the session is destroyed: joins. */
void notify_stop(struct notify *n);
void notify_free(struct notify *n);

/* A name appeared in a directory: drop its listing and a negative entry. */
void notify_added(struct notify *n, uint64_t dir, const char *name);
/* Names of a directory changed that the kernel cannot know: drop its listing.
 */
void notify_listing(struct notify *n, uint64_t dir);
/* A name went: the entry, the listing, and inotify if it was known. */
void notify_removed(struct notify *n, uint64_t dir, uint64_t ino,
		    const char *name);
/*
 * A request in this directory takes a name away from an inode, which has
 * another one: when the kernel is done with the request, which counts nlink
 * down, it is to ask for the attributes anew.
 */
void notify_relinked(struct notify *n, uint64_t dir, uint64_t ino);
/* Attributes of an inode changed. */
void notify_attr(struct notify *n, uint64_t ino);
/* The bytes of a file are others than the kernel has. */
void notify_content(struct notify *n, uint64_t ino);
/*
 * The size of a file changed: told at once, by the calling thread, since a
 * read of it is about to be answered. The only notification that takes no lock
 * that a waiting reader holds (tried: DESIGN B8). -ENOENT: the kernel does not
 * know this file; but it may be about to, from an answer that it has not taken.
 */
int notify_size(struct notify *n, uint64_t ino);

/*
 * How often the kernel may have heard of the attributes of a file, by what is
 * told here or by an answer that has them, which notify_note_heard() counts, to
 * be called before it is known what they are and after the answer. A READ that
 * was asked before and is answered with fewer bytes afterwards tells the kernel
 * nothing of where the file ends: it fills up with zeros (fuse_short_read()).
 */
uint32_t notify_heard(const struct notify *n, uint64_t ino);
void notify_note_heard(struct notify *n, uint64_t ino);

#endif
