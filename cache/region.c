/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/region.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "cache/pages.h"

/*
 * A list of chunks, the one in use in front. What does not fit into its rest
 * gets a new one, of its own size if need be; the pages of a chunk cost
 * nothing until they are used.
 */

#define CHUNK ((size_t)256 * 1024)

struct region_chunk {
	struct region_chunk *before;
	size_t bytes, used; /* both with this header */
	alignas(max_align_t) char data[];
};

static struct region_chunk *chunk_new(struct region *r, size_t bytes)
{
	struct region_chunk *c;
	size_t size = sizeof(*c) + bytes;

	if (size < CHUNK)
		size = CHUNK;
	c = pages_map(size, false);
	if (!c)
		return NULL;
	*c = (struct region_chunk){r->last, size, sizeof(*c)};
	r->last = c;
	return c;
}

static void *take(struct region *r, size_t bytes, size_t align)
{
	struct region_chunk *c = r->last;
	size_t at = 0;

	if (bytes > SIZE_MAX / 2)
		return NULL;
	if (c)
		at = (c->used + align - 1) / align * align;
	if (!c || at + bytes > c->bytes) {
		c = chunk_new(r, bytes);
		if (!c)
			return NULL;
		at = c->used;
	}
	c->used = at + bytes;
	return (char *)c + at;
}

void *region_get(struct region *r, size_t bytes)
{
	return take(r, bytes, alignof(max_align_t));
}

char *region_text(struct region *r, const char *text)
{
	size_t n = strlen(text) + 1;
	char *p = take(r, n, 1);

	return p ? memcpy(p, text, n) : NULL;
}

void region_free(struct region *r)
{
	struct region_chunk *c = r->last;

	r->last = NULL;
	while (c) {
		struct region_chunk *before = c->before;

		pages_unmap(c, c->bytes);
		c = before;
	}
}
