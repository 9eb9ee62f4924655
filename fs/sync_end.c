/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/sync_private.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "cache/heard.h"
#include "fs/arrive.h"
#include "fs/effects.h"
#include "fs/notify.h"
#include "fs/offline.h"
#include "fs/rules.h"
#include "imap/change.h"
#include "imap/log.h"

/*
 * The end of a sync: which known messages are gone, whether that is believed
 * (rules.h), and the state that covers all that was heard. State and removals
 * are one transaction, after everything else that the sync has queued: it
 * never says more than the rows do.
 */

/* What is known here and gone there. */
struct gone {
	uint32_t *uids; /* of rows */
	size_t n, known;
	uint32_t *moved; /* of messages that were moved away from here ... */
	size_t n_moved;  /* ... and are not there any more to be moved */
	size_t here;     /* of either kind, not gone, and counted by EXAMINE */
	uint32_t low;    /* no UID below it is of one that is not gone */
};

/*
 * Messages from `uidnext` on are asked for in full, whatever the method. One of
 * them may be here all the same, moved here by the user, from a sync that was
 * cut off, or from moor.c; if it is not named, somebody else has removed it
 * since, and nothing says that it vanished. (What the server may not have had
 * yet when it opened the mailbox is not gone; one that does not say where that
 * ends, as Courier, has all that it has told us of.)
 */
static bool is_gone(struct sync *y, bool by_absence, uint32_t uid)
{
	bool is_asked_for = uid < y->uidnext ? by_absence
					     : y->opened_uidnext == 0 ||
						       uid < y->opened_uidnext;

	return ranges_has(&y->gone, uid) ||
	       (is_asked_for && !ranges_has(&y->named, uid));
}

/* Those that are gone come first, in order; the others are counted. */
static size_t keep_gone(struct sync *y, bool by_absence, uint32_t *uids,
			size_t n, struct gone *others)
{
	uint32_t top = y->opened_uidnext != 0 ? y->opened_uidnext : y->uidnext;
	size_t gone = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t uid = uids[i];

		if (is_gone(y, by_absence, uid)) {
			uids[gone++] = uid;
			continue;
		}
		if (uid < others->low)
			others->low = uid;
		others->here += uid < top;
	}
	return gone;
}

/* `ret` is the caller's to free, also after an error. */
static int find_gone(struct sync *y, struct box *box, bool by_absence,
		     struct gone *ret)
{
	struct cache_state s;
	size_t n = 0, n_moved = 0;
	int r;

	box_state(box, &s);
	r = box_uids(box, &ret->uids, &n);
	if (r == 0)
		r = journal_origins(y->fs->cache, y->f->id, s.uidvalidity,
				    &ret->moved, &n_moved);
	if (r != 0)
		return r;
	ret->low = y->uidnext;
	ret->n = keep_gone(y, by_absence, ret->uids, n, ret);
	ret->n_moved = keep_gone(y, by_absence, ret->moved, n_moved, ret);
	ret->known = n + n_moved;
	return 0;
}

static int judge(struct sync *y, bool by_absence, const struct gone *v)
{
	struct folder *f = y->f;
	size_t gone = v->n + v->n_moved;
	struct rules_gone g = {
		.known = v->known,
		.gone = gone,
		.here = v->here,
		.by_absence = by_absence,
		.named = ranges_count(&y->named),
		.messages = y->messages,
		.second = y->second,
	};
	enum rules_verdict verdict;

	lock_take(&f->lock);
	g.doubted = f->doubted && f->asked_ms - f->doubted_ms >= RULES_DOUBT_MS;
	g.miscounts = f->miscounts;
	lock_drop(&f->lock);
	verdict = rules_judge(&g);
	switch (verdict) {
	case RULES_BELIEVE:
		break;
	case RULES_ASK_AGAIN:
		log_info("sync: %zu of %zu messages of '%s' are said to be "
			 "gone: asking once more",
			 gone, v->known, f->path);
		break;
	case RULES_RECOUNT:
		log_info("sync: '%s' has %u messages, and %zu of them are "
			 "known: asking once more",
			 f->path, g.messages, g.here);
		break;
	default:
		log_warn("sync: the server named %llu of %u messages of '%s': "
			 "not believed%s",
			 (unsigned long long)g.named, g.messages, f->path,
			 verdict == RULES_DOUBT ? " at first" : "");
	}
	lock_take(&f->lock);
	if (!f->doubted)
		f->doubted_ms = f->asked_ms;
	f->doubted = verdict == RULES_DOUBT;
	lock_drop(&f->lock);
	return (int)verdict;
}

/* The first answer took most of the folder away; the second one did not. */
static void check_first_answer(struct sync *y, size_t gone, size_t known)
{
	if (!y->second || y->recounts ||
	    (gone > RULES_MASS && gone > known / 2))
		return;
	log_warn("sync: the server said that most of '%s' was gone, and it is "
		 "not: from now on it is asked for all flags there",
		 y->f->path);
	lock_take(&y->f->lock);
	y->f->distrusted = true;
	lock_drop(&y->f->lock);
}

/* So it would be for ever, at the cost of all flags each time. */
static void check_count(struct sync *y, const struct gone *gone)
{
	if (!y->recounts || gone->here <= y->messages)
		return;
	log_warn("sync: the server counts %u messages in '%s' and names %zu",
		 y->messages, y->f->path, gone->here);
	lock_take(&y->f->lock);
	y->f->miscounts = true;
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

/* Nobody can move or remove any more what is nowhere. */
static int drop_moved(struct sync *y, struct box *box, const struct gone *gone)
{
	const struct journal_failure why = {.what = "to move a message",
					    .why = "it is gone on the server",
					    .file = y->f->path};
	struct journal_result *v = calloc(gone->n_moved + 1, sizeof(*v));
	struct journal_effects *effects = NULL;
	struct journal_place from = {.folder = y->f->id};
	struct cache_state s;
	size_t n = 0;
	int r = v ? 0 : -ENOMEM;

	box_state(box, &s);
	from.uidvalidity = s.uidvalidity;
	for (size_t i = 0; v && i < gone->n_moved; i++) {
		from.uid = gone->moved[i];
		if (journal_find_uid(y->fs->cache, from, &v[n].id) != 0)
			continue;
		v[n].rest = JOURNAL_GONE;
		v[n++].why = &why;
	}
	if (n > 0)
		r = journal_settle(y->fs->cache, v, n, &effects);
	if (r == 0)
		effects_tell(y->fs, effects);
	free(effects);
	free(v);
	return r;
}

/*
 * Are messages there that are older than all that are here? A folder of Gmail's
 * may show its newest ones only, by a setting of the account: so they come when
 * one of those goes, or all at once when the setting does. (Elsewhere it may be
 * one that we could not remove but only mark, for want of UIDPLUS.) What could
 * not be listed, though it was tried, is not tried again and again.
 */
static bool has_older(struct sync *y, bool by_absence, uint32_t low)
{
	bool may_hide = by_absence && imap_has_labels(y->fs->imap);
	bool more;

	y->n_older = may_hide ? ranges_count_below(&y->named, low) : 0;
	lock_take(&y->f->lock);
	more = y->n_older > y->f->n_older;
	lock_drop(&y->f->lock);
	return more;
}

/* `older`: they are to be listed, as the rest of a listing is. */
static int store(struct sync *y, struct box *box,
		 const struct imap_sync_end *end, const struct gone *gone,
		 bool older)
{
	struct cache_state s;
	uint64_t *ids;
	size_t n;
	int r;

	ids = ids_of(box, gone->uids, gone->n, &n);
	if (!ids)
		return -ENOMEM;
	box_state(box, &s);
	s.uidnext = y->new_uidnext;
	s.highestmodseq = end->highestmodseq;
	s.messages = y->messages;
	s.synced_at = time(NULL);
	if (older) {
		s.complete = false;
		s.low_uid = gone->low;
	}
	if (n > 0)
		s.changed_at_ns = arrive_now_ns();
	r = n > 0 ? folder_doom(y->fs, y->f, ids, n, &s, &y->budget)
		  : box_set_state(box, &s);
	free(ids);
	return r;
}

static void note_end(const struct sync *y, enum imap_sync_method method)
{
	struct folder *f = y->f;

	lock_take(&f->lock);
	f->method = method;
	f->has_synced = true;
	f->n_older = y->n_older;
	lock_drop(&f->lock);
}

/* 0: so it is. -EAGAIN, -EPROTO: see sync_finish(). */
static int judge_gone(struct sync *y, bool by_absence, struct gone *gone)
{
	size_t n = gone->n + gone->n_moved;

	switch (judge(y, by_absence, gone)) {
	case RULES_RECOUNT:
		y->recounts = true;
		return -EAGAIN;
	case RULES_ASK_AGAIN:
		return -EAGAIN;
	case RULES_REFUSE:
		return -EPROTO;
	case RULES_DOUBT:
		gone->n = gone->n_moved = n = 0;
		break;
	default:
		check_count(y, gone);
		break;
	}
	check_first_answer(y, n, gone->known);
	return 0;
}

int sync_finish(struct sync *y, const struct imap_sync_end *end)
{
	bool by_absence = end->method != IMAP_SYNC_QRESYNC;
	struct gone gone = {0};
	bool older = false;
	struct box *box;
	int r;

	r = folder_get(y->fs, y->f, &box);
	if (r != 0)
		return r;
	r = find_gone(y, box, by_absence, &gone);
	if (r == 0)
		r = judge_gone(y, by_absence, &gone);
	if (r == 0)
		r = drop_moved(y, box, &gone);
	if (r == 0) {
		older = has_older(y, by_absence, gone.low);
		r = store(y, box, end, &gone, older);
	}
	folder_put(y->fs, y->f);
	free(gone.uids);
	free(gone.moved);
	if (r != 0)
		return r;
	note_end(y, end->method);
	if (y->n_new > 0)
		offline_note(y->fs, y->f);
	if (gone.n > 0 || y->n_new > 0)
		notify_attr(y->fs->notify, tree_ino(y->fs->tree, y->f));
	return older ? -ESTALE : 0;
}
