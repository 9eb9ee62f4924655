/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "world.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../scratch.h"
#include "fs/folder.h"
#include "fs/load.h"
#include "fs/mailboxes.h"
#include "fs/notify.h"
#include "fs/park.h"

/* The tree of folders over a real cache; see world.h. */

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

void world_open(struct world *w)
{
	char state[300], bodies[300];
	struct cache_config cfg = {.state_dir = state, .cache_dir = bodies};
	struct cache_report report;

	snprintf(state, sizeof(state), "%s/state", w->dir);
	snprintf(bodies, sizeof(bodies), "%s/bodies", w->dir);
	w->fs.opt = &w->opt;
	assert_int_equal(cache_open(&cfg, 0, &w->fs.cache, &report), 0);
	assert_int_equal(park_new(&w->fs.park), 0);
	assert_int_equal(notify_new(&w->fs.notify), 0);
	assert_int_equal(mailboxes_new(&w->fs, &w->fs.mailboxes), 0);
	assert_int_equal(load_new(&w->fs, &w->fs.load), 0);
	assert_int_equal(tree_new(&w->fs, &w->fs.tree), 0);
}

void world_close(struct world *w)
{
	park_close(w->fs.park);
	load_free(w->fs.load);
	tree_free(w->fs.tree);
	mailboxes_free(w->fs.mailboxes);
	notify_free(w->fs.notify);
	park_free(w->fs.park);
	cache_close(w->fs.cache);
}

void world_remove(struct world *w)
{
	nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	snprintf(w->dir, sizeof(w->dir), "%s/imapfs-tree-XXXXXX",
		 scratch_root());
	assert_non_null(mkdtemp(w->dir));
	world_open(w);
	*state = w;
	return 0;
}

int world_teardown(void **state)
{
	struct world *w = *state;

	world_close(w);
	world_remove(w);
	free(w);
	return 0;
}

struct folder *walk(struct world *w, const char *a, const char *b)
{
	struct folder *f = tree_root(w->fs.tree);

	f = tree_child(w->fs.tree, f, a);
	if (f && b)
		f = tree_child(w->fs.tree, f, b);
	return f;
}

uint64_t id_of(struct world *w, const char *a, const char *b)
{
	struct folder *f = walk(w, a, b);

	return f ? f->id : 0;
}

void apply(struct world *w, const struct mail_folder *v, size_t n)
{
	assert_int_equal(tree_apply(w->fs.tree, v, n), 0);
}

void list(struct world *w, const char *a, const char *b, uint32_t validity,
	  uint32_t next)
{
	const struct cache_state s = {
		.uidvalidity = validity, .uidnext = next, .complete = true};
	struct mail_row row = {.has = ROW_UID, .uid = 1};
	struct cache_new new = {&row, "m.eml", true};
	struct folder *f = walk(w, a, b);
	struct box *box;

	assert_non_null(f);
	assert_int_equal(folder_get(&w->fs, f, &box), 0);
	assert_int_equal(box_add(box, &new, 1, &s, NULL), 0);
	folder_put(&w->fs, f);
}
