/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ops.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr.h"
#include "fs/change.h"
#include "fs/folder.h"
#include "fs/gmail.h"
#include "fs/marks.h"
#include "fs/ops_xattr.h"
#include "imap/names.h"

/*
 * Extended attributes: reading and listing them.
 *
 * Names in security.* and system.* are answered EOPNOTSUPP, not ENODATA: ls
 * then asks for them once a run and not once a file. user.imap.* of a message
 * is read from the database: nothing on a hot path asks for it. A message that
 * the server does not have where it is shown has no UID there.
 *
 * Of a folder there is one, user.imap.offline.
 */

#define XATTR_MIME "user.mime_type"
#define XATTR_MIME_VALUE "message/rfc822"

/* --- of messages --- */

struct message {
	struct cache_msg m;
	struct cache_state s;
	struct cache_details *d;
	bool cached;
	bool has_labels;
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
	return x->m.uid ? put_number(x->m.uid, ret) : -ENODATA;
}

static int value_uidvalidity(const struct message *x, char **ret)
{
	return x->m.uid ? put_number(x->s.uidvalidity, ret) : -ENODATA;
}

static struct marks marks_of(const struct message *x)
{
	/* Borrowed, and never empty-handed. */
	static char none[] = "";

	return (struct marks){
		x->m.flags,
		x->d->keywords ? (char *)x->d->keywords : none,
	};
}

static int value_flags(const struct message *x, char **ret)
{
	const struct marks m = marks_of(x);

	return marks_to_text(&m, ret);
}

static int value_tags(const struct message *x, char **ret)
{
	const struct marks m = marks_of(x);

	return marks_to_tags(&m, ret);
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

static int value_emailid(const struct message *x, char **ret)
{
	return x->d->emailid ? put_text(x->d->emailid, ret) : -ENODATA;
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
	char *words;
	int r;

	if (!x->has_labels)
		return -ENODATA;
	r = gmail_labels_shown(x->d->gm_labels, x->m.flags, &words);
	if (r != 0)
		return r;
	r = gmail_labels_to_text(words, ret);
	free(words);
	return r;
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
	{XATTR_FLAGS, value_flags},
	{XATTR_TAGS, value_tags},
	{XATTR_PREFIX "internaldate", value_internaldate},
	{XATTR_PREFIX "message-id", value_message_id},
	{XATTR_PREFIX "from", value_from},
	{XATTR_PREFIX "to", value_to},
	{XATTR_PREFIX "subject", value_subject},
	{XATTR_PREFIX "date", value_date},
	{XATTR_PREFIX "cached", value_cached},
	{XATTR_PREFIX "emailid", value_emailid},
	{XATTR_PREFIX "gm.msgid", value_gm_msgid},
	{XATTR_PREFIX "gm.thrid", value_gm_thrid},
	{XATTR_LABELS, value_gm_labels},
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
		return r == -ENOENT ? -ENODATA : r;
	r = folder_get(fs, f, &box);
	if (r != 0)
		return r;

	box_state(box, &ret->s);
	r = box_details(box, ino, &ret->d);
	folder_put(fs, f);
	ret->cached = cache_has_body(fs->cache, ino);
	ret->has_labels = r == 0 && change_has_labels(fs, ret->d);
	return r;
}

static int xattr_value(struct fs *fs, uint64_t ino, const char *name,
		       char **ret)
{
	struct folder *f = tree_find(fs->tree, ino);
	struct message x = {0};
	int r;

	if (f && strcmp(name, XATTR_OFFLINE) == 0)
		return f->kept ? put_text("1", ret) : -ENODATA;
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
	struct folder *f = tree_find(fs->tree, ino);
	struct message x = {0};
	char names[1024], *value;
	size_t n = 0, len;

	control_count(fs->control, REQ_LISTXATTR);
	if (f && f->kept) {
		n = sizeof(XATTR_OFFLINE);
		memcpy(names, XATTR_OFFLINE, n);
	}
	if (!f && message_get(fs, ino, &x) == 0) {
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
