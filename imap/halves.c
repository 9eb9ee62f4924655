/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/halves.h"

/*
 * What a server cannot describe is mostly one message: its window is cut some
 * ten times, so there are few halves at a time. They stand in no order, and
 * are looked through.
 */

static unsigned find_upper(const struct halves *h)
{
	unsigned found = 0;

	for (unsigned i = 1; i < h->n; i++) {
		if (h->v[i].first > h->v[found].first)
			found = i;
	}
	return found;
}

const struct mail_range *halves_upper(const struct halves *h)
{
	return h->n > 0 ? &h->v[find_upper(h)] : NULL;
}

struct mail_range halves_take(struct halves *h)
{
	unsigned i = find_upper(h);
	struct mail_range w = h->v[i];

	h->v[i] = h->v[--h->n];
	return w;
}

bool halves_add(struct halves *h, struct mail_range w, uint32_t messages)
{
	uint32_t middle = w.first + (w.last - w.first) / 2;

	if (h->n + 2 > HALVES_MAX)
		return false;
	if (w.last > messages || w.first == w.last) {
		w.last = w.last > messages ? messages : w.last;
		h->v[h->n++] = w;
		return true;
	}
	h->v[h->n++] = (struct mail_range){w.first, middle};
	h->v[h->n++] = (struct mail_range){middle + 1, w.last};
	return true;
}

bool halves_has(const struct halves *h, uint32_t seq)
{
	for (unsigned i = 0; i < h->n; i++) {
		if (seq >= h->v[i].first && seq <= h->v[i].last)
			return true;
	}
	return false;
}
