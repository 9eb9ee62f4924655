/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/replay.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs/folder.h"
#include "fs/helper.h"
#include "imap/log.h"

/*
 * The program's side of the helper: one thread that owns the socket. Orders
 * wait in a list until the socket takes them; once sent they wait in another
 * one, in the order sent, for their answers. A helper that is gone (or was
 * never reached) ends every order with -ENOTCONN, and folder.c then tells the
 * kernel by itself.
 */

#define REPLAY_IN_FLIGHT 256

struct order {
	struct order *next;
	struct folder *f; /* NULL: an order without a folder */
	enum replay_op op;
	uint64_t id;
	uint64_t ticket;
	enum helper_op what;
	uint32_t lane;
	size_t path_bytes; /* with the NUL of each path */
	char path[];
};

struct replay {
	struct fs *fs;
	int fd;
	int wake_fd;
	pthread_t thread;

	/* The thread's own. */
	struct order *sent, **sent_tail;
	unsigned n_sent;
	struct helper_order out; /* the one being sent */

	struct lock lock; /* RANK_REPLAY, guards what follows */
	struct order *queue, **queue_tail;
	uint64_t last_ticket;
	bool dead; /* nothing goes to the helper any more */
	bool stopping;

	/* Thread ids of the helper; 0: unknown. No lock: nothing is sent to it
	 * before all are known, so no request of its comes before that. */
	_Atomic pid_t tids[HELPER_WORKERS];
	unsigned n_tids;
};

static void wake(struct replay *r)
{
	uint64_t one = 1;

	/* Full means that the thread will wake anyway. */
	if (write(r->wake_fd, &one, sizeof(one)) < 0)
		return;
}

/* PATH below the mount point, then NAME in it if there is one. */
static int put_path(struct fs *fs, char *to, size_t room, const char *path,
		    const char *name)
{
	return snprintf(to, room, "%s%s%s%s%s", fs->opt->mountpoint,
			path[0] ? "/" : "", path, name[0] ? "/" : "", name);
}

/* Many may have to wait: an order has no more bytes than it needs. */
static struct order *order_new(struct fs *fs, enum helper_op op, uint32_t lane,
			       const char *path, const char *name)
{
	int n = put_path(fs, NULL, 0, path, name);
	struct order *o;

	if (n < 0 || n >= PATH_MAX)
		return NULL;
	o = calloc(1, sizeof(*o) + (size_t)n + 1);
	if (!o)
		return NULL;
	o->what = op;
	o->lane = lane;
	o->path_bytes = (size_t)n + 1;
	(void)put_path(fs, o->path, o->path_bytes, path, name);
	return o;
}

/* A second path, behind the first one. NULL: the order is gone. */
static struct order *order_add_path(struct fs *fs, struct order *o,
				    const char *path)
{
	int n = put_path(fs, NULL, 0, path, "");
	struct order *longer = NULL;

	if (o && n > 0 && n < PATH_MAX)
		longer = realloc(o, sizeof(*o) + o->path_bytes + (size_t)n + 1);
	if (!longer) {
		free(o);
		return NULL;
	}
	(void)put_path(fs, longer->path + longer->path_bytes, (size_t)n + 1,
		       path, "");
	longer->path_bytes += (size_t)n + 1;
	return longer;
}

static bool push(struct replay *r, struct order *o)
{
	bool dead;

	lock_take(&r->lock);
	dead = r->dead;
	if (!dead) {
		o->ticket = ++r->last_ticket;
		*r->queue_tail = o;
		r->queue_tail = &o->next;
	}
	lock_drop(&r->lock);
	if (dead) {
		free(o);
		return false;
	}
	wake(r);
	return true;
}

/* What of a path is below the mount point. */
static const char *shown_path(struct fs *fs, const char *path)
{
	size_t skip = strlen(tree_root(fs->tree)->path);

	/* Nothing above the mounted mailbox is part of the path. */
	if (skip > 0 && strlen(path) > skip)
		skip++;
	return path + (skip <= strlen(path) ? skip : 0);
}

static const enum helper_op helper_ops[] = {
	[REPLAY_CREATE] = HELPER_MKNOD,  [REPLAY_UNLINK] = HELPER_UNLINK,
	[REPLAY_ATTRIB] = HELPER_UTIMES, [REPLAY_MKDIR] = HELPER_MKDIR,
	[REPLAY_RENAME] = HELPER_RENAME, [REPLAY_RMDIR] = HELPER_RMDIR,
};

bool replay_push(struct replay *r, struct folder *f,
		 const struct replayed *what)
{
	struct order *o;

	o = order_new(r->fs, helper_ops[what->op], (uint32_t)f->id,
		      shown_path(r->fs, f->path), what->name);
	if (!o)
		return false;

	o->f = f;
	o->op = what->op;
	o->id = what->id;
	return push(r, o);
}

bool replay_push_folder(struct replay *r, struct folder *f, enum replay_op op)
{
	char *to = NULL;
	struct order *o;

	if (op == REPLAY_RENAME && tree_goes_to(r->fs->tree, f, &to) != 0)
		return false;
	/* One lane for all: what moves below a new folder comes after it. */
	o = order_new(r->fs, helper_ops[op], 0, shown_path(r->fs, f->path), "");
	if (to)
		o = order_add_path(r->fs, o, shown_path(r->fs, to));
	free(to);
	if (!o)
		return false;

	o->f = f;
	o->op = op;
	return push(r, o);
}

void replay_mounted(struct replay *r)
{
	struct order *o = order_new(r->fs, HELPER_MOUNTED, 0, "", "");

	if (o)
		(void)push(r, o);
	o = order_new(r->fs, HELPER_OPEN, 0, ".imapfs", "status");
	if (o)
		(void)push(r, o);
}

bool replay_is_helper(struct replay *r, pid_t pid)
{
	for (unsigned i = 0; i < HELPER_WORKERS; i++)
		if (pid != 0 && r->tids[i] == pid)
			return true;
	return false;
}

static void finish_message(struct replay *r, const struct order *o, int error)
{
	const struct replayed what = {o->op, o->id, strrchr(o->path, '/') + 1};

	folder_replayed(r->fs, o->f, &what, -error);
}

/* The end of an order, however it came. */
static void finish(struct replay *r, struct order *o, int error)
{
	lock_assert_none();
	if (o->f && o->op >= REPLAY_MKDIR)
		tree_replayed(r->fs->tree, o->f, o->op, -error);
	else if (o->f)
		finish_message(r, o, error);
	else if (error != 0)
		log_debug("replay: first touch of the mount: %s",
			  strerrordesc_np(error));
	free(o);
}

static void answered(struct replay *r, const struct helper_answer *a)
{
	struct order *o;

	if (a->ticket == 0) {
		if (r->n_tids < HELPER_WORKERS)
			r->tids[r->n_tids++] = a->error;
		return;
	}
	for (struct order **at = &r->sent; *at; at = &(*at)->next) {
		o = *at;
		if (o->ticket != a->ticket)
			continue;
		*at = o->next;
		if (!*at)
			r->sent_tail = at;
		r->n_sent--;
		finish(r, o, a->error);
		return;
	}
}

/* Its requests can be told from those of others, and it has not too much. */
static bool may_send(const struct replay *r)
{
	return r->n_tids == HELPER_WORKERS && r->n_sent < REPLAY_IN_FLIGHT;
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

	while (may_send(r)) {
		lock_take(&r->lock);
		o = r->queue;
		lock_drop(&r->lock);
		if (!o)
			return true;
		n = send_one(r, o);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;

		lock_take(&r->lock);
		r->queue = o->next;
		if (!r->queue)
			r->queue_tail = &r->queue;
		lock_drop(&r->lock);
		o->next = NULL;
		*r->sent_tail = o;
		r->sent_tail = &o->next;
		r->n_sent++;
	}
	return true;
}

/* Read every answer that is there. False: the helper is gone. */
static bool receive(struct replay *r)
{
	struct helper_answer a;
	ssize_t n;

	for (;;) {
		n = recv(r->fd, &a, sizeof(a), MSG_DONTWAIT);
		if (n == (ssize_t)sizeof(a))
			answered(r, &a);
		else if (n < 0 && errno == EINTR)
			continue;
		else
			return n < 0 && errno == EAGAIN;
	}
}

static void end_all(struct replay *r)
{
	struct order *o, *queue;

	/* Their numbers may be given to other processes now. */
	for (unsigned i = 0; i < HELPER_WORKERS; i++)
		r->tids[i] = 0;
	lock_take(&r->lock);
	r->dead = true;
	queue = r->queue;
	r->queue = NULL;
	r->queue_tail = &r->queue;
	lock_drop(&r->lock);

	while ((o = r->sent) != NULL) {
		r->sent = o->next;
		finish(r, o, ENOTCONN);
	}
	r->sent_tail = &r->sent;
	while ((o = queue) != NULL) {
		queue = o->next;
		finish(r, o, ENOTCONN);
	}
}

static bool has_queue(struct replay *r, bool *ret_stopping)
{
	bool has;

	lock_take(&r->lock);
	has = r->queue != NULL;
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
		if (more && may_send(r))
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
	r->queue_tail = &r->queue;
	r->sent_tail = &r->sent;
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
