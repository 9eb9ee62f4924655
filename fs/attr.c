/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/attr.h"

#include <errno.h>
#include <string.h>

#include "fs/control.h"
#include "fs/draft.h"
#include "fs/folder.h"
#include "fs/marks.h"

/*
 * Attributes, made from what is in memory. The mode of a message says how it
 * is flagged (marks.h); nobody but the owner gets past the root, whatever the
 * modes say.
 */

/* Directories with this many bytes to a read(2) are listed in fewer calls. */
#define DIRECTORY_BLOCK (1 << 20)

static mode_t directory_mode(struct fs *fs)
{
	return S_IFDIR | (fs->opt->allow_other ? 0777 & ~fs->umask : 0700);
}

void attr_of_folder(struct fs *fs, struct folder *f, struct stat *ret)
{
	int64_t ns = folder_mtime_ns(f);

	if (ns <= 0)
		ns = fs->mounted_at * 1000000000;
	memset(ret, 0, sizeof(*ret));
	ret->st_ino = tree_ino(fs->tree, f);
	ret->st_mode = directory_mode(fs);
	ret->st_nlink = 1;
	ret->st_uid = fs->uid;
	ret->st_gid = fs->gid;
	ret->st_blksize = DIRECTORY_BLOCK;
	ret->st_mtim.tv_sec = ns / 1000000000;
	ret->st_mtim.tv_nsec = ns % 1000000000;
	ret->st_ctim = ret->st_mtim;
	ret->st_atim = ret->st_mtim;
}

void attr_of_message(struct fs *fs, const struct cache_msg *m, struct stat *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->st_ino = m->id;
	ret->st_mode = S_IFREG | marks_to_mode(m->flags);
	ret->st_nlink = m->dead ? 0 : 1;
	ret->st_uid = fs->uid;
	ret->st_gid = fs->gid;
	ret->st_size = (off_t)m->size;
	ret->st_blksize = 4096;
	/* Never sparse: some archivers skip what looks like a hole. */
	ret->st_blocks = (blkcnt_t)((m->size + 511) / 512);
	ret->st_mtim.tv_sec = m->internaldate;
	ret->st_atim = ret->st_mtim;
	ret->st_ctim.tv_sec = m->changed_at;
	draft_fill_stat(fs, m->id, ret);
}

void attr_of_control(struct fs *fs, const struct control_entry *e,
		     struct stat *ret)
{
	/* What can be removed says so, or rm would ask. */
	mode_t write = e->is_removable ? 0200 : 0;

	memset(ret, 0, sizeof(*ret));
	ret->st_ino = e->shown;
	ret->st_mode = write | (e->is_dir ? S_IFDIR | 0500 : S_IFREG | 0400);
	ret->st_nlink = 1;
	ret->st_uid = fs->uid;
	ret->st_gid = fs->gid;
	ret->st_size = (off_t)e->size;
	ret->st_blksize = e->is_dir ? DIRECTORY_BLOCK : 4096;
	ret->st_blocks = (blkcnt_t)((e->size + 511) / 512);
	ret->st_mtim.tv_sec = e->mtime;
	ret->st_ctim = ret->st_mtim;
}

static int find_in(struct fs *fs, struct folder *f, uint64_t ino,
		   struct cache_msg *ret)
{
	struct box *box;
	int r = folder_get(fs, f, &box);

	if (r != 0)
		return r == -ENODATA ? -ENOENT : r;
	r = box_find_id(box, ino, ret);
	folder_put(fs, f);
	return r;
}

int attr_find_message(struct fs *fs, uint64_t ino, struct cache_msg *ret,
		      struct folder **ret_f)
{
	uint64_t id = cache_folder_of(fs->cache, ino), before;
	int r = -ENOENT;

	/* It may be moved between the two questions. */
	do {
		struct folder *f = id ? tree_find(fs->tree, id) : NULL;

		before = id;
		r = f ? find_in(fs, f, ino, ret) : -ENOENT;
		if (r == 0)
			*ret_f = f;
		if (r == -ENOENT)
			id = cache_folder_of(fs->cache, ino);
	} while (r == -ENOENT && id != before);
	return r;
}
