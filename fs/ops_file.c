/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/small.h"
#include "fs/ahead.h"
#include "fs/attr.h"
#include "fs/draft.h"
#include "fs/folder.h"
#include "fs/load.h"
#include "fs/notify.h"

/*
 * Files: READ, and MKNOD, by which the helper replays arrivals.
 *
 * A READ whose bytes are in the cache is answered from the body's file by
 * splice(2); others are parked until the bytes come.
 */

/* -EIO: what was here a moment ago was thrown away (it was damaged). */
static int reply_body(struct request *r, struct body *b)
{
	struct fuse_bufvec v = FUSE_BUFVEC_INIT(0);
	uint64_t size = body_size(b), left;
	int fd;

	left = (uint64_t)r->off < size ? size - (uint64_t)r->off : 0;
	if (left > r->size)
		left = r->size;
	if (left == 0) {
		fuse_reply_buf(r->req, NULL, 0);
		return 0;
	}
	fd = body_range_fd(b, (uint64_t)r->off, left);
	if (fd < 0)
		return -EIO;

	v.buf[0].size = (size_t)left;
	v.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK | FUSE_BUF_FD_RETRY;
	v.buf[0].fd = fd;
	v.buf[0].pos = r->off;
	lock_assert_none();
	fuse_reply_data(r->req, &v, 0);
	return 0;
}

static void read_control(struct request *r)
{
	char *buf = malloc(r->size ? r->size : 1);
	long n = buf ? control_read(r->fs, r->ino, buf, r->size, r->off)
		     : -ENOMEM;

	if (n < 0)
		ops_reply_err(r->req, (int)n);
	else
		fuse_reply_buf(r->req, buf, (size_t)n);
	free(buf);
}

/*
 * Would the kernel make something wrong of it if the READ were answered from a
 * body of this size? 0: no. -EAGAIN: not if it waits. -EIO: then it is refused,
 * and what of it is wanted is asked for once more.
 *
 * What begins behind the end says only that the end is before it. And if the
 * kernel was told of attributes, by whomever, after it had asked, the place
 * where an answer ends means nothing to it.
 */
static int check_end(struct request *r, uint64_t size)
{
	uint64_t from = (uint64_t)r->off;
	bool is_stale = from + r->size > size && r->said > size &&
			notify_heard(r->fs->notify, r->ino) != r->heard;

	if (from > size && !load_reading_is_lowest(r->fs, r->reading))
		return -EAGAIN;
	if ((from > size || is_stale) &&
	    load_refuse_once(r->fs, r->ino, from, r->size))
		return -EIO;
	return 0;
}

/*
 * Most messages are small, whole and here: read, checked and sent in one go.
 * -ENODATA: it is not one of those; or what check_end() says.
 */
static int reply_small(struct request *r, const struct cache_msg *m)
{
	struct cache_small small = {.id = m->id, .size = m->size};
	size_t n = 0;
	char *buf;
	int error = -ENODATA;

	if (m->size > LOAD_WHOLE ||
	    cache_find_small(r->fs->cache, &small, 1) != 1)
		return error;
	buf = malloc(small.size);
	if (buf && cache_read_small(r->fs->cache, &small, buf) == 0)
		error = check_end(r, small.size);
	if (error == 0) {
		if ((uint64_t)r->off < small.size)
			n = small.size - (size_t)r->off;
		lock_assert_none();
		fuse_reply_buf(r->req, n > 0 ? buf + r->off : NULL,
			       n < r->size ? n : r->size);
	}
	free(buf);
	return error;
}

/* What was not sent, or is being written. False: it is none of that. */
static bool reply_draft(struct request *r, const struct cache_msg *m)
{
	char *buf;
	long n;

	if (m->uid != 0 && !draft_is_written(r->fs, m->id))
		return false;
	buf = malloc(r->size ? r->size : 1);
	n = buf ? draft_read(r->fs, m->id, buf, r->size, (uint64_t)r->off)
		: -ENOMEM;
	lock_assert_none();
	if (n >= 0)
		fuse_reply_buf(r->req, buf, (size_t)n);
	else if (n != -ENOENT)
		ops_reply_err(r->req, (int)n);
	free(buf);
	return n != -ENOENT;
}

static int reply_loaded(struct request *r, struct folder *f,
			const struct cache_msg *m)
{
	struct body *b;
	int error = load_read(r->fs, f, m, (uint64_t)r->off, r->size, &b);

	if (error != 0)
		return error;
	error = check_end(r, body_size(b));
	if (error == 0)
		error = reply_body(r, b);
	body_put(b);
	return error;
}

/* -EAGAIN: not yet. */
static int read_message(struct request *r)
{
	struct cache_msg m;
	struct folder *f;
	int error;

	error = attr_find_message(r->fs, r->ino, &m, &f);
	if (error == 0 && !r->reading)
		r->reading = load_reading_begin(r->fs, &m, (uint64_t)r->off);
	if (error == 0 && r->said == 0)
		r->said = m.size;
	if (error == 0 && reply_draft(r, &m))
		return 0;
	if (error == 0) {
		error = reply_small(r, &m);
		if (error == -ENODATA)
			error = reply_loaded(r, f, &m);
	}
	if (r->began_ms == 0)
		load_count(r->fs, error != -EAGAIN);
	if (error == -EAGAIN)
		return error;
	if (error != 0)
		ops_reply_err(r->req, error);
	return 0;
}

static void read_gone(struct request *r)
{
	load_reading_end(r->fs, r->reading);
	r->reading = NULL;
}

static int read_once(struct request *r)
{
	int error = 0;

	if (r->ino >= CONTROL_INO_FIRST)
		read_control(r);
	else
		error = read_message(r);
	if (error != -EAGAIN)
		read_gone(r);
	return error;
}

uint64_t ops_body_gen(struct request *r)
{
	return load_gen(r->fs);
}

void ops_body_how(struct request *r, struct parking *ret)
{
	ret->key = r->ino;
	/* From the last byte of progress on: load.c moves it on. */
	ret->deadline_ms = clock_now_ms() + r->fs->timeout_ms;
	ret->late_error = -ETIMEDOUT;
}

static void read_how(struct request *r, struct parking *ret)
{
	ops_body_how(r, ret);
	ret->gone = read_gone;
}

static void read_resume(struct request *r);

static const struct waiting read_waiting = {read_once, read_how, ops_body_gen,
					    read_resume};

static void read_resume(struct request *r)
{
	ops_run(r, &read_waiting);
}

static void look_ahead(struct fs *fs, uint64_t ino, pid_t pid)
{
	struct cache_msg m;
	struct folder *f;

	if (attr_find_message(fs, ino, &m, &f) == 0 && !m.dead && m.uid != 0)
		ahead_note(fs, f, &m, pid);
}

void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	struct fs *fs = ops_fs(req);
	struct request r = {.req = req,
			    .fs = fs,
			    .ino = ino,
			    .size = size,
			    .off = off,
			    .heard = notify_heard(fs->notify, ino)};
	pid_t pid = fuse_req_ctx(req)->pid;

	(void)fi;
	control_count(fs->control, REQ_READ);
	load_tell_late(fs, ino);
	ops_run(&r, &read_waiting);
	/* Answered, or waiting: now there is time to look ahead of it. */
	if (ino < CONTROL_INO_FIRST)
		look_ahead(fs, ino, pid);
}

/* --- replays --- */

void ops_mknod(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode,
	       dev_t dev)
{
	struct fs *fs = ops_fs(req);
	struct folder *f = tree_find(fs->tree, dir);
	struct fuse_entry_param e;
	struct cache_msg m;
	struct box *box;
	int error;

	(void)dev;
	if (!ops_is_replay(req)) {
		ops_make_node(req, dir, name, mode);
		return;
	}
	error = f ? folder_get(fs, f, &box) : -ENOENT;
	if (error != 0) {
		ops_reply_err(req, error == -ENODATA ? -ENOENT : error);
		return;
	}
	error = box_find_name(box, name, &m);
	if (error == 0) {
		box_announce(box, m.id);
		error = ops_entry_of_message(fs, f, &m, &e);
	}
	folder_put(fs, f);
	if (error != 0)
		ops_reply_err(req, error);
	else if (fuse_reply_entry(req, &e) == -ENOENT)
		ops_unhold(fs, e.ino, 1);
}
