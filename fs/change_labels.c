/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/change_private.h"

#include <errno.h>
#include <stdlib.h>

#include "cache/journal.h"
#include "fs/attr.h"
#include "fs/flush.h"
#include "fs/folder.h"
#include "fs/gmail.h"
#include "imap/change.h"

/*
 * Gmail's labels. What differs from what was shown is added and taken off, so
 * that what others changed meanwhile stays. A message that loses the label of
 * the folder that it is seen in leaves that folder, as a message does that is
 * renamed onto itself under another label: its record says so, and all else
 * about it is stored first.
 */

/* What it has now, and where; `f` and the words are valid after success. */
struct labelled {
	struct cache_msg m;
	struct folder *f;
	char *shown;
	char *own; /* the label of the folder, or NULL */
};

static void labelled_finish(struct labelled *v)
{
	free(v->shown);
	free(v->own);
}

/* Before the first login nobody knows but by what is in the cache. */
bool change_has_labels(struct fs *fs, const struct cache_details *d)
{
	return d->gm_msgid != 0 || imap_has_labels(fs->imap);
}

static int read_labels(struct fs *fs, struct labelled *v)
{
	struct cache_details *d;
	struct box *box;
	int r = folder_get(fs, v->f, &box);

	if (r != 0)
		return r;
	r = box_details(box, v->m.id, &d);
	folder_put(fs, v->f);
	if (r != 0)
		return r;
	if (!change_has_labels(fs, d))
		r = -EOPNOTSUPP;
	if (r == 0)
		r = gmail_labels_shown(d->gm_labels, v->m.flags, &v->shown);
	free(d);
	return r;
}

static int look(struct fs *fs, uint64_t id, struct labelled *v)
{
	int r = attr_find_message(fs, id, &v->m, &v->f);

	if (r == 0 && v->m.dead)
		r = -ENOENT;
	if (r == 0)
		r = read_labels(fs, v);
	/* There are none in Trash and Spam: mv(1) takes a message out. */
	if (r == 0 && (v->f->attrs & (FOLDER_TRASH | FOLDER_JUNK)))
		r = -EPERM;
	return r == 0 ? gmail_label_of(v->f->wire, v->f->attrs, &v->own) : r;
}

static int leave_box(struct fs *fs, struct labelled *v)
{
	struct box *box;
	int r = folder_get(fs, v->f, &box);

	if (r != 0)
		return r;
	folder_keep_body(fs, v->f, &v->m);
	r = journal_remove(box, v->m.id);
	folder_put(fs, v->f);
	if (r == 0)
		folder_left(fs, v->f, v->m.id, v->m.name);
	else
		folder_drop_ghost(v->f, v->m.id);
	return r;
}

static int leave(struct fs *fs, struct labelled *v, struct change_end *end)
{
	int r = change_may_leave(fs, v->f);

	if (r == 0)
		r = leave_box(fs, v);
	if (r == -EBUSY)
		return change_wait_for_uids(fs, v->f, end);
	if (r == 0) {
		end->ids[0] = change_id_to_wait_for(fs, v->m.id);
		flush_wake(fs);
	}
	return r;
}

static int apply(struct fs *fs, struct labelled *v, const struct gmail_delta *d,
		 struct change_end *end)
{
	const struct journal_flags flags = {
		.id = v->m.id,
		.add = d->add_flags,
		.remove = d->remove_flags,
		.add_labels = d->add,
		.remove_labels = d->remove,
	};
	int r = 0;

	if (d->add_flags || d->remove_flags || d->add[0] || d->remove[0])
		r = change_row_flags(fs, &flags, end);
	return r == 0 && d->leaves ? leave(fs, v, end) : r;
}

int change_labels(struct fs *fs, uint64_t id, const char *text, size_t n,
		  struct change_end *end)
{
	struct labelled v = {0};
	struct gmail_delta d;
	char *wanted = NULL;
	int r;

	*end = (struct change_end){0};
	r = look(fs, id, &v);
	if (r == 0)
		r = gmail_labels_from_text(text, n, v.shown, &wanted);
	if (r == 0) {
		r = gmail_labels_compare(v.shown, wanted, v.own, &d);
		free(wanted);
	}
	if (r == 0) {
		r = apply(fs, &v, &d, end);
		gmail_delta_finish(&d);
	}
	labelled_finish(&v);
	return r;
}
