/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/mailboxes_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fs/flush.h"
#include "fs/folder.h"
#include "fs/keep.h"
#include "fs/park.h"
#include "fs/rights.h"

/*
 * Who asks and who waits. An operation is in the list of the lock's from its
 * begin to its end; in between it belongs to the one callback that is due (or,
 * while it waits for its turn, to whoever finds under the lock that this has
 * come). Its end belongs to whoever waits for it, or to itself.
 */

/* Mailboxes that have a meaning beyond what is in them. */
#define SPECIAL                                                                \
	(FOLDER_ALL | FOLDER_ARCHIVE | FOLDER_DRAFTS | FOLDER_FLAGGED |        \
	 FOLDER_JUNK | FOLDER_SENT | FOLDER_TRASH | FOLDER_IMPORTANT)

int mailboxes_new(struct fs *fs, struct mailboxes **ret)
{
	struct mailboxes *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->fs = fs;
	lock_init(&m->lock, RANK_MAILBOXES);
	lock_init(&m->aside, RANK_MAILBOXES);
	*ret = m;
	return 0;
}

void mailbox_op_free(struct mailbox_op *o)
{
	if (!o)
		return;
	free(o->wire);
	free(o->was);
	free(o->aside);
	tree_names_free(o->parts, o->n_parts);
	free(o);
}

void mailboxes_free(struct mailboxes *m)
{
	struct mailbox_op *next;

	if (!m)
		return;
	for (struct mailbox_op *o = m->ops; o; o = next) {
		next = o->next;
		mailbox_op_free(o);
	}
	free(m->users);
	lock_finish(&m->aside);
	lock_finish(&m->lock);
	free(m);
}

struct mailbox_op *mailbox_op_new(struct fs *fs, enum mailbox_kind kind,
				  uint64_t key)
{
	struct mailbox_op *o = calloc(1, sizeof(*o));

	if (o) {
		o->fs = fs;
		o->kind = kind;
		o->key = key;
	}
	return o;
}

uint64_t mailbox_submit(struct mailbox_op *o)
{
	struct mailboxes *m = o->fs->mailboxes;
	uint64_t id;

	lock_take(&m->lock);
	id = o->id = ++m->last_id;
	o->next = m->ops;
	m->ops = o;
	m->epoch++;
	lock_drop(&m->lock);
	return id;
}

struct mailbox_op *mailbox_find_locked(struct mailboxes *m, uint64_t id)
{
	struct mailbox_op *o = m->ops;

	while (o && o->id != id)
		o = o->next;
	return o;
}

/* Off the list, and free; whoever waited for that is told. */
static void end(struct mailbox_op *o)
{
	struct mailboxes *m = o->fs->mailboxes;
	struct fs *fs = o->fs;
	struct mailbox_op **at = &m->ops;
	bool failed = o->result != 0;
	bool ask;

	lock_take(&m->lock);
	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	m->epoch++;
	ask = !m->ops && (failed || m->list_wanted);
	/* Who ends last asks for all. */
	m->list_wanted = !ask && (failed || m->list_wanted);
	lock_drop(&m->lock);
	mailbox_op_free(o);
	mailboxes_flushed(fs); /* the turn of another may have come */
	flush_folder_idle(fs);
	if (ask)
		(void)keep_ask_folders(fs, IMAP_PRIO_SYNC);
}

/*
 * What it did becomes the tree; its result may be another one then. `tell`:
 * nobody waits for it, so the kernel does not know.
 */
static void apply(struct mailbox_op *o, bool tell, struct folder **ret)
{
	struct tree *t = o->fs->tree;
	struct folder *made = NULL;

	if (o->result != 0)
		return;
	/* One that is replaced goes by the other's coming. */
	if (o->victim)
		tree_removed(t, o->victim, tell && !o->f);
	if (o->f)
		o->result = tree_renamed(t, o->f, o->parent, o->wire, tell);
	/* The LIST that follows a failure finds it, and tells of it. */
	if (o->kind == MAILBOX_MKDIR)
		o->result = tell ? -ECANCELED
				 : tree_made(t, o->parent, o->wire, &made);
	if (made && ret)
		*ret = made;
}

void mailbox_finish(struct mailbox_op *o, int result)
{
	struct mailboxes *m = o->fs->mailboxes;
	struct fs *fs = o->fs;
	uint64_t key = o->key;
	bool abandoned;

	/* What may work another time: not for whoever waits now. */
	if (result == -EAGAIN || result == -EBUSY)
		result = -EIO;
	lock_take(&m->lock);
	o->result = result;
	o->done = true;
	m->gen++;
	abandoned = o->abandoned;
	lock_drop(&m->lock);
	if (abandoned) {
		apply(o, true, NULL);
		end(o);
	} else {
		park_wake(fs->park, key);
	}
}

int mailboxes_end(struct fs *fs, uint64_t op, struct folder **ret)
{
	struct mailboxes *m = fs->mailboxes;
	struct mailbox_op *o;
	bool done;
	int r;

	lock_take(&m->lock);
	o = mailbox_find_locked(m, op);
	done = o && o->done;
	lock_drop(&m->lock);
	if (!o)
		return -ENOTCONN;
	if (!done)
		return -EAGAIN;
	apply(o, false, ret);
	r = o->result;
	end(o);
	return r;
}

uint64_t mailboxes_gen(struct fs *fs)
{
	struct mailboxes *m = fs->mailboxes;
	uint64_t gen;

	lock_take(&m->lock);
	gen = m->gen;
	lock_drop(&m->lock);
	return gen;
}

void mailboxes_abandon(struct fs *fs, uint64_t op)
{
	struct mailboxes *m = fs->mailboxes;
	struct mailbox_op *o;
	bool over = false;

	lock_take(&m->lock);
	o = mailbox_find_locked(m, op);
	if (o) {
		o->abandoned = true;
		over = o->done || mailbox_is_waiting(o);
		if (!o->done && over)
			o->result = -ECANCELED;
		/* Nobody gives it its turn any more: it is about to be freed.
		 */
		o->done |= over;
	}
	lock_drop(&m->lock);
	if (!over)
		return;
	apply(o, true, NULL);
	end(o);
}

/* --- beginning --- */

/* Whatever the server would say. */
static int refuse_at_once(struct fs *fs)
{
	if (fs->opt->read_only)
		return -EROFS;
	return fs->online ? 0 : -ENOTCONN;
}

static bool is_special(const struct folder *f)
{
	return (f->attrs & SPECIAL) != 0 || strcasecmp(f->wire, "INBOX") == 0;
}

/* Before a name in it is made up: that holds as long as its own does. */
static void set_parent(struct mailbox_op *o, struct folder *parent)
{
	o->parent = parent;
	o->above = parent->wire;
}

int mailboxes_mkdir(struct fs *fs, struct folder *parent, const char *name,
		    uint64_t key, uint64_t *ret)
{
	struct mailbox_op *o = mailbox_op_new(fs, MAILBOX_MKDIR, key);
	struct folder *f;
	int r = o ? 0 : -ENOMEM;

	if (r == 0 && fs->opt->read_only)
		r = -EROFS;
	if (r == 0 && parent->gone)
		r = -ENOENT;
	if (r == 0)
		set_parent(o, parent);
	if (r == 0)
		r = tree_new_name(fs->tree, parent, name, NULL, &o->wire);
	if (r == 0) {
		f = tree_by_wire(fs->tree, o->wire);
		if (f && f->announced && !(f->attrs & FOLDER_IMPLIED))
			r = -EEXIST;
	}
	if (r == 0)
		r = rights_check(fs, parent, RIGHT_CREATE);
	if (r == 0)
		r = refuse_at_once(fs);
	if (r != 0) {
		mailbox_op_free(o);
		return r;
	}
	*ret = mailbox_queue(o);
	return 0;
}

/* May this one go? It is empty, as far as that is known here. */
static int check_victim(struct fs *fs, struct folder *f)
{
	struct box *box;
	bool empty;
	int r;

	if (f->gone)
		return -ENOENT;
	if (is_special(f))
		return -EPERM;
	if (tree_has_children(fs->tree, f))
		return -ENOTEMPTY;
	r = rights_check(fs, f, RIGHT_REMOVE);
	if (r != 0 || folder_get(fs, f, &box) != 0)
		return r;
	empty = box_count(box) == 0;
	folder_put(fs, f);
	return empty ? 0 : -ENOTEMPTY;
}

/* The one that goes. Without messages there is nothing to be looked for. */
static int set_victim(struct mailbox_op *o, struct folder *f)
{
	o->victim = f;
	o->was = strdup(f->wire);
	if (!o->was)
		return -ENOMEM;
	if (f->attrs & FOLDER_NOSELECT)
		return 0;
	return aside_name(f->wire, f->delimiter, &o->aside);
}

int mailboxes_rmdir(struct fs *fs, struct folder *f, uint64_t key,
		    uint64_t *ret)
{
	struct mailbox_op *o = mailbox_op_new(fs, MAILBOX_RMDIR, key);
	int r = o ? 0 : -ENOMEM;

	if (r == 0 && fs->opt->read_only)
		r = -EROFS;
	if (r == 0)
		r = check_victim(fs, f);
	if (r == 0)
		r = refuse_at_once(fs);
	if (r == 0)
		r = set_victim(o, f);
	if (r != 0) {
		mailbox_op_free(o);
		return r;
	}
	*ret = mailbox_queue(o);
	return 0;
}

static int check_rename(struct fs *fs, const struct mailboxes_rename *what)
{
	int r = 0;

	if (fs->opt->read_only)
		return -EROFS;
	if (what->f->gone || what->parent->gone)
		return -ENOENT;
	if (is_special(what->f))
		return -EPERM;
	if (tree_is_below(what->parent, what->f))
		return -EINVAL;
	if (what->onto)
		r = check_victim(fs, what->onto);
	if (r == 0)
		r = rights_check(fs, what->f, RIGHT_REMOVE);
	if (r == 0)
		r = rights_check(fs, what->parent, RIGHT_CREATE);
	return r;
}

int mailboxes_rename(struct fs *fs, const struct mailboxes_rename *what,
		     uint64_t key, uint64_t *ret)
{
	struct mailbox_op *o = mailbox_op_new(fs, MAILBOX_RENAME, key);
	int r = o ? check_rename(fs, what) : -ENOMEM;

	if (r == 0)
		set_parent(o, what->parent);
	if (r == 0 && what->onto)
		o->wire = strdup(what->onto->wire);
	else if (r == 0)
		r = tree_new_name(fs->tree, what->parent, what->name, what->f,
				  &o->wire);
	if (r == 0 && !o->wire)
		r = -ENOMEM;
	if (r == 0)
		r = refuse_at_once(fs);
	if (r == 0 && what->onto)
		r = set_victim(o, what->onto);
	if (r != 0) {
		mailbox_op_free(o);
		return r;
	}
	o->f = what->f;
	*ret = mailbox_queue(o);
	return 0;
}

/* --- for keep.c --- */

void mailboxes_online(struct fs *fs)
{
	struct mailboxes *m = fs->mailboxes;
	struct mailbox_op *o;

	do {
		lock_take(&m->lock);
		o = m->ops;
		while (o && !o->stalled)
			o = o->next;
		if (o)
			o->stalled = false; /* its next callback is this one */
		lock_drop(&m->lock);
		if (o)
			mailbox_look(o);
	} while (o);
}

bool mailboxes_are_quiet(struct fs *fs, uint64_t *ret_epoch)
{
	struct mailboxes *m = fs->mailboxes;
	bool quiet;

	lock_take(&m->lock);
	quiet = !m->ops;
	m->list_wanted |= !quiet;
	*ret_epoch = m->epoch;
	lock_drop(&m->lock);
	return quiet;
}

bool mailboxes_believe(struct fs *fs, uint64_t epoch,
		       const struct mail_folder *v, size_t n)
{
	struct mailboxes *m = fs->mailboxes;
	bool same;

	lock_take(&m->lock);
	same = m->epoch == epoch;
	lock_drop(&m->lock);
	return same && !aside_heal(m, v, n);
}
