/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/inherited.h"

#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

/*
 * They are known by their numbers, which stay theirs, for nothing closes them
 * before. All that the program opens itself has other numbers.
 */

/* A shell and its kind use low ones; a wrapper may take one that is high. */
#define NUMBERS 1024

static bool was_open[NUMBERS];

void inherited_note(void)
{
	for (int fd = STDERR_FILENO + 1; fd < NUMBERS; fd++)
		was_open[fd] = fcntl(fd, F_GETFD) >= 0;
}

void inherited_close(void)
{
	for (int fd = 0; fd < NUMBERS; fd++) {
		if (was_open[fd])
			close(fd);
	}
}
