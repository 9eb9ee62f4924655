/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
	char *text;
	size_t n;
	int64_t at;
};

struct control {
	_Atomic uint64_t requests[N_REQUESTS]; /* counters only: no lock */

	struct lock lock; /* RANK_CONTROL, guards what follows */
	struct snapshot *head;
	uint64_t next_ino;
};

static const char *const file_names[N_CONTROL_FILES] = {
	[CONTROL_STATUS] = "status",
	[CONTROL_STATUS_JSON] = "status.json",
	[CONTROL_LOG] = "log",
};

int control_new(struct fs *fs, struct control **ret)
{
	struct control *c = calloc(1, sizeof(*c));

	(void)fs;
	if (!c)
		return -ENOMEM;
	lock_init(&c->lock, RANK_CONTROL);
	/* The directory, and the numbers that its listing shows, come first. */
	c->next_ino = CONTROL_DIR_INO + 1 + N_CONTROL_FILES;
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
	if (file == CONTROL_LOG) {
		*ret = log_snapshot(ret_n);
		return *ret ? 0 : -ENOMEM;
	}
	return status_render(fs, file == CONTROL_STATUS_JSON, ret, ret_n);
}

/* --- snapshots --- */

int control_lookup(struct fs *fs, const char *name, uint64_t *ret_ino,
		   size_t *ret_size, int64_t *ret_time)
{
	struct control *c = fs->control;
	struct snapshot *s;
	int file, r;

	for (file = 0; file < N_CONTROL_FILES; file++)
		if (strcmp(file_names[file], name) == 0)
			break;
	if (file == N_CONTROL_FILES)
		return -ENOENT;

	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	r = render(fs, (enum control_file)file, &s->text, &s->n);
	if (r != 0) {
		free(s);
		return r;
	}
	s->held = 1;
	s->at = time(NULL);

	lock_take(&c->lock);
	s->ino = c->next_ino++;
	s->next = c->head;
	c->head = s;
	*ret_ino = s->ino;
	*ret_size = s->n;
	*ret_time = s->at;
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

int control_stat(struct fs *fs, uint64_t ino, size_t *ret_size,
		 int64_t *ret_time)
{
	struct control *c = fs->control;
	struct snapshot *s;

	lock_take(&c->lock);
	s = find_locked(c, ino);
	if (s) {
		*ret_size = s->n;
		*ret_time = s->at;
	}
	lock_drop(&c->lock);
	return s ? 0 : -ENOENT;
}

long control_read(struct fs *fs, uint64_t ino, char *buf, size_t n, off_t off)
{
	struct control *c = fs->control;
	struct snapshot *s;
	long got = -ENOENT;

	lock_take(&c->lock);
	s = find_locked(c, ino);
	if (s) {
		got = 0;
		if (off >= 0 && (size_t)off < s->n) {
			got = (long)(s->n - (size_t)off < n ? s->n - (size_t)off
							    : n);
			memcpy(buf, s->text + off, (size_t)got);
		}
	}
	lock_drop(&c->lock);
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
