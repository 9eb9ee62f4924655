/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * change: what the user does to messages: moving, renaming, removing, marking.
 *
 * Each is made by calls of the journal, inside change_durably(): it is shown
 * when it returns, and flush.c sends it. What the kernel cannot know by itself
 * is told it here: the kernel moves and removes the names that were asked for;
 * what arrives in the Trash, or has its name taken, is told as a change made
 * elsewhere is.
 *
 * Which errors come: -EACCES, -EEXIST, -EINVAL (a name), -EISDIR, -ENOENT,
 * -EPERM, -EROFS, -ENOSPC, -EIO, -EBADMSG, -ENOMEM; and -EAGAIN: it is not
 * known at the moment which message of the server one of them is: wait until
 * `waits` has moved, then call again. Without `waits` it is on its way to where
 * it is to be removed: wait until the flusher has moved (flush_gen()); or
 * -ENOTCONN, if it cannot get there now.
 *
 * Threads: any, no lock held. Two changes of one name at a time, or of one
 * folder by its name, are kept apart by the kernel, which has the directories
 * locked.
 */
#ifndef IMAPFS_FS_CHANGE_H
#define IMAPFS_FS_CHANGE_H

#include "fs/marks.h"
#include "fs/tree.h"

struct change_end {
	uint64_t ids[2];      /* of those that flush.c sends now; 0: none */
	struct folder *waits; /* with -EAGAIN; NULL: for FLUSH_INO */
};

/*
 * Make a change by `make` and wait until it outlives the program. If that
 * cannot be it is taken back as far as it can be (cache/trial.h), and shown as
 * it was: the result is the error. `make` runs on this thread.
 */
typedef int (*change_fn)(void *ctx, struct change_end *end);
MUST_CHECK int change_durably(struct fs *fs, change_fn make, void *ctx,
			      struct change_end *end);

struct change_move {
	struct folder *from;
	const char *name;
	struct folder *to; /* may be the same */
	const char *to_name;
	bool no_replace; /* -EEXIST if the name is taken */
};

/*
 * rename(2). A message that has the name goes where change_remove() would take
 * it; but if it is the same message (a label of it, X-GM-MSGID, or a copy in
 * another folder, EMAILID), it stays, and only the one that was to be renamed
 * goes, for good. Out of Gmail's mailbox of all messages nothing goes but to
 * Trash and Junk: elsewhere it is then, too.
 */
MUST_CHECK int change_move(struct fs *fs, const struct change_move *how,
			   struct change_end *end);

/*
 * unlink(2): to the Trash; for good if it is in Trash or Junk, if the server
 * never saw it, or with delete=expunge. -EPERM: there is no Trash.
 */
MUST_CHECK int change_remove(struct fs *fs, struct folder *f, const char *name,
			     struct change_end *end);

/*
 * Where the old text of a message of this folder goes when another one takes
 * its place. NULL: it goes for good. Where folders are labels that would only
 * take the label off, and the old text would stay among all messages.
 */
struct folder *change_place_of_old(struct fs *fs, struct folder *f);

/*
 * Is a copy of this message, which is in `f`, another message in `to`? Where
 * folders are labels it is the same one, and if `to` has it already, or can
 * have no label, it cannot be removed without the first one.
 */
bool change_is_copy_apart(struct fs *fs, struct folder *f, uint64_t id,
			  struct folder *to);

/* The flags in `mask` become as they are in `flags`. */
MUST_CHECK int change_flags(struct fs *fs, uint64_t id, uint32_t mask,
			    uint32_t flags, struct change_end *end);

/* All that a message has; marks_finish() it. -ENOENT, -ENOMEM. */
MUST_CHECK int change_read_marks(struct fs *fs, uint64_t id, struct marks *ret);
/* -EINVAL: more keywords than a message can have. */
MUST_CHECK int change_marks(struct fs *fs, uint64_t id,
			    const struct marks_delta *d,
			    struct change_end *end);

/*
 * Gmail's labels become those of the text (gmail.h), as far as they differ from
 * those that are shown now. -EOPNOTSUPP: the server has no labels. -EINVAL: no
 * such list, or a label that cannot be set. -EPERM: in Trash and Spam there are
 * none.
 */
MUST_CHECK int change_labels(struct fs *fs, uint64_t id, const char *text,
			     size_t n, struct change_end *end);
/* Has a message with these details labels, even if it is none? */
bool change_has_labels(struct fs *fs, const struct cache_details *d);

#endif
