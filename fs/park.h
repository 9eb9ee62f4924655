/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests that wait for something that is not here yet.
 *
 * A parked request has one owner: it is known by a ticket, a number, never by a
 * pointer; whoever claims the ticket owns the request and replies. Claimants
 * are: park_wake() for its key (runs the request's `resume`, which replies or
 * parks again), the keeper thread when the deadline is over (replies
 * `late_error`) or its thread was interrupted and is to be let go (EINTR,
 * letgo.h), and park_close().
 *
 * The interrupt function is registered before the ticket can be claimed, and
 * unregistered with no lock held before any reply: libfuse calls it with the
 * request's lock held, also from inside fuse_req_interrupt_func(). It only
 * marks the ticket and wakes the keeper.
 *
 * To miss nothing: read the generation of the thing waited for, look, park,
 * and claim the ticket back with park_claim() if the generation has moved.
 */
#ifndef IMAPFS_FS_PARK_H
#define IMAPFS_FS_PARK_H

#include "fs/fs.h"

#include <sys/types.h>

struct fuse_req;

struct edit_op;

/* What a request that changes something is about, and how far it is. */
struct edit {
	const struct edit_op *op;
	uint64_t to;      /* RENAME: the other directory */
	char *second;     /* in `name`: the other name, or a value */
	unsigned flags;   /* of the operation, or of the message */
	uint64_t waits;   /* for this folder, before it can be made */
	uint64_t sent[2]; /* made: these are on their way to the server */
	bool made;
	bool is_node; /* MKNOD, not CREATE */
};

/* Of mkdir, rmdir and the rename of a directory (ops_folder.c). */
struct mailbox_wait {
	uint64_t op;        /* mailboxes.h */
	uint64_t locked[3]; /* directories that the kernel has locked, too */
};

/* A request and all that is needed to do it again; copied when parked. */
struct request {
	struct fuse_req *req;
	struct fs *fs;
	uint64_t ino;
	size_t size;
	off_t off;
	int64_t began_ms; /* when it first had to wait */
	char *name;       /* its own copy, or the bytes of a WRITE, or NULL */
	bool plus;
	struct reading *reading; /* of a READ (load.h); NULL: of no matter */
	uint64_t said;    /* the size when the READ was looked at first */
	uint32_t heard;   /* notify_heard() before that */
	struct edit edit; /* of a change (ops_change.c) */
	struct mailbox_wait mailbox;
};

typedef void (*park_resume_fn)(struct request *r);
/* The request was given up, and is being answered with an error. */
typedef void (*park_gone_fn)(struct request *r);

struct parking {
	uint64_t key;
	/* Other directories that the kernel has locked meanwhile; 0: none. */
	uint64_t locked[3];
	int64_t deadline_ms;
	int late_error; /* negative errno; 0: resume it then */
	park_resume_fn resume;
	park_gone_fn gone; /* called before an error is replied; or NULL */
};

/* -ENOMEM, -EAGAIN (no thread). */
MUST_CHECK int park_new(struct park **ret);

/* Every request is answered -ENOTCONN, the keeper is joined. */
void park_close(struct park *p);
void park_free(struct park *p);

/*
 * Park a copy of `*r` (its name now belongs to the parking). The ticket, or
 * 0: no memory, or closed; then the request is still the caller's.
 */
MUST_CHECK uint64_t park_put(struct park *p, const struct request *r,
			     const struct parking *how);

/* Take a parked request back: true, and `*ret` is the caller's again. */
MUST_CHECK bool park_claim(struct park *p, uint64_t ticket,
			   struct request *ret);

/*
 * Resume, one after the other, every request that is parked on `key` now, in
 * order of their offsets: where a file turns out to be shorter, the kernel
 * takes the first short answer for the end, and fills up later ones.
 */
void park_wake(struct park *p, uint64_t key);

/* Give all that wait on `key` until `deadline_ms`. */
void park_extend(struct park *p, uint64_t key, int64_t deadline_ms);

/*
 * Wait until nothing is parked on `key`, or has it locked, or the deadline is
 * over. For the notify thread: the kernel holds a directory's lock while LOOKUP
 * and READDIR of it are parked, and RENAME and UNLINK in it, and must not be
 * made to wait for that lock with a thread of ours inside (a killed program
 * could not die).
 */
void park_wait_idle(struct park *p, uint64_t key, int64_t deadline_ms);

/* How many wait at this moment. */
unsigned park_count(struct park *p);

#endif
