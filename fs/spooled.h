/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a new message says of itself: its header fields, as its file in the
 * spool (cache/journal.h) has them.
 */
#ifndef IMAPFS_FS_SPOOLED_H
#define IMAPFS_FS_SPOOLED_H

#include "imap/mail.h"

struct spooled {
	const char *field[N_FIELDS]; /* as those of struct mail_row */
	char store[N_FIELDS * (MAIL_FIELD_MAX + 1)];
};

/* -EIO, -ENOMEM. */
MUST_CHECK int spooled_read(int fd, struct spooled *ret);

#endif
