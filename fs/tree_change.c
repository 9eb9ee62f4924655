/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/tree_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/folder.h"
#include "fs/notify.h"
#include "fs/replay.h"

/*
 * How a change of the tree becomes visible. Where the kernel knows the parent
 * it is replayed by the helper, so that inotify sees it: until the helper's
 * mkdir comes in, a new folder is not shown; one that is gone is shown until
 * its rmdir, and one that was renamed is shown where it was until its rename.
 * Whatever becomes of the helper, tree_replayed() makes it true in the end.
 *
 * A folder that LIST names again before its rmdir has come is not doomed any
 * more; the rmdir then finds nothing to remove.
 */

static bool is_mounted(const struct tree *t, const struct folder *f)
{
	while (f && f != t->root)
		f = f->parent;
	return f != NULL;
}

bool tree_replays(struct tree *t, const struct folder *f)
{
	struct folder *parent = f->parent;

	return t->fs->serving && f != t->root && parent && parent->announced &&
	       is_mounted(t, parent) && folder_is_held(parent);
}

void tree_remove_locked(struct tree *t, struct folder *f)
{
	f->doomed = false;
	f->gone = true;
	if (f->place) {
		f->place->parent->n_coming--;
		place_free(f->place);
		f->place = NULL;
		t->n_moving--;
	}
	tree_unlink_locked(t, f);
	if (f->n_children == 0) {
		free(f->children);
		f->children = NULL;
	}
}

bool tree_is_coming(struct tree *t, struct folder *f, const char *name)
{
	struct folder *c;
	bool coming;

	lock_take(&t->lock);
	c = tree_by_name_locked(t, f, name);
	coming = c && !c->announced;
	for (size_t i = 0; t->n_moving > 0 && !coming && i < t->n; i++) {
		const struct place *p = t->all[i]->place;

		coming = p && p->parent == f && strcmp(p->name, name) == 0;
	}
	lock_drop(&t->lock);
	return coming;
}

int tree_goes_to(struct tree *t, const struct folder *f, char **ret)
{
	int r = -ENOENT;

	lock_take(&t->lock);
	if (f->place) {
		*ret = strdup(f->place->path);
		r = *ret ? 0 : -ENOMEM;
	}
	lock_drop(&t->lock);
	return r;
}

struct folder *tree_take_mkdir(struct tree *t, struct folder *parent,
			       const char *name)
{
	struct folder *f;

	lock_take(&t->lock);
	f = tree_by_name_locked(t, parent, name);
	if (f)
		f->announced = true;
	lock_drop(&t->lock);
	return f;
}

bool tree_take_rmdir(struct tree *t, struct folder *parent, const char *name)
{
	struct folder *f;
	bool doomed;

	lock_take(&t->lock);
	f = tree_by_name_locked(t, parent, name);
	doomed = f && f->doomed;
	if (doomed)
		tree_remove_locked(t, f);
	lock_drop(&t->lock);
	if (doomed)
		folder_drop(t->fs, f);
	return doomed;
}

bool tree_take_rename(struct tree *t, struct folder *parent, const char *name,
		      struct folder *to, const char *to_name)
{
	struct folder *f;
	bool right;

	lock_take(&t->lock);
	f = tree_by_name_locked(t, parent, name);
	right = f && f->place && f->place->parent == to &&
		strcmp(f->place->name, to_name) == 0 &&
		tree_settle_locked(t, f) == 0;
	lock_drop(&t->lock);
	return right;
}

static void show_now(struct tree *t, struct folder *f, bool failed)
{
	bool told;

	lock_take(&t->lock);
	told = f->announced;
	f->announced = true;
	lock_drop(&t->lock);
	/* Announced, but the call failed: the kernel may not know. */
	if (told && !failed)
		return;
	notify_added(t->fs->notify, tree_ino(t, f->parent), f->name);
	notify_listing(t->fs->notify, tree_ino(t, f));
}

static void remove_now(struct tree *t, struct folder *f)
{
	struct folder *parent = f->parent;
	bool doomed;

	lock_take(&t->lock);
	doomed = f->doomed;
	if (doomed)
		tree_remove_locked(t, f);
	lock_drop(&t->lock);
	if (!doomed)
		return;
	notify_removed(t->fs->notify, tree_ino(t, parent), f->id, f->name);
	folder_drop(t->fs, f);
}

static void move_now(struct tree *t, struct folder *f)
{
	lock_take(&t->lock);
	if (tree_settle_locked(t, f) != 0)
		notify_listing(t->fs->notify, tree_ino(t, f->parent));
	lock_drop(&t->lock);
}

void tree_replayed(struct tree *t, struct folder *f, enum replay_op op,
		   int error)
{
	switch (op) {
	case REPLAY_MKDIR:
		show_now(t, f, error != 0);
		break;
	case REPLAY_RMDIR:
		remove_now(t, f);
		break;
	case REPLAY_RENAME:
		move_now(t, f);
		break;
	default:
		break;
	}
}
