/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/change_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/journal.h"
#include "fs/attr.h"
#include "fs/draft.h"
#include "fs/flush.h"
#include "fs/folder.h"
#include "fs/rights.h"

/*
 * Flags and keywords: deltas, so that what other clients set meanwhile stays.
 */

static int may_flag(struct fs *fs, struct folder *f, const struct cache_msg *m,
		    const struct journal_flags *v)
{
	uint32_t flags = (v->add & ~m->flags) | (v->remove & m->flags);
	unsigned need = 0;

	if (flags & MAIL_SEEN)
		need |= RIGHT_SEEN;
	if (flags & MAIL_DELETED)
		need |= RIGHT_DELETE;
	if ((flags & ~(uint32_t)(MAIL_SEEN | MAIL_DELETED)) ||
	    v->add_keywords || v->remove_keywords || v->add_labels ||
	    v->remove_labels)
		need |= RIGHT_FLAGS;
	return rights_check(fs, f, need);
}

/*
 * Where folders are labels \Deleted is no mark that can be taken back: it may
 * remove the message at once, even for good.
 */
static bool would_remove(struct fs *fs, const struct cache_msg *m,
			 const struct journal_flags *v)
{
	return (v->add & ~m->flags & MAIL_DELETED) &&
	       change_folders_are_labels(fs);
}

static int flag_row(struct fs *fs, const struct journal_flags *flags,
		    struct change_end *end)
{
	struct cache_msg m;
	struct folder *f;
	struct box *box;
	int r;

	*end = (struct change_end){0};
	r = attr_find_message(fs, flags->id, &m, &f);
	if (r == 0 && m.dead)
		r = -ENOENT;
	if (r == 0 && would_remove(fs, &m, flags))
		r = -EPERM;
	if (r == 0 && !change_is_only_here(fs, &m))
		r = may_flag(fs, f, &m, flags);
	if (r == 0)
		r = folder_get(fs, f, &box);
	if (r != 0)
		return r;
	r = journal_change_flags(box, flags, 1);
	folder_put(fs, f);
	if (r == -EBUSY)
		return change_wait_for_uids(fs, f, end);
	if (r == 0) {
		draft_touched(fs, flags->id);
		end->ids[0] = change_id_to_wait_for(fs, flags->id);
		flush_wake(fs);
	}
	return r == -EOVERFLOW ? -EINVAL : r;
}

/*
 * One that is just completed may have read its flags before, and be sent as
 * another file (bare LF): then that one gets them, too.
 */
int change_row_flags(struct fs *fs, const struct journal_flags *flags,
		     struct change_end *end)
{
	struct journal_flags sent = *flags;
	int r = flag_row(fs, flags, end);

	sent.id = draft_settled(fs, flags->id);
	if (sent.id == flags->id || (r != 0 && r != -ENOENT))
		return r;
	return flag_row(fs, &sent, end);
}

int change_flags(struct fs *fs, uint64_t id, uint32_t mask, uint32_t flags,
		 struct change_end *end)
{
	const struct journal_flags v = {
		.id = id, .add = flags & mask, .remove = ~flags & mask};

	return change_row_flags(fs, &v, end);
}

static const char *words_or_null(const char *words)
{
	return words[0] ? words : NULL;
}

int change_marks(struct fs *fs, uint64_t id, const struct marks_delta *d,
		 struct change_end *end)
{
	const struct journal_flags v = {
		.id = id,
		.add = d->add.flags,
		.remove = d->remove.flags,
		.add_keywords = words_or_null(d->add.keywords),
		.remove_keywords = words_or_null(d->remove.keywords),
	};

	return change_row_flags(fs, &v, end);
}

int change_read_marks(struct fs *fs, uint64_t id, struct marks *ret)
{
	struct cache_details *d;
	struct cache_msg m;
	struct folder *f;
	struct box *box;
	int r = attr_find_message(fs, id, &m, &f);

	if (r == 0 && m.dead)
		r = -ENOENT;
	if (r == 0)
		r = folder_get(fs, f, &box);
	if (r != 0)
		return r;
	r = box_details(box, id, &d);
	folder_put(fs, f);
	if (r != 0)
		return r;
	ret->flags = m.flags;
	ret->keywords = strdup(d->keywords ? d->keywords : "");
	free(d);
	return ret->keywords ? 0 : -ENOMEM;
}
