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
	uint64_t id; /* fixed when it is made */

	/*
	 * Where it is. A mailbox that is renamed on the server changes these
	 * (tree_move.c); what they pointed to lives as long as the mount, so
	 * that they are read without a lock.
	 */
	const char *_Atomic wire;
	const char *_Atomic path;      /* as shown, `/` between components */
	const char *_Atomic name;      /* the last component of `path` */
	struct folder *_Atomic parent; /* NULL: the account itself */
	_Atomic char delimiter;
	_Atomic uint32_t attrs; /* enum mail_folder_attr; a LIST renews it */

	/* The tree's lock. */
	struct folder *next_wire, *next_name; /* tree_hash.c */
	struct folder **children;             /* ascending by id */
	size_t n_children;
	size_t n_coming;     /* folders whose `place` is in it */
	_Atomic bool gone;   /* set once; folder.c reads it too */
	bool listed;         /* seen in the LIST that is being applied */
	bool announced;      /* shown; else its replay is on the way */
	bool doomed;         /* still shown, until its replay comes */
	struct place *place; /* where it goes when its replay comes, or NULL */

	/* The kernel keeps that some name is not in it; never unset. */
	_Atomic bool told_missing;
	/* The watch has named it, under the name that it has (keep.c). */
	_Atomic bool notified;
	/* What may be done in it (rights.c): RIGHTS_KNOWN and the rest. */
	_Atomic uint32_t rights;
	_Atomic int64_t rights_asked_ms;
	/* When a message came or changed that connections may not know of. */
	_Atomic int64_t touched_ms;
	/* How often `wire` changed. */
	_Atomic uint32_t moves;
	/* Its bodies stay here (offline.c). */
	_Atomic bool kept;

	/* The watch alone (keep.c); one thread at a time. */
	bool named;  /* in what is being told of all mailboxes */
	bool missed; /* not named the last time */

	/* keep.c's lock. */
	struct folder *next_due;
	bool due;           /* in the list of what is due */
	bool in_background; /* its job was begun by keep.c */
	int64_t due_ms;

	struct lock lock;          /* RANK_FOLDER; guards the rest (folder.c) */
	struct cache_state stored; /* while there is no box */
	struct box *box;           /* NULL: not entered yet, or dropped */
	uint64_t held; /* references by the kernel to the directory */
	imap_job job;
	uint64_t gen;        /* moves with every row, end and error */
	int64_t progress_ms; /* of the running listing */
	int64_t known_ms;    /* what the server had then is here; 0: unknown */
	int64_t asked_ms;    /* when the running, or last, job was begun */
	int64_t moved_ms;    /* somebody said that it moved; 0: nobody */
	int64_t heard_ms;    /* it had these numbers then, if it was told */
	struct mail_folder heard;
	int64_t doubted_ms;     /* the first sync that was doubted began */
	int64_t ended_ms;       /* when the last job that succeeded had ended */
	int64_t failed_ms;      /* when the last job failed; 0: it did not */
	struct ghost *ghosts;   /* bodies of removed messages that are open */
	uint64_t n_listed;      /* rows of the running listing */
	uint64_t n_expected;    /* messages, as EXAMINE said */
	uint32_t heard_uidnext; /* by LIST, of a folder never listed */
	uint32_t limit;     /* it may be set to show no more; 0: all is shown */
	uint64_t n_older;   /* the last sync named so many that were not here */
	unsigned box_users; /* who may be using `box` at this moment */
	unsigned flushing;  /* batches on their way that name it (flush.h) */
	bool flush_waits;   /* one is to begin when its job has ended */
	/* The last batch ended; the first one of its train did; 0: none. */
	int64_t flushed_ms, train_ms;
	enum folder_busy {
		FOLDER_IDLE,
		FOLDER_LISTING,
		FOLDER_SYNCING,
		FOLDER_MOORING,
	} busy;
	enum imap_sync_method method; /* of the last sync */
	bool has_synced;              /* in this mount */
	bool doubted;                 /* the last sync missed some messages */
	bool distrusted;     /* the server once said that all was gone */
	bool miscounts;      /* EXAMINE counts fewer than there are */
	enum folder_denied { /* LIST names it, SELECT does not know it */
			     FOLDER_NOT_DENIED,
			     FOLDER_DENIED, /* once; LIST is asked */
			     FOLDER_NAMED, /* and names it; SELECT is asked once
					      more */
			     FOLDER_EMPTY, /* what was in it is gone, until
					      SELECT works */
	} denied;
	bool told_limit;  /* the log has it, once a mount */
	bool ask_again;   /* the job has been ended by a new name */
	int error;        /* of the last job */
	unsigned replays; /* not yet answered by the helper */
	unsigned renewed; /* UIDVALIDITY changed so often */
};

/* The tree as the cache has it. -ENOMEM, or cache errors. */
MUST_CHECK int tree_new(struct fs *fs, struct tree **ret);
void tree_free(struct tree *t);

/*
 * A LIST of the server: new mailboxes appear, missing ones go, and one that
 * has another name now, as far as that is certain (tree_move.c), keeps its
 * number and all that is in it. Once the mount is served each shows by the
 * replay of mkdir, rmdir or rename, if the kernel knows its parent; else the
 * kernel is told. New ones for whose parents there is no room, of
 * MAIL_IMPLIED_MAX, are left out, and logged. -ENOMEM, -EOVERFLOW.
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

/* The child of this name that is shown; NULL: none. */
struct folder *tree_child(struct tree *t, struct folder *f, const char *name);

/* Will a child of this name be shown by a replay that is on its way? */
bool tree_is_coming(struct tree *t, struct folder *f, const char *name);

/*
 * The path that it will have by the rename that is on its way; yours to free.
 * -ENOENT: none is. -ENOMEM.
 */
MUST_CHECK int tree_goes_to(struct tree *t, const struct folder *f, char **ret);

/* By wire name; NULL: none. */
struct folder *tree_by_wire(struct tree *t, const char *wire);

/* Children with id > `after`, ascending, at most `n`: how many. */
size_t tree_children(struct tree *t, struct folder *f, uint64_t after,
		     struct folder **ret, size_t n);

/* Inode number of a folder: its id, FS_ROOT_INO for the root. */
uint64_t tree_ino(struct tree *t, const struct folder *f);

/* Inode number of the parent; the root's is itself. */
uint64_t tree_parent_ino(struct tree *t, const struct folder *f);

/*
 * The helper's replays have come in at the edge: what each stands for becomes
 * true. NULL, false: it does not stand for anything (any more).
 */
struct folder *tree_take_mkdir(struct tree *t, struct folder *parent,
			       const char *name);
bool tree_take_rmdir(struct tree *t, struct folder *parent, const char *name);
bool tree_take_rename(struct tree *t, struct folder *parent, const char *name,
		      struct folder *to, const char *to_name);

/*
 * The helper has answered, or cannot be asked (`error` is negative then): what
 * is still open becomes true now, and the kernel is told.
 */
enum replay_op; /* replay.h */
void tree_replayed(struct tree *t, struct folder *f, enum replay_op op,
		   int error);

/* Is it this one, or somewhere below it? */
bool tree_is_below(const struct folder *f, const struct folder *top);

/* --- what this mount itself did to mailboxes (tree_own.c) --- */

/*
 * The wire name of a mailbox that is to be shown in `parent` under this name;
 * yours to free. `was`: the folder that is to have it, or NULL for a new one.
 * -EINVAL: no mailbox can be called, or shown, so. -EPERM: there can be none in
 * this folder, or the options would not show it. -EEXIST: it is INBOX.
 * -ENAMETOOLONG, -ENOMEM.
 */
MUST_CHECK int tree_new_name(struct tree *t, struct folder *parent,
			     const char *name, const struct folder *was,
			     char **ret);

/* Is any folder in it, or on its way there? */
bool tree_has_children(struct tree *t, const struct folder *f);

/*
 * The server has made it: the folder is shown from now on; whoever asked for it
 * tells the kernel. -ENOMEM.
 */
MUST_CHECK int tree_made(struct tree *t, struct folder *parent,
			 const char *wire, struct folder **ret);

/* The server has removed it. `tell`: the kernel does not know. */
void tree_removed(struct tree *t, struct folder *f, bool tell);

/*
 * The server has given it, and what is below it, another name: `wire`, in
 * `parent`. All keep their ids, messages, and the names of these. -ENOMEM: the
 * next LIST will find it out.
 */
MUST_CHECK int tree_renamed(struct tree *t, struct folder *f,
			    struct folder *parent, const char *wire, bool tell);

/* Wire names: what a mailbox is called, and is to be called. */
struct tree_names {
	char *from, *to;
};
/*
 * The mailboxes that are to be renamed one by one so that `f`, which is none
 * itself but only the way to them, is called `wire`: those below it that have
 * no other one above them there. Free with tree_names_free(). -ENOMEM.
 */
MUST_CHECK int tree_names_below(struct tree *t, struct folder *f,
				const char *wire, struct tree_names **ret,
				size_t *ret_n);
void tree_names_free(struct tree_names *v, size_t n);

/* All folders that are not gone, ascending by id; yours to free. */
MUST_CHECK int tree_all(struct tree *t, struct folder ***ret, size_t *ret_n);

/* The first folder with this attribute (FOLDER_ALL ...); NULL: there is none.
 */
struct folder *tree_special(struct tree *t, unsigned attr);

#endif
