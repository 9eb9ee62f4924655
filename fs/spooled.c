/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/spooled.h"

#include <errno.h>
#include <stdlib.h>

#include "cache/journal.h"
#include "imap/names.h"

/*
 * The file is what there is of a new message wherever its row is by now: in
 * its folder, in another one, or nowhere. Any thread; reads the disk, takes no
 * lock.
 */

#define HEAD_BYTES (256u << 10) /* of the header that are looked at */

int spooled_read(int fd, struct spooled *ret)
{
	char *buf = malloc(HEAD_BYTES);
	long n = buf ? spool_read(fd, buf, HEAD_BYTES, 0) : -ENOMEM;

	if (n >= 0)
		header_fields(buf, (size_t)n, ret->store, ret->field);
	free(buf);
	return n < 0 ? (int)n : 0;
}
