/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where is a message on the server? Most are in the folder that shows them;
 * one that was moved here, and not yet there, is where it came from.
 */
#ifndef IMAPFS_FS_ORIGIN_H
#define IMAPFS_FS_ORIGIN_H

#include "fs/tree.h"

struct origin {
	struct folder *f;
	uint32_t uidvalidity;
	uint32_t uid;
};

/*
 * -ENOENT: nowhere. -EAGAIN: its UID is being found out, or a command that
 * moves it is under way: wait for the key `m->id` (load_wake()). Else why
 * neither is known.
 */
MUST_CHECK int origin_of(struct fs *fs, struct folder *f,
			 const struct cache_msg *m, struct origin *ret);

/* Is the message somewhere else by now? */
bool origin_has_moved(struct fs *fs, uint64_t id, const struct origin *was);

#endif
