/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "fs/change.h"
#include "fs/notify.h"
#include "fs/offline.h"
#include "fs/ops_xattr.h"

/*
 * Extended attributes that can be set. Of a message: its flags and keywords, in
 * two ways of writing, and Gmail's labels. Of a folder: user.imap.offline,
 * which changes nothing on the server, so that a read-only mount lets it be
 * set, too.
 *
 * Others are answered EOPNOTSUPP, which cp(1) passes over without a word, as it
 * does where a file system has none; rsync(1) and tar(1) count it as an error.
 */

/* --- flags, tags and labels --- */

static bool is_tags(const char *name)
{
	return strcmp(name, XATTR_TAGS) == 0;
}

/* 0: as the flags of setxattr(2) want it. */
static int check_there(const struct marks *old, const char *name,
		       unsigned flags)
{
	bool there = true;
	char *tags;
	int r;

	if (is_tags(name)) {
		r = marks_to_tags(old, &tags);
		if (r != 0 && r != -ENODATA)
			return r;
		there = r == 0;
		if (there)
			free(tags);
	}
	if (there && (flags & XATTR_CREATE))
		return -EEXIST;
	return !there && (flags & XATTR_REPLACE) ? -ENODATA : 0;
}

static int make_marks(struct request *r, struct change_end *end)
{
	struct marks old, new = {0};
	struct marks_delta d;
	int error = change_read_marks(r->fs, r->ino, &old);

	if (error != 0)
		return error;
	error = check_there(&old, r->name, r->edit.flags);
	if (error == 0 && is_tags(r->name))
		error = marks_from_tags(r->edit.second, r->size, &old, &new);
	else if (error == 0)
		error = marks_from_text(r->edit.second, r->size, &new);
	if (error == 0) {
		error = marks_compare(&old, &new, &d);
		marks_finish(&new);
	}
	marks_finish(&old);
	if (error != 0)
		return error;
	if (!marks_delta_is_empty(&d))
		error = change_marks(r->fs, r->ino, &d, end);
	marks_delta_finish(&d);
	return error;
}

static void reply_marks(struct request *r)
{
	/* Of what this does to the mode the kernel knows nothing. */
	notify_attr(r->fs->notify, r->ino);
	ops_reply_err(r->req, 0);
}

static const struct edit_op marks_op = {make_marks, reply_marks};

static int make_labels(struct request *r, struct change_end *end)
{
	/* Where there are labels there is the attribute, if empty. */
	if (r->edit.flags & XATTR_CREATE)
		return -EEXIST;
	return change_labels(r->fs, r->ino, r->edit.second, r->size, end);
}

static const struct edit_op labels_op = {make_labels, reply_marks};

static void set_marks(struct request *r, const char *name, const char *value)
{
	bool is_labels = strcmp(name, XATTR_LABELS) == 0;
	int error = ops_edit_texts(r, name, value, r->size);

	if (error != 0)
		ops_reply_err(r->req, error);
	else
		ops_edit(r, is_labels ? &labels_op : &marks_op);
}

/* Replies if it cannot be set, or not here. */
static bool can_set_marks(struct request *r, const char *name)
{
	bool known = is_tags(name) || strcmp(name, XATTR_FLAGS) == 0 ||
		     strcmp(name, XATTR_LABELS) == 0;

	if (ops_refuse_ro(r->req))
		return false;
	if (!known || r->ino >= CONTROL_INO_FIRST ||
	    tree_find(r->fs->tree, r->ino)) {
		ops_refuse(r->req, -EOPNOTSUPP);
		return false;
	}
	return true;
}

/* --- user.imap.offline --- */

/* The folder that is meant; NULL: something else is. */
static struct folder *offline_folder(struct fs *fs, uint64_t ino,
				     const char *name)
{
	return strcmp(name, XATTR_OFFLINE) == 0 ? tree_find(fs->tree, ino)
						: NULL;
}

static int set_offline(struct fs *fs, struct folder *f, const char *value,
		       size_t size, int flags)
{
	bool on = size == 1 && value[0] == '1';
	bool off = size == 1 && value[0] == '0';

	if (!on && !off)
		return -EINVAL;
	if ((flags & XATTR_CREATE) && f->kept)
		return -EEXIST;
	if ((flags & XATTR_REPLACE) && !f->kept)
		return -ENODATA;
	return offline_set(fs, f, on);
}

/* --- the operations --- */

void ops_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		  const char *value, size_t size, int flags)
{
	struct request r = {.req = req,
			    .fs = ops_fs(req),
			    .ino = ino,
			    .size = size,
			    .edit.flags = (unsigned)flags};
	struct folder *f = offline_folder(r.fs, ino, name);

	if (f)
		ops_reply_err(req, set_offline(r.fs, f, value, size, flags));
	else if (can_set_marks(&r, name))
		set_marks(&r, name, value);
}

void ops_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct request r = {.req = req,
			    .fs = ops_fs(req),
			    .ino = ino,
			    .edit.flags = XATTR_REPLACE};
	struct folder *f = offline_folder(r.fs, ino, name);

	if (f)
		ops_reply_err(req,
			      f->kept ? offline_set(r.fs, f, false) : -ENODATA);
	else if (can_set_marks(&r, name))
		set_marks(&r, name, "");
}
