/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is inside a budget: for budget.c, and for tests that have a clock and a
 * meter of their own.
 */
#ifndef IMAPFS_FS_BUDGET_PRIVATE_H
#define IMAPFS_FS_BUDGET_PRIVATE_H

#include "fs/budget.h"

struct budget {
	/* Fixed before anybody asks. */
	int64_t (*clock)(void); /* time(2) */
	/* All bytes of this mount; false: they do not count. */
	bool (*meter)(const struct fs *fs, struct imap_traffic *ret);
	uint64_t down_limit; /* 0: none */
	uint64_t up_limit;

	struct lock lock; /* RANK_BUDGET, guards what follows */
	bool counts;      /* as the meter said last */
	struct imap_traffic seen;
	struct budget_day day;
	struct budget_day saved;
	unsigned said;        /* bits of what was logged in this day */
	int64_t paused_at;    /* by the server's refusal; time(2) */
	int64_t paused_until; /* 0: it has not refused anything */
	int64_t pause_s;      /* the last one; 0: a body has come since */
};

#endif
