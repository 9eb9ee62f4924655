/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What tests of the tree of folders need: a tree over a real cache, in a
 * temporary folder of its own, without a server and without a mount.
 */
#ifndef IMAPFS_TESTS_FS_WORLD_H
#define IMAPFS_TESTS_FS_WORLD_H

/* cmocka.h wants these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/tree.h"

struct world {
	char dir[256];
	struct options opt;
	struct fs fs;
};

/* Setup and teardown of cmocka: a world that is open. */
int world_setup(void **state);
int world_teardown(void **state);

/* As after a remount. */
void world_open(struct world *w);
void world_close(struct world *w);
/* Its folder, when it is closed. */
void world_remove(struct world *w);

#define FOLDER(name)                                                           \
	{                                                                      \
		.wire = (char *)(name), .delimiter = '/'                       \
	}

/* With the numbers that LIST may tell. */
#define BOX(name, validity, next)                                              \
	{                                                                      \
		.wire = (char *)(name), .delimiter = '/', .has_status = true,  \
		.uidvalidity = (validity), .uidnext = (next)                   \
	}

/* The server's LIST has come. */
void apply(struct world *w, const struct mail_folder *v, size_t n);
#define APPLY(w, v) apply(w, v, sizeof(v) / sizeof((v)[0]))

/* The folder at this path (as walk()) was listed, with a message in it. */
void list(struct world *w, const char *a, const char *b, uint32_t validity,
	  uint32_t next);

/* The folder at this path of one or two (`b` not NULL) names; or NULL. */
struct folder *walk(struct world *w, const char *a, const char *b);
/* Its id, or 0. */
uint64_t id_of(struct world *w, const char *a, const char *b);

#endif
