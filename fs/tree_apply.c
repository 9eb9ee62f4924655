/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/tree_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/folder.h"
#include "fs/notify.h"
#include "fs/replay.h"
#include "imap/log.h"

/*
 * A LIST of the server becomes the tree. What it names stays or appears; what
 * it does not name goes, unless something below it stays, or it is among the
 * new names. The helper and the kernel are told once the tree's lock is
 * dropped.
 */

/* What has become of a folder; told in this order. */
enum change {
	CHANGE_NEW, /* parents must be there before others move */
	CHANGE_MOVED,
	CHANGE_GONE,
	CHANGE_FILLED,  /* has messages now and had none */
	CHANGE_EMPTIED, /* has none any more, and cannot have any */
	N_CHANGES
};

struct told {
	struct folder *f;
	enum change change;
	bool replay;
};

struct apply {
	const struct mail_folder *v;
	size_t n;
	struct newcomer *came;
	struct leaver *went;
	struct told *told;
	size_t n_came, n_went, n_told, n_replays;
	size_t n_implied; /* folders that are only the way to others */
	bool too_many;
};

/* Make room for one more to be told of. */
static int reserve(struct apply *a)
{
	struct told *bigger;

	if (a->n_told != 0 && (a->n_told & (a->n_told - 1)) != 0)
		return 0;
	bigger = realloc(a->told,
			 (a->n_told ? a->n_told * 2 : 1) * sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	a->told = bigger;
	return 0;
}

/* Many at once are not replayed: the kernel is told to look again. */
static void tell_later(struct apply *a, struct folder *f, enum change change,
		       bool replay)
{
	if (replay && a->n_replays++ >= FS_REPLAY_MAX)
		replay = false;
	a->told[a->n_told++] = (struct told){f, change, replay};
}

/* --- what LIST names --- */

static int set_attrs_locked(struct tree *t, struct apply *a, struct folder *f,
			    uint32_t attrs) REQUIRES(t->lock)
{
	uint32_t was = f->attrs;

	if (was == attrs)
		return 0;
	if (reserve(a) != 0)
		return -ENOMEM;
	/* It was listed as having no messages, which is kept by the kernel. */
	if (was & ~attrs & FOLDER_NOSELECT)
		tell_later(a, f, CHANGE_FILLED, false);
	else if (attrs & ~was & FOLDER_NOSELECT)
		tell_later(a, f, CHANGE_EMPTIED, false);
	f->attrs = attrs;
	return tree_save(t, f);
}

static int renew_locked(struct tree *t, struct apply *a, struct folder *f,
			const struct mail_folder *m) REQUIRES(t->lock)
{
	f->listed = true;
	f->doomed = false;
	return set_attrs_locked(t, a, f, m->attrs);
}

/* Sort out: what is here already, what is new, what is not named any more. */
static int sort_locked(struct tree *t, struct apply *a) REQUIRES(t->lock)
{
	struct folder *f;
	bool shown;
	int r = 0;

	for (size_t i = 0; i < t->n; i++)
		t->all[i]->listed = false;
	for (size_t i = 0; r == 0 && i < a->n; i++) {
		r = tree_is_shown(t, a->v[i].wire, a->v[i].delimiter, &shown);
		if (r != 0 || !shown)
			continue;
		f = tree_by_wire_locked(t, a->v[i].wire);
		if (f)
			r = renew_locked(t, a, f, &a->v[i]);
		else
			a->came[a->n_came++] = (struct newcomer){&a->v[i]};
	}
	for (size_t i = 0; r == 0 && i < t->n; i++) {
		struct cache_state s;

		f = t->all[i];
		a->n_implied += !f->gone && (f->attrs & FOLDER_IMPLIED);
		if (f->gone || f->listed || f->doomed)
			continue;
		folder_state(f, &s);
		a->went[a->n_went++] =
			(struct leaver){f, s.uidvalidity, s.uidnext};
	}
	return r;
}

/* --- what is new --- */

/*
 * How many folders are to be made so that it has a parent? Counted up to one
 * more than `room`. -ENOMEM.
 */
static int count_missing_locked(struct tree *t, const struct mail_folder *m,
				size_t room, size_t *ret) REQUIRES(t->lock)
{
	char *up = strdup(m->wire);
	size_t last, n = 0;

	if (!up)
		return -ENOMEM;
	while (n <= room) {
		last = (size_t)(tree_last_component(up, m->delimiter) - up);
		if (last <= 1)
			break;
		up[last - 1] = '\0';
		if (tree_by_wire_locked(t, up))
			break;
		n++;
	}
	free(up);
	*ret = n;
	return 0;
}

/* A line of LIST may stand for as many folders as its name has levels. */
static int check_room_locked(struct tree *t, struct apply *a,
			     const struct mail_folder *m) REQUIRES(t->lock)
{
	size_t room = 0, n;
	int r;

	if (a->n_implied < MAIL_IMPLIED_MAX)
		room = MAIL_IMPLIED_MAX - a->n_implied;
	r = count_missing_locked(t, m, room, &n);
	if (r != 0)
		return r;
	if (n > room) {
		if (!a->too_many)
			log_warn("tree: more than %d folders are no mailboxes "
				 "but lead to some: the rest of these is left "
				 "out",
				 MAIL_IMPLIED_MAX);
		a->too_many = true;
		return -EOVERFLOW;
	}
	a->n_implied += n;
	return 0;
}

static int take_in_locked(struct tree *t, struct apply *a,
			  const struct newcomer *c) REQUIRES(t->lock)
{
	struct folder *f = tree_by_wire_locked(t, c->m->wire);
	bool replay = false;
	int r = f ? 0 : check_room_locked(t, a, c->m);

	if (r != 0)
		return r == -EOVERFLOW ? 0 : r;
	if (c->was && !f) {
		r = tree_move_locked(t, c->was, c->m, &replay);
		if (r == 0) {
			c->was->listed = true;
			tell_later(a, c->was, CHANGE_MOVED, replay);
		}
		if (r != -EINVAL)
			return r;
	}
	/* Made as the parent of one that came before it? */
	if (f) {
		a->n_implied -= (f->attrs & FOLDER_IMPLIED) != 0;
		return renew_locked(t, a, f, c->m);
	}
	r = tree_add_locked(t, 0, c->m->wire, c->m->delimiter, c->m->attrs, &f);
	if (r == 0)
		f->listed = true;
	return r;
}

/* Is anything in it, or on its way there? */
static bool is_needed(const struct folder *f)
{
	if (f->n_coming > 0)
		return true;
	for (size_t i = 0; i < f->n_children; i++)
		if (!f->children[i]->doomed)
			return true;
	return false;
}

/* One that LIST does not name: no mailbox any more, but the way to some? */
static bool leave_locked(struct tree *t, struct apply *a, struct folder *f)
	REQUIRES(t->lock)
{
	if (f->gone || f->listed || f->doomed || reserve(a) != 0)
		return false;
	/* What is mounted stays, too: it may be made again. */
	if (is_needed(f) || f == t->root) {
		(void)!set_attrs_locked(t, a, f,
					FOLDER_NOSELECT | FOLDER_IMPLIED);
		return false;
	}
	f->doomed = true;
	tell_later(a, f, CHANGE_GONE, f->announced && tree_replays(t, f));
	return true;
}

/* Children before parents, which mostly have smaller ids, but not always. */
static void sweep_locked(struct tree *t, struct apply *a) REQUIRES(t->lock)
{
	bool more = true;

	while (more) {
		more = false;
		for (size_t i = t->n; i-- > 0;)
			more |= leave_locked(t, a, t->all[i]);
	}
}

/* Parents before children: they have been made in that order. */
static void announce_locked(struct tree *t, struct apply *a) REQUIRES(t->lock)
{
	for (size_t i = 0; i < t->n_fresh; i++) {
		struct folder *f = t->fresh[i];
		bool replay = tree_replays(t, f);

		f->announced = true;
		if (reserve(a) != 0)
			continue;
		tell_later(a, f, CHANGE_NEW, replay);
		f->announced = !a->told[a->n_told - 1].replay;
	}
	t->n_fresh = 0;
}

/* --- telling --- */

static void tell_name(struct tree *t, const struct told *x)
{
	static const enum replay_op ops[] = {
		[CHANGE_NEW] = REPLAY_MKDIR,
		[CHANGE_MOVED] = REPLAY_RENAME,
		[CHANGE_GONE] = REPLAY_RMDIR,
	};
	char *to = NULL;

	if (x->change == CHANGE_MOVED) {
		(void)!tree_goes_to(t, x->f, &to);
		log_info("tree: a folder is called '%s' now",
			 to ? to : x->f->path);
		free(to);
		folder_renamed(t->fs, x->f);
	} else if (t->fs->serving) {
		log_info("tree: folder '%s' is %s", x->f->path,
			 x->change == CHANGE_NEW ? "new" : "gone");
	}
	if (!x->replay ||
	    !replay_push_folder(t->fs->replay, x->f, ops[x->change]))
		tree_replayed(t, x->f, ops[x->change], -ENOTCONN);
}

static void tell_one(struct tree *t, const struct told *x)
{
	switch (x->change) {
	case CHANGE_FILLED:
		notify_added(t->fs->notify, tree_ino(t, x->f->parent),
			     x->f->name);
		notify_listing(t->fs->notify, tree_ino(t, x->f));
		break;
	case CHANGE_EMPTIED:
		folder_emptied(t->fs, x->f);
		break;
	default:
		tell_name(t, x);
	}
}

static void tell_all(struct tree *t, const struct apply *a)
{
	for (int change = 0; change < N_CHANGES; change++)
		for (size_t i = 0; i < a->n_told; i++)
			if ((int)a->told[i].change == change)
				tell_one(t, &a->told[i]);
}

static int apply_alloc(struct apply *a, size_t n_all)
{
	a->came = calloc(a->n + 1, sizeof(*a->came));
	a->went = calloc(n_all + 1, sizeof(*a->went));
	return a->came && a->went ? 0 : -ENOMEM;
}

int tree_apply(struct tree *t, const struct mail_folder *v, size_t n)
{
	struct apply a = {.v = v, .n = n};
	int r;

	lock_take(&t->lock);
	r = apply_alloc(&a, t->n);
	if (r == 0)
		r = sort_locked(t, &a);
	if (r == 0)
		tree_pair(a.went, a.n_went, a.came, a.n_came);
	for (size_t i = 0; r == 0 && i < a.n_came; i++) {
		r = reserve(&a);
		if (r == 0)
			r = take_in_locked(t, &a, &a.came[i]);
	}
	if (r == 0)
		sweep_locked(t, &a);
	announce_locked(t, &a);
	lock_drop(&t->lock);

	tell_all(t, &a);
	free(a.came);
	free(a.went);
	free(a.told);
	return r;
}
