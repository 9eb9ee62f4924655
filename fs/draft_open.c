/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/draft_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/attr.h"
#include "fs/folder.h"
#include "fs/load.h"
#include "fs/marks.h"
#include "fs/rights.h"
#include "imap/log.h"

/*
 * How a file becomes a draft: by being made; by being written to again while it
 * has not been sent; and a message that is marked \Draft by the first write,
 * which makes a copy of it.
 */

/* --- a new file --- */

int draft_create(struct fs *fs, struct folder *f, const char *name, mode_t mode,
		 uint64_t *ret_id)
{
	struct journal_new v = {
		.name = name,
		.flags = marks_from_mode(mode),
		.internaldate = time(NULL),
		.is_scratch = draft_is_scratch(name),
		.announced = true,
	};
	struct draft *d;
	struct box *box;
	int r, fd;

	if (draft_is_reserved(name))
		return -EPERM;
	r = v.is_scratch ? 0 : rights_check(fs, f, RIGHT_INSERT);
	if (r != 0)
		return r;
	/* What is begun where drafts are kept is one. */
	if (f->attrs & FOLDER_DRAFTS)
		v.flags |= MAIL_DRAFT;
	r = folder_get(fs, f, &box);
	if (r != 0)
		return r == -ENODATA ? -EPERM : r;
	r = journal_create(box, &v, ret_id, &fd);
	folder_put(fs, f);
	if (r != 0)
		return r;
	close(fd);

	struct draft_new new = {
		.id = *ret_id,
		.file_id = *ret_id,
		.kind = v.is_scratch ? DRAFT_SCRATCH : DRAFT_MESSAGE,
		.f = f,
		.mtime = v.internaldate,
	};
	/* Without memory it becomes a draft with the first write. */
	if (draft_enter(fs->drafts, &new, &d) == 0)
		draft_put(fs->drafts, d);
	return 0;
}

/* --- one that has not been sent --- */

static int size_of_file(struct fs *fs, uint64_t id, uint64_t *ret)
{
	int fd, r = spool_open(fs->cache, id, false, &fd);

	if (r != 0)
		return r;
	r = spool_size(fd, ret);
	close(fd);
	return r;
}

/* `m` is a row with a file in the spool. */
static int enter_unsent(struct fs *fs, struct folder *f,
			const struct cache_msg *m, enum draft_kind kind,
			struct draft **ret)
{
	struct draft_new v = {
		.id = m->id,
		.file_id = m->id,
		.kind = kind,
		.f = f,
		.mtime = m->internaldate,
	};
	/* The row may have an older size: the program was killed. */
	int r = size_of_file(fs, m->id, &v.size);

	return r == 0 ? draft_enter(fs->drafts, &v, ret) : r;
}

static int reopen(struct fs *fs, struct folder *f, uint64_t id)
{
	struct box *box;
	int r = folder_get(fs, f, &box);

	if (r != 0)
		return r;
	r = journal_reopen(box, id);
	folder_put(fs, f);
	return r;
}

/* 1: it is on the server, or on its way there. */
static int open_unsent(struct fs *fs, struct folder *f,
		       const struct cache_msg *m, struct draft **ret)
{
	struct journal_list *l;
	enum journal_phase phase;
	bool is_new;
	int r = journal_get(fs->cache, m->id, &l);

	if (r != 0)
		return r == -ENOENT ? 1 : r;
	phase = l->v[0].doubt ? JOURNAL_SENT : l->v[0].phase;
	is_new = phase < JOURNAL_QUEUED || (l->v[0].what & JOURNAL_APPEND);
	free(l);
	if (phase == JOURNAL_SENT || !is_new)
		return 1;
	if (phase == JOURNAL_QUEUED) {
		r = reopen(fs, f, m->id);
		if (r == -EBUSY)
			return 1; /* just sent */
	}
	if (r != 0)
		return r;
	return enter_unsent(
		fs, f, m,
		phase == JOURNAL_SCRATCH ? DRAFT_SCRATCH : DRAFT_MESSAGE, ret);
}

/* --- one that is on the server --- */

/* All of its body is here: 0. -EAGAIN: it is on its way. */
static int need_body(struct fs *fs, struct folder *f, const struct cache_msg *m)
{
	struct body *b;
	uint64_t size = m->size;
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < size; at += LOAD_WHOLE) {
		r = load_read(fs, f, m, at, LOAD_WHOLE, &b);
		if (r != 0)
			break;
		if (body_is_whole(b))
			size = 0;
		body_put(b);
	}
	return r;
}

static int copy_body(struct fs *fs, const struct cache_msg *m, int fd,
		     uint64_t *ret_size)
{
	char *buf = malloc(DRAFT_COPY_BYTES);
	struct body *b = NULL;
	uint64_t at = 0;
	long n = 1;
	int r = buf ? body_open(fs->cache, m->id, m->size, &b) : -ENOMEM;

	if (r == 0)
		r = body_check(b, 0, UINT64_MAX);
	while (r == 0 && n > 0) {
		n = body_read(b, buf, DRAFT_COPY_BYTES, at);
		if (n > 0)
			r = spool_write(fd, buf, (size_t)n, at);
		else
			r = (int)n;
		at += n > 0 ? (uint64_t)n : 0;
	}
	if (b)
		body_put(b);
	free(buf);
	if (r == 0)
		*ret_size = at;
	/* Thrown away since it was looked at: it is asked for again. */
	return r == -ENODATA || r == -EBADMSG ? -EAGAIN : r;
}

#define HIDDEN_NAME_MAX 64

static void name_hidden(char ret[HIDDEN_NAME_MAX], uint64_t id)
{
	snprintf(ret, HIDDEN_NAME_MAX, DRAFT_HIDDEN "%llu",
		 (unsigned long long)id);
}

/* What is in this hidden file may be nowhere else. */
static int keep_left(const struct folder *f, struct box *box,
		     const struct cache_msg *m, uint64_t id)
{
	char path[2 * CACHE_NAME_MAX + 2], kept[CACHE_NAME_MAX + 1];
	const struct journal_failure why = {
		.what = "to send what was written to a draft",
		.why = "it could not be queued, and the draft is written to "
		       "anew",
		.file = path,
	};
	struct journal_effects *undone = NULL;
	int r;

	snprintf(path, sizeof(path), "%.*s/%s", CACHE_NAME_MAX, f->path,
		 m->name);
	r = journal_reject(box, id, &why, kept, &undone);
	/* Nobody has seen it, and it has replaced nothing. */
	free(undone);
	if (r == 0)
		log_warn("drafts: '%s': what is left of an earlier change is "
			 "kept as .imapfs/rejected/%s",
			 path, kept);
	return r;
}

/*
 * A hidden file of an earlier time, to which nobody writes any more: it could
 * be neither completed nor removed. It must not be in the way of this one.
 */
static int put_aside_left(struct fs *fs, struct folder *f, struct box *box,
			  const struct cache_msg *m)
{
	char name[HIDDEN_NAME_MAX];
	struct cache_msg left;
	uint64_t size = 0;
	int r;

	name_hidden(name, m->id);
	if (box_find_name(box, name, &left) != 0)
		return 0;
	r = size_of_file(fs, left.id, &size);
	if (r != 0 && r != -ENOENT)
		return r;
	return size > 0 ? keep_left(f, box, m, left.id)
			: journal_remove(box, left.id);
}

/* A hidden file for it, with its body in it unless that is to be cut off. */
static int make_hidden(struct fs *fs, struct box *box,
		       const struct cache_msg *m, bool truncating,
		       uint64_t *ret_id, uint64_t *ret_size)
{
	char name[HIDDEN_NAME_MAX];
	struct journal_new v = {.name = name,
				.internaldate = m->internaldate,
				.is_scratch = true};
	int fd, r;

	name_hidden(name, m->id);
	r = journal_create(box, &v, ret_id, &fd);
	if (r != 0)
		return r;
	*ret_size = 0;
	if (!truncating)
		r = copy_body(fs, m, fd, ret_size);
	close(fd);
	if (r != 0 && journal_remove(box, *ret_id) != 0)
		return -EIO;
	return r;
}

/* The kernel makes one change of a file at a time, so nobody else does this. */
static int begin_rewrite(struct fs *fs, struct folder *f,
			 const struct cache_msg *m, bool truncating,
			 struct draft **ret)
{
	struct draft_new v = {.id = m->id, .kind = DRAFT_REWRITE, .f = f};
	struct box *box;
	int r = truncating ? 0 : need_body(fs, f, m);

	if (r != 0)
		return r;
	r = folder_get(fs, f, &box);
	if (r != 0)
		return r;
	/* The box stays: one that is opened again would show the hidden row. */
	v.pinned = f;
	v.name = strdup(m->name);
	v.mtime = time(NULL);
	v.is_copy = draft_is_fresh_copy(fs, m->id);
	r = v.name ? put_aside_left(fs, f, box, m) : -ENOMEM;
	if (r == 0)
		r = make_hidden(fs, box, m, truncating, &v.file_id, &v.size);
	if (r == 0) {
		r = draft_enter(fs->drafts, &v, ret);
		if (r != 0 && journal_remove(box, v.file_id) != 0)
			r = -EIO;
	}
	if (r != 0) {
		free(v.name);
		folder_put(fs, f);
	}
	return r;
}

/* 1: it is on the server, or on its way there, as `m` in `f`. */
static int find_unsent(struct fs *fs, uint64_t id, struct cache_msg *m,
		       struct folder **f, struct draft **ret)
{
	struct draft *d = draft_get(fs->drafts, id);
	int r;

	if (d) {
		*ret = d;
		return 0;
	}
	r = attr_find_message(fs, id, m, f);
	if (r == 0 && m->dead)
		r = -ENOENT;
	return r == 0 ? open_unsent(fs, *f, m, ret) : r;
}

int draft_reopen(struct fs *fs, uint64_t id, struct draft **ret)
{
	struct cache_msg m;
	struct folder *f;
	int r = find_unsent(fs, id, &m, &f, ret);

	return r == 1 ? -EPERM : r;
}

int draft_open(struct fs *fs, uint64_t id, bool truncating, struct draft **ret)
{
	struct cache_msg m;
	struct folder *f;
	int r = find_unsent(fs, id, &m, &f, ret);

	if (r != 1)
		return r;
	if (!(m.flags & MAIL_DRAFT) && !draft_is_fresh_copy(fs, id))
		return -EPERM;
	return begin_rewrite(fs, f, &m, truncating, ret);
}
