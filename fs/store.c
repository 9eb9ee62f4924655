/* SPDX-License-Identifier: GPL-3.0-or-later */
#define FUSE_USE_VERSION 314
#include "fs/store.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdlib.h>

#include "fs/ahead.h"

/*
 * A ring of messages and the threads that store them: two, since one alone
 * is slower than a reader that finds all in the kernel. A message that its
 * reader has passed meanwhile is left out: the kernel has it already.
 */

#define STORE_RING 512
#define STORE_THREADS 2
#define STORE_SIZE_MAX (1u << 20) /* larger ones are read in parts anyway */

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
	_Atomic uint64_t stored; /* a counter for people */

	struct lock lock; /* RANK_STORE, guards what follows */
	struct lock_cond cond;
	struct entry ring[STORE_RING];
	unsigned at, n;
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

static void store_one(struct store *s, const struct entry *e, char *buf)
{
	struct fuse_bufvec v = FUSE_BUFVEC_INIT((size_t)e->body.size);

	if (!ahead_is_wanted(s->fs, e->f, e->body.id) || !read_body(s, e, buf))
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
}

static void *store_thread(void *arg)
{
	struct store *s = arg;
	char *buf = malloc(STORE_SIZE_MAX); /* without it: nothing is stored */
	bool stopping = !buf;
	struct entry e;

	pthread_setname_np(pthread_self(), "store");
	while (!stopping) {
		lock_take(&s->lock);
		while (s->n == 0 && !s->stopping)
			(void)lock_cond_wait(&s->cond, &s->lock, CLOCK_NEVER);
		stopping = s->stopping;
		e = s->ring[s->at];
		if (!stopping) {
			s->at = (s->at + 1) % STORE_RING;
			s->n--;
		}
		lock_drop(&s->lock);
		if (!stopping)
			store_one(s, &e, buf);
	}
	free(buf);
	return NULL;
}

int store_new(struct fs *fs, struct store **ret)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->fs = fs;
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
