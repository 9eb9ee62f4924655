/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/connection.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * A mount is known by its path and its device number, for the same path may
 * have another mount by the time that ours is to end.
 *
 * The connection is aborted as well, which frees whatever the kernel holds for
 * requests that nobody will answer.
 */

/* Blanks and backslashes are written \ooo in mountinfo. */
static void unescape(char *at)
{
	char *out = at;

	for (const char *in = at; *in; out++) {
		if (in[0] == '\\' && in[1] && in[2] && in[3]) {
			*out = (char)((in[1] - '0') * 64 + (in[2] - '0') * 8 +
				      in[3] - '0');
			in += 4;
		} else {
			*out = *in++;
		}
	}
	*out = '\0';
}

/* From mountinfo (proc(5)): the last line for the path wins. */
void connection_device(const char *path, char ret[CONNECTION_DEVICE])
{
	char line[2 * PATH_MAX], dev[CONNECTION_DEVICE], at[PATH_MAX];
	FILE *f = fopen("/proc/self/mountinfo", "re");

	ret[0] = '\0';
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*d %*d %31s %*s %4095s", dev, at) != 2)
			continue;
		unescape(at);
		if (strcmp(at, path) == 0)
			(void)snprintf(ret, sizeof(dev), "%s", dev);
	}
	fclose(f);
}

/*
 * As fusectl lets the owner of a mount do: also if a thread of the program
 * cannot die before that. -1: it cannot be done.
 */
static int open_abort(const char *device)
{
	const char *minor_number = strchr(device, ':');
	char path[64];

	if (!minor_number)
		return -1;
	(void)snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%s/abort",
		       minor_number + 1);
	return open(path, O_WRONLY | O_CLOEXEC);
}

/* Best effort: the mount is gone already, or goes next. */
static void abort_connection(int fd)
{
	if (fd < 0)
		return;
	if (write(fd, "1", 1) < 0)
		(void)0;
	close(fd);
}

/*
 * A number is given to the next mount as soon as ours is gone. So the file is
 * opened first, which then is that of our connection or of none, if after that
 * our mount is still there.
 */
void connection_end(const char *path, const char *device)
{
	char now[CONNECTION_DEVICE];
	bool gone;
	pid_t pid;
	int fd;

	if (!device[0])
		return;
	fd = open_abort(device);
	connection_device(path, now);
	if (strcmp(now, device) != 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	/* Forced: root's way to abort it, where fusectl is not mounted. */
	gone = umount2(path, MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW) == 0;
	abort_connection(fd);
	if (gone)
		return;

	pid = fork();
	if (pid == 0) {
		execlp("fusermount3", "fusermount3", "-u", "-z", "-q", "--",
		       path, (char *)NULL);
		_exit(127);
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
}
