/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The mount itself: the libfuse session, from mount(2) to the end.
 */
#ifndef IMAPFS_FS_MOUNTPOINT_H
#define IMAPFS_FS_MOUNTPOINT_H

#include "fs/fs.h"

struct mountpoint;

/*
 * Mount on fs->opt->mountpoint; nothing is served yet. -EIO: the kernel or
 * fusermount3 refused, and libfuse has said why on stderr. -ENOTDIR, and errors
 * of stat(2): that of the directory. -ENOMEM. `why` is a sentence of
 * OPTIONS_ERROR bytes.
 */
MUST_CHECK int mountpoint_open(struct fs *fs, struct mountpoint **ret,
			       char why[OPTIONS_ERROR]);

struct fuse_session *mountpoint_session(struct mountpoint *m);

/* Serve until it is unmounted or a signal ends the program. 0, or -errno. */
MUST_CHECK int mountpoint_serve(struct mountpoint *m);

/*
 * After the loop, until mountpoint_close(): requests are answered ENOTCONN by a
 * thread. The kernel holds locks for them, which the notify thread may need
 * before it can end.
 */
void mountpoint_refuse(struct mountpoint *m);

/*
 * Unmount, and abort the connection where that can be done (root, or fusectl
 * is mounted): a worker that libfuse cancels may take a request with it, whose
 * lock would else be held for ever. Before the notify thread is waited for.
 */
void mountpoint_end(struct mountpoint *m);

/* Unmount, if that was not done. NULL is fine. */
void mountpoint_close(struct mountpoint *m);

#endif
