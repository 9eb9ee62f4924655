/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What folder.c (the folder and its jobs), enter.c (entering it) and behind.c
 * (is it behind?) share. All with the folder's lock held.
 */
#ifndef IMAPFS_FS_FOLDER_PRIVATE_H
#define IMAPFS_FS_FOLDER_PRIVATE_H

#include "fs/folder.h"

bool folder_has_messages(const struct folder *f);

/* 0: f->box is there. -ENODATA, and the errors of box_open(). */
MUST_CHECK int folder_open_box_locked(struct fs *fs, struct folder *f)
	REQUIRES(f->lock);

void folder_state_locked(struct folder *f, struct cache_state *ret)
	REQUIRES(f->lock);

/* Begin the next thing that is to be asked of an idle folder with a box. */
MUST_CHECK int folder_start_job_locked(struct fs *fs, struct folder *f,
				       enum imap_priority prio)
	REQUIRES(f->lock);

/* A job has asked for all that there was when it began. */
void folder_caught_up_locked(struct folder *f) REQUIRES(f->lock);

#endif
