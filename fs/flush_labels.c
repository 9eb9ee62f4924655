/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/flush_private.h"

#include <string.h>

#include "fs/folder.h"
#include "fs/gmail.h"
#include "fs/keep.h"
#include "imap/keywords.h"

/*
 * Labels were stored, so messages came to other folders, or went there. These
 * have moved: they are asked for at once if they are in use, else when they are
 * entered. A label that no folder is known for is one that the server has made.
 * On the flusher's thread.
 */

static void note_moved(struct fs *fs, struct folder *f)
{
	folder_note_moved(f, clock_now_ms());
	keep_look_again(fs, f);
}

/* False: no folder has this label. */
static bool note_label(struct fs *fs, const char *word, size_t n)
{
	char wire[MAIL_KEYWORDS_MAX + 1];
	struct folder *f;
	uint32_t attr;

	attr = gmail_mailbox_of(word, n, wire);
	f = attr ? tree_special(fs->tree, attr) : tree_by_wire(fs->tree, wire);
	if (f)
		note_moved(fs, f);
	return f || word[0] == '\\';
}

static bool has_done(const struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->v[i].verdict == VERDICT_DONE)
			return true;
	return false;
}

void flush_note_labels(struct batch *b)
{
	struct fs *fs = b->flush->fs;
	const char *list[] = {b->add_labels, b->remove_labels}, *word;
	bool is_new = false;
	struct folder *starred;
	size_t n;

	if (b->part != JOURNAL_STORE || !has_done(b))
		return;
	for (int i = 0; i < 2; i++)
		while (keywords_next(&list[i], &word, &n))
			is_new |= !note_label(fs, word, n) && i == 0;
	if (is_new)
		(void)keep_ask_folders(fs, IMAP_PRIO_SYNC);
	if (!((b->add | b->remove) & MAIL_FLAGGED) ||
	    !imap_has_labels(fs->imap))
		return;
	starred = tree_special(fs->tree, FOLDER_FLAGGED);
	if (starred)
		note_moved(fs, starred);
}
