/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/letgo.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>

#include "imap/lock.h"

/*
 * From /proc/TID/status (proc(5)): the signals that wait for the thread and for
 * its process, without those that it blocks. The default action of a deadly
 * signal shows there as SIGKILL.
 */

static uint64_t bit(int signo)
{
	return 1ULL << (signo - 1);
}

bool letgo_is_asked(pid_t tid)
{
	const uint64_t meant = bit(SIGKILL) | bit(SIGINT) | bit(SIGTERM) |
			       bit(SIGHUP) | bit(SIGQUIT);
	uint64_t pending = 0, blocked = 0;
	unsigned long long set;
	char line[256];
	FILE *f;

	lock_assert_none();
	if (tid <= 0)
		return true;
	(void)snprintf(line, sizeof(line), "/proc/%d/status", (int)tid);
	f = fopen(line, "re");
	if (!f)
		return true;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "SigPnd: %llx", &set) == 1 ||
		    sscanf(line, "ShdPnd: %llx", &set) == 1)
			pending |= set;
		else if (sscanf(line, "SigBlk: %llx", &set) == 1)
			blocked = set;
	}
	fclose(f);
	return (pending & ~blocked & meant) != 0;
}
