/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What status.c (for people), status_json.c (for programs) and status_folder.c
 * (one folder) share.
 */
#ifndef IMAPFS_FS_STATUS_PRIVATE_H
#define IMAPFS_FS_STATUS_PRIVATE_H

#include <stdio.h>

#include "cache/journal.h"
#include "fs/ahead.h"
#include "fs/budget.h"
#include "fs/control.h"
#include "fs/load.h"
#include "fs/offline.h"
#include "fs/status.h"

struct report {
	struct fs *fs;
	struct imap_state imap;
	struct cache_stats cache;
	struct load_stats load;
	struct ahead_stats ahead;
	struct journal_counts queue;
	bool has_budget;
	struct budget_report budget;
	struct folder **folders;
	size_t n_folders;
};

/* How a folder stands, in words and numbers. */
struct folder_report {
	const char *state; /* "new", "listing", "partial", "syncing", "known",
			    * "matching" (another UIDVALIDITY) */
	uint64_t messages; /* shown */
	uint64_t expected; /* of a running listing */
	uint32_t limit;    /* older ones may be hidden behind so many; or 0 */
	int error;
	const char *kept_up; /* "idle", "notify", "polling"; "" if not in use */
	const char *method;  /* of the last sync of this mount; "" if none */
	int64_t synced_at;   /* time(2) of the server's last answer; 0: none */
	bool kept;
	struct offline_report offline;
};

/* False: there is nothing to say of it. */
bool folder_report_make(struct fs *fs, struct folder *f,
			struct folder_report *ret);

void status_print_json(FILE *out, struct report *r);

#endif
