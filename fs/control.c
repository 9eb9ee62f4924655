/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/journal.h"
#include "fs/queue.h"
#include "fs/rejected.h"
#include "fs/status.h"
#include "imap/log.h"

/*
 * Snapshots in a list; there are as many as the kernel remembers, which is few:
 * their entries are given no time-out. A snapshot is rendered outside the lock,
 * since it asks every other part of the program.
 */

struct snapshot {
	struct snapshot *next;
	uint64_t ino;
	uint64_t held;
	enum control_file file; /* N_CONTROL_FILES: one that was rejected */
	char *text;             /* or that one's name */
	size_t n;
	int64_t at;
	struct rejected rejected;
};

struct control {
	_Atomic uint64_t requests[N_REQUESTS]; /* counters only: no lock */

	struct lock lock; /* RANK_CONTROL, guards what follows */
	struct snapshot *head;
	uint64_t next_ino;
};

static const char *const file_names[N_CONTROL_FILES] = {
	[CONTROL_STATUS] = "status", [CONTROL_STATUS_JSON] = "status.json",
	[CONTROL_LOG] = "log",       [CONTROL_QUEUE] = "queue",
	[CONTROL_FAILED] = "failed",
};

int control_new(struct fs *fs, struct control **ret)
{
	struct control *c = calloc(1, sizeof(*c));

	(void)fs;
	if (!c)
		return -ENOMEM;
	lock_init(&c->lock, RANK_CONTROL);
	/* The directory, and the numbers that its listing shows, come first. */
	c->next_ino = CONTROL_REJECTED_INO + 1;
	*ret = c;
	return 0;
}

static void snapshot_free(struct snapshot *s)
{
	free(s->text);
	free(s);
}

void control_free(struct control *c)
{
	struct snapshot *s, *next;

	if (!c)
		return;
	for (s = c->head; s; s = next) {
		next = s->next;
		snapshot_free(s);
	}
	lock_finish(&c->lock);
	free(c);
}

void control_count(struct control *c, enum control_request what)
{
	atomic_fetch_add_explicit(&c->requests[what], 1, memory_order_relaxed);
}

uint64_t control_counted(struct control *c, enum control_request what)
{
	return c->requests[what];
}

const char *control_name(enum control_file file)
{
	return file_names[file];
}

/* What a file says at this moment; yours to free. */
static int render(struct fs *fs, enum control_file file, char **ret,
		  size_t *ret_n)
{
	int r;

	switch (file) {
	case CONTROL_LOG:
		*ret = log_snapshot(ret_n);
		return *ret ? 0 : -ENOMEM;
	case CONTROL_QUEUE:
		return queue_render(fs, ret, ret_n);
	case CONTROL_FAILED:
		r = journal_failed_text(fs->cache, ret);
		if (r == 0)
			*ret_n = strlen(*ret);
		return r;
	default:
		return status_render(fs, file == CONTROL_STATUS_JSON, ret,
				     ret_n);
	}
}

/* --- snapshots --- */

bool control_is_dir(uint64_t ino)
{
	return ino == CONTROL_DIR_INO || ino == CONTROL_REJECTED_INO;
}

static void fill_dir(struct fs *fs, uint64_t ino, struct control_entry *ret)
{
	int64_t mtime = ino == CONTROL_REJECTED_INO ? rejected_mtime(fs) : 0;

	*ret = (struct control_entry){
		.ino = ino,
		.shown = ino,
		.is_dir = true,
		.mtime = mtime ? mtime : fs->mounted_at,
		.is_removable = ino == CONTROL_REJECTED_INO,
	};
}

static void fill_file(const struct snapshot *s, struct control_entry *ret)
{
	bool is_kept = s->file == N_CONTROL_FILES;

	*ret = (struct control_entry){
		.ino = s->ino,
		.shown = is_kept ? CONTROL_KEPT_INO(s->rejected.ino)
				 : CONTROL_FILE_INO(s->file),
		.size = s->n,
		.mtime = s->at,
		.is_removable = is_kept,
	};
}

static int snapshot_rejected(struct fs *fs, const char *name,
			     struct snapshot *s)
{
	int r = rejected_find(fs, name, &s->rejected);

	if (r != 0)
		return r;
	s->text = strdup(name);
	s->file = N_CONTROL_FILES;
	s->n = s->rejected.size;
	s->at = s->rejected.mtime;
	return s->text ? 0 : -ENOMEM;
}

static int snapshot_file(struct fs *fs, const char *name, struct snapshot *s)
{
	for (int file = 0; file < N_CONTROL_FILES; file++) {
		if (strcmp(file_names[file], name) != 0)
			continue;
		s->file = (enum control_file)file;
		s->at = time(NULL);
		return render(fs, s->file, &s->text, &s->n);
	}
	return -ENOENT;
}

int control_lookup(struct fs *fs, uint64_t dir, const char *name,
		   struct control_entry *ret)
{
	struct control *c = fs->control;
	struct snapshot *s;
	int r;

	if (dir == CONTROL_DIR_INO &&
	    strcmp(name, CONTROL_REJECTED_NAME) == 0) {
		fill_dir(fs, CONTROL_REJECTED_INO, ret);
		return 0;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	r = dir == CONTROL_REJECTED_INO ? snapshot_rejected(fs, name, s)
					: snapshot_file(fs, name, s);
	if (r != 0) {
		snapshot_free(s);
		return r;
	}
	s->held = 1;

	lock_take(&c->lock);
	s->ino = c->next_ino++;
	s->next = c->head;
	c->head = s;
	fill_file(s, ret);
	lock_drop(&c->lock);
	return 0;
}

static struct snapshot *find_locked(struct control *c, uint64_t ino)
	REQUIRES(c->lock)
{
	for (struct snapshot *s = c->head; s; s = s->next)
		if (s->ino == ino)
			return s;
	return NULL;
}

int control_stat(struct fs *fs, uint64_t ino, struct control_entry *ret)
{
	struct control *c = fs->control;
	struct snapshot *s;

	if (control_is_dir(ino)) {
		fill_dir(fs, ino, ret);
		return 0;
	}
	lock_take(&c->lock);
	s = find_locked(c, ino);
	if (s)
		fill_file(s, ret);
	lock_drop(&c->lock);
	return s ? 0 : -ENOENT;
}

bool control_is(struct fs *fs, uint64_t ino, enum control_file file)
{
	struct control *c = fs->control;
	struct snapshot *s;
	bool is;

	lock_take(&c->lock);
	s = find_locked(c, ino);
	is = s && s->file == file;
	lock_drop(&c->lock);
	return is;
}

static long copy_text(const struct snapshot *s, char *buf, size_t n, off_t off)
{
	size_t left;

	if (off < 0 || (size_t)off >= s->n)
		return 0;
	left = s->n - (size_t)off;
	if (n > left)
		n = left;
	memcpy(buf, s->text + off, n);
	return (long)n;
}

long control_read(struct fs *fs, uint64_t ino, char *buf, size_t n, off_t off)
{
	struct control *c = fs->control;
	struct rejected which = {0};
	char name[NAME_MAX + 1] = "";
	struct snapshot *s;
	long got = -ENOENT;

	lock_take(&c->lock);
	s = find_locked(c, ino);
	if (s && s->file != N_CONTROL_FILES) {
		got = copy_text(s, buf, n, off);
	} else if (s) {
		which = s->rejected;
		memcpy(name, s->text, strlen(s->text) + 1);
	}
	lock_drop(&c->lock);
	/* From the disk, so without the lock. */
	if (name[0])
		got = rejected_read(fs, name, &which, buf, n, off);
	return got;
}

void control_forget(struct fs *fs, uint64_t ino, uint64_t n)
{
	struct control *c = fs->control;
	struct snapshot *gone = NULL;

	lock_take(&c->lock);
	for (struct snapshot **at = &c->head; *at; at = &(*at)->next) {
		if ((*at)->ino != ino)
			continue;
		(*at)->held -= n < (*at)->held ? n : (*at)->held;
		if ((*at)->held == 0) {
			gone = *at;
			*at = gone->next;
		}
		break;
	}
	lock_drop(&c->lock);
	if (gone)
		snapshot_free(gone);
}
