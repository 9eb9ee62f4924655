/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files of what is unsent (state_dir/spool) and of what was refused
 * (state_dir/rejected).
 *
 * A file of spool/ is named by the id of its message, with a `~` behind it
 * while that is a scratch file. The row and its record follow the file, and go
 * before it: a file that no record knows is an orphan. Orphans are found when
 * the cache is opened; what is in them goes to rejected/, unless they are
 * scratch files. The `~` is for that alone; records leave it out.
 *
 * A file whose record has gone is a leftover: the table of that name, written
 * in the same transaction, says whether it is to be deleted or kept in
 * rejected/. That is done by the writer thread after the next fsync (J6), or at
 * the next start.
 */
#ifndef IMAPFS_CACHE_SPOOL_H
#define IMAPFS_CACHE_SPOOL_H

#include "cache/blob.h"
#include "cache/changes.h"

/* --- spool.c --- */

/* Names and paths are yours to free. NULL: no memory. */
char *spool_name(uint64_t id);
char *spool_path(struct cache *c, const char *name, bool is_scratch);

/* Both folders; 0 if they are there. */
MUST_CHECK int spool_make_dirs(struct cache *c, struct cache_report *report);

/* A new file; the descriptor is yours. */
MUST_CHECK int spool_create(struct cache *c, const char *name, bool is_scratch,
			    int *ret_fd);
/* That of a scratch file is a message's from now on; 0 if it is. */
MUST_CHECK int spool_keep(struct cache *c, const char *name);
/* Of one that no record knows. */
void spool_unlink(struct cache *c, const char *name);
/* A file of the same bytes, fsynced. */
MUST_CHECK int spool_copy(struct cache *c, const char *from, const char *to);
/* -ENOENT. */
MUST_CHECK int spool_open_file(struct cache *c, const char *name,
			       bool for_writing, int *ret_fd);
/*
 * The names of new files are on disk: before their records are. For the writer
 * thread, before it fsyncs the log.
 */
MUST_CHECK int spool_sync_names(struct cache *c);
/* What was made, removed or moved away there is on disk. */
MUST_CHECK int spool_sync_dir(struct cache *c);
/* Bytes and name are on disk; the size in `*ret`. */
MUST_CHECK int spool_harden(struct cache *c, const char *name, uint64_t *ret);

/*
 * The file of a published message, to be read. -ENODATA: it has none. -EBUSY:
 * it is being written.
 */
MUST_CHECK int spool_open_published(struct cache *c, uint64_t id, int *ret_fd);

/*
 * The file becomes the file of a stored body, too, whose row is yours to queue;
 * `ret->hash` is yours to free. -EIO, -ENOSPC, -ENOMEM.
 */
MUST_CHECK int spool_adopt(struct cache *c, uint64_t id, const char *name,
			   struct blob *ret);

/* --- leftovers.c --- */

/* An empty file in rejected/, under `wanted` or a twin of it: its name. */
MUST_CHECK int rejected_reserve(struct cache *c, const char *wanted,
				char **ret);
/* It is not needed after all. */
void rejected_cancel(struct cache *c, const char *name);

/* In a transaction of the writer's: NULL for one that is deleted. */
MUST_CHECK int leftovers_put(struct cache *c, const char *spool,
			     const char *rejected);
/* The writer thread: that transaction was committed ... */
void leftovers_note(struct cache *c, const struct step *s);
/* ... and the disk has it. */
void leftovers_clear(struct cache *c);
/* What is left of an earlier run. Before there is a writer. */
MUST_CHECK int leftovers_open(struct cache *c);
void leftovers_finish(struct cache *c);

/* Files that no record knows. Before there is a writer. */
MUST_CHECK int spool_find_orphans(struct cache *c);

#endif
