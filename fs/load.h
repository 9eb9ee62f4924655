/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bodies: from the cache, or from the server into the cache.
 *
 * However many readers want a message, it is fetched once: each message on its
 * way is one `struct load`, found by id. Messages up to LOAD_WHOLE come in one
 * go; larger ones in parts around what is read, and further ahead the longer
 * somebody reads straight on. Every piece that arrives can be read at once.
 * A fetch that was sent goes on when its last reader leaves. What failed fails
 * again at once for FS_FAIL_AGAIN_MS.
 */
#ifndef IMAPFS_FS_LOAD_H
#define IMAPFS_FS_LOAD_H

#include "fs/tree.h"

#define LOAD_WHOLE (256u << 10)   /* bytes fetched in one go */
#define LOAD_AHEAD_MAX (8u << 20) /* bytes asked for ahead of a reader */

/* -ENOMEM. */
MUST_CHECK int load_new(struct fs *fs, struct load **ret);
/* After imap_free(). */
void load_free(struct load *l);

/*
 * `n` bytes of a message from `offset` are wanted. 0: they are in `*ret`
 * (checked; clipped at its end), which the caller gives back with body_put().
 * -EAGAIN: on their way; wait for the key `m->id`. -EBADMSG: the local copy
 * was damaged and could not be fetched again. -ENOTCONN, -ETIMEDOUT, -ENOENT
 * (gone on the server), -ENOSPC, -EDQUOT, -EIO ...
 */
MUST_CHECK int load_read(struct fs *fs, struct folder *f,
			 const struct cache_msg *m, uint64_t offset, size_t n,
			 struct body **ret);

/*
 * READs of one large message that are not answered yet. The kernel believes a
 * short answer to tell the size only if it heard of no other one since it asked
 * (its attr_version): of those that touch the end the lowest must be answered
 * first, or it fills up with zeros what the others left out.
 */
struct reading;

/* NULL: no memory, or the message comes in one piece: then it never waits. */
struct reading *load_reading_begin(struct fs *fs, const struct cache_msg *m,
				   uint64_t offset);
/* Is no READ of lower bytes waiting? If one is, load_gen() moves at its end. */
bool load_reading_is_lowest(struct fs *fs, struct reading *v);
/* It is answered. NULL is fine. */
void load_reading_end(struct fs *fs, struct reading *v);

/*
 * A READ of `n` bytes that is not to be answered with fewer, since the kernel
 * would believe in a wrong size. True: answer it with an error; what of it
 * somebody wants is asked for again. False: it was refused before, and that
 * would now be an error for the reader.
 */
MUST_CHECK bool load_refuse_once(struct fs *fs, uint64_t id, uint64_t offset,
				 size_t n);

/*
 * The size of a message is about to be another one: from here on no READ of it
 * is answered, until load_correction_end(), and only one thread at a time comes
 * in. Before the end: the new size where it is read, then load_tell_size() if
 * the kernel knew another one; after it load_wake(). No locks.
 */
struct correction {
	struct correction *next;
	uint64_t id;
};
void load_correction_begin(struct fs *fs, struct correction *c, uint64_t id);
void load_correction_end(struct fs *fs, const struct correction *c);

/* Tell the kernel, at once; what it cannot hear now it is told ... */
void load_tell_size(struct fs *fs, uint64_t id);
/* ... here, before a READ of the message is answered. */
void load_tell_late(struct fs *fs, uint64_t id);

/*
 * The folder was asked for its UIDs and did not answer, or is no more: who
 * waits for them in order to read is told this error.
 */
void load_stale_failed(struct fs *fs, const struct folder *f, int error);

/* Who waits for a body of this message looks again: the message changed. */
void load_wake(struct fs *fs, uint64_t id);

/* Count a read: was it answered at once? */
void load_count(struct fs *fs, bool at_once);

/* Moves with everything that arrives or fails. */
uint64_t load_gen(struct fs *fs);

struct load_stats {
	uint64_t hits;    /* reads answered from the cache */
	uint64_t misses;  /* reads that had to wait */
	unsigned loading; /* messages on their way */
};
void load_get_stats(struct fs *fs, struct load_stats *ret);

#endif
