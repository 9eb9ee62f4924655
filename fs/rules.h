/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The rules of keeping up, without the world: when a folder must be asked for,
 * whether a mailbox moved, and whether it can be believed that messages are
 * gone. Pure functions; keep.c and sync.c bring the facts and do what they say.
 */
#ifndef IMAPFS_FS_RULES_H
#define IMAPFS_FS_RULES_H

#include "cache/cache.h"

/* --- is a folder asked for, now that somebody enters it? --- */

struct rules_enter {
	int64_t now_ms;
	/* All that the server had at this time is known; 0: nothing is. */
	int64_t known_ms;
	int64_t moved_ms;    /* something was said to have moved; 0: nothing */
	int64_t interval_ms; /* asked no more often, unless it moved */
	bool watched;        /* we would be told if it moved */
};
bool rules_must_ask(const struct rules_enter *e);

/* --- has a mailbox moved, by what LIST and STATUS say? --- */

enum rules_moved {
	RULES_UNMOVED, /* all that is known is all there is */
	RULES_MOVED,
	RULES_UNKNOWN, /* no STATUS, or none that flags would show in */
};
/* Of a folder that is known to the end. */
enum rules_moved rules_compare(const struct cache_state *known,
			       const struct mail_folder *now);

/* --- does it show all of its messages? --- */

/*
 * May a folder of Gmail's that has so many messages have older ones, which a
 * setting of the account hides ("Limit IMAP folders to contain no more than
 * this many messages")? What it can be set to is such a number exactly.
 */
bool rules_is_limit(uint32_t messages);

/* --- are they gone? --- */

/*
 * More than this, and more than half of a folder, is not dropped on one word:
 * servers have named the whole mailbox as vanished, and what is forgotten by
 * mistake costs all bodies once more.
 */
#define RULES_MASS 100

/*
 * What an answer misses is missed by the next one, too, if that comes at once:
 * so much later it is another word.
 */
#define RULES_DOUBT_MS 60000

struct rules_gone {
	size_t known;      /* messages of the folder */
	size_t gone;       /* of those, gone by the answer */
	bool by_absence;   /* not named as gone: just not named as there */
	uint64_t named;    /* messages that the answer named as there ... */
	uint32_t messages; /* ... and that EXAMINE counted */
	size_t here;       /* known, and not gone: it has counted them, too */
	bool miscounts;    /* it counts fewer than there are */
	bool second;       /* the answer to the second question */
	bool doubted;      /* one missed some, too, RULES_DOUBT_MS ago */
};
enum rules_verdict {
	RULES_BELIEVE,
	RULES_DOUBT,     /* not now; if a later sync says it again */
	RULES_ASK_AGAIN, /* put the second question: plainly, all flags */
	RULES_RECOUNT,   /* likewise: one that is gone was not named */
	RULES_REFUSE,    /* the answers contradict each other */
};
enum rules_verdict rules_judge(const struct rules_gone *g);

#endif
