/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/change.h"

#include <errno.h>
#include <stdlib.h>

#include "cache/trial.h"
#include "fs/draft.h"
#include "fs/effects.h"
#include "fs/flush.h"
#include "fs/folder.h"

/*
 * What is acknowledged outlives the program; what the disk does not take is
 * taken back. The kernel, which is told of the error, has changed nothing; but
 * what came to the Trash may have been shown there, other attributes may have
 * been asked for meanwhile, and the files of what is being written have other
 * places in the table of drafts.
 */

static void tell_back(struct fs *fs, const struct journal_effects *back)
{
	struct folder *f;

	for (size_t i = 0; i < back->n; i++) {
		const struct journal_effect *e = &back->v[i];

		f = e->to ? tree_find(fs->tree, e->to) : NULL;
		if (!f)
			continue;
		if (e->from == 0)
			folder_drop_ghost(f, e->id);
		draft_returned(fs, e->id, f);
	}
	effects_tell(fs, back);
	/* Who waits for what is queued has less to wait for. */
	flush_wake(fs);
}

int change_durably(struct fs *fs, change_fn make, void *ctx,
		   struct change_end *end)
{
	struct journal_trial *trial = journal_begin(fs->cache);
	struct journal_effects *back;
	int r;

	if (!trial)
		return -ENOMEM;
	r = make(ctx, end);
	/*
	 * With the option sync the flusher is about to note that it is sent,
	 * and syncs that.
	 */
	r = journal_end(trial, r, !fs->opt->sync, &back);
	if (back)
		tell_back(fs, back);
	free(back);
	return r;
}
