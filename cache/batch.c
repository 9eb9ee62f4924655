/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/settle.h"

/*
 * The frame of settling: everything that may wait for the disk comes before
 * the journal is locked. The boxes of all folders that may be needed are
 * opened; names are taken in rejected/; files become bodies. Then, with the
 * lock held, it is asked again which folders are needed, for the user may have
 * moved something: if one is missing, once more.
 */

/* --- folders --- */

static const struct batch_folder *find_folder(const struct batch *b,
					      uint64_t folder)
{
	for (size_t i = 0; i < b->n_folders; i++) {
		if (b->folder[i].id == folder)
			return &b->folder[i];
	}
	return NULL;
}

struct box *batch_box(const struct batch *b, uint64_t folder)
{
	const struct batch_folder *f = find_folder(b, folder);

	return f ? f->box : NULL;
}

/* A list of folders without repetition. */
struct wanted {
	uint64_t *v;
	size_t n;
};

static int want(struct wanted *w, uint64_t folder)
{
	uint64_t *v;

	for (size_t i = 0; i < w->n; i++) {
		if (w->v[i] == folder)
			return 0;
	}
	v = realloc(w->v, (w->n + 1) * sizeof(*v));
	if (!v)
		return -ENOMEM;
	w->v = v;
	v[w->n++] = folder;
	return 0;
}

static int want_change(struct wanted *w, const struct change *c)
{
	int r = c->at != JOURNAL_LIMBO ? want(w, c->at) : 0;

	if (r == 0 && c->origin.folder != 0)
		r = want(w, c->origin.folder);
	if (r == 0 && c->sent_to != 0)
		r = want(w, c->sent_to);
	return r;
}

/* Of those that wait for one of the batch: they may be undone with it. */
static int want_waiters(const struct journal *j, struct wanted *w)
	REQUIRES(j->lock)
{
	const struct change *c;
	size_t at = 0;
	int r = 0;

	while (r == 0 && (c = journal_next_locked(j, &at))) {
		if (c->after != 0)
			r = want_change(w, c);
	}
	return r;
}

static int want_folders(const struct journal *j, const struct journal_result *v,
			size_t n, struct wanted *w) REQUIRES(j->lock)
{
	bool has_waiters = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct change *c = journal_find_locked(j, v[i].id);

		if (!c)
			continue;
		has_waiters |= c->waiters > 0;
		r = want_change(w, c);
	}
	return r == 0 && has_waiters ? want_waiters(j, w) : r;
}

int batch_open(struct batch *b, uint64_t folder)
{
	struct batch_folder *f;
	int r;

	if (find_folder(b, folder))
		return 0;
	f = realloc(b->folder, (b->n_folders + 1) * sizeof(*f));
	if (!f)
		return -ENOMEM;
	b->folder = f;
	f = &f[b->n_folders];
	*f = (struct batch_folder){.id = folder};
	r = box_get(b->plan.c, folder, &f->box);
	/* A record that names no folder is looked after without a box. */
	if (r == 0 || r == -ENOENT)
		b->n_folders++;
	return r == -ENOENT ? 0 : r;
}

/* 1: they are open now. */
static int open_missing(struct batch *b, const struct wanted *w)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->n; i++)
		r = batch_open(b, w->v[i]);
	return r == 0 ? 1 : r;
}

/* --- files --- */

static struct batch_file *find_file(const struct batch *b, uint64_t id)
{
	for (size_t i = 0; i < b->n_files; i++) {
		if (b->file[i].id == id)
			return &b->file[i];
	}
	return NULL;
}

const char *batch_rejected(struct batch *b, uint64_t id)
{
	struct batch_file *f = find_file(b, id);

	if (!f || !f->rejected)
		return NULL;
	f->is_used = true;
	return f->rejected;
}

/* The file of an unsent message: its name, the row's, and the row's size. */
struct unsent {
	char *spool;
	char name[CACHE_NAME_MAX + 1];
	uint64_t size;
};

/* -ENOENT: it has none, or nobody would miss it; or its box is not open yet. */
static int find_unsent(struct batch *b, uint64_t id, struct unsent *ret)
{
	struct cache *c = b->plan.c;
	const struct change *v;
	struct box *box = NULL;
	struct record rec;
	int r = -ENOENT;

	lock_take(&c->journal.lock);
	v = journal_find_locked(&c->journal, id);
	if (v && v->spool)
		box = batch_box(b, v->at);
	if (box)
		r = box_read_row(box, id, &rec, ret->name);
	if (r == 0 && !change_is_text(v, &rec))
		r = -ENOENT;
	if (r == 0) {
		ret->size = rec.size;
		ret->spool = strdup(v->spool);
		r = ret->spool ? 0 : -ENOMEM;
	}
	lock_drop(&c->journal.lock);
	return r;
}

static int prepare_file(struct batch *b, const struct journal_result *v)
{
	struct batch_file *f;
	struct unsent u;
	int r = find_file(b, v->id) ? -ENOENT : find_unsent(b, v->id, &u);

	if (r != 0)
		return r == -ENOENT ? 0 : r;
	f = realloc(b->file, (b->n_files + 1) * sizeof(*f));
	if (!f) {
		free(u.spool);
		return -ENOMEM;
	}
	b->file = f;
	f = &f[b->n_files++];
	*f = (struct batch_file){.id = v->id};
	/* A body that cannot be kept is fetched when it is read. */
	if ((v->done & JOURNAL_APPEND) && v->size == u.size)
		(void)!spool_adopt(b->plan.c, v->id, u.spool, &f->body);
	if (v->rest == JOURNAL_UNDO || v->rest == JOURNAL_GONE)
		r = rejected_reserve(b->plan.c, u.name, &f->rejected);
	free(u.spool);
	return r;
}

void batch_init(struct batch *b, struct cache *c, bool wants_effects)
{
	*b = (struct batch){0};
	plan_init(&b->plan, c);
	b->plan.wants_effects = wants_effects;
}

static void finish_files(struct batch *b, bool is_committed)
{
	struct cache *c = b->plan.c;

	for (size_t i = 0; i < b->n_files; i++) {
		struct batch_file *f = &b->file[i];

		if (f->body.hash && is_committed)
			(void)!blob_queue_publish(c, NULL, f->id, &f->body);
		if (f->rejected && !(f->is_used && is_committed))
			rejected_cancel(c, f->rejected);
		free(f->body.hash);
		free(f->rejected);
	}
	free(b->file);
}

void batch_finish(struct batch *b, int r, struct journal_effects **ret)
{
	finish_files(b, r == 0);
	for (size_t i = 0; i < b->n_folders; i++)
		box_put(b->folder[i].box);
	free(b->folder);
	free(b->undo);
	if (r == 0 && ret)
		*ret = b->plan.effects;
	else
		free(b->plan.effects);
}

/* --- what belongs to the whole --- */

int batch_undo_waiters(struct batch *b, const struct change *c)
{
	const struct change *other;
	uint64_t *undo;
	size_t at = 0;

	if (c->waiters == 0)
		return 0;
	undo = realloc(b->undo, (b->n_undo + c->waiters) * sizeof(*undo));
	if (!undo)
		return -ENOMEM;
	b->undo = undo;
	while ((other = journal_next_locked(&b->plan.c->journal, &at))) {
		if (other->after == c->id && other->phase == JOURNAL_QUEUED &&
		    other->origin.folder != 0)
			undo[b->n_undo++] = other->id;
	}
	return plan_release_locked(&b->plan, c);
}

int batch_learn_uidvalidity(struct batch *b, uint64_t folder,
			    uint32_t uidvalidity)
{
	struct box *box = batch_box(b, folder);
	struct cache_state s;
	struct op *op;
	int r = 0;

	if (!box)
		return 0;
	lock_take(&box->lock);
	s = box->state;
	if (s.uidvalidity == 0) {
		s.uidvalidity = uidvalidity;
		op = folders_state_new(folder, &s);
		r = op ? 0 : -ENOMEM;
		if (op) {
			box->state = s;
			writer_push(b->plan.c, op);
		}
	}
	lock_drop(&box->lock);
	return r;
}

static int settle_all_locked(struct batch *b, const struct journal_result *v,
			     size_t n) REQUIRES(b->plan.c->journal.lock)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = settle_one_locked(b, &v[i]);
	b->is_undoing = true;
	for (size_t i = 0; r == 0 && i < b->n_undo; i++) {
		struct journal_result undo = {.id = b->undo[i],
					      .rest = JOURNAL_UNDO};

		r = settle_one_locked(b, &undo);
	}
	b->is_undoing = false;
	return r == 0 ? plan_commit_locked(&b->plan) : r;
}

/* 1: something was missing, and is there now: once more. */
static int try_once(struct batch *b, const struct journal_result *v, size_t n)
{
	struct wanted w = {0};
	int r;

	for (size_t i = 0; i < n; i++) {
		r = prepare_file(b, &v[i]);
		if (r != 0)
			return r;
	}
	lock_take(&b->plan.c->journal.lock);
	r = want_folders(&b->plan.c->journal, v, n, &w);
	for (size_t i = 0; r == 0 && i < w.n; i++) {
		if (!find_folder(b, w.v[i]))
			r = 1;
	}
	if (r == 0) {
		r = settle_all_locked(b, v, n);
		plan_finish_locked(&b->plan);
	}
	lock_drop(&b->plan.c->journal.lock);
	if (r == 1)
		r = open_missing(b, &w);
	if (r == -EAGAIN)
		r = 1; /* a file was not made ready */
	free(w.v);
	return r;
}

int journal_settle(struct cache *c, const struct journal_result *v, size_t n,
		   struct journal_effects **ret)
{
	struct batch b;
	int r = writer_wait_room(c);

	if (r != 0)
		return r;
	batch_init(&b, c, ret != NULL);
	do
		r = try_once(&b, v, n);
	while (r == 1);
	batch_finish(&b, r, ret);
	return r;
}

/* --- what is no message --- */

/* The file goes to rejected/, also that of a scratch file. */
static int take_rejected(struct batch *b, struct box *box, uint64_t id)
{
	char name[CACHE_NAME_MAX + 1];
	const struct change *v;
	struct record rec;
	int r = -ENOENT;

	lock_take(&b->plan.c->journal.lock);
	v = journal_find_locked(&b->plan.c->journal, id);
	if (v && v->spool && v->at == box->folder)
		r = v->phase == JOURNAL_SENT ? -EBUSY : 0;
	lock_drop(&b->plan.c->journal.lock);
	if (r == 0)
		r = box_read_row(box, id, &rec, name);
	if (r != 0)
		return r;
	b->file = calloc(1, sizeof(*b->file));
	if (!b->file)
		return -ENOMEM;
	b->file[b->n_files++] = (struct batch_file){.id = id};
	return rejected_reserve(b->plan.c, name, &b->file[0].rejected);
}

int journal_reject(struct box *box, uint64_t id,
		   const struct journal_failure *why, char *ret_name,
		   struct journal_effects **ret)
{
	const struct journal_result v = {
		.id = id, .rest = JOURNAL_UNDO, .why = why};
	struct batch b;
	int r = journal_ready(box->c);

	if (r != 0)
		return r;
	batch_init(&b, box->c, ret != NULL);
	r = take_rejected(&b, box, id);
	if (r == 0) {
		do
			r = try_once(&b, &v, 1);
		while (r == 1);
	}
	if (r == 0 && !b.file[0].is_used)
		r = -ENOENT; /* it went in this moment */
	if (r == 0)
		memcpy(ret_name, b.file[0].rejected,
		       strlen(b.file[0].rejected) + 1);
	batch_finish(&b, r, ret);
	return r;
}
