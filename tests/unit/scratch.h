/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What unit tests have to themselves: where they make their folders, and where
 * their servers listen.
 *
 * They kill programs, never the power, so
 * memory keeps all that a disk would, and a test does not wait for whatever
 * else the disk is busy with. Tests of the whole mount use the disk.
 */
#ifndef IMAPFS_TESTS_SCRATCH_H
#define IMAPFS_TESTS_SCRATCH_H

#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SCRATCH_FREE_MIN (1ull << 30) /* for all that run at a time */

/* /dev/shm if there is room, else TMPDIR, else /tmp. */
static inline const char *scratch_root(void)
{
	static const char memory[] = "/dev/shm";
	const char *tmp = getenv("TMPDIR");
	struct statvfs v;

	if (access(memory, W_OK | X_OK) == 0 && statvfs(memory, &v) == 0 &&
	    (uint64_t)v.f_bavail * v.f_frsize >= SCRATCH_FREE_MIN)
		return memory;
	return tmp ? tmp : "/tmp";
}

/*
 * A loopback address that no other program has. A port alone would not do: who
 * waits for a server that has gone asks for it again and again, and somebody
 * else may have it by now. All of 127.0.0.0/8 is this computer; process ids
 * have 22 bits.
 */
static inline struct in_addr scratch_address(void)
{
	return (struct in_addr){
		htonl(127u << 24 | 1u << 22 | ((unsigned)getpid() & 0x3fffff))};
}

#endif
