/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/connection.h"

#include <fcntl.h>
#include <limits.h>
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

struct mount {
	char device[CONNECTION_DEVICE];
	char at[PATH_MAX];
};

/* The next line of mountinfo (proc(5)); false: there is none. */
static bool next_mount(FILE *f, struct mount *ret)
{
	char line[2 * PATH_MAX];

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*d %*d %31s %*s %4095s", ret->device,
			   ret->at) != 2)
			continue;
		unescape(ret->at);
		return true;
	}
	return false;
}

/* The last line for the path wins. */
void connection_device(const char *path, char ret[CONNECTION_DEVICE])
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	struct mount m;

	ret[0] = '\0';
	if (!f)
		return;
	while (next_mount(f, &m))
		if (strcmp(m.at, path) == 0)
			memcpy(ret, m.device, sizeof(m.device));
	fclose(f);
}

bool connection_is_mounted(const char *device)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	bool found = false;
	struct mount m;

	if (!f)
		return false;
	while (!found && next_mount(f, &m))
		found = strcmp(m.device, device) == 0;
	fclose(f);
	return found;
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
