/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rows of a listing on their way to the one who asked: copied out of the
 * parser, handed on in windows of at most ROWS_MAX, so that memory does not
 * grow with the size of a mailbox.
 */
#ifndef IMAPFS_IMAP_ROWS_H
#define IMAPFS_IMAP_ROWS_H

#include "imap/mail.h"

#define ROWS_MAX 512

struct rows_text;

struct rows {
	struct mail_row *row; /* ROWS_MAX of them, once there is one */
	size_t n;
	struct rows_text *text; /* blocks that the rows point into */
};

/* All zero is empty and needs nothing to be freed. */
void rows_finish(struct rows *r);

/* Copy a row. -ENOMEM; -ENOSPC: hand on first, it is full. */
MUST_CHECK int rows_add(struct rows *r, const struct mail_row *row);

/* The fields of the row at `at` are these, copied. -ENOMEM. */
MUST_CHECK int rows_set_fields(struct rows *r, size_t at,
			       const char *const field[N_FIELDS]);

/* By UID; a UID that stands there twice is left once. */
void rows_sort(struct rows *r, bool newest_first);
void rows_clear(struct rows *r);

#endif
