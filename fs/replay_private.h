/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What replay.c (what the helper is to do) and replay_thread.c (the socket to
 * it) share.
 */
#ifndef IMAPFS_FS_REPLAY_PRIVATE_H
#define IMAPFS_FS_REPLAY_PRIVATE_H

#include "fs/helper.h"
#include "fs/replay.h"

struct order {
	struct order *next;
	struct folder *f; /* NULL: an order without a folder */
	enum replay_op op;
	uint64_t id;
	uint64_t ticket;
	enum helper_op what;
	uint32_t lane;
	/* Its end, however it came: `error` is 0 or a positive errno. */
	void (*done)(struct fs *fs, const struct order *o, int error);
	size_t path_bytes; /* with the NUL of each path */
	char path[];
};

struct order_queue {
	struct order *head, **tail;
};

struct replay {
	struct fs *fs;
	int fd;
	int wake_fd;
	pthread_t thread;

	/* Set before the first touch is queued. */
	void (*touched)(void *ctx);
	void *touched_ctx;

	/* The thread's own. */
	struct order_queue sent;
	unsigned n_sent;         /* replays; not what was urgent */
	struct helper_order out; /* the one being sent */

	struct lock lock; /* RANK_REPLAY, guards what follows */
	/* A request is parked until an urgent order is done. It may hold the
	 * lock for which all replays that were sent are waiting. */
	struct order_queue urgent, queue;
	uint64_t last_ticket;
	bool dead; /* nothing goes to the helper any more */
	bool stopping;

	/* Thread ids of the helper; 0: unknown. No lock: nothing is sent to it
	 * before all are known, so no request of its comes before that. */
	_Atomic pid_t tids[HELPER_THREADS];
	unsigned n_tids;
};

/* Takes it. False: no helper; its `done` will not be called. */
bool replay_queue(struct replay *r, struct order *o, bool is_urgent);

#endif
