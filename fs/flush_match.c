/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/flush_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/heard.h"
#include "fs/folder.h"
#include "fs/spooled.h"

/*
 * What was found in the destination (flush_look.c) is held against what was
 * sent there. Two messages may well be alike: copies of one message, or the
 * text of a draft before and after it was edited. So nothing counts that is
 * known to be another one: rows of the folder, and those that the journal takes
 * away from it. (A row that is there only since a message of a batch in doubt
 * was sent, and that no command of ours has put there, may be just that message
 * under another id: a sync was quicker.) And of several that are alike, the one
 * that has left the source is the one that has arrived: if the other one were
 * believed to be it, that would be removed from the source, and this one be
 * lost.
 *
 * On the flusher's thread, with the folders held.
 */

/* --- what messages are known by --- */

char *flush_text_of(const char *const field[N_FIELDS])
{
	const char *id = field[FIELD_MESSAGE_ID], *v[3];
	char *text;

	if (id && id[0])
		return strdup(id);
	v[0] = field[FIELD_DATE];
	v[1] = field[FIELD_FROM];
	v[2] = field[FIELD_SUBJECT];
	if (!v[0] && !v[1] && !v[2])
		return NULL;
	if (asprintf(&text, "%s\n%s\n%s", v[0] ? v[0] : "", v[1] ? v[1] : "",
		     v[2] ? v[2] : "") < 0)
		return NULL;
	return text;
}

/* By its file, wherever its row is by now. NULL: nothing, or no memory. */
static char *text_of_new(struct batch *b, struct item *it)
{
	struct spooled *said = malloc(sizeof(*said));
	char *text = NULL;
	int fd;

	if (said && spool_open(b->flush->fs->cache, it->id, false, &fd) == 0) {
		if (spool_size(fd, &it->size) == 0 &&
		    spooled_read(fd, said) == 0)
			text = flush_text_of(said->field);
		close(fd);
	}
	free(said);
	return text;
}

/* --- what is known to be another one --- */

struct known {
	struct box *box;   /* NULL: its UIDs say nothing */
	uint32_t *leaving; /* UIDs, ascending */
	size_t n;
};

static int compare_uids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Has a sync found this one, which was sent before and came late? */
static bool may_be_late(struct batch *b, const struct cache_msg *m)
{
	struct flush *fl = b->flush;

	return b->is_doubted && m->id >= fl->first_id &&
	       !flush_has_arrived(fl, b->to, b->look.uidvalidity, m->uid);
}

static bool is_known(struct batch *b, const struct known *k, uint32_t uid)
{
	struct cache_msg m;

	if (bsearch(&uid, k->leaving, k->n, sizeof(uid), compare_uids))
		return true;
	return k->box && box_find_uid(k->box, uid, &m) == 0 &&
	       !may_be_late(b, &m);
}

/* By a message of a batch, when it was looked before; or told by COPYUID. */
static bool is_taken(const struct batch *b, uint32_t uid)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->v[i].to == uid)
			return true;
	return flush_is_claimed(b, uid);
}

static void mark_known(struct batch *b, const struct known *k)
{
	for (size_t i = 0; i < b->look.n; i++) {
		struct found *v = &b->look.found[i];
		uint32_t uid = (uint32_t)v->key.of;

		v->is_taken = is_taken(b, uid) || is_known(b, k, uid);
	}
}

/* --- which is which --- */

static void take(struct batch *b, struct item *it, struct found *v)
{
	v->is_taken = true;
	it->is_found = true;
	it->to = (uint32_t)v->key.of;
	it->size_there = v->size;
	b->heard_uidvalidity = b->look.uidvalidity;
}

static bool is_same_key(const struct cache_key *a, const struct cache_key *b)
{
	return memcmp(a->hash, b->hash, sizeof(a->hash)) == 0;
}

static void take_by_key(struct batch *b, struct item *it)
{
	if (!flush_has_key(b, it))
		return;
	/* The list is newest first: of several the oldest is ours. */
	for (size_t i = b->look.n; it->to == 0 && i-- > 0;) {
		struct found *v = &b->look.found[i];

		if (!v->is_taken && v->has_key &&
		    is_same_key(&v->key, &it->key))
			take(b, it, v);
	}
}

/* Servers may change some bytes, such as the last line end. */
#define SIZE_SLACK 64

static bool has_size(const struct found *v, const struct item *it)
{
	return v->size + SIZE_SLACK >= it->size &&
	       v->size <= it->size + SIZE_SLACK;
}

/* Of a new message, whose key depends on what the server makes of it. */
static void take_by_text(struct batch *b, struct item *it)
{
	char *text = text_of_new(b, it);

	for (size_t i = b->look.n; text && it->to == 0 && i-- > 0;) {
		struct found *v = &b->look.found[i];

		if (!v->is_taken && v->text && strcmp(v->text, text) == 0 &&
		    has_size(v, it))
			take(b, it, v);
	}
	free(text);
}

int flush_match(struct batch *b)
{
	struct fs *fs = b->flush->fs;
	struct look *l = &b->look;
	struct known k = {0};
	struct cache_state s;
	struct box *box;
	int r;

	r = folder_get(fs, b->to, &box);
	if (r != 0)
		return r;
	box_state(box, &s);
	if (s.uidvalidity == l->uidvalidity)
		k.box = box;
	r = journal_origins(fs->cache, b->to->id, l->uidvalidity, &k.leaving,
			    &k.n);
	if (r == 0)
		mark_known(b, &k);
	for (size_t i = 0; r == 0 && i < b->n; i++) {
		struct item *it = &b->v[i];

		if (it->verdict != VERDICT_OPEN || it->to != 0)
			continue;
		take_by_key(b, it);
		if (it->to == 0 && b->part == JOURNAL_APPEND)
			take_by_text(b, it);
	}
	free(k.leaving);
	folder_put(fs, b->to);
	return r;
}

/* One that is still in the source, and was taken for this one. */
static struct item *find_mistaken(struct batch *b, const struct item *gone)
{
	for (size_t i = 0; i < b->n; i++) {
		struct item *it = &b->v[i];

		if (it->verdict == VERDICT_OPEN && it->to != 0 &&
		    !it->is_gone && flush_is_alike(it, gone))
			return it;
	}
	return NULL;
}

void flush_match_gone(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		struct item *it = &b->v[i], *other;

		if (it->verdict != VERDICT_OPEN || it->to != 0 || !it->is_gone)
			continue;
		other = find_mistaken(b, it);
		if (!other)
			continue;
		it->is_found = other->is_found;
		it->to = other->to;
		it->size_there = other->size_there;
		other->to = 0;
	}
}
