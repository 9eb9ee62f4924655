/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/flush_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/folder.h"

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
 * Where there is no MOVE the last but one row may also mean that it was copied,
 * and that somebody has taken the copy elsewhere: nobody can tell. It is sent
 * again, so it may be twice, and is not lost. Only if it is marked for removal,
 * which we do when its copy is there, it is known, and listed.
 *
 * Of flags that may have been set the present ones are asked for. What was
 * removed is looked at, too.
 *
 * A server may need a moment to do it, and to show what it has done, so a "no"
 * is asked for again, twice, before it is believed. Both folders are held
 * meanwhile: their boxes are as they were before the command. Then they are
 * given back; and what goes out again, maybe much later, is looked for once
 * more right before, when a sync may have made a row of it (flush_match.c).
 *
 * What is not to go there any more, since the user has taken it back, moved it
 * on or removed it meanwhile, is looked for once more as if it had just been
 * sent. If it is there, the move is finished, and what is wanted now starts
 * from there; if it is not, it never was. So a server may take the time of both
 * looks, and the pause between them, to do what it was told; what it does even
 * later nobody looks for.
 */

/* --- what it means --- */

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
	b->is_waiting = false;
	b->state = BATCH_PAUSED;
	b->resume_ms = clock_now_ms() + ms;
}

static int64_t retry_ms(struct batch *b)
{
	unsigned n = b->retries < 8 ? b->retries : 8;

	b->retries++;
	return b->flush->retry_ms << n;
}

/* A server in trouble may be well again, however long that takes. */
static bool is_in_trouble(const struct batch *b, const struct item *it)
{
	return (b->part == JOURNAL_APPEND ? it->result : b->result) == -EAGAIN;
}

/* It was not done: as the server said, or once more, if that is wanted. */
static void judge_missing(struct batch *b, struct item *it)
{
	bool is_refused =
		b->result != 0 && !b->unknown && !imap_is_for_now(b->result);
	bool is_enough = it->tries >= FLUSH_TRIES && !is_in_trouble(b, it) &&
			 !b->is_look;

	if (it->is_gone)
		it->verdict = VERDICT_GONE;
	else if (is_refused || is_enough)
		it->verdict = VERDICT_UNDO;
	else
		it->verdict = VERDICT_AGAIN;
	it->is_doubted = b->unknown || b->result == 0;
	it->error = is_refused ? b->result : -EIO;
}

static bool any_missing(const struct batch *b, bool is_gone)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->v[i].verdict == VERDICT_OPEN && b->v[i].to == 0 &&
		    b->v[i].is_gone == is_gone)
			return true;
	return false;
}

#define TAKEN "a copy was there, and is gone again, maybe elsewhere"

/* Marked for removal, as we do it when the copy is there. */
static bool is_marked(const struct item *it)
{
	return it->has_flags && (it->flags & MAIL_DELETED);
}

/* One look is enough for what is about to be sent, not to call it gone. */
void flush_look_properly(struct batch *b)
{
	look_clear(&b->look);
	b->unknown = true;
	b->looks = 0;
	flush_look(b);
}

/*
 * Those that have not arrived go now; of those that are in both places the next
 * batch takes care.
 */
static void send_missing(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		struct item *it = &b->v[i];

		if (it->verdict != VERDICT_OPEN || it->to == 0)
			continue;
		if (b->part != JOURNAL_MOVE || it->is_gone) {
			it->verdict = VERDICT_DONE;
			continue;
		}
		it->verdict = VERDICT_AGAIN;
		it->to = 0;
	}
	look_clear(&b->look);
	b->looks = 0;
	flush_send_marked(b);
}

/* All has been heard. */
static void judge(struct batch *b)
{
	bool is_move = b->part == JOURNAL_MOVE;
	bool is_relook = b->is_relooking;
	size_t taken = 0;

	b->is_relooking = false;
	if (is_relook && any_missing(b, true)) {
		flush_look_properly(b);
		return;
	}
	if (is_relook && any_missing(b, false)) {
		send_missing(b);
		return;
	}
	if (flush_waits_for_twins(b)) {
		pause_batch(b, retry_ms(b));
		b->is_waiting = true;
		return;
	}
	for (size_t i = 0; i < b->n; i++) {
		struct item *it = &b->v[i];

		if (it->verdict != VERDICT_OPEN)
			continue;
		if (it->to == 0)
			judge_missing(b, it);
		else if (!is_move || it->is_gone)
			it->verdict = VERDICT_DONE;
		taken += it->verdict == VERDICT_AGAIN && is_marked(it);
	}
	if (taken > 0)
		flush_note_twice(b, taken, TAKEN);
	look_clear(&b->look);
	/* What is still open is in both places. */
	flush_remove_rest(b);
}

static void looked_to(struct batch *b)
{
	int r = b->look.result;

	/* No such mailbox: nothing is in it. */
	if (r == 0)
		r = flush_match(b);
	if (r != 0 && r != -ENOENT) {
		pause_batch(b, retry_ms(b));
		return;
	}
	if (count_missing(b) > 0 && ++b->looks < FLUSH_LOOKS) {
		pause_batch(b, b->flush->again_ms << (2 * (b->looks - 1)));
		return;
	}
	if (b->part == JOURNAL_MOVE ||
	    (b->part == JOURNAL_COPY && count_missing(b) > 0))
		look_start_from(b);
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
		look_start_from(b);
		return;
	}
	if (!b->has_removed) {
		flush_match_gone(b);
		judge(b);
		return;
	}
	look_clear(l);
	flush_looked_again(b);
}

void flush_look_from(struct batch *b)
{
	b->has_removed = true;
	look_start_from(b);
}

void flush_look(struct batch *b)
{
	look_start_to(b, BATCH_LOOKING_TO);
}

void flush_measure(struct batch *b)
{
	look_start_to(b, BATCH_MEASURING);
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
