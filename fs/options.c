/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/options.h"
#include "fs/option_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/*
 * The walk along the command line. The arguments are taken apart here and not
 * by getopt(3), which moves its input about and keeps its state in globals.
 * Runs once, before the first thread.
 *
 * -s, -n and -t are what mount(8) hands to its helpers; `sloppy` does not make
 * us accept an unknown option, since one that is misspelt may be the one that
 * mattered. mount(8)'s own -f (fake) and our -f (foreground) share a letter,
 * as with all FUSE programs.
 */

static int take_flag(struct option_parse *p, char c)
{
	struct options *o = &p->o;

	switch (c) {
	case 'd':
		o->wire = o->debug;
		o->debug = o->foreground = true;
		return 0;
	case 'f':
		o->foreground = true;
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case 'n':
	case 's':
		return 0;
	case 'V':
		o->show_version = true;
		return 0;
	case 'h':
		o->show_help = true;
		return 0;
	default:
		if (c <= ' ' || c > '~')
			c = '?';
		return option_refuse(
			p,
			"Flag '-%c' is not known: see mount.imapfs "
			"-h.",
			c);
	}
}

/* -fv, -o LIST, -oLIST, -t TYPE; 1: the next argument belonged to it. */
static int take_flags(struct option_parse *p, const char *arg, const char *next)
{
	const char *value;
	int r = 0;

	if (strcmp(arg, "--help") == 0)
		arg = "-h";
	else if (strcmp(arg, "--version") == 0)
		arg = "-V";
	for (arg++; *arg && r == 0; arg++) {
		if (*arg != 'o' && *arg != 't') {
			r = take_flag(p, *arg);
			continue;
		}
		value = arg[1] ? arg + 1 : next;
		if (!value)
			return option_refuse(p, "Flag '-%c' wants an argument.",
					     *arg);
		/* -t: mount(8) repeats the type by which we were found. */
		if (*arg == 'o')
			r = option_take_list(p, value);
		return r < 0 ? r : value == next;
	}
	return r;
}

static int take_word(struct option_parse *p, const char *word)
{
	char **place = !p->o.source ? &p->o.source : &p->o.mountpoint;

	if (*place)
		return option_refuse(
			p, "There is one argument too many: wanted are "
			   "SOURCE and MOUNTPOINT.");
	*place = strdup(word);
	return *place ? 0 : -ENOMEM;
}

/*
 * realpath(3), since the program leaves for `/` and the mount table shows real
 * paths.
 */
static int find_mountpoint(struct option_parse *p)
{
	char *path = realpath(p->o.mountpoint, NULL);
	struct stat st;
	int r;

	if (!path)
		goto fail;
	if (stat(path, &st) < 0)
		goto fail;
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		goto fail;
	}
	if (strcmp(path, "/") == 0) {
		/* No path leads to what is mounted there: it could be neither
		 * used nor unmounted, and the root might be in its place. */
		errno = EBUSY;
		goto fail;
	}
	free(p->o.mountpoint);
	p->o.mountpoint = path;
	return 0;

fail:
	r = errno;
	free(path);
	if (r == ENOMEM)
		return -ENOMEM;
	if (r == ENOTCONN)
		return option_refuse(p,
				     "On the mount point '%.300s' lies a "
				     "dead mount: run fusermount3 -u on it.",
				     p->o.mountpoint);
	return option_refuse(p, "The mount point '%.300s' cannot be used: %s.",
			     p->o.mountpoint, strerrordesc_np(r));
}

static int take_arguments(struct option_parse *p, int argc, char *const argv[])
{
	bool only_words = false;
	int r;

	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i];

		if (!only_words && strcmp(arg, "--") == 0) {
			only_words = true;
			continue;
		}
		if (only_words || arg[0] != '-' || arg[1] == '\0')
			r = take_word(p, arg);
		else
			r = take_flags(p, arg, i + 1 < argc ? argv[i + 1] : 0);
		if (r < 0)
			return r;
		i += r;
	}
	if (p->o.show_version || p->o.show_help)
		return 0;
	if (!p->o.source || !*p->o.source)
		return option_refuse(p, "SOURCE (an e-mail address or an IMAP "
					"URL) and MOUNTPOINT are missing: see "
					"mount.imapfs -h.");
	if (!p->o.mountpoint)
		return option_refuse(p, "MOUNTPOINT is missing behind SOURCE: "
					"see mount.imapfs -h.");
	return find_mountpoint(p);
}

static void forget(char *s)
{
	/* passcmd= may hold what its author should not have put there. */
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

int options_parse(int argc, char *const argv[], struct options *ret,
		  char why[OPTIONS_ERROR])
{
	struct option_parse p = {0};
	int r;

	p.why = why;
	p.o.tls = IMAP_TLS_IMPLICIT;
	p.o.cache_bytes = 5ULL << 30;
	p.o.names = NAMES_SUBJECT;
	p.o.connections = 4;
	p.o.timeout_s = 30;
	r = take_arguments(&p, argc, argv);
	for (size_t i = 0; i < OPTION_TABLE_MAX; i++)
		forget(p.seen[i]);
	if (r < 0)
		options_finish(&p.o);
	else
		*ret = p.o;
	return r < 0 ? r : 0;
}

void options_finish(struct options *o)
{
	free(o->source);
	free(o->mountpoint);
	forget(o->passcmd);
	free(o->passfile);
	forget(o->tokencmd);
	free(o->cafile);
	free(o->pin_sha256);
	free(o->cache_dir);
	free(o->folders);
	free(o->exclude);
	memset(o, 0, sizeof(*o));
}

const char options_usage[] =
	"Usage: mount.imapfs SOURCE MOUNTPOINT [-o OPTION[,OPTION...]] "
	"[-f] [-d] [-v]\n"
	"\n"
	"SOURCE is an e-mail address (alice@gmail.com) or an IMAP URL\n"
	"(imaps://user@host:port/mailbox). A `@` in a user name is `%40` in a "
	"URL.\n"
	"\n"
	"  -f  stay in the foreground     -v  say what happens at the start\n"
	"  -d  -f, and a debug log        -dd the protocol too\n"
	"  -V  show the version           -h  show this text\n"
	"\n"
	"The password, from the first of these that is there (never in an "
	"option):\n"
	"  passcmd=COMMAND   a shell command that prints it\n"
	"  passfile=FILE     a file that only you can read\n"
	"  tokencmd=COMMAND  a shell command that prints an OAuth2 token\n"
	"  systemd's credential 'imapfs', ~/.authinfo, ~/.netrc, a prompt\n"
	"\n"
	"Connection:\n"
	"  tls=implicit|starttls|none  none: loopback addresses only\n"
	"  cafile=FILE       trust the authorities in FILE\n"
	"  pin-sha256=HEX    trust the one certificate with this SHA-256\n"
	"  connections=N     at most N connections, 1 to 15 (4)\n"
	"  timeout=SECONDS   without progress, 1 to 3600 (30)\n"
	"\n"
	"The tree:\n"
	"  names=subject|uid names of messages (subject)\n"
	"  folders=GLOBS     show only these folders, and what is in them\n"
	"  exclude=GLOBS     do not show these; globs are joined by `:`\n"
	"  ro                read-only\n"
	"  delete=trash|expunge  what rm does (trash)\n"
	"  sync              a change waits for the server's answer\n"
	"  allow_other  uid=N  gid=N  umask=OCTAL\n"
	"\n"
	"The cache:\n"
	"  cache=DIR         keep everything under DIR\n"
	"  cache_size=SIZE   bytes of messages kept, with K, M, G or T (5G)\n"
	"  daily_limit=DOWN[:UP]  bytes a day from and to the server, 0: no "
	"limit\n"
	"                    (on Gmail 2500 and 500 MB, else 0)\n"
	"\n"
	"In a value, a comma is written `\\,`. What fstab and mount(8) add "
	"(noauto, user,\n"
	"_netdev, x-systemd.*, ...) is accepted.\n";
