/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "imap/item.h"
#include "imap/keywords.h"
#include "imap/labels.h"

/*
 * imap_store(): flags, keywords and labels as deltas, never as they are to be:
 * another client may have changed others meanwhile. What the mailbox does not
 * keep (PERMANENTFLAGS) is sorted out before, and told.
 *
 * Runs on the thread of the connection that has the job.
 */

struct store {
	struct uid_change u; /* set and take: what of it is kept */
	unsigned set_flags;
	unsigned take_flags;
	char *set_words;
	char *take_words;
	char *left; /* room for all keywords */
	size_t left_size;
};

static void sift(struct store *j, const struct session *s, const char *words,
		 char *kept)
{
	size_t size = strlen(words) + 1;
	const char *word;
	size_t n;

	kept[0] = '\0';
	while (keywords_next(&words, &word, &n)) {
		if (select_keeps_keyword(s, word, n))
			item_add_word(kept, size, word, n);
		else
			item_add_word(j->left, j->left_size, word, n);
	}
}

static void start(struct job *job, struct session *s)
{
	struct store *j = (struct store *)job;
	struct verb_flags *set = &j->u.set;
	struct verb_flags *take = &j->u.take;
	struct imap_outcome *end = &j->u.c.end;

	if (!verbs_begin(&j->u, s))
		return;
	if ((set->labels || take->labels) && !session_has(s, CAP_GMAIL)) {
		change_fail(&j->u.c, -EOPNOTSUPP, "has no labels");
		return;
	}
	j->left[0] = '\0';
	end->left_keywords = j->left;
	set->flags = select_kept_flags(s, j->set_flags);
	take->flags = select_kept_flags(s, j->take_flags);
	end->left_flags =
		(j->set_flags & ~set->flags) | (j->take_flags & ~take->flags);
	sift(j, s, j->set_words, set->keywords);
	sift(j, s, j->take_words, take->keywords);
	if (set->flags || set->keywords[0])
		verbs_add(&j->u, VERB_SET);
	if (take->flags || take->keywords[0])
		verbs_add(&j->u, VERB_TAKE);
	if (set->labels)
		verbs_add(&j->u, VERB_LABEL);
	if (take->labels)
		verbs_add(&j->u, VERB_UNLABEL);
	if (j->u.n_verbs == 0)
		change_finish(&j->u.c);
}

static void store_free(struct job *job)
{
	struct store *j = (struct store *)job;

	free(j->set_words);
	free(j->take_words);
	free(j->left);
	verbs_free(job);
}

static const struct job_class store_class = {
	.name = "store",
	.changes = true,
	.writes = true,
	.start = start,
	.pump = verbs_pump,
	.answer = verbs_answer,
	.repeat = change_repeat,
	.done = change_done,
	.free = store_free,
};

static bool has_both(const char *a, const char *b,
		     bool (*have)(const char *list, const char *word, size_t n))
{
	const char *word;
	size_t n;

	while (keywords_next(&a, &word, &n)) {
		if (have(b, word, n))
			return true;
	}
	return false;
}

static bool has_any(const char *words)
{
	return words && *words;
}

static bool is_valid(const struct imap_flag_delta *d)
{
	unsigned flags = d->add_flags | d->remove_flags;
	bool has_words = has_any(d->add_keywords) ||
			 has_any(d->remove_keywords) ||
			 has_any(d->add_labels) || has_any(d->remove_labels);

	return (flags || has_words) && (flags & ~CHANGE_FLAGS) == 0 &&
	       (d->add_flags & d->remove_flags) == 0 &&
	       keywords_are_valid(d->add_keywords) &&
	       keywords_are_valid(d->remove_keywords) &&
	       !has_both(d->add_keywords, d->remove_keywords, keywords_have) &&
	       labels_are_valid(d->add_labels) &&
	       labels_are_valid(d->remove_labels) &&
	       !has_both(d->add_labels, d->remove_labels, labels_have);
}

static int copy_words(const char *words, char **ret, char **ret_kept)
{
	*ret = strdup(words ? words : "");
	*ret_kept = strdup(words ? words : "");
	return *ret && *ret_kept ? 0 : -ENOMEM;
}

/* None stay NULL. */
static int copy_labels(const char *labels, char **ret)
{
	if (!has_any(labels))
		return 0;
	*ret = strdup(labels);
	return *ret ? 0 : -ENOMEM;
}

static int copy_delta(struct store *j, const struct imap_flag_delta *d)
{
	j->set_flags = d->add_flags;
	j->take_flags = d->remove_flags;
	if (copy_words(d->add_keywords, &j->set_words, &j->u.set.keywords) <
		    0 ||
	    copy_words(d->remove_keywords, &j->take_words,
		       &j->u.take.keywords) < 0 ||
	    copy_labels(d->add_labels, &j->u.set.labels) < 0 ||
	    copy_labels(d->remove_labels, &j->u.take.labels) < 0)
		return -ENOMEM;
	j->left_size = strlen(j->set_words) + strlen(j->take_words) + 2;
	j->left = calloc(1, j->left_size);
	return j->left ? 0 : -ENOMEM;
}

int imap_store(struct imap *im, const struct imap_messages *which,
	       const struct imap_flag_delta *delta, imap_change_fn done,
	       void *ctx, imap_job *ret)
{
	struct uid_change *j;
	int r;

	if (!is_valid(delta))
		return -EINVAL;
	r = verbs_new(&store_class, sizeof(struct store), which, &j);
	if (r < 0)
		return r;
	r = copy_delta((struct store *)j, delta);
	if (r < 0) {
		store_free(&j->c.job);
		return r;
	}
	return change_submit(im, &j->c, done, ctx, ret);
}
