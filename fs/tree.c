/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/tree_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/folder.h"
#include "imap/names.h"

/*
 * The tree is small (some ten thousand mailboxes at most), read often and
 * changed seldom: one lock, one array of all folders ascending by id, arrays of
 * children, and tables by name (tree_hash.c). A mailbox whose parents were
 * never listed (`a/b` without `a`, as Gmail has them) gets them made here,
 * marked FOLDER_IMPLIED. tree_apply.c takes in what a LIST says.
 *
 * Folders are never freed before the mount ends, so whoever got a pointer may
 * keep it without a count, and the names that one has had are not freed
 * either (tree_text.c): some 500 bytes and the names, one behind the other. All
 * else of one that is gone goes with it, or when the kernel has forgotten it
 * (folder.c). What a mount sees created and deleted is bounded by what its user
 * does.
 */

static int grow(struct folder ***v, size_t n)
{
	struct folder **bigger;

	/* Room for one more: capacities are powers of two. */
	if (n != 0 && (n & (n - 1)) != 0)
		return 0;

	bigger = realloc(*v, (n ? n * 2 : 1) * sizeof(struct folder *));
	if (!bigger)
		return -ENOMEM;

	*v = bigger;
	return 0;
}

static void folder_destroy(struct folder *f)
{
	folder_drop_ghosts(f);
	if (f->box)
		box_close(f->box);
	lock_finish(&f->lock);
	place_free(f->place);
	free(f->children);
}

/* Neither is ever freed: who made them may not get them into the tree. */
static struct folder *folder_make_locked(struct tree *t, uint64_t id,
					 const char *wire, char delimiter)
	REQUIRES(t->lock)
{
	struct folder *f = region_get(&t->lasting, sizeof(*f));
	const char *name = tree_text_locked(t, wire);

	if (!f || !name)
		return NULL;

	lock_init(&f->lock, RANK_FOLDER);
	f->id = id;
	f->delimiter = delimiter;
	f->announced = true;
	f->wire = name;
	return f;
}

int tree_make_room_locked(struct tree *t, struct folder *parent)
{
	(void)t;
	return grow(&parent->children, parent->n_children);
}

void tree_stays_locked(struct tree *t, struct folder *f)
{
	(void)t;
	for (; f; f = f->parent)
		f->doomed = false;
}

void tree_link_locked(struct tree *t, struct folder *f, struct folder *parent)
{
	size_t i;

	f->parent = parent;
	tree_stays_locked(t, parent);
	tree_hash_add_locked(t, f);
	for (i = parent->n_children++;
	     i > 0 && parent->children[i - 1]->id > f->id; i--)
		parent->children[i] = parent->children[i - 1];
	parent->children[i] = f;
}

/* Put `f` into the arrays, under its parent; ids only ever ascend. */
static int enter_locked(struct tree *t, struct folder *f, struct folder *parent,
			bool is_new) REQUIRES(t->lock)
{
	size_t i;

	if (grow(&t->all, t->n) != 0 ||
	    (is_new && grow(&t->fresh, t->n_fresh) != 0) ||
	    tree_hash_reserve_locked(t) != 0 ||
	    tree_make_room_locked(t, parent) != 0)
		return -ENOMEM;

	tree_link_locked(t, f, parent);
	for (i = t->n++; i > 0 && t->all[i - 1]->id > f->id; i--)
		t->all[i] = t->all[i - 1];
	t->all[i] = f;
	if (is_new) {
		f->announced = false;
		t->fresh[t->n_fresh++] = f;
	}
	return 0;
}

void tree_unlink_locked(struct tree *t, struct folder *f)
{
	struct folder *p = f->parent;

	tree_hash_remove_locked(t, f);
	for (size_t i = p->n_children; i-- > 0;) {
		if (p->children[i] != f)
			continue;
		memmove(&p->children[i], &p->children[i + 1],
			(p->n_children - i - 1) * sizeof(struct folder *));
		p->n_children--;
		return;
	}
}

int tree_parent_locked(struct tree *t, const char *wire, char delimiter,
		       struct folder **ret)
{
	const char *last = tree_last_component(wire, delimiter);
	struct folder *found;
	char *up;
	int r;

	if (last == wire || last - wire == 1) {
		*ret = t->top;
		return 0;
	}

	up = strndup(wire, (size_t)(last - wire) - 1);
	if (!up)
		return -ENOMEM;

	found = tree_by_wire_locked(t, up);
	r = 0;
	if (!found)
		r = tree_add_locked(t, 0, up, delimiter,
				    FOLDER_NOSELECT | FOLDER_IMPLIED, &found);
	free(up);
	if (r == 0)
		*ret = found;
	return r;
}

int tree_save(struct tree *t, const struct folder *f)
{
	struct cache_folder c = {.id = f->id,
				 .wire = f->wire,
				 .delimiter = f->delimiter,
				 .attrs = f->attrs};

	return cache_save_folder(t->fs->cache, &c);
}

int tree_add_locked(struct tree *t, uint64_t id, const char *wire,
		    char delimiter, uint32_t attrs, struct folder **ret)
{
	bool is_new = id == 0;
	struct folder *parent = NULL, *f;
	struct place at;
	int r;

	r = tree_parent_locked(t, wire, delimiter, &parent);
	if (r == 0 && is_new)
		r = cache_new_ids(t->fs->cache, 1, &id);
	if (r != 0)
		return r;

	f = folder_make_locked(t, id, wire, delimiter);
	if (!f)
		return -ENOMEM;

	f->attrs = attrs;
	r = tree_place_locked(t, parent, wire, delimiter, NULL, &at);
	if (r == 0) {
		r = tree_set_path_locked(t, f, at.path, at.name);
		free(at.path);
	}
	if (r == 0)
		r = enter_locked(t, f, parent, is_new);
	if (r != 0) {
		folder_destroy(f);
		return r;
	}
	*ret = f;
	return is_new ? tree_save(t, f) : 0;
}

static int load_one_locked(struct tree *t, const struct cache_folder *c)
	REQUIRES(t->lock)
{
	struct folder *f = NULL;
	bool shown;
	int r;

	r = tree_is_shown(t, c->wire, c->delimiter, &shown);
	if (r != 0 || !shown || tree_by_wire_locked(t, c->wire))
		return r;
	r = tree_add_locked(t, c->id, c->wire, c->delimiter, c->attrs, &f);
	if (r == 0) {
		f->stored = c->state;
		f->kept = c->kept;
	}
	return r;
}

/*
 * Parents before their children, or they would be made anew: a folder that was
 * renamed may be older than its parent. Else by age, on which names depend.
 */
static int compare_folders(const void *a, const void *b)
{
	const struct cache_folder *x = a, *y = b;
	unsigned dx = mail_levels(x->wire, x->delimiter);
	unsigned dy = mail_levels(y->wire, y->delimiter);

	if (dx != dy)
		return dx < dy ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

int tree_new(struct fs *fs, struct tree **ret)
{
	struct cache_folder *v = NULL;
	struct tree *t = calloc(1, sizeof(*t));
	size_t n = 0;
	int r;

	if (!t)
		return -ENOMEM;

	t->fs = fs;
	lock_init(&t->lock, RANK_TREE);
	lock_take(&t->lock);
	t->top = folder_make_locked(t, FS_ROOT_INO, "", 0);
	lock_drop(&t->lock);
	if (!t->top) {
		tree_free(t);
		return -ENOMEM;
	}
	t->top->name = t->top->path = "";
	t->top->attrs = FOLDER_NOSELECT | FOLDER_IMPLIED;
	t->top->held = 1; /* the kernel never forgets a root */
	t->root = t->top;

	r = cache_load_folders(fs->cache, &v, &n);
	lock_take(&t->lock);
	if (r == 0 && n > 0)
		qsort(v, n, sizeof(*v), compare_folders);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = load_one_locked(t, &v[i]);
	lock_drop(&t->lock);
	free(v);
	if (r != 0) {
		tree_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;

	for (size_t i = 0; i < t->n; i++)
		folder_destroy(t->all[i]);
	if (t->top)
		folder_destroy(t->top);
	free((void *)t->texts);
	region_free(&t->lasting);
	free(t->all);
	free(t->fresh);
	free(t->by_wire);
	free(t->by_name);
	lock_finish(&t->lock);
	free(t);
}

int tree_set_root(struct tree *t, const char *mailbox)
{
	struct folder *found = NULL;
	char *wire = NULL;
	int r;

	r = utf7_encode(mailbox, &wire);
	if (r != 0)
		return r == -ENOMEM ? r : -ENOENT;

	lock_take(&t->lock);
	found = tree_by_wire_locked(t, wire);
	if (!found && strcasecmp(wire, "INBOX") == 0)
		found = tree_by_wire_locked(t, "INBOX");
	if (found) {
		folder_hold(found);
		t->root = found;
	}
	lock_drop(&t->lock);
	free(wire);
	return found ? 0 : -ENOENT;
}

struct folder *tree_root(struct tree *t)
{
	return t->root; /* fixed before the mount */
}

/* The first of `v`, ascending by id, whose id is greater. */
static size_t first_after(struct folder **v, size_t n, uint64_t id)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (v[mid]->id <= id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct folder *by_id_locked(struct tree *t, uint64_t id)
{
	size_t at = first_after(t->all, t->n, id);

	return at > 0 && t->all[at - 1]->id == id ? t->all[at - 1] : NULL;
}

struct folder *tree_find(struct tree *t, uint64_t ino)
{
	struct folder *f;

	if (ino == FS_ROOT_INO)
		return t->root;

	lock_take(&t->lock);
	f = by_id_locked(t, ino);
	lock_drop(&t->lock);
	return f;
}

struct folder *tree_child(struct tree *t, struct folder *f, const char *name)
{
	struct folder *c;

	lock_take(&t->lock);
	c = tree_by_name_locked(t, f, name);
	if (c && !c->announced)
		c = NULL;
	lock_drop(&t->lock);
	return c;
}

struct folder *tree_by_wire(struct tree *t, const char *wire)
{
	struct folder *f;

	lock_take(&t->lock);
	f = tree_by_wire_locked(t, wire);
	lock_drop(&t->lock);
	return f;
}

size_t tree_children(struct tree *t, struct folder *f, uint64_t after,
		     struct folder **ret, size_t n)
{
	size_t found = 0, at;

	lock_take(&t->lock);
	at = first_after(f->children, f->n_children, after);
	for (; at < f->n_children && found < n; at++)
		if (f->children[at]->announced)
			ret[found++] = f->children[at];
	lock_drop(&t->lock);
	return found;
}

uint64_t tree_ino(struct tree *t, const struct folder *f)
{
	return f == t->root ? FS_ROOT_INO : f->id;
}

uint64_t tree_parent_ino(struct tree *t, const struct folder *f)
{
	return f == t->root ? FS_ROOT_INO : tree_ino(t, f->parent);
}

int tree_all(struct tree *t, struct folder ***ret, size_t *ret_n)
{
	struct folder **v;
	size_t n = 0;

	lock_take(&t->lock);
	v = calloc(t->n + 1, sizeof(struct folder *));
	for (size_t i = 0; v && i < t->n; i++)
		if (!t->all[i]->gone)
			v[n++] = t->all[i];
	lock_drop(&t->lock);
	if (!v)
		return -ENOMEM;

	*ret = v;
	*ret_n = n;
	return 0;
}
