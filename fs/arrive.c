/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/arrive.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "cache/recall.h"

/*
 * What listing.c and sync.c share: the way of a row from the server into the
 * box. Runs on connection threads, with no lock held.
 */

int64_t arrive_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int make_name(struct fs *fs, const struct mail_row *row,
		     char ret[NAME_BUFFER])
{
	if (fs->opt->names == NAMES_UID) {
		name_of_uid(row->uid, ret);
		return 0;
	}
	return name_of_message(row, ret);
}

/* NOLINTNEXTLINE(readability-function-size): seven, to hand them on. */
int arrive_add_rows(struct fs *fs, struct box *box, const struct mail_row *rows,
		    size_t n, bool announced, const struct cache_state *state,
		    uint64_t *ids)
{
	struct cache_new *v = malloc((n + 1) * sizeof(*v));
	char(*names)[NAME_BUFFER] = malloc((n + 1) * NAME_BUFFER);
	int r = v && names ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = make_name(fs, &rows[i], names[i]);
		v[i] = (struct cache_new){.row = &rows[i],
					  .name = names[i],
					  .announced = announced};
	}
	if (r == 0)
		r = box_add(box, v, n, state, ids);
	free(names);
	free(v);
	return r;
}

void arrive_recall(struct fs *fs, bool settled, const struct mail_row *rows,
		   size_t n, imap_recalled_fn found, void *to)
{
	struct cache_details **d = calloc(n, sizeof(struct cache_details *));

	if (!d)
		return;
	cache_recall(fs->cache, rows, n, settled, d);
	for (size_t i = 0; i < n; i++) {
		if (d[i])
			found(to, i, d[i]->field);
		free(d[i]);
	}
	free(d);
}
