/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tree of folders: mailboxes as the server's LIST and the cache know
 * them, each with the name of its directory.
 *
 * A struct folder lives as long as the mount, also when its mailbox is gone
 * (`gone`): a pointer to one is always good. Its place in the tree (parent,
 * children, name, gone) is guarded by the tree's lock and read through the
 * functions here, which return copies; what goes on inside it belongs to
 * folder.h, under the folder's own lock.
 */
#ifndef IMAPFS_FS_TREE_H
#define IMAPFS_FS_TREE_H

#include "fs/fs.h"
#include "fs/name.h"

struct folder {
	/* Fixed when it is made. */
	uint64_t id;
	char *wire;
	char delimiter;
	char *path; /* as shown, `/` between components; "" at the top */
	char name[NAME_BUFFER];
	struct folder *parent;  /* NULL: the account itself */
	_Atomic uint32_t attrs; /* enum mail_folder_attr; a LIST renews it */

	/* The tree's lock. */
	struct folder *next_wire, *next_name; /* tree_hash.c */
	struct folder **children;             /* ascending by id */
	size_t n_children;
	_Atomic bool gone; /* set once; folder.c reads it too */
	bool listed;       /* seen in the LIST that is being applied */

	/* The kernel keeps that some name is not in it; never unset. */
	_Atomic bool told_missing;

	struct lock lock; /* RANK_FOLDER; guards the rest (folder.c) */
	int64_t mtime_ns; /* as stored, while there is no box; 0: none */
	struct box *box;  /* NULL: not entered yet, or dropped */
	uint64_t held;    /* references by the kernel to the directory */
	imap_job job;
	uint64_t gen;         /* moves with every row, end and error */
	int64_t progress_ms;  /* of the running listing */
	int64_t synced_ms;    /* monotonic; 0: not in this mount */
	int64_t failed_ms;    /* when the last job failed; 0: it did not */
	struct ghost *ghosts; /* bodies of removed messages that are open */
	struct sync *sync;    /* what the running sync has collected */
	uint64_t n_listed;    /* rows of the running listing */
	uint64_t n_expected;  /* messages, as EXAMINE said */
	unsigned box_users;   /* who may be using `box` at this moment */
	enum folder_busy { FOLDER_IDLE, FOLDER_LISTING, FOLDER_SYNCING } busy;
	int error;        /* of that job */
	unsigned replays; /* not yet answered by the helper */
	bool doubted;     /* the last one missed some; the job's own */
};

/* The tree as the cache has it. -ENOMEM, or cache errors. */
MUST_CHECK int tree_new(struct fs *fs, struct tree **ret);
void tree_free(struct tree *t);

/*
 * A LIST of the server: new mailboxes appear, missing ones go; the kernel is
 * told. -ENOMEM, -EOVERFLOW.
 */
MUST_CHECK int tree_apply(struct tree *t, const struct mail_folder *v,
			  size_t n);

/*
 * Show only the mailbox with this decoded path (UTF-8, the server's
 * delimiter) and its children. -ENOENT.
 */
MUST_CHECK int tree_set_root(struct tree *t, const char *mailbox);

struct folder *tree_root(struct tree *t);

/*
 * By inode number (FS_ROOT_INO, or an id); NULL: no folder. One that is gone is
 * found as long as the mount lives: the kernel may still hold what was in it.
 */
struct folder *tree_find(struct tree *t, uint64_t ino);

/* The child of this name; NULL: none. */
struct folder *tree_child(struct tree *t, struct folder *f, const char *name);

/* Children with id > `after`, ascending, at most `n`: how many. */
size_t tree_children(struct tree *t, struct folder *f, uint64_t after,
		     struct folder **ret, size_t n);

/* Inode number of a folder: its id, FS_ROOT_INO for the root. */
uint64_t tree_ino(struct tree *t, const struct folder *f);

/* Inode number of the parent; the root's is itself. */
uint64_t tree_parent_ino(struct tree *t, const struct folder *f);

/* All folders that are not gone, ascending by id; yours to free. */
MUST_CHECK int tree_all(struct tree *t, struct folder ***ret, size_t *ret_n);

#endif
