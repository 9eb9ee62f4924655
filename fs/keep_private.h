/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What keep.c (the thread) and keep_list.c (the list of folders) share.
 */
#ifndef IMAPFS_FS_KEEP_PRIVATE_H
#define IMAPFS_FS_KEEP_PRIVATE_H

#include "fs/keep.h"

struct keep {
	struct fs *fs;
	char *watched; /* wire name; set by keep_watch() */
	pthread_t thread;

	struct lock lock; /* RANK_KEEP, guards what follows */
	struct lock_cond cond;
	struct folder *due;
	unsigned n_running; /* syncs that the thread has begun */
	bool list_running;
	bool list_again; /* once more, when that has come */
	bool list_came;  /* one that was asked for has, with ... */
	int list_result; /* ... this */
	bool listed;
	int64_t list_asked_ms;
	uint64_t list_epoch; /* of mailboxes.h, when it was asked for */
	int64_t poll_ms;
	int64_t offline_ms; /* when offline_run() is due */
	int64_t budget_ms;  /* when budget_save() is */
	bool stopping;
	/* Wire names that the watch has told before the tree had them. */
	char **early;
	size_t n_early;
};

#define KEEP_EARLY_MAX 65536 /* names; those beyond it are polled */

/* If the folder is due: not before then, by the thread. */
void keep_make_due(struct keep *k, struct folder *f, int64_t not_before_ms);

#endif
