/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `.imapfs/queue`: what is not on the server yet, a line for each message.
 */
#ifndef IMAPFS_FS_QUEUE_H
#define IMAPFS_FS_QUEUE_H

#include "fs/fs.h"

/* Yours to free. -ENOMEM. */
MUST_CHECK int queue_render(struct fs *fs, char **ret, size_t *ret_n);

#endif
