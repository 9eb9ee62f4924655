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
 */
#ifndef IMAPFS_FS_HELPER_H
#define IMAPFS_FS_HELPER_H

#include "imap/mail.h"

#include <limits.h>
#include <sys/types.h>

#define HELPER_WORKERS 4

enum helper_op {
	HELPER_MKNOD,
	HELPER_UNLINK,
	HELPER_UTIMES,
	HELPER_MKDIR,
	HELPER_RMDIR,
	HELPER_RENAME,  /* path is two of them, each with its NUL */
	HELPER_OPEN,    /* open for reading, and close */
	HELPER_MOUNTED, /* path is the mount point; remember its device */
	HELPER_GOODBYE, /* the mount is gone by our will: just exit */
};

struct helper_order {
	uint64_t ticket;
	uint32_t op;
	uint32_t lane; /* orders of one lane are done in order */
	char path[2 * PATH_MAX];
};

struct helper_answer {
	uint64_t ticket; /* 0: `error` is the thread id of a worker */
	int32_t error;   /* 0 or positive errno */
};

/*
 * Fork it. `fd` becomes the program's end of the socket (SOCK_SEQPACKET,
 * non-blocking). Call before any thread and before the mount. `close_fd` >= 0
 * is closed in the helper. -errno.
 */
MUST_CHECK int helper_start(int close_fd, int *ret_fd, pid_t *ret_pid);

/* Bytes of an order on the socket. */
size_t helper_order_size(const struct helper_order *o);

#endif
