/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the watcher knows of the mailboxes, and what it has to tell of them.
 *
 * Known are the numbers of the watched mailbox, and those of all others if the
 * server notifies of them. From them follows what moved while nobody watched.
 *
 * News are told at once; what follows within a burst is told together, when
 * the burst is over, or has lasted for long enough.
 *
 * One thread at a time: the one that runs the watcher. The callbacks of
 * `imap_watch_ops` are called by news_tell() only.
 */
#ifndef IMAPFS_IMAP_NEWS_H
#define IMAPFS_IMAP_NEWS_H

#include "imap/grammar.h"
#include "imap/imap.h"

struct news;

struct news_times {
	int64_t burst_ms; /* between two calls for the same mailbox */
	int64_t doubt_ms; /* ... when it is only a guess that it moved */
};

/* `watched` is copied. -ENOMEM. */
MUST_CHECK int news_new(const char *watched, const struct news_times *times,
			const struct imap_watch_ops *ops, void *ctx,
			struct news **ret);
void news_free(struct news *n);

/*
 * The watched mailbox was opened, and these are its numbers: did it move since
 * the last time? Where the server has no HIGHESTMODSEQ that cannot be told.
 * Then it counts as moved; but not often if only a pause lies between
 * (`paused`), or each question of the one who is told would, by making the
 * watcher pause, lead to the next.
 */
void news_opened(struct news *n, const struct imap_mailbox *box, bool paused);

/* It has so many messages now, by EXISTS: news if it had another number. */
void news_exists(struct news *n, uint32_t messages);

/* Something else of it changed, and it has so many messages now. */
void news_changed(struct news *n, uint32_t messages);

/*
 * Its HIGHESTMODSEQ, as it was said last: news if it is another one than
 * before. Of a message that came and went between two looks of the server's at
 * the mailbox nothing else tells; and somebody else may have seen it there.
 */
void news_modseq(struct news *n, uint64_t modseq);

/*
 * What NOTIFY brings. STATUS of a mailbox: between news_round_begin() and
 * news_round_end() it is one of a list of all (if that was `whole`), compared
 * as by news_opened(). Otherwise the server tells it because something moved,
 * although some tell what is known already. LIST: a mailbox is new, or gone.
 */
void news_notified(struct news *n, const struct response *r, bool paused);
void news_round_begin(struct news *n);
void news_round_end(struct news *n, bool whole);

/*
 * Since the last round names have changed, or so much else has, that servers
 * may have begun to forget some: it is time for another one.
 */
bool news_are_many(const struct news *n);

/* Nobody knows what moved: everything counts as moved. */
void news_all(struct news *n);

/* Tell what is due, or `all` that did move. No lock held. */
void news_tell(struct news *n, bool all);

/* When is the next due? CLOCK_NEVER: there is none. */
int64_t news_due_ms(const struct news *n);

#endif
