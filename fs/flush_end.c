/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/flush_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/effects.h"
#include "fs/folder.h"
#include "imap/log.h"

/*
 * The end of a batch: every message has a verdict, which goes into the journal
 * in one transaction; what that has undone is told to the kernel, what was
 * done is known to it. Then the folders are free again.
 */

/* --- what is said of a refusal --- */

/* Texts of one message; what they point to is in it. */
struct story {
	struct journal_failure f;
	char *what, *file;
};

static bool has_flags(const struct batch *b)
{
	return b->add || b->remove || b->add_keywords[0] ||
	       b->remove_keywords[0];
}

static const char *verb(const struct batch *b)
{
	switch (b->part) {
	case JOURNAL_APPEND:
		return "to store it";
	case JOURNAL_COPY:
		return "to copy it";
	case JOURNAL_STORE:
		if (!batch_has_labels(b))
			return "to change its flags";
		return has_flags(b) ? "to change its flags and labels"
				    : "to change its labels";
	case JOURNAL_MOVE:
		return "to move it";
	default:
		return "to remove it";
	}
}

static const char *reason(const struct batch *b, const struct item *it)
{
	if (it->verdict == VERDICT_GONE)
		return "it is nowhere any more";
	if (it->why)
		return it->why;
	if (b->why && it->error == b->result)
		return b->why;
	return strerrordesc_np(-it->error);
}

char *flush_file_of(struct batch *b, const struct item *it)
{
	struct folder *at =
		it->at ? tree_find(b->flush->fs->tree, it->at) : NULL;
	struct folder *f = b->from ? b->from : b->to;
	struct cache_msg m = {0};
	struct box *box;
	char *file;

	if (at && folder_get(b->flush->fs, at, &box) == 0) {
		if (box_find_id(box, it->id, &m) != 0)
			m.name[0] = '\0';
		folder_put(b->flush->fs, at);
	}
	if (!f)
		return NULL;
	if (m.name[0] && asprintf(&file, "%s/%s", f->path, m.name) >= 0)
		return file;
	if (asprintf(&file, "%s, UID %u", f->path, it->uid) >= 0)
		return file;
	return NULL;
}

static void tell_story(struct batch *b, const struct item *it, struct story *s)
{
	if (!b->to)
		s->what = strdup(verb(b));
	else if (asprintf(&s->what, "%s %s '%s'", verb(b),
			  b->part == JOURNAL_APPEND ? "in" : "to",
			  b->to->path) < 0)
		s->what = NULL;
	s->file = flush_file_of(b, it);
	s->f = (struct journal_failure){s->what, reason(b, it), s->file};
	log_warn("flush: refused %s '%s': %s", s->what ? s->what : "",
		 s->file ? s->file : "", s->f.why);
}

static void free_stories(struct story *s, size_t n)
{
	for (size_t i = 0; s && i < n; i++) {
		free(s[i].what);
		free(s[i].file);
	}
	free(s);
}

/* --- settling --- */

static struct journal_result result_of(const struct batch *b,
				       const struct item *it)
{
	struct journal_result v = {.id = it->id};

	switch (it->verdict) {
	case VERDICT_DONE:
		v.done = b->part;
		v.uid = it->to;
		v.uidvalidity = b->heard_uidvalidity ? b->heard_uidvalidity
						     : b->to_uidvalidity;
		v.size = it->size_there;
		break;
	case VERDICT_UNDO:
		v.rest = JOURNAL_UNDO;
		break;
	case VERDICT_UNSURE:
		v.rest = JOURNAL_UNSURE;
		v.has_flags = it->has_flags;
		v.flags = it->flags;
		v.keywords = it->keywords;
		v.labels = it->labels;
		break;
	case VERDICT_GONE:
		v.rest = JOURNAL_GONE;
		break;
	default:
		v.rest = JOURNAL_AGAIN;
		v.has_flags = it->has_flags && b->part == JOURNAL_MOVE;
		v.flags = it->flags;
		v.doubt = !it->is_given_up && !b->is_look &&
			  (it->is_doubted || b->is_doubted);
	}
	return v;
}

static int compare_ids(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/*
 * What was done is here as the kernel knows it: only a new message may have
 * become another one (its size) on the server.
 */
static void tell_effects(struct batch *b, struct journal_effects *effects)
{
	uint64_t *done = malloc((b->n + 1) * sizeof(*done));
	size_t n = 0;

	for (size_t i = 0; done && i < b->n; i++)
		if (b->v[i].verdict != VERDICT_UNDO &&
		    b->v[i].verdict != VERDICT_GONE)
			done[n++] = b->v[i].id;
	if (done)
		qsort(done, n, sizeof(*done), compare_ids);
	for (size_t i = 0; done && i < effects->n; i++) {
		struct journal_effect *e = &effects->v[i];

		if (e->from == e->to && strcmp(e->from_name, e->to_name) == 0 &&
		    bsearch(&e->id, done, n, sizeof(*done), compare_ids))
			e->id = 0;
	}
	free(done);
	effects_tell(b->flush->fs, effects);
}

/* Before it is settled: who asks then finds no record, but this. */
static void remember_all(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct item *it = &b->v[i];

		if (it->verdict == VERDICT_DONE)
			flush_remember(b->flush, it->id, 0);
		else if (it->verdict == VERDICT_UNDO)
			flush_remember(b->flush, it->id, it->error);
		else if (it->verdict == VERDICT_GONE)
			flush_remember(b->flush, it->id, -ENOENT);
	}
}

/* --- those who read --- */

/* A new message of which the server has made another one. */
static bool is_resized(const struct batch *b, const struct item *it)
{
	return b->part != JOURNAL_STORE && it->verdict == VERDICT_DONE &&
	       it->size_there != 0 && it->size_there != it->size;
}

/* Nobody reads what is resized until the kernel knows of it. */
static void hold_readers(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (is_resized(b, &b->v[i]))
			load_correction_begin(b->flush->fs, &b->v[i].correction,
					      b->v[i].id);
}

static void free_readers(struct batch *b, bool is_settled)
{
	for (size_t i = 0; i < b->n; i++) {
		if (!is_resized(b, &b->v[i]))
			continue;
		if (is_settled)
			load_tell_size(b->flush->fs, b->v[i].id);
		load_correction_end(b->flush->fs, &b->v[i].correction);
		load_wake(b->flush->fs, b->v[i].id);
	}
}

/* Who waits for a body knows from now on where it is. */
static void wake_readers(struct batch *b)
{
	for (size_t i = 0; b->part != JOURNAL_STORE && i < b->n; i++)
		load_wake(b->flush->fs, b->v[i].id);
}

static int settle(struct batch *b)
{
	struct journal_result *v = calloc(b->n + 1, sizeof(*v));
	struct story *stories = calloc(b->n + 1, sizeof(*stories));
	struct journal_effects *effects = NULL;
	int r = v && stories ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < b->n; i++) {
		const struct item *it = &b->v[i];

		v[i] = result_of(b, it);
		if (it->verdict != VERDICT_UNDO && it->verdict != VERDICT_GONE)
			continue;
		tell_story(b, it, &stories[i]);
		v[i].why = &stories[i].f;
	}
	if (r == 0 && b->n > 0)
		r = journal_settle(b->flush->fs->cache, v, b->n, &effects);
	if (r == 0 && effects)
		tell_effects(b, effects);
	free(effects);
	free_stories(stories, b->n);
	free(v);
	return r;
}

/* --- the end --- */

static void teach_lane(struct batch *b)
{
	struct lane *l = flush_lane(b->flush, b->part, b->from, b->to);
	bool done = false, again = b->n == 0 && b->result != 0;

	for (size_t i = 0; i < b->n; i++) {
		done |= b->v[i].verdict == VERDICT_DONE;
		again |= b->v[i].verdict == VERDICT_AGAIN ||
			 b->v[i].verdict == VERDICT_UNSURE;
	}
	if (!l)
		return;
	if (done) {
		l->pause_ms = l->retry_ms = 0;
		l->limit *= 2;
		if (l->limit >= IMAP_CHANGE_UIDS_MAX) {
			l->limit = IMAP_CHANGE_UIDS_MAX;
			l->refusals = 0;
		}
	}
	if (again && !b->is_split && !b->is_look && !(done && b->result == 0))
		flush_pause_lane(b->flush, l);
	/* Which of its messages are which, now? */
	if (b->result == -ESTALE && b->from)
		folder_resync(b->flush->fs, b->from);
}

static void unlink_batch(struct batch *b)
{
	struct flush *fl = b->flush;

	for (struct batch **at = &fl->batches; *at; at = &(*at)->next) {
		if (*at == b) {
			*at = b->next;
			fl->n_batches--;
			break;
		}
	}
}

static void give_back(struct batch *b)
{
	struct fs *fs = b->flush->fs;

	if (b->to)
		b->to->touched_ms = clock_now_ms();
	if (b->part == JOURNAL_STORE)
		b->from->touched_ms = clock_now_ms();
	if (b->from)
		folder_flush_end(fs, b->from);
	if (b->to && b->to != b->from)
		folder_flush_end(fs, b->to);
}

void flush_end(struct batch *b)
{
	struct flush *fl = b->flush;
	int r;

	flush_refuse_left(b);
	remember_all(b);
	hold_readers(b);
	r = settle(b);
	free_readers(b, r == 0);
	if (r != 0) {
		log_warn("flush: cannot note what the server answered: %s",
			 strerrordesc_np(-r));
		b->is_settling = true;
		b->state = BATCH_PAUSED;
		b->resume_ms = clock_now_ms() + b->flush->retry_ms;
		return;
	}
	flush_note_arrivals(b);
	flush_correct_flags(b);
	flush_note_labels(b);
	wake_readers(b);
	unlink_batch(b);
	give_back(b);
	teach_lane(b);
	batch_free(b);
	flush_folder_idle(fl->fs); /* its place is free for another one */
	flush_tell(fl);
}
