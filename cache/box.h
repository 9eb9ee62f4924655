/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The inside of `struct box`, shared by box.c (opening and reading), change.c
 * (what the server and the kernel change) and the journal (what the user
 * changes).
 *
 * Whoever changes rows holds the lock of the journal from the first change in
 * memory until its operation is pushed, and the box's own lock for each change:
 * so the disk sees all changes of rows in the order in which memory saw them,
 * also those that concern two folders. What only memory has (announced, doomed,
 * held) is changed under the box's lock alone.
 */
#ifndef IMAPFS_CACHE_BOX_H
#define IMAPFS_CACHE_BOX_H

#include "cache/index.h"
#include "cache/internal.h"

struct box {
	struct cache *c; /* fixed at box_open(), as what follows */
	uint64_t folder;

	/* c->map.lock: */
	struct box *next;
	unsigned refs;
	bool is_open;    /* by box_open(), whose reference is one of them */
	bool is_loading; /* nobody but the loader looks inside */

	struct lock lock; /* RANK_INDEX, guards what follows */
	struct index index;
	struct cache_state state;
};

/*
 * The box of a folder for the cache's own use, also while somebody else has it
 * open. May wait for the disk. The errors of box_open() but -EBUSY.
 */
MUST_CHECK int box_get(struct cache *c, uint64_t folder, struct box **ret);
void box_put(struct box *b);

/* The one in use that has this id, with a reference; NULL: none. */
struct box *box_of_id_locked(struct idmap *m, uint64_t id) REQUIRES(m->lock);

/* A record that lives, or INDEX_NONE. */
size_t box_find_living(const struct box *b, uint64_t id) REQUIRES(b->lock);

#endif
