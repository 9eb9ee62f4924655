/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/tree_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/folder.h"
#include "fs/notify.h"

/*
 * Mailboxes that were renamed elsewhere. LIST only says that one name went
 * and another came; they are the same mailbox if UIDVALIDITY and UIDNEXT say
 * so and nobody else could be meant. That is enough to keep the directory and
 * to look for its messages in the new one by what is in them (moor.c): their
 * UIDs are not taken over, for the two numbers can be equal by chance.
 *
 * What a RENAME does to the mailboxes below (RFC 9051 section 6.3.6) is
 * followed by name.
 */

/* Comparisons of one LIST: more changes at once are no renaming. */
#define COMPARISONS_MAX 4000000

void place_free(struct place *p)
{
	if (!p)
		return;
	free(p->path);
	free(p);
}

/* --- who was who --- */

static bool has_numbers(const struct mail_folder *m)
{
	/* An empty mailbox is like every other empty one. */
	return m->has_status && m->uidvalidity != 0 && m->uidnext > 1;
}

static bool is_same(const struct leaver *l, const struct mail_folder *m)
{
	return l->uidvalidity == m->uidvalidity && l->uidnext == m->uidnext;
}

/* The only one of `went` with these numbers, or NULL. */
static const struct leaver *only_one_gone(const struct leaver *went, size_t n,
					  const struct mail_folder *m)
{
	const struct leaver *found = NULL;

	for (size_t i = 0; i < n; i++) {
		if (!is_same(&went[i], m))
			continue;
		if (found)
			return NULL;
		found = &went[i];
	}
	return found;
}

static bool only_one_came(const struct newcomer *v, size_t n,
			  const struct leaver *l)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		found += has_numbers(v[i].m) && is_same(l, v[i].m);
	return found == 1;
}

static bool is_taken(const struct newcomer *v, size_t n, const struct folder *f)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].was == f)
			return true;
	return false;
}

/* Is `wire` the name `top` + delimiter + rest? The rest, or NULL. */
static const char *below(const char *wire, const char *top, char delimiter)
{
	size_t n = strlen(top);

	if (delimiter && strncmp(wire, top, n) == 0 && wire[n] == delimiter)
		return wire + n + 1;
	return NULL;
}

/* What was below a mailbox that has another name now. */
static void pair_children(const struct leaver *went, size_t n_went,
			  struct newcomer *v, size_t n,
			  const struct newcomer *top)
{
	const char *old, *new;

	for (size_t i = 0; i < n_went; i++) {
		old = below(went[i].f->wire, top->was->wire,
			    top->was->delimiter);
		if (!old || is_taken(v, n, went[i].f))
			continue;
		for (size_t k = 0; k < n; k++) {
			new = below(v[k].m->wire, top->m->wire,
				    top->m->delimiter);
			if (!v[k].was && new &&strcmp(old, new) == 0) {
				v[k].was = went[i].f;
				break;
			}
		}
	}
}

void tree_pair(const struct leaver *went, size_t n_went, struct newcomer *v,
	       size_t n)
{
	const struct leaver *l;
	size_t n_pairs = 0;

	if (n_went == 0 || n == 0 || n_went * n > COMPARISONS_MAX)
		return;
	for (size_t i = 0; i < n; i++) {
		if (!has_numbers(v[i].m))
			continue;
		l = only_one_gone(went, n_went, v[i].m);
		if (l && only_one_came(v, n, l)) {
			v[i].was = l->f;
			n_pairs++;
		}
	}
	if (n_pairs == n || n_pairs * n_went * n > COMPARISONS_MAX)
		return;
	for (size_t i = 0; i < n; i++)
		if (v[i].was)
			pair_children(went, n_went, v, n, &v[i]);
}

/* --- going there --- */

int tree_set_path_locked(struct tree *t, struct folder *f, const char *path,
			 const char *name)
{
	const char *own = tree_text_locked(t, path);

	if (!own)
		return -ENOMEM;
	f->path = own;
	f->name = own + (name - path);
	return 0;
}

/* The paths of what is below: as deep as the tree is. */
static void renew_paths_locked(struct tree *t, struct folder *f)
	REQUIRES(t->lock)
{
	for (size_t i = 0; i < f->n_children; i++) {
		struct folder *c = f->children[i];
		size_t up = strlen(f->path), n = strlen(c->name);
		char *path = malloc(up + 1 + n + 1);
		int r;

		if (!path)
			return;
		memcpy(path, f->path, up);
		path[up] = '/';
		memcpy(path + up + 1, c->name, n + 1);
		r = tree_set_path_locked(t, c, path, path + up + 1);
		free(path);
		if (r != 0)
			return;
		renew_paths_locked(t, c);
	}
}

/* tree_settle_locked(), but the kernel knows it already. */
static int settle_quietly_locked(struct tree *t, struct folder *f)
	REQUIRES(t->lock)
{
	struct place *p = f->place;
	const char *path;
	int r;

	if (!p)
		return 0;
	r = tree_make_room_locked(t, p->parent);
	if (r != 0)
		return r;
	path = tree_text_locked(t, p->path);
	if (!path)
		return -ENOMEM;

	f->place = NULL;
	p->parent->n_coming--;
	t->n_moving--;
	tree_unlink_locked(t, f);
	f->path = path;
	f->name = path + (p->name - p->path);
	tree_link_locked(t, f, p->parent);
	renew_paths_locked(t, f);
	place_free(p);
	return 0;
}

int tree_settle_locked(struct tree *t, struct folder *f)
{
	struct folder *was_in = f->parent;
	const char *was = f->name;
	bool moves = f->place != NULL;
	int r = settle_quietly_locked(t, f);

	if (r != 0 || !moves)
		return r;
	/* Both names mean something else now. */
	notify_added(t->fs->notify, tree_ino(t, was_in), was);
	notify_added(t->fs->notify, tree_ino(t, f->parent), f->name);
	return 0;
}

bool tree_is_below(const struct folder *f, const struct folder *top)
{
	for (; f; f = f->parent)
		if (f == top)
			return true;
	return false;
}

int tree_set_wire_locked(struct tree *t, struct folder *f, const char *wire)
{
	const char *own = tree_text_locked(t, wire);

	if (!own)
		return -ENOMEM;
	tree_hash_remove_locked(t, f);
	f->wire = own;
	f->moves++;
	f->notified = false;
	tree_hash_add_locked(t, f);
	return 0;
}

static int rename_wire_locked(struct tree *t, struct folder *f,
			      const struct mail_folder *m) REQUIRES(t->lock)
{
	int r = tree_set_wire_locked(t, f, m->wire);

	if (r != 0)
		return r;
	f->delimiter = m->delimiter;
	f->attrs = m->attrs;
	return 0;
}

int tree_go_locked(struct tree *t, struct folder *f, struct place *p, bool tell,
		   bool *ret_replay)
{
	f->place = p;
	p->parent->n_coming++;
	t->n_moving++;
	/* Or it would come to where nothing is. */
	tree_stays_locked(t, p->parent);
	*ret_replay = tell && tree_replays(t, f) && p->parent->announced &&
		      folder_is_held(p->parent) &&
		      (p->parent != f->parent || strcmp(p->name, f->name) != 0);
	if (*ret_replay)
		return 0;
	return tell ? tree_settle_locked(t, f) : settle_quietly_locked(t, f);
}

int tree_move_locked(struct tree *t, struct folder *f,
		     const struct mail_folder *m, bool *ret_replay)
{
	struct place *p = calloc(1, sizeof(*p));
	struct folder *parent;
	int r;

	*ret_replay = false;
	if (!p)
		return -ENOMEM;
	/* It is on its way already: that was its place, then. */
	r = tree_settle_locked(t, f);
	if (r == 0)
		r = tree_parent_locked(t, m->wire, m->delimiter, &parent);
	if (r == 0 && tree_is_below(parent, f))
		r = -EINVAL;
	if (r == 0)
		r = tree_place_locked(t, parent, m->wire, m->delimiter, f, p);
	if (r == 0)
		r = rename_wire_locked(t, f, m);
	if (r != 0) {
		place_free(p);
		return r;
	}
	r = tree_go_locked(t, f, p, true, ret_replay);
	return r == 0 ? tree_save(t, f) : r;
}
