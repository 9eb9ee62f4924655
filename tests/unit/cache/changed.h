/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What tests of the journal need beyond a scene: three folders with their
 * boxes, and short ways to change, send and look.
 */
#ifndef IMAPFS_TESTS_CACHE_CHANGED_H
#define IMAPFS_TESTS_CACHE_CHANGED_H

#include "scene.h"

#include "cache/journal.h"

/* UIDVALIDITY of the three. */
enum { VALID_A = 11, VALID_B = 12, VALID_TRASH = 13 };

struct changed {
	struct scene *s;
	struct box *a, *b, *trash;
	uint64_t in_a, in_b, in_trash;
};

/* Setup and teardown of cmocka. */
int changed_setup(void **state);
int changed_teardown(void **state);

void changed_open_boxes(struct changed *t);
void changed_close_boxes(struct changed *t);
/* Close and open again, all of it. */
void changed_reopen(struct changed *t);
/* As if the program had been killed: what was committed stays. */
void changed_close(struct changed *t);
void changed_open(struct changed *t);

/* A message as the server lists it: \Seen and `blue`. */
uint64_t changed_add(struct box *b, uint32_t uid, const char *name);

/* --- what the user does; all must succeed --- */

void change_move(struct box *from, uint64_t id, struct box *to,
		 const char *name);
void change_flags(struct box *b, uint64_t id, uint32_t add, uint32_t remove);
/* Of keywords, and labels of the same names. */
void change_words(struct box *b, uint64_t id, const char *add,
		  const char *remove);
/* A new message with this text; published. */
uint64_t change_create(struct box *b, const char *name, const char *text);
/* Rename onto; `trash` NULL: the limbo. */
void change_replace(struct box *from, uint64_t id, struct box *to,
		    const char *name, struct box *trash);

/* --- what the flusher does --- */

/* The record: true if there is one. Its keywords are the test's to copy. */
bool changed_get(struct changed *t, uint64_t id, struct journal_entry *ret);
/* Is there no record, and one with this difference? */
void changed_expect(struct changed *t, uint64_t id, unsigned what);
void changed_expect_none(struct changed *t, uint64_t id);
/* Mark the parts as sent; must succeed. */
void changed_send(struct changed *t, uint64_t id, unsigned parts);
/* Settle one. */
void changed_settle(struct changed *t, struct journal_result r);
void changed_done(struct changed *t, uint64_t id, unsigned parts,
		  uint32_t uidvalidity, uint32_t uid);
void changed_undo(struct changed *t, uint64_t id);

/* --- looking --- */

/* The row of a name, or of an id; the test fails if it is not there. */
struct cache_msg row_named(struct box *b, const char *name);
struct cache_msg row_of(struct box *b, uint64_t id);
bool has_row(struct box *b, uint64_t id);
/* Are these the keywords of the row, in any order? */
void expect_words(struct box *b, uint64_t id, const char *words);
/* Labels of one letter each: lists of three of them by their bits. */
#define LABELS 8
extern const char *const changed_labels[LABELS];
unsigned changed_label_bits(const char *words);
/* Are these the labels of the row? */
void expect_labels(struct box *b, uint64_t id, unsigned labels);
/* How many files there are in a folder below state_dir. */
size_t count_state_files(struct changed *t, const char *folder);
/* One number that SQL gives; the cache may be open. */
int64_t sql_number(struct changed *t, const char *sql);

#endif
