/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/tree_private.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/folder.h"
#include "fs/notify.h"
#include "imap/log.h"

/*
 * A LIST of the server becomes the tree. What it names stays or appears; what
 * it does not name goes, unless something below it stays. The kernel is told
 * once the tree's lock is dropped.
 */

/*
 * Apply one line of LIST; `*ret_new` is the folder if it had to be made, or has
 * messages now and had none.
 */
static int apply_one_locked(struct tree *t, const struct mail_folder *m,
			    struct folder **ret_new) REQUIRES(t->lock)
{
	struct folder *f = tree_by_wire_locked(t, m->wire);
	int r;

	*ret_new = NULL;
	if (!f) {
		r = tree_add_locked(t, 0, m->wire, m->delimiter, m->attrs, &f);
		if (r != 0)
			return r;
		f->listed = true;
		*ret_new = f;
		return 0;
	}
	f->listed = true;
	if (f->attrs == m->attrs)
		return 0;
	/* It was listed as having no messages, which is kept by the kernel. */
	if ((f->attrs & ~m->attrs & FOLDER_NOSELECT) && f->parent)
		*ret_new = f;
	f->attrs = m->attrs;
	return cache_save_folder(
		t->fs->cache, &(struct cache_folder){.id = f->id,
						     .wire = f->wire,
						     .delimiter = f->delimiter,
						     .attrs = f->attrs});
}

/*
 * Folders that the LIST does not name any more, children before parents (they
 * have higher ids): out of the tree. Returns them in `gone`, with room for all.
 */
static size_t sweep_locked(struct tree *t, struct folder **gone)
	REQUIRES(t->lock)
{
	size_t n = 0;

	for (size_t i = t->n; i-- > 0;) {
		struct folder *f = t->all[i];

		if (f->gone || f->listed)
			continue;
		if (f->n_children > 0) {
			/* No mailbox any more, but the way to some. */
			f->attrs = FOLDER_NOSELECT | FOLDER_IMPLIED;
			continue;
		}
		f->gone = true;
		tree_unlink_locked(t, f);
		gone[n++] = f;
	}
	return n;
}

static void tell_gone(struct tree *t, struct folder *f)
{
	log_info("tree: folder '%s' is gone", f->path);
	notify_removed(t->fs->notify, tree_ino(t, f->parent), f->id, f->name);

	folder_drop(t->fs, f);
}

static void tell_fresh(struct tree *t, struct folder *f)
{
	notify_added(t->fs->notify, tree_ino(t, f->parent), f->name);
	notify_listing(t->fs->notify, tree_ino(t, f));
}

int tree_apply(struct tree *t, const struct mail_folder *v, size_t n)
{
	struct folder *made, **gone, **fresh;
	size_t n_gone = 0, n_fresh = 0;
	bool shown;
	int r = 0;

	lock_take(&t->lock);
	fresh = calloc(n + 1, sizeof(struct folder *));
	gone = calloc(t->n + 1, sizeof(struct folder *));
	if (!fresh || !gone)
		r = -ENOMEM;
	for (size_t i = 0; i < t->n; i++)
		t->all[i]->listed = false;
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = tree_is_shown(t, &v[i], &shown);
		if (r != 0 || !shown)
			continue;
		r = apply_one_locked(t, &v[i], &made);
		if (r == 0 && made)
			fresh[n_fresh++] = made;
	}
	if (r == 0)
		n_gone = sweep_locked(t, gone);
	lock_drop(&t->lock);

	for (size_t i = 0; i < n_fresh; i++)
		tell_fresh(t, fresh[i]);
	for (size_t i = 0; i < n_gone; i++)
		tell_gone(t, gone[i]);
	free(fresh);
	free(gone);
	return r;
}
