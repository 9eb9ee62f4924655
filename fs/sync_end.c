/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/sync_private.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "fs/arrive.h"
#include "fs/notify.h"
#include "fs/offline.h"
#include "fs/rules.h"
#include "imap/log.h"

/*
 * The end of a sync: which known messages are gone, whether that is believed
 * (rules.h), and the state that covers all that was heard. State and removals
 * are one transaction, after everything else that the sync has queued: it
 * never says more than the rows do.
 */

/*
 * UIDs that are known here and gone there; free(). Those from `uidnext` on were
 * all asked for by name, whatever the method: rows of them may be here from a
 * sync that was cut off, or from moor.c.
 */
static int find_gone(struct sync *y, struct box *box, bool by_absence,
		     uint32_t **ret, size_t *ret_n, size_t *ret_known)
{
	uint32_t *uids = NULL;
	size_t n = 0, gone = 0;
	int r;

	r = box_uids(box, &uids, &n);
	if (r != 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		bool absent = (by_absence || uids[i] >= y->uidnext) &&
			      !ranges_has(&y->named, uids[i]);

		if (absent || ranges_has(&y->gone, uids[i]))
			uids[gone++] = uids[i];
	}
	*ret = uids;
	*ret_n = gone;
	*ret_known = n;
	return 0;
}

static int judge(struct sync *y, bool by_absence, size_t gone, size_t known)
{
	struct folder *f = y->f;
	const struct rules_gone g = {
		.known = known,
		.gone = gone,
		.by_absence = by_absence,
		.named = ranges_count(&y->named),
		.messages = y->messages,
		.second = y->second,
		.doubted = f->doubted,
	};
	enum rules_verdict verdict = rules_judge(&g);

	switch (verdict) {
	case RULES_BELIEVE:
		break;
	case RULES_ASK_AGAIN:
		log_info("sync: %zu of %zu messages of '%s' are said to be "
			 "gone: asking once more",
			 gone, known, f->path);
		break;
	default:
		log_warn("sync: the server named %llu of %u messages of '%s': "
			 "not believed%s",
			 (unsigned long long)g.named, g.messages, f->path,
			 verdict == RULES_DOUBT ? " at first" : "");
	}
	lock_take(&f->lock);
	f->doubted = verdict == RULES_DOUBT;
	lock_drop(&f->lock);
	return (int)verdict;
}

/* The first answer took most of the folder away; the second one did not. */
static void check_first_answer(struct sync *y, size_t gone, size_t known)
{
	if (!y->second || (gone > RULES_MASS && gone > known / 2))
		return;
	log_warn("sync: the server said that most of '%s' was gone, and it is "
		 "not: from now on it is asked for all flags there",
		 y->f->path);
	lock_take(&y->f->lock);
	y->f->distrusted = true;
	lock_drop(&y->f->lock);
}

static uint64_t *ids_of(struct box *box, const uint32_t *uids, size_t n,
			size_t *ret_n)
{
	uint64_t *ids = malloc((n + 1) * sizeof(*ids));
	struct cache_msg m;
	size_t found = 0;

	for (size_t i = 0; ids && i < n; i++)
		if (box_find_uid(box, uids[i], &m) == 0 && !m.doomed)
			ids[found++] = m.id;
	*ret_n = found;
	return ids;
}

static int store(struct sync *y, struct box *box,
		 const struct imap_sync_end *end, const uint32_t *uids,
		 size_t n)
{
	struct cache_state s;
	uint64_t *ids;
	int r;

	ids = ids_of(box, uids, n, &n);
	if (!ids)
		return -ENOMEM;
	box_state(box, &s);
	s.uidnext = y->new_uidnext;
	s.highestmodseq = end->highestmodseq;
	s.messages = y->messages;
	s.synced_at = time(NULL);
	if (n > 0)
		s.changed_at_ns = arrive_now_ns();
	r = n > 0 ? folder_doom(y->fs, y->f, ids, n, &s, &y->budget)
		  : box_set_state(box, &s);
	free(ids);
	return r;
}

static void note_method(struct folder *f, enum imap_sync_method method)
{
	lock_take(&f->lock);
	f->method = method;
	f->has_synced = true;
	lock_drop(&f->lock);
}

int sync_finish(struct sync *y, const struct imap_sync_end *end)
{
	bool by_absence = end->method != IMAP_SYNC_QRESYNC;
	size_t gone = 0, known = 0;
	uint32_t *uids = NULL;
	struct box *box;
	int verdict, r;

	r = folder_get(y->fs, y->f, &box);
	if (r != 0)
		return r;
	r = find_gone(y, box, by_absence, &uids, &gone, &known);
	if (r == 0) {
		verdict = judge(y, by_absence, gone, known);
		if (verdict == RULES_ASK_AGAIN)
			r = -EAGAIN;
		else if (verdict == RULES_REFUSE)
			r = -EPROTO;
		else if (verdict == RULES_DOUBT)
			gone = 0;
	}
	if (r == 0) {
		check_first_answer(y, gone, known);
		r = store(y, box, end, uids, gone);
	}
	folder_put(y->fs, y->f);
	free(uids);
	if (r != 0)
		return r;
	note_method(y->f, end->method);
	if (y->n_new > 0)
		offline_note(y->fs, y->f);
	if (gone > 0 || y->n_new > 0)
		notify_attr(y->fs->notify, tree_ino(y->fs->tree, y->f));
	return 0;
}
