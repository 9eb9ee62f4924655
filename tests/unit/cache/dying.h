/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A process that dies at its n-th step that writes anything. */
#ifndef IMAPFS_TEST_CACHE_DYING_H
#define IMAPFS_TEST_CACHE_DYING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What the child has come to; both processes see it. */
struct progress {
	/* Two threads count: the one that changes and the one that writes. */
	atomic_long steps_left; /* until it dies; below 0: it does not */
	bool tears;             /* the last write is cut */
	atomic_bool is_dirty;   /* the log of the database was not fsynced */
	atomic_bool is_loose;   /* a file left spool/, which was not fsynced */
	bool created, published, synced, marked, answered, settled;
	uint64_t new_id;
};
extern struct progress *progress; /* NULL: nobody dies */

/* SQLite's writes are steps, too, from now on. */
void hook_sqlite(void);

#endif
