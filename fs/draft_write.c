/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/draft_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/folder.h"
#include "imap/change.h"

/*
 * The bytes of drafts. A program that writes straight on is looked at as it
 * goes: every byte once. One that jumps is looked at again from the beginning
 * when its file is to be complete.
 *
 * What a write shows to be no message is written all the same: what there is
 * goes to rejected/, and that should be all there is.
 */

int draft_open_file(struct fs *fs, struct draft *d, bool for_writing,
		    int *ret_fd)
{
	struct drafts *ds = fs->drafts;
	bool is_ghost, may_write;
	uint64_t file_id;
	int fd = -1;

	lock_take(&ds->lock);
	file_id = d->file_id;
	is_ghost = d->kind == DRAFT_GHOST;
	may_write = !is_ghost || d->may_write;
	if (d->fd >= 0 && (may_write || !for_writing))
		fd = dup(d->fd);
	lock_drop(&ds->lock);
	if (!may_write && for_writing)
		return -EPERM;
	if (fd >= 0) {
		*ret_fd = fd;
		return 0;
	}
	return is_ghost ? -ENOENT
			: spool_open(fs->cache, file_id, for_writing, ret_fd);
}

/* --- reading --- */

long draft_read(struct fs *fs, uint64_t id, void *buf, size_t n,
		uint64_t offset)
{
	struct draft *d = draft_get(fs->drafts, id);
	int fd, r;
	long got;

	if (d) {
		r = draft_open_file(fs, d, false, &fd);
		if (r == -ENOENT) {
			/* Another file is taking its place: when that is done
			 * this one can be read again. */
			lock_take(&d->lock);
			r = draft_open_file(fs, d, false, &fd);
			lock_drop(&d->lock);
		}
		draft_put(fs->drafts, d);
	} else {
		r = spool_open(fs->cache, id, false, &fd);
	}
	if (r != 0)
		return r;
	got = spool_read(fd, buf, n, offset);
	close(fd);
	return got;
}

/* --- what may be written --- */

static bool is_checked(struct drafts *ds, const struct draft *d)
{
	bool yes;

	lock_take(&ds->lock);
	yes = d->kind == DRAFT_MESSAGE || d->kind == DRAFT_REWRITE;
	lock_drop(&ds->lock);
	return yes;
}

/* The server's limit, if it has told one. */
static bool is_too_large(struct fs *fs, uint64_t size)
{
	uint64_t limit = fs->imap ? imap_append_limit(fs->imap) : 0;

	return size > MAIL_SIZE_MAX || (limit > 0 && size > limit);
}

static enum content_head look_at_head(int fd)
{
	char head[CONTENT_HEAD_MAX];
	long n = spool_read(fd, head, sizeof(head), 0);

	return n > 0 ? content_head(head, (size_t)n) : CONTENT_UNKNOWN;
}

/* What these bytes, which are in the file, show of it. */
static int look_at_write(struct draft *d, int fd, const char *buf, size_t n,
			 uint64_t offset) REQUIRES(d->lock)
{
	if (offset == d->content.size)
		content_feed(&d->content, buf, n);
	else if (offset < d->content.size)
		d->content = (struct content){0};
	if (memchr(buf, '\0', n))
		return -EINVAL;
	if (offset < CONTENT_HEAD_MAX && look_at_head(fd) == CONTENT_OTHER)
		return -EINVAL;
	return 0;
}

static int feed_rest(struct draft *d, int fd, uint64_t size) REQUIRES(d->lock)
{
	char *buf;
	long n = 1;

	if (d->content.size > size)
		d->content = (struct content){0};
	if (d->content.size == size)
		return 0;
	buf = malloc(DRAFT_COPY_BYTES);
	if (!buf)
		return -ENOMEM;
	while (n > 0) {
		n = spool_read(fd, buf, DRAFT_COPY_BYTES, d->content.size);
		if (n > 0)
			content_feed(&d->content, buf, (size_t)n);
	}
	free(buf);
	return (int)n;
}

int draft_check_locked(struct fs *fs, struct draft *d, int fd)
{
	uint64_t size;
	int r = spool_size(fd, &size);

	if (r == 0)
		r = feed_rest(d, fd, size);
	if (r != 0)
		return r;
	if (d->refused != 0)
		return d->refused;
	if (size == 0)
		return -ENODATA;
	if (d->content.has_nul || look_at_head(fd) != CONTENT_MESSAGE)
		return -EINVAL;
	return is_too_large(fs, content_size(&d->content)) ? -EFBIG : 0;
}

/* --- writing --- */

static void note_size(struct drafts *ds, struct draft *d, uint64_t size)
{
	lock_take(&ds->lock);
	d->size = size;
	d->mtime = time(NULL);
	d->is_moved = true;
	draft_touch_locked(ds, d);
	lock_drop(&ds->lock);
}

static uint64_t size_of(struct drafts *ds, struct draft *d)
{
	uint64_t size;

	lock_take(&ds->lock);
	size = d->size;
	lock_drop(&ds->lock);
	return size;
}

/* All of it, or nothing: the kernel believes nothing of a write that failed. */
static int put_bytes(int fd, const void *buf, size_t n, uint64_t offset,
		     uint64_t size)
{
	int r = spool_write(fd, buf, n, offset);

	if (r != 0 && offset + n > size && spool_truncate(fd, size) != 0)
		r = -EIO;
	return r;
}

static int write_locked(struct fs *fs, struct draft *d, const void *buf,
			size_t n, uint64_t offset) REQUIRES(d->lock)
{
	bool checked = is_checked(fs->drafts, d);
	uint64_t size = size_of(fs->drafts, d);
	int fd, r;

	if (checked && d->refused != 0)
		return d->refused;
	if (offset > MAIL_SIZE_MAX || n > MAIL_SIZE_MAX - offset ||
	    (checked && is_too_large(fs, offset + n))) {
		d->refused = checked ? -EFBIG : 0;
		return -EFBIG;
	}
	r = draft_open_file(fs, d, true, &fd);
	if (r != 0)
		return r;
	r = put_bytes(fd, buf, n, offset, size);
	if (r == 0) {
		note_size(fs->drafts, d, offset + n > size ? offset + n : size);
		if (checked)
			r = d->refused = look_at_write(d, fd, buf, n, offset);
		else
			d->content = (struct content){0};
	}
	close(fd);
	return r;
}

static int truncate_locked(struct fs *fs, struct draft *d, uint64_t size)
	REQUIRES(d->lock)
{
	bool checked = is_checked(fs->drafts, d);
	int fd, r;

	if (size > MAIL_SIZE_MAX || (checked && is_too_large(fs, size)))
		return -EFBIG;
	r = draft_open_file(fs, d, true, &fd);
	if (r != 0)
		return r;
	r = spool_truncate(fd, size);
	close(fd);
	if (r != 0)
		return r;
	if (size < d->content.size)
		d->content = (struct content){0};
	/* A new beginning. */
	if (size == 0)
		d->refused = 0;
	note_size(fs->drafts, d, size);
	return 0;
}

/*
 * It may have been completed between the look into the table and its lock: then
 * it is to be opened anew.
 */
static bool is_gone(struct drafts *ds, const struct draft *d)
{
	bool gone;

	lock_take(&ds->lock);
	gone = !d->is_in_table;
	lock_drop(&ds->lock);
	return gone;
}

int draft_write(struct fs *fs, uint64_t id, const void *buf, size_t n,
		uint64_t offset)
{
	struct draft *d;
	bool again = true;
	int r = 0;

	while (r == 0 && again) {
		r = draft_open(fs, id, false, &d);
		if (r != 0)
			return r;
		lock_take(&d->lock);
		again = is_gone(fs->drafts, d);
		if (!again)
			r = write_locked(fs, d, buf, n, offset);
		lock_drop(&d->lock);
		draft_put(fs->drafts, d);
	}
	return r;
}

int draft_truncate(struct fs *fs, uint64_t id, uint64_t size)
{
	struct draft *d;
	bool again = true;
	int r = 0;

	while (r == 0 && again) {
		r = draft_open(fs, id, size == 0, &d);
		if (r != 0)
			return r;
		lock_take(&d->lock);
		again = is_gone(fs->drafts, d);
		if (!again)
			r = truncate_locked(fs, d, size);
		lock_drop(&d->lock);
		draft_put(fs->drafts, d);
	}
	return r;
}

/* --- durable --- */

void draft_save_row(struct fs *fs, struct draft *d)
{
	struct drafts *ds = fs->drafts;
	uint64_t id, size, at;
	int64_t mtime;
	struct folder *f;
	struct box *box;
	bool moved;

	lock_take(&ds->lock);
	moved = d->is_moved && d->kind != DRAFT_GHOST;
	d->is_moved = false;
	id = d->file_id;
	size = d->size;
	mtime = d->mtime;
	lock_drop(&ds->lock);
	at = moved ? cache_folder_of(fs->cache, id) : 0;
	f = at ? tree_find(fs->tree, at) : NULL;
	if (!f || folder_get(fs, f, &box) != 0)
		return;
	if (box_set_size(box, id, size) != 0 ||
	    journal_set_date(box, id, mtime) != 0) {
		lock_take(&ds->lock);
		d->is_moved = true;
		lock_drop(&ds->lock);
	}
	folder_put(fs, f);
}

static int sync_locked(struct fs *fs, struct draft *d) REQUIRES(d->lock)
{
	int fd, r = draft_open_file(fs, d, false, &fd);

	if (r != 0)
		return r;
	if (is_checked(fs->drafts, d))
		r = draft_check_locked(fs, d, fd);
	if (r == -ENODATA)
		r = 0;
	if (r == 0)
		r = spool_sync(fd);
	close(fd);
	if (r == 0)
		draft_save_row(fs, d);
	return r;
}

int draft_sync(struct fs *fs, uint64_t id)
{
	struct draft *d = draft_get(fs->drafts, id);
	int fd, r;

	if (d) {
		lock_take(&d->lock);
		r = sync_locked(fs, d);
		lock_drop(&d->lock);
		draft_put(fs->drafts, d);
	} else {
		r = spool_open(fs->cache, id, false, &fd);
		if (r == 0) {
			r = spool_sync(fd);
			close(fd);
		}
	}
	/* Its record, or whatever else was changed of a message. */
	return r == 0 || r == -ENOENT ? cache_sync(fs->cache) : r;
}

/*
 * False: it is complete; `*id` is the one that is sent. Whoever completes it
 * has read its date already: that is waited for.
 */
static bool set_date_of_draft(struct drafts *ds, uint64_t *id, int64_t date)
{
	struct draft *d = draft_get(ds, *id);
	bool set;

	if (!d)
		return false;
	lock_take(&d->lock);
	lock_take(&ds->lock);
	if (d->became != 0)
		*id = d->became;
	set = d->is_in_table && d->became == 0;
	if (set) {
		d->mtime = date;
		d->is_moved = true;
		draft_touch_locked(ds, d);
	}
	lock_drop(&ds->lock);
	lock_drop(&d->lock);
	draft_put(ds, d);
	return set;
}

int draft_set_date(struct fs *fs, uint64_t id, int64_t date)
{
	uint64_t at;
	struct folder *f;
	struct box *box;
	int r;

	if (set_date_of_draft(fs->drafts, &id, date))
		return 0;
	at = cache_folder_of(fs->cache, id);
	f = at ? tree_find(fs->tree, at) : NULL;
	r = f ? folder_get(fs, f, &box) : -ENOENT;
	if (r != 0)
		return -ENOENT;
	r = journal_set_date(box, id, date);
	folder_put(fs, f);
	return r == -EBUSY ? -ENOENT : r;
}
