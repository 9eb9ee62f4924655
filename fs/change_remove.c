/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/change_private.h"

#include <errno.h>
#include <string.h>

#include "cache/journal.h"
#include "fs/draft.h"
#include "fs/flush.h"
#include "fs/folder.h"
#include "fs/notify.h"
#include "fs/replay.h"

/*
 * Removing messages: to the Trash, or for good. As in change.c, the boxes are
 * kept open meanwhile, and no lock is held.
 */

int change_finish_doomed(struct box *box, const struct cache_msg *m)
{
	return box_remove(box, &m->id, 1);
}

void change_tell_arrival(struct fs *fs, struct folder *trash, uint64_t id)
{
	struct cache_msg m;
	struct box *box;

	if (folder_get(fs, trash, &box) != 0)
		return;
	if (box_find_id(box, id, &m) == 0)
		folder_change(fs, trash, REPLAY_CREATE, &m, true);
	folder_put(fs, trash);
}

static int move_to_trash(struct fs *fs, struct folder *f, struct box *box,
			 const struct cache_msg *m, struct folder *trash)
{
	struct journal_move how = {
		.name = m->name, .onto = JOURNAL_TWIN, .hide = true};
	int r = folder_get(fs, trash, &how.to);

	if (r != 0)
		return r;
	r = journal_move(box, m->id, &how, NULL);
	if (r == 0)
		change_tell_arrival(fs, trash, m->id);
	folder_put(fs, trash);
	if (r == 0)
		notify_relinked(fs->notify, tree_ino(fs->tree, f), m->id);
	return r;
}

int change_may_vanish(struct fs *fs, const struct cache_msg *m)
{
	if (m->uid != 0 || m->unmoored || change_is_only_here(fs, m) ||
	    !change_folders_are_labels(fs))
		return 0;
	return flush_state(fs, m->id);
}

static int remove_for_good(struct fs *fs, struct folder *f, struct box *box,
			   const struct cache_msg *m)
{
	int r;

	folder_keep_body(fs, f, m);
	r = journal_remove(box, m->id);
	if (r != 0)
		folder_drop_ghost(f, m->id);
	return r;
}

struct folder *change_place_of_old(struct fs *fs, struct folder *f)
{
	struct folder *trash = NULL;

	if (!change_folders_are_labels(fs) || trash_of(fs, f, &trash) != 0)
		return NULL;
	return trash;
}

int change_remove_one(struct fs *fs, struct folder *f, struct box *box,
		      const struct cache_msg *m)
{
	struct folder *trash = NULL;
	int r = 0;

	if (!change_is_only_here(fs, m))
		r = trash_of(fs, f, &trash);
	if (r == 0 && !trash)
		r = change_may_vanish(fs, m);
	if (r != 0)
		return r;
	draft_removing(fs, m->id);
	r = trash ? move_to_trash(fs, f, box, m, trash)
		  : remove_for_good(fs, f, box, m);
	draft_removed(fs, m->id, r == 0);
	return r;
}

/*
 * To complete a draft takes as long as the disk does, and may give its name to
 * another file (draft_send.c): then it is that one which has to go.
 */
static int remove_named(struct fs *fs, struct folder *f, struct box *box,
			struct cache_msg *m)
{
	char name[CACHE_NAME_MAX + 1];
	uint64_t id;
	int r;

	memcpy(name, m->name, sizeof(name));
	do {
		id = m->id;
		r = change_remove_one(fs, f, box, m);
	} while (r == -ENOENT && box_find_name(box, name, m) == 0 &&
		 m->id != id);
	return r;
}

int change_remove(struct fs *fs, struct folder *f, const char *name,
		  struct change_end *end)
{
	struct cache_msg m;
	struct box *box;
	int r;

	*end = (struct change_end){0};
	r = folder_get(fs, f, &box);
	if (r != 0)
		return r == -ENODATA ? -ENOENT : r;
	r = box_find_name(box, name, &m);
	if (r == 0 && m.doomed) {
		r = change_finish_doomed(box, &m);
	} else if (r == 0) {
		r = remove_named(fs, f, box, &m);
		end->ids[0] = change_id_to_wait_for(fs, m.id);
	}
	folder_put(fs, f);
	if (r == -EBUSY)
		r = change_wait_for_uids(fs, f, end);
	if (r == 0)
		flush_wake(fs);
	return r;
}
