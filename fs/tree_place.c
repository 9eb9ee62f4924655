/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/tree_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Where a mailbox is shown: its directory's name, its path, and whether the
 * options want it to be shown at all.
 */

const char *tree_last_component(const char *wire, char delimiter)
{
	const char *cut = delimiter ? strrchr(wire, delimiter) : NULL;

	/* A trailing delimiter is no component of its own. */
	return cut && cut[1] ? cut + 1 : wire;
}

static int make_name(struct tree *t, struct folder *parent, const char *last,
		     const struct folder *self, char ret[NAME_BUFFER])
	REQUIRES(t->lock)
{
	struct folder *other;
	int r;

	r = name_of_folder(last, strlen(last), ret);
	if (r != 0)
		return r;
	/*
	 * A mailbox that is called as a message could be: the name is the
	 * message's, which has it in every folder and for ever.
	 */
	other = tree_by_name_locked(t, parent, ret);
	if (!name_is_possible(ret) && (!other || other == self))
		return 0;
	return name_of_folder_twin(last, strlen(last), ret);
}

static char *make_path(const struct folder *parent, const char *name)
{
	char *path;

	if (!parent->path[0])
		return strdup(name);
	if (asprintf(&path, "%s/%s", parent->path, name) < 0)
		return NULL;
	return path;
}

int tree_place_locked(struct tree *t, struct folder *parent, const char *wire,
		      char delimiter, const struct folder *self,
		      struct place *ret)
{
	char name[NAME_BUFFER];
	char *path;
	int r;

	r = make_name(t, parent, tree_last_component(wire, delimiter), self,
		      name);
	if (r != 0)
		return r;
	path = make_path(parent, name);
	if (!path)
		return -ENOMEM;
	*ret = (struct place){.parent = parent,
			      .path = path,
			      .name = path + strlen(path) - strlen(name)};
	return 0;
}

/*
 * Is a mailbox of this wire name to be shown? Asked before it is made, with
 * the path that it would have.
 */
int tree_is_shown(struct tree *t, const char *wire, char delimiter, bool *ret)
{
	char *path = NULL, name[NAME_BUFFER], *longer;
	const char *p = wire, *end;
	int r;

	*ret = true;
	if (!t->fs->opt->folders && !t->fs->opt->exclude)
		return 0;

	while (*p) {
		end = delimiter ? strchrnul(p, delimiter) : p + strlen(p);
		r = name_of_folder(p, (size_t)(end - p), name);
		if (r == 0 && asprintf(&longer, "%s%s%s", path ? path : "",
				       path ? "/" : "", name) < 0)
			r = -ENOMEM;
		free(path);
		if (r != 0)
			return r;
		path = longer;
		p = *end ? end + 1 : end;
	}
	*ret = path && options_show_folder(t->fs->opt, path);
	free(path);
	return 0;
}

struct folder *tree_special(struct tree *t, unsigned attr)
{
	struct folder **all, *found = NULL;
	size_t n;

	if (tree_all(t, &all, &n) != 0)
		return NULL;
	for (size_t i = 0; i < n && !found; i++)
		if (all[i]->attrs & attr)
			found = all[i];
	free(all);
	return found;
}
