/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/tree_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/*
 * The names and paths of folders, past ones too: each text once, in a table
 * with open addressing. Whoever renames a mailbox renames all below it, and
 * often back: what a mount keeps is bounded by the names that there were, not
 * by how often they changed.
 */

/* Where it is, or would be. There is room. */
static const char **slot(const char **v, size_t n, const char *text)
{
	size_t i = XXH3_64bits(text, strlen(text)) & (n - 1);

	while (v[i] && strcmp(v[i], text) != 0)
		i = (i + 1) & (n - 1);
	return &v[i];
}

static int grow_locked(struct tree *t, size_t n) REQUIRES(t->lock)
{
	const char **v = calloc(n, sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < t->texts_size; i++)
		if (t->texts[i])
			*slot(v, n, t->texts[i]) = t->texts[i];
	free((void *)t->texts);
	t->texts = v;
	t->texts_size = n;
	return 0;
}

const char *tree_text_locked(struct tree *t, const char *text)
{
	const char **at;

	/* At most half of it is used. */
	if (t->n_texts * 2 >= t->texts_size &&
	    grow_locked(t, t->texts_size ? t->texts_size * 2 : 64) != 0)
		return NULL;
	at = slot(t->texts, t->texts_size, text);
	if (!*at) {
		*at = region_text(&t->lasting, text);
		t->n_texts += *at != NULL;
	}
	return *at;
}
