/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Changes made elsewhere, done once more on the mount itself, so that inotify
 * sees them (DESIGN B8): mknod of a new name, unlink of one that is gone,
 * utimensat of one whose flags changed; mkdir, rmdir and rename of folders. The
 * calls are made by the helper process (helper.h), for a thread of the program
 * must never wait for its own mount; here is the queue to it. The FUSE edge
 * knows the helper's requests by their process id and answers them from the
 * cache.
 *
 * Nobody waits for the helper: each replay ends in folder_replayed(), or
 * tree_replayed(), also if the helper is gone or answers with an error.
 */
#ifndef IMAPFS_FS_REPLAY_H
#define IMAPFS_FS_REPLAY_H

#include "fs/tree.h"

enum replay_op {
	/* of a message */
	REPLAY_CREATE,
	REPLAY_UNLINK,
	REPLAY_ATTRIB,
	/* of a folder; changes of one LIST are told in this order */
	REPLAY_MKDIR,
	REPLAY_RENAME,
	REPLAY_RMDIR,
};

/* What happened to a message. */
struct replayed {
	enum replay_op op;
	uint64_t id;
	const char *name;
};

/*
 * `fd`: the socket to the helper, taken over. Starts the thread. -ENOMEM,
 * -EAGAIN (no thread).
 */
MUST_CHECK int replay_new(struct fs *fs, int fd, struct replay **ret);

/*
 * After the loop has ended: says goodbye to the helper, ends what is left,
 * joins.
 */
void replay_stop(struct replay *r);
void replay_free(struct replay *r);

/*
 * Queue one. `f->replays` was raised by the caller. False: no helper, or out of
 * memory; folder_replayed() will not be called.
 */
bool replay_push(struct replay *r, struct folder *f,
		 const struct replayed *what);

/*
 * The same for a folder: where it is, and where it goes, says the tree. False:
 * tree_replayed() will not be called.
 */
bool replay_push_folder(struct replay *r, struct folder *f, enum replay_op op);

/*
 * The mount is there, and requests are served, or will be soon: the helper
 * watches over it, and opens one file of it, so that the kernel has learnt that
 * OPEN is not needed before the first CREATE (DESIGN B8).
 *
 * `done(ctx)` is called once, when the helper has left the mount again, which
 * umount(2) would call busy before that: by the thread, or, if there is no
 * helper, at once.
 */
void replay_mounted(struct replay *r, void (*done)(void *ctx), void *ctx);

/*
 * Watch the directory, or end that: draft_watched() and draft_closed() tell
 * (draft.h). False: no helper, or out of memory; draft_watched() is not called.
 */
bool replay_watch(struct replay *r, struct folder *f, bool on);

/*
 * Is anybody left who could write to this file? draft_asked() tells. False: as
 * above.
 */
bool replay_ask_writers(struct replay *r, struct folder *f, uint64_t id,
			const char *name);

/* Is this request (its pid) from the helper? */
bool replay_is_helper(struct replay *r, pid_t pid);

#endif
