/* SPDX-License-Identifier: GPL-3.0-or-later */
#define FUSE_USE_VERSION 314
#include "fs/park.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdlib.h>

#include "fs/letgo.h"

/*
 * A list of waiting requests and the keeper, the one thread that owns every
 * time-out.
 *
 *   NEW --registered--> WAITING --claimed--> (off the list)
 *
 * A slot is NEW while its interrupt function is being registered: nobody can
 * claim it yet, but an interrupt is already noted in it. There are as many
 * slots as the kernel lets requests wait (some hundred), so a walk over the
 * list is cheap, and it keeps the requests in the order in which they came.
 */

#define PARK_LOOK_MS 300 /* between two looks at who was interrupted */

struct slot {
	struct slot *next;
	struct slot *next_resuming;
	uint64_t ticket;
	struct request r;
	struct parking how;
	pid_t tid;           /* who waits; 0: unknown here */
	bool waiting;        /* registered: may be claimed */
	bool interrupted;    /* by some signal: is it one to be let go for? */
	int64_t look_at_ms;  /* when the keeper looks for that again */
	bool is_to_be_freed; /* it is: the keeper answers EINTR */
};

struct park {
	pthread_t keeper;

	struct lock lock;      /* RANK_PARK, guards what follows */
	struct lock_cond cond; /* for the keeper */
	struct lock_cond idle; /* a slot was taken off */
	struct slot *head, **tail;
	struct slot *resuming; /* taken off, and not answered or back yet */
	uint64_t last_ticket;
	unsigned n;
	bool closed;
};

/* Interrupts carry only a ticket; there is one mount in a process. */
static struct park *the_park;

static struct slot *find_locked(struct park *p, uint64_t ticket)
{
	for (struct slot *s = p->head; s; s = s->next)
		if (s->ticket == ticket)
			return s;
	return NULL;
}

/* Off the list; the slot is the caller's. */
static struct slot *take_locked(struct park *p, struct slot **at)
{
	struct slot *s = *at;

	*at = s->next;
	if (!*at)
		p->tail = at;
	p->n--;
	lock_cond_wake_all(&p->idle);
	return s;
}

/* Called by libfuse with the request's lock held: only leave a mark. */
static void on_interrupt(fuse_req_t req, void *data)
{
	struct park *p = the_park;
	struct slot *s;

	(void)req;
	lock_take(&p->lock);
	s = find_locked(p, (uint64_t)(uintptr_t)data);
	if (s) {
		s->interrupted = true;
		lock_cond_wake(&p->cond);
	}
	lock_drop(&p->lock);
}

/* `error` 0: its time is over, and it knows what to do then. */
static void answer(struct slot *s, int error)
{
	lock_assert_none();
	fuse_req_interrupt_func(s->r.req, NULL, NULL);
	if (error == 0) {
		s->how.resume(&s->r);
	} else {
		if (s->how.gone)
			s->how.gone(&s->r);
		fuse_reply_err(s->r.req, -error);
		free(s->r.name);
	}
	free(s);
}

static bool is_over(const struct slot *s, int64_t now, bool closed,
		    int *ret_error)
{
	if (s->is_to_be_freed)
		*ret_error = -EINTR;
	else if (closed)
		*ret_error = -ENOTCONN;
	else if (now >= s->how.deadline_ms)
		*ret_error = s->how.late_error;
	else
		return false;
	return true;
}

/* The next slot whose time is over, taken; else when to look again. */
static struct slot *overdue_locked(struct park *p, int *ret_error,
				   int64_t *ret_wake_ms)
{
	int64_t now = clock_now_ms();

	*ret_wake_ms = CLOCK_NEVER;
	for (struct slot **at = &p->head; *at; at = &(*at)->next) {
		if (!(*at)->waiting)
			continue;
		if (is_over(*at, now, p->closed, ret_error))
			return take_locked(p, at);
		if ((*at)->how.deadline_ms < *ret_wake_ms)
			*ret_wake_ms = (*at)->how.deadline_ms;
		if ((*at)->interrupted && (*at)->look_at_ms < *ret_wake_ms)
			*ret_wake_ms = (*at)->look_at_ms;
	}
	return NULL;
}

/*
 * Look once at the first interrupted slot that is due. The kernel tells of the
 * first signal only, and another may follow: so it is looked at again and
 * again. False: none is due. The lock is dropped meanwhile.
 */
static bool look_at_one_locked(struct park *p) REQUIRES(p->lock)
{
	int64_t now = clock_now_ms();
	struct slot *s = p->head;
	uint64_t ticket;
	pid_t tid;
	bool asked;

	while (s && !(s->waiting && s->interrupted && !s->is_to_be_freed &&
		      now >= s->look_at_ms))
		s = s->next;
	if (!s)
		return false;
	ticket = s->ticket;
	tid = s->tid;
	s->look_at_ms = now + PARK_LOOK_MS;
	lock_drop(&p->lock);
	asked = letgo_is_asked(tid);
	lock_take(&p->lock);
	s = find_locked(p, ticket);
	if (s)
		s->is_to_be_freed = asked;
	return true;
}

static void *keeper_thread(void *arg)
{
	struct park *p = arg;
	struct slot *s;
	int64_t wake_ms;
	int error;

	pthread_setname_np(pthread_self(), "keeper");
	lock_take(&p->lock);
	for (;;) {
		s = overdue_locked(p, &error, &wake_ms);
		if (s) {
			lock_drop(&p->lock);
			answer(s, error);
			lock_take(&p->lock);
			continue;
		}
		if (look_at_one_locked(p))
			continue;
		if (p->closed && p->n == 0)
			break;
		(void)lock_cond_wait(&p->cond, &p->lock, wake_ms);
	}
	lock_drop(&p->lock);
	return NULL;
}

int park_new(struct park **ret)
{
	struct park *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;

	lock_init(&p->lock, RANK_PARK);
	lock_cond_init(&p->cond);
	lock_cond_init(&p->idle);
	p->tail = &p->head;
	if (pthread_create(&p->keeper, NULL, keeper_thread, p) != 0) {
		lock_cond_finish(&p->idle);
		lock_cond_finish(&p->cond);
		lock_finish(&p->lock);
		free(p);
		return -EAGAIN;
	}
	the_park = p;
	*ret = p;
	return 0;
}

void park_close(struct park *p)
{
	lock_take(&p->lock);
	p->closed = true;
	lock_cond_wake_all(&p->cond);
	lock_drop(&p->lock);
	pthread_join(p->keeper, NULL);
}

void park_free(struct park *p)
{
	if (!p)
		return;
	lock_cond_finish(&p->idle);
	lock_cond_finish(&p->cond);
	lock_finish(&p->lock);
	free(p);
}

uint64_t park_put(struct park *p, const struct request *r,
		  const struct parking *how)
{
	struct slot *s = calloc(1, sizeof(*s));
	fuse_req_t req = r->req;
	uint64_t ticket;

	if (!s)
		return 0;

	s->r = *r;
	s->how = *how;
	s->tid = fuse_req_ctx(req)->pid;
	lock_take(&p->lock);
	if (p->closed) {
		lock_drop(&p->lock);
		free(s);
		return 0;
	}
	ticket = s->ticket = ++p->last_ticket;
	*p->tail = s;
	p->tail = &s->next;
	p->n++;
	lock_drop(&p->lock);

	/* Not claimable yet, so the request is alive during this call. */
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): a number, not a place. */
	fuse_req_interrupt_func(req, on_interrupt, (void *)(uintptr_t)ticket);

	lock_take(&p->lock);
	s->waiting = true;
	lock_cond_wake(&p->cond);
	lock_drop(&p->lock);
	return ticket;
}

bool park_claim(struct park *p, uint64_t ticket, struct request *ret)
{
	struct slot *s = NULL;

	lock_take(&p->lock);
	for (struct slot **at = &p->head; *at; at = &(*at)->next) {
		if ((*at)->ticket == ticket) {
			s = take_locked(p, at);
			break;
		}
	}
	lock_drop(&p->lock);
	if (!s)
		return false;

	fuse_req_interrupt_func(s->r.req, NULL, NULL);
	*ret = s->r;
	free(s);
	return true;
}

/* Those of one offset stay in the order in which they came. */
static void insert_by_offset(struct slot **list, struct slot *s)
{
	while (*list && (*list)->r.off <= s->r.off)
		list = &(*list)->next;
	s->next = *list;
	*list = s;
}

/* Off the list of those that wait, on that of those being resumed. */
static struct slot *take_waiting_locked(struct park *p, uint64_t key)
	REQUIRES(p->lock)
{
	struct slot *mine = NULL, *s;

	for (struct slot **at = &p->head; *at;) {
		if (!(*at)->waiting || (*at)->how.key != key) {
			at = &(*at)->next;
			continue;
		}
		s = take_locked(p, at);
		insert_by_offset(&mine, s);
		s->next_resuming = p->resuming;
		p->resuming = s;
	}
	return mine;
}

static void resumed(struct park *p, struct slot *s)
{
	lock_take(&p->lock);
	for (struct slot **at = &p->resuming; *at; at = &(*at)->next_resuming) {
		if (*at == s) {
			*at = s->next_resuming;
			break;
		}
	}
	lock_cond_wake_all(&p->idle);
	lock_drop(&p->lock);
	free(s);
}

void park_wake(struct park *p, uint64_t key)
{
	struct slot *mine, *s;

	lock_assert_none();
	lock_take(&p->lock);
	mine = take_waiting_locked(p, key);
	lock_drop(&p->lock);

	while (mine) {
		s = mine;
		mine = s->next;
		fuse_req_interrupt_func(s->r.req, NULL, NULL);
		s->how.resume(&s->r);
		resumed(p, s);
	}
}

void park_extend(struct park *p, uint64_t key, int64_t deadline_ms)
{
	lock_take(&p->lock);
	for (struct slot *s = p->head; s; s = s->next)
		if (s->how.key == key && s->how.deadline_ms < deadline_ms)
			s->how.deadline_ms = deadline_ms;
	lock_drop(&p->lock);
}

unsigned park_count(struct park *p)
{
	unsigned n;

	lock_take(&p->lock);
	n = p->n;
	lock_drop(&p->lock);
	return n;
}

static bool has_key(const struct slot *s, uint64_t key)
{
	return s->how.key == key || s->how.locked[0] == key ||
	       s->how.locked[1] == key || s->how.locked[2] == key;
}

static bool is_parked_locked(struct park *p, uint64_t key) REQUIRES(p->lock)
{
	for (struct slot *s = p->head; s; s = s->next)
		if (has_key(s, key))
			return true;
	for (struct slot *s = p->resuming; s; s = s->next_resuming)
		if (has_key(s, key))
			return true;
	return false;
}

void park_wait_idle(struct park *p, uint64_t key, int64_t deadline_ms)
{
	bool in_time = true;

	lock_take(&p->lock);
	while (is_parked_locked(p, key) && in_time)
		in_time = lock_cond_wait(&p->idle, &p->lock, deadline_ms);
	lock_drop(&p->lock);
}
