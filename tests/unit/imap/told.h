/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a change told at its end, kept for the test; and the steps of scripts
 * that changes meet.
 */
#ifndef IMAPFS_TESTS_TOLD_H
#define IMAPFS_TESTS_TOLD_H

#include "imap/change.h"
#include "script.h"

/* As LOGIN, with these capabilities more. */
#define LOGIN_WITH(caps)                                                       \
	GREETING, "C: AUTHENTICATE PLAIN",                                     \
		"S: $T OK [CAPABILITY IMAP4rev1 " caps "] in"

/* A mailbox that may be changed. */
#define SELECT                                                                 \
	"C: SELECT \"A\"", "S: * 3 EXISTS", "S: * OK [UIDVALIDITY 7] ok",      \
		"S: * OK [PERMANENTFLAGS (\\Seen \\Flagged \\Deleted \\*)] x", \
		"S: $T OK [READ-WRITE] done"

/* Its UIDPLUS and MOVE, and a mailbox that is only read. */
#define CAPS LOGIN_WITH("MOVE UIDPLUS")
#define EXAMINED                                                               \
	"C: EXAMINE \"A\"", "S: * OK [UIDVALIDITY 7] ok",                      \
		"S: $T OK [READ-ONLY] done"

/* A mailbox that keeps these flags. */
#define SELECT_KEEPING(flags)                                                  \
	"C: SELECT", "S: * OK [UIDVALIDITY 7] ok",                             \
		"S: * OK [PERMANENTFLAGS (" flags ")] x",                      \
		"S: $T OK [READ-WRITE] done"

/* The command of told_append(), up to the number of bytes. */
#define APPEND                                                                 \
	"C: APPEND \"A\" (\\Seen \\Flagged $x y) "                             \
	"\" 1-Feb-2026 03:04:05 +0000\" {"
#define PLUS LOGIN_WITH("LITERAL+ UIDPLUS")

/* The message that told_append() sends if none is asked for. */
#define MAIL "From: a\r\n\r\nb\r\n"
#define N_MAIL "14"

struct told {
	struct imap_outcome end; /* without its pointers */
	struct imap_pair pair[64];
	size_t n_pairs;
	char left_keywords[256];
	struct imap_mailbox box; /* of imap_uidnext() */
	struct imap_quota quota;
	unsigned rights;
	unsigned calls;
};

/* Callbacks; the context is a struct told. */
void told_change(void *ctx, const struct imap_outcome *end);
void told_uidnext(void *ctx, int result, const struct imap_mailbox *box,
		  const struct imap_error *why);
void told_quota(void *ctx, int result, const struct imap_quota *quota,
		const struct imap_error *why);
void told_rights(void *ctx, int result, unsigned rights,
		 const struct imap_error *why);

/* Wait until it is told, or fail the test. */
void told_wait(struct told *t);

/* Starts a change whose end goes to `t`. */
typedef int (*told_starter)(struct imap *im, struct told *t, imap_job *ret);

/*
 * Messages 4, 5 and 9 of mailbox A, whose UIDVALIDITY is 7; and what is done
 * with them: +\Flagged -\Seen, to mailbox B, to mailbox B, away.
 */
extern const struct imap_messages told_messages;
int told_flag(struct imap *im, struct told *t, imap_job *ret);
int told_copy(struct imap *im, struct told *t, imap_job *ret);
int told_move(struct imap *im, struct told *t, imap_job *ret);
int told_remove(struct imap *im, struct told *t, imap_job *ret);

/*
 * Start it on a server that plays these steps, and wait for its end. On a
 * second connection nothing may be sent.
 */
struct told told_run(told_starter start, script steps);

/* So many bytes, in lines; yours to free. And an open file of some bytes. */
char *told_mail(size_t n);
int told_file(const char *bytes, size_t n);

/* Start to append a file to A; or a message of `n` bytes, 0: MAIL. */
int told_append_file(struct imap *im, struct told *t, int fd, uint64_t size,
		     imap_job *job);
imap_job told_append(struct imap *im, struct told *t, size_t n);

/* As told_run(), with told_append(). */
struct told told_run_append(script steps, size_t n);

/* What it was told, once: result, unknown, pairs as told_pairs() has them. */
void told_expect(const struct told *t, int result, bool unknown,
		 const char *pairs);

/* "4>9 5>10" */
const char *told_pairs(const struct told *t);

#endif
