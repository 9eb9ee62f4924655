/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/tree_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/*
 * Folders by wire name, and by parent and name: two tables with chains through
 * the folders themselves. A LIST of some ten thousand mailboxes asks for each
 * of them twice. Gone folders are in neither.
 */

static struct folder **by_wire(struct tree *t, const char *wire)
	REQUIRES(t->lock)
{
	return &t->by_wire[XXH3_64bits(wire, strlen(wire)) & (t->n_slots - 1)];
}

static struct folder **by_name(struct tree *t, const struct folder *parent,
			       const char *name) REQUIRES(t->lock)
{
	return &t->by_name[XXH3_64bits_withSeed(name, strlen(name),
						parent->id) &
			   (t->n_slots - 1)];
}

void tree_hash_add_locked(struct tree *t, struct folder *f)
{
	struct folder **at = by_wire(t, f->wire);

	f->next_wire = *at;
	*at = f;
	at = by_name(t, f->parent, f->name);
	f->next_name = *at;
	*at = f;
}

static int grow_locked(struct tree *t, size_t n) REQUIRES(t->lock)
{
	struct folder **wire = calloc(n, sizeof(struct folder *));
	struct folder **name = calloc(n, sizeof(struct folder *));

	if (!wire || !name) {
		free(wire);
		free(name);
		return -ENOMEM;
	}
	free(t->by_wire);
	free(t->by_name);
	t->by_wire = wire;
	t->by_name = name;
	t->n_slots = n;
	for (size_t i = 0; i < t->n; i++)
		if (!t->all[i]->gone)
			tree_hash_add_locked(t, t->all[i]);
	return 0;
}

int tree_hash_reserve_locked(struct tree *t)
{
	if (t->n_slots > t->n)
		return 0;
	return grow_locked(t, t->n_slots ? t->n_slots * 2 : 64);
}

void tree_hash_remove_locked(struct tree *t, struct folder *f)
{
	struct folder **at;

	for (at = by_wire(t, f->wire); *at; at = &(*at)->next_wire) {
		if (*at == f) {
			*at = f->next_wire;
			break;
		}
	}
	for (at = by_name(t, f->parent, f->name); *at; at = &(*at)->next_name) {
		if (*at == f) {
			*at = f->next_name;
			break;
		}
	}
}

struct folder *tree_by_wire_locked(struct tree *t, const char *wire)
{
	struct folder *f = t->n_slots ? *by_wire(t, wire) : NULL;

	while (f && strcmp(f->wire, wire) != 0)
		f = f->next_wire;
	return f;
}

struct folder *tree_by_name_locked(struct tree *t, const struct folder *parent,
				   const char *name)
{
	struct folder *f = t->n_slots ? *by_name(t, parent, name) : NULL;

	while (f && (f->parent != parent || strcmp(f->name, name) != 0))
		f = f->next_name;
	return f;
}
