/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/body.h"

/*
 * Which bytes of a body are here: a short sorted list of spans, since bytes
 * come in order, from a few places at once. Called with the lock of the
 * bodies held; no I/O.
 */

bool body_gap_locked(const struct body *b, uint64_t from, uint64_t end,
		     struct span *ret)
{
	size_t i = 0;

	while (i < b->n_span && b->span[i].end <= from)
		i++;
	if (i < b->n_span && b->span[i].start <= from) {
		from = b->span[i].end;
		i++;
	}
	if (from >= end)
		return false;
	ret->start = from;
	ret->end = end;
	if (i < b->n_span && b->span[i].start < end)
		ret->end = b->span[i].start;
	return true;
}

bool body_covers_locked(const struct body *b, uint64_t start, uint64_t end)
{
	struct span gap;

	return !body_gap_locked(b, start, end, &gap);
}

/* Replace spans first .. last - 1 by the `n` (0 to 2) given. */
static int replace(struct body *b, size_t first, size_t last,
		   const struct span *with, size_t n)
{
	size_t now = b->n_span - (last - first) + n;
	struct span *p = b->span;

	if (now > b->n_span) {
		p = realloc(b->span, now * sizeof(*p));
		if (!p)
			return -ENOMEM;
		b->span = p;
	}
	if (b->n_span > last)
		memmove(p + first + n, p + last,
			(b->n_span - last) * sizeof(*p));
	if (n > 0)
		memcpy(p + first, with, n * sizeof(*p));
	b->n_span = now;
	return 0;
}

int body_add_span_locked(struct body *b, uint64_t start, uint64_t end)
{
	struct span merged = {start, end};
	size_t first = 0, last;

	if (start >= end)
		return 0;
	while (first < b->n_span && b->span[first].end < start)
		first++;
	last = first;
	while (last < b->n_span && b->span[last].start <= end)
		last++;
	if (first < last && b->span[first].start < start)
		merged.start = b->span[first].start;
	if (first < last && b->span[last - 1].end > end)
		merged.end = b->span[last - 1].end;
	return replace(b, first, last, &merged, 1);
}

int body_cut_span_locked(struct body *b, uint64_t start, uint64_t end)
{
	struct span left[2];
	size_t first = 0, last, n = 0;

	while (first < b->n_span && b->span[first].end <= start)
		first++;
	last = first;
	while (last < b->n_span && b->span[last].start < end)
		last++;
	if (first == last)
		return 0;
	if (b->span[first].start < start)
		left[n++] = (struct span){b->span[first].start, start};
	if (b->span[last - 1].end > end)
		left[n++] = (struct span){end, b->span[last - 1].end};
	return replace(b, first, last, left, n);
}

int body_size_chunks_locked(struct body *b, uint64_t size)
{
	size_t n = blob_chunks(size);
	blob_hash *hash;
	unsigned char *chunk;

	if (n <= b->n_chunks)
		return 0;
	hash = realloc(b->hash, n * sizeof(*hash));
	if (!hash)
		return -ENOMEM;
	b->hash = hash;
	chunk = realloc(b->chunk, n);
	if (!chunk)
		return -ENOMEM;
	memset(chunk + b->n_chunks, 0, n - b->n_chunks);
	b->chunk = chunk;
	b->n_chunks = n;
	return 0;
}
