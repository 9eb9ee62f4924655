/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The command line: `mount.imapfs SOURCE MOUNTPOINT [-o OPTIONS] [-fdvVh]`,
 * so that mount -t imapfs, fstab and a symlink `imapfs` all work. mount(8)
 * adds -n, -s and -t TYPE, which are accepted and mean nothing here.
 */
#ifndef IMAPFS_FS_OPTIONS_H
#define IMAPFS_FS_OPTIONS_H

#include "imap/imap.h"

#include <sys/types.h>

enum names_style { NAMES_SUBJECT, NAMES_UID };
enum delete_style { DELETE_TRASH, DELETE_EXPUNGE };

struct options {
	char *source;
	char *mountpoint; /* an existing folder, by its real path */
	bool foreground;  /* -f */
	bool debug;       /* -d: -f, debug log on stderr; -dd: wire too */
	bool wire;
	bool verbose;      /* -v: info log on stderr until in background */
	bool show_version; /* -V */
	bool show_help;    /* -h */

	/* -o */
	bool read_only;
	bool sync; /* a change waits for the server's answer */
	bool allow_other;
	bool has_uid, has_gid, has_umask;
	uid_t uid;
	gid_t gid;
	mode_t umask;
	char *passcmd, *passfile, *tokencmd;
	bool has_tls;
	enum imap_tls tls;
	char *cafile, *pin_sha256;
	char *cache_dir;
	uint64_t cache_bytes; /* cache_size=, default 5 GiB */
	bool has_daily;       /* daily_limit=; else budget.h decides */
	uint64_t daily_down;  /* 0: no limit */
	uint64_t daily_up;
	enum names_style names;
	enum delete_style deletes;
	unsigned connections;    /* 4 */
	unsigned timeout_s;      /* 30 */
	char *folders, *exclude; /* globs, joined by `:`; NULL: all, none */
};

#define OPTIONS_ERROR 512

/*
 * Fill `*ret`. Paths are absolute: the program changes its directory later.
 * -EINVAL with one sentence in `why` that names the option: one
 * that is unknown, given twice with different values, out of range, without
 * its value; a password given as an option (pass=, password=, ...) is refused
 * with the reason and the ways there are. -ENOMEM.
 * `-V` and `-h` win over anything missing.
 */
MUST_CHECK int options_parse(int argc, char *const argv[], struct options *ret,
			     char why[OPTIONS_ERROR]);
void options_finish(struct options *o);

/*
 * Is this folder (path as shown, `/` between components) to be shown? With
 * folders=, those that a glob matches, what is in them, and the parents in
 * which a match may be; never what exclude= matches, or what is in it.
 */
bool options_show_folder(const struct options *o, const char *path);

extern const char options_usage[];

#endif
