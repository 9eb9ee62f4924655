/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/load_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/ahead.h"
#include "fs/folder.h"
#include "fs/notify.h"
#include "fs/park.h"
#include "imap/log.h"

/*
 * A `struct fetch` is a message that is being fetched, that just failed, or
 * that was just read (kept open for a while, since the next read of a large
 * file is for the next bytes). They are in a small table, oldest use first out.
 *
 * For a large message a reader's position is followed: `ahead` doubles from
 * LOAD_WHOLE while reads go straight on, and falls back when they jump. At
 * most LOAD_JOBS parts of one message are asked for at a time.
 */

/* One running imap_fetch(). */
struct part_job {
	struct fs *fs;
	struct fetch *t;
	uint64_t offset;
	uint64_t length; /* 0: to the end */
	uint64_t at;     /* where the next bytes go */
	uint64_t size;   /* announced for this literal */
	bool began;
};

void load_moved(struct fs *fs, uint64_t id)
{
	fs->load->gen++;
	park_wake(fs->park, id);
}

/* --- what the server sends; on a connection's thread --- */

static int part_begin(void *ctx, uint32_t uid, uint64_t offset, uint64_t size)
{
	struct part_job *j = ctx;

	(void)uid;
	if (offset != j->offset)
		return -EBADMSG;
	if (j->length != 0 && size > j->length)
		return -EBADMSG;

	j->began = true;
	j->at = offset;
	j->size = size;
	return 0;
}

static int part_data(void *ctx, uint32_t uid, const void *bytes, size_t n)
{
	struct part_job *j = ctx;
	struct fetch *t = j->t;
	struct load *l = j->fs->load;
	bool wake;
	int r;

	(void)uid;
	r = body_write(t->body, j->at, bytes, n);
	if (r != 0)
		return r;

	j->at += n;
	lock_take(&l->lock);
	t->arrived += n;
	wake = t->arrived - t->woken_at >= LOAD_WAKE_BYTES;
	if (wake)
		t->woken_at = t->arrived;
	lock_drop(&l->lock);
	park_extend(j->fs->park, t->id, clock_now_ms() + j->fs->timeout_ms);
	if (wake)
		load_moved(j->fs, t->id);
	return 0;
}

void load_correct_size(struct fs *fs, struct folder *f, uint64_t id,
		       uint64_t size)
{
	struct cache_msg m;
	struct box *box;

	if (folder_get(fs, f, &box) != 0)
		return;
	if (box_find_id(box, id, &m) == 0 && m.size != size) {
		log_debug("load: '%s' has %llu bytes, not %llu", m.name,
			  (unsigned long long)size, (unsigned long long)m.size);
		/*
		 * Longer: the kernel is told before the read is answered, or
		 * its reader stops at the old end. Shorter: the short answer
		 * tells it, and telling it before would make it fill up with
		 * zeros. 0: it asks at every read anyway, and takes the
		 * answer for stale if it was told of a change meanwhile.
		 */
		if (box_set_size(box, id, size) == 0 && size > m.size &&
		    m.size > 0)
			notify_size(fs->notify, id);
	}
	folder_put(fs, f);
}

/*
 * Does this answer show where the body ends? It does if all was asked for, if
 * nothing came (then at most here: servers that list too large a size), or if
 * less came than was asked for and the listed size is reached. Less than that,
 * short of the listed size, may be a server that sends small pieces: the next
 * question will tell.
 */
static bool shows_end(const struct part_job *j, uint64_t size)
{
	if (j->length == 0 || j->at == size)
		return true;
	if (j->size == 0)
		return j->offset < size;
	return j->size < j->length && j->at > size;
}

static void part_end(void *ctx, uint32_t uid, int result)
{
	struct part_job *j = ctx;
	struct fetch *t = j->t;
	uint64_t size = body_size(t->body);
	int r = 0;

	(void)uid;
	if (result == 0 && shows_end(j, size)) {
		r = body_end(t->body, j->at);
		if (r != 0)
			log_warn("load: a body cannot be kept: %s",
				 strerror(-r));
		else {
			load_correct_size(j->fs, t->f, t->id, j->at);
			ahead_remember(j->fs, t->id);
		}
	} else if (result == 0 && j->at > size) {
		t->is_longer = true;
		load_correct_size(j->fs, t->f, t->id, j->at);
	}

	lock_take(&j->fs->load->lock);
	if (result != 0)
		t->error = result;
	else if (r != 0)
		t->error = r;
	lock_drop(&j->fs->load->lock);
}

/* Take a part off the list; it was, or could not be, asked for. */
static void drop_part_locked(struct fetch *t, uint64_t offset)
{
	for (unsigned i = 0; i < t->n_parts; i++) {
		if (t->parts[i].offset != offset)
			continue;
		t->parts[i] = t->parts[--t->n_parts];
		return;
	}
}

static void part_done(void *ctx, int result, const struct imap_error *why)
{
	struct part_job *j = ctx;
	struct load *l = j->fs->load;
	struct fetch *t = j->t;

	(void)why;
	lock_take(&l->lock);
	drop_part_locked(t, j->offset);
	if (result == 0 && !j->began && t->error == 0)
		result = -ENOENT; /* no such message any more */
	if (result != 0)
		t->error = result;
	if (t->error != 0)
		t->failed_ms = clock_now_ms();
	else if (body_is_whole(t->body))
		t->damaged = false;
	lock_drop(&l->lock);

	load_moved(j->fs, t->id);
	load_fetch_put(j->fs, t);
	free(j);
}

static const struct imap_body_ops part_ops = {part_begin, part_data, part_end,
					      part_done};

/* --- asking --- */

static int ask(struct fs *fs, struct fetch *t, const struct cache_msg *m,
	       const struct part *p)
{
	struct imap_body_request req = {.uids = &m->uid, .n_uids = 1};
	struct part_job *j = calloc(1, sizeof(*j));
	struct cache_state s;
	struct box *box;
	imap_job job;
	int r;

	if (!j)
		return -ENOMEM;
	r = folder_get(fs, t->f, &box);
	if (r != 0) {
		free(j);
		return r;
	}
	box_state(box, &s);
	folder_put(fs, t->f);

	j->fs = fs;
	j->t = t;
	j->offset = p->offset;
	j->length = p->end == UINT64_MAX ? 0 : p->end - p->offset;
	req.uidvalidity = s.uidvalidity;
	req.offset = j->offset;
	req.length = j->length;
	r = imap_fetch(fs->imap, t->f->wire, IMAP_PRIO_READER, &req, &part_ops,
		       j, &job);
	if (r != 0)
		free(j);
	return r;
}

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
	if (m->size <= LOAD_WHOLE && size <= LOAD_WHOLE) {
		if (t->n_parts > 0)
			return false;
		*ret = (struct part){.offset = 0, .end = UINT64_MAX};
		return true;
	}

	if (t->is_longer && offset >= size) {
		if (t->n_parts > 0)
			return false;
		*ret = (struct part){.offset = size, .end = UINT64_MAX};
		return true;
	}

	from = asked_to_locked(t, offset);
	limit = offset + t->ahead;
	if (from >= limit || from >= size ||
	    !body_gap(t->body, from, &from, &gap))
		return false;
	from = asked_to_locked(t, from);
	if (from >= limit || from >= size)
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

/* Ask for the next part, if there is one: 1; 0: there is none; or an error. */
static int want_one(struct fs *fs, struct fetch *t, const struct cache_msg *m,
		    uint64_t offset)
{
	struct load *l = fs->load;
	struct part p;
	bool more;
	int r;

	lock_take(&l->lock);
	if (t->n_parts == 0)
		t->error = 0;
	more = next_part_locked(t, m, offset, &p);
	if (more) {
		t->parts[t->n_parts++] = p;
		t->users++; /* the job's; part_done() puts it */
	}
	lock_drop(&l->lock);
	if (!more)
		return 0;

	r = ask(fs, t, m, &p);
	if (r == 0)
		return 1;

	lock_take(&l->lock);
	drop_part_locked(t, p.offset);
	if (t->n_parts == 0) {
		t->error = r;
		t->failed_ms = clock_now_ms();
	}
	lock_drop(&l->lock);
	load_fetch_put(fs, t);
	return r;
}

/* Start what is needed. The error is the reader's, unless a part is coming. */
static int want(struct fs *fs, struct fetch *t, const struct cache_msg *m,
		uint64_t offset, size_t n)
{
	unsigned asked = 0;
	int r = 1;

	lock_take(&fs->load->lock);
	follow_locked(t, offset, n);
	lock_drop(&fs->load->lock);
	while (asked < LOAD_JOBS && r == 1) {
		r = want_one(fs, t, m, offset);
		if (r == 1)
			asked++;
	}
	return r < 0 && asked == 0 ? r : 0;
}

static bool failed_just_now(struct fs *fs, struct fetch *t, int *ret)
{
	struct load *l = fs->load;
	bool failed;

	lock_take(&l->lock);
	failed = t->error != 0 && t->n_parts == 0 &&
		 clock_now_ms() - t->failed_ms < FS_FAIL_AGAIN_MS;
	*ret = t->error;
	/* The bytes were here, and were bad: that is the better answer. */
	if (t->damaged && (t->error == -ENOTCONN || t->error == -ETIMEDOUT))
		*ret = -EBADMSG;
	lock_drop(&l->lock);
	return failed;
}

/* Are the bytes here? 0, -ENODATA, or an error of the cache. */
static int look(struct fs *fs, struct fetch *t, const struct cache_msg *m,
		uint64_t offset, size_t n)
{
	uint64_t size = body_size(t->body);
	int r;

	/* At the end, as far as that is known (and 0 is no size). */
	if (offset >= size && size > 0 && !t->is_longer)
		return 0;
	r = body_check(t->body, offset, n);
	if (r == 0 && t->is_longer && offset + n > size &&
	    !body_is_whole(t->body))
		return -ENODATA;
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
static int miss(struct fs *fs, struct fetch *t, const struct cache_msg *m,
		uint64_t offset, size_t n)
{
	int r;

	if (failed_just_now(fs, t, &r))
		return r;
	if (m->dead || m->uid == 0)
		return -ENOENT;
	if (ahead_is_coming(fs, m->id))
		return -EAGAIN;
	r = want(fs, t, m, offset, n);
	if (r == -ENOTCONN && t->damaged)
		return -EBADMSG;
	return r == 0 ? -EAGAIN : r;
}

int load_read(struct fs *fs, struct folder *f, const struct cache_msg *m,
	      uint64_t offset, size_t n, struct body **ret)
{
	struct fetch *t;
	int r;

	r = load_fetch_get(fs, f, m, &t);
	if (r != 0)
		return r;

	r = look(fs, t, m, offset, n);
	if (r == -ENODATA) {
		r = miss(fs, t, m, offset, n);
	} else if (r == 0) {
		if (!body_is_whole(t->body))
			(void)want(fs, t, m, offset, n);
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
