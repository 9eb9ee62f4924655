/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of the flusher share: flush.c (the thread), flush_batch.c
 * (batches), flush_plan.c (from the journal to them), flush_lane.c (what was
 * learnt of a pair of folders), flush_send.c (commands), flush_answer.c (their
 * answers), flush_look.c, flush_found.c, flush_match.c and flush_alike.c (what
 * became of a command whose answer was lost), flush_labels.c (what labels
 * move), flush_left.c (flags that are not kept) and flush_end.c (settling).
 *
 * The life of a batch; all of it on the flusher's thread, but for the jobs'
 * callbacks, which fill in what was heard and say that it has come:
 *
 *   plan -> ASKING ----> SENDING -------> (MEASURING) -------> settled
 *     |       UIDNEXT of    |  no answer,   new messages         ^
 *     | doubt `to`          v  or no UIDs in it                  |
 *     +------------> LOOKING_TO -> LOOKING_FROM -> REMOVING -----+
 *   found SENT          ^   |           ^______________| what is in both
 *   at start            |   v nowhere: once more, a while later
 *                      PAUSED
 *
 * What is sent again though nobody knows what became of it the first time (a
 * batch in doubt) is looked for right before, and such batches go into a folder
 * one after the other: a server that repairs a mailbox while it does one of
 * them may find there what it did of another. What is not to go there any more
 * is looked for, too, as a batch that sends nothing.
 */
#ifndef IMAPFS_FS_FLUSH_PRIVATE_H
#define IMAPFS_FS_FLUSH_PRIVATE_H

#include "cache/journal.h"
#include "fs/flush.h"
#include "fs/load.h"
#include "fs/ranges.h"
#include "imap/change.h"

/* Batches at a time. */
#define FLUSH_BATCHES 4
/* New messages of a batch, and their bytes, beyond the first. */
#define FLUSH_APPENDS 64
#define FLUSH_APPEND_BYTES (8u << 20)
/* What is queued is gathered until nothing came for so long, at most ... */
#define FLUSH_QUIET_MS 25
/* ... so long. */
#define FLUSH_GATHER_MS 400
/* After a refusal that may pass: the first pause, and the longest. */
#define FLUSH_RETRY_MS 1000
#define FLUSH_RETRY_MAX_MS 300000
/*
 * Before it is believed that a message is nowhere. A server may still be about
 * to do what it was told on a connection that is gone: Courier looks for the
 * lock of a mailbox once a second. So the second pause is four times as long.
 */
#define FLUSH_LOOK_AGAIN_MS 1000
#define FLUSH_LOOKS 3
/* So often a message waits for those that are alike (flush_alike.c). */
#define FLUSH_TWIN_WAITS 6
/* A command that succeeds so often and moves nothing is refused. */
#define FLUSH_TRIES 5

enum verdict {
	VERDICT_OPEN,
	VERDICT_DONE,
	VERDICT_AGAIN,
	VERDICT_UNSURE,
	VERDICT_UNDO,
	VERDICT_GONE,
};

/* A message of a batch. */
struct item {
	struct batch *batch;
	uint64_t id, gen, at;
	unsigned tries;
	uint32_t uid;        /* in `from`; 0: it is new */
	uint32_t to;         /* in `to`; 0: not known (yet) */
	uint64_t size;       /* of a new one ... */
	uint64_t size_there; /* ... and as the server has it; 0: unknown */
	struct correction correction; /* of `size` (flush_end.c) */
	bool has_flags;               /* they are known: */
	uint32_t flags;
	char *keywords;
	char *labels;    /* NULL: those are not */
	bool is_gone;    /* from `from` */
	bool is_doubted; /* it is sent again, and may have been done */
	enum verdict verdict;
	int error;    /* of VERDICT_UNDO */
	int result;   /* of imap_append() ... */
	bool unknown; /* ... and whether it may have been done */
	char *why;    /* ... with the server's words, or NULL */
	/* While it is looked for; `of` means nothing. */
	struct cache_key key;
	bool has_key, is_key_known;
	bool is_found;    /* `to`, by a look */
	bool is_given_up; /* it may be there: it is sent again all the same */
};

/* A message that was found in the destination. */
struct found {
	struct cache_key key; /* `of` is its UID */
	bool has_key;
	bool is_taken;
	uint64_t size;
	char *text; /* that it is known by without a key */
};

/* What was heard while looking. */
struct look {
	struct found *found;
	size_t n, room;
	uint32_t uidvalidity; /* of the mailbox that was opened */
	uint32_t uidnext;     /* messages below are older than the command */
	struct ranges present, vanished;
	bool by_absence;
	bool enough; /* what follows is older */
	int result;
};

enum batch_state {
	BATCH_ASKING,
	BATCH_SENDING,
	BATCH_LOOKING_TO,
	BATCH_LOOKING_FROM,
	BATCH_MEASURING,
	BATCH_REMOVING,
	BATCH_PAUSED,
};

struct batch {
	struct batch *next;
	struct flush *flush;
	enum journal_part part;
	struct folder *from, *to; /* NULL: none */
	uint32_t from_uidvalidity;
	uint32_t to_uidvalidity, to_uidnext; /* before the command */
	/* Of JOURNAL_STORE. */
	uint32_t add, remove;
	char *add_keywords, *remove_keywords;
	char *add_labels, *remove_labels;

	struct item *v; /* ascending by `uid`, except new ones */
	size_t n, room;
	uint64_t bytes; /* of new messages */

	bool is_doubted;   /* `to_uidnext` is from before an older command */
	bool is_relooking; /* ... whose messages are looked for */
	bool is_look;      /* nothing is sent */

	enum batch_state state;
	unsigned pending; /* jobs; flush->lock */
	unsigned looks;
	unsigned retries;
	unsigned twin_waits; /* for those that are alike ... */
	bool is_waiting;     /* ... as it does now, paused */
	int64_t resume_ms;   /* BATCH_PAUSED; CLOCK_NEVER: until online */
	bool has_copied;     /* a move, by COPY: the source is to be removed */
	bool is_removing;    /* it pauses before that */
	bool is_plain;       /* the source is asked for all that is there */
	bool has_removed;    /* what is left in the source is asked for again */
	bool is_settling;    /* it pauses since that failed */
	bool is_split;       /* it was refused as a whole: next time a part */
	struct look look;

	/* What the command's `done` said. */
	int result;
	bool unknown;
	bool only_flagged;
	bool is_read_only;          /* `from` */
	uint32_t heard_uidvalidity; /* of `to`, with the new UIDs */
	unsigned left_flags;
	char *left_keywords;
	char *why; /* or NULL */
};

/* Where a record's next command goes from and to, and what it does. */
struct way {
	enum journal_part part;
	struct folder *from, *to;
	uint32_t uidvalidity;
	/* It went out before, when `to` was so, and may have been done. */
	bool is_doubted;
	/* It is not to go there any more: it is only looked for. */
	bool is_look;
	uint32_t to_uidvalidity, to_uidnext;
};

/* What is remembered of batches of one kind between one pair of folders. */
struct lane {
	struct lane *next;
	enum journal_part part;
	struct folder *from, *to;
	size_t limit; /* messages at a time */
	/* Of `to`, as it was once: its UIDNEXT only grows. 0: not known. */
	uint32_t to_uidvalidity, to_uidnext;
	unsigned refusals;
	int64_t retry_ms; /* not before then; 0: at once */
	int64_t pause_ms; /* the last one */
};

/* What our commands have put into a folder, as the server said. */
struct arrivals {
	struct arrivals *next;
	struct folder *to;
	uint32_t uidvalidity;
	struct ranges uids;
	bool is_incomplete; /* for want of memory */
};

struct refusal {
	uint64_t id;
	int error;
};

struct flush {
	struct fs *fs;
	pthread_t thread;
	int64_t retry_ms; /* FLUSH_RETRY_MS; fixed once the thread runs */
	int64_t again_ms; /* FLUSH_LOOK_AGAIN_MS, likewise */

	/* The thread's. */
	struct batch *batches;
	unsigned n_batches;
	struct lane *lanes;
	struct arrivals *arrivals; /* since the thread began, when the ... */
	uint64_t first_id;         /* ... next new message was to get this id */
	struct folder **waiting;   /* folders that are wanted and busy */
	size_t n_waiting, waiting_room;
	int64_t replan_ms; /* a lane's pause is over; or CLOCK_NEVER */

	struct lock lock; /* RANK_FLUSH, guards what follows */
	struct lock_cond cond;
	bool arrived;     /* an answer, or an idle folder */
	bool came_online; /* no pause counts any more */
	bool hurry;       /* somebody waits */
	bool day_is_over; /* new messages wait for another one */
	bool stopping;    /* and `deadline_ms` */
	bool has_ended;   /* the thread, or it never began */
	int64_t first_ms; /* when what is gathered began to come; 0: nothing */
	int64_t last_ms;
	int64_t deadline_ms;
	uint64_t gen;
	struct refusal refusal[FLUSH_REFUSALS];
	size_t next_refusal;
};

/* --- flush.c --- */

/* From a job's callback: what was asked has come. */
void flush_arrived(struct batch *b);
/* ... or is on its way: one more job, or (it was not begun) one less. */
void flush_expect(struct batch *b, int n);
void flush_remember(struct flush *fl, uint64_t id, int error);
/* Something was settled: who waits looks again. */
void flush_tell(struct flush *fl);

/* --- flush_batch.c --- */

/* NULL: no memory. */
struct batch *batch_new(struct flush *fl, const struct way *w,
			const struct journal_entry *e);
/* NULL is fine. */
void batch_free(struct batch *b);
/* Is this record one for this batch? */
bool batch_goes(const struct batch *b, const struct way *w,
		const struct journal_entry *e);
/* Is it a change of labels, whatever else it changes? */
bool batch_has_labels(const struct batch *b);
/* -ENOMEM. */
MUST_CHECK int batch_add(struct batch *b, const struct journal_entry *e);
/* By the UIDs in the source; new ones stay as they came. */
void batch_sort(struct batch *b);
/* The message is not in the batch any more. */
void batch_drop(struct batch *b, size_t i);

/* --- flush_lane.c, flush_plan.c --- */

/* Begin what may begin. */
void flush_plan(struct flush *fl);
/* The batches of what was sent before the start. -ENOMEM, cache errors. */
MUST_CHECK int flush_find_sent(struct flush *fl);
/* NULL: no memory. */
struct lane *flush_lane(struct flush *fl, enum journal_part part,
			struct folder *from, struct folder *to);
/* Not before a while from now, which is longer each time. */
void flush_pause_lane(struct flush *fl, struct lane *l);
void flush_forget_pauses(struct flush *fl);
/* The messages of the batch that were done have their UIDs in `to`. */
void flush_note_arrivals(struct batch *b);
/* Did a command of ours put it there? True also if that is not known. */
bool flush_has_arrived(struct flush *fl, const struct folder *to,
		       uint32_t uidvalidity, uint32_t uid);
void flush_free_lanes(struct flush *fl);

/* --- flush_send.c --- */

/*
 * This command for the messages that have no verdict yet. One that cannot be
 * begun was not sent.
 */
void flush_run(struct batch *b, enum journal_part part);
/* The command of a batch whose messages are marked as sent. */
void flush_send_marked(struct batch *b);
/* What imap_uidnext() was asked has come. */
void flush_asked(struct batch *b);
/* A batch whose folders are held. */
void flush_begin(struct batch *b);
/* Its command again, or what comes after a pause. */
void flush_go_on(struct batch *b);
/* What was asked has come. */
void flush_step(struct batch *b);
/* What is in both places leaves the source; or the batch ends. */
void flush_remove_rest(struct batch *b);
/* It is known which of those that were removed are gone. */
void flush_looked_again(struct batch *b);

/* --- flush_look.c: what is asked; flush_found.c: what it means --- */

void look_start_to(struct batch *b, enum batch_state state);
void look_start_from(struct batch *b);

void flush_look(struct batch *b);
/* ... as often as it takes to believe that it is not there. */
void flush_look_properly(struct batch *b);
/* New messages have UIDs: are they there as they were sent? */
void flush_measure(struct batch *b);
/* What was looked for is known. */
void flush_looked(struct batch *b);
/* They were removed: are they gone? */
void flush_look_from(struct batch *b);
void look_clear(struct look *l);

/* --- flush_match.c --- */

/* What a message is known by without a key. NULL: nothing, or no memory. */
char *flush_text_of(const char *const field[N_FIELDS]);
/* Which of those that were found are the messages of the batch? */
MUST_CHECK int flush_match(struct batch *b);
/* It is known which are gone from the source: those come first. */
void flush_match_gone(struct batch *b);

/* --- flush_alike.c --- */

/* Is it a message of another batch? */
bool flush_is_claimed(const struct batch *b, uint32_t uid);
/* Its content key, if it has one, is in the item. */
bool flush_has_key(struct batch *b, struct item *it);
bool flush_is_alike(const struct item *a, const struct item *b);
/*
 * What was found may be a message of another batch that is alike. True: the
 * batch is to look again after a pause.
 */
bool flush_waits_for_twins(struct batch *b);
/* So many are sent again that may have arrived: it is listed. */
void flush_note_twice(struct batch *b, size_t n, const char *why);

/* --- flush_labels.c --- */

/* Labels of the batch were stored: which folders are others now? */
void flush_note_labels(struct batch *b);

/* --- flush_left.c --- */

/* A change of which the mailbox keeps nothing is one that it refuses. */
void flush_refuse_left(struct batch *b);
/* What was stored is settled: the flags become those that the server has. */
void flush_correct_flags(struct batch *b);

/* --- flush_end.c --- */

/*
 * Where a message of the batch was, for people: the name is that of the row;
 * free(). NULL: no memory.
 */
char *flush_file_of(struct batch *b, const struct item *it);

/* Every message has a verdict: settle them, give the folders back, free. */
void flush_end(struct batch *b);

#endif
