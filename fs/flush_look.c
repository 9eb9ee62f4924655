/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/flush_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/folder.h"
#include "imap/log.h"

/*
 * What is asked to learn what became of a command: the destination is listed
 * from its old UIDNEXT on, or those that are known to be there, and the source
 * is synced. What it means says flush_found.c. Callbacks run on connections'
 * threads.
 */

/* --- what is found --- */

void look_clear(struct look *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->found[i].text);
	free(l->found);
	ranges_clear(&l->present);
	ranges_clear(&l->vanished);
	*l = (struct look){0};
}

static int add_found(struct batch *b, const struct mail_row *row)
{
	struct look *l = &b->look;
	size_t room = l->room ? l->room * 2 : 64;
	struct found *v;

	if (l->n == l->room) {
		v = realloc(l->found, room * sizeof(*v));
		if (!v)
			return -ENOMEM;
		l->found = v;
		l->room = room;
	}
	v = &l->found[l->n++];
	*v = (struct found){.size = row->size};
	v->has_key = cache_key_of(b->flush->fs->cache, row, &v->key);
	v->key.of = row->uid;
	if (b->part == JOURNAL_APPEND)
		v->text = flush_text_of(row->field);
	return 0;
}

static int to_opened(void *ctx, const struct imap_mailbox *now)
{
	struct batch *b = ctx;
	bool is_same = now->uidvalidity == b->to_uidvalidity;

	look_clear(&b->look);
	b->look.uidvalidity = now->uidvalidity;
	/* Other UIDs than before the command: any of them may be ours. */
	b->look.uidnext = is_same && b->to_uidnext > 0 ? b->to_uidnext : 1;
	return 0;
}

/* Newest first: the first one that is older ends it. */
static int to_rows(void *ctx, const struct mail_row *rows, size_t n)
{
	struct batch *b = ctx;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (rows[i].uid < b->look.uidnext)
			b->look.enough = true;
		else
			r = add_found(b, &rows[i]);
	}
	return r == 0 && b->look.enough ? -ECANCELED : r;
}

static void to_done(void *ctx, int result, const struct imap_error *why)
{
	struct batch *b = ctx;

	(void)why;
	b->look.result = b->look.enough ? 0 : result;
	flush_arrived(b);
}

static const struct imap_list_ops to_ops = {
	.opened = to_opened, .rows = to_rows, .done = to_done};

/* Of those that were stored, the UIDs are known; of others where they begin. */
static void ask_for(const struct batch *b, enum batch_state state,
		    struct imap_list_request *req)
{
	if (state != BATCH_MEASURING) {
		req->uidvalidity = b->to_uidvalidity;
		if (b->to_uidnext > 1)
			req->uids =
				(struct mail_range){b->to_uidnext, UINT32_MAX};
		return;
	}
	req->uidvalidity =
		b->heard_uidvalidity ? b->heard_uidvalidity : b->to_uidvalidity;
	req->uids.first = UINT32_MAX;
	for (size_t i = 0; i < b->n; i++) {
		uint32_t uid = b->v[i].to;

		if (uid != 0 && uid < req->uids.first)
			req->uids.first = uid;
		if (uid > req->uids.last)
			req->uids.last = uid;
	}
}

void look_start_to(struct batch *b, enum batch_state state)
{
	struct imap_list_request req = {0};
	imap_job job;
	int r;

	look_clear(&b->look);
	ask_for(b, state, &req);
	b->state = state;
	flush_expect(b, 1);
	r = imap_list(b->flush->fs->imap, b->to->wire, IMAP_PRIO_CHANGE, &req,
		      &to_ops, b, &job);
	if (r == 0)
		return;
	b->look.result = r;
	flush_arrived(b);
}

/* --- what is left in the source --- */

static int from_opened(void *ctx, const struct imap_mailbox *now)
{
	struct batch *b = ctx;

	(void)now;
	look_clear(&b->look);
	return 0;
}

static struct item *find_item(const struct batch *b, uint32_t uid)
{
	size_t low = 0, high = b->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (b->v[mid].uid < uid)
			low = mid + 1;
		else
			high = mid;
	}
	return low < b->n && b->v[low].uid == uid ? &b->v[low] : NULL;
}

static int take_flags(struct batch *b, const struct mail_row *row)
{
	struct item *it = find_item(b, row->uid);
	bool has_labels = row->has & ROW_LABELS;
	char *keywords, *labels;

	if (!it || !(row->has & ROW_FLAGS))
		return 0;
	keywords = strdup(row->keywords ? row->keywords : "");
	labels = has_labels ? strdup(row->gm_labels) : NULL;
	if (!keywords || (has_labels && !labels)) {
		free(keywords);
		free(labels);
		return -ENOMEM;
	}
	free(it->keywords);
	free(it->labels);
	it->keywords = keywords;
	it->labels = labels;
	it->flags = row->flags;
	it->has_flags = true;
	return 0;
}

static int from_rows(void *ctx, const struct mail_row *rows, size_t n)
{
	struct batch *b = ctx;
	bool want_flags =
		b->part == JOURNAL_STORE ||
		(b->part == JOURNAL_MOVE && !imap_has_move(b->flush->fs->imap));
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = ranges_add(&b->look.present, rows[i].uid, rows[i].uid);
		if (r == 0 && want_flags)
			r = take_flags(b, &rows[i]);
	}
	return r;
}

static int from_present(void *ctx, const struct mail_range *v, size_t n)
{
	struct batch *b = ctx;

	return ranges_add_all(&b->look.present, v, n);
}

static int from_vanished(void *ctx, const struct mail_range *v, size_t n)
{
	struct batch *b = ctx;

	return ranges_add_all(&b->look.vanished, v, n);
}

static void from_done(void *ctx, int result, const struct imap_error *why,
		      const struct imap_sync_end *end)
{
	struct batch *b = ctx;

	(void)why;
	b->look.result = result;
	b->look.by_absence = end && end->method != IMAP_SYNC_QRESYNC;
	flush_arrived(b);
}

static const struct imap_sync_ops from_ops = {
	from_opened, from_rows, from_present, from_vanished, from_done};

void look_start_from(struct batch *b)
{
	struct imap_sync_request req = {.uidvalidity = b->from_uidvalidity};
	struct cache_state s;
	imap_job job;
	int r;

	look_clear(&b->look);
	folder_state(b->from, &s);
	/* Of messages that are new to a server nobody says that they went. */
	req.uidnext = b->v[b->n - 1].uid;
	if (req.uidnext < UINT32_MAX)
		req.uidnext++;
	if (s.uidnext > req.uidnext)
		req.uidnext = s.uidnext;
	req.highestmodseq = s.highestmodseq;
	/* Of flags all are asked for, not only those that have changed. */
	req.plain = b->looks > 0 || b->is_plain || b->part == JOURNAL_STORE;
	b->state = BATCH_LOOKING_FROM;
	flush_expect(b, 1);
	r = imap_sync(b->flush->fs->imap, b->from->wire, IMAP_PRIO_CHANGE, &req,
		      &from_ops, b, &job);
	if (r == 0)
		return;
	b->look.result = r;
	flush_arrived(b);
}
