/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How much room the account has (RFC 9208), for statfs(2): asked when it is
 * mounted, and again by who looks, at most once in QUOTA_AGAIN_MS. Nobody waits
 * for the answer: the last one is shown.
 */
#ifndef IMAPFS_FS_QUOTA_H
#define IMAPFS_FS_QUOTA_H

#include "fs/fs.h"
#include "imap/change.h"

#define QUOTA_AGAIN_MS 60000

struct quota;

/* -ENOMEM. */
MUST_CHECK int quota_new(struct fs *fs, struct quota **ret);
/* After imap_free(). */
void quota_free(struct quota *q);

/* Ask, if the last answer is old and the account is connected. */
void quota_refresh(struct fs *fs);

/* The last answer. False: there was none, or there is no limit. */
bool quota_get(struct fs *fs, struct imap_quota *ret);

#endif
