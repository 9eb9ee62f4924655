/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/effects.h"

#include <string.h>

#include "fs/folder.h"
#include "fs/notify.h"
#include "fs/replay.h"

/*
 * A row that left a folder has done so already, and one that came to a folder
 * is not announced: both show by their replays.
 */

static void tell_left(struct fs *fs, const struct journal_effect *e)
{
	struct folder *f = tree_find(fs->tree, e->from);

	if (f)
		folder_left(fs, f, e->id, e->from_name);
}

/* In a folder that nobody has opened it shows when somebody does. */
static void tell_here(struct fs *fs, const struct journal_effect *e,
		      enum replay_op op)
{
	struct folder *f = tree_find(fs->tree, e->to);
	struct cache_msg m;
	struct box *box;

	if (!f || folder_get(fs, f, &box) != 0)
		return;
	if (box_find_id(box, e->id, &m) == 0 && !m.dead)
		folder_change(fs, f, op, &m, true);
	folder_put(fs, f);
}

static void tell_one(struct fs *fs, const struct journal_effect *e)
{
	bool has_moved =
		e->from != e->to || strcmp(e->from_name, e->to_name) != 0;

	if (!has_moved) {
		tell_here(fs, e, REPLAY_ATTRIB);
		return;
	}
	if (e->from != 0)
		tell_left(fs, e);
	if (e->to != 0 && e->to != e->from)
		tell_here(fs, e, REPLAY_CREATE);
	else if (e->to != 0)
		notify_added(fs->notify, e->to, e->to_name);
}

void effects_tell(struct fs *fs, const struct journal_effects *v)
{
	for (size_t i = 0; v && i < v->n; i++)
		if (v->v[i].id != 0)
			tell_one(fs, &v->v[i]);
}
