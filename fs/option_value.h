/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What values of options are made of. Used by option_table.c only.
 */
#ifndef IMAPFS_FS_OPTION_VALUE_H
#define IMAPFS_FS_OPTION_VALUE_H

#include "imap/mail.h"

/* Digits only: no sign, no blanks, no 0x. What follows them is `*ret_rest`. */
MUST_CHECK bool option_read_number(const char *s, int base, unsigned long *ret,
				   const char **ret_rest);

/* A number, and perhaps one of the letters K, M, G and T behind it. */
MUST_CHECK bool option_read_size(const char *s, uint64_t *ret,
				 const char **ret_rest);

/*
 * Absolute, since the program leaves for `/` later. `~/` is the home folder,
 * for shells expand it only at the start of a word, and fstab never. -ENOMEM;
 * another error if the current folder cannot be found.
 */
MUST_CHECK int option_absolute_path(const char *path, char **ret);

#endif
