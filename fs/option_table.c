/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/option_table.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/budget.h"
#include "fs/option_value.h"

/*
 * One table names every option of -o, with the function that takes its value;
 * a second one names what mount(8) and fstab add and we need not know. Runs
 * once, before the first thread.
 *
 * Values are never repeated in a message, and of an option only its name: a
 * message may end in a journal, and what people mistype may be a password.
 */

struct known {
	const char *name;
	int (*set)(struct option_parse *p, const struct known *k,
		   const char *value);
	size_t at;  /* offset of the member in struct options */
	size_t has; /* offset of a bool that says it was given; or NO_HAS */
	unsigned long min, max;
};

#define NO_HAS SIZE_MAX

int option_refuse(struct option_parse *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->why, OPTIONS_ERROR, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static void *member(struct option_parse *p, size_t at)
{
	return (char *)&p->o + at;
}

static int set_flag(struct option_parse *p, const struct known *k,
		    const char *value)
{
	if (value)
		return option_refuse(p, "Option '%s' takes no value.", k->name);

	*(bool *)member(p, k->at) = true;
	return 0;
}

static int set_rw(struct option_parse *p, const struct known *k,
		  const char *value)
{
	if (value)
		return option_refuse(p, "Option '%s' takes no value.", k->name);

	p->o.read_only =
		false; /* as in mount(8), the last of ro and rw counts */
	return 0;
}

static int set_string(struct option_parse *p, const struct known *k,
		      const char *value)
{
	char **s = member(p, k->at);

	free(*s);
	*s = strdup(value);
	return *s ? 0 : -ENOMEM;
}

static int set_path(struct option_parse *p, const struct known *k,
		    const char *value)
{
	char **s = member(p, k->at);
	char *path = NULL;
	int r = option_absolute_path(value, &path);

	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return option_refuse(
			p,
			"The path of option '%s' is relative, and the "
			"current folder cannot be found.",
			k->name);
	free(*s);
	*s = path;
	return 0;
}

static int set_number(struct option_parse *p, const struct known *k,
		      const char *value)
{
	const char *rest;
	unsigned long n;

	if (!option_read_number(value, 10, &n, &rest) || *rest || n < k->min ||
	    n > k->max)
		return option_refuse(
			p, "Option '%s' wants a number from %lu to %lu.",
			k->name, k->min, k->max);

	*(unsigned *)member(p, k->at) = (unsigned)n;
	if (k->has != NO_HAS)
		*(bool *)member(p, k->has) = true;
	return 0;
}

static int set_umask(struct option_parse *p, const struct known *k,
		     const char *value)
{
	const char *rest;
	unsigned long n;

	if (!option_read_number(value, 8, &n, &rest) || *rest || n > k->max)
		return option_refuse(
			p,
			"Option '%s' wants an octal number from 000 "
			"to 777.",
			k->name);

	p->o.umask = (mode_t)n;
	p->o.has_umask = true;
	return 0;
}

static int set_size(struct option_parse *p, const struct known *k,
		    const char *value)
{
	const char *rest;
	uint64_t n;

	if (!option_read_size(value, &n, &rest) || *rest || n < k->min ||
	    n > k->max)
		return option_refuse(
			p,
			"Option '%s' wants a size of at least 1M, such as "
			"500M or 5G.",
			k->name);
	*(uint64_t *)member(p, k->at) = n;
	return 0;
}

/* A size within the bounds, or a 0 that has no unit. */
static bool read_limit(const char *s, const struct known *k, uint64_t *ret,
		       const char **ret_rest)
{
	if (s[0] != '0')
		return option_read_size(s, ret, ret_rest) && *ret >= k->min &&
		       *ret <= k->max;
	*ret = 0;
	*ret_rest = s + 1;
	return true;
}

static int set_daily(struct option_parse *p, const struct known *k,
		     const char *value)
{
	uint64_t down, up = 0;
	const char *rest;
	bool good = read_limit(value, k, &down, &rest);

	if (good && *rest == ':')
		good = read_limit(rest + 1, k, &up, &rest);
	else if (good)
		up = down / BUDGET_UP_PART;
	if (!good || *rest)
		return option_refuse(
			p,
			"Option '%s' wants what may come a day, and perhaps, "
			"behind a colon, what may be sent: 0 for no limit, or "
			"sizes of at least 1M, such as 2G or 2G:400M.",
			k->name);
	p->o.has_daily = true;
	p->o.daily_down = down;
	p->o.daily_up = up;
	return 0;
}

static int set_tls(struct option_parse *p, const struct known *k,
		   const char *value)
{
	if (strcmp(value, "implicit") == 0)
		p->o.tls = IMAP_TLS_IMPLICIT;
	else if (strcmp(value, "starttls") == 0)
		p->o.tls = IMAP_TLS_STARTTLS;
	else if (strcmp(value, "none") == 0)
		p->o.tls = IMAP_TLS_NONE;
	else
		return option_refuse(p,
				     "Option '%s' is one of implicit, starttls "
				     "and none.",
				     k->name);
	p->o.has_tls = true;
	return 0;
}

static int set_names(struct option_parse *p, const struct known *k,
		     const char *value)
{
	if (strcmp(value, "subject") == 0)
		p->o.names = NAMES_SUBJECT;
	else if (strcmp(value, "uid") == 0)
		p->o.names = NAMES_UID;
	else
		return option_refuse(
			p, "Option '%s' is one of subject and uid.", k->name);
	return 0;
}

static int set_delete(struct option_parse *p, const struct known *k,
		      const char *value)
{
	if (strcmp(value, "trash") == 0)
		p->o.deletes = DELETE_TRASH;
	else if (strcmp(value, "expunge") == 0)
		p->o.deletes = DELETE_EXPUNGE;
	else
		return option_refuse(
			p, "Option '%s' is one of trash and expunge.", k->name);
	return 0;
}

static int set_pin(struct option_parse *p, const struct known *k,
		   const char *value)
{
	unsigned digits = 0;

	for (const char *s = value; *s; s++) {
		if (isxdigit((unsigned char)*s))
			digits++;
		else if (*s != ':')
			digits = UINT_MAX / 2; /* stays wrong */
	}
	if (digits != 64)
		return option_refuse(
			p,
			"Option '%s' wants the 64 hexadecimal digits "
			"of a certificate's SHA-256.",
			k->name);
	return set_string(p, k, value);
}

#define AT(m) offsetof(struct options, m)

_Static_assert(sizeof(uid_t) == sizeof(unsigned), "set_number() writes these");
_Static_assert(sizeof(gid_t) == sizeof(unsigned), "set_number() writes these");

/* If you add one: also options_usage, the man page and the README. */
static const struct known table[] = {
	{"ro", set_flag, AT(read_only), NO_HAS, 0, 0},
	{"rw", set_rw, AT(read_only), NO_HAS, 0, 0},
	{"sync", set_flag, AT(sync), NO_HAS, 0, 0},
	{"allow_other", set_flag, AT(allow_other), NO_HAS, 0, 0},
	{"uid", set_number, AT(uid), AT(has_uid), 0, UINT32_MAX - 1},
	{"gid", set_number, AT(gid), AT(has_gid), 0, UINT32_MAX - 1},
	{"umask", set_umask, AT(umask), AT(has_umask), 0, 0777},
	{"passcmd", set_string, AT(passcmd), NO_HAS, 0, 0},
	{"passfile", set_path, AT(passfile), NO_HAS, 0, 0},
	{"tokencmd", set_string, AT(tokencmd), NO_HAS, 0, 0},
	{"tls", set_tls, AT(tls), AT(has_tls), 0, 0},
	{"cafile", set_path, AT(cafile), NO_HAS, 0, 0},
	{"pin-sha256", set_pin, AT(pin_sha256), NO_HAS, 0, 0},
	{"cache", set_path, AT(cache_dir), NO_HAS, 0, 0},
	{"cache_size", set_size, AT(cache_bytes), NO_HAS, 1UL << 20, 1UL << 60},
	{"daily_limit", set_daily, 0, NO_HAS, 1UL << 20, 1UL << 60},
	{"names", set_names, AT(names), NO_HAS, 0, 0},
	{"delete", set_delete, AT(deletes), NO_HAS, 0, 0},
	{"connections", set_number, AT(connections), NO_HAS, 1, 15},
	{"timeout", set_number, AT(timeout_s), NO_HAS, 1, 3600},
	{"folders", set_string, AT(folders), NO_HAS, 0, 0},
	{"exclude", set_string, AT(exclude), NO_HAS, 0, 0},
};
#define N_TABLE (sizeof(table) / sizeof(table[0]))
_Static_assert(N_TABLE <= OPTION_TABLE_MAX, "seen[] has a place for each");

/* What mount(8), fstab and systemd write for themselves, or for all. */
static const char *const ignored[] = {
	"auto",          "noauto",
	"user",          "nouser",
	"users",         "nousers",
	"owner",         "noowner",
	"group",         "nogroup",
	"defaults",      "_netdev",
	"nofail",        "atime",
	"noatime",       "relatime",
	"norelatime",    "strictatime",
	"nostrictatime", "lazytime",
	"nolazytime",    "diratime",
	"nodiratime",    "async",
	"silent",        "loud",
	"iversion",      "noiversion",
	"nomand",        "nosuid",
	"nodev",         "noexec",
	"comment",       "default_permissions",
};

static const char *const passwords[] = {
	"pass", "password", "passwd", "passphrase",   "passwort",    "pw",
	"pwd",  "secret",   "token",  "access_token", "credentials", "auth",
};

static bool is_listed(const char *const *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], name) == 0)
			return true;
	return false;
}

#define IS_LISTED(list, name)                                                  \
	is_listed(list, sizeof(list) / sizeof((list)[0]), name)

static int take_other(struct option_parse *p, const char *name)
{
	if (IS_LISTED(ignored, name) || strncmp(name, "x-", 2) == 0 ||
	    strncmp(name, "X-", 2) == 0)
		return 0;
	if (strcmp(name, "suid") == 0 || strcmp(name, "dev") == 0 ||
	    strcmp(name, "exec") == 0)
		return option_refuse(
			p,
			"Option '%s' is refused: the mount is always "
			"noexec, nosuid and nodev.",
			name);
	if (IS_LISTED(passwords, name))
		return option_refuse(
			p,
			"Option '%s' is refused, since others can "
			"read a command line: use passcmd=COMMAND, "
			"passfile=FILE, tokencmd=COMMAND, ~/.authinfo, "
			"~/.netrc, or wait for the prompt.",
			name);
	if (strcmp(name, "remount") == 0)
		return option_refuse(p, "Options cannot be changed while it is "
					"mounted: unmount, and mount again.");
	return option_refuse(
		p, "Option '%s' is not known: see mount.imapfs -h.", name);
}

/* `value` is NULL where there was no `=`. */
static int take_known(struct option_parse *p, size_t i, const char *value)
{
	const struct known *k = &table[i];
	bool is_flag = k->set == set_flag || k->set == set_rw;

	if (!is_flag && (!value || !*value))
		return option_refuse(p, "Option '%s' wants a value: %s=...",
				     k->name, k->name);
	if (is_flag)
		return k->set(p, k, value);
	if (p->seen[i] && strcmp(p->seen[i], value) != 0)
		return option_refuse(
			p,
			"Option '%s' is given twice, with different "
			"values.",
			k->name);
	if (!p->seen[i]) {
		p->seen[i] = strdup(value);
		if (!p->seen[i])
			return -ENOMEM;
	}
	return k->set(p, k, value);
}

/* One option; `text` is ours to write to. */
static int take_option(struct option_parse *p, char *text)
{
	char *value = strchr(text, '=');
	char name[64];
	size_t n;

	if (value)
		*value++ = '\0';
	/* Cut and cleaned: the name may come back in a message. */
	n = strnlen(text, sizeof(name) - 1);
	memcpy(name, text, n);
	name[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == '\'')
			name[i] = '?';

	for (size_t i = 0; i < N_TABLE; i++)
		if (strcmp(table[i].name, text) == 0)
			return take_known(p, i, value);
	return take_other(p, name);
}

int option_take_list(struct option_parse *p, const char *list)
{
	size_t size = strlen(list) + 1;
	char *piece = malloc(size);
	int r = 0;

	if (!piece)
		return -ENOMEM;
	while (*list && r == 0) {
		size_t n = 0;

		for (; *list && *list != ','; list++) {
			if (list[0] == '\\' && list[1] == ',')
				list++;
			piece[n++] = *list;
		}
		piece[n] = '\0';
		if (*list)
			list++;
		if (n > 0)
			r = take_option(p, piece);
	}
	explicit_bzero(piece, size);
	free(piece);
	return r;
}
