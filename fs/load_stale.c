/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/load_private.h"

#include <errno.h>

/*
 * Readers that wait until the UIDs of their mailbox are known, which was made
 * anew. If it is found out which are theirs, moor.c wakes them, and if they are
 * gone, settle.c. But the job that is to find out may fail, or find the mailbox
 * gone: then they are told so, and do not wait until their time is up.
 */

void load_stale_note(struct fs *fs, uint64_t id, const struct folder *f)
{
	struct load *l = fs->load;
	unsigned at;

	lock_take(&l->lock);
	at = l->next_stale;
	for (unsigned i = 0; i < LOAD_STALE; i++)
		if (l->stale[i].id == id)
			at = i;
	if (at == l->next_stale)
		l->next_stale = (at + 1) % LOAD_STALE;
	l->stale[at] =
		(struct stale){.id = id, .f = f, .noted_ms = clock_now_ms()};
	lock_drop(&l->lock);
}

int load_stale_error(struct fs *fs, uint64_t id)
{
	struct load *l = fs->load;
	int error = 0;

	lock_take(&l->lock);
	for (unsigned i = 0; i < LOAD_STALE; i++) {
		struct stale *v = &l->stale[i];

		if (v->id == id && v->error != 0 &&
		    fs_failed_just_now(fs, v->failed_ms))
			error = v->error;
	}
	lock_drop(&l->lock);
	return error;
}

void load_stale_failed(struct fs *fs, const struct folder *f, int error)
{
	struct load *l = fs->load;
	int64_t now_ms = clock_now_ms();
	uint64_t ids[LOAD_STALE];
	unsigned n = 0;

	lock_take(&l->lock);
	for (unsigned i = 0; i < LOAD_STALE; i++) {
		struct stale *v = &l->stale[i];

		/* Of a longer time ago: its reader's time is up. */
		if (v->id == 0 || v->f != f || v->error != 0 ||
		    now_ms - v->noted_ms > fs->timeout_ms)
			continue;
		v->error = error;
		v->failed_ms = now_ms;
		ids[n++] = v->id;
	}
	lock_drop(&l->lock);
	for (unsigned i = 0; i < n; i++)
		load_moved(fs, ids[i]);
}
