/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where an account is kept on disk.
 */
#ifndef IMAPFS_FS_PLACES_H
#define IMAPFS_FS_PLACES_H

#include "fs/options.h"
#include "imap/account.h"

/*
 * The folders of struct cache_config (cache/cache.h), yours to free(): below
 * the option cache=, else below the two folders of the XDG base directory
 * specification. Before the first thread. -ENOMEM.
 */
MUST_CHECK int places_find(const struct options *opt,
			   const struct account *account, char **ret_state_dir,
			   char **ret_cache_dir);

/*
 * Would what is mounted on `mountpoint`, a real path, hide this folder, which
 * need not be there yet? 0: no. -EBUSY: yes; its files would be looked for in
 * the mount that needs them. -ENOMEM.
 */
MUST_CHECK int places_check(const char *dir, const char *mountpoint);

#endif
