/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/news.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "imap/lock.h"
#include "imap/log.h"

/*
 * A mailbox that moved is marked, and has a time when that is due: now, if
 * nothing was told of it for a while. There are few marks at a time and the
 * times are looked at only when the first is due, so a list does for them.
 *
 * EXISTS and EXPUNGE keep count of the messages, and by EXISTS also of UIDNEXT
 * (each message that comes takes one); HIGHESTMODSEQ is unknown after them,
 * until the server says it.
 */

/* So much may move in one round before some of it may have been lost. */
#define HEARD_MAX 500

struct known {
	char *wire; /* NULL: stands for the list of mailboxes */
	struct imap_mailbox has;
	bool listed; /* in this round */
	bool fresh;  /* nobody was told how it stands as the watch begins */
	bool marked;
	bool sure; /* it did move: the mark is no mere doubt */
	bool told; /* ever */
	int64_t told_ms;
	int64_t due_ms;
	struct known *next;
	struct known *prev;
};

struct news {
	struct news_times times;
	struct imap_watch_ops ops;
	void *ctx;
	struct known names;
	struct known watched; /* heads the list of all */
	bool opened;          /* its numbers are known */
	uint64_t modseq;      /* its HIGHESTMODSEQ, as it was said last */
	void *by_name;        /* tree of the others */
	unsigned n_others;
	bool in_round;
	bool complete;    /* there was a whole round */
	bool tells_round; /* it, or another one, is to be told */
	bool has_fresh;
	uint64_t heard; /* messages and flags that moved since the last round;
			 * HEARD_MAX: or names did */
	unsigned n_marked;
	int64_t due_ms; /* of the first mark, or earlier */
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct known *)a)->wire,
		      ((const struct known *)b)->wire);
}

int news_new(const char *watched, const struct news_times *times,
	     const struct imap_watch_ops *ops, void *ctx, struct news **ret)
{
	struct news *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->watched.wire = strdup(watched);
	if (!n->watched.wire) {
		free(n);
		return -ENOMEM;
	}
	n->times = *times;
	n->ops = *ops;
	n->ctx = ctx;
	n->due_ms = CLOCK_NEVER;
	*ret = n;
	return 0;
}

static void forget(struct news *n, struct known *k)
{
	k->prev->next = k->next;
	if (k->next)
		k->next->prev = k->prev;
	(void)tdelete(k, &n->by_name, compare_names);
	n->n_others--;
	n->n_marked -= k->marked;
	free(k->wire);
	free(k);
}

void news_free(struct news *n)
{
	if (!n)
		return;
	while (n->watched.next)
		forget(n, n->watched.next);
	free(n->watched.wire);
	free(n);
}

static struct known *find(struct news *n, const char *wire)
{
	struct known key = {.wire = (char *)wire};
	struct known **at;

	if (strcmp(wire, n->watched.wire) == 0)
		return &n->watched;
	at = tfind(&key, &n->by_name, compare_names);
	return at ? *at : NULL;
}

static struct known *add(struct news *n, const char *wire)
{
	struct known *k;

	if (n->n_others >= MAIL_FOLDERS_MAX)
		return NULL;
	k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	k->wire = strdup(wire);
	if (!k->wire || !tsearch(k, &n->by_name, compare_names)) {
		free(k->wire);
		free(k);
		return NULL;
	}
	k->prev = &n->watched;
	k->next = n->watched.next;
	if (k->next)
		k->next->prev = k;
	n->watched.next = k;
	n->n_others++;
	return k;
}

/* --- marks --- */

static void mark_for(struct news *n, struct known *k, int64_t apart_ms)
{
	int64_t due_ms = clock_now_ms();

	if (k->told && k->told_ms + apart_ms > due_ms)
		due_ms = k->told_ms + apart_ms;
	if (!k->marked || due_ms < k->due_ms)
		k->due_ms = due_ms;
	n->n_marked += !k->marked;
	k->marked = true;
	n->due_ms = clock_earlier(n->due_ms, k->due_ms);
}

static void mark(struct news *n, struct known *k)
{
	mark_for(n, k, n->times.burst_ms);
	k->sure = true;
	n->heard += k == &n->names ? HEARD_MAX : 1;
}

/* Each message that comes takes a UID. */
static void count_new(struct news *n, uint32_t was, uint32_t now)
{
	if (was > 0 && now > was)
		n->heard += now - was;
}

/* It may have moved, on which nobody's time is to be spent often. */
static void mark_doubt(struct news *n, struct known *k)
{
	mark_for(n, k, n->times.doubt_ms);
}

/* True: tell it. */
static bool take_mark(struct news *n, struct known *k, int64_t now_ms, bool all)
{
	if (!k->marked)
		return false;
	if (k->due_ms > now_ms && !(all && k->sure)) {
		n->due_ms = clock_earlier(n->due_ms, k->due_ms);
		return false;
	}
	k->marked = false;
	k->sure = false;
	k->told = true;
	k->told_ms = now_ms;
	n->n_marked--;
	return true;
}

static void tell_begun(struct news *n, const struct known *k)
{
	const struct mail_folder f = {
		.wire = k->wire,
		.has_status = k->fresh,
		.uidvalidity = k->has.uidvalidity,
		.uidnext = k->has.uidnext,
		.messages = k->has.messages,
		.highestmodseq = k->has.highestmodseq,
	};

	n->ops.begun(n->ctx, &f);
}

/* Which there are and how they stand, before anything that moves. */
static void tell_round(struct news *n)
{
	lock_assert_none();
	for (struct known *k = &n->watched; k; k = k->next) {
		if (k->fresh || n->tells_round)
			tell_begun(n, k);
		k->fresh = false;
	}
	if (n->tells_round)
		n->ops.begun(n->ctx, NULL);
	n->tells_round = false;
	n->has_fresh = false;
}

void news_tell(struct news *n, bool all)
{
	int64_t now_ms = clock_now_ms();

	if ((n->has_fresh || n->tells_round) && !n->in_round)
		tell_round(n);
	if (n->n_marked == 0 || (n->due_ms > now_ms && !all))
		return;
	lock_assert_none();
	n->due_ms = CLOCK_NEVER;
	if (take_mark(n, &n->names, now_ms, all))
		n->ops.folders(n->ctx);
	for (struct known *k = &n->watched; k; k = k->next) {
		if (take_mark(n, k, now_ms, all))
			n->ops.moved(n->ctx, k->wire);
	}
}

int64_t news_due_ms(const struct news *n)
{
	return n->n_marked > 0 ? n->due_ms : CLOCK_NEVER;
}

/* --- numbers --- */

/* Two sets of numbers of one mailbox: did it move from one to the other? */
static void compare(struct news *n, struct known *k,
		    const struct imap_mailbox *now, bool paused)
{
	const struct imap_mailbox *was = &k->has;
	bool moved = was->uidvalidity != now->uidvalidity ||
		     was->uidnext != now->uidnext ||
		     was->messages != now->messages ||
		     was->highestmodseq != now->highestmodseq;
	bool unknown = now->highestmodseq == 0;

	count_new(n, was->uidnext, now->uidnext);
	/* Another mailbox has this name: is it known to be there? */
	if (was->uidvalidity != 0 && was->uidvalidity != now->uidvalidity)
		mark(n, &n->names);
	if (moved || (unknown && !paused))
		mark(n, k);
	else if (unknown)
		mark_doubt(n, k);
}

void news_opened(struct news *n, const struct imap_mailbox *box, bool paused)
{
	if (n->opened) {
		compare(n, &n->watched, box, paused);
	} else {
		n->watched.fresh = true;
		n->has_fresh = true;
	}
	n->watched.has = *box;
	n->modseq = box->highestmodseq;
	n->opened = true;
}

void news_changed(struct news *n, uint32_t messages)
{
	n->watched.has.messages = messages;
	n->watched.has.highestmodseq = 0;
	mark(n, &n->watched);
}

void news_exists(struct news *n, uint32_t messages)
{
	struct imap_mailbox *has = &n->watched.has;

	if (messages == has->messages)
		return;
	count_new(n, has->messages, messages);
	if (messages > has->messages && has->uidnext > 0)
		has->uidnext += messages - has->messages;
	news_changed(n, messages);
}

void news_modseq(struct news *n, uint64_t modseq)
{
	if (modseq == 0 || modseq == n->modseq)
		return;
	n->modseq = modseq;
	n->watched.has.highestmodseq = modseq;
	mark(n, &n->watched);
}

static struct imap_mailbox numbers_of(const struct mail_folder *f)
{
	return (struct imap_mailbox){
		.uidvalidity = f->uidvalidity,
		.uidnext = f->uidnext,
		.messages = f->messages,
		.highestmodseq = f->highestmodseq,
	};
}

/* Some of its numbers, because something moved; 0: it is not among them. */
static void told(struct news *n, struct known *k, const struct mail_folder *f)
{
	struct imap_mailbox now = k->has;

	if (f->uidvalidity > 0)
		now.uidvalidity = f->uidvalidity;
	/* These two come together: there is no UIDNEXT of 0. */
	if (f->uidnext > 0) {
		now.uidnext = f->uidnext;
		now.messages = f->messages;
	}
	now.highestmodseq = f->highestmodseq;
	compare(n, k, &now, false);
	k->has = now;
}

static void status_heard(struct news *n, const struct mail_folder *f,
			 bool paused)
{
	struct imap_mailbox now = numbers_of(f);
	struct known *k = find(n, f->wire);
	bool is_new = !k;

	if (is_new)
		k = add(n, f->wire);
	/* The watched one is told of by what is heard of it, not by STATUS. */
	if (!k || k == &n->watched)
		return;
	k->listed = true;
	if (is_new) {
		k->has = now;
		k->fresh = !n->complete;
		n->has_fresh = n->has_fresh || k->fresh;
		if (n->complete) {
			mark(n, k);
			mark(n, &n->names);
		}
	} else if (n->in_round) {
		compare(n, k, &now, paused);
		k->has = now;
	} else {
		told(n, k, f);
	}
}

static void forget_name(struct news *n, const char *wire)
{
	struct known *k = find(n, wire);

	if (k && k != &n->watched)
		forget(n, k);
	mark(n, &n->names);
}

static void list_heard(struct news *n, const struct response *r,
		       const struct mail_folder *f)
{
	bool is_gone = (f->attrs & FOLDER_NOSELECT) != 0;
	char *was;

	/* That name is free, and the next one to have it is new. */
	if (grammar_oldname(r, &was) == 0) {
		forget_name(n, was);
		free(was);
	}
	if (is_gone)
		forget_name(n, f->wire);
	/* Told again; or in place of a STATUS that we have no right to. */
	else if (!n->in_round && !find(n, f->wire))
		mark(n, &n->names);
}

void news_notified(struct news *n, const struct response *r, bool paused)
{
	struct mail_folder f;

	if (r->kind == RESPONSE_STATUS && grammar_status(r, &f) == 0) {
		status_heard(n, &f, paused);
		free(f.wire);
	} else if (r->kind == RESPONSE_LIST && grammar_list(r, &f) == 0) {
		list_heard(n, r, &f);
		free(f.wire);
	}
}

void news_round_begin(struct news *n)
{
	for (struct known *k = n->watched.next; k; k = k->next)
		k->listed = false;
	n->in_round = true;
}

void news_round_end(struct news *n, bool whole)
{
	struct known *next;

	n->in_round = false;
	if (!whole)
		return;
	for (struct known *k = n->watched.next; k; k = next) {
		next = k->next;
		if (k->listed)
			continue;
		forget(n, k);
		mark(n, &n->names);
	}
	n->tells_round = true;
	n->complete = true;
	n->heard = 0;
}

bool news_are_many(const struct news *n)
{
	return n->heard >= HEARD_MAX;
}

void news_all(struct news *n)
{
	mark(n, &n->names);
	for (struct known *k = &n->watched; k; k = k->next)
		mark(n, k);
}
