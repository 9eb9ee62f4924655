/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The helper's own way into our mount: a clone of it that is mounted nowhere
 * (open_tree(2)), known by a descriptor. Whoever is inside by this way does not
 * make the mount busy, so that umount(8) works in the middle of anything, and
 * when the mount is gone nobody meets what lies below the mount point.
 *
 * The clone keeps the file system alive: it has to be given up when the last
 * mount of it is gone, or the program would never hear of that.
 */
#ifndef IMAPFS_FS_ENTRANCE_H
#define IMAPFS_FS_ENTRANCE_H

#include "imap/mail.h"

/*
 * The clone of what is mounted at `path`: a descriptor. -1: it cannot be had
 * (an old kernel; an ordinary user who may make no user namespace).
 */
MUST_CHECK int entrance_open(const char *path);

#endif
