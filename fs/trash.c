/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/change_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fs/rights.h"
#include "imap/log.h"

/*
 * Where removed messages go. The server says by an attribute which folder is
 * its Trash (RFC 6154); where none has it, a name that mail programs use is
 * taken, of a folder at the top or in INBOX. Junk is known by its attribute
 * only: what is removed there is gone for good, and a name is a guess.
 */

static const char *const usual_names[] = {
	"Trash",
	"Deleted Items",
	"Deleted Messages",
	"Deleted",
	"Bin",
	"Papierkorb",
	"Corbeille",
	"Cestino",
	"Papelera",
	"Gel\xc3\xb6schte Elemente",
};
#define N_USUAL (sizeof(usual_names) / sizeof(usual_names[0]))

static bool is_usable(const struct folder *f)
{
	return !f->gone && !(f->attrs & FOLDER_NOSELECT);
}

static bool is_at_top(const struct folder *f)
{
	const struct folder *parent = f->parent;

	return parent &&
	       (!parent->parent || (strcasecmp(parent->wire, "INBOX") == 0));
}

/* The rank of its name among the usual ones; N_USUAL: it is none. */
static size_t rank_of(const struct folder *f)
{
	size_t i = N_USUAL;

	if (is_at_top(f))
		for (i = 0; i < N_USUAL; i++)
			if (strcasecmp(f->name, usual_names[i]) == 0)
				break;
	return i;
}

/* NULL: the account has none. */
static int find_trash(struct fs *fs, struct folder **ret)
{
	struct folder **all, *found = NULL;
	size_t n, best = N_USUAL, rank;
	int r = tree_all(fs->tree, &all, &n);

	if (r != 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (!is_usable(all[i]))
			continue;
		if (all[i]->attrs & FOLDER_TRASH) {
			found = all[i];
			break;
		}
		rank = rank_of(all[i]);
		if (rank < best) {
			best = rank;
			found = all[i];
		}
	}
	free(all);
	*ret = found;
	return 0;
}

/* Is it, or is it in, such a folder? */
static bool is_within(const struct folder *f, const struct folder *trash)
{
	for (; f; f = f->parent)
		if (f == trash || (f->attrs & FOLDER_JUNK))
			return true;
	return false;
}

int change_may_leave(struct fs *fs, struct folder *f)
{
	return rights_check(fs, f, RIGHT_DELETE | RIGHT_EXPUNGE);
}

int change_may_arrive(struct fs *fs, struct folder *f)
{
	return rights_check(fs, f, RIGHT_INSERT);
}

int trash_of(struct fs *fs, struct folder *f, struct folder **ret)
{
	struct folder *trash = NULL;
	/* What is expunged under a label need not be removed at all. */
	bool uses_trash = fs->opt->deletes == DELETE_TRASH ||
			  change_folders_are_labels(fs);
	int r = change_may_leave(fs, f);

	if (r == 0 && uses_trash)
		r = find_trash(fs, &trash);
	if (r != 0)
		return r;
	if (!uses_trash || is_within(f, trash)) {
		*ret = NULL;
		return 0;
	}
	if (!trash) {
		log_warn("change: nothing is removed from '%s': no folder is "
			 "the Trash, and only the option delete=expunge "
			 "removes messages for good",
			 f->path);
		return -EPERM;
	}
	r = change_may_arrive(fs, trash);
	if (r == 0)
		*ret = trash;
	return r;
}
