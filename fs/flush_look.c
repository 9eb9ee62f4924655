/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/flush_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/folder.h"
#include "imap/log.h"

/*
 * F2: a command went out, and nobody knows what it did, or where its messages
 * are now. The destination is listed from its old UIDNEXT on: what is there,
 * was not known before, and has the content key of one of the messages, is it.
 * Of a move the source is asked, too:
 *
 *   destination  source
 *   yes          no      done
 *   yes          yes     those of the source are removed, then done
 *   no           yes     again
 *   no           no      somebody took it away: gone
 *
 * Of flags that may have been set the present ones are asked for. What was
 * removed is looked at, too.
 *
 * A server may need a moment to show what it has done, so the first "no" is
 * asked for once more before it is believed. Both folders are held meanwhile:
 * their boxes are as they were before the command.
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

/* NULL: nothing to know it by; or no memory, which is as good. */
static char *text_of(const char *const field[N_FIELDS])
{
	const char *id = field[FIELD_MESSAGE_ID], *v[3];
	char *text;

	if (id && id[0])
		return strdup(id);
	v[0] = field[FIELD_DATE];
	v[1] = field[FIELD_FROM];
	v[2] = field[FIELD_SUBJECT];
	if (!v[0] && !v[1] && !v[2])
		return NULL;
	if (asprintf(&text, "%s\n%s\n%s", v[0] ? v[0] : "", v[1] ? v[1] : "",
		     v[2] ? v[2] : "") < 0)
		return NULL;
	return text;
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
		v->text = text_of(row->field);
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

static void start_to(struct batch *b, enum batch_state state)
{
	const struct imap_list_request req = {0};
	imap_job job;
	int r;

	look_clear(&b->look);
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
	char *keywords;

	if (!it || !(row->has & ROW_FLAGS))
		return 0;
	keywords = strdup(row->keywords ? row->keywords : "");
	if (!keywords)
		return -ENOMEM;
	free(it->keywords);
	it->keywords = keywords;
	it->flags = row->flags;
	it->has_flags = true;
	return 0;
}

static int from_rows(void *ctx, const struct mail_row *rows, size_t n)
{
	struct batch *b = ctx;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = ranges_add(&b->look.present, rows[i].uid, rows[i].uid);
		if (r == 0 && b->part == JOURNAL_STORE)
			r = take_flags(b, &rows[i]);
	}
	return r;
}

static int add_all(struct ranges *to, const struct mail_range *v, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		if (v[i].first <= v[i].last)
			r = ranges_add(to, v[i].first, v[i].last);
	return r;
}

static int from_present(void *ctx, const struct mail_range *v, size_t n)
{
	struct batch *b = ctx;

	return add_all(&b->look.present, v, n);
}

static int from_vanished(void *ctx, const struct mail_range *v, size_t n)
{
	struct batch *b = ctx;

	return add_all(&b->look.vanished, v, n);
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

static void start_from(struct batch *b)
{
	struct imap_sync_request req = {.uidvalidity = b->from_uidvalidity};
	struct cache_state s;
	imap_job job;
	int r;

	look_clear(&b->look);
	folder_state(b->from, &s);
	/* Of messages that are new to a server nobody says that they went. */
	req.uidnext = b->v[b->n - 1].uid + 1;
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

/* --- what it means --- */

static bool is_known(struct batch *b, struct box *box, uint32_t uid)
{
	struct cache_msg m;

	return b->look.uidvalidity == b->to_uidvalidity &&
	       box_find_uid(box, uid, &m) == 0;
}

static void take(struct item *it, struct found *v)
{
	v->is_taken = true;
	it->to = (uint32_t)v->key.of;
	it->size_there = v->size;
}

static bool take_by_key(struct batch *b, struct box *box, struct item *it)
{
	struct cache_key key;

	if (journal_key(b->flush->fs->cache, it->id, &key) != 0)
		return false;
	/* The list is newest first: of several the oldest is ours. */
	for (size_t i = b->look.n; i-- > 0;) {
		struct found *v = &b->look.found[i];

		if (v->is_taken || !v->has_key ||
		    memcmp(v->key.hash, key.hash, sizeof(key.hash)) != 0 ||
		    is_known(b, box, (uint32_t)v->key.of))
			continue;
		take(it, v);
		return true;
	}
	return false;
}

/* Servers may change some bytes, such as the last line end. */
#define SIZE_SLACK 64

static bool has_size(const struct found *v, const struct item *it)
{
	return v->size + SIZE_SLACK >= it->size &&
	       v->size <= it->size + SIZE_SLACK;
}

/* Of a new message, whose key depends on what the server makes of it. */
static bool take_by_text(struct batch *b, struct box *box, struct item *it)
{
	struct cache_details *d;
	struct cache_msg m;
	bool taken = false;
	char *text;

	if (box_find_id(box, it->id, &m) != 0 ||
	    box_details(box, it->id, &d) != 0)
		return false;
	it->size = m.size;
	text = text_of(d->field);
	free(d);
	for (size_t i = b->look.n; text && !taken && i-- > 0;) {
		struct found *v = &b->look.found[i];

		if (v->is_taken || !v->text || strcmp(v->text, text) != 0 ||
		    !has_size(v, it) || is_known(b, box, (uint32_t)v->key.of))
			continue;
		take(it, v);
		taken = true;
	}
	free(text);
	return taken;
}

static int match_all(struct batch *b)
{
	struct fs *fs = b->flush->fs;
	struct box *box;
	int r;

	r = folder_get(fs, b->to, &box);
	if (r != 0)
		return r;
	for (size_t i = 0; i < b->n; i++) {
		struct item *it = &b->v[i];

		if (it->verdict != VERDICT_OPEN || it->to != 0)
			continue;
		if (!take_by_key(b, box, it) && b->part == JOURNAL_APPEND)
			(void)take_by_text(b, box, it);
		if (it->to != 0)
			b->heard_uidvalidity = b->look.uidvalidity;
	}
	folder_put(fs, b->to);
	return 0;
}

static size_t count_missing(const struct batch *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		n += b->v[i].verdict == VERDICT_OPEN && b->v[i].to == 0;
	return n;
}

static void pause_batch(struct batch *b, int64_t ms)
{
	look_clear(&b->look);
	b->state = BATCH_PAUSED;
	b->resume_ms = clock_now_ms() + ms;
}

static int64_t retry_ms(struct batch *b)
{
	unsigned n = b->retries < 8 ? b->retries : 8;

	b->retries++;
	return (int64_t)FLUSH_RETRY_MS << n;
}

/* It was not done: as the server said, or once more. */
static void judge_missing(struct batch *b, struct item *it)
{
	bool is_refused =
		b->result != 0 && !b->unknown && !imap_is_for_now(b->result);

	if (it->is_gone)
		it->verdict = VERDICT_GONE;
	else if (is_refused || it->tries >= FLUSH_TRIES)
		it->verdict = VERDICT_UNDO;
	else
		it->verdict = VERDICT_AGAIN;
	it->error = is_refused ? b->result : -EIO;
}

/* All has been heard. */
static void judge(struct batch *b)
{
	bool is_move = b->part == JOURNAL_MOVE;

	for (size_t i = 0; i < b->n; i++) {
		struct item *it = &b->v[i];

		if (it->verdict != VERDICT_OPEN)
			continue;
		if (it->to == 0)
			judge_missing(b, it);
		else if (!is_move || it->is_gone)
			it->verdict = VERDICT_DONE;
	}
	look_clear(&b->look);
	/* What is still open is in both places. */
	flush_remove_rest(b);
}

static void looked_to(struct batch *b)
{
	int r = b->look.result;

	/* No such mailbox: nothing is in it. */
	if (r == 0)
		r = match_all(b);
	if (r != 0 && r != -ENOENT) {
		pause_batch(b, retry_ms(b));
		return;
	}
	if (count_missing(b) > 0 && ++b->looks < FLUSH_LOOKS) {
		pause_batch(b, FLUSH_LOOK_AGAIN_MS);
		return;
	}
	if (b->part == JOURNAL_MOVE ||
	    (b->part == JOURNAL_COPY && count_missing(b) > 0))
		start_from(b);
	else
		judge(b);
}

/* Is this message still in the source? */
static bool is_left(struct look *l, const struct item *it)
{
	/*
	 * Other UIDs, or no mailbox: what was found in the destination is all
	 * that there is, and what was not is looked for by its content key.
	 */
	if (l->result != 0)
		return it->to == 0;
	return l->by_absence ? ranges_has(&l->present, it->uid)
			     : !ranges_has(&l->vanished, it->uid);
}

static void looked_from(struct batch *b)
{
	struct look *l = &b->look;
	bool left = false;

	if (l->result != 0 && imap_is_for_now(l->result)) {
		pause_batch(b, retry_ms(b));
		return;
	}
	for (size_t i = 0; i < b->n; i++) {
		b->v[i].is_gone = !is_left(l, &b->v[i]);
		left |= b->v[i].verdict == VERDICT_OPEN && !b->v[i].is_gone;
	}
	/* What vanished long ago is not named as vanished: ask what is there.
	 */
	if (left && l->result == 0 && !l->by_absence && !b->is_plain) {
		b->is_plain = true;
		start_from(b);
		return;
	}
	if (!b->has_removed) {
		judge(b);
		return;
	}
	look_clear(l);
	flush_looked_again(b);
}

void flush_look_from(struct batch *b)
{
	b->has_removed = true;
	start_from(b);
}

void flush_look(struct batch *b)
{
	start_to(b, BATCH_LOOKING_TO);
}

void flush_measure(struct batch *b)
{
	start_to(b, BATCH_MEASURING);
}

/* What is not known is fetched when it is read. */
static void measured(struct batch *b)
{
	for (size_t i = 0; i < b->look.n; i++) {
		for (size_t j = 0; j < b->n; j++)
			if (b->v[j].to != 0 &&
			    b->v[j].to == b->look.found[i].key.of)
				b->v[j].size_there = b->look.found[i].size;
	}
	look_clear(&b->look);
	flush_end(b);
}

void flush_looked(struct batch *b)
{
	switch (b->state) {
	case BATCH_LOOKING_TO:
		looked_to(b);
		break;
	case BATCH_LOOKING_FROM:
		looked_from(b);
		break;
	default:
		measured(b);
	}
}
