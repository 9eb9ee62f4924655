/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/journal.h"
#include "fs/flush.h"
#include "fs/mailboxes_private.h"

/*
 * Whose turn it is. An operation waits until nobody uses the names that it
 * takes away (the flusher does, while a batch is on its way), no other
 * operation has to do with them, and, if a mailbox is to go, until nothing that
 * was in it is unsent. From then on it holds them (M4).
 *
 * What may have changed that is told by mailboxes_flushed(), from any thread.
 */

bool mailbox_is_waiting(const struct mailbox_op *o)
{
	return !o->holds && !o->done && !o->trying;
}

static bool concerns(const struct mailbox_op *o, const struct folder *f)
{
	return (o->f && tree_is_below(f, o->f)) ||
	       (o->victim && tree_is_below(f, o->victim));
}

/* Changes of the one that goes, that were not sent. */
static bool is_drained(const struct mailbox_op *o)
{
	struct journal_filter filter = {.max = 1};
	struct journal_list *l = NULL;
	bool drained;

	if (!o->victim)
		return true;
	filter.folder = o->victim->id;
	drained = journal_read(o->fs->cache, &filter, &l) == 0 && l->n == 0;
	free(l);
	return drained;
}

/* Has `o` to do with a folder to which `by` gives another name? */
static bool touches(const struct mailbox_op *by, const struct mailbox_op *o)
{
	return (o->f && concerns(by, o->f)) ||
	       (o->victim && concerns(by, o->victim)) ||
	       (o->parent && concerns(by, o->parent));
}

/* Nobody may use its names from now on, if nobody does. */
static bool take_turn(struct mailbox_op *o)
{
	struct mailboxes *m = o->fs->mailboxes;
	bool mine = true;

	lock_take(&m->lock);
	for (size_t i = 0; mine && i < m->n_users; i++)
		mine = !concerns(o, m->users[i].f);
	for (struct mailbox_op *i = m->ops; mine && i; i = i->next)
		mine = i == o || !i->holds || !(touches(i, o) || touches(o, i));
	o->holds = mine;
	lock_drop(&m->lock);
	return mine;
}

/*
 * Drained, then nobody's, then drained still: in that order, so that nobody who
 * is kept from sending has a record for which this waits.
 */
static bool get_turn(struct mailbox_op *o)
{
	struct mailboxes *m = o->fs->mailboxes;

	while (is_drained(o) && take_turn(o)) {
		if (is_drained(o))
			return true;
		lock_take(&m->lock);
		o->holds = false;
		lock_drop(&m->lock);
	}
	return false;
}

/*
 * The names that it is about were made up when it was asked for. What it has
 * waited for may have been the renaming, or the end, of a folder above: then
 * they are others' by now.
 */
static bool has_its_names(const struct mailbox_op *o)
{
	if (o->victim && strcmp(o->victim->wire, o->was) != 0)
		return false;
	return !o->parent ||
	       (!o->parent->gone && strcmp(o->parent->wire, o->above) == 0);
}

/* Has its turn come? Then it runs. It is known by number: it may be gone. */
static void try_turn(struct mailboxes *m, uint64_t id)
{
	struct mailbox_op *o;
	bool over = false;
	bool mine = false;

	lock_take(&m->lock);
	o = mailbox_find_locked(m, id);
	if (o && o->trying)
		o->try_again = true;
	if (!o || !mailbox_is_waiting(o)) {
		lock_drop(&m->lock);
		return;
	}
	o->trying = true;
	do {
		o->try_again = false;
		lock_drop(&m->lock);
		mine = get_turn(o);
		lock_take(&m->lock);
	} while (!mine && o->try_again);
	o->trying = false;
	over = !mine && o->abandoned;
	lock_drop(&m->lock);
	if (mine && !has_its_names(o))
		mailbox_finish(o, -ENOENT);
	else if (mine)
		mailbox_run(o);
	else if (over)
		mailbox_finish(o, -ECANCELED);
}

uint64_t mailbox_queue(struct mailbox_op *o)
{
	struct fs *fs = o->fs;
	uint64_t id;

	/* What is queued, and may be in its way, is in a hurry now. */
	if (!is_drained(o))
		(void)!flush_drained(fs);
	id = mailbox_submit(o);
	try_turn(fs->mailboxes, id);
	return id;
}

static uint64_t next_waiting(struct mailboxes *m, uint64_t after)
{
	uint64_t found = 0;

	lock_take(&m->lock);
	for (struct mailbox_op *o = m->ops; o; o = o->next)
		if (o->id > after && !o->holds && !o->done &&
		    (found == 0 || o->id < found))
			found = o->id;
	lock_drop(&m->lock);
	return found;
}

void mailboxes_flushed(struct fs *fs)
{
	struct mailboxes *m = fs->mailboxes;

	for (uint64_t id = next_waiting(m, 0); id; id = next_waiting(m, id))
		try_turn(m, id);
}

bool mailboxes_use(struct fs *fs, struct folder *f)
{
	struct mailboxes *m = fs->mailboxes;
	struct mailbox_user *bigger;
	bool mine = true;
	size_t i = 0;

	lock_take(&m->lock);
	for (struct mailbox_op *o = m->ops; o && mine; o = o->next)
		mine = !(o->holds && concerns(o, f));
	while (i < m->n_users && m->users[i].f != f)
		i++;
	if (mine && i == m->users_size) {
		bigger = realloc(m->users, (i + 8) * sizeof(*bigger));
		mine = bigger != NULL;
		if (mine) {
			m->users = bigger;
			m->users_size = i + 8;
		}
	}
	if (mine && i == m->n_users)
		m->users[m->n_users++] = (struct mailbox_user){.f = f};
	if (mine)
		m->users[i].n++;
	lock_drop(&m->lock);
	return mine;
}

void mailboxes_unuse(struct fs *fs, struct folder *f)
{
	struct mailboxes *m = fs->mailboxes;

	lock_take(&m->lock);
	for (size_t i = 0; i < m->n_users; i++) {
		if (m->users[i].f != f)
			continue;
		if (--m->users[i].n == 0)
			m->users[i] = m->users[--m->n_users];
		break;
	}
	lock_drop(&m->lock);
	mailboxes_flushed(fs);
}
