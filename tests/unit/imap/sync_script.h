/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the scripts of the tests of imap_sync() share. The messages below UID
 * 100 of INBOX are known, up to HIGHESTMODSEQ 50. Where a script reads all
 * commands before it answers one, they came in one flight.
 */
#ifndef IMAPFS_TESTS_SYNC_SCRIPT_H
#define IMAPFS_TESTS_SYNC_SCRIPT_H

#include "script.h"

/* Behind this the mailbox is opened by A2. */
#define CONDSTORE_LOGIN LOGIN_WITH("CONDSTORE ESEARCH")

/* Behind this by A3. */
#define QRESYNC_LOGIN                                                          \
	LOGIN_WITH("ENABLE CONDSTORE QRESYNC ESEARCH"),                        \
		"C: A2 ENABLE CONDSTORE QRESYNC",                              \
		"S: * ENABLED CONDSTORE QRESYNC", "S: A2 OK enabled"

/* The numbers of the mailbox. */
#define NUMBERS(exists, uidnext, modseq)                                       \
	"S: * " exists " EXISTS", "S: * OK [UIDVALIDITY 7] ok",                \
		"S: * OK [UIDNEXT " uidnext "] ok",                            \
		"S: * OK [HIGHESTMODSEQ " modseq "] ok"

/* EXAMINE is A3, the news are A4, what is asked then is A5. */
#define QRESYNC_ASKED                                                          \
	QRESYNC_LOGIN, "C: A3 EXAMINE INBOX (QRESYNC (7 50 1:99))",            \
		"C: A4 UID FETCH 100:* (UID FLAGS RFC822.SIZE"

/* EXAMINE is A2, the changes A3, the search A4, the news A5, and then A6. */
#define CONDSTORE_ASKED                                                        \
	CONDSTORE_LOGIN, "C: A2 EXAMINE INBOX (CONDSTORE)",                    \
		"C: A3 UID FETCH 1:99 (UID FLAGS) (CHANGEDSINCE 50)",          \
		"C: A4 UID SEARCH RETURN (ALL) UID 1:99",                      \
		"C: A5 UID FETCH 100:* (UID FLAGS RFC822.SIZE"
#define CONDSTORE_OPEN                                                         \
	CONDSTORE_ASKED, NUMBERS("3", "100", "60"), "S: A2 OK done"

/* EXAMINE is A2, the flags are A3, the news A4. */
#define FLAGS_ASKED                                                            \
	LOGIN, "C: A2 EXAMINE INBOX", "C: A3 UID FETCH 1:99 (UID FLAGS)",      \
		"C: A4 UID FETCH 100:* (UID FLAGS RFC822.SIZE"

/* The flags of all messages, of which there is one, behind other questions. */
#define ALL_FLAGS(tag)                                                         \
	"C: " tag " UID FETCH 1:99 (UID FLAGS)",                               \
		"S: * 1 FETCH (UID 4 FLAGS ())", "S: " tag " OK done"

#define NEW(seq, uid) "S: " ROW(seq, uid) ")"

#endif
