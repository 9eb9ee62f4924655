/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/rights.h"

#include <errno.h>
#include <stdlib.h>

/*
 * One word in each folder, set by a connection's thread and read by everybody:
 * no lock, for it stands alone and is no more than a hint.
 */

#define RIGHTS_KNOWN (1u << 31)
#define RIGHTS_READ_ONLY (1u << 30)

static void on_rights(void *ctx, int result, unsigned rights,
		      const struct imap_error *why)
{
	struct folder *f = ctx;

	(void)why;
	/* What was read-only is tried again. */
	if (result == 0)
		f->rights = RIGHTS_KNOWN | rights;
}

void rights_ask(struct fs *fs, struct folder *f)
{
	int64_t now_ms = clock_now_ms(), asked_ms = f->rights_asked_ms;
	imap_job job;

	if (!fs->online || f->gone || (f->attrs & FOLDER_NOSELECT) ||
	    (asked_ms != 0 && now_ms - asked_ms < RIGHTS_AGAIN_MS))
		return;
	f->rights_asked_ms = now_ms;
	(void)!imap_rights(fs->imap, f->wire, on_rights, f, &job);
}

int rights_check(struct fs *fs, struct folder *f, unsigned need)
{
	uint32_t rights = f->rights;

	if (fs->opt->read_only || (rights & RIGHTS_READ_ONLY))
		return -EROFS;
	return (rights & RIGHTS_KNOWN) && (need & ~rights) ? -EACCES : 0;
}

void rights_note_read_only(struct folder *f)
{
	f->rights |= RIGHTS_READ_ONLY;
}
