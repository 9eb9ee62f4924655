/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who writes in our own mount? For the helper process (helper.c), which is the
 * only one that may ask.
 *
 * The kernel does not tell the program when a file is closed (DESIGN B8). An
 * inotify watch on a directory of the mount says when somebody who could write
 * has closed a file in it; a read lease says whether another one is left.
 */
#ifndef IMAPFS_FS_WRITERS_H
#define IMAPFS_FS_WRITERS_H

#include "imap/mail.h"

#define WRITERS_WATCHES_MAX 1024 /* directories at a time */

/* A file of the directory that is watched under this key was closed. */
typedef void (*writers_closed_fn)(uint32_t key, const char *name);

/*
 * Begin to listen, with a thread of its own. If that cannot be, no watch can be
 * set.
 */
void writers_start(writers_closed_fn closed);

/*
 * Watch the directory at `path` (from `dir` on, as for openat(2)) under this
 * key. 0, or a positive errno; ENOSPC: there are too many watches.
 */
MUST_CHECK int writers_watch(int dir, const char *path, uint32_t key);
/* 0; ENOENT: there is none. Another one: the kernel has taken it away. */
MUST_CHECK int writers_unwatch(uint32_t key);

/*
 * Is anybody left who could write to the file at `path`, by a descriptor or
 * a mapping? 0: nobody. EAGAIN: yes. Another positive errno: it cannot be told.
 */
MUST_CHECK int writers_left(int dir, const char *path);

#endif
