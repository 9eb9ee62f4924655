/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What may stand behind -o: the table of options. Used by options.c only.
 */
#ifndef IMAPFS_FS_OPTION_TABLE_H
#define IMAPFS_FS_OPTION_TABLE_H

#include "fs/options.h"

#define OPTION_TABLE_MAX 32

/* A parse in progress. */
struct option_parse {
	struct options o;
	char *seen[OPTION_TABLE_MAX]; /* values given, by row of the table */
	char *why;                    /* OPTIONS_ERROR bytes */
};

/* Write the sentence; returns -EINVAL. */
int option_refuse(struct option_parse *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Take the argument of one -o: options between commas; `\,` is a comma in a
 * value, any other backslash stays one. -EINVAL with a sentence; -ENOMEM.
 */
MUST_CHECK int option_take_list(struct option_parse *p, const char *list);

#endif
