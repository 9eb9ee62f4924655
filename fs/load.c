/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/load_private.h"

#include <errno.h>

#include "fs/ahead.h"
#include "fs/budget.h"
#include "fs/folder.h"
#include "imap/log.h"

/*
 * A `struct fetch` is a message that is being fetched, that just failed, or
 * that was just read (kept open for a while, since the next read of a large
 * file is for the next bytes). They are in a small table, oldest use first out.
 *
 * For a large message a reader's position is followed: `ahead` doubles from
 * LOAD_WHOLE while reads go straight on, and falls back when they jump. At
 * most LOAD_JOBS parts of one message are asked for at a time.
 *
 * What the server said of the size may be wrong either way. So the last part
 * asks beyond it, and a read that touches the end waits until an answer has
 * shown where that is: all that is longer comes first, and the kernel is told
 * before the read is answered (load_size.c).
 */

/* Where what has been asked for ends, as seen from `from`. */
static uint64_t asked_to_locked(const struct fetch *t, uint64_t from)
{
	for (unsigned again = 0; again < t->n_parts; again++)
		for (unsigned i = 0; i < t->n_parts; i++)
			if (t->parts[i].offset <= from &&
			    from < t->parts[i].end)
				from = t->parts[i].end;
	return from;
}

/* It may have more, or fewer, bytes than is known. */
static bool is_open_locked(const struct fetch *t)
{
	return !t->end_known && !body_is_whole(t->body);
}

/* Where parts that bring what `offset` waits for end, at most. */
static uint64_t limit_locked(const struct fetch *t, const struct cache_msg *m,
			     uint64_t offset)
{
	uint64_t limit = offset + t->ahead, size = body_size(t->body);

	if (t->end_at != LOAD_END_UNKNOWN || limit < m->size)
		return limit;
	/* Beyond the end that was listed: that is how the real one shows. */
	return size > m->size ? size + LOAD_AHEAD_MAX : size + LOAD_WHOLE;
}

/* The first byte from `offset` on that is to be asked for; none: UINT64_MAX. */
static uint64_t missing_locked(const struct fetch *t, uint64_t offset)
{
	uint64_t size = body_size(t->body), from, n;

	from = asked_to_locked(t, offset);
	if (body_gap(t->body, from, &from, &n))
		return asked_to_locked(t, from);
	if (!is_open_locked(t))
		return UINT64_MAX;
	/* Beyond the end one question at a time is enough. */
	if (t->end_at == LOAD_END_UNKNOWN)
		return asked_to_locked(t, size) == size ? size : UINT64_MAX;
	/* Nothing is there: look for the end before it. */
	from = size > LOAD_AHEAD_MAX ? size - LOAD_AHEAD_MAX : 0;
	return body_gap(t->body, from, &from, &n) ? asked_to_locked(t, from)
						  : UINT64_MAX;
}

/*
 * What is to be asked for next, so that `offset` and what follows it comes:
 * false if nothing is, or enough has been asked for.
 */
static bool next_part_locked(struct fetch *t, const struct cache_msg *m,
			     uint64_t offset, struct part *ret)
{
	uint64_t size = body_size(t->body), from, gap, limit;

	if (t->n_parts == LOAD_JOBS)
		return false;
	/* All of it may have come since the reader looked. */
	if (body_is_whole(t->body) && !body_gap(t->body, 0, &from, &gap))
		return false;
	if (m->size <= LOAD_WHOLE && size <= LOAD_WHOLE) {
		if (t->n_parts > 0)
			return false;
		*ret = (struct part){.offset = 0, .end = UINT64_MAX};
		return true;
	}

	limit = limit_locked(t, m, offset);
	from = missing_locked(t, offset);
	if (from >= limit)
		return false;
	/* Not in drops: half a window at least is worth a question. */
	if (from > offset && limit - from < t->ahead / 2 && limit < size)
		return false;
	*ret = (struct part){.offset = from, .end = limit};
	return true;
}

/* Follow the reader: straight on doubles what is asked for ahead of it. */
static void follow_locked(struct fetch *t, uint64_t offset, size_t n)
{
	bool straight = offset <= t->straight_to + LOAD_WHOLE &&
			offset + n > t->straight_to;

	if (offset + n <= t->straight_to &&
	    offset + LOAD_WHOLE >= t->straight_to)
		return; /* the same bytes once more */
	if (straight && offset > 0 && t->ahead < LOAD_AHEAD_MAX)
		t->ahead *= 2;
	else if (!straight)
		t->ahead = LOAD_WHOLE;
	t->straight_to = offset + n;
}

static bool failed_just_now_locked(struct fs *fs, const struct fetch *t,
				   int *ret)
{
	*ret = t->error;
	/* The bytes were here, and were bad: that is the better answer. */
	if (t->damaged && (t->error == -ENOTCONN || t->error == -ETIMEDOUT))
		*ret = -EBADMSG;
	return t->error != 0 && t->n_parts == 0 &&
	       fs_failed_just_now(fs, t->failed_ms);
}

/* Ask for the next part, if there is one: 1; 0: there is none; or an error. */
static int want_one(struct fs *fs, struct fetch *t, const struct wanted *w,
		    uint64_t offset)
{
	struct load *l = fs->load;
	bool more, may = budget_may_read(fs);
	struct part p;
	int r;

	lock_take(&l->lock);
	if (failed_just_now_locked(fs, t, &r)) {
		lock_drop(&l->lock);
		return r;
	}
	if (t->n_parts == 0)
		t->error = 0;
	more = next_part_locked(t, w->m, offset, &p);
	if (more && !may) {
		r = t->n_parts > 0 ? 0 : -EDQUOT; /* some of it is coming */
		lock_drop(&l->lock);
		return r;
	}
	if (more) {
		t->parts[t->n_parts++] = p;
		t->users++; /* the job's; part_done() puts it */
	}
	lock_drop(&l->lock);
	if (!more)
		return 0;

	r = load_ask(fs, t, w, &p);
	if (r == 0)
		return 1;

	lock_take(&l->lock);
	load_drop_part_locked(t, p.offset);
	if (t->n_parts == 0) {
		t->error = r;
		t->failed_ms = clock_now_ms();
	}
	lock_drop(&l->lock);
	load_fetch_put(fs, t);
	return r;
}

/* Start what is needed. The error is the reader's, unless a part is coming. */
static int want(struct fs *fs, struct fetch *t, const struct wanted *w,
		uint64_t offset, size_t n)
{
	unsigned asked = 0;
	int r = 1;

	lock_take(&fs->load->lock);
	follow_locked(t, offset, n);
	lock_drop(&fs->load->lock);
	while (asked < LOAD_JOBS && r == 1) {
		r = want_one(fs, t, w, offset);
		if (r == 1)
			asked++;
	}
	return r < 0 && asked == 0 ? r : 0;
}

/* Are the bytes here? 0, -ENODATA, or an error of the cache. */
static int look(struct fs *fs, struct fetch *t, const struct cache_msg *m,
		uint64_t offset, size_t n)
{
	uint64_t size = body_size(t->body);
	bool open;
	int r;

	lock_take(&fs->load->lock);
	open = is_open_locked(t);
	lock_drop(&fs->load->lock);
	if (open && offset + n >= (size < m->size ? size : m->size))
		return -ENODATA;
	if (!open && offset >= size)
		return 0;
	r = body_check(t->body, offset, n);
	if (r != -EBADMSG)
		return r;

	log_warn("load: the local copy of '%s' is damaged: it is fetched again",
		 m->name);
	lock_take(&fs->load->lock);
	t->damaged = true;
	lock_drop(&fs->load->lock);
	return -ENODATA;
}

/* The bytes are not here: start what brings them. -EAGAIN, or why not. */
static int miss(struct fs *fs, struct folder *f, struct fetch *t,
		struct wanted *w, uint64_t offset, size_t n)
{
	int r;

	if (w->m->unmoored)
		load_stale_note(fs, w->m->id, f);
	r = origin_of(fs, f, w->m, &w->from);
	if (r == 0)
		r = load_stale_error(fs, w->m->id);
	if (r != 0)
		return r;
	if (ahead_is_coming(fs, w->m->id))
		return -EAGAIN;
	r = want(fs, t, w, offset, n);
	if (r == -ENOTCONN && t->damaged)
		return -EBADMSG;
	return r == 0 ? -EAGAIN : r;
}

int load_read(struct fs *fs, struct folder *f, const struct cache_msg *m,
	      uint64_t offset, size_t n, struct body **ret)
{
	struct wanted w = {.m = m};
	struct fetch *t;
	int r;

	if (load_is_correcting(fs, m->id))
		return -EAGAIN;
	r = load_fetch_get(fs, m, &t);
	if (r != 0)
		return r;

	r = look(fs, t, m, offset, n);
	if (r == -ENODATA) {
		r = miss(fs, f, t, &w, offset, n);
	} else if (r == 0) {
		if (!body_is_whole(t->body) &&
		    origin_of(fs, f, m, &w.from) == 0)
			(void)want(fs, t, &w, offset, n);
		/* A reference of the reader's own. */
		r = body_open(fs->cache, m->id, m->size, ret);
	}
	load_fetch_put(fs, t);
	return r;
}

bool load_is_coming(struct fs *fs, uint64_t id)
{
	struct load *l = fs->load;
	bool coming = false;

	lock_take(&l->lock);
	for (struct fetch *t = l->head; t && !coming; t = t->next)
		coming = t->id == id && t->n_parts > 0;
	lock_drop(&l->lock);
	return coming;
}

void load_wake(struct fs *fs, uint64_t id)
{
	load_moved(fs, id);
}

void load_count(struct fs *fs, bool at_once)
{
	if (at_once)
		fs->load->hits++;
	else
		fs->load->misses++;
}

uint64_t load_gen(struct fs *fs)
{
	return fs->load->gen;
}

void load_get_stats(struct fs *fs, struct load_stats *ret)
{
	struct load *l = fs->load;

	ret->hits = l->hits;
	ret->misses = l->misses;
	ret->loading = 0;
	lock_take(&l->lock);
	for (struct fetch *t = l->head; t; t = t->next)
		ret->loading += t->n_parts > 0;
	lock_drop(&l->lock);
}
