/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading the journal when the cache is opened, and holding it against the
 * rows. By the thread that opens, before there is a writer.
 */
#ifndef IMAPFS_CACHE_RECOVER_H
#define IMAPFS_CACHE_RECOVER_H

#include "cache/changes.h"

/* -EBADMSG, -EIO, -ENOSPC, -ENOMEM. */
MUST_CHECK int journal_recover(struct cache *c);
/* All of it, as far as it went: the database is set aside. */
void journal_forget(struct cache *c);

/* Every sound record; the place of its row is `at` until it is found. */
MUST_CHECK int recover_read_locked(struct cache *c, uint64_t at)
	REQUIRES(c->journal.lock);

/* A line of `failed`, and of the log. */
MUST_CHECK int recover_report(struct cache *c, const char *what,
			      const char *why, const char *file);

#endif
