/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The inside of the journal: its records in memory (journal.c), the plan of a
 * transaction (plan.c), its SQL (journal_sql.c), and the files of what is
 * unsent (spool.c).
 *
 * A record that is in the journal is never changed: a change makes a new one,
 * which takes its place when the plan is committed. So all that can fail comes
 * first, and an operation that waits for the writer holds the very record that
 * it is to write.
 */
#ifndef IMAPFS_CACHE_CHANGES_H
#define IMAPFS_CACHE_CHANGES_H

#include "cache/box.h"
#include "cache/delta.h"
#include "cache/messages.h"

/* --- journal.c: the records --- */

struct change {
	uint64_t id; /* fixed once it is in the journal, as what follows */
	uint64_t seq;
	uint64_t gen;
	struct journal_place origin;
	enum journal_how how;
	enum journal_phase phase;
	uint64_t after;
	struct delta delta; /* of a new message: all that it has */
	char *name;         /* at the origin; NULL: as now */
	char *spool;        /* its file; NULL: none */
	unsigned sent;
	uint64_t sent_to;
	uint32_t sent_uidvalidity, sent_uidnext;
	struct delta sent_delta;
	int64_t queued_at;
	unsigned tries;

	/* Where its row is; not stored, for the row says so itself. */
	uint64_t at;
	struct record row; /* and `row_name`: of a row in the limbo */
	char *row_name;

	/* c->journal.lock: */
	unsigned refs;
	unsigned waiters;  /* records whose `after` this is */
	struct step *step; /* that replaces it, in the plan that is made */
	struct change *next_by_id, *next_by_origin;
};

MUST_CHECK int journal_init(struct cache *c);
void journal_finish(struct cache *c);

/*
 * May the user change anything now? Waits for room in the writer's queue. Its
 * error, if the index cannot be written.
 */
MUST_CHECK int journal_ready(struct cache *c);

struct change *journal_find_locked(const struct journal *j, uint64_t id)
	REQUIRES(j->lock);
/* The one that takes the message away from there. */
struct change *journal_find_mover_locked(const struct journal *j,
					 const struct journal_place *from)
	REQUIRES(j->lock);
/* The first of those, or the next after `c`, that have this origin. */
struct change *journal_same_origin_locked(const struct journal *j,
					  const struct journal_place *from,
					  const struct change *c)
	REQUIRES(j->lock);
/*
 * Is the message that has this UID not to be shown under it? It was moved, or
 * a command that moves it may be under way.
 */
bool journal_has_left_locked(const struct journal *j,
			     const struct journal_place *from)
	REQUIRES(j->lock);
/* The next by seq, from `*at` (begin with 0) on. */
struct change *journal_next_locked(const struct journal *j, size_t *at)
	REQUIRES(j->lock);

/* Where to begin for those with a seq above `after`. */
size_t journal_rank_locked(const struct journal *j, uint64_t after)
	REQUIRES(j->lock);

/* Does any record name this folder? */
bool journal_names_locked(const struct journal *j, uint64_t folder)
	REQUIRES(j->lock);

/* Make room for `n` more records. */
MUST_CHECK int journal_reserve_locked(struct journal *j, size_t n)
	REQUIRES(j->lock);
/* `next` takes the place of `old`, with its reference; either may be NULL. */
void journal_swap_locked(struct journal *j, struct change *old,
			 struct change *next) REQUIRES(j->lock);

/* Who waits for whom, anew. */
void journal_count_waiters_locked(struct journal *j) REQUIRES(j->lock);

/* With one reference, the caller's. NULL: no memory. */
struct change *change_copy(const struct change *from);
void change_unref_locked(struct journal *j, struct change *c) REQUIRES(j->lock);
/* Of one that never was in the journal. NULL is fine. */
void change_free(struct change *c);

/* The parts of the difference: enum journal_part. */
unsigned change_what(const struct change *c);
/* The part that a QUEUED record is in doubt of; 0: none. */
unsigned change_doubt(const struct change *c);
/* What a command may be doing, or may have done: those sent, or in doubt. */
unsigned change_unanswered(const struct change *c);
/* What of the difference a command with these parts carries. -ENOMEM. */
MUST_CHECK int change_carries(const struct change *c, unsigned parts,
			      struct delta *ret);
/* The id of the record that has to be settled first; 0: none. */
uint64_t change_waits_locked(const struct journal *j, const struct change *c)
	REQUIRES(j->lock);
/*
 * Would the file be missed? Not a scratch file; but one that was never shown
 * has what is being written to a message.
 */
bool change_is_text(const struct change *c, const struct record *row);
bool change_names_folder(const struct change *c, uint64_t folder);
bool place_is_equal(const struct journal_place *a,
		    const struct journal_place *b);

/* --- plan.c: a transaction --- */

/* SAME: the row is not touched. */
enum row_place { ROW_SAME, ROW_NONE, ROW_BOX, ROW_LIMBO };

enum spool_fate { SPOOL_STAYS, SPOOL_DELETED, SPOOL_REJECTED };

/* The header fields that a message is to have; one block. */
struct texts {
	const char *field[N_FIELDS];
};

/* A line of `failed`; one block. */
struct failure {
	int64_t at;
	const char *what, *why, *file;
};

/* What happens to one message: to its row, its record and its file. */
struct step {
	uint64_t id;

	enum row_place was, will;
	struct box *from, *to; /* if ROW_BOX; held open by the caller */
	struct box *home;      /* that has the dead row of one coming back */
	uint64_t was_in, will_be_in;   /* folders, for the disk */
	struct record row;             /* as it is to be */
	char name[CACHE_NAME_MAX + 1]; /* wanted; in the end as it is */
	bool is_twin;                  /* if that is taken, a twin's */
	bool hide;      /* not announced, if it comes from elsewhere */
	int64_t now_ns; /* the folders' new mtime */

	struct change *old;  /* until the commit; NULL: it had no record */
	bool had_change;     /* after it */
	struct change *next; /* as it is to be; NULL: none */
	bool is_new_key;     /* its content key has to be made */

	/* For the disk alone; owned. */
	uint64_t copy_of;    /* whose details it gets */
	struct texts *texts; /* its new header fields */
	char *keywords;      /* all it has; NULL: as they are ... */
	char *labels;        /* ... likewise ... */
	struct delta words;  /* ... then these */
	enum spool_fate fate;
	char *spool, *rejected; /* names of files */
	struct failure *failure;
};

struct plan {
	struct cache *c;
	bool is_trial; /* set by the caller: it may be taken back */
	struct step **v;
	size_t n, room;
	bool wants_effects; /* set by the caller before the commit */
	struct journal_effects *effects;
};

/* The operation of a plan. */
struct plan_op {
	struct op op;
	size_t n;
	struct step **v;
};

void plan_init(struct plan *p, struct cache *c);
/* Also of a plan that was not committed. The effects stay the caller's. */
void plan_finish_locked(struct plan *p) REQUIRES(p->c->journal.lock);

/*
 * The step of a message whose record is `old`; of one without a record if that
 * is NULL. There is one for each record: `next` begins as a copy of `old` and
 * is changed in place. -ENOENT: it is to be dropped already. -ENOMEM.
 */
MUST_CHECK int plan_step_locked(struct plan *p, uint64_t id, struct change *old,
				struct step **ret) REQUIRES(p->c->journal.lock);
/* An empty record, QUEUED, in `next`. NULL: no memory. */
struct change *plan_new_change_locked(struct plan *p, struct step *s)
	REQUIRES(p->c->journal.lock);
/*
 * The row of the step is loaded: if it has no record it gets one that says
 * where it is. -EBUSY: nobody knows, it is unmoored. -ENOMEM.
 */
MUST_CHECK int plan_first_change_locked(struct plan *p, struct step *s)
	REQUIRES(p->c->journal.lock);
/* Records that wait for this one do so no more. -ENOMEM. */
MUST_CHECK int plan_release_locked(struct plan *p, const struct change *c)
	REQUIRES(p->c->journal.lock);

/* A row that lives and is not doomed, and its name. -ENOENT. */
MUST_CHECK int box_read_row(struct box *b, uint64_t id, struct record *ret,
			    char *ret_name);
uint32_t box_uidvalidity(struct box *b);

/* create.c: row and record go; the file, too, or it is kept in rejected/. */
MUST_CHECK int step_drop(struct step *s, const char *rejected);
/* ... and this line is listed. */
MUST_CHECK int step_fail(struct step *s, const struct journal_failure *why);

/* move.c: the step of a row in `b`, with that loaded. -ENOENT, -ENOMEM. */
MUST_CHECK int move_load_locked(struct plan *p, struct box *b, uint64_t id,
				struct step **ret) REQUIRES(p->c->journal.lock);

/* The step gets the row as it is: in `b`, or (NULL) in the limbo. -ENOENT. */
MUST_CHECK int step_load_row(struct step *s, struct box *b);
/* The row is to be elsewhere: `to` for a box. */
void step_row_to(struct step *s, enum row_place will, struct box *to);
/* Is there anything left to do for its record? If not it goes. */
void step_drop_if_done(struct step *s, uint32_t uidvalidity);

/*
 * Do it in memory and queue it for the disk: all or nothing. -ENOMEM,
 * -EOVERFLOW.
 */
MUST_CHECK int plan_commit_locked(struct plan *p) REQUIRES(p->c->journal.lock);

/*
 * The rows only, and only in memory: of records, and of what is queued for the
 * disk, the caller takes care; there is room for as many records. Errors as
 * above.
 */
MUST_CHECK int plan_move_rows_locked(struct plan *p)
	REQUIRES(p->c->journal.lock);

void plan_free_steps(struct journal *j, struct step **v, size_t n)
	REQUIRES(j->lock);

/* --- trial.c: changes that may be taken back --- */

/*
 * The plan is about to be committed: if this thread is in a trial, how to take
 * it back is noted. -ENOMEM. Then it is pushed as the operation of this number,
 * or fails.
 */
MUST_CHECK int trial_note_locked(struct plan *p) REQUIRES(p->c->journal.lock);
void trial_pushed_locked(struct cache *c, uint64_t number)
	REQUIRES(c->journal.lock);
void trial_forget_locked(struct cache *c) REQUIRES(c->journal.lock);

/* --- journal_sql.c: the tables --- */

/* The operation of a plan with `n` steps. NULL: no memory. */
struct plan_op *plan_op_new(size_t n);

/* In the writer's transaction, or before there is a writer. */
MUST_CHECK int journal_sql_put(struct cache *c, const struct change *change);
MUST_CHECK int journal_sql_drop(struct cache *c, uint64_t id);
MUST_CHECK int journal_sql_fail(struct cache *c, const struct failure *f);

/* rows.c: in the writer's transaction. */
MUST_CHECK int rows_run(struct cache *c, const struct step *s);
MUST_CHECK int rows_remove(struct cache *c, uint64_t folder, uint64_t id);
/* 1: the content key of the row; 0: it has none. */
MUST_CHECK int rows_key(struct cache *c, const struct step *s,
			struct cache_key *ret);

/* A copy, cut and made fit for a line. NULL: no memory. */
struct failure *failure_new(const struct journal_failure *f);

#endif
