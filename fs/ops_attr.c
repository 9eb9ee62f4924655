/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ops.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "fs/attr.h"
#include "fs/folder.h"
#include "fs/load.h"
#include "fs/replay.h"
#include "imap/names.h"

/*
 * Attributes: GETATTR, SETATTR, extended attributes, STATFS.
 *
 * Names in security.* and system.* are answered EOPNOTSUPP, not ENODATA: ls
 * then asks for them once a run and not once a file. user.imap.* of a message
 * is read from the database: nothing on a hot path asks for it.
 */

#define XATTR_PREFIX "user.imap."
#define XATTR_MIME "user.mime_type"
#define XATTR_MIME_VALUE "message/rfc822"

/* --- GETATTR, SETATTR --- */

/* 0 and `*ret`, or -ENOENT and its like. */
static int stat_of(struct fs *fs, uint64_t ino, struct stat *ret)
{
	struct cache_msg m;
	struct folder *f;
	int64_t mtime;
	size_t size;
	int r;

	if (ino == CONTROL_DIR_INO) {
		attr_of_control(fs, ino, S_IFDIR | 0500, 0, fs->mounted_at,
				ret);
		return 0;
	}
	if (ino >= CONTROL_INO_FIRST) {
		r = control_stat(fs, ino, &size, &mtime);
		if (r == 0)
			attr_of_control(fs, ino, S_IFREG | 0400, size, mtime,
					ret);
		return r;
	}
	f = tree_find(fs->tree, ino);
	if (f) {
		attr_of_folder(fs, f, ret);
		return 0;
	}
	r = attr_find_message(fs, ino, &m, &f);
	if (r == 0)
		attr_of_message(fs, &m, ret);
	return r;
}

static void reply_attr(fuse_req_t req, uint64_t ino)
{
	struct stat st;
	int r = stat_of(ops_fs(req), ino, &st);

	if (r != 0)
		ops_reply_err(req, r);
	else
		fuse_reply_attr(req, &st, ops_attr_timeout(&st));
}

/*
 * A size of 0 is no size of a message: the server does not know it, or lies.
 * Such attributes are kept by nobody, so that a read(2) asks for them first;
 * then the body is fetched, and says how long it is.
 */
static int getattr_once(struct request *r)
{
	struct cache_msg m;
	struct folder *f;
	struct body *b;
	int error;

	error = attr_find_message(r->fs, r->ino, &m, &f);
	if (error == 0 && m.size == 0 && !m.dead) {
		error = load_read(r->fs, f, &m, 0, 1, &b);
		if (error == 0)
			body_put(b);
	}
	if (error == -EAGAIN)
		return error;
	if (error != 0)
		ops_reply_err(r->req, error);
	else
		reply_attr(r->req, r->ino);
	return 0;
}

static void getattr_resume(struct request *r);

static const struct waiting getattr_waiting = {getattr_once, ops_body_how,
					       ops_body_gen, getattr_resume};

static void getattr_resume(struct request *r)
{
	ops_run(r, &getattr_waiting);
}

void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct request r = {.req = req, .fs = ops_fs(req), .ino = ino};

	control_count(r.fs->control, REQ_GETATTR);
	/* `fi`: not a stat(2), but a read(2) that is about to happen. */
	if (fi && ino < CONTROL_INO_FIRST && !tree_find(r.fs->tree, ino))
		ops_run(&r, &getattr_waiting);
	else
		reply_attr(req, ino);
}

/*
 * Times set on a folder mean: look at the server now (`touch FOLDER`), which
 * changes nothing there. Everything else is a change.
 */
void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int what,
		 struct fuse_file_info *fi)
{
	const int times = FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME |
			  FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW |
			  FUSE_SET_ATTR_CTIME;
	struct fs *fs = ops_fs(req);
	struct folder *f = tree_find(fs->tree, ino);

	(void)attr;
	(void)fi;
	control_count(fs->control, REQ_SETATTR);
	if (replay_is_helper(fs->replay, fuse_req_ctx(req)->pid)) {
		reply_attr(req, ino);
	} else if (f && (what & ~times) == 0) {
		folder_resync(fs, f);
		reply_attr(req, ino);
	} else {
		ops_reply_err(req, -EROFS);
	}
}

/* --- extended attributes --- */

struct message {
	struct cache_msg m;
	struct cache_state s;
	struct cache_details *d;
	bool cached;
};

static int put_text(const char *text, char **ret)
{
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

static int put_number(uint64_t n, char **ret)
{
	return asprintf(ret, "%llu", (unsigned long long)n) < 0 ? -ENOMEM : 0;
}

static int put_field(const struct message *x, enum mail_field field, char **ret)
{
	return x->d->field[field] ? header_decode(x->d->field[field], ret)
				  : -ENODATA;
}

static int value_uid(const struct message *x, char **ret)
{
	return put_number(x->m.uid, ret);
}

static int value_uidvalidity(const struct message *x, char **ret)
{
	return put_number(x->s.uidvalidity, ret);
}

static int value_flags(const struct message *x, char **ret)
{
	static const struct {
		enum mail_flag bit;
		const char *name;
	} names[] = {
		{MAIL_SEEN, "\\Seen"},       {MAIL_ANSWERED, "\\Answered"},
		{MAIL_FLAGGED, "\\Flagged"}, {MAIL_DELETED, "\\Deleted"},
		{MAIL_DRAFT, "\\Draft"},
	};
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	const char *gap = "";

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!(x->m.flags & names[i].bit))
			continue;
		fprintf(out, "%s%s", gap, names[i].name);
		gap = " ";
	}
	if (x->d->keywords && x->d->keywords[0])
		fprintf(out, "%s%s", gap, x->d->keywords);
	if (fclose(out) != 0) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	return 0;
}

static int value_internaldate(const struct message *x, char **ret)
{
	time_t t = (time_t)x->m.internaldate;
	struct tm tm;
	char text[64];

	if (!gmtime_r(&t, &tm) ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return -ENODATA;
	return put_text(text, ret);
}

static int value_message_id(const struct message *x, char **ret)
{
	return put_field(x, FIELD_MESSAGE_ID, ret);
}

static int value_from(const struct message *x, char **ret)
{
	return put_field(x, FIELD_FROM, ret);
}

static int value_to(const struct message *x, char **ret)
{
	return put_field(x, FIELD_TO, ret);
}

static int value_subject(const struct message *x, char **ret)
{
	return put_field(x, FIELD_SUBJECT, ret);
}

static int value_date(const struct message *x, char **ret)
{
	return put_field(x, FIELD_DATE, ret);
}

static int value_cached(const struct message *x, char **ret)
{
	return put_text(x->cached ? "1" : "0", ret);
}

static int value_gm_msgid(const struct message *x, char **ret)
{
	return x->d->gm_msgid ? put_number(x->d->gm_msgid, ret) : -ENODATA;
}

static int value_gm_thrid(const struct message *x, char **ret)
{
	return x->d->gm_thrid ? put_number(x->d->gm_thrid, ret) : -ENODATA;
}

static int value_gm_labels(const struct message *x, char **ret)
{
	return x->d->gm_msgid
		       ? put_text(x->d->gm_labels ? x->d->gm_labels : "", ret)
		       : -ENODATA;
}

static int value_mime(const struct message *x, char **ret)
{
	(void)x;
	return put_text(XATTR_MIME_VALUE, ret);
}

static const struct {
	const char *name;
	int (*value)(const struct message *x, char **ret);
} xattrs[] = {
	{XATTR_PREFIX "uid", value_uid},
	{XATTR_PREFIX "uidvalidity", value_uidvalidity},
	{XATTR_PREFIX "flags", value_flags},
	{XATTR_PREFIX "internaldate", value_internaldate},
	{XATTR_PREFIX "message-id", value_message_id},
	{XATTR_PREFIX "from", value_from},
	{XATTR_PREFIX "to", value_to},
	{XATTR_PREFIX "subject", value_subject},
	{XATTR_PREFIX "date", value_date},
	{XATTR_PREFIX "cached", value_cached},
	{XATTR_PREFIX "gm.msgid", value_gm_msgid},
	{XATTR_PREFIX "gm.thrid", value_gm_thrid},
	{XATTR_PREFIX "gm.labels", value_gm_labels},
	{XATTR_MIME, value_mime},
};
#define N_XATTRS (sizeof(xattrs) / sizeof(xattrs[0]))

/* All that xattrs of a message are made of. */
static int message_get(struct fs *fs, uint64_t ino, struct message *ret)
{
	struct folder *f;
	struct box *box;
	int r;

	r = attr_find_message(fs, ino, &ret->m, &f);
	if (r != 0)
		return r == -ENOENT ? -ENODATA : r; /* folders have none */
	r = folder_get(fs, f, &box);
	if (r != 0)
		return r;

	box_state(box, &ret->s);
	r = box_details(box, ino, &ret->d);
	folder_put(fs, f);
	ret->cached = cache_has_body(fs->cache, ino);
	return r;
}

static int xattr_value(struct fs *fs, uint64_t ino, const char *name,
		       char **ret)
{
	struct message x = {0};
	int r;

	for (size_t i = 0; i < N_XATTRS; i++) {
		if (strcmp(xattrs[i].name, name) != 0)
			continue;
		r = message_get(fs, ino, &x);
		if (r == 0)
			r = xattrs[i].value(&x, ret);
		free(x.d);
		return r;
	}
	return strncmp(name, "user.", 5) == 0 ? -ENODATA : -EOPNOTSUPP;
}

/* The protocol of getxattr(2) and listxattr(2): size 0 asks for the size. */
static void reply_bytes(fuse_req_t req, const char *bytes, size_t n,
			size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, n);
	else if (n > size)
		ops_reply_err(req, -ERANGE);
	else
		fuse_reply_buf(req, bytes, n);
}

void ops_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct fs *fs = ops_fs(req);
	char *value = NULL;
	int r;

	control_count(fs->control, REQ_GETXATTR);
	r = xattr_value(fs, ino, name, &value);
	if (r != 0)
		ops_reply_err(req, r);
	else
		reply_bytes(req, value, strlen(value), size);
	free(value);
}

void ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct fs *fs = ops_fs(req);
	struct message x = {0};
	char names[1024], *value;
	size_t n = 0, len;

	control_count(fs->control, REQ_LISTXATTR);
	if (message_get(fs, ino, &x) == 0) {
		for (size_t i = 0; i < N_XATTRS; i++) {
			if (xattrs[i].value(&x, &value) != 0)
				continue;
			free(value);
			len = strlen(xattrs[i].name) + 1;
			memcpy(names + n, xattrs[i].name, len);
			n += len;
		}
	}
	free(x.d);
	reply_bytes(req, names, n, size);
}

/* --- STATFS --- */

/* Servers seldom say how much room there is: plenty, all of it free. */
void ops_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs v = {
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_blocks = 1ULL << 30,
		.f_bfree = 1ULL << 30,
		.f_bavail = 1ULL << 30,
		.f_files = 1ULL << 32,
		.f_ffree = 1ULL << 32,
		.f_favail = 1ULL << 32,
		.f_namemax = CACHE_NAME_MAX,
	};

	(void)ino;
	control_count(ops_fs(req)->control, REQ_STATFS);
	fuse_reply_statfs(req, &v);
}
