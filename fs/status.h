/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What `.imapfs/status` and `.imapfs/status.json` say at this moment.
 */
#ifndef IMAPFS_FS_STATUS_H
#define IMAPFS_FS_STATUS_H

#include "fs/fs.h"

/* For people, or (`json`) for programs; yours to free. -ENOMEM. */
MUST_CHECK int status_render(struct fs *fs, bool json, char **ret,
			     size_t *ret_n);

#endif
