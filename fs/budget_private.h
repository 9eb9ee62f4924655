/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is inside a budget: for budget.c, and for tests that have a clock and a
 * meter of their own.
 */
#ifndef IMAPFS_FS_BUDGET_PRIVATE_H
#define IMAPFS_FS_BUDGET_PRIVATE_H

#include "fs/budget.h"

/* For how long the server does not want what; times are those of time(2). */
struct budget_pause {
	int64_t at;
	int64_t until; /* 0: there was none */
	int64_t s;     /* the last one; 0: a body has come since */
};

struct budget {
	/* Fixed before anybody asks. */
	int64_t (*clock)(void); /* time(2) */
	/* All that this mount has moved; false: it does not count. */
	bool (*meter)(const struct fs *fs, struct imap_traffic *ret);
	uint64_t down_limit; /* 0: none */
	uint64_t up_limit;

	struct lock lock; /* RANK_BUDGET, guards what follows */
	bool counts;      /* as the meter said last */
	struct imap_traffic seen;
	struct budget_day day;
	struct budget_day saved;
	unsigned said;               /* bits of what was logged in this day */
	struct budget_pause refused; /* bodies */
	struct budget_pause slowed;  /* bodies that nobody waits for */
};

#endif
