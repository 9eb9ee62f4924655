/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What tree.c and tree_apply.c share.
 */
#ifndef IMAPFS_FS_TREE_PRIVATE_H
#define IMAPFS_FS_TREE_PRIVATE_H

#include "fs/tree.h"

struct tree {
	struct fs *fs;

	struct lock lock;    /* RANK_TREE, guards what follows */
	struct folder **all; /* ascending by id, gone ones too */
	size_t n, size;
	struct folder **by_wire, **by_name; /* tree_hash.c */
	size_t n_slots;                     /* of each; a power of two */
	struct folder *top;                 /* the account itself; wire "" */
	struct folder *root; /* what is mounted: top, or a mailbox */
};

/* Folders that are not gone. NULL: none. */
struct folder *tree_by_wire_locked(struct tree *t, const char *wire)
	REQUIRES(t->lock);
struct folder *tree_by_name_locked(struct tree *t, const struct folder *parent,
				   const char *name) REQUIRES(t->lock);

/* With parent and name; before it is in `all`. -ENOMEM. */
MUST_CHECK int tree_hash_add_locked(struct tree *t, struct folder *f)
	REQUIRES(t->lock);
void tree_hash_remove_locked(struct tree *t, struct folder *f)
	REQUIRES(t->lock);

/*
 * Make a folder, and its parents where they are missing, and link it. `id` 0:
 * a new one, which is saved.
 */
MUST_CHECK int tree_add_locked(struct tree *t, uint64_t id, const char *wire,
			       char delimiter, uint32_t attrs,
			       struct folder **ret) REQUIRES(t->lock);

/* Out of its parent's children. */
void tree_unlink_locked(struct tree *t, struct folder *f) REQUIRES(t->lock);

/* Do the options show a mailbox of this name? Asked before it is made. */
MUST_CHECK int tree_is_shown(struct tree *t, const struct mail_folder *m,
			     bool *ret);

#endif
