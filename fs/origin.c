/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/origin.h"

#include <errno.h>
#include <stdlib.h>

#include "cache/journal.h"
#include "fs/attr.h"
#include "fs/folder.h"

/*
 * A row with a UID says by itself where it is; for one without, the journal
 * does. Any thread, no lock held.
 */

#define TAKES_AWAY (JOURNAL_MOVE | JOURNAL_REMOVE)

static int from_journal(struct fs *fs, uint64_t id, struct origin *ret)
{
	struct journal_list *list;
	const struct journal_entry *e;
	int r = journal_get(fs->cache, id, &list);

	if (r != 0)
		return r;
	e = &list->v[0];
	*ret = (struct origin){
		.f = e->origin.folder ? tree_find(fs->tree, e->origin.folder)
				      : NULL,
		.uidvalidity = e->origin.uidvalidity,
		.uid = e->origin.uid,
	};
	if (!ret->f || ret->uid == 0)
		r = -ENOENT;
	else if (e->phase == JOURNAL_SENT && (e->sent & TAKES_AWAY))
		r = -EAGAIN;
	free(list);
	return r;
}

int origin_of(struct fs *fs, struct folder *f, const struct cache_msg *m,
	      struct origin *ret)
{
	struct cache_state s;
	int r;

	if (m->unmoored) {
		r = folder_need_uids(fs, f);
		/* The server denies the folder: nobody will find it there. */
		return r == 0 ? -ENOENT : r;
	}
	if (m->dead)
		return -ENOENT;
	if (m->uid == 0)
		return from_journal(fs, m->id, ret);
	/* It is still shown, until its replay comes. */
	if (m->doomed || folder_is_lost(f))
		return -ENOENT;
	folder_state(f, &s);
	*ret = (struct origin){f, s.uidvalidity, m->uid};
	return 0;
}

bool origin_has_moved(struct fs *fs, uint64_t id, const struct origin *was)
{
	struct cache_msg m;
	struct folder *f;
	struct origin now;
	int r = attr_find_message(fs, id, &m, &f);

	if (r == 0)
		r = origin_of(fs, f, &m, &now);
	return r == -EAGAIN ||
	       (r == 0 && (now.f != was->f || now.uid != was->uid ||
			   now.uidvalidity != was->uidvalidity));
}
