/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/offline_private.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/ahead_private.h"
#include "fs/budget.h"
#include "fs/folder.h"
#include "fs/keep.h"
#include "imap/log.h"

/*
 * One `struct kept` a folder, made when its first body is looked for. Which
 * bodies are missing is asked of the cache once, and again when something has
 * come (`look`), but not while some of them are on their way, which would be
 * counted twice; the list is then worked off. What could not be fetched is
 * skipped, for one bad message must not stop a folder, and looked for again
 * OFFLINE_RETRY_MS later; what the server was silent about, soon, and if it
 * goes on being silent less and less often.
 *
 * The sets are those of the read-ahead (ahead_set.c): who reads a message of
 * one waits for that set, and nothing is fetched twice.
 */

#define IN_FLIGHT 2    /* sets, or large bodies */
#define FAILURES_MAX 3 /* in a row, before nothing is asked for a while */
#define SOON_MS 10000
#define LOST_MS 2000 /* bodies are being missed: how many are, then? */
#define FULL_MS 100  /* is the cache full? it is being found out */

/* By daily_limit, or in the server's own words. */
static const char limit_reached[] = "a limit of the account is reached";

/* --- what has ended --- */

static void wait_locked(struct offline *o, const char *why, int64_t ms)
	REQUIRES(o->lock)
{
	if (o->why[0] == '\0' && why[0] != '\0')
		log_warn("offline: no more bodies are fetched for a while: %s",
			 why);
	o->why = why;
	o->retry_ms = clock_now_ms() + ms;
}

/* What follows from how the last question ended? */
static void judge_locked(struct offline *o, int result) REQUIRES(o->lock)
{
	o->n_failures = result == 0 ? 0 : o->n_failures + 1;
	if (result == -ENOSPC)
		wait_locked(o, "the disk is full", OFFLINE_RETRY_MS);
	else if (result == -EDQUOT)
		wait_locked(o, limit_reached, OFFLINE_RETRY_MS);
	else if (result == -ENOTCONN)
		wait_locked(o, "", SOON_MS);
	else if (o->n_failures >= FAILURES_MAX)
		wait_locked(o, "the server does not give them",
			    OFFLINE_RETRY_MS);
}

void offline_ended(struct fs *fs, struct folder *f, size_t n, int result)
{
	struct offline *o = fs->offline;
	struct kept *k;

	lock_take(&o->lock);
	o->in_flight--;
	k = offline_find_locked(o, f);
	if (k) {
		k->in_flight--;
		k->missing -= n < k->missing ? n : k->missing;
		k->failed |= result != 0;
		/* Cut off, or of other UIDs: it is looked at again. */
		k->look |= result == -ENOTCONN || result == -ESTALE;
	}
	judge_locked(o, result);
	lock_drop(&o->lock);
	if (result == -ESTALE)
		folder_resync(fs, f);
	if (result != -ECANCELED)
		keep_offline_due(fs);
}

/*
 * A connection that has not been told of a new message yet, or has heard that
 * one is gone: it answers OK, and gives nothing.
 */
static void note_silence(struct offline *o, struct folder *f)
{
	struct kept *k;

	lock_take(&o->lock);
	k = offline_find_locked(o, f);
	if (k)
		k->silent = true;
	lock_drop(&o->lock);
}

static void set_ended(struct ahead_set *set, int result)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++)
		n += set->item[i].here;
	if (result == 0 && n < set->n)
		note_silence(set->fs->offline, set->f);
	offline_ended(set->fs, set->f, n, result);
}

/* --- what is missing --- */

/*
 * Every folder that is kept has a struct; the others have none, once nothing is
 * on its way for them.
 */
static void renew_list(struct fs *fs, struct offline *o)
{
	struct folder **v;
	struct kept *k, **at;
	size_t n;

	if (tree_all(fs->tree, &v, &n) != 0)
		return;
	lock_take(&o->lock);
	for (at = &o->kept; (k = *at) != NULL;) {
		if ((k->f->kept && !k->f->gone) || k->in_flight > 0) {
			at = &k->next;
			continue;
		}
		*at = k->next;
		free(k->ids);
		free(k);
	}
	for (size_t i = 0; i < n; i++) {
		if (!v[i]->kept || offline_find_locked(o, v[i]))
			continue;
		k = calloc(1, sizeof(*k));
		if (!k)
			break;
		k->f = v[i];
		k->look = true;
		k->next = o->kept;
		o->kept = k;
	}
	lock_drop(&o->lock);
	free(v);
}

enum next { NEXT_ASK, NEXT_LOOK, NEXT_WAIT };

static enum next next_step(struct offline *o, struct kept *k, int64_t now)
{
	enum next next = NEXT_ASK;

	lock_take(&o->lock);
	if (k->retry_ms != 0 && now >= k->retry_ms) {
		k->look = true;
		k->retry_ms = 0;
	} else if (k->look) {
		k->soon_ms = 0; /* there is news */
	}
	if (!k->f->kept || k->f->gone || (k->look && k->in_flight > 0)) {
		next = NEXT_WAIT;
	} else if (k->look) {
		next = NEXT_LOOK;
		k->look = false;
		k->looks = true;
		k->failed = k->silent = false;
	}
	lock_drop(&o->lock);
	return next;
}

/* Ask the cache what is missing. -EAGAIN: the folder is being listed. */
static int look(struct fs *fs, struct offline *o, struct kept *k)
{
	struct box *box;
	int r;

	free(k->ids);
	k->ids = NULL;
	k->n = k->at = 0;
	k->retry_ms = 0;
	r = folder_need_list(fs, k->f);
	if (r == 0)
		r = folder_get(fs, k->f, &box);
	if (r == 0) {
		r = box_missing_bodies(box, &k->ids, &k->n);
		folder_put(fs, k->f);
	}
	lock_take(&o->lock);
	k->missing = k->n;
	k->look |= r != 0;
	k->looks = false;
	lock_drop(&o->lock);
	return r;
}

/* Not missing any more; or, `by_others`, soon if all goes well: was it so? */
static void count_off(struct offline *o, struct kept *k, bool by_others)
{
	lock_take(&o->lock);
	if (by_others)
		k->silent = true;
	else if (k->missing > 0)
		k->missing--;
	lock_drop(&o->lock);
}

/*
 * Fill a set from the list; a large body is one by itself. Neither: the list
 * is at its end.
 */
static void gather(struct fs *fs, struct offline *o, struct kept *k,
		   struct box *box, struct ahead_set **set,
		   struct cache_msg *large)
{
	struct cache_state s;
	struct cache_msg m;
	size_t had;

	large->id = 0;
	box_state(box, &s); /* before the rows: ahead_set_add() */
	for (; k->at < k->n; k->at++) {
		if (box_find_id(box, k->ids[k->at], &m) != 0 || m.dead ||
		    m.uid == 0 || cache_has_body(fs->cache, m.id)) {
			count_off(o, k, false);
			continue;
		}
		if (m.size > AHEAD_MESSAGE_MAX) {
			if (*set)
				return;
			*large = m;
			k->at++;
			return;
		}
		if (*set && ((*set)->n == SET_MESSAGES ||
			     (*set)->bytes + m.size > SET_BYTES))
			return;
		had = *set ? (*set)->n : 0;
		ahead_set_add(fs, k->f, set, &m, s.uidvalidity, false);
		if (!*set || (*set)->n == had)
			count_off(o, k, true);
	}
}

/* One set of this folder: 1; 0: nothing is missing; or why not. */
static int ask(struct fs *fs, struct offline *o, struct kept *k)
{
	struct ahead_set *set = NULL;
	struct cache_msg large;
	struct box *box;
	int r;

	r = folder_get(fs, k->f, &box);
	if (r != 0)
		return r;
	gather(fs, o, k, box, &set, &large);
	folder_put(fs, k->f);
	if (!set && large.id == 0)
		return 0;

	lock_take(&o->lock);
	o->in_flight++;
	k->in_flight++;
	lock_drop(&o->lock);
	if (set) {
		set->ended = set_ended;
		ahead_set_send(fs, set);
		return 1;
	}
	r = offline_fetch_large(fs, k->f, &large);
	if (r != 0)
		offline_ended(fs, k->f, 0, r);
	return 1;
}

/* May anything be asked for? Else when: a time, or CLOCK_NEVER. */
static bool may_ask(struct fs *fs, struct offline *o, int64_t now,
		    int64_t *ret_when)
{
	bool may, budget = budget_ahead_left(fs) > 0;
	int64_t budget_ms = budget ? 0 : budget_wait_ms(fs);
	struct cache_stats st;

	cache_get_stats(fs->cache, &st);
	lock_take(&o->lock);
	if (now >= o->retry_ms) {
		o->retry_ms = 0;
		if (st.full)
			wait_locked(o, "cache_size is used up",
				    OFFLINE_RETRY_MS);
		else if (!budget)
			wait_locked(o, limit_reached, budget_ms);
	}
	if (o->retry_ms == 0)
		o->why = "";
	may = o->retry_ms == 0 && !st.deciding && o->in_flight < IN_FLIGHT &&
	      fs->online && !fs->stopping;
	*ret_when = CLOCK_NEVER;
	if (o->retry_ms != 0)
		*ret_when = o->retry_ms;
	else if (st.deciding)
		*ret_when = now + FULL_MS;
	lock_drop(&o->lock);
	return may;
}

/*
 * How long is what did not come left alone? What never comes, as a body that
 * the server calls NIL, is asked for less and less often.
 */
static int64_t pause_ms(struct kept *k, bool silent)
{
	int64_t ms = k->soon_ms ? k->soon_ms : SOON_MS;

	if (!silent)
		return OFFLINE_RETRY_MS;
	k->soon_ms = 2 * ms < OFFLINE_RETRY_MS ? 2 * ms : OFFLINE_RETRY_MS;
	return ms;
}

/* Work at one folder until enough is in flight, or nothing is missing. */
static void run_folder(struct fs *fs, struct offline *o, struct kept *k,
		       int64_t now)
{
	enum next next = next_step(o, k, now);
	bool failed, silent;
	int64_t when;
	int r = 1;

	if (next == NEXT_WAIT)
		return;
	if (next == NEXT_LOOK)
		r = look(fs, o, k) == 0;
	while (r > 0 && may_ask(fs, o, now, &when))
		r = ask(fs, o, k);
	lock_take(&o->lock);
	failed = k->failed;
	silent = k->silent;
	lock_drop(&o->lock);
	if (k->at == k->n && (failed || silent) && k->retry_ms == 0)
		k->retry_ms = now + pause_ms(k, silent);
}

/* Were bodies removed, by whoever wiped their folder? All is looked for. */
static bool follow_wipe(struct fs *fs, struct offline *o)
{
	struct cache_stats st;
	bool begun = cache_look_for_wipe(fs->cache);
	bool more;

	cache_get_stats(fs->cache, &st);
	more = st.lost != o->lost;
	o->lost = st.lost;
	if (!more)
		return begun;
	ahead_forget(fs);
	lock_take(&o->lock);
	for (struct kept *k = o->kept; k; k = k->next)
		k->look = true;
	lock_drop(&o->lock);
	return true;
}

/* When is it to be looked for a wipe again, whatever else happens? */
static int64_t look_again_ms(struct fs *fs, struct offline *o, int64_t now)
{
	if (!o->kept)
		return CLOCK_NEVER;
	if (follow_wipe(fs, o))
		o->again_ms = now + LOST_MS;
	else if (now >= o->again_ms)
		o->again_ms = now + OFFLINE_RETRY_MS;
	return o->again_ms;
}

int64_t offline_run(struct fs *fs, int64_t now)
{
	struct offline *o = fs->offline;
	int64_t when, again;

	renew_list(fs, o);
	again = look_again_ms(fs, o, now);
	if (!may_ask(fs, o, now, &when))
		return clock_earlier(when, again);
	/* This thread alone changes the list. */
	for (struct kept *k = o->kept; k; k = k->next)
		run_folder(fs, o, k, now);
	(void)may_ask(fs, o, now, &when);
	for (struct kept *k = o->kept; k; k = k->next)
		if (k->retry_ms != 0 && k->retry_ms < when)
			when = k->retry_ms;
	return clock_earlier(when, again);
}

/* --- life --- */

int offline_new(struct fs *fs, struct offline **ret)
{
	struct offline *o = calloc(1, sizeof(*o));

	(void)fs;
	if (!o)
		return -ENOMEM;
	lock_init(&o->lock, RANK_OFFLINE);
	o->why = "";
	*ret = o;
	return 0;
}

void offline_free(struct offline *o)
{
	struct kept *next;

	if (!o)
		return;
	for (struct kept *k = o->kept; k; k = next) {
		next = k->next;
		free(k->ids);
		free(k);
	}
	lock_finish(&o->lock);
	free(o);
}
