/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/draft_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/attr.h"
#include "fs/change.h"
#include "fs/folder.h"
#include "fs/notify.h"
#include "fs/spooled.h"
#include "imap/log.h"

/*
 * A draft is complete: it is refused, or its record becomes one of a message
 * that is to be sent.
 *
 * If its bytes stay as they are, so does its row. Else (bare LF, or a message
 * of the server that was written to) another file takes its name, as if a
 * program had written it under a hidden name and renamed it: that is one
 * transaction of the journal, so a kill finds the one or the other. Who has the
 * old one open keeps its bytes (a ghost).
 */

/* A draft while it is completed; its lock is held. */
struct sending {
	struct fs *fs;
	struct draft *d;
	struct folder *f; /* where its file is */
	struct box *box;
	struct folder *to; /* where it is to be, and under this name */
	struct box *to_box;
	char name[CACHE_NAME_MAX + 1];
	uint32_t flags;
	char *keywords;
	int64_t mtime;
	uint64_t file_id;
	int fd;
	struct cache_msg m; /* the row of the inode */
	bool has_row;
	struct journal_effects *undone; /* of a file that was refused */
	bool old_lives;                 /* it has another place now */
};

/* --- where it is --- */

/* The folder in which the row of a record is, whose box may be closed. */
static struct folder *folder_of_record(struct fs *fs, uint64_t id)
{
	struct journal_list *l;
	uint64_t at;

	if (journal_get(fs->cache, id, &l) != 0)
		return NULL;
	at = l->v[0].at;
	free(l);
	return at != JOURNAL_LIMBO ? tree_find(fs->tree, at) : NULL;
}

static int copy_keywords(struct box *box, uint64_t id, char **ret)
{
	struct cache_details *d;
	int r = box_details(box, id, &d);

	if (r != 0)
		return r;
	*ret = strdup(d->keywords ? d->keywords : "");
	free(d);
	return *ret ? 0 : -ENOMEM;
}

/* Flags and place are those of the row that the user sees. */
static int find_place(struct sending *s)
{
	struct draft *d = s->d;
	struct fs *fs = s->fs;
	struct folder *f;
	int r;

	if (s->file_id == d->id) {
		s->to = s->f;
		r = folder_get(fs, s->to, &s->to_box);
		if (r == 0)
			r = box_find_id(s->to_box, d->id, &s->m);
		s->has_row = r == 0 && !s->m.dead;
		if (r == 0 && !s->has_row)
			r = -ENOENT;
	} else {
		r = attr_find_message(fs, d->id, &s->m, &f);
		/* Removed elsewhere: what was written is kept all the same. */
		s->has_row = r == 0 && !s->m.dead && !s->m.doomed;
		s->to = s->has_row ? f : s->f;
		r = folder_get(fs, s->to, &s->to_box);
	}
	if (r != 0)
		return r;
	snprintf(s->name, sizeof(s->name), "%s",
		 s->has_row ? s->m.name : d->name);
	s->flags = s->has_row ? s->m.flags : MAIL_DRAFT | MAIL_SEEN;
	return s->has_row ? copy_keywords(s->to_box, d->id, &s->keywords) : 0;
}

static int open_sending(struct sending *s)
{
	struct drafts *ds = s->fs->drafts;
	int r;

	lock_take(&ds->lock);
	s->file_id = s->d->file_id;
	s->mtime = s->d->mtime;
	lock_drop(&ds->lock);
	s->f = folder_of_record(s->fs, s->file_id);
	if (!s->f)
		return -ENOENT;
	r = folder_get(s->fs, s->f, &s->box);
	if (r == 0)
		r = find_place(s);
	if (r == 0)
		r = draft_open_file(s->fs, s->d, false, &s->fd);
	return r;
}

static void close_sending(struct sending *s)
{
	if (s->fd >= 0)
		close(s->fd);
	free(s->keywords);
	if (s->to_box)
		folder_put(s->fs, s->to);
	if (s->box)
		folder_put(s->fs, s->f);
}

/* Does anybody have the old inode? Then it becomes a ghost with these bytes. */
static void give_up(struct sending *s, int outcome, uint64_t became)
{
	struct drafts *ds = s->fs->drafts;

	if (s->m.held == 0) {
		draft_leave(ds, s->d);
		return;
	}
	lock_take(&ds->lock);
	s->d->outcome = outcome;
	s->d->became = became;
	lock_drop(&ds->lock);
	draft_become_ghost(ds, s->d, s->fd, false);
	s->fd = -1;
}

/* --- what it says of itself --- */

/*
 * A row that stays has its flags, and the user may be changing them: what was
 * read of them may be old by now. Only another row gets them from here.
 */
static int publish(struct sending *s, struct box *box, uint64_t id, int fd)
{
	struct spooled *said = malloc(sizeof(*said));
	struct mail_row row = {
		.has = ROW_FIELDS | ROW_DATE |
		       (id == s->d->id ? 0u : (unsigned)ROW_FLAGS),
		.flags = s->flags,
		.keywords = s->keywords,
		.internaldate = s->mtime,
	};
	int r = said ? spooled_read(fd, said) : -ENOMEM;

	if (r == 0) {
		memcpy(row.field, said->field, sizeof(row.field));
		r = journal_publish(box, id, &row);
	}
	free(said);
	return r;
}

/* --- another file in its place --- */

static int convert(int from, int to)
{
	char *in = malloc(DRAFT_COPY_BYTES),
	     *out = malloc(2UL * DRAFT_COPY_BYTES);
	struct content c = {0};
	uint64_t at = 0;
	long n = 1;
	int r = in && out ? 0 : -ENOMEM;

	while (r == 0 && n > 0) {
		n = spool_read(from, in, DRAFT_COPY_BYTES, c.size);
		if (n > 0) {
			size_t m = content_convert(&c, in, (size_t)n, out);

			r = spool_write(to, out, m, at);
			at += m;
		} else {
			r = (int)n;
		}
	}
	free(in);
	free(out);
	/* Order matters (J6): the old file goes with the new one's name. */
	return r == 0 ? spool_sync(to) : r;
}

/* A hidden file with CRLF. `*ret_fd` is yours to close. */
static int make_converted(struct sending *s, uint64_t *ret_id, int *ret_fd)
{
	char name[64];
	struct journal_new v = {
		.name = name, .internaldate = s->mtime, .is_scratch = true};
	struct cache_msg left;
	int r = 0;

	snprintf(name, sizeof(name), DRAFT_HIDDEN "%llu-crlf",
		 (unsigned long long)s->d->id);
	/* By an earlier try, for it could not be removed. */
	if (box_find_name(s->to_box, name, &left) == 0)
		r = journal_remove(s->to_box, left.id);
	if (r == 0)
		r = journal_create(s->to_box, &v, ret_id, ret_fd);
	if (r != 0)
		return r;
	r = convert(s->fd, *ret_fd);
	if (r == 0)
		return 0;
	close(*ret_fd);
	if (journal_remove(s->to_box, *ret_id) != 0)
		return -EIO;
	return r;
}

/*
 * Where the old text of a draft goes; NULL: for good. A copy has no text of its
 * own: it may be one message with what it was made of.
 */
static struct folder *place_of_old(struct sending *s)
{
	if (s->file_id == s->d->id || !s->has_row || s->d->is_copy ||
	    !(s->flags & MAIL_DRAFT))
		return NULL;
	return change_place_of_old(s->fs, s->to);
}

/* It is told without the draft's lock; without memory it shows later. */
static void note_old(struct sending *s, const struct journal_moved *moved)
{
	struct journal_effects *e;

	if (moved->replaced_to == 0)
		return;
	s->old_lives = true;
	e = calloc(1, sizeof(*e) + sizeof(e->v[0]));
	if (!e)
		return;
	e->n = 1;
	e->v[0].id = moved->replaced;
	e->v[0].to = moved->replaced_to;
	memcpy(e->v[0].to_name, moved->replaced_name,
	       sizeof(moved->replaced_name));
	s->undone = e;
}

/* The name is this file's from now on. */
static int take_name(struct sending *s, struct box *from, uint64_t id)
{
	struct folder *place = place_of_old(s);
	struct journal_moved moved;
	struct journal_move how = {
		.to = s->to_box,
		.name = s->name,
		.onto = s->has_row ? JOURNAL_REPLACE : JOURNAL_TWIN,
		.only = s->d->id,
		.make_message = true,
	};
	int r = place ? folder_get(s->fs, place, &how.trash) : 0;

	if (r == 0) {
		r = journal_move(from, id, &how, &moved);
		if (place)
			folder_put(s->fs, place);
	}
	/* It has another name or place by now, or is gone: look again. */
	if (r != 0)
		return r == -EEXIST ? -EAGAIN : r;
	box_announce(s->to_box, id);
	notify_added(s->fs->notify, tree_ino(s->fs->tree, s->to), s->name);
	note_old(s, &moved);
	return 0;
}

/* The inode is that of the old text, as the server has it. */
static void leave_old(struct sending *s)
{
	draft_leave(s->fs->drafts, s->d);
	notify_content(s->fs->notify, s->d->id);
}

/* It could not be queued now: it is a new message that is complete. */
static void try_later(struct sending *s, uint64_t id, uint64_t size, int error)
{
	struct draft_new v = {.id = id,
			      .file_id = id,
			      .kind = DRAFT_MESSAGE,
			      .size = size,
			      .mtime = s->mtime};
	struct draft *d;

	if (draft_enter(s->fs->drafts, &v, &d) != 0)
		return;
	draft_note_failure(s->fs->drafts, d, error);
	draft_put(s->fs->drafts, d);
}

static int replace(struct sending *s)
{
	uint64_t id = s->file_id;
	struct box *from = s->box;
	int fd = s->fd, r = 0;
	bool converted = s->d->content.bare_lf > 0;

	if (converted) {
		r = make_converted(s, &id, &fd);
		if (r != 0)
			return r;
		from = s->to_box;
	} else {
		r = spool_sync(fd);
	}
	if (r == 0)
		r = take_name(s, from, id);
	if (r == 0) {
		r = publish(s, s->to_box, id, fd);
		if (r != 0)
			try_later(s, id, content_size(&s->d->content), r);
		/* The hidden file of a message that was converted. */
		if (converted && s->file_id != s->d->id &&
		    journal_remove(s->box, s->file_id) != 0)
			log_warn("drafts: a hidden file stays");
		if (s->old_lives)
			leave_old(s);
		else
			give_up(s, 0, id);
		r = 0;
	} else if (converted && journal_remove(s->to_box, id) != 0) {
		log_warn("drafts: a hidden file stays");
	}
	if (converted)
		close(fd);
	return r;
}

/* --- refusing --- */

static int reject(struct sending *s, int why)
{
	char path[2 * CACHE_NAME_MAX + 2], kept[CACHE_NAME_MAX + 1];
	const struct journal_failure f = {
		.what = "to send a new message",
		.why = why == -EFBIG ? "the server does not take so large a one"
				     : "it is no message",
		.file = path,
	};
	struct fs *fs = s->fs;
	int r;

	snprintf(path, sizeof(path), "%.*s/%s", CACHE_NAME_MAX, s->to->path,
		 s->name);
	r = journal_reject(s->box, s->file_id, &f, kept, &s->undone);
	if (r != 0)
		return r;
	log_warn("drafts: '%s': %s; it is kept as .imapfs/rejected/%s", path,
		 f.why, kept);
	if (s->file_id == s->d->id) {
		give_up(s, why, 0);
	} else {
		/* The message is as it was: what the kernel has of it is not.
		 * Nobody has seen the hidden file. */
		free(s->undone);
		s->undone = NULL;
		draft_leave(fs->drafts, s->d);
		notify_content(fs->notify, s->d->id);
	}
	return 0;
}

/* --- the whole --- */

/* It is empty: it stays, and is looked at when it is written to again. */
static int leave_empty(struct sending *s)
{
	draft_save_row(s->fs, s->d);
	if (s->file_id != s->d->id) {
		if (journal_remove(s->box, s->file_id) != 0)
			return -EIO;
		notify_content(s->fs->notify, s->d->id);
	}
	draft_leave(s->fs->drafts, s->d);
	return 0;
}

/* `r`: what draft_check_locked() says of it. */
static int send(struct sending *s, int r)
{
	if (r == -ENODATA)
		return leave_empty(s);
	if (r == -EINVAL || r == -EFBIG)
		return reject(s, r);
	if (r != 0)
		return r;
	if (s->file_id != s->d->id || s->d->content.bare_lf > 0)
		return replace(s);
	draft_save_row(s->fs, s->d);
	r = publish(s, s->box, s->d->id, s->fd);
	if (r == 0)
		draft_leave(s->fs->drafts, s->d);
	return r;
}

/*
 * It was not where it had been found. A rename does not wait for us, which
 * would be for the disk: then it has another place by now, and the draft has to
 * stay, for nobody else would send it.
 */
static bool was_moved(const struct sending *s)
{
	return s->file_id == s->d->id &&
	       folder_of_record(s->fs, s->file_id) != NULL;
}

int draft_complete(struct fs *fs, struct draft *d, struct journal_effects **ret)
{
	struct sending s = {.fs = fs, .d = d, .fd = -1};
	int r = open_sending(&s);

	if (r == 0)
		r = send(&s, draft_check_locked(fs, d, s.fd));
	close_sending(&s);
	if (r == -ENOENT && was_moved(&s)) {
		r = -EAGAIN;
	} else if (r == -ENOENT) {
		/* Removed in this moment. */
		draft_leave(fs->drafts, d);
		r = 0;
	}
	*ret = s.undone;
	return r;
}
