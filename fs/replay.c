/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/replay_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/draft.h"
#include "fs/folder.h"
#include "imap/log.h"

/*
 * Orders to the helper, and what each of them means when it is done. Any
 * thread; replay_thread.c sends them.
 */

/* PATH below the mount point, then NAME in it if there is one. */
static int put_path(struct fs *fs, char *to, size_t room, const char *path,
		    const char *name)
{
	return snprintf(to, room, "%s%s%s%s%s", fs->opt->mountpoint,
			path[0] ? "/" : "", path, name[0] ? "/" : "", name);
}

/* Many may have to wait: an order has no more bytes than it needs. */
static struct order *order_new(struct fs *fs, enum helper_op op, uint32_t lane,
			       const char *path, const char *name)
{
	int n = put_path(fs, NULL, 0, path, name);
	struct order *o;

	if (n < 0 || n >= PATH_MAX)
		return NULL;
	o = calloc(1, sizeof(*o) + (size_t)n + 1);
	if (!o)
		return NULL;
	o->what = op;
	o->lane = lane;
	o->path_bytes = (size_t)n + 1;
	(void)put_path(fs, o->path, o->path_bytes, path, name);
	return o;
}

/* A second path, behind the first one. NULL: the order is gone. */
static struct order *order_add_path(struct fs *fs, struct order *o,
				    const char *path)
{
	int n = put_path(fs, NULL, 0, path, "");
	struct order *longer = NULL;

	if (o && n > 0 && n < PATH_MAX)
		longer = realloc(o, sizeof(*o) + o->path_bytes + (size_t)n + 1);
	if (!longer) {
		free(o);
		return NULL;
	}
	(void)put_path(fs, longer->path + longer->path_bytes, (size_t)n + 1,
		       path, "");
	longer->path_bytes += (size_t)n + 1;
	return longer;
}

/* What of a path is below the mount point. */
static const char *shown_path(struct fs *fs, const char *path)
{
	size_t skip = strlen(tree_root(fs->tree)->path);

	/* Nothing above the mounted mailbox is part of the path. */
	if (skip > 0 && strlen(path) > skip)
		skip++;
	return path + (skip <= strlen(path) ? skip : 0);
}

/* --- replays --- */

static void message_done(struct fs *fs, const struct order *o, int error)
{
	const struct replayed what = {o->op, o->id, strrchr(o->path, '/') + 1};

	folder_replayed(fs, o->f, &what, -error);
}

static void folder_done(struct fs *fs, const struct order *o, int error)
{
	tree_replayed(fs->tree, o->f, o->op, -error);
}

static const enum helper_op helper_ops[] = {
	[REPLAY_CREATE] = HELPER_MKNOD,  [REPLAY_UNLINK] = HELPER_UNLINK,
	[REPLAY_ATTRIB] = HELPER_UTIMES, [REPLAY_MKDIR] = HELPER_MKDIR,
	[REPLAY_RENAME] = HELPER_RENAME, [REPLAY_RMDIR] = HELPER_RMDIR,
};

bool replay_push(struct replay *r, struct folder *f,
		 const struct replayed *what)
{
	struct order *o;

	o = order_new(r->fs, helper_ops[what->op], (uint32_t)f->id,
		      shown_path(r->fs, f->path), what->name);
	if (!o)
		return false;

	o->f = f;
	o->op = what->op;
	o->id = what->id;
	o->done = message_done;
	return replay_queue(r, o, false);
}

bool replay_push_folder(struct replay *r, struct folder *f, enum replay_op op)
{
	char *to = NULL;
	struct order *o;

	if (op == REPLAY_RENAME && tree_goes_to(r->fs->tree, f, &to) != 0)
		return false;
	/* One lane for all: what moves below a new folder comes after it. */
	o = order_new(r->fs, helper_ops[op], 0, shown_path(r->fs, f->path), "");
	if (to)
		o = order_add_path(r->fs, o, shown_path(r->fs, to));
	free(to);
	if (!o)
		return false;

	o->f = f;
	o->op = op;
	o->done = folder_done;
	return replay_queue(r, o, false);
}

/* --- the first touch --- */

static void touch_done(struct fs *fs, const struct order *o, int error)
{
	(void)fs;
	if (error != 0)
		log_debug("replay: first touch of the mount, '%s': %s", o->path,
			  strerrordesc_np(error));
}

static void last_touch_done(struct fs *fs, const struct order *o, int error)
{
	touch_done(fs, o, error);
	fs->replay->touched(fs->replay->touched_ctx);
}

void replay_mounted(struct replay *r, void (*done)(void *ctx), void *ctx)
{
	struct order *first = order_new(r->fs, HELPER_MOUNTED, 0, "", "");
	struct order *last =
		order_new(r->fs, HELPER_OPEN, 0, ".imapfs", "status");

	r->touched = done;
	r->touched_ctx = ctx;
	if (first) {
		first->done = touch_done;
		(void)replay_queue(r, first, false);
	}
	if (last)
		last->done = last_touch_done;
	if (!last || !replay_queue(r, last, false))
		done(ctx);
}

bool replay_is_helper(struct replay *r, pid_t pid)
{
	for (unsigned i = 0; i < HELPER_THREADS; i++)
		if (pid != 0 && r->tids[i] == pid)
			return true;
	return false;
}

/* --- who writes --- */

static void watch_done(struct fs *fs, const struct order *o, int error)
{
	draft_watched(fs, o->f, -error);
}

static void unwatch_done(struct fs *fs, const struct order *o, int error)
{
	(void)fs;
	if (error != 0 && error != ENOENT)
		log_debug("replay: cannot end the watch of '%s': %s",
			  o->f->path, strerrordesc_np(error));
}

static void lease_done(struct fs *fs, const struct order *o, int error)
{
	draft_asked(fs, o->id, -error);
}

bool replay_watch(struct replay *r, struct folder *f, bool on)
{
	struct order *o;

	o = on ? order_new(r->fs, HELPER_WATCH, (uint32_t)f->id,
			   shown_path(r->fs, f->path), "")
	       : order_new(r->fs, HELPER_UNWATCH, (uint32_t)f->id, "-", "");
	if (!o)
		return false;

	o->f = f;
	o->done = on ? watch_done : unwatch_done;
	return replay_queue(r, o, true);
}

bool replay_ask_writers(struct replay *r, struct folder *f, uint64_t id,
			const char *name)
{
	struct order *o;

	o = order_new(r->fs, HELPER_LEASE, (uint32_t)f->id,
		      shown_path(r->fs, f->path), name);
	if (!o)
		return false;

	o->f = f;
	o->id = id;
	o->done = lease_done;
	return replay_queue(r, o, true);
}
