/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/option_value.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Numbers, sizes and paths, as people write them on a command line or in fstab.
 * Runs once, before the first thread.
 */

bool option_read_number(const char *s, int base, unsigned long *ret,
			const char **ret_rest)
{
	char *end;

	if (!isdigit((unsigned char)s[0]))
		return false;
	errno = 0;
	*ret = strtoul(s, &end, base);
	*ret_rest = end;
	return errno == 0 && end != s;
}

bool option_read_size(const char *s, uint64_t *ret, const char **ret_rest)
{
	static const char units[] = "KkMmGgTt";
	unsigned long n;
	const char *unit;
	unsigned shift = 0;

	if (!option_read_number(s, 10, &n, ret_rest))
		return false;
	unit = **ret_rest ? strchr(units, **ret_rest) : NULL;
	if (unit) {
		shift = 10 * (unsigned)((unit - units) / 2 + 1);
		++*ret_rest;
	}
	if (n > UINT64_MAX >> shift)
		return false;

	*ret = (uint64_t)n << shift;
	return true;
}

int option_absolute_path(const char *path, char **ret)
{
	const char *home = secure_getenv("HOME");
	char *cwd;
	int n;

	if (path[0] == '/') {
		*ret = strdup(path);
		return *ret ? 0 : -ENOMEM;
	}
	if (path[0] == '~' && path[1] == '/' && home && home[0] == '/') {
		n = asprintf(ret, "%s%s", home, path + 1);
		return n < 0 ? -ENOMEM : 0;
	}
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return -errno;

	n = asprintf(ret, "%s/%s", cwd, path);
	free(cwd);
	return n < 0 ? -ENOMEM : 0;
}
