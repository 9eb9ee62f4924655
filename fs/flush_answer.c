/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/flush_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/rights.h"
#include "imap/log.h"

/*
 * What the answer of a command says of each message, and what comes next: a
 * look at what became of it (flush_look.c), the second half of a move, or the
 * end (flush_end.c). On the flusher's thread.
 */

/* --- verdicts --- */

static void judge_all(struct batch *b, enum verdict verdict, int error)
{
	for (size_t i = 0; i < b->n; i++) {
		if (b->v[i].verdict != VERDICT_OPEN)
			continue;
		b->v[i].verdict = verdict;
		b->v[i].error = error;
	}
}

/* Does this refusal mean the folders, or only one of the messages? */
static bool is_about_one(int error)
{
	return error == -EDQUOT || error == -EFBIG || error == -EIO ||
	       error == -EPERM || error == -EINVAL;
}

/* F4: many are refused: in halves from now on, as long as that makes sense. */
#define SPLITS_MAX 64

static void refuse(struct batch *b)
{
	struct lane *l = flush_lane(b->flush, b->part, b->from, b->to);
	size_t n = 0;

	if (b->is_read_only)
		rights_note_read_only(b->from);
	for (size_t i = 0; i < b->n; i++)
		n += b->v[i].verdict == VERDICT_OPEN;
	if (n > 1 && l && is_about_one(b->result) && l->refusals < SPLITS_MAX) {
		l->refusals++;
		l->limit = n / 2;
		b->is_split = true;
		judge_all(b, VERDICT_AGAIN, 0);
		return;
	}
	judge_all(b, VERDICT_UNDO, b->result);
}

/* The answer of the command to those that it has not told a new UID of. */
static void judge(struct batch *b)
{
	bool has_to = b->to != NULL;

	/* To remove twice does no harm; what else is unknown is looked at. */
	bool may_repeat =
		b->unknown ? b->part == JOURNAL_REMOVE
			   : imap_is_for_now(b->result) || b->result == -ESTALE;

	if (b->result == 0 && !has_to)
		judge_all(b, VERDICT_DONE, 0);
	else if (b->result != 0 && may_repeat)
		judge_all(b, VERDICT_AGAIN, 0);
	else if (b->result != 0 && !b->unknown)
		refuse(b);
}

static bool has_open(const struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->v[i].verdict == VERDICT_OPEN)
			return true;
	return false;
}

static bool has_done(const struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->v[i].verdict == VERDICT_DONE)
			return true;
	return false;
}

static void copied(struct batch *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		n += b->v[i].to == 0;
	if (n > 0 && (b->result == 0 || b->unknown)) {
		flush_look(b);
		return;
	}
	/* Those that were copied, though it was refused, are moved. */
	if (n < b->n) {
		for (size_t i = 0; i < b->n; i++)
			if (b->v[i].to == 0)
				b->v[i].verdict = VERDICT_AGAIN;
		flush_remove_rest(b);
		return;
	}
	judge(b);
	flush_end(b);
}

static void answered(struct batch *b)
{
	/* A copy that stands for a move is one half of it. */
	for (size_t i = 0; i < b->n; i++)
		if (b->v[i].to != 0 && !b->has_copied)
			b->v[i].verdict = VERDICT_DONE;
	if (b->has_copied) {
		copied(b);
		return;
	}
	/*
	 * A server may say OK to UID EXPUNGE and expunge nothing, for it has
	 * not looked yet at the flags that were set just before (Dovecot 2.3,
	 * when commands follow each other closely).
	 */
	if (b->part == JOURNAL_REMOVE && b->result == 0 && !b->only_flagged) {
		flush_look_from(b);
		return;
	}
	judge(b);
	if (!has_open(b))
		flush_end(b);
	else if (b->part == JOURNAL_STORE)
		flush_look_from(b);
	else
		flush_look(b);
}

static void appended(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		struct item *it = &b->v[i];

		if (it->to != 0)
			it->verdict = VERDICT_DONE;
		else if (it->unknown || it->result == 0)
			it->verdict = VERDICT_OPEN;
		else if (imap_is_for_now(it->result))
			it->verdict = VERDICT_AGAIN;
		else
			it->verdict = VERDICT_UNDO;
		it->error = it->result;
		if (it->verdict == VERDICT_AGAIN)
			b->result = it->result;
	}
	if (has_open(b))
		flush_look(b);
	else if (has_done(b))
		flush_measure(b);
	else
		flush_end(b);
}

/* --- the second half of a move --- */

/* Messages that are in both places: those of the source go. */
void flush_remove_rest(struct batch *b)
{
	if (!has_open(b)) {
		flush_end(b);
		return;
	}
	b->state = BATCH_REMOVING;
	b->is_removing = false;
	flush_run(b, JOURNAL_REMOVE);
}

/* Removing is asked for again until nothing is left. */
static void remove_later(struct batch *b)
{
	unsigned n = b->retries < 8 ? b->retries : 8;

	b->retries++;
	b->is_removing = true;
	b->state = BATCH_PAUSED;
	b->resume_ms = clock_now_ms() + (b->flush->retry_ms << n);
}

/* They are in both places, and stay so: the user has to know. */
static void note_left(struct batch *b)
{
	struct journal_failure f = {
		.why = b->why ? b->why : "the server has no UID EXPUNGE",
		.file = b->from->path};
	char *what = NULL;
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		n += b->v[i].verdict == VERDICT_OPEN;
	if (asprintf(&what, "to remove %zu that were copied to '%s'", n,
		     b->to->path) < 0)
		what = NULL;
	f.what = what;
	if (journal_note_failure(b->flush->fs->cache, &f) != 0)
		log_debug("flush: a failure is not listed");
	log_warn("flush: refused %s from '%s': %s", what ? what : "",
		 b->from->path, f.why);
	free(what);
}

static void removed(struct batch *b)
{
	if (b->unknown || (b->result != 0 && imap_is_for_now(b->result))) {
		remove_later(b);
	} else if (b->result == 0 && !b->only_flagged) {
		flush_look_from(b);
	} else {
		note_left(b);
		judge_all(b, VERDICT_DONE, 0);
		flush_end(b);
	}
}

void flush_looked_again(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->v[i].verdict == VERDICT_OPEN && b->v[i].is_gone)
			b->v[i].verdict = VERDICT_DONE;
	if (!has_open(b)) {
		flush_end(b);
	} else if (b->part == JOURNAL_STORE) {
		judge_all(b, VERDICT_UNSURE, 0);
		flush_end(b);
	} else if (b->part == JOURNAL_MOVE) {
		remove_later(b);
	} else {
		/* Its OK did not mean much. */
		judge_all(b, VERDICT_AGAIN, 0);
		flush_end(b);
	}
}

void flush_go_on(struct batch *b)
{
	if (b->is_settling)
		flush_end(b);
	else if (b->is_removing)
		flush_remove_rest(b);
	else if (b->has_removed || b->part == JOURNAL_STORE)
		flush_look_from(b);
	else
		flush_look(b);
}

void flush_step(struct batch *b)
{
	switch (b->state) {
	case BATCH_ASKING:
		flush_asked(b);
		break;
	case BATCH_SENDING:
		if (b->part == JOURNAL_APPEND)
			appended(b);
		else
			answered(b);
		break;
	case BATCH_LOOKING_TO:
	case BATCH_LOOKING_FROM:
	case BATCH_MEASURING:
		flush_looked(b);
		break;
	case BATCH_REMOVING:
		removed(b);
		break;
	default:
		break;
	}
}
