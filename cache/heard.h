/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * For whoever listens to the server: messages that it has somewhere, and that
 * the user has moved or removed since, which it does not know yet (journal.h).
 * Of those whose row is where the server has it the box hears (cache.h).
 */
#ifndef IMAPFS_CACHE_HEARD_H
#define IMAPFS_CACHE_HEARD_H

#include "cache/journal.h"

/*
 * Which message came from here and is elsewhere now, or in the limbo? -ENOENT.
 * (A copy's origin is its source's: that one is not meant.) -EBUSY: one that is
 * in doubt; whoever sends finds out what became of it.
 */
MUST_CHECK int journal_find_uid(struct cache *c, struct journal_place from,
				uint64_t *ret);

/*
 * Rows of a folder that the server has told of. Those of messages that came
 * from there and are elsewhere now, or in the limbo, have their flags, keywords
 * and labels taken over, below what the user has changed of them: they will
 * not be told again. All others are left out. -ENOMEM. `ret` is that of
 * journal_settle().
 */
MUST_CHECK int journal_hear(struct cache *c, struct journal_place from,
			    const struct mail_row *rows, size_t n,
			    struct journal_effects **ret);

/* The UIDs of all those of a folder, ascending; yours to free. -ENOMEM. */
MUST_CHECK int journal_origins(struct cache *c, uint64_t folder,
			       uint32_t uidvalidity, uint32_t **ret,
			       size_t *ret_n);

/*
 * A folder has other UIDs: what the records are known by whose origin is there
 * under another UIDVALIDITY than this, and whose row is elsewhere (box_moor()
 * looks after those whose row is there). One for each origin; free(). Asks SQL.
 */
MUST_CHECK int journal_keys(struct cache *c, uint64_t folder,
			    uint32_t uidvalidity, struct cache_key **ret,
			    size_t *ret_n);

/*
 * Those that were found, under their new UIDs; with their copies. A row that a
 * listing has made of one meanwhile goes, as an effect tells. `ret` is that of
 * journal_settle().
 */
MUST_CHECK int journal_rebase(struct cache *c, uint64_t folder,
			      uint32_t uidvalidity, const struct cache_moor *v,
			      size_t n, struct journal_effects **ret);

#endif
