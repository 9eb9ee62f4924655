/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/flush_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/folder.h"
#include "fs/notify.h"
#include "imap/log.h"

/*
 * Flags that were stored: those that the mailbox does not keep (RFC 9051
 * section 7.1, PERMANENTFLAGS), and those that a look has shown. On the
 * flusher's thread.
 */

/* They are as the server has them, from now on. */
static int flags_left(struct batch *b, struct box *box)
{
	struct cache_flags *v = calloc(b->n + 1, sizeof(*v));
	struct cache_msg m;
	size_t n = 0;
	int r = v ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < b->n; i++) {
		uint32_t on = b->left_flags & b->remove;
		uint32_t off = b->left_flags & b->add;

		if (b->v[i].verdict != VERDICT_DONE ||
		    box_find_id(box, b->v[i].id, &m) != 0)
			continue;
		v[n++] = (struct cache_flags){m.id, (m.flags & ~off) | on};
	}
	if (r == 0)
		r = box_set_flags(box, v, n);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (box_find_id(box, v[i].id, &m) == 0)
			notify_attr(b->flush->fs->notify, m.id);
	free(v);
	return r;
}

static bool left_all(const struct batch *b)
{
	size_t asked = strlen(b->add_keywords) + strlen(b->remove_keywords);
	size_t left = b->left_keywords ? strlen(b->left_keywords) : 0;

	if (((b->add | b->remove) & ~b->left_flags) != 0 || batch_has_labels(b))
		return false;
	return left >= asked && (b->left_flags || left);
}

void flush_refuse_left(struct batch *b)
{
	if (b->part != JOURNAL_STORE || b->result != 0 || !left_all(b))
		return;
	free(b->why);
	b->why = strdup("the mailbox does not keep such a flag");
	b->result = -EPERM;
	for (size_t i = 0; i < b->n; i++) {
		if (b->v[i].verdict != VERDICT_DONE)
			continue;
		b->v[i].verdict = VERDICT_UNDO;
		b->v[i].error = -EPERM;
	}
}

/* Of messages that are still here, others may have changed some, too. */
static int flags_seen(struct batch *b, struct box *box)
{
	struct cache_flags *v = calloc(b->n + 1, sizeof(*v));
	size_t n = 0;
	int r = v ? 0 : -ENOMEM;

	for (size_t i = 0; v && i < b->n; i++)
		if (b->v[i].has_flags)
			v[n++] = (struct cache_flags){b->v[i].id, b->v[i].flags,
						      b->v[i].keywords,
						      b->v[i].labels};
	if (n > 0)
		r = box_set_flags(box, v, n);
	free(v);
	return r;
}

void flush_correct_flags(struct batch *b)
{
	struct box *box;
	int r;

	if (b->part != JOURNAL_STORE || folder_get(b->flush->fs, b->from, &box))
		return;
	r = flags_seen(b, box);
	if (r == 0 && b->result == 0 && b->left_flags)
		r = flags_left(b, box);
	folder_put(b->flush->fs, b->from);
	if (r != 0)
		log_warn("flush: flags that '%s' does not have are still shown",
			 b->from->path);
}
