/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the server lets us do in a mailbox (RFC 4314), so that what it would
 * refuse is refused at once. It is asked when a folder is entered, at most once
 * in RIGHTS_AGAIN_MS, and never waited for: what is not known is allowed, and
 * the server has the last word anyway.
 */
#ifndef IMAPFS_FS_RIGHTS_H
#define IMAPFS_FS_RIGHTS_H

#include "fs/tree.h"
#include "imap/change.h"

#define RIGHTS_AGAIN_MS 600000

/* The folder is entered: ask, if that is due. */
void rights_ask(struct fs *fs, struct folder *f);

/*
 * May all of this (enum imap_right) be done in it? 0, also if that is not
 * known. -EACCES. -EROFS: the mount, or the mailbox, is for reading only.
 */
MUST_CHECK int rights_check(struct fs *fs, struct folder *f, unsigned need);

/* The server opens it only for reading. */
void rights_note_read_only(struct folder *f);

#endif
