/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/resolve.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "imap/lock.h"

/*
 * One struct lookup has two owners, the asker and the thread; who leaves last
 * frees it, with whatever answer nobody took. The thread writes the answer,
 * then the eventfd; the asker reads the eventfd, then the answer. No lock: the
 * reference count and the `done` flag order all accesses.
 */
struct lookup {
	char *host;
	char service[8];
	int event;

	atomic_int refs;
	atomic_bool done; /* the two below are set */
	struct addrinfo *found;
	int gai;
};

static const struct addrinfo hints = {
	.ai_family = AF_UNSPEC,
	.ai_socktype = SOCK_STREAM,
	.ai_flags = AI_NUMERICSERV,
};

int deadline_poll_ms(int64_t deadline_ms)
{
	int64_t left;

	if (deadline_ms == CLOCK_NEVER)
		return -1;
	left = deadline_ms - clock_now_ms();
	if (left < 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}

static void lookup_put(struct lookup *l)
{
	if (atomic_fetch_sub(&l->refs, 1) > 1)
		return;
	if (l->found)
		freeaddrinfo(l->found);
	if (l->event >= 0)
		close(l->event);
	free(l->host);
	free(l);
}

static void *lookup_run(void *arg)
{
	struct lookup *l = arg;
	uint64_t one = 1;

	l->gai = getaddrinfo(l->host, l->service, &hints, &l->found);
	atomic_store(&l->done, true);
	/* It cannot fail: the counter of a fresh eventfd is 0. */
	if (write(l->event, &one, sizeof(one)) < 0)
		(void)one;
	lookup_put(l);
	return NULL;
}

static int lookup_start(struct lookup *l)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all;
	sigset_t old;
	int r;

	if (pthread_attr_init(&attr) != 0)
		return -ENOMEM;

	/* Signals are for the threads that know what to do with them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	atomic_fetch_add(&l->refs, 1);
	r = pthread_create(&thread, &attr, lookup_run, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (r != 0) {
		atomic_fetch_sub(&l->refs, 1);
		return -ENOMEM;
	}
	return 0;
}

static int lookup_wait(struct lookup *l, int wake_fd, int64_t deadline_ms)
{
	struct pollfd p[2] = {
		{.fd = l->event, .events = POLLIN},
		{.fd = wake_fd, .events = POLLIN},
	};
	int r;

	do
		r = poll(p, 2, deadline_poll_ms(deadline_ms));
	while (r < 0 && errno == EINTR);
	if (atomic_load(&l->done))
		return 0;
	if (r < 0)
		return -ENOMEM;
	return r == 0 ? -ETIMEDOUT : -ECANCELED;
}

static struct lookup *lookup_new(const char *host, uint16_t port)
{
	struct lookup *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;

	atomic_init(&l->refs, 1);
	(void)snprintf(l->service, sizeof(l->service), "%u", port);
	l->host = strdup(host);
	l->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!l->host || l->event < 0) {
		lookup_put(l);
		return NULL;
	}
	return l;
}

static int lookup_take(struct lookup *l, struct addrinfo **ret, int *ret_gai)
{
	if (l->gai == EAI_MEMORY)
		return -ENOMEM;
	if (l->gai != 0) {
		*ret_gai = l->gai;
		return -ENOENT;
	}
	*ret = l->found;
	l->found = NULL;
	return 0;
}

/* Addresses written as numbers need no thread. */
static bool is_numeric(const char *host, uint16_t port, struct addrinfo **ret)
{
	struct addrinfo numeric = hints;
	char service[8];

	numeric.ai_flags |= AI_NUMERICHOST;
	(void)snprintf(service, sizeof(service), "%u", port);
	return getaddrinfo(host, service, &numeric, ret) == 0;
}

int resolve_host(const char *host, uint16_t port, int wake_fd,
		 int64_t deadline_ms, struct addrinfo **ret, int *ret_gai)
{
	struct lookup *l;
	int r;

	if (is_numeric(host, port, ret))
		return 0;
	l = lookup_new(host, port);
	if (!l)
		return -ENOMEM;

	r = lookup_start(l);
	if (r == 0)
		r = lookup_wait(l, wake_fd, deadline_ms);
	if (r == 0)
		r = lookup_take(l, ret, ret_gai);
	lookup_put(l);
	return r;
}
