/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/replay_private.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs/draft.h"
#include "imap/log.h"

/*
 * The program's side of the helper: one thread that owns the socket. Orders
 * wait in a list until the socket takes them; once sent they wait in another
 * one, in the order sent, for their answers. A helper that is gone (or was
 * never reached) ends every order with -ENOTCONN, and folder.c then tells the
 * kernel by itself.
 */

#define REPLAY_IN_FLIGHT 256

static void put(struct order_queue *q, struct order *o)
{
	o->next = NULL;
	*q->tail = o;
	q->tail = &o->next;
}

/* The first one; there is one. */
static void take_first(struct order_queue *q)
{
	q->head = q->head->next;
	if (!q->head)
		q->tail = &q->head;
}

static void wake(struct replay *r)
{
	uint64_t one = 1;

	/* Full means that the thread will wake anyway. */
	if (write(r->wake_fd, &one, sizeof(one)) < 0)
		return;
}

bool replay_queue(struct replay *r, struct order *o, bool is_urgent)
{
	bool dead;

	lock_take(&r->lock);
	dead = r->dead;
	if (!dead) {
		o->ticket = ++r->last_ticket;
		put(is_urgent ? &r->urgent : &r->queue, o);
	}
	lock_drop(&r->lock);
	if (dead) {
		free(o);
		return false;
	}
	wake(r);
	return true;
}

static bool is_urgent(const struct order *o)
{
	return o->what >= HELPER_WATCH && o->what <= HELPER_LEASE;
}

static void finish(struct replay *r, struct order *o, int error)
{
	lock_assert_none();
	o->done(r->fs, o, error);
	free(o);
}

static void answered(struct replay *r, const struct helper_answer *a)
{
	struct order *o;

	if (a->ticket == HELPER_HELLO) {
		if (r->n_tids < HELPER_THREADS)
			r->tids[r->n_tids++] = a->error;
		return;
	}
	if (a->ticket == HELPER_CLOSED) {
		draft_closed(r->fs, a->lane, a->name);
		return;
	}
	for (struct order **at = &r->sent.head; *at; at = &(*at)->next) {
		o = *at;
		if (o->ticket != a->ticket)
			continue;
		*at = o->next;
		if (!*at)
			r->sent.tail = at;
		r->n_sent -= !is_urgent(o);
		finish(r, o, a->error);
		return;
	}
}

/* What is to be sent next, as far as the helper has not too much; or NULL. */
static struct order *next_locked(struct replay *r) REQUIRES(r->lock)
{
	/* Its requests must be known from those of others. */
	if (r->n_tids < HELPER_THREADS)
		return NULL;
	if (r->urgent.head)
		return r->urgent.head;
	return r->n_sent < REPLAY_IN_FLIGHT ? r->queue.head : NULL;
}

static ssize_t send_one(struct replay *r, const struct order *o)
{
	r->out.ticket = o->ticket;
	r->out.op = o->what;
	r->out.lane = o->lane;
	memcpy(r->out.path, o->path, o->path_bytes);
	return send(r->fd, &r->out, helper_order_size(&r->out),
		    MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Send what the socket takes. False: the helper is gone. */
static bool send_queue(struct replay *r)
{
	struct order *o;
	ssize_t n;

	for (;;) {
		lock_take(&r->lock);
		o = next_locked(r);
		/* This thread alone takes orders out: it stays the first. */
		lock_drop(&r->lock);
		if (!o)
			return true;
		n = send_one(r, o);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;

		lock_take(&r->lock);
		take_first(is_urgent(o) ? &r->urgent : &r->queue);
		lock_drop(&r->lock);
		put(&r->sent, o);
		r->n_sent += !is_urgent(o);
	}
}

/* Read every answer that is there. False: the helper is gone. */
static bool receive(struct replay *r)
{
	struct helper_answer a;
	ssize_t n;

	for (;;) {
		memset(&a, 0, sizeof(a));
		n = recv(r->fd, &a, sizeof(a) - 1, MSG_DONTWAIT);
		if (n > (ssize_t)offsetof(struct helper_answer, name))
			answered(r, &a);
		else if (n < 0 && errno == EINTR)
			continue;
		else
			return n < 0 && errno == EAGAIN;
	}
}

static void end_queue(struct replay *r, struct order *o)
{
	struct order *next;

	for (; o; o = next) {
		next = o->next;
		finish(r, o, ENOTCONN);
	}
}

static void end_all(struct replay *r)
{
	struct order *urgent, *queue;

	/* Their numbers may be given to other processes now. */
	for (unsigned i = 0; i < HELPER_THREADS; i++)
		r->tids[i] = 0;
	lock_take(&r->lock);
	r->dead = true;
	urgent = r->urgent.head;
	queue = r->queue.head;
	r->urgent.head = r->queue.head = NULL;
	r->urgent.tail = &r->urgent.head;
	r->queue.tail = &r->queue.head;
	lock_drop(&r->lock);

	end_queue(r, r->sent.head);
	r->sent.head = NULL;
	r->sent.tail = &r->sent.head;
	end_queue(r, urgent);
	end_queue(r, queue);
}

/* Is there more to be sent? */
static bool has_queue(struct replay *r, bool *ret_stopping)
{
	bool has;

	lock_take(&r->lock);
	has = next_locked(r) != NULL;
	*ret_stopping = r->stopping;
	lock_drop(&r->lock);
	return has;
}

static void *replay_thread(void *arg)
{
	struct replay *r = arg;
	struct pollfd p[2] = {{.fd = r->fd}, {.fd = r->wake_fd}};
	bool alive = true, stopping = false, more;
	uint64_t n;

	pthread_setname_np(pthread_self(), "replay");
	while (alive) {
		more = has_queue(r, &stopping);
		if (stopping)
			break;
		p[0].events = POLLIN;
		if (more)
			p[0].events |= POLLOUT;
		p[1].events = POLLIN;
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[1].revents && read(r->wake_fd, &n, sizeof(n)) < 0 &&
		    errno != EAGAIN)
			break;
		alive = receive(r) && send_queue(r);
	}
	if (!stopping)
		log_warn("replay: the helper process is gone: programs that "
			 "watch folders will not be told of changes");
	end_all(r);
	return NULL;
}

int replay_new(struct fs *fs, int fd, struct replay **ret)
{
	struct replay *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;

	r->fs = fs;
	r->fd = fd;
	lock_init(&r->lock, RANK_REPLAY);
	r->urgent.tail = &r->urgent.head;
	r->queue.tail = &r->queue.head;
	r->sent.tail = &r->sent.head;
	r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->wake_fd < 0 ||
	    pthread_create(&r->thread, NULL, replay_thread, r) != 0) {
		if (r->wake_fd >= 0)
			close(r->wake_fd);
		lock_finish(&r->lock);
		free(r);
		return -EAGAIN;
	}
	*ret = r;
	return 0;
}

void replay_stop(struct replay *r)
{
	struct helper_order bye = {.op = HELPER_GOODBYE, .path = "-"};

	lock_take(&r->lock);
	r->stopping = true;
	lock_drop(&r->lock);
	wake(r);
	pthread_join(r->thread, NULL);
	/* If it cannot take it, it will find the mount gone by itself. */
	if (send(r->fd, &bye, helper_order_size(&bye),
		 MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("replay: the helper did not hear the goodbye");
	close(r->fd);
	r->fd = -1;
}

void replay_free(struct replay *r)
{
	if (!r)
		return;
	close(r->wake_fd);
	lock_finish(&r->lock);
	free(r);
}
