/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What ahead.c (streams) and ahead_set.c (sets of bodies on their way) share.
 */
#ifndef IMAPFS_FS_AHEAD_PRIVATE_H
#define IMAPFS_FS_AHEAD_PRIVATE_H

#include "fs/ahead.h"

#define STREAMS 16
#define LISTERS 8
#define RECENT 32      /* messages that a stream has just read */
#define RING 512       /* messages looked at, not read yet */
#define LEFT_ALONE 12  /* messages that a reader who caught up reads itself */
#define WINDOW_MAX 512 /* messages; RING holds them */
#define AHEAD_MESSAGE_MAX (2u << 20) /* larger ones are not fetched ahead */
#define FRESH 4096
#define SET_MESSAGES 32
#define SET_BYTES (256u << 10)
#define WINDOW_BYTES_EACH (32u << 10) /* for a message of the window */
#define WINDOW_BYTES_MAX (16u << 20)
#define LINE_BYTES_MIN (128u << 10) /* of these, from the server */
#define LINE_BYTES_MAX (6u << 20)
#define EXTENT_WHOLE (1u << 16)

/* A window, or a part of one. */
struct ahead_extent {
	uint64_t messages;
	uint64_t bytes;
	uint64_t line; /* of these bytes: they come from the server */
};

struct ahead_item {
	uint64_t id;
	uint64_t bytes;
	uint64_t line;
	bool stored; /* the kernel was to be given it */
};

/* The neighbours of a message: as far as a reader may jump; 0: none. */
struct near {
	uint64_t on;   /* with greater ids */
	uint64_t back; /* with smaller ids */
};

struct stream {
	struct folder *f;        /* NULL: unused */
	uint64_t recent[RECENT]; /* read last, the oldest at n_recent */
	unsigned n_recent;
	uint64_t last;  /* the message read last */
	uint64_t front; /* all from there to here has been looked at */
	struct near near;
	bool on_trust; /* it has read one message, and been looked ahead of */
	int dir;       /* 1: ascending ids, -1: descending, 0: not known */
	uint64_t left; /* up to here the reader is left to itself; 0: nowhere */
	unsigned window; /* messages; and so many times WINDOW_BYTES_EACH */
	int64_t at_ms;   /* when it read last */
	bool looking;    /* a thread walks ahead of it at this moment */
	uint64_t used;   /* by the table's clock */
	uint64_t since;  /* the last landmark, in EXTENT_WHOLEs of the window */
	uint64_t bytes;  /* in the ring */
	uint64_t line;   /* of these, from the server */
	struct ahead_item ring[RING];
	unsigned ring_at, n_ring;
};

/* One UID FETCH of bodies. */
struct ahead_set {
	struct ahead_set *next;
	struct fs *fs;
	struct folder *f;
	uint32_t uidvalidity; /* of all its UIDs */
	imap_job job;
	size_t n;
	uint64_t bytes;
	struct set_item {
		uint64_t id;
		uint32_t uid;
		bool may_store; /* give it to the kernel */
		bool here;      /* it has come: the connection's thread */
		bool done;      /* here, or it will not come: ahead's lock */
	} item[SET_MESSAGES];

	/* Called at its end by whoever made it, if not NULL. */
	void (*ended)(struct ahead_set *set, int result);

	/* Of the connection's thread: the body that is coming. */
	int error; /* the first of one body */
	struct set_item *current;
	struct body *body;
	uint64_t at;
};

/* Who has listed a folder to its end a moment ago. */
struct lister {
	const struct folder *f;
	pid_t pid;
	int64_t at_ms;
};

struct ahead {
	struct lock lock; /* RANK_AHEAD, guards what follows */
	struct stream streams[STREAMS];
	uint64_t clock;
	struct lister listers[LISTERS]; /* the oldest at n_listers */
	unsigned n_listers;
	struct ahead_set *sets; /* asked for */
	unsigned n_sets;
	uint64_t fresh[FRESH]; /* ids of bodies that came a moment ago */
	uint64_t evicted;      /* of cache_stats, when it was looked at last */

	/* How fast bodies come while any are asked for. */
	int64_t busy_since_ms;
	uint64_t busy_bytes;
	uint64_t bytes_a_second; /* 0: not known yet */
	struct ahead_stats stats;
};

/* What a walk ahead gathers: a set to fetch, and what was looked at. */
struct walk {
	struct fs *fs;
	struct folder *f;
	struct box *box;
	int dir;
	uint64_t at;
	struct ahead_extent window;
	struct ahead_extent room; /* of it: may still be looked at */
	uint64_t left;            /* bytes that may be fetched; ahead_walk() */
	uint64_t since;           /* as in the stream */
	uint32_t uidvalidity;     /* of the rows that were read last */
	struct ahead_set *set;
	struct ahead_item seen[WINDOW_MAX];
	size_t n_seen;
};

/* Look at what follows `at`, as far as there is room. */
void ahead_walk(struct walk *w);

/*
 * Add a message; a set that is full, or of other UIDs, is sent, and the next
 * one begun. `uidvalidity` is the folder's before the row was read: of a row
 * that was read before it says nothing, and in a mailbox that was made anew
 * the UID is another message's. `may_store`: the kernel is given the body when
 * it has come.
 */
void ahead_set_add(struct fs *fs, struct folder *f, struct ahead_set **set,
		   const struct cache_msg *m, uint32_t uidvalidity,
		   bool may_store);
/* Ask for it; it is not the caller's any more. */
void ahead_set_send(struct fs *fs, struct ahead_set *set);

/*
 * How much may be on its way: what comes in about a second, so that somebody
 * who waits for something else does not wait longer than that.
 */
uint64_t ahead_line_bytes_locked(struct ahead *a) REQUIRES(a->lock);

#endif
