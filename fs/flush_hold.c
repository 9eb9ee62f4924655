/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/flush.h"
#include "fs/folder.h"
#include "fs/keep.h"
#include "fs/mailboxes.h"
#include "fs/park.h"

/*
 * A folder is either listed and synced, or changed (F3); which of them is
 * decided under the folder's lock. While it is changed, its mailbox keeps its
 * name (mailboxes.h). Called by the flusher's thread.
 */

bool folder_flush_begin(struct fs *fs, struct folder *f)
{
	imap_job job = 0;
	bool begun;

	lock_take(&f->lock);
	begun = f->busy == FOLDER_IDLE && mailboxes_use(fs, f);
	if (begun)
		f->flushing++;
	else if (fs->stopping)
		job = f->job; /* nobody will see what it brings */
	lock_drop(&f->lock);
	if (job)
		imap_cancel(fs->imap, job);
	return begun;
}

void folder_flush_end(struct fs *fs, struct folder *f)
{
	int64_t now = clock_now_ms();
	bool last;

	lock_take(&f->lock);
	if (f->flushed_ms == 0 || now - f->flushed_ms > KEEP_OWN_MS)
		f->train_ms = now;
	f->flushed_ms = now;
	last = --f->flushing == 0;
	if (last)
		f->gen++;
	lock_drop(&f->lock);
	mailboxes_unuse(fs, f);
	if (!last)
		return;
	folder_close(f);
	park_wake(fs->park, tree_ino(fs->tree, f));
	if (fs->keep)
		keep_look_again(fs, f);
}

void folder_flush_waits(struct folder *f, bool waits)
{
	lock_take(&f->lock);
	f->flush_waits = waits;
	lock_drop(&f->lock);
}
