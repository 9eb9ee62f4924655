/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the journal has changed by itself, because the server refused a change
 * or a message is gone, becomes visible: to the kernel, and to inotify. (What
 * the user changed the kernel knows.) Any thread, no lock held.
 */
#ifndef IMAPFS_FS_EFFECTS_H
#define IMAPFS_FS_EFFECTS_H

#include "cache/journal.h"
#include "fs/fs.h"

/* NULL is fine. An effect whose id is 0 is left out. */
void effects_tell(struct fs *fs, const struct journal_effects *v);

#endif
