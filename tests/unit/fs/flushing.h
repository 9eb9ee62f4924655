/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What tests of the flusher need: an account with the mailboxes A, B and C over
 * a real cache, on a server that plays a script; without a mount.
 */
#ifndef IMAPFS_TESTS_FS_FLUSHING_H
#define IMAPFS_TESTS_FS_FLUSHING_H

#include "world.h"

#include "../imap/script.h"
#include "cache/journal.h"
#include "fs/flush.h"

#define VALID_A 7
#define VALID_B 11
#define VALID_C 13

#define SCRIPTS(...)                                                           \
	(const script[])                                                       \
	{                                                                      \
		__VA_ARGS__, NULL                                              \
	}

/* A mailbox that may be changed. */
#define SELECT_FULL(name, uidvalidity)                                         \
	"C: SELECT \"" name "\"", "S: * 3 EXISTS",                             \
		"S: * OK [UIDVALIDITY " uidvalidity "] ok",                    \
		"S: * OK [PERMANENTFLAGS (\\Seen \\Flagged \\Deleted \\*)] x", \
		"S: $T OK [READ-WRITE] done"
#define SELECT_A SELECT_FULL("A", "7")
#define SELECT_B SELECT_FULL("B", "11")
#define SELECT_C SELECT_FULL("C", "13")

#define LOGIN_MOVE LOGIN_WITH("MOVE UIDPLUS")

/* Mailbox B as it is listed: so many messages, none or the answer. */
#define EXAMINE_B(exists)                                                      \
	"C: EXAMINE \"B\"", "S: * " exists " EXISTS",                          \
		"S: * OK [UIDVALIDITY 11] ok", "S: * OK [UIDNEXT 30] ok",      \
		"S: $T OK [READ-ONLY] done"

/* It is looked for there until it is believed that it is not there. */
#define NOT_IN_B EXAMINE_B("0"), EXAMINE_B("0"), EXAMINE_B("0")
/* ... and once more before it is sent again. */
#define STILL_NOT_IN_B EXAMINE_B("0")

/* Message number `n` of mailbox A, under another number and UID. */
#define ROW_OF(seq, uid, n)                                                    \
	"S: * " seq " FETCH (UID " uid " FLAGS (\\Seen) RFC822.SIZE 100" n     \
	" INTERNALDATE \"14-Nov-2023 22:13:2" n " +0000\" "                    \
	"BODY[HEADER.FIELDS (DATE FROM TO CC SUBJECT MESSAGE-ID)] "            \
	"\"Message-ID: <" n "@example.com>\")"

/* UIDs 1 and up are still there, as these answers say. */
#define SYNC_FULL(name, uidvalidity, ...)                                      \
	"C: EXAMINE \"" name "\"", "S: * 1 EXISTS",                            \
		"S: * OK [UIDVALIDITY " uidvalidity "] ok",                    \
		"S: $T OK [READ-ONLY] done", "C: UID FETCH 1:99", __VA_ARGS__, \
		"S: $T OK done", "C: UID FETCH 100:*", "S: $T OK done"
#define SYNC_A(...) SYNC_FULL("A", "7", __VA_ARGS__)
#define SYNC_C(...) SYNC_FULL("C", "13", __VA_ARGS__)

struct flushing {
	struct world w;
	struct fs *fs;
	struct server *server;
	struct folder *a, *b, *c;
	uint64_t id[8]; /* of messages 0 to 7 of A, UIDs 1 to 8 */
};

/* Setup and teardown of cmocka: the cache, with messages in A. */
int flushing_setup(void **state);
int flushing_teardown(void **state);
/* The same, where messages can be written, too. */
int drafting_setup(void **state);
int drafting_teardown(void **state);

/* As after a remount. */
void flushing_reopen(struct flushing *t);

/* The server, the account and the flusher. */
void flushing_begin(struct flushing *t, const script *scripts);
/* Wait until nothing is unsent, or fail. */
void flushing_wait(struct flushing *t);
/* Wait until a command is marked as sent. */
void wait_sent(struct flushing *t);
/* They end, and the server must have been content. */
void flushing_end(struct flushing *t);

/* The user moves message `i`. */
void move_message(struct flushing *t, unsigned i, struct folder *from,
		  struct folder *to);
/* ... from A to B. */
void move_to_b(struct flushing *t, unsigned i);

/* Its move to B was sent in an earlier life of the program: it is in doubt. */
void lose_answer(struct flushing *t, unsigned i);

/* -ENOENT: not there. */
int find(struct flushing *t, struct folder *f, uint64_t id,
	 struct cache_msg *ret);
void expect_uid(struct flushing *t, struct folder *f, unsigned i, uint32_t uid);
void expect_failed(struct flushing *t, const char *words);

#endif
