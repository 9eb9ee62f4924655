/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What sync.c (the job) and sync_end.c (what its answers mean) share.
 */
#ifndef IMAPFS_FS_SYNC_PRIVATE_H
#define IMAPFS_FS_SYNC_PRIVATE_H

#include "fs/folder.h"
#include "fs/ranges.h"

/* A running sync: the context of its job, whose thread it belongs to. */
struct sync {
	struct fs *fs;
	struct folder *f;
	bool second;             /* the answer to the first one was doubted */
	bool recounts;           /* ... since it counted fewer than are here */
	uint32_t uidnext;        /* messages below were known */
	uint32_t new_uidnext;    /* ... and will be, when it has ended */
	uint32_t opened_uidnext; /* all below that are new are named; 0:
				  * all that are new */
	uint32_t messages;       /* as EXAMINE said */
	struct ranges named;     /* UIDs that are there */
	struct ranges gone;      /* UIDs that are named as gone */
	size_t n_new;            /* messages that were added */
	uint64_t n_older;        /* named, and older than all that are here */
	unsigned budget;         /* replays that may still be made */
};

/*
 * All answers are in: what is gone goes, and the state that says so is stored
 * with it. -ESTALE: so it is, and there are older messages to be listed.
 * -EAGAIN: the second question is to be put first. -EPROTO: the answers
 * contradict each other.
 */
MUST_CHECK int sync_finish(struct sync *y, const struct imap_sync_end *end);

#endif
