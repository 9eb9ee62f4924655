/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An account that watches INBOX, on a scripted server; for tests of the
 * watcher. What it is told is counted.
 */
#ifndef IMAPFS_TESTS_WATCH_SCENE_H
#define IMAPFS_TESTS_WATCH_SCENE_H

#include "imap/pool.h"
#include "script.h"

struct told {
	unsigned moved;
	unsigned folders;
	char last[64];   /* the mailbox that moved last */
	char names[256]; /* all of them, each with a blank behind it */
	unsigned rounds; /* all mailboxes were named */
	/* "mailbox:messages " of each whose watch began, "mailbox " of each
	 * that goes on, "; " behind a round. */
	char begun[256];
};

/* For "L: how long", fields of struct imap that are set before it connects. */
struct watch_options {
	unsigned connections; /* 0: 1 */
	unsigned timeout_ms;
	int64_t quiet_ms; /* 0: 1 */
	int64_t anew_ms;  /* 0: as in life; so are the others */
	int64_t renew_ms;
	int64_t soon_ms;
	int64_t noop_ms;
	int64_t burst_ms;
	int64_t idle_ms;
	int64_t near_ms; /* 0: a further connection is waited for */
	int64_t extra_ms;
	int64_t tick_ms;
	int64_t late_ms;
	int64_t awake_ms;
	int64_t doubt_ms;
	int64_t (*asleep_ms)(void);
};

/* It is connected, and watches INBOX. Nothing was told so far. */
struct imap *watching(struct server *s, const struct watch_options *o);

/* What was told since then. */
struct told told(void);

/* Wait until so much was told, or fail the test. */
void told_wait_moved(unsigned n);
void told_wait_folders(unsigned n);
void told_wait_rounds(unsigned n);

/* Wait until a connection is in this state, or none is; or fail the test. */
void wait_state(struct imap *im, const char *word);
void wait_no_state(struct imap *im, const char *word);

/* Wait until it went online for the n-th time, or fail the test. */
void wait_online(unsigned n);

/* Login with these capabilities. */
#define LOGIN_WITH(caps)                                                       \
	GREETING, "C: AUTHENTICATE PLAIN",                                     \
		"S: $T OK [CAPABILITY IMAP4rev1 " caps "] in"
#define WATCH(exists, uidnext, modseq)                                         \
	"C: EXAMINE INBOX", "S: * " exists " EXISTS",                          \
		"S: * OK [UIDVALIDITY 7] ok",                                  \
		"S: * OK [UIDNEXT " uidnext "] ok",                            \
		"S: * OK [HIGHESTMODSEQ " modseq "] ok",                       \
		"S: $T OK [READ-ONLY] done"
#define IDLE "C: IDLE", "S: + idling"
#define LEAVE "C: DONE", "S: $T OK over"

#endif
