/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/pages.h"

#include <sys/mman.h>

/*
 * munmap(2) takes the whole page in which its range ends. It is told of all of
 * it here, since what follows memory by ranges (TSan) would else believe that
 * the rest of that page is still what it was when somebody else gets it.
 */

#define PAGE 4096

size_t pages_round(size_t bytes)
{
	return (bytes + PAGE - 1) / PAGE * PAGE;
}

void *pages_map(size_t bytes, bool fill)
{
	void *p = mmap(NULL, pages_round(bytes), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | (fill ? MAP_POPULATE : 0),
		       -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void pages_unmap(void *p, size_t bytes)
{
	munmap(p, pages_round(bytes));
}
