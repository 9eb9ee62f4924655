/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/tree_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fs/folder.h"
#include "fs/replay.h"

/*
 * What this mount itself did to mailboxes becomes the tree at once, by what is
 * known and not by what LIST will say; that finds nothing new then. The kernel
 * learns it by the answer to the request that asked for it, and tells whoever
 * watches. Only if nobody waits for that answer any more it has to be told.
 */

/* --- names --- */

/* At the top no folder says what parts names: those in it do. */
static char delimiter_in_locked(struct tree *t, const struct folder *parent)
	REQUIRES(t->lock)
{
	if (parent != t->top)
		return parent->delimiter;
	for (size_t i = 0; i < parent->n_children; i++)
		if (parent->children[i]->delimiter)
			return parent->children[i]->delimiter;
	return '\0';
}

/* The component that gives this name; of one that only moves, as it is. */
static int component(const char *name, const struct folder *was, char **ret)
{
	if (!was || strcmp(was->name, name) != 0)
		return name_to_wire(name, ret);
	*ret = strdup(tree_last_component(was->wire, was->delimiter));
	return *ret ? 0 : -ENOMEM;
}

static int join(const char *above, char delimiter, const char *last, char **ret)
{
	size_t n = strlen(above), n_last = strlen(last);
	char *wire;

	if (n + 1 + n_last > MAIL_WIRE_NAME_MAX)
		return -ENAMETOOLONG;
	wire = malloc(n + 1 + n_last + 1);
	if (!wire)
		return -ENOMEM;
	memcpy(wire, above, n);
	if (n > 0)
		wire[n++] = delimiter;
	memcpy(wire + n, last, n_last + 1);
	if (mail_levels(wire, delimiter) > MAIL_LEVELS_MAX) {
		free(wire);
		return -ENAMETOOLONG;
	}
	*ret = wire;
	return 0;
}

int tree_new_name(struct tree *t, struct folder *parent, const char *name,
		  const struct folder *was, char **ret)
{
	char *last = NULL, *wire = NULL;
	char delimiter;
	bool shown;
	int r;

	lock_take(&t->lock);
	delimiter = delimiter_in_locked(t, parent);
	lock_drop(&t->lock);
	if (parent != t->top &&
	    (!delimiter || (parent->attrs & FOLDER_NOINFERIORS)))
		return -EPERM;
	/* Those are ours, and what file managers keep for themselves. */
	if (name[0] == '.')
		return -EPERM;
	r = component(name, was, &last);
	if (r != 0)
		return r;

	if (delimiter && strchr(last, delimiter))
		r = -EINVAL;
	else if (parent == t->top && strcasecmp(last, "INBOX") == 0)
		r = -EEXIST;
	else
		r = join(parent->wire, delimiter, last, &wire);
	free(last);
	if (r == 0)
		r = tree_is_shown(t, wire, delimiter, &shown);
	if (r == 0 && !shown)
		r = -EPERM;
	if (r == 0)
		*ret = wire;
	else
		free(wire);
	return r;
}

bool tree_has_children(struct tree *t, const struct folder *f)
{
	bool has;

	lock_take(&t->lock);
	has = f->n_children > 0 || f->n_coming > 0;
	lock_drop(&t->lock);
	return has;
}

/* --- made --- */

/* It is told of already: not at the next LIST once more. */
static void announce_locked(struct tree *t, struct folder *f) REQUIRES(t->lock)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_fresh; i++)
		if (t->fresh[i] != f)
			t->fresh[n++] = t->fresh[i];
	t->n_fresh = n;
	f->announced = true;
	f->doomed = false;
}

int tree_made(struct tree *t, struct folder *parent, const char *wire,
	      struct folder **ret)
{
	struct folder *f;
	int r = 0;

	lock_take(&t->lock);
	f = tree_by_wire_locked(t, wire);
	if (f) {
		/* Somebody was faster, or it was the way to others. */
		f->attrs &= ~(uint32_t)(FOLDER_NOSELECT | FOLDER_IMPLIED);
		r = tree_save(t, f);
	} else {
		r = tree_add_locked(t, 0, wire, delimiter_in_locked(t, parent),
				    FOLDER_SUBSCRIBED, &f);
	}
	if (r == 0) {
		announce_locked(t, f);
		*ret = f;
	}
	lock_drop(&t->lock);
	return r;
}

/* --- removed --- */

/* As if a LIST had said so. */
static void replay(struct tree *t, struct folder *f, enum replay_op op)
{
	if (!replay_push_folder(t->fs->replay, f, op))
		tree_replayed(t, f, op, -ENOTCONN);
}

void tree_removed(struct tree *t, struct folder *f, bool tell)
{
	bool gone, replays;

	lock_take(&t->lock);
	gone = f->gone;
	replays = !gone && tell && f->announced && tree_replays(t, f);
	if (replays)
		f->doomed = true;
	else if (!gone)
		tree_remove_locked(t, f);
	lock_drop(&t->lock);
	if (replays)
		replay(t, f, REPLAY_RMDIR);
	else if (!gone)
		folder_drop(t->fs, f);
}

/* --- renamed --- */

/* A folder and those below it, with their new wire names. */
struct batch {
	struct folder **f;
	char **wire;
	size_t n;
};

static void batch_free(struct batch *b)
{
	for (size_t i = 0; b->wire && i < b->n; i++)
		free(b->wire[i]);
	free((void *)b->wire);
	free((void *)b->f);
}

static int batch_add(struct batch *b, struct folder *f, const char *top,
		     const char *new_top)
{
	const char *below = f->wire + strlen(top);
	char *wire = malloc(strlen(new_top) + strlen(below) + 1);

	if (!wire)
		return -ENOMEM;
	stpcpy(stpcpy(wire, new_top), below);
	b->f[b->n] = f;
	b->wire[b->n++] = wire;
	return 0;
}

/* Below by their names: that is what RENAME goes by. */
static bool goes_along(const struct folder *f, const struct folder *top)
{
	size_t n = strlen(top->wire);

	return !f->gone && strncmp(f->wire, top->wire, n) == 0 &&
	       (f == top || (top->delimiter && f->wire[n] == top->delimiter));
}

static int gather_locked(struct tree *t, struct folder *top, const char *wire,
			 struct batch *b) REQUIRES(t->lock)
{
	int r = 0;

	b->f = calloc(t->n + 1, sizeof(struct folder *));
	b->wire = calloc(t->n + 1, sizeof(*b->wire));
	if (!b->f || !b->wire)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < t->n; i++)
		if (goes_along(t->all[i], top))
			r = batch_add(b, t->all[i], top->wire, wire);
	return r;
}

static int rename_all_locked(struct tree *t, struct batch *b) REQUIRES(t->lock)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->n; i++) {
		r = tree_set_wire_locked(t, b->f[i], b->wire[i]);
		if (r == 0)
			r = tree_save(t, b->f[i]);
	}
	return r;
}

static int place_locked(struct tree *t, struct folder *f, struct folder *parent,
			bool tell, bool *ret_replay) REQUIRES(t->lock)
{
	struct place *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	r = tree_place_locked(t, parent, f->wire, f->delimiter, f, p);
	if (r != 0) {
		free(p);
		return r;
	}
	return tree_go_locked(t, f, p, tell, ret_replay);
}

/* A mailbox, and none above it up to `top`. */
static bool is_first_below(const struct folder *f, const struct folder *top)
{
	if (f->attrs & FOLDER_NOSELECT)
		return false;
	for (f = f->parent; f && f != top; f = f->parent)
		if (!(f->attrs & FOLDER_NOSELECT))
			return false;
	return f == top;
}

int tree_names_below(struct tree *t, struct folder *f, const char *wire,
		     struct tree_names **ret, size_t *ret_n)
{
	struct tree_names *v = NULL;
	struct batch b = {0};
	size_t n = 0;
	int r;

	lock_take(&t->lock);
	r = gather_locked(t, f, wire, &b);
	if (r == 0)
		v = calloc(b.n + 1, sizeof(*v));
	for (size_t i = 0; v && i < b.n; i++) {
		if (!is_first_below(b.f[i], f))
			continue;
		v[n].from = strdup(b.f[i]->wire);
		v[n].to = b.wire[i];
		b.wire[i] = NULL;
		if (!v[n++].from)
			r = -ENOMEM;
	}
	lock_drop(&t->lock);
	batch_free(&b);
	if (r == 0 && v) {
		*ret = v;
		*ret_n = n;
		return 0;
	}
	tree_names_free(v, n);
	return -ENOMEM;
}

void tree_names_free(struct tree_names *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(v[i].from);
		free(v[i].to);
	}
	free(v);
}

int tree_renamed(struct tree *t, struct folder *f, struct folder *parent,
		 const char *wire, bool tell)
{
	struct batch b = {0};
	bool replays = false;
	int r;

	lock_take(&t->lock);
	/* It was on its way to somewhere else: that is past. */
	r = tree_settle_locked(t, f);
	if (r == 0)
		r = gather_locked(t, f, wire, &b);
	if (r == 0)
		r = rename_all_locked(t, &b);
	if (r == 0)
		r = place_locked(t, f, parent, tell, &replays);
	lock_drop(&t->lock);
	if (replays)
		replay(t, f, REPLAY_RENAME);
	for (size_t i = 0; r == 0 && i < b.n; i++)
		folder_renamed_here(t->fs, b.f[i]);
	batch_free(&b);
	return r;
}
