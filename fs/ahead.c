/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ahead_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/folder.h"

/*
 * Streams: following readers, and looking ahead of them. Called by FUSE
 * workers; ahead_set.c has what is on its way.
 *
 * What has been looked at and not been read yet is in the stream's ring, so
 * that the window is exact however the reader jumps. Once the kernel has been
 * given a body it does not ask for it, so a reader of stored messages is not
 * seen: now and then a message is left out as a landmark, and its read says
 * that the reader has come so far, long before it is at the end of the window.
 */

#define NEAR 8          /* messages that a reader may jump over */
#define WINDOW_FIRST 8  /* messages, at the second in a row ... */
#define WINDOW_QUICK 64 /* ... which came within QUICK_MS: no person */
#define QUICK_MS 500
#define WINDOW_LISTED 32 /* at the first one, of who has just listed all */

/* --- where a reader is --- */

static struct near find_near(struct box *box, uint64_t on, uint64_t back)
{
	struct cache_msg *v = calloc(NEAR, sizeof(*v));
	struct near near = {0};
	size_t n;

	if (!v)
		return near;
	n = box_read(box, on, v, NEAR);
	if (n > 0)
		near.on = v[n - 1].id;
	n = box_read_back(box, back, v, NEAR);
	if (n > 0)
		near.back = v[n - 1].id;
	free(v);
	return near;
}

/* Which way is `id` from where the stream was last? 0: not near it. */
static int way(const struct stream *s, uint64_t id)
{
	uint64_t on = s->near.on > s->front ? s->near.on : s->front;
	uint64_t back = s->near.back < s->front && s->near.back ? s->near.back
								: s->front;

	/* Looked ahead of on trust: it must yet read the next one. */
	if (s->on_trust)
		return id > s->last && id <= s->near.on;
	/* How far it has been looked is not known at this moment. */
	if (s->looking && s->dir > 0 && id > s->last &&
	    id - s->last <= s->window)
		return 1;
	if (s->looking && s->dir < 0 && id < s->last &&
	    s->last - id <= s->window)
		return -1;
	if (s->dir >= 0 && id > s->last && id <= (s->dir ? on : s->near.on))
		return 1;
	if (s->dir <= 0 && id < s->last &&
	    id >= (s->dir ? back : s->near.back) && s->near.back)
		return -1;
	return 0;
}

/* Read a moment ago: several workers note the reads of one reader. */
static bool is_recent(const struct stream *s, uint64_t id)
{
	for (unsigned i = 0; i < RECENT; i++)
		if (s->recent[i] == id)
			return true;
	if (s->dir > 0)
		return id <= s->last && id >= s->recent[s->n_recent % RECENT];
	if (s->dir < 0)
		return id >= s->last && id <= s->recent[s->n_recent % RECENT];
	return false;
}

static struct stream *match_locked(struct ahead *a, const struct folder *f,
				   uint64_t id, int *ret_way) REQUIRES(a->lock)
{
	for (unsigned i = 0; i < STREAMS; i++) {
		struct stream *s = &a->streams[i];

		if (s->f != f)
			continue;
		*ret_way = way(s, id);
		if (*ret_way != 0 || is_recent(s, id))
			return s;
	}
	return NULL;
}

static struct stream *recycle_locked(struct ahead *a) REQUIRES(a->lock)
{
	struct stream *oldest = &a->streams[0];

	for (unsigned i = 1; i < STREAMS; i++)
		if (!a->streams[i].looking && a->streams[i].used < oldest->used)
			oldest = &a->streams[i];
	return oldest;
}

/* Does `id` come after `at`, as this stream goes? */
static bool is_beyond(const struct stream *s, uint64_t id, uint64_t at)
{
	return s->dir > 0 ? id > at : id < at;
}

/*
 * The reader has passed these. One that was to be stored, and was asked for
 * all the same, says that it has caught up with the storing: it then reads the
 * next few by itself, while those behind them are stored, or both would do the
 * same work and wait for each other at every message.
 */
static void pass_locked(struct stream *s, uint64_t id)
{
	bool caught_up = false;
	unsigned i;

	while (s->n_ring > 0) {
		struct ahead_item *first = &s->ring[s->ring_at];

		if (is_beyond(s, first->id, id))
			break;
		caught_up = first->id == id && first->stored;
		s->bytes -= first->bytes;
		s->line -= first->line;
		s->ring_at = (s->ring_at + 1) % RING;
		s->n_ring--;
	}
	if (!caught_up || s->n_ring == 0)
		return;
	if (s->left && !is_beyond(s, id, s->left))
		return; /* it reads by itself as it should */
	i = s->n_ring < LEFT_ALONE ? s->n_ring : LEFT_ALONE;
	s->left = s->ring[(s->ring_at + i - 1) % RING].id;
}

/* NULL: all are busy, this reader goes without. */
static struct stream *start_locked(struct ahead *a, struct folder *f,
				   uint64_t id, struct near near)
	REQUIRES(a->lock)
{
	struct stream *s = recycle_locked(a);

	if (s->looking)
		return NULL;
	memset(s, 0, sizeof(*s));
	s->f = f;
	s->last = id;
	s->front = id;
	for (unsigned i = 0; i < RECENT; i++)
		s->recent[i] = id;
	s->near = near;
	s->since = EXTENT_WHOLE; /* the first one is a landmark */
	s->at_ms = clock_now_ms();
	s->used = ++a->clock;
	return s;
}

/* --- looking ahead --- */

/*
 * Bodies that are in the cache cost nothing but memory: of them, more may be
 * ahead of the reader than of what the line must bring.
 */
static struct ahead_extent window_locked(struct ahead *a,
					 const struct stream *s)
	REQUIRES(a->lock)
{
	struct ahead_extent w = {
		.messages = s->window,
		.bytes = (uint64_t)s->window * WINDOW_BYTES_EACH,
		.line = ahead_line_bytes_locked(a),
	};

	if (w.bytes > WINDOW_BYTES_MAX)
		w.bytes = WINDOW_BYTES_MAX;
	if (w.line > w.bytes)
		w.line = w.bytes;
	return w;
}

/* How far may be looked now? False: far enough. */
static bool may_look_locked(struct ahead *a, struct stream *s, struct walk *w)
	REQUIRES(a->lock)
{
	w->window = window_locked(a, s);
	if (s->dir == 0 || s->looking || s->n_ring > w->window.messages / 2 ||
	    s->bytes > w->window.bytes / 2 || s->line > w->window.line / 2)
		return false;
	s->looking = true;
	w->dir = s->dir;
	w->at = s->front;
	w->since = s->since;
	w->room.messages = w->window.messages - s->n_ring;
	w->room.bytes = w->window.bytes - s->bytes;
	w->room.line = w->window.line - s->line;
	return true;
}

static void looked_locked(struct stream *s, const struct walk *w,
			  struct near near)
{
	s->looking = false;
	for (size_t i = 0; i < w->n_seen && s->n_ring < RING; i++) {
		s->ring[(s->ring_at + s->n_ring++) % RING] = w->seen[i];
		s->bytes += w->seen[i].bytes;
		s->line += w->seen[i].line;
	}
	s->since = w->since;
	s->front = w->at;
	if (s->dir > 0 ? s->front < s->last : s->front > s->last)
		s->front = s->last; /* the reader was faster */
	if (!s->on_trust)
		s->near = near;
	pass_locked(s, s->last);
}

static void look(struct fs *fs, struct stream *s, struct walk *w)
{
	struct ahead *a = fs->ahead;
	struct near near;
	uint64_t last;

	ahead_walk(w);
	lock_take(&a->lock);
	last = s->last;
	lock_drop(&a->lock);
	near = w->dir > 0 ? find_near(w->box, w->at, last)
			  : find_near(w->box, last, w->at);
	lock_take(&a->lock);
	looked_locked(s, w, near);
	lock_drop(&a->lock);
}

/* It reads on: the window begins, or doubles. */
static void widen_locked(struct stream *s)
{
	int64_t now = clock_now_ms();

	if (s->window == 0)
		s->window =
			now - s->at_ms < QUICK_MS ? WINDOW_QUICK : WINDOW_FIRST;
	else if (s->window < WINDOW_MAX)
		s->window *= 2;
	s->at_ms = now;
}

/* The reader is here now. May be looked ahead of it? Then `w` says how far. */
static bool advance_locked(struct ahead *a, struct stream *s, uint64_t id,
			   int dir, struct walk *w) REQUIRES(a->lock)
{
	s->dir = dir;
	s->on_trust = false;
	s->last = id;
	s->recent[s->n_recent++ % RECENT] = id;
	s->used = ++a->clock;
	if (s->n_ring == 0 && !s->looking)
		s->front = id;
	widen_locked(s);
	pass_locked(s, id);
	return may_look_locked(a, s, w);
}

/* --- who reads --- */

void ahead_listed(struct fs *fs, const struct folder *f, pid_t pid)
{
	struct ahead *a = fs->ahead;

	lock_take(&a->lock);
	a->listers[a->n_listers++ % LISTERS] =
		(struct lister){f, pid, clock_now_ms()};
	lock_drop(&a->lock);
}

/* True once: then it reads on, or it does not. */
static bool has_listed_locked(struct ahead *a, const struct folder *f,
			      pid_t pid) REQUIRES(a->lock)
{
	int64_t now = clock_now_ms();
	bool yes = false;

	for (unsigned i = 0; i < LISTERS; i++) {
		struct lister *l = &a->listers[i];

		if (l->f != f || l->pid != pid)
			continue;
		yes |= now - l->at_ms < QUICK_MS;
		l->f = NULL;
	}
	return yes;
}

static bool is_first(struct box *box, uint64_t id)
{
	struct cache_msg m;

	return box_read(box, 0, &m, 1) == 1 && m.id == id;
}

/*
 * Nobody is followed here yet: this may be the first of many reads. It is, if
 * it is of the first message, by who has just listed them all (grep -r, tar):
 * then the stream is returned, and `w` says how far may be looked ahead of it.
 */
static struct stream *begin(struct fs *fs, struct folder *f, uint64_t id,
			    pid_t pid, struct walk *w)
{
	struct ahead *a = fs->ahead;
	struct stream *s = NULL;
	struct near near;
	struct box *box;
	bool first;
	int dir;

	if (folder_get(fs, f, &box) != 0)
		return NULL;
	near = find_near(box, id, id);
	first = is_first(box, id);
	folder_put(fs, f);

	lock_take(&a->lock);
	if (!match_locked(a, f, id, &dir))
		s = start_locked(a, f, id, near);
	if (s && has_listed_locked(a, f, pid) && first) {
		s->dir = 1;
		s->on_trust = true;
		s->window = WINDOW_LISTED;
	}
	if (s && !may_look_locked(a, s, w))
		s = NULL;
	lock_drop(&a->lock);
	return s;
}

void ahead_note(struct fs *fs, struct folder *f, const struct cache_msg *m,
		pid_t pid)
{
	struct walk w = {.fs = fs, .f = f};
	struct ahead *a = fs->ahead;
	struct stream *s;
	bool more = false;
	int dir = 0;

	lock_take(&a->lock);
	s = match_locked(a, f, m->id, &dir);
	if (s && dir != 0)
		more = advance_locked(a, s, m->id, dir, &w);
	lock_drop(&a->lock);
	if (!s) {
		s = begin(fs, f, m->id, pid, &w);
		more = s != NULL;
	}
	if (!more)
		return;

	if (folder_get(fs, f, &w.box) == 0) {
		look(fs, s, &w);
		folder_put(fs, f);
	} else {
		lock_take(&a->lock);
		s->looking = false;
		lock_drop(&a->lock);
	}
}

bool ahead_is_wanted(struct fs *fs, struct folder *f, uint64_t id)
{
	struct ahead *a = fs->ahead;
	bool wanted = false;

	lock_take(&a->lock);
	for (unsigned i = 0; i < STREAMS && !wanted; i++) {
		const struct stream *s = &a->streams[i];

		wanted = s->f == f && s->dir != 0 &&
			 is_beyond(s, id, s->last) &&
			 (!s->left || is_beyond(s, id, s->left));
	}
	lock_drop(&a->lock);
	return wanted;
}

int ahead_new(struct fs *fs, struct ahead **ret)
{
	struct ahead *a = calloc(1, sizeof(*a));

	(void)fs;
	if (!a)
		return -ENOMEM;
	lock_init(&a->lock, RANK_AHEAD);
	*ret = a;
	return 0;
}

void ahead_free(struct ahead *a)
{
	if (!a)
		return;
	lock_finish(&a->lock);
	free(a);
}
