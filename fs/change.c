/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/change_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/journal.h"
#include "cache/recall.h"
#include "fs/attr.h"
#include "fs/draft.h"
#include "fs/flush.h"
#include "fs/folder.h"
#include "fs/notify.h"
#include "fs/offline.h"
#include "imap/change.h"
#include "imap/log.h"

/*
 * What the user does, as calls of the journal. The boxes of the folders that a
 * change concerns are kept open while it is made; no lock is held over more
 * than one call, for each call of the journal is a transaction of its own. What
 * a server's answer may change between two of them (a row that is gone) is
 * found out again by the journal.
 *
 * Who names a message has seen it: that its row is not announced (a change of
 * it was undone, and the replay is on its way) does not matter here.
 */

/* --- what they share --- */

int change_wait_for_uids(struct fs *fs, struct folder *f,
			 struct change_end *end)
{
	int r = folder_need_uids(fs, f);

	end->waits = f;
	return r == 0 ? -ENOENT : r;
}

bool change_folders_are_labels(struct fs *fs)
{
	return imap_has_labels(fs->imap) || cache_may_recall(fs->cache);
}

bool change_is_only_here(struct fs *fs, const struct cache_msg *m)
{
	struct journal_list *list;
	bool only;

	if (m->uid != 0 || journal_get(fs->cache, m->id, &list) != 0)
		return false;
	only = list->v[0].origin.folder == 0 ||
	       list->v[0].how == JOURNAL_COPIES;
	free(list);
	return only;
}

uint64_t change_id_to_wait_for(struct fs *fs, uint64_t id)
{
	struct journal_list *list;
	enum journal_phase phase;

	if (id == 0 || journal_get(fs->cache, id, &list) != 0)
		return id;
	phase = list->v[0].phase;
	free(list);
	return phase == JOURNAL_QUEUED || phase == JOURNAL_SENT ? id : 0;
}

/* --- moving --- */

struct moving {
	struct fs *fs;
	const struct change_move *how;
	struct box *from, *to;
	struct cache_msg m;
	struct cache_msg other; /* that has the name */
	bool has_other;
	struct folder *trash; /* where that goes; NULL: for good */
};

static int look(struct moving *v)
{
	const struct change_move *how = v->how;
	struct tree *tree = v->fs->tree;
	int r = box_find_name(v->from, how->name, &v->m);

	if (r == 0 && v->m.doomed)
		r = -ENOENT;
	if (r != 0)
		return r;
	if (tree_child(tree, how->to, how->to_name) ||
	    tree_is_coming(tree, how->to, how->to_name))
		return how->no_replace ? -EEXIST : -EISDIR;
	r = box_find_name(v->to, how->to_name, &v->other);
	if (r == -ENOENT)
		return 0;
	if (r == 0 && v->other.doomed)
		return change_finish_doomed(v->to, &v->other);
	if (r == 0 && how->no_replace)
		return -EEXIST;
	v->has_other = r == 0 && v->other.id != v->m.id;
	return r;
}

/* free(). NULL: they are not known, or there is no memory. */
static struct cache_details *details_of(struct fs *fs, struct box *box,
					uint64_t id)
{
	struct cache_details *d = NULL;
	int r = box_details(box, id, &d);

	/* A row that has just been listed may not be on the disk yet. */
	if (r == -ENOENT && cache_sync(fs->cache) == 0)
		r = box_details(box, id, &d);
	return r == 0 ? d : NULL;
}

/* Copies of one content, which the server has and keeps, and nobody writes? */
static bool are_copies(struct moving *v, const struct cache_details *m,
		       const struct cache_details *other)
{
	return m->emailid && other->emailid &&
	       strcmp(m->emailid, other->emailid) == 0 &&
	       v->m.size == v->other.size && v->m.uid != 0 &&
	       v->other.uid != 0 && !(v->other.flags & MAIL_DELETED) &&
	       !draft_is_written(v->fs, v->m.id) &&
	       !draft_is_written(v->fs, v->other.id);
}

/* Are they one message: under two labels, or copies of it? */
static bool is_same(struct moving *v)
{
	struct cache_details *m, *other = NULL;
	bool same = false;

	if (!v->has_other || v->from == v->to)
		return false;
	m = details_of(v->fs, v->from, v->m.id);
	if (m)
		other = details_of(v->fs, v->to, v->other.id);
	if (other)
		same = (m->gm_msgid != 0 && m->gm_msgid == other->gm_msgid) ||
		       are_copies(v, m, other);
	free(other);
	free(m);
	return same;
}

bool change_is_copy_apart(struct fs *fs, struct folder *f, uint64_t id,
			  struct folder *to)
{
	struct cache_details *d;
	struct box *box;
	bool apart;

	if (!change_folders_are_labels(fs))
		return true;
	if (f == to || (to->attrs & (FOLDER_ALL | FOLDER_TRASH | FOLDER_JUNK)))
		return false;
	if (folder_get(fs, f, &box) != 0)
		return false;
	d = details_of(fs, box, id);
	folder_put(fs, f);
	apart = d && d->gm_msgid != 0 &&
		!cache_has_gm(fs->cache, to->id, d->gm_msgid);
	free(d);
	return apart;
}

/*
 * The kernel believes that the name stands for the one that was renamed, until
 * it is told to look again.
 */
static void tell_other(struct moving *v)
{
	notify_added(v->fs->notify, tree_ino(v->fs->tree, v->how->to),
		     v->how->to_name);
}

/*
 * A label is taken off by a move to the mailbox of all messages (flush_send.c),
 * which the owner of the account may have hidden from IMAP.
 */
static int may_drop_label(struct moving *v)
{
	int r = change_may_leave(v->fs, v->how->from);

	if (r != 0 || !change_folders_are_labels(v->fs) ||
	    tree_special(v->fs->tree, FOLDER_ALL))
		return r;
	log_warn("change: no label can be taken off, for Gmail's settings "
		 "hide the folder of all mail from IMAP");
	return -EPERM;
}

/* It is there already: only its label, or the copy of it that is here, goes. */
static int drop_label(struct moving *v)
{
	int r = may_drop_label(v);

	if (r != 0)
		return r;
	folder_keep_body(v->fs, v->how->from, &v->m);
	r = journal_remove(v->from, v->m.id);
	if (r == 0)
		tell_other(v);
	else
		folder_drop_ghost(v->how->from, v->m.id);
	return r;
}

/*
 * An empty file is never sent, so nothing would ever come in the place of the
 * message whose name it is to take.
 */
static bool is_nothing(struct moving *v)
{
	struct stat st = {.st_size = (off_t)v->m.size};

	draft_fill_stat(v->fs, v->m.id, &st);
	return st.st_size == 0 && change_is_only_here(v->fs, &v->m);
}

/* A scratch file, which is only here, becomes a message by its new name. */
static bool becomes_message(struct moving *v)
{
	struct journal_list *list;
	bool is_scratch;

	if (draft_is_scratch(v->how->to_name) ||
	    journal_get(v->fs->cache, v->m.id, &list) != 0)
		return false;
	is_scratch = list->v[0].phase == JOURNAL_SCRATCH;
	free(list);
	return is_scratch;
}

static int may_move(struct moving *v)
{
	bool arrives = v->from != v->to || becomes_message(v);
	int r = 0;

	if (v->from != v->to && !change_is_only_here(v->fs, &v->m))
		r = change_may_leave(v->fs, v->how->from);
	return r == 0 && arrives ? change_may_arrive(v->fs, v->how->to) : r;
}

/* May it be moved, and where does the one go that has the name? */
static int prepare(struct moving *v)
{
	int r = may_move(v);

	if (r == 0 && v->has_other && !change_is_only_here(v->fs, &v->other)) {
		r = is_nothing(v) ? -EINVAL : 0;
		if (r == 0)
			r = trash_of(v->fs, v->how->to, &v->trash);
		if (r == 0 && !v->trash)
			r = change_may_vanish(v->fs, &v->other);
	}
	if (r == 0 && v->has_other && !v->trash)
		folder_keep_body(v->fs, v->how->to, &v->other);
	return r;
}

/*
 * A program that saves a draft by writing another file and renaming it goes on
 * with a draft.
 */
static void pass_on_draft(struct moving *v)
{
	const struct journal_flags flags = {.id = v->m.id, .add = MAIL_DRAFT};

	if (!v->has_other || !(v->other.flags & MAIL_DRAFT) ||
	    !change_is_only_here(v->fs, &v->m))
		return;
	if (journal_change_flags(v->to, &flags, 1) != 0)
		log_debug("change: '%s' is no draft any more", v->how->to_name);
}

static int move_row(struct moving *v, struct journal_moved *ret)
{
	struct journal_move how = {
		.to = v->to,
		.name = v->how->to_name,
		.onto = v->how->no_replace ? JOURNAL_EXACT : JOURNAL_REPLACE,
		.make_message = !draft_is_scratch(v->how->to_name),
	};
	int r = prepare(v);

	if (r == 0 && v->trash)
		r = folder_get(v->fs, v->trash, &how.trash);
	if (r != 0)
		return r;
	if (v->has_other)
		draft_removing(v->fs, v->other.id);
	r = journal_move(v->from, v->m.id, &how, ret);
	if (v->has_other)
		draft_removed(v->fs, v->other.id, r == 0);
	if (r == 0) {
		pass_on_draft(v);
		draft_moved(v->fs, v->m.id, v->how->to);
	}
	if (v->trash)
		folder_put(v->fs, v->trash);
	if (r != 0 && v->has_other)
		folder_drop_ghost(v->how->to, v->other.id);
	return r;
}

static void tell_moved(struct moving *v, const struct journal_moved *moved)
{
	struct fs *fs = v->fs;
	struct folder *trash;

	if (moved->replaced_to) {
		trash = tree_find(fs->tree, moved->replaced_to);
		if (trash)
			change_tell_arrival(fs, trash, moved->replaced);
		notify_relinked(fs->notify, tree_ino(fs->tree, v->how->to),
				moved->replaced);
	}
	if (v->how->from != v->how->to)
		offline_note(fs, v->how->to);
}

/*
 * Nothing leaves the mailbox of all messages but for Trash and Junk: who moves
 * a message out of it gives it a label, and the server has it in both. What is
 * on its way there only is moved on as any other.
 */
static bool stays(struct moving *v)
{
	const struct folder *from = v->how->from, *to = v->how->to;

	return from != to && (from->attrs & FOLDER_ALL) &&
	       !(to->attrs & (FOLDER_TRASH | FOLDER_JUNK)) &&
	       change_folders_are_labels(v->fs) && v->m.uid != 0;
}

/* A second row for it; the one that has the name goes before. */
static int add_label(struct moving *v, struct change_end *end)
{
	const struct journal_copy how = {.to = v->to, .name = v->how->to_name};
	uint64_t id = 0;
	int r = change_may_arrive(v->fs, v->how->to);

	if (r == 0 && v->has_other) {
		r = change_remove_one(v->fs, v->how->to, v->to, &v->other);
		end->ids[1] = change_id_to_wait_for(v->fs, v->other.id);
	}
	if (r == 0)
		r = journal_copy(v->from, v->m.id, &how, &id);
	if (r != 0)
		return r;
	notify_added(v->fs->notify, tree_ino(v->fs->tree, v->how->from),
		     v->how->name);
	tell_other(v);
	offline_note(v->fs, v->how->to);
	end->ids[0] = change_id_to_wait_for(v->fs, id);
	return 0;
}

/* `has_label`: it is in both folders. */
static int move_label(struct moving *v, bool has_label, struct change_end *end)
{
	int r = 0;

	if (!stays(v))
		r = drop_label(v);
	else if (!has_label)
		return add_label(v, end);
	else
		tell_other(v);
	if (r == 0)
		end->ids[0] = change_id_to_wait_for(v->fs, v->m.id);
	return r;
}

static int move_away(struct moving *v, struct change_end *end)
{
	struct journal_moved moved = {0};
	int r = move_row(v, &moved);

	if (r != 0)
		return r;
	tell_moved(v, &moved);
	end->ids[0] = change_id_to_wait_for(v->fs, v->m.id);
	end->ids[1] = change_id_to_wait_for(v->fs, moved.replaced);
	return 0;
}

static int move_it(struct moving *v, struct change_end *end)
{
	bool has_label;
	int r = look(v);

	if (r != 0 ||
	    (v->from == v->to && strcmp(v->m.name, v->how->to_name) == 0))
		return r;
	if (draft_is_reserved(v->how->to_name))
		return -EPERM;
	/* A scratch file that becomes a message must be one. */
	if (!draft_is_scratch(v->how->to_name))
		r = draft_may_be_sent(v->fs, v->m.id);
	if (r != 0)
		return r;
	has_label = is_same(v);
	r = has_label || stays(v) ? move_label(v, has_label, end)
				  : move_away(v, end);
	if (r == -EBUSY)
		return change_wait_for_uids(v->fs,
					    v->m.unmoored || !v->has_other
						    ? v->how->from
						    : v->how->to,
					    end);
	return r;
}

int change_move(struct fs *fs, const struct change_move *how,
		struct change_end *end)
{
	struct moving v = {.fs = fs, .how = how};
	int r;

	*end = (struct change_end){0};
	r = folder_get(fs, how->from, &v.from);
	if (r != 0)
		return r == -ENODATA ? -ENOENT : r;
	r = folder_get(fs, how->to, &v.to);
	if (r == 0) {
		r = move_it(&v, end);
		folder_put(fs, how->to);
	} else if (r == -ENODATA) {
		r = -EPERM; /* no mailbox: it can have no messages */
	}
	folder_put(fs, how->from);
	if (r == 0)
		flush_wake(fs);
	return r;
}
