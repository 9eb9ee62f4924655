/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The inside of `struct box`, shared by box.c (opening and reading) and
 * change.c (what changes it).
 */
#ifndef IMAPFS_CACHE_BOX_H
#define IMAPFS_CACHE_BOX_H

#include "cache/index.h"
#include "cache/internal.h"

struct box {
	struct cache *c; /* fixed at box_open(), as what follows */
	uint64_t folder;
	struct box *next; /* c->map.lock */

	struct lock lock; /* RANK_INDEX, guards what follows */
	struct index index;
	struct cache_state state;
};

#endif
