/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/places.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Names of folders, from options and environment; nothing is made here. Runs
 * once, before the first thread.
 */

static const char *home_directory(void)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no threads */
	const char *home = getenv("HOME");
	struct passwd *pw;

	if (home && home[0] == '/')
		return home;
	pw = getpwuid(getuid()); /* NOLINT(concurrency-mt-unsafe): no threads */
	return pw ? pw->pw_dir : "/";
}

/* $XDG_x_HOME/imapfs/KEY, or its default below the home directory. */
static char *xdg_directory(const char *variable, const char *fallback,
			   const char *key)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no threads */
	const char *base = getenv(variable);
	char *path;
	int n;

	if (base && base[0] == '/')
		n = asprintf(&path, "%s/imapfs/%s", base, key);
	else
		n = asprintf(&path, "%s/%s/imapfs/%s", home_directory(),
			     fallback, key);
	return n < 0 ? NULL : path;
}

int places_find(const struct options *opt, const struct account *account,
		char **ret_state_dir, char **ret_cache_dir)
{
	char *key = account_key(account), *state_dir, *cache_dir;

	if (!key)
		return -ENOMEM;
	if (opt->cache_dir) {
		if (asprintf(&state_dir, "%s/%s", opt->cache_dir, key) < 0)
			state_dir = NULL;
		if (asprintf(&cache_dir, "%s/%s/bodies", opt->cache_dir, key) <
		    0)
			cache_dir = NULL;
	} else {
		state_dir =
			xdg_directory("XDG_STATE_HOME", ".local/state", key);
		cache_dir = xdg_directory("XDG_CACHE_HOME", ".cache", key);
	}
	free(key);
	if (!state_dir || !cache_dir) {
		free(state_dir);
		free(cache_dir);
		return -ENOMEM;
	}
	*ret_state_dir = state_dir;
	*ret_cache_dir = cache_dir;
	return 0;
}

/* The real path of the last folder on the way to `dir` that is there. */
static char *find_existing(const char *dir)
{
	char *path = strdup(dir), *real = NULL, *slash;

	while (path && !(real = realpath(path, NULL)) && errno != ENOMEM) {
		slash = strrchr(path, '/');
		if (!slash)
			break;
		/* At the end: the root, which is there. */
		slash[slash == path] = '\0';
	}
	free(path);
	return real;
}

int places_check(const char *dir, const char *mountpoint)
{
	char *real = find_existing(dir);
	size_t n = strlen(mountpoint);
	bool hidden;

	if (!real)
		return -ENOMEM;
	hidden = strncmp(real, mountpoint, n) == 0 &&
		 (real[n] == '/' || real[n] == '\0');
	free(real);
	return hidden ? -EBUSY : 0;
}
