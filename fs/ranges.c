/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ranges.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/*
 * Ranges are appended as they come, joined to the last one where they touch
 * it, and put in order when somebody asks, or before the array would have to
 * grow: so repeating the same word takes no memory.
 */

#define RANGES_FIRST 64

void ranges_clear(struct ranges *r)
{
	free(r->v);
	*r = (struct ranges){0};
}

/* Where there is something, or room, there is memory. */
static void check(const struct ranges *r)
{
	assert(r->v || (r->n == 0 && r->size == 0));
	(void)r;
}

static int by_first(const void *a, const void *b)
{
	const struct mail_range *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

/* Does `b`, which does not begin before `a`, overlap or touch it? */
static bool joins(const struct mail_range *a, const struct mail_range *b)
{
	return b->first <= a->last || b->first - a->last == 1;
}

static void sort(struct ranges *r)
{
	size_t to = 0;

	check(r);
	if (r->sorted || r->n == 0)
		return;
	qsort(r->v, r->n, sizeof(r->v[0]), by_first);
	for (size_t i = 1; i < r->n; i++) {
		if (!joins(&r->v[to], &r->v[i]))
			r->v[++to] = r->v[i];
		else if (r->v[i].last > r->v[to].last)
			r->v[to].last = r->v[i].last;
	}
	r->n = to + 1;
	r->sorted = true;
}

static int grow(struct ranges *r)
{
	size_t size = r->size ? r->size * 2 : RANGES_FIRST;
	struct mail_range *v;

	sort(r);
	if (r->n <= r->size / 2 && r->size > 0)
		return 0;
	v = realloc(r->v, size * sizeof(*v));
	if (!v)
		return -ENOMEM;
	r->v = v;
	r->size = size;
	return 0;
}

int ranges_add(struct ranges *r, uint32_t first, uint32_t last)
{
	struct mail_range *end = r->n > 0 ? &r->v[r->n - 1] : NULL;
	struct mail_range add = {first, last};

	check(r);
	if (end && first >= end->first && joins(end, &add)) {
		if (last > end->last)
			end->last = last;
		return 0;
	}
	if (r->n == r->size && grow(r) != 0)
		return -ENOMEM;
	check(r);
	r->sorted = r->n == 0 || (r->sorted && first > r->v[r->n - 1].last);
	r->v[r->n++] = add;
	return 0;
}

uint64_t ranges_count_below(struct ranges *r, uint32_t end)
{
	const struct mail_range *v = r->v;
	uint64_t n = 0;

	sort(r);
	for (size_t i = 0; v && i < r->n && v[i].first < end; i++)
		n += (uint64_t)(v[i].last < end ? v[i].last : end - 1) -
		     v[i].first + 1;
	return n;
}

uint64_t ranges_count(struct ranges *r)
{
	uint64_t n = 0;

	sort(r);
	for (size_t i = 0; i < r->n; i++)
		n += (uint64_t)r->v[i].last - r->v[i].first + 1;
	return n;
}

bool ranges_has(struct ranges *r, uint32_t uid)
{
	size_t low = 0, high;

	sort(r);
	high = r->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (r->v[mid].last < uid)
			low = mid + 1;
		else
			high = mid;
	}
	return low < r->n && r->v[low].first <= uid;
}

int ranges_add_all(struct ranges *to, const struct mail_range *v, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		if (v[i].first <= v[i].last)
			r = ranges_add(to, v[i].first, v[i].last);
	return r;
}
