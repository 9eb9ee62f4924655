/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/queue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/journal.h"
#include "fs/attr.h"
#include "fs/gmail.h"
#include "fs/marks.h"
#include "fs/tree.h"

/*
 * The journal for people: how far it is, what is to be done, and to which
 * message. Rendered outside all locks, from copies.
 *
 *     waiting  move    INBOX/2026...eml (UID 7) to Work
 *     waiting  flags   INBOX/2026...eml (UID 8) +(\Seen work)
 *     waiting  move    INBOX/2026...eml (UID 9), it may be in Work
 *     waiting  labels  INBOX/2026...eml (UID 9) +labels(home) -labels(work)
 */

static const char *state_of(const struct journal_entry *e)
{
	switch (e->phase) {
	case JOURNAL_SCRATCH:
		return "scratch";
	case JOURNAL_WRITING:
		return "written";
	case JOURNAL_QUEUED:
		return "waiting";
	case JOURNAL_SENT:
		return "sent";
	}
	return "unknown";
}

static bool has_flags(const struct journal_entry *e)
{
	return e->add || e->remove || e->add_keywords[0] ||
	       e->remove_keywords[0];
}

static const char *verb_of(const struct journal_entry *e)
{
	unsigned what = e->phase == JOURNAL_SENT ? e->sent : e->what;

	if (e->phase == JOURNAL_SCRATCH)
		return "keep";
	if (e->doubt)
		what = e->doubt;
	if (e->phase == JOURNAL_WRITING || (what & JOURNAL_APPEND))
		return "new";
	if (what & JOURNAL_REMOVE)
		return "remove";
	if (what & JOURNAL_COPY)
		return "copy";
	if (what & JOURNAL_MOVE)
		return "move";
	return has_flags(e) ? "flags" : "labels";
}

static const char *path_of(struct fs *fs, uint64_t folder)
{
	struct folder *f = tree_find(fs->tree, folder);

	return f ? f->path : "?";
}

/* Its name where it is; "" if it is nowhere, or cannot be found. */
static void name_of(struct fs *fs, uint64_t id, char ret[CACHE_NAME_MAX + 1])
{
	struct cache_msg m;
	struct folder *f;

	ret[0] = '\0';
	if (attr_find_message(fs, id, &m, &f) == 0)
		memcpy(ret, m.name, strlen(m.name) + 1);
}

static void print_marks(FILE *out, char sign, uint32_t flags,
			const char *keywords)
{
	const struct marks m = {flags, (char *)keywords};
	char *text;

	if ((!flags && !keywords[0]) || marks_to_text(&m, &text) != 0)
		return;
	fprintf(out, " %c(%s)", sign, text);
	free(text);
}

static void print_labels(FILE *out, char sign, const char *labels)
{
	char *text;

	if (!labels[0] || gmail_labels_to_text(labels, &text) != 0)
		return;
	fprintf(out, " %clabels(%s)", sign, text);
	free(text);
}

static void print_entry(FILE *out, struct fs *fs, const struct journal_entry *e)
{
	char name[CACHE_NAME_MAX + 1];

	name_of(fs, e->id, name);
	fprintf(out, "%-7s  %-6s  ", state_of(e), verb_of(e));
	if (e->origin.folder)
		fprintf(out, "%s/%s (UID %u)", path_of(fs, e->origin.folder),
			name, e->origin.uid);
	else
		fprintf(out, "%s/%s", path_of(fs, e->at), name);
	if (e->origin.folder && e->at != JOURNAL_LIMBO &&
	    e->at != e->origin.folder)
		fprintf(out, " to %s", path_of(fs, e->at));
	if (e->origin.folder) {
		print_marks(out, '+', e->add, e->add_keywords);
		print_marks(out, '-', e->remove, e->remove_keywords);
		print_labels(out, '+', e->add_labels);
		print_labels(out, '-', e->remove_labels);
	}
	if (e->doubt)
		fprintf(out, ", it may be in %s", path_of(fs, e->sent_to));
	if (e->tries > 0)
		fprintf(out, ", tried %u times", e->tries);
	fputc('\n', out);
}

int queue_render(struct fs *fs, char **ret, size_t *ret_n)
{
	const struct journal_filter all = {0};
	struct journal_list *list;
	int r = journal_read(fs->cache, &all, &list);
	FILE *out;

	if (r != 0)
		return r;
	out = open_memstream(ret, ret_n);
	if (!out) {
		free(list);
		return -ENOMEM;
	}
	for (size_t i = 0; i < list->n; i++)
		print_entry(out, fs, &list->v[i]);
	free(list);
	if (fclose(out) != 0) {
		free(*ret);
		return -ENOMEM;
	}
	return 0;
}
