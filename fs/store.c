/* SPDX-License-Identifier: GPL-3.0-or-later */
#define FUSE_USE_VERSION 314
#include "fs/store.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "fs/ahead.h"
#include "fs/draft.h"
#include "fs/notify.h"

/*
 * A ring of messages and the threads that store them. A message that its
 * reader has passed meanwhile is left out: the kernel has it already. So is a
 * draft that is being written to: of that the kernel has newer bytes, and its
 * size is where the next ones are appended.
 *
 * How many of them work depends on what they wait for. Bodies in memory cost
 * processor time alone, as much as reading them does: one thread keeps up with
 * the reader, and a second one would take the reader's core unless there are
 * more than two. Bodies that come from the disk are waited for, and several
 * waits at a time are shorter: then all help. They do so as well when a thread
 * lost its core for a while, to another program: it is stood in for.
 */

#define STORE_RING 512
#define STORE_THREADS 4
#define STORE_SIZE_MAX (1u << 20) /* larger ones are read in parts anyway */
#define MEMORY_US 60 /* at most, to read a body that is in memory ... */
#define MEMORY_BYTES_A_US 1000 /* ... and one more for so many of its bytes */
#define DISK_RUN 16 /* bodies for which all help, after a slower one */

struct entry {
	struct folder *f;
	struct cache_small body;
	bool is_new; /* `body` has no key: ask the cache */
};

struct store {
	struct fs *fs;
	struct fuse_session *se; /* set by store_start() */
	pthread_t thread[STORE_THREADS];
	unsigned n_threads;      /* that were started */
	unsigned n_cores;        /* for so many at a time, without a disk */
	_Atomic uint64_t stored; /* a counter for people */

	struct lock lock; /* RANK_STORE, guards what follows */
	struct lock_cond cond;
	struct entry ring[STORE_RING];
	unsigned at, n;
	unsigned n_busy; /* threads that store one */
	unsigned disk;   /* bodies for which all help */
	bool stopping;
};

/* The bytes of a body, checked. */
static bool read_body(struct store *s, const struct entry *e, char *buf)
{
	struct body *b;
	bool whole;

	if (!e->is_new)
		return cache_read_small(s->fs->cache, &e->body, buf) == 0;
	if (body_open(s->fs->cache, e->body.id, e->body.size, &b) != 0)
		return false;
	whole = body_is_whole(b) && body_size(b) == e->body.size &&
		body_check(b, 0, e->body.size) == 0 &&
		body_read(b, buf, e->body.size, 0) == (long)e->body.size;
	body_put(b);
	return whole;
}

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* `*ret_waited`: its bytes took longer than they do from memory. */
static void store_one(struct store *s, const struct entry *e, char *buf,
		      bool *ret_waited)
{
	struct fuse_bufvec v = FUSE_BUFVEC_INIT((size_t)e->body.size);
	int64_t memory_us =
		MEMORY_US + (int64_t)e->body.size / MEMORY_BYTES_A_US;
	int64_t began_us = now_us();
	bool is_read;

	*ret_waited = false;
	if (!ahead_is_wanted(s->fs, e->f, e->body.id))
		return;
	is_read = read_body(s, e, buf);
	*ret_waited = now_us() - began_us > memory_us;
	if (!is_read || draft_is_written(s->fs, e->body.id))
		return;
	v.buf[0].mem = buf;
	lock_assert_none();
	/*
	 * Written as it is: spliced, it would be copied once more, into the
	 * pages of a pipe. -ENOENT: the kernel has forgotten the file.
	 */
	if (fuse_lowlevel_notify_store(s->se, e->body.id, 0, &v,
				       FUSE_BUF_NO_SPLICE) == 0)
		s->stored++;
	/* Since just now: what the kernel had was newer. */
	if (draft_is_written(s->fs, e->body.id))
		notify_content(s->fs->notify, e->body.id);
}

/* Is there work for one more thread? */
static bool needs_help_locked(const struct store *s) REQUIRES(s->lock)
{
	return s->n > 0 &&
	       s->n_busy < (s->disk > 0 ? STORE_THREADS : s->n_cores);
}

/*
 * False: it is time to stop. Who takes one wakes the next thread that is
 * needed, so that a push wakes one at most, and none that works anyway.
 */
static bool take(struct store *s, struct entry *ret)
{
	bool stopping;

	lock_take(&s->lock);
	while (!needs_help_locked(s) && !s->stopping)
		(void)lock_cond_wait(&s->cond, &s->lock, CLOCK_NEVER);
	stopping = s->stopping;
	if (!stopping) {
		*ret = s->ring[s->at];
		s->at = (s->at + 1) % STORE_RING;
		s->n--;
		s->n_busy++;
		if (needs_help_locked(s))
			lock_cond_wake(&s->cond);
	}
	lock_drop(&s->lock);
	return !stopping;
}

static void end(struct store *s, bool waited)
{
	lock_take(&s->lock);
	s->n_busy--;
	if (waited)
		s->disk = DISK_RUN;
	else if (s->disk > 0)
		s->disk--;
	lock_drop(&s->lock);
}

static void *store_thread(void *arg)
{
	struct store *s = arg;
	char *buf = malloc(STORE_SIZE_MAX); /* without it: nothing is stored */
	struct entry e;
	bool waited;

	pthread_setname_np(pthread_self(), "store");
	while (buf && take(s, &e)) {
		store_one(s, &e, buf, &waited);
		end(s, waited);
	}
	free(buf);
	return NULL;
}

/* Beside the reader's one. */
static unsigned count_cores(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set)
							     : 1;

	return n > 2 ? 2 : 1;
}

int store_new(struct fs *fs, struct store **ret)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->fs = fs;
	s->n_cores = count_cores();
	lock_init(&s->lock, RANK_STORE);
	lock_cond_init(&s->cond);
	*ret = s;
	return 0;
}

int store_start(struct store *s, struct fuse_session *se)
{
	unsigned n = 0;

	s->se = se;
	while (n < STORE_THREADS &&
	       pthread_create(&s->thread[n], NULL, store_thread, s) == 0)
		n++;

	lock_take(&s->lock);
	s->n_threads = n;
	lock_drop(&s->lock);
	return n > 0 ? 0 : -EAGAIN;
}

void store_stop(struct store *s)
{
	unsigned n;

	lock_take(&s->lock);
	s->stopping = true;
	n = s->n_threads;
	lock_cond_wake_all(&s->cond);
	lock_drop(&s->lock);
	for (unsigned i = 0; i < n; i++)
		pthread_join(s->thread[i], NULL);
}

void store_free(struct store *s)
{
	if (!s)
		return;
	lock_cond_finish(&s->cond);
	lock_finish(&s->lock);
	free(s);
}

static void push(struct store *s, const struct entry *e)
{
	if (e->body.size == 0 || e->body.size > STORE_SIZE_MAX)
		return;

	lock_take(&s->lock);
	if (s->n_threads > 0 && !s->stopping && s->n < STORE_RING) {
		s->ring[(s->at + s->n++) % STORE_RING] = *e;
		if (s->n == 1 && needs_help_locked(s))
			lock_cond_wake(&s->cond);
	}
	lock_drop(&s->lock);
}

void store_push(struct store *s, struct folder *f,
		const struct cache_small *body)
{
	push(s, &(struct entry){.f = f, .body = *body});
}

void store_push_new(struct store *s, struct folder *f, uint64_t id,
		    uint64_t size)
{
	push(s, &(struct entry){.f = f,
				.body = {.id = id, .size = size},
				.is_new = true});
}

uint64_t store_count(struct store *s)
{
	return s->stored;
}
