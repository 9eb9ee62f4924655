/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What mailboxes.c (who asks and who waits), mailboxes_turn.c (whose turn it
 * is), mailboxes_step.c (what is sent), mailboxes_look.c (what became of it)
 * and mailboxes_aside.c (names that must not stay) share.
 */
#ifndef IMAPFS_FS_MAILBOXES_PRIVATE_H
#define IMAPFS_FS_MAILBOXES_PRIVATE_H

#include "fs/mailboxes.h"
#include "imap/change.h"

enum mailbox_kind {
	MAILBOX_MKDIR,
	MAILBOX_RMDIR,
	MAILBOX_RENAME,
	MAILBOX_HEAL
};

/*
 *            rmdir              rename onto one     rename     mkdir    heal
 *   WAIT -> COUNT -> ASIDE -> RECOUNT -> DELETE                 CREATE   BACK
 *                               |  \-> RENAME -> DELETE                 DELETE
 *                               v        |
 *                              BACK <----+
 */
enum mailbox_step {
	STEP_WAIT,  /* until its name is in nobody's use, and all is sent */
	STEP_COUNT, /* has the one that is to go messages? */
	STEP_ASIDE,
	STEP_RECOUNT,
	STEP_RENAME,
	STEP_PARTS, /* ... of those below one that is no mailbox itself */
	STEP_DELETE,
	STEP_BACK,
	STEP_CREATE,
};

struct mailbox_op {
	struct fs *fs;
	uint64_t id;
	uint64_t key;
	enum mailbox_kind kind;

	struct folder *f;      /* gets another name; or NULL */
	struct folder *victim; /* goes; or NULL */
	struct folder *parent; /* of what is made or renamed ... */
	const char *above;     /* ... and its name then, which is the tree's */
	char *wire;            /* of what is made, or its new name */
	char *was;             /* the victim's name ... */
	char *aside;           /* ... and the one that it has meanwhile */

	/* Of the thread that runs it: one callback at a time. */
	enum mailbox_step step;
	unsigned tries; /* of this step */
	unsigned looks; /* that failed */
	int error;      /* why the victim gets its name back */
	struct tree_names *parts;
	size_t n_parts, part; /* the one whose turn it is */

	/* The lock of mailboxes. */
	struct mailbox_op *next;
	bool trying;    /* somebody looks whether its turn has come ... */
	bool try_again; /* ... and is to look once more */
	bool holds;     /* M4; from here on it is not STEP_WAIT's */
	bool stalled;   /* looks once more when the account is connected */
	bool done;      /* with this result */
	bool abandoned; /* nobody waits for it */
	int result;
};

/* A mailbox in the use of somebody. */
struct mailbox_user {
	struct folder *f;
	unsigned n;
};

struct mailboxes {
	struct fs *fs;

	struct lock lock; /* RANK_MAILBOXES, guards what follows */
	struct mailbox_op *ops;
	struct mailbox_user *users;
	size_t n_users, users_size;
	uint64_t last_id;
	uint64_t gen;     /* operations that were done */
	uint64_t epoch;   /* moves when an operation begins, and ends */
	bool list_wanted; /* somebody asked for a LIST meanwhile */

	/*
	 * One change of the names aside at a time, on disk. The writer, which
	 * is waited for meanwhile, knows nothing of it.
	 */
	struct lock aside; /* RANK_MAILBOXES; never both */
};

/* --- mailboxes.c --- */

/* An empty operation: yours until mailbox_submit() or mailbox_op_free(). */
struct mailbox_op *mailbox_op_new(struct fs *fs, enum mailbox_kind kind,
				  uint64_t key);
void mailbox_op_free(struct mailbox_op *o);

/* It is one from now on. Its number. */
uint64_t mailbox_submit(struct mailbox_op *o);

struct mailbox_op *mailbox_find_locked(struct mailboxes *m, uint64_t id)
	REQUIRES(m->lock);

/* It has ended: whoever waits is woken, or it is done away with. */
void mailbox_finish(struct mailbox_op *o, int result);

/* --- mailboxes_turn.c --- */

/* Begin it as soon as its turn has come. Its number. */
uint64_t mailbox_queue(struct mailbox_op *o);

/* It waits for its turn, and nobody is about to give it that. */
bool mailbox_is_waiting(const struct mailbox_op *o);

/* --- mailboxes_step.c --- */

/* The first step that talks to the server. */
void mailbox_run(struct mailbox_op *o);
/* The same step once more. */
void mailbox_repeat(struct mailbox_op *o);
/* How the step has ended, for certain. */
void mailbox_stepped(struct mailbox_op *o, int result);

/* --- mailboxes_look.c --- */

/* The answer is lost: what became of this step? */
void mailbox_look(struct mailbox_op *o);

/* --- mailboxes_aside.c --- */

/* A name beside that of `wire`, never used before; yours to free. -ENOMEM. */
MUST_CHECK int aside_name(const char *wire, char delimiter, char **ret);

/* `was` is to be called `aside` for a moment; on disk. */
MUST_CHECK int aside_note(struct fs *fs, const char *was, const char *aside);
/* That is past. */
void aside_forget(struct fs *fs, const char *aside);

/*
 * What LIST shows of names aside that no operation knows: the operations that
 * end that are begun. True: there are some.
 */
bool aside_heal(struct mailboxes *m, const struct mail_folder *v, size_t n);

#endif
