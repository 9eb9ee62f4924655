/* SPDX-License-Identifier: GPL-3.0-or-later */
#define FUSE_USE_VERSION 314
#include "fs/notify.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdlib.h>
#include <string.h>

#include "fs/park.h"
#include "imap/log.h"

/*
 * One thread takes orders off a list and makes the calls, with no lock held:
 * each may wait for a lock that the kernel holds while it waits for one of our
 * workers, and a worker only ever appends to the list. While a LOOKUP or
 * READDIR of a directory is parked, what concerns it waits here, outside the
 * kernel: a thread inside could not be killed.
 *
 * An addition drops the cached listing of its directory by inval_inode (a
 * name that the kernel never saw drops nothing by itself), and a negative
 * entry by inval_entry. A removal is notify_delete, which also tells inotify.
 */

/* Longer than any READDIR or LOOKUP stays parked. */
#define NOTIFY_WAIT_MS 10000
/* Counters; inodes that share one are only believed to have heard more. */
#define NOTIFY_HEARD 1024

enum order_kind {
	ORDER_NEW,
	ORDER_LISTING,
	ORDER_GONE,
	ORDER_RELINKED,
	ORDER_ATTR,
	ORDER_CONTENT
};

struct order {
	struct order *next;
	enum order_kind kind;
	uint64_t dir;
	uint64_t ino;
	char name[];
};

struct notify {
	struct fuse_session *se; /* set by notify_start() */
	struct park *park;
	pthread_t thread;
	bool started;
	_Atomic uint32_t heard[NOTIFY_HEARD];

	struct lock lock; /* RANK_NOTIFY, guards what follows */
	struct lock_cond cond;
	struct order *head, **tail;
	bool stopping;
};

static void push(struct notify *n, enum order_kind kind, uint64_t dir,
		 uint64_t ino, const char *name)
{
	size_t len = strlen(name) + 1;
	struct order *o = malloc(sizeof(*o) + len);

	if (!o) {
		log_warn("notify: out of memory, the kernel was not told of a "
			 "change");
		return;
	}
	*o = (struct order){.kind = kind, .dir = dir, .ino = ino};
	memcpy(o->name, name, len);

	lock_take(&n->lock);
	if (n->stopping || !n->started) {
		/* Before the mount and after it the kernel knows nothing. */
		lock_drop(&n->lock);
		free(o);
		return;
	}
	*n->tail = o;
	n->tail = &o->next;
	lock_cond_wake(&n->cond);
	lock_drop(&n->lock);
}

void notify_note_heard(struct notify *n, uint64_t ino)
{
	n->heard[ino % NOTIFY_HEARD]++;
}

uint32_t notify_heard(const struct notify *n, uint64_t ino)
{
	return n->heard[ino % NOTIFY_HEARD];
}

static void tell(struct notify *n, const struct order *o)
{
	struct fuse_session *se = n->se;
	size_t len = strlen(o->name);

	lock_assert_none();
	if (o->dir != 0)
		park_wait_idle(n->park, o->dir,
			       clock_now_ms() + NOTIFY_WAIT_MS);
	notify_note_heard(n, o->ino);
	/* -ENOENT is the usual answer: the kernel did not know it. */
	switch (o->kind) {
	case ORDER_NEW:
		(void)fuse_lowlevel_notify_inval_entry(se, o->dir, o->name,
						       len);
		(void)fuse_lowlevel_notify_inval_inode(se, o->dir, 0, 0);
		break;
	case ORDER_LISTING:
		(void)fuse_lowlevel_notify_inval_inode(se, o->dir, 0, 0);
		break;
	case ORDER_GONE:
		(void)fuse_lowlevel_notify_delete(se, o->dir, o->ino, o->name,
						  len);
		(void)fuse_lowlevel_notify_inval_inode(se, o->dir, 0, 0);
		break;
	case ORDER_RELINKED:
		/* No entry has this name, but its directory's lock is waited
		 * for. */
		(void)fuse_lowlevel_notify_inval_entry(se, o->dir, ".", 1);
		(void)fuse_lowlevel_notify_inval_inode(se, o->ino, -1, 0);
		break;
	case ORDER_ATTR:
		(void)fuse_lowlevel_notify_inval_inode(se, o->ino, -1, 0);
		break;
	case ORDER_CONTENT:
		(void)fuse_lowlevel_notify_inval_inode(se, o->ino, 0, 0);
		break;
	}
	notify_note_heard(n, o->ino);
}

static void *notify_thread(void *arg)
{
	struct notify *n = arg;
	struct order *o;

	pthread_setname_np(pthread_self(), "notify");
	for (;;) {
		lock_take(&n->lock);
		while (!n->head && !n->stopping)
			(void)lock_cond_wait(&n->cond, &n->lock, CLOCK_NEVER);
		o = n->head;
		if (o) {
			n->head = o->next;
			if (!n->head)
				n->tail = &n->head;
		}
		lock_drop(&n->lock);
		if (!o)
			return NULL;
		tell(n, o);
		free(o);
	}
}

int notify_new(struct notify **ret)
{
	struct notify *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;

	lock_init(&n->lock, RANK_NOTIFY);
	lock_cond_init(&n->cond);
	n->tail = &n->head;
	*ret = n;
	return 0;
}

int notify_start(struct notify *n, struct fuse_session *se, struct park *park)
{
	n->se = se;
	n->park = park;
	if (pthread_create(&n->thread, NULL, notify_thread, n) != 0)
		return -EAGAIN;

	lock_take(&n->lock);
	n->started = true;
	lock_drop(&n->lock);
	return 0;
}

void notify_stop(struct notify *n)
{
	bool started;

	lock_take(&n->lock);
	n->stopping = true;
	started = n->started;
	lock_cond_wake_all(&n->cond);
	lock_drop(&n->lock);
	if (started)
		pthread_join(n->thread, NULL);
}

void notify_free(struct notify *n)
{
	struct order *o, *next;

	if (!n)
		return;
	for (o = n->head; o; o = next) {
		next = o->next;
		free(o);
	}
	lock_cond_finish(&n->cond);
	lock_finish(&n->lock);
	free(n);
}

void notify_added(struct notify *n, uint64_t dir, const char *name)
{
	push(n, ORDER_NEW, dir, 0, name);
}

void notify_listing(struct notify *n, uint64_t dir)
{
	push(n, ORDER_LISTING, dir, 0, "");
}

void notify_removed(struct notify *n, uint64_t dir, uint64_t ino,
		    const char *name)
{
	push(n, ORDER_GONE, dir, ino, name);
}

void notify_relinked(struct notify *n, uint64_t dir, uint64_t ino)
{
	push(n, ORDER_RELINKED, dir, ino, "");
}

void notify_attr(struct notify *n, uint64_t ino)
{
	push(n, ORDER_ATTR, 0, ino, "");
}

void notify_content(struct notify *n, uint64_t ino)
{
	push(n, ORDER_CONTENT, 0, ino, "");
}

int notify_size(struct notify *n, uint64_t ino)
{
	bool started;
	int r = 0;

	lock_take(&n->lock);
	started = n->started && !n->stopping;
	lock_drop(&n->lock);
	lock_assert_none();
	if (started) {
		notify_note_heard(n, ino);
		r = fuse_lowlevel_notify_inval_inode(n->se, ino, -1, 0);
		notify_note_heard(n, ino);
	}
	return r == -ENOENT ? r : 0;
}
