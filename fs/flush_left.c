/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/flush_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/folder.h"
#include "fs/notify.h"
#include "imap/keywords.h"
#include "imap/log.h"

/*
 * Flags that were stored: those that the mailbox does not keep (RFC 9051
 * section 7.1, PERMANENTFLAGS), and those that a look has shown. On the
 * flusher's thread.
 */

static char *add_word(char *to, const char *list, const char *word, size_t n)
{
	if (to > list)
		*to++ = ' ';
	return mempcpy(to, word, n);
}

/*
 * The keywords of a row without those that were not set, and with those that
 * were not taken off; free(). NULL: no memory.
 */
static char *words_there(const struct batch *b, const char *row)
{
	const char *left = b->left_keywords, *word;
	char *list = calloc(1, strlen(row) + strlen(left) + 2), *to = list;
	size_t n;

	while (list && keywords_next(&row, &word, &n))
		if (!keywords_have(left, word, n) ||
		    !keywords_have(b->add_keywords, word, n))
			to = add_word(to, list, word, n);
	while (list && keywords_next(&left, &word, &n))
		if (keywords_have(b->remove_keywords, word, n) &&
		    !keywords_have(list, word, n))
			to = add_word(to, list, word, n);
	return list;
}

/* `ret->keywords` is yours to free. */
static int flags_there(const struct batch *b, struct box *box, uint64_t id,
		       struct cache_flags *ret)
{
	uint32_t on = b->left_flags & b->remove;
	uint32_t off = b->left_flags & b->add;
	struct cache_details *d;
	struct cache_msg m;
	char *words = NULL;
	int r = box_find_id(box, id, &m);

	if (r == 0 && b->left_keywords) {
		r = box_details(box, id, &d);
		if (r != 0)
			return r;
		words = words_there(b, d->keywords ? d->keywords : "");
		r = words ? 0 : -ENOMEM;
		free(d);
	}
	if (r == 0)
		*ret = (struct cache_flags){
			.id = id,
			.flags = (m.flags & ~off) | on,
			.keywords = words,
		};
	return r;
}

/* They are as the server has them, from now on. */
static int flags_left(struct batch *b, struct box *box)
{
	struct cache_flags *v = calloc(b->n + 1, sizeof(*v));
	struct cache_msg m;
	size_t n = 0;
	int r = v ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < b->n; i++) {
		if (b->v[i].verdict != VERDICT_DONE)
			continue;
		r = flags_there(b, box, b->v[i].id, &v[n]);
		if (r == 0)
			n++;
		else if (r == -ENOENT)
			r = 0; /* it is gone */
	}
	if (r == 0)
		r = box_set_flags(box, v, n);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (box_find_id(box, v[i].id, &m) == 0)
			notify_attr(b->flush->fs->notify, m.id);
	for (size_t i = 0; i < n; i++)
		free((char *)v[i].keywords);
	free(v);
	return r;
}

/* The rest was stored, so that nothing is undone. */
static void note_left(struct batch *b)
{
	struct journal_failure f = {
		.what = "to change its flags",
		.why = "the mailbox does not keep all of them"};
	char *file;

	for (size_t i = 0; i < b->n; i++) {
		if (b->v[i].verdict != VERDICT_DONE)
			continue;
		file = flush_file_of(b, &b->v[i]);
		f.file = file;
		log_warn("flush: refused %s '%s': %s", f.what, file ? file : "",
			 f.why);
		if (journal_note_failure(b->flush->fs->cache, &f) != 0)
			log_debug("flush: a failure is not listed");
		free(file);
	}
}

static bool left_all(const struct batch *b)
{
	size_t asked = strlen(b->add_keywords) + strlen(b->remove_keywords);
	size_t left = b->left_keywords ? strlen(b->left_keywords) : 0;

	if (((b->add | b->remove) & ~b->left_flags) != 0 || batch_has_labels(b))
		return false;
	return left >= asked && (b->left_flags || left);
}

void flush_refuse_left(struct batch *b)
{
	if (b->part != JOURNAL_STORE || b->result != 0 || !left_all(b))
		return;
	free(b->why);
	b->why = strdup("the mailbox does not keep such a flag");
	b->result = -EPERM;
	for (size_t i = 0; i < b->n; i++) {
		if (b->v[i].verdict != VERDICT_DONE)
			continue;
		b->v[i].verdict = VERDICT_UNDO;
		b->v[i].error = -EPERM;
	}
}

/* Of messages that are still here, others may have changed some, too. */
static int flags_seen(struct batch *b, struct box *box)
{
	struct cache_flags *v = calloc(b->n + 1, sizeof(*v));
	size_t n = 0;
	int r = v ? 0 : -ENOMEM;

	for (size_t i = 0; v && i < b->n; i++)
		if (b->v[i].has_flags)
			v[n++] = (struct cache_flags){b->v[i].id, b->v[i].flags,
						      b->v[i].keywords,
						      b->v[i].labels};
	if (n > 0)
		r = box_set_flags(box, v, n);
	free(v);
	return r;
}

void flush_correct_flags(struct batch *b)
{
	struct box *box;
	int r;

	if (b->part != JOURNAL_STORE || folder_get(b->flush->fs, b->from, &box))
		return;
	r = flags_seen(b, box);
	if (r == 0 && b->result == 0 && (b->left_flags || b->left_keywords)) {
		note_left(b);
		r = flags_left(b, box);
	}
	folder_put(b->flush->fs, b->from);
	if (r != 0)
		log_warn("flush: flags that '%s' does not have are still shown",
			 b->from->path);
}
