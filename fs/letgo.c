/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/letgo.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
		if (strncmp(line, "SigPnd:", 7) == 0 ||
		    strncmp(line, "ShdPnd:", 7) == 0)
			pending |= strtoull(line + 7, NULL, 16);
		else if (strncmp(line, "SigBlk:", 7) == 0)
			blocked = strtoull(line + 7, NULL, 16);
	}
	fclose(f);
	return (pending & ~blocked & meant) != 0;
}
