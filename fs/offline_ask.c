/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/offline_private.h"

#include <errno.h>

#include "fs/keep.h"

/*
 * What others ask of folders whose bodies are to be here, and tell of them: any
 * thread, with no lock held. The work is left to the thread of keep.c.
 */

struct kept *offline_find_locked(struct offline *o, const struct folder *f)
	REQUIRES(o->lock)
{
	struct kept *k = o->kept;

	while (k && k->f != f)
		k = k->next;
	return k;
}

void offline_note(struct fs *fs, struct folder *f)
{
	struct offline *o = fs->offline;
	struct kept *k;

	if (!f->kept)
		return;
	lock_take(&o->lock);
	k = offline_find_locked(o, f);
	if (k)
		k->look = true;
	lock_drop(&o->lock);
	keep_offline_due(fs);
}

int offline_set(struct fs *fs, struct folder *f, bool keep)
{
	int r;

	if (f->attrs & FOLDER_NOSELECT)
		return -EPERM;
	r = cache_keep_folder(fs->cache, f->id, keep);
	if (r != 0)
		return r;
	f->kept = keep;
	keep_note_used(fs, f);
	keep_offline_due(fs);
	return 0;
}

bool offline_get(struct fs *fs, struct folder *f, struct offline_report *ret)
{
	struct offline *o = fs->offline;
	struct kept *k;

	*ret = (struct offline_report){.state = "looking", .why = ""};
	if (!f->kept)
		return false;
	lock_take(&o->lock);
	k = offline_find_locked(o, f);
	if (k) {
		ret->missing = k->missing;
		if (!k->look && !k->looks)
			ret->state = k->missing ? "fetching" : "complete";
	}
	if (ret->state[0] != 'c' && o->retry_ms != 0) {
		ret->state = "waiting";
		ret->why = o->why;
	}
	lock_drop(&o->lock);
	return true;
}
