/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/heard.h"
#include "cache/server.h"
#include "cache/settle.h"

/*
 * A folder that is gone, or has other UIDs: what becomes of the records that
 * name it.
 */

/* --- it is gone --- */

static struct journal_result answer_for(const struct change *c, uint64_t folder,
					const struct journal_failure *why)
{
	struct journal_result v = {.id = c->id, .why = why};

	if (c->origin.folder == folder)
		v.rest = JOURNAL_GONE;
	else if (c->at == folder)
		v.rest = JOURNAL_UNDO;
	else
		v.rest = JOURNAL_AGAIN;
	return v;
}

/* An answer for each that names the folder; yours to free. */
static int list_answers(struct cache *c, uint64_t folder,
			const struct journal_failure *why,
			struct journal_result **ret, size_t *ret_n)
{
	struct journal_result *list;
	const struct change *v;
	size_t n = 0, at = 0;

	lock_take(&c->journal.lock);
	list = calloc(c->journal.n + 1, sizeof(*list));
	while (list && (v = journal_next_locked(&c->journal, &at))) {
		if (change_names_folder(v, folder))
			list[n++] = answer_for(v, folder, why);
	}
	lock_drop(&c->journal.lock);
	if (!list)
		return -ENOMEM;
	*ret = list;
	*ret_n = n;
	return 0;
}

/* What `more` has, behind what is there already. Takes both. */
static int join(struct journal_effects **all, struct journal_effects *more)
{
	struct journal_effects *v;
	size_t n = (*all ? (*all)->n : 0) + more->n;

	v = realloc(*all, sizeof(*v) + n * sizeof(v->v[0]));
	if (!v) {
		free(more);
		return -ENOMEM;
	}
	if (!*all)
		v->n = 0;
	memcpy(&v->v[v->n], more->v, more->n * sizeof(v->v[0]));
	v->n = n;
	*all = v;
	free(more);
	return 0;
}

/*
 * What was on its way to another place when it was moved here is undone in two
 * rounds: of the command, then of the move.
 */
#define ROUNDS 3

int journal_leave_folder(struct cache *c, uint64_t folder,
			 const struct journal_failure *why,
			 struct journal_effects **ret)
{
	struct journal_effects *all = NULL, *more = NULL;
	struct journal_result *list;
	size_t n = 1;
	int r = 0;

	for (int round = 0; r == 0 && n > 0 && round < ROUNDS; round++) {
		r = list_answers(c, folder, why, &list, &n);
		if (r != 0)
			break;
		r = journal_settle(c, list, n, &more);
		free(list);
		if (r == 0)
			r = join(&all, more);
	}
	if (r == 0 && n > 0)
		r = -EBUSY;
	if (r != 0 || !ret)
		free(all);
	else
		*ret = all;
	return r;
}

/* --- it has other UIDs --- */

static int rebase_one(struct batch *b, uint64_t folder, uint32_t uidvalidity,
		      const struct cache_moor *v)
	REQUIRES(b->plan.c->journal.lock)
{
	struct journal_place to = {folder, uidvalidity, v->uid};
	struct change *c = journal_find_locked(&b->plan.c->journal, v->id);
	const struct change *mover = NULL;
	struct box *box = batch_box(b, folder);
	int r;

	if (!c || c->origin.folder != folder || v->uid == 0)
		return 0;
	/*
	 * The listing may have made a row of one that has left; the source of
	 * a copy that has not has one.
	 */
	if (journal_has_left_locked(&b->plan.c->journal, &c->origin))
		mover = journal_find_mover_locked(&b->plan.c->journal,
						  &c->origin);
	r = server_rebase_locked(&b->plan, &c->origin, &to);
	if (r == 0 && box && mover)
		r = server_drop_uid_locked(&b->plan, box, v->uid, mover->id);
	return r;
}

int journal_rebase(struct cache *c, uint64_t folder, uint32_t uidvalidity,
		   const struct cache_moor *v, size_t n,
		   struct journal_effects **ret)
{
	struct batch b;
	int r = writer_wait_room(c);

	if (r != 0)
		return r;
	batch_init(&b, c, ret != NULL);
	r = batch_open(&b, folder);
	if (r == 0) {
		lock_take(&b.plan.c->journal.lock);
		for (size_t i = 0; r == 0 && i < n; i++)
			r = rebase_one(&b, folder, uidvalidity, &v[i]);
		if (r == 0)
			r = plan_commit_locked(&b.plan);
		plan_finish_locked(&b.plan);
		lock_drop(&b.plan.c->journal.lock);
	}
	batch_finish(&b, r, ret);
	return r;
}
