/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/options.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

/*
 * folders= and exclude=: lists of globs, joined by `:`, over the paths that
 * are shown. A glob is compared component by component, so that `*` stays
 * within one and a parent of a folder that might match is known before its
 * children are. Each component matches as a glob or letter by letter: the
 * brackets of `[Gmail]` are a name to whoever writes them. What matches stands
 * for all below it.
 */

enum match { MATCH_NO, MATCH_PARENT, MATCH_YES };

/* The next component of `*s`, and move `*s` behind it; NULL: none is left. */
static const char *next_component(const char **s, const char *end, size_t *ret)
{
	const char *begin;

	while (*s < end && **s == '/')
		++*s;
	if (*s == end)
		return NULL;
	begin = *s;
	while (*s < end && **s != '/')
		++*s;
	*ret = (size_t)(*s - begin);
	return begin;
}

#define COMPONENT_MAX 1024 /* longer ones, which no path has, match nothing */

static bool component_matches(const char *glob, size_t n_glob, const char *name,
			      size_t n_name)
{
	char g[COMPONENT_MAX], s[COMPONENT_MAX];

	if (n_glob == n_name && memcmp(glob, name, n_name) == 0)
		return true;
	if (n_glob >= sizeof(g) || n_name >= sizeof(s))
		return false;
	memcpy(g, glob, n_glob);
	g[n_glob] = '\0';
	memcpy(s, name, n_name);
	s[n_name] = '\0';
	return fnmatch(g, s, 0) == 0;
}

static enum match match_glob(const char *glob, const char *end,
			     const char *path)
{
	const char *path_end = path + strlen(path);
	bool any = false;

	for (;;) {
		size_t n_glob = 0, n_name = 0;
		const char *g = next_component(&glob, end, &n_glob);
		const char *name;

		if (!g)
			return any ? MATCH_YES : MATCH_NO;
		any = true;
		name = next_component(&path, path_end, &n_name);
		if (!name)
			return MATCH_PARENT;
		if (!component_matches(g, n_glob, name, n_name))
			return MATCH_NO;
	}
}

/* The best match of any glob of the list. */
static enum match match_list(const char *list, const char *path)
{
	enum match best = MATCH_NO;

	while (*list && best != MATCH_YES) {
		const char *end = list;
		enum match m;

		while (*end && *end != ':')
			end += end[0] == '\\' && end[1] ? 2 : 1;
		m = match_glob(list, end, path);
		if (m > best)
			best = m;
		list = *end ? end + 1 : end;
	}
	return best;
}

bool options_show_folder(const struct options *o, const char *path)
{
	if (o->exclude && match_list(o->exclude, path) == MATCH_YES)
		return false;
	return !o->folders || match_list(o->folders, path) != MATCH_NO;
}
