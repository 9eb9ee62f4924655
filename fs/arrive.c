/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/arrive.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "fs/notify.h"
#include "imap/log.h"

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

/* Rows into the box, with the state that covers them. */
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

/*
 * Every row of the box goes: the mailbox is another one (UIDVALIDITY). Also
 * those that were not shown yet: their UIDs mean other messages now.
 */
static int forget_all(struct fs *fs, struct folder *f, struct box *box)
{
	struct cache_state none = {.changed_at_ns = arrive_now_ns()};
	uint64_t dir = tree_ino(fs->tree, f);
	uint32_t *uids = NULL;
	struct cache_msg m;
	size_t n = 0;
	int r;

	r = box_uids(box, &uids, &n);
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (box_find_uid(box, uids[i], &m) != 0)
			continue;
		r = folder_remove(fs, f, box, &m);
		if (r == 0 && m.held > 0)
			notify_removed(fs->notify, dir, m.id, m.name);
	}
	free(uids);
	if (r == 0)
		r = box_set_state(box, &none);
	/* The kernel may have kept the listing and none of its messages. */
	notify_listing(fs->notify, dir);
	return r;
}

int arrive_made_anew(struct fs *fs, struct folder *f, struct box *box)
{
	int r;

	log_warn("sync: folder '%s' was made anew on the server: it is listed "
		 "again",
		 f->path);
	r = forget_all(fs, f, box);
	return r == 0 ? -ESTALE : r;
}

struct arrive_job *arrive_job_new(struct fs *fs, struct folder *f)
{
	struct arrive_job *j = malloc(sizeof(*j));

	if (j)
		*j = (struct arrive_job){fs, f};
	return j;
}
