/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/ahead.h"
#include "fs/attr.h"
#include "fs/folder.h"
#include "fs/rejected.h"
#include "fs/rights.h"

/*
 * Directories: OPENDIR and READDIR(PLUS).
 *
 * OPENDIR is where a folder is entered: nothing in the kernel is locked while
 * it waits. READDIR, for which the kernel holds a lock of the directory, waits
 * only for the next window of a listing.
 *
 * A directory is listed by id: children and messages share one sequence, so
 * d_off is the id of the last entry handed out, and stays good whatever comes
 * and goes. `.` and `..` are 1 and 2, below all ids.
 */

#define OFF_DOT 1
#define OFF_DOTDOT 2
#define READ_AT_ONCE 32 /* entries copied out of a box under its lock */

/* --- OPENDIR --- */

static void reply_opendir(struct request *r, bool keep)
{
	struct fuse_file_info fi = {0};

	fi.keep_cache = keep;
	fi.cache_readdir = keep;
	lock_assert_none();
	fuse_reply_open(r->req, &fi);
}

static int opendir_once(struct request *r)
{
	struct folder *f;
	int64_t waited;
	int error;

	if (control_is_dir(r->ino)) {
		reply_opendir(r, false);
		return 0;
	}
	f = tree_find(r->fs->tree, r->ino);
	if (!f) {
		ops_reply_err(r->req, -ENOENT);
		return 0;
	}
	waited = r->began_ms ? clock_now_ms() - r->began_ms : 0;
	error = folder_enter(r->fs, f, waited);
	if (error == -EAGAIN)
		return error;
	if (error != 0)
		ops_reply_err(r->req, error);
	else
		/* It may be filled before the kernel hears of it. */
		reply_opendir(r, folder_denied(f) == FOLDER_NOT_DENIED);
	return 0;
}

static void opendir_resume(struct request *r);

static void opendir_how(struct request *r, struct parking *ret)
{
	struct folder *f = tree_find(r->fs->tree, r->ino);
	int64_t limit = f ? folder_enter_limit_ms(f) : 0;

	ret->key = r->ino;
	ret->deadline_ms = r->began_ms + (limit ? limit : r->fs->timeout_ms);
	/* When the limit is over, opendir_once() shows what is known. */
	ret->late_error = limit ? 0 : -ETIMEDOUT;
}

static const struct waiting opendir_waiting = {opendir_once, opendir_how,
					       ops_folder_gen, opendir_resume};

static void opendir_resume(struct request *r)
{
	ops_run(r, &opendir_waiting);
}

void ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct request r = {.req = req, .fs = ops_fs(req), .ino = ino};
	struct folder *f;

	(void)fi;
	control_count(r.fs->control, REQ_OPENDIR);
	f = tree_find(r.fs->tree, ino);
	if (f)
		rights_ask(r.fs, f);
	ops_run(&r, &opendir_waiting);
}

void ops_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

/* --- READDIR --- */

/* A reply being filled. */
struct filler {
	struct request *r;
	char *buf;
	size_t n;
	bool full;
	uint64_t *held; /* inode numbers whose count was raised for it */
	size_t n_held;
};

/*
 * The most entries whose count can be raised in one reply: those of
 * READDIRPLUS, where the smallest has 24 bytes and the attributes, which have
 * 128. Kernels offer a mebibyte for a reply, so that this matters.
 */
static size_t held_max(const struct request *r)
{
	return r->plus ? r->size / (24 + 128) + 1 : 1;
}

static bool fill(struct filler *b, const char *name,
		 const struct fuse_entry_param *e, off_t off)
{
	size_t left = b->r->size - b->n, took;

	if (b->r->plus)
		took = fuse_add_direntry_plus(b->r->req, b->buf + b->n, left,
					      name, e, off);
	else
		took = fuse_add_direntry(b->r->req, b->buf + b->n, left, name,
					 &e->attr, off);
	if (took > left) {
		b->full = true;
		return false;
	}
	b->n += took;
	return true;
}

static void fill_dots(struct filler *b, uint64_t ino, uint64_t parent)
{
	struct fuse_entry_param e = {0};

	/* nodeid 0: the kernel makes no entries of these, and counts none. */
	e.attr.st_mode = S_IFDIR;
	e.attr.st_ino = ino;
	if (b->r->off < OFF_DOT && !fill(b, ".", &e, OFF_DOT))
		return;
	e.attr.st_ino = parent;
	if (b->r->off < OFF_DOTDOT)
		(void)fill(b, "..", &e, OFF_DOTDOT);
}

static void fill_folder(struct filler *b, struct folder *f)
{
	struct fs *fs = b->r->fs;
	struct fuse_entry_param e = {0};

	if (b->r->plus)
		ops_entry_of_folder(fs, f, &e);
	e.attr.st_ino = f->id;
	e.attr.st_mode |= S_IFDIR;
	if (!fill(b, f->name, &e, (off_t)f->id))
		ops_unhold(fs, e.ino, 1);
	else if (e.ino)
		b->held[b->n_held++] = e.ino;
}

static void fill_message(struct filler *b, struct folder *f,
			 const struct cache_msg *m)
{
	struct fs *fs = b->r->fs;
	struct fuse_entry_param e = {0};

	/*
	 * What the kernel holds already gets nodeid 0: it keeps what it has,
	 * and is spared the work of finding that out.
	 */
	if (b->r->plus && m->held == 0 &&
	    ops_entry_of_message(fs, f, m, &e) != 0)
		return;
	if (e.ino == 0)
		attr_of_message(fs, m, &e.attr);
	if (!fill(b, m->name, &e, (off_t)m->id))
		ops_unhold(fs, e.ino, 1);
	else if (e.ino)
		b->held[b->n_held++] = e.ino;
}

/* Children and messages of a folder, read in turns, merged by id. */
struct merge {
	struct folder *f;
	struct box *box; /* NULL: no messages */
	uint64_t after;  /* all up to this id were handed out */
	struct folder *dirs[READ_AT_ONCE];
	struct cache_msg *v;
	size_t n_dirs, n, dir, i;
	bool dirs_end, end;
};

static void merge_refill(struct filler *b, struct merge *m)
{
	if (m->dir == m->n_dirs && !m->dirs_end) {
		m->n_dirs = tree_children(b->r->fs->tree, m->f, m->after,
					  m->dirs, READ_AT_ONCE);
		m->dir = 0;
		m->dirs_end = m->n_dirs < READ_AT_ONCE;
	}
	if (m->i == m->n && m->box && !m->end) {
		m->n = box_read(m->box, m->after, m->v, READ_AT_ONCE);
		m->i = 0;
		m->end = m->n < READ_AT_ONCE;
	}
}

static int fill_entries(struct filler *b, struct folder *f, uint64_t after)
{
	struct merge m = {.f = f, .after = after};
	bool has_dir, has_msg;
	int error;

	m.v = malloc(READ_AT_ONCE * sizeof(*m.v));
	if (!m.v)
		return -ENOMEM;
	error = folder_get(b->r->fs, f, &m.box);
	if (error == -ENODATA)
		error = 0; /* \Noselect: children only */

	while (error == 0 && !b->full) {
		merge_refill(b, &m);
		has_dir = m.dir < m.n_dirs;
		has_msg = m.i < m.n;
		if (!has_dir && !has_msg)
			break;
		if (has_dir && (!has_msg || m.dirs[m.dir]->id < m.v[m.i].id)) {
			m.after = m.dirs[m.dir]->id;
			fill_folder(b, m.dirs[m.dir++]);
		} else {
			m.after = m.v[m.i].id;
			fill_message(b, f, &m.v[m.i++]);
		}
	}
	if (m.box)
		folder_put(b->r->fs, f);
	free(m.v);
	return error;
}

static int fill_folder_listing(struct filler *b)
{
	struct request *r = b->r;
	struct folder *f = tree_find(r->fs->tree, r->ino);
	int error;

	if (!f)
		return -ENOENT;
	if (r->off < OFF_DOTDOT)
		fill_dots(b, tree_ino(r->fs->tree, f),
			  tree_parent_ino(r->fs->tree, f));
	error = fill_entries(b, f, r->off > OFF_DOTDOT ? (uint64_t)r->off : 0);
	/* Nothing more here: is that the end, or is more to come? */
	if (error == 0 && b->n == 0 && !b->full) {
		error = folder_more(r->fs, f);
		if (error == 0)
			ahead_listed(r->fs, f, fuse_req_ctx(r->req)->pid);
	}
	return error;
}

static int fill_control_listing(struct filler *b)
{
	struct fuse_entry_param e = {.attr.st_mode = S_IFREG};

	if (b->r->off < OFF_DOTDOT)
		fill_dots(b, CONTROL_DIR_INO, FS_ROOT_INO);
	for (off_t i = 0; i < N_CONTROL_FILES && !b->full; i++) {
		e.attr.st_ino = CONTROL_FILE_INO(i);
		if (b->r->off <= OFF_DOTDOT + i)
			(void)fill(b, control_name((enum control_file)i), &e,
				   OFF_DOTDOT + i + 1);
	}
	e.attr.st_ino = CONTROL_REJECTED_INO;
	e.attr.st_mode = S_IFDIR;
	if (!b->full && b->r->off <= OFF_DOTDOT + N_CONTROL_FILES)
		(void)fill(b, CONTROL_REJECTED_NAME, &e,
			   OFF_DOTDOT + N_CONTROL_FILES + 1);
	return 0;
}

/* Read anew for every part: one that goes meanwhile makes others be left out.
 */
static int fill_rejected_listing(struct filler *b)
{
	struct fuse_entry_param e = {.attr.st_mode = S_IFREG};
	struct rejected_names *names;
	int error = rejected_list(b->r->fs, &names);

	if (error != 0)
		return error;
	if (b->r->off < OFF_DOTDOT)
		fill_dots(b, CONTROL_REJECTED_INO, CONTROL_DIR_INO);
	/* No number before it is looked up: then it gets a new one. */
	e.attr.st_ino = CONTROL_REJECTED_INO;
	for (size_t i = 0; i < names->n && !b->full; i++)
		if (b->r->off <= OFF_DOTDOT + (off_t)i)
			(void)fill(b, names->v[i], &e,
				   OFF_DOTDOT + (off_t)i + 1);
	free(names);
	return 0;
}

static int readdir_once(struct request *r)
{
	struct filler b = {.r = r};
	int error;

	b.buf = malloc(r->size);
	b.held = malloc(held_max(r) * sizeof(*b.held));
	if (!b.buf || !b.held)
		error = -ENOMEM;
	else if (r->ino == CONTROL_DIR_INO)
		error = fill_control_listing(&b);
	else if (r->ino == CONTROL_REJECTED_INO)
		error = fill_rejected_listing(&b);
	else
		error = fill_folder_listing(&b);

	if (error == 0) {
		lock_assert_none();
		if (fuse_reply_buf(r->req, b.buf, b.n) == -ENOENT)
			for (size_t i = 0; i < b.n_held; i++)
				ops_unhold(r->fs, b.held[i], 1);
	} else {
		for (size_t i = 0; i < b.n_held; i++)
			ops_unhold(r->fs, b.held[i], 1);
		if (error != -EAGAIN)
			ops_reply_err(r->req, error);
	}
	free(b.held);
	free(b.buf);
	return error == -EAGAIN ? error : 0;
}

static void readdir_resume(struct request *r);

static void readdir_how(struct request *r, struct parking *ret)
{
	struct folder *f = tree_find(r->fs->tree, r->ino);

	ret->key = r->ino;
	ret->deadline_ms = f ? folder_deadline(f) : r->began_ms;
	ret->late_error = -ETIMEDOUT;
}

static const struct waiting readdir_waiting = {readdir_once, readdir_how,
					       ops_folder_gen, readdir_resume};

static void readdir_resume(struct request *r)
{
	ops_run(r, &readdir_waiting);
}

static void start_readdir(fuse_req_t req, fuse_ino_t ino, size_t size,
			  off_t off, bool plus)
{
	struct request r = {.req = req,
			    .fs = ops_fs(req),
			    .ino = ino,
			    .size = size,
			    .off = off,
			    .plus = plus};

	control_count(r.fs->control, REQ_READDIR);
	ops_run(&r, &readdir_waiting);
}

void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		 struct fuse_file_info *fi)
{
	(void)fi;
	start_readdir(req, ino, size, off, false);
}

void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	(void)fi;
	start_readdir(req, ino, size, off, true);
}
