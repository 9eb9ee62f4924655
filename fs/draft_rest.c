/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/draft_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/effects.h"
#include "fs/flush.h"
#include "fs/folder.h"
#include "imap/log.h"

/*
 * What an earlier mount has left: new messages that were not complete, and
 * hidden files of messages. Nobody has them open any more, so they are
 * completed before anything is served, and nobody sees a hidden file.
 */

static bool is_hidden(const char *name)
{
	return strncmp(name, DRAFT_HIDDEN, strlen(DRAFT_HIDDEN)) == 0;
}

/* The message whose hidden file this is; 0: it is none, or of no use. */
static uint64_t hidden_of(const char *name)
{
	const char *digits = name + strlen(DRAFT_HIDDEN);
	char *end;
	uint64_t id = strtoull(digits, &end, 10);

	return end > digits && !*end && id < CACHE_ID_LIMIT ? id : 0;
}

static int complete(struct fs *fs, const struct draft_new *v)
{
	struct journal_effects *undone = NULL;
	struct draft *d;
	int r = draft_enter(fs->drafts, v, &d);

	if (r != 0)
		return r;
	lock_take(&d->lock);
	r = draft_complete(fs, d, &undone);
	lock_drop(&d->lock);
	effects_tell(fs, undone);
	free(undone);
	draft_put(fs->drafts, d);
	return r;
}

/* A name for what was written to a message that is gone. */
static char *name_of(struct box *box, uint64_t message)
{
	struct cache_msg m;
	char *name;

	if (box_find_id(box, message, &m) == 0)
		return strdup(m.name);
	return asprintf(&name, "draft-%llu.eml", (unsigned long long)message) <
			       0
		       ? NULL
		       : name;
}

static int take_up(struct fs *fs, struct folder *f, struct box *box,
		   const struct journal_entry *e)
{
	struct draft_new v = {
		.id = e->id, .file_id = e->id, .kind = DRAFT_MESSAGE, .f = f};
	struct box *again;
	struct cache_msg m;
	int r = box_find_id(box, e->id, &m);

	if (r != 0)
		return r;
	v.size = m.size;
	v.mtime = m.internaldate;
	if (e->phase == JOURNAL_WRITING)
		return complete(fs, &v);
	if (!is_hidden(m.name))
		return 0;
	v.id = hidden_of(m.name);
	if (v.id == 0)
		return journal_remove(box, e->id);

	v.kind = DRAFT_REWRITE;
	v.name = name_of(box, v.id);
	r = v.name ? folder_get(fs, f, &again) : -ENOMEM;
	if (r != 0) {
		free(v.name);
		return r;
	}
	v.pinned = f;
	return complete(fs, &v);
}

int draft_find_rest(struct fs *fs)
{
	const struct journal_filter filter = {.phases = 1u << JOURNAL_SCRATCH |
							1u << JOURNAL_WRITING};
	struct journal_list *l;
	struct folder *f;
	struct box *box;
	int r = journal_read(fs->cache, &filter, &l);

	if (r != 0)
		return r;
	for (size_t i = 0; i < l->n; i++) {
		f = tree_find(fs->tree, l->v[i].at);
		r = f ? folder_get(fs, f, &box) : -ENOENT;
		if (r == 0) {
			r = take_up(fs, f, box, &l->v[i]);
			folder_put(fs, f);
		}
		if (r != 0)
			log_warn("drafts: what was being written to when the "
				 "program ended is not queued: %s",
				 strerrordesc_np(-r));
	}
	free(l);
	flush_wake(fs);
	return 0;
}
