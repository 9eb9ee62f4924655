/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/locked.h"
#include "imap/log.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/*
 * Whole pages from mmap(2), so that locking and hiding them touches nothing
 * else. They live on in a child of fork(2), since the program goes to the
 * background with its password; once it is there, locked_stay() keeps them
 * from further children. A lock that RLIMIT_MEMLOCK does not allow is no error:
 * swap is a smaller risk than a mount that does not work.
 */

void locked_again(void *p, size_t n)
{
	if (mlock(p, n) < 0)
		log_debug("secret: memory cannot be locked: %s",
			  strerrordesc_np(errno));
}

void locked_stay(void *p, size_t n)
{
	/* A kernel before 4.14 cannot: the child is ours all the same. */
	(void)madvise(p, n, MADV_WIPEONFORK);
}

void *locked_alloc(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	locked_again(p, n);
	(void)madvise(p, n, MADV_DONTDUMP); /* unknown to very old kernels */
	return p;
}

void locked_free(void *p, size_t n)
{
	if (!p)
		return;
	explicit_bzero(p, n);
	(void)munmap(p, n); /* unlocks; cannot fail on what mmap gave */
}
