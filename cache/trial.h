/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Changes that are not acknowledged before they are safe.
 *
 * What a thread moves, removes, copies and flags (journal.h) from
 * journal_begin() to journal_end() is one change, of which nobody has been told
 * that it was made. If it cannot be made safe it is taken back, in memory and
 * out of the writer's queue, as if it had not been asked for.
 *
 * It stays made if it is on disk already, or if something else has happened
 * meanwhile to one of its messages: it was sent, the server has said something
 * of it, or its old name is taken. Changes of several threads are taken back in
 * turn, the last one first.
 */
#ifndef IMAPFS_CACHE_TRIAL_H
#define IMAPFS_CACHE_TRIAL_H

#include "cache/journal.h"

struct journal_trial;

/* One a thread at a time. NULL: no memory. */
struct journal_trial *journal_begin(struct cache *c);

/*
 * `made`: the caller's own result. If that is 0, wait until the change outlives
 * the program (cache_commit(); not `at_once`: cache_commit_gathered()). It is
 * taken back if that cannot be, or if `made` is an error: then `*ret` says what
 * that moved (rows come back as they were, also announced), yours to free; else
 * it is NULL.
 *
 * The result is `made`, or 0 if the change is safe, or the writer's error. No
 * lock may be held. The boxes concerned may be closed by now.
 */
MUST_CHECK int journal_end(struct journal_trial *t, int made, bool at_once,
			   struct journal_effects **ret);

#endif
