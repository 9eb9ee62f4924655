/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the server says of rows that have a record in the journal. Called with
 * the journal's lock held and a fresh plan, which is committed here, before the
 * rest of the operation is done; what is looked after is taken out of the
 * operation (its id becomes 0). -ENOMEM, and then nothing has changed.
 */
#ifndef IMAPFS_CACHE_SERVER_H
#define IMAPFS_CACHE_SERVER_H

#include "cache/changes.h"

/* Its flags: changes that it has not seen are laid over them. */
MUST_CHECK int server_flags_locked(struct plan *p, struct box *b,
				   const struct cache_flags *v,
				   struct flags_op *op)
	REQUIRES(p->c->journal.lock);

/*
 * The same for the row that a step has loaded. The words are borrowed; NULL:
 * not known. -ENOMEM.
 */
MUST_CHECK int server_lay_flags(struct step *s, const struct flagset *now);

/*
 * Messages are gone: so are their records. Those that are not here as the
 * server has them (pending, or elsewhere by now) are left out.
 */
MUST_CHECK int server_gone_locked(struct plan *p, struct box *b,
				  struct remove_op *op)
	REQUIRES(p->c->journal.lock);

/* Unmoored rows of this folder, whose UIDs are free, have these UIDs now. */
MUST_CHECK int server_moored_locked(struct plan *p, struct box *b,
				    struct cache_moor *v, size_t n)
	REQUIRES(p->c->journal.lock);

/* Every record with this origin has another one. */
MUST_CHECK int server_rebase_locked(struct plan *p,
				    const struct journal_place *from,
				    const struct journal_place *to)
	REQUIRES(p->c->journal.lock);

/* The row of a box that has this UID goes, unless it is that of `id`. */
MUST_CHECK int server_drop_uid_locked(struct plan *p, struct box *b,
				      uint32_t uid, uint64_t id)
	REQUIRES(p->c->journal.lock);

/*
 * So do those that get it in this plan: two messages may have become one (Gmail
 * keeps no text twice). Looks at all of the plan.
 */
MUST_CHECK int server_drop_twins_locked(struct plan *p, const struct box *b,
					uint32_t uid, uint64_t id)
	REQUIRES(p->c->journal.lock);

#endif
