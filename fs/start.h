/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From options to a served mount, and back.
 */
#ifndef IMAPFS_FS_START_H
#define IMAPFS_FS_START_H

#include "fs/fs.h"

/* Exit statuses, those of mount(8). */
enum { EXIT_OK = 0, EXIT_USAGE = 1, EXIT_SYSTEM = 2, EXIT_MOUNT = 32 };

/*
 * Open the cache, connect, mount, serve until unmounted. `ready` is called
 * once, by another thread, when the account is usable, requests are served, and
 * nothing of ours is in the mount that would keep it from being unmounted; on
 * failure a sentence was printed on stderr and its status is returned instead.
 * Runs threads: nothing may fork after it was called.
 */
int start_and_serve(const struct options *opt, const struct account *account,
		    struct secret *secret, int report_fd,
		    void (*ready)(int report_fd));

#endif
