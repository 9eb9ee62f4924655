/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/folder.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "fs/keep.h"
#include "fs/load.h"
#include "fs/notify.h"
#include "fs/park.h"
#include "fs/replay.h"
#include "imap/log.h"

/*
 * How a change of a message becomes visible. In a folder that the kernel knows
 * it does so by its replay (replay.h): until then a new message is not
 * announced, and one that is gone is still shown. In others, and where there
 * is no helper, it does at once, and the kernel is told.
 *
 * Called by connections' threads and by that of the replays.
 */

/* The body of a message that is gone, while the kernel holds its inode. */
struct ghost {
	struct ghost *next;
	struct fs *fs;
	uint64_t id;
	struct body *body;
};

static bool has_ghost_locked(const struct folder *f, uint64_t id)
	REQUIRES(f->lock)
{
	const struct ghost *g = f->ghosts;

	while (g && g->id != id)
		g = g->next;
	return g != NULL;
}

static struct ghost *make_ghost(struct fs *fs, const struct cache_msg *m)
{
	struct ghost *g = NULL;

	if (fs->n_ghosts++ < FS_GHOSTS_MAX)
		g = calloc(1, sizeof(*g));
	if (g && body_open(fs->cache, m->id, m->size, &g->body) == 0) {
		g->fs = fs;
		g->id = m->id;
		return g;
	}
	fs->n_ghosts--;
	free(g);
	return NULL;
}

static void free_ghost(struct ghost *g)
{
	if (!g)
		return;
	g->fs->n_ghosts--;
	body_put(g->body);
	free(g);
}

/* Where it cannot be kept a reader gets ENOENT: better than staying. */
void folder_keep_body(struct fs *fs, struct folder *f,
		      const struct cache_msg *m)
{
	struct ghost *g = NULL;

	if (m->held > 0 && cache_has_body(fs->cache, m->id))
		g = make_ghost(fs, m);
	if (!g)
		return;
	lock_take(&f->lock);
	if (!has_ghost_locked(f, m->id)) {
		g->next = f->ghosts;
		f->ghosts = g;
		g = NULL;
	}
	lock_drop(&f->lock);
	free_ghost(g);
	/* The kernel may have forgotten it meanwhile, which it says once. */
	if (!folder_is_message_held(fs, f, m->id))
		folder_drop_ghost(f, m->id);
}

void folder_drop_ghost(struct folder *f, uint64_t id)
{
	struct ghost *gone = NULL;

	lock_take(&f->lock);
	for (struct ghost **at = &f->ghosts; *at; at = &(*at)->next) {
		if ((*at)->id != id)
			continue;
		gone = *at;
		*at = gone->next;
		break;
	}
	lock_drop(&f->lock);
	free_ghost(gone);
}

void folder_drop_ghosts(struct folder *f)
{
	while (f->ghosts)
		folder_drop_ghost(f, f->ghosts->id);
}

/* The row as the replay would have left it; true: the kernel must be told. */
static bool settle(struct box *box, enum replay_op op, int error,
		   const struct cache_msg *m)
{
	switch (op) {
	case REPLAY_CREATE:
		/* Announced, but the call failed: the kernel may not know. */
		if (m->announced)
			return error != 0;
		box_announce(box, m->id);
		return true;
	case REPLAY_UNLINK:
		if (!m->doomed)
			return false;
		if (box_remove(box, &m->id, 1) != 0)
			log_warn("settle: cannot forget '%s'", m->name);
		return true;
	case REPLAY_ATTRIB:
		return m->held > 0;
	default:
		return false;
	}
}

static void tell(struct fs *fs, uint64_t dir, enum replay_op op,
		 const struct cache_msg *m)
{
	if (op == REPLAY_CREATE)
		notify_added(fs->notify, dir, m->name);
	else if (op == REPLAY_UNLINK)
		notify_removed(fs->notify, dir, m->id, m->name);
	else
		notify_attr(fs->notify, m->id);
}

/* The name of a message that is in another folder now was taken away here. */
static void told_left(struct fs *fs, uint64_t dir, uint64_t id,
		      const char *name, int error)
{
	if (error != 0 && error != -ENOENT)
		notify_removed(fs->notify, dir, id, name);
	/* The kernel has counted one of its names less. */
	notify_attr(fs->notify, id);
}

void folder_replayed(struct fs *fs, struct folder *f,
		     const struct replayed *what, int error)
{
	uint64_t dir = tree_ino(fs->tree, f);
	enum replay_op op = what->op;
	struct cache_msg m;
	struct box *box;
	bool last;

	if (folder_get(fs, f, &box) == 0) {
		/* The reply to utimensat told the kernel. */
		bool told = op == REPLAY_ATTRIB && error == 0;
		bool here = box_find_id(box, what->id, &m) == 0;

		if (!here && op == REPLAY_UNLINK)
			told_left(fs, dir, what->id, what->name, error);
		else if (!told && here && !m.dead && settle(box, op, error, &m))
			tell(fs, dir, op, &m);
		folder_put(fs, f);
	}

	lock_take(&f->lock);
	assert(f->replays > 0);
	last = --f->replays == 0;
	if (last)
		f->gen++;
	lock_drop(&f->lock);
	if (!last)
		return;
	folder_close(f);
	park_wake(fs->park, tree_ino(fs->tree, f));
	keep_look_again(fs, f);
}

static void change(struct fs *fs, struct folder *f, const struct replayed *what,
		   bool replay)
{
	lock_take(&f->lock);
	f->replays++;
	if (f->held == 0)
		replay = false;
	lock_drop(&f->lock);
	if (!replay || !replay_push(fs->replay, f, what))
		folder_replayed(fs, f, what, -ENOTCONN);
}

void folder_change(struct fs *fs, struct folder *f, enum replay_op op,
		   const struct cache_msg *m, bool replay)
{
	const struct replayed what = {op, m->id, m->name};

	/* Who watches the folder hears of messages that nobody holds, too. */
	change(fs, f, &what, replay);
}

void folder_left(struct fs *fs, struct folder *f, uint64_t id, const char *name)
{
	const struct replayed what = {REPLAY_UNLINK, id, name};

	change(fs, f, &what, true);
}

int folder_doom(struct fs *fs, struct folder *f, const uint64_t *ids, size_t n,
		const struct cache_state *s, unsigned *budget)
{
	struct cache_msg m;
	struct box *box;
	int r;

	r = folder_get(fs, f, &box);
	if (r != 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (box_find_id(box, ids[i], &m) == 0 && !m.dead && !m.doomed)
			folder_keep_body(fs, f, &m);
	r = box_doom(box, ids, n, s);
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (box_find_id(box, ids[i], &m) != 0 || m.dead)
			continue;
		folder_change(fs, f, REPLAY_UNLINK, &m, *budget > 0);
		if (*budget > 0)
			--*budget;
		load_wake(fs, ids[i]);
	}
	folder_put(fs, f);
	return r;
}
