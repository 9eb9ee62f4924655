/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/quota.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/tree.h"

/*
 * One question at a time, for whose answer nobody waits: it comes on the thread
 * of a connection, under a lock of its own, and statfs(2) reads the last one.
 */

struct quota {
	struct lock lock; /* RANK_QUOTA, guards what follows */
	struct imap_quota last;
	bool known;
	bool asking;
	int64_t asked_ms; /* 0: never */
};

int quota_new(struct fs *fs, struct quota **ret)
{
	struct quota *q = calloc(1, sizeof(*q));

	(void)fs;
	if (!q)
		return -ENOMEM;
	lock_init(&q->lock, RANK_QUOTA);
	*ret = q;
	return 0;
}

void quota_free(struct quota *q)
{
	if (!q)
		return;
	lock_finish(&q->lock);
	free(q);
}

static void on_quota(void *ctx, int result, const struct imap_quota *quota,
		     const struct imap_error *why)
{
	struct quota *q = ctx;

	(void)why;
	lock_take(&q->lock);
	q->asking = false;
	if (result == 0)
		q->last = *quota;
	/* The server has stopped to say so, or to have a limit. */
	if (result == 0 || result == -EOPNOTSUPP)
		q->known = result == 0;
	lock_drop(&q->lock);
}

/* Whose limit? That of what is mounted, or of where mail arrives. */
static const char *mailbox(struct fs *fs)
{
	const struct folder *root = tree_root(fs->tree);

	return root->wire[0] ? root->wire : "INBOX";
}

void quota_refresh(struct fs *fs)
{
	struct quota *q = fs->quota;
	int64_t now_ms = clock_now_ms();
	imap_job job;
	bool due;

	lock_take(&q->lock);
	due = fs->online && !q->asking &&
	      (q->asked_ms == 0 || now_ms - q->asked_ms >= QUOTA_AGAIN_MS);
	if (due) {
		q->asking = true;
		q->asked_ms = now_ms;
	}
	lock_drop(&q->lock);
	if (!due || imap_quota(fs->imap, mailbox(fs), on_quota, q, &job) == 0)
		return;
	lock_take(&q->lock);
	q->asking = false;
	lock_drop(&q->lock);
}

bool quota_get(struct fs *fs, struct imap_quota *ret)
{
	struct quota *q = fs->quota;
	bool known;

	lock_take(&q->lock);
	known = q->known;
	*ret = q->last;
	lock_drop(&q->lock);
	return known;
}
