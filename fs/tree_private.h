/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What tree.c (the tree as it is), tree_hash.c and tree_text.c (its tables),
 * tree_place.c (names and paths), tree_apply.c (a LIST), tree_move.c (what was
 * renamed), tree_change.c (how a change shows) and tree_own.c (what this mount
 * does) share.
 */
#ifndef IMAPFS_FS_TREE_PRIVATE_H
#define IMAPFS_FS_TREE_PRIVATE_H

#include "cache/region.h"
#include "fs/tree.h"

/* A place in the tree that a folder is to have. */
struct place {
	struct folder *parent;
	char *path;
	const char *name; /* in `path` */
};

struct tree {
	struct fs *fs;

	struct lock lock;    /* RANK_TREE, guards what follows */
	struct folder **all; /* ascending by id, gone ones too */
	size_t n;
	struct folder **by_wire, **by_name; /* tree_hash.c */
	size_t n_slots;                     /* of each; a power of two */
	struct folder *top;                 /* the account itself; wire "" */
	struct folder *root;        /* what is mounted: top, or a mailbox */
	struct region lasting;      /* folders, and the names that they had */
	const char **texts;         /* those names (tree_text.c) */
	size_t n_texts, texts_size; /* a power of two */
	size_t n_moving;            /* folders that have a place to go to */
	struct folder **fresh;      /* made since the last LIST was told of */
	size_t n_fresh;
};

/* Folders that are not gone, shown or not. NULL: none. */
struct folder *tree_by_wire_locked(struct tree *t, const char *wire)
	REQUIRES(t->lock);
struct folder *tree_by_name_locked(struct tree *t, const struct folder *parent,
				   const char *name) REQUIRES(t->lock);

/*
 * The one text that is the same, for as long as the tree lives: somebody may
 * be reading a name that a folder had at this moment. NULL: no memory.
 */
const char *tree_text_locked(struct tree *t, const char *text)
	REQUIRES(t->lock);

/* Make room for one more than are in `all`. -ENOMEM. */
MUST_CHECK int tree_hash_reserve_locked(struct tree *t) REQUIRES(t->lock);
/* With wire name, parent and name; it is in neither table. */
void tree_hash_add_locked(struct tree *t, struct folder *f) REQUIRES(t->lock);
void tree_hash_remove_locked(struct tree *t, struct folder *f)
	REQUIRES(t->lock);

/*
 * Make a folder, and its parents where they are missing, and link it. `id` 0:
 * a new one, which is saved, and is among the fresh ones, not announced yet.
 */
MUST_CHECK int tree_add_locked(struct tree *t, uint64_t id, const char *wire,
			       char delimiter, uint32_t attrs,
			       struct folder **ret) REQUIRES(t->lock);

/* Out of its parent's children, and into them, where room was made. */
void tree_unlink_locked(struct tree *t, struct folder *f) REQUIRES(t->lock);
MUST_CHECK int tree_make_room_locked(struct tree *t, struct folder *parent)
	REQUIRES(t->lock);
void tree_link_locked(struct tree *t, struct folder *f, struct folder *parent)
	REQUIRES(t->lock);

/* The folder, and what is above it, is not on its way out (any more). */
void tree_stays_locked(struct tree *t, struct folder *f) REQUIRES(t->lock);

/* The folder above a mailbox of this name: found, or made. */
MUST_CHECK int tree_parent_locked(struct tree *t, const char *wire,
				  char delimiter, struct folder **ret)
	REQUIRES(t->lock);

/* --- tree_place.c --- */

/* The last component of a wire name, by its delimiter. */
const char *tree_last_component(const char *wire, char delimiter);

/*
 * Path and name that a mailbox would have there; `path` is yours to free. The
 * name that `self` has counts as free.
 */
MUST_CHECK int tree_place_locked(struct tree *t, struct folder *parent,
				 const char *wire, char delimiter,
				 const struct folder *self, struct place *ret)
	REQUIRES(t->lock);

/* --- tree_move.c --- */

/* A line of LIST that no folder has, and the folder that was it, or NULL. */
struct newcomer {
	const struct mail_folder *m;
	struct folder *was;
};

/* A folder that LIST does not name any more, and what was known of it. */
struct leaver {
	struct folder *f;
	uint32_t uidvalidity; /* 0: nothing was */
	uint32_t uidnext;
};

/*
 * Which of the newcomers are mailboxes that had another name? Those of `went`
 * with the same UIDVALIDITY and UIDNEXT, if there is only one on either side;
 * and what was below such a one and is now below its new name.
 */
void tree_pair(const struct leaver *went, size_t n_went, struct newcomer *v,
	       size_t n);

/*
 * The mailbox has this name now. What is shown follows at once, or, if
 * `*ret_replay` is set, when the replay of a rename comes.
 */
MUST_CHECK int tree_move_locked(struct tree *t, struct folder *f,
				const struct mail_folder *m, bool *ret_replay)
	REQUIRES(t->lock);

/* The folder is shown at its new place from now on; the kernel is told. */
MUST_CHECK int tree_settle_locked(struct tree *t, struct folder *f)
	REQUIRES(t->lock);

/*
 * It has this place from now on, which it takes over. `tell`: the kernel does
 * not know it; if `*ret_replay` is set it will by the replay of a rename, and
 * the folder is shown where it was until that comes.
 */
MUST_CHECK int tree_go_locked(struct tree *t, struct folder *f, struct place *p,
			      bool tell, bool *ret_replay) REQUIRES(t->lock);

/*
 * Another path and name (`name`, in `path`, is its last component); another
 * wire name. Both are copied. -ENOMEM.
 */
MUST_CHECK int tree_set_path_locked(struct tree *t, struct folder *f,
				    const char *path, const char *name)
	REQUIRES(t->lock);
MUST_CHECK int tree_set_wire_locked(struct tree *t, struct folder *f,
				    const char *wire) REQUIRES(t->lock);

void place_free(struct place *p);

/* --- tree_change.c --- */

/* Does a change of this folder show by a replay in its parent? */
bool tree_replays(struct tree *t, const struct folder *f) REQUIRES(t->lock);

/* The folder is gone: out of the tree, for good. */
void tree_remove_locked(struct tree *t, struct folder *f) REQUIRES(t->lock);

MUST_CHECK int tree_save(struct tree *t, const struct folder *f);

/* Do the options show a mailbox of this name? Asked before it is made. */
MUST_CHECK int tree_is_shown(struct tree *t, const char *wire, char delimiter,
			     bool *ret);

#endif
