/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The helper process: the only one of ours that touches our own mount.
 *
 * It is forked before /dev/fuse is opened and never holds that descriptor: a
 * thread of the program that waited in its own mount while the program was
 * killed would leave an unkillable zombie and a dead mount. It takes orders
 * over a socket, has HELPER_WORKERS threads, each folder always on the same
 * one (so that a folder whose lock is held delays only those that share its
 * worker), and answers each order with the errno of its call. When the program
 * is gone (end of file on the socket) without having said goodbye, it unmounts
 * what is left, so that nobody meets 'Transport endpoint is not connected'.
 *
 * It works in a clone of the mount, where that can be had (entrance.h), so that
 * it does not make the mount busy. Once the mount is gone it touches nothing:
 * each order ends with ENOTDIR.
 *
 * It also watches who writes in the mount (writers.h). Watches and leases have
 * a thread each beside the workers: a request that is answered only when its
 * folder is watched holds the lock that a replay there waits for.
 */
#ifndef IMAPFS_FS_HELPER_H
#define IMAPFS_FS_HELPER_H

#include "imap/mail.h"

#include <limits.h>
#include <sys/types.h>

#define HELPER_WORKERS 4
#define HELPER_THREADS (HELPER_WORKERS + 2) /* that touch the mount */

enum helper_op {
	HELPER_MKNOD,
	HELPER_UNLINK,
	HELPER_UTIMES,
	HELPER_MKDIR,
	HELPER_RMDIR,
	HELPER_RENAME,  /* path is two of them, each with its NUL */
	HELPER_OPEN,    /* open for reading, and close */
	HELPER_WATCH,   /* tell of files that were closed in this folder */
	HELPER_UNWATCH, /* not any more; path is "-" */
	HELPER_LEASE,   /* EAGAIN: somebody has this file open for writing */
	HELPER_MOUNTED, /* path is the mount point; remember its device */
	HELPER_GOODBYE, /* the mount is gone by our will: just exit */
};

struct helper_order {
	uint64_t ticket;
	uint32_t op;
	uint32_t lane; /* orders of one lane are done in order; a watch is
			* known by it */
	char path[2 * PATH_MAX];
};

/* Instead of a ticket. */
#define HELPER_HELLO 0u          /* `error` is the id of one of its threads */
#define HELPER_CLOSED UINT64_MAX /* a file was closed by who could write */

struct helper_answer {
	uint64_t ticket;
	int32_t error;           /* 0 or positive errno */
	uint32_t lane;           /* HELPER_CLOSED: of the watch ... */
	char name[NAME_MAX + 1]; /* ... and the name of the file, else "" */
};

/*
 * Fork it. `fd` becomes the program's end of the socket (SOCK_SEQPACKET,
 * non-blocking). Call before any thread and before the mount. `close_fd` >= 0
 * is closed in the helper. -errno.
 */
MUST_CHECK int helper_start(int close_fd, int *ret_fd, pid_t *ret_pid);

/* Bytes on the socket. */
size_t helper_order_size(const struct helper_order *o);
size_t helper_answer_size(const struct helper_answer *a);

#endif
