/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/changes.h"
#include "cache/spool.h"

/*
 * The records of the journal in memory: all of them, always. They are found by
 * id and by origin, in two tables with chains that grow together, and by seq,
 * in an array that is searched by halves. A record that goes leaves a hole in
 * the array; holes are closed when there are as many as records.
 *
 * Nothing here waits. journal_list.c has what callers read.
 */

#define BUCKETS_MIN 256
#define SLOTS_MIN 64

/* --- one record --- */

void change_free(struct change *c)
{
	if (!c)
		return;
	delta_finish(&c->delta);
	delta_finish(&c->sent_delta);
	free(c->name);
	free(c->spool);
	free(c->row_name);
	free(c);
}

/* NULL stays NULL. */
static int copy_string(const char *from, char **ret)
{
	*ret = from ? strdup(from) : NULL;
	return from && !*ret ? -ENOMEM : 0;
}

struct change *change_copy(const struct change *from)
{
	struct change *c = malloc(sizeof(*c));
	int r;

	if (!c)
		return NULL;
	*c = *from;
	c->delta = c->sent_delta = (struct delta){0};
	c->name = c->spool = c->row_name = NULL;
	c->refs = 1;
	c->step = NULL;
	c->next_by_id = c->next_by_origin = NULL;
	r = delta_copy(&from->delta, &c->delta);
	if (r == 0)
		r = delta_copy(&from->sent_delta, &c->sent_delta);
	if (r == 0)
		r = copy_string(from->name, &c->name);
	if (r == 0)
		r = copy_string(from->spool, &c->spool);
	if (r == 0)
		r = copy_string(from->row_name, &c->row_name);
	if (r == 0)
		return c;
	change_free(c);
	return NULL;
}

void change_unref_locked(struct journal *j, struct change *c)
{
	(void)j; /* for its lock */
	if (c && --c->refs == 0)
		change_free(c);
}

static bool has_labels(const struct delta *d)
{
	return d->add.labels || d->remove.labels;
}

unsigned change_what(const struct change *c)
{
	bool differs = !delta_is_empty(&c->delta);

	if (c->phase != JOURNAL_QUEUED && c->phase != JOURNAL_SENT)
		return 0;
	if (c->origin.folder == 0)
		return c->at == JOURNAL_LIMBO ? 0 : JOURNAL_APPEND;
	if (c->how == JOURNAL_COPIES)
		return c->at == JOURNAL_LIMBO
			       ? 0
			       : JOURNAL_COPY | (differs ? JOURNAL_STORE : 0);
	/* Labels are the message's, wherever else it stays. */
	if (c->at == JOURNAL_LIMBO)
		return JOURNAL_REMOVE |
		       (has_labels(&c->delta) ? JOURNAL_STORE : 0u);
	return (differs ? JOURNAL_STORE : 0) |
	       (c->at != c->origin.folder ? JOURNAL_MOVE : 0);
}

unsigned change_doubt(const struct change *c)
{
	if (c->phase != JOURNAL_QUEUED || c->sent_to == 0)
		return 0;
	if (c->origin.folder == 0)
		return JOURNAL_APPEND;
	if (c->how == JOURNAL_COPIES)
		return JOURNAL_COPY;
	return c->sent_to != c->origin.folder ? JOURNAL_MOVE : 0;
}

unsigned change_unanswered(const struct change *c)
{
	return c->phase == JOURNAL_SENT ? c->sent : change_doubt(c);
}

int change_carries(const struct change *c, unsigned parts, struct delta *ret)
{
	int r;

	if (!(parts & (JOURNAL_STORE | JOURNAL_APPEND))) {
		*ret = (struct delta){0};
		return 0;
	}
	r = delta_copy(&c->delta, ret);
	/* APPEND has no room for labels: they are stored behind it. */
	if (r == 0 && !(parts & JOURNAL_STORE)) {
		free(ret->add.labels);
		free(ret->remove.labels);
		ret->add.labels = ret->remove.labels = NULL;
	}
	return r;
}

bool place_is_equal(const struct journal_place *a,
		    const struct journal_place *b)
{
	return a->folder == b->folder && a->uidvalidity == b->uidvalidity &&
	       a->uid == b->uid;
}

/* --- the tables --- */

static size_t hash_id(const struct journal *j, uint64_t id)
{
	return (size_t)((id * 0x9e3779b97f4a7c15ULL) >> 32) & (j->buckets - 1);
}

static size_t hash_place(const struct journal *j, const struct journal_place *p)
{
	uint64_t x = p->folder * 0x9e3779b97f4a7c15ULL;

	x = (x ^ (x >> 29) ^ p->uidvalidity) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 32) ^ p->uid) * 0x94d049bb133111ebULL;
	return (size_t)(x >> 32) & (j->buckets - 1);
}

static void link_change(struct journal *j, struct change *c) REQUIRES(j->lock)
{
	size_t i = hash_id(j, c->id);

	c->next_by_id = j->by_id[i];
	j->by_id[i] = c;
	if (c->origin.folder == 0)
		return;
	i = hash_place(j, &c->origin);
	c->next_by_origin = j->by_origin[i];
	j->by_origin[i] = c;
}

static void unlink_change(struct journal *j, struct change *c) REQUIRES(j->lock)
{
	struct change **at = &j->by_id[hash_id(j, c->id)];

	while (*at != c)
		at = &(*at)->next_by_id;
	*at = c->next_by_id;
	if (c->origin.folder == 0)
		return;
	at = &j->by_origin[hash_place(j, &c->origin)];
	while (*at != c)
		at = &(*at)->next_by_origin;
	*at = c->next_by_origin;
}

struct change *journal_find_locked(const struct journal *j, uint64_t id)
{
	struct change *c = j->by_id[hash_id(j, id)];

	while (c && c->id != id)
		c = c->next_by_id;
	return c;
}

struct change *journal_same_origin_locked(const struct journal *j,
					  const struct journal_place *from,
					  const struct change *c)
{
	struct change *next =
		c ? c->next_by_origin : j->by_origin[hash_place(j, from)];

	while (next && !place_is_equal(&next->origin, from))
		next = next->next_by_origin;
	return next;
}

struct change *journal_find_mover_locked(const struct journal *j,
					 const struct journal_place *from)
{
	struct change *c = NULL;

	do
		c = journal_same_origin_locked(j, from, c);
	while (c && c->how != JOURNAL_MOVES);
	return c;
}

/* --- the order --- */

/* The first slot with this seq, or above. */
static size_t find_slot(const struct journal *j, uint64_t seq) REQUIRES(j->lock)
{
	size_t low = 0, high = j->n_slots;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (j->slot[mid].seq < seq)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct change *journal_next_locked(const struct journal *j, size_t *at)
{
	while (*at < j->n_slots) {
		struct change *c = j->slot[(*at)++].change;

		if (c)
			return c;
	}
	return NULL;
}

size_t journal_rank_locked(const struct journal *j, uint64_t after)
{
	return find_slot(j, after + 1);
}

bool change_is_text(const struct change *c, const struct record *row)
{
	return c->spool && (c->phase != JOURNAL_SCRATCH ||
			    !(row->state & RECORD_ANNOUNCED));
}

bool change_names_folder(const struct change *c, uint64_t folder)
{
	return c->at == folder || c->origin.folder == folder ||
	       c->sent_to == folder;
}

bool journal_names_locked(const struct journal *j, uint64_t folder)
{
	const struct change *c;
	size_t at = 0;

	while ((c = journal_next_locked(j, &at))) {
		if (change_names_folder(c, folder))
			return true;
	}
	return false;
}

static void close_holes(struct journal *j) REQUIRES(j->lock)
{
	size_t to = 0;

	for (size_t i = 0; i < j->n_slots; i++) {
		if (j->slot[i].change)
			j->slot[to++] = j->slot[i];
	}
	j->n_slots = to;
}

/* Longer chains are no failure: the tables grow when there is memory. */
static void grow_tables(struct journal *j, size_t want) REQUIRES(j->lock)
{
	size_t buckets = j->buckets * 2;
	struct change **by_id, **by_origin;

	while (buckets < want)
		buckets *= 2;
	by_id = calloc(buckets, sizeof(struct change *));
	by_origin = calloc(buckets, sizeof(struct change *));
	if (!by_id || !by_origin) {
		free(by_id);
		free(by_origin);
		return;
	}
	free(j->by_id);
	free(j->by_origin);
	j->by_id = by_id;
	j->by_origin = by_origin;
	j->buckets = buckets;
	for (size_t i = 0; i < j->n_slots; i++) {
		if (j->slot[i].change)
			link_change(j, j->slot[i].change);
	}
}

int journal_reserve_locked(struct journal *j, size_t n)
{
	struct change_slot *slot;
	size_t room;

	if (j->n_slots > SLOTS_MIN && j->n < j->n_slots / 2)
		close_holes(j);
	if (j->n_slots + n > j->room) {
		room = j->room ? j->room * 2 : SLOTS_MIN;
		if (room < j->n_slots + n)
			room = j->n_slots + n;
		slot = realloc(j->slot, room * sizeof(*slot));
		if (!slot)
			return -ENOMEM;
		j->slot = slot;
		j->room = room;
	}
	if (j->n + n > j->buckets)
		grow_tables(j, j->n + n);
	return 0;
}

/* One more or one less waits for another. */
static void count_waiter(struct journal *j, const struct change *c, int by)
	REQUIRES(j->lock)
{
	struct change *other =
		c->after != 0 ? journal_find_locked(j, c->after) : NULL;

	if (other)
		other->waiters += (unsigned)by;
}

void journal_count_waiters_locked(struct journal *j)
{
	struct change *c;
	size_t at = 0;

	while ((c = journal_next_locked(j, &at)))
		c->waiters = 0;
	at = 0;
	while ((c = journal_next_locked(j, &at)))
		count_waiter(j, c, 1);
}

/*
 * A slot behind all that come before it. A plan may give out numbers in another
 * order than that of its steps. A record that comes back (trial.c) may find the
 * hole that it has left.
 */
static struct change_slot *insert_slot(struct journal *j, uint64_t seq)
	REQUIRES(j->lock)
{
	size_t at = find_slot(j, seq);

	if (at < j->n_slots && j->slot[at].seq == seq)
		return &j->slot[at];
	for (at = j->n_slots++; at > 0 && j->slot[at - 1].seq > seq; at--)
		j->slot[at] = j->slot[at - 1];
	j->slot[at].seq = seq;
	return &j->slot[at];
}

void journal_swap_locked(struct journal *j, struct change *old,
			 struct change *next)
{
	struct change_slot *slot = NULL;

	if (old) {
		slot = &j->slot[find_slot(j, old->seq)];
		slot->change = NULL;
		count_waiter(j, old, -1);
		unlink_change(j, old);
		j->n--;
	}
	if (next) {
		if (!slot || slot->seq != next->seq)
			slot = insert_slot(j, next->seq);
		slot->change = next;
		next->waiters = old ? old->waiters : 0;
		link_change(j, next);
		count_waiter(j, next, 1);
		j->n++;
	}
	if (old)
		change_unref_locked(j, old);
}

/* --- life --- */

int journal_init(struct cache *c)
{
	struct journal *j = &c->journal;

	j->buckets = BUCKETS_MIN;
	j->by_id = calloc(BUCKETS_MIN, sizeof(struct change *));
	j->by_origin = calloc(BUCKETS_MIN, sizeof(struct change *));
	j->spool_dir = path_join(c->state_dir, "spool");
	j->rejected_dir = path_join(c->state_dir, "rejected");
	j->next_seq = j->next_gen = j->next_trial = 1;
	return j->by_id && j->by_origin && j->spool_dir && j->rejected_dir
		       ? 0
		       : -ENOMEM;
}

void journal_finish(struct cache *c)
{
	struct journal *j = &c->journal;

	leftovers_finish(c);
	for (size_t i = 0; i < j->n_slots; i++)
		change_free(j->slot[i].change);
	free(j->slot);
	free(j->by_id);
	free(j->by_origin);
	free(j->spool_dir);
	free(j->rejected_dir);
}

int journal_ready(struct cache *c)
{
	int r = writer_wait_room(c);

	if (r == 0)
		r = writer_failing(c);
	if (r == 0 && writer_is_broken(c))
		r = -EBADMSG;
	return r;
}
