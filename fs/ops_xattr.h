/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names of extended attributes that are read in ops_xattr.c and set in
 * ops_xattr_set.c.
 */
#ifndef IMAPFS_FS_OPS_XATTR_H
#define IMAPFS_FS_OPS_XATTR_H

#define XATTR_PREFIX "user.imap."
#define XATTR_OFFLINE XATTR_PREFIX "offline"
#define XATTR_FLAGS XATTR_PREFIX "flags"
#define XATTR_LABELS XATTR_PREFIX "gm.labels"
#define XATTR_TAGS "user.xdg.tags"

#endif
