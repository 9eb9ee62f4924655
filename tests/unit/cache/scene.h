/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What every test of the cache needs: a temporary folder of its own, a cache
 * in it that can be closed and opened again, and rows to put into it.
 */
#ifndef IMAPFS_TESTS_CACHE_SCENE_H
#define IMAPFS_TESTS_CACHE_SCENE_H

/* cmocka.h wants these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "cache/cache.h"

struct scene {
	char dir[256];
	char state_dir[280];
	char cache_dir[280];
	uint64_t max_bytes;
	struct cache *c;
	struct box *box; /* of `folder`, opened by scene_box() */
	uint64_t folder;
	struct cache_report report;
};

/* Setup and teardown of cmocka: a scene with its cache open. */
int scene_setup(void **state);
int scene_teardown(void **state);

/* An empty temporary folder, no cache. */
struct scene *scene_new(void);
void scene_free(struct scene *s);

void scene_open(struct scene *s);
void scene_close(struct scene *s);
/* Close and open again, with the box if it was open. */
void scene_reopen(struct scene *s);

/* A saved folder named INBOX and its box. */
void scene_box(struct scene *s);

/* Add one announced message; its id (0: the UID was there). */
uint64_t scene_add(struct scene *s, uint32_t uid, const char *name);
/* The same with an X-GM-MSGID. */
uint64_t scene_add_gm(struct scene *s, uint32_t uid, const char *name,
		      uint64_t gm_msgid);

/* The path of the one file with the content of `id`'s body, by inode. */
void scene_blob_path(struct scene *s, char *ret, size_t n);
/* Files below cache_dir, without its lock. */
size_t scene_count_files(struct scene *s);
/* Remove cache_dir and all in it. */
void scene_wipe_cache_dir(struct scene *s);
/* The same with state_dir. */
void scene_wipe_state_dir(struct scene *s);

/*
 * A disk without space, played by a limit on the size of files, which needs no
 * privilege: writing beyond it fails with EFBIG (SIGXFSZ must be ignored).
 * Lifted by RLIM_INFINITY, and by the teardown.
 */
void scene_limit_files(rlim_t bytes);
/* Is it what is said then? SQLite does not always tell an EFBIG from others. */
bool scene_is_full(int r);

/* Write `n` bytes of a pattern that depends on `seed`, in pieces, and end. */
int scene_put_body(struct scene *s, uint64_t id, size_t n, unsigned seed);
/* Is the body here, whole and right? 0, 1: wrong bytes, or an errno. */
int scene_check_body(struct scene *s, uint64_t id, size_t n, unsigned seed);
void scene_fill(unsigned char *buf, uint64_t offset, size_t n, unsigned seed);

/* Damage one bit of a file, in the byte at `at`. */
void scene_flip_bit(const char *path, long at);

/* Of a body of `size` bytes, fetch the bytes from `from` up to `to`. */
void scene_put_part(struct scene *s, uint64_t id, size_t size, size_t from,
		    size_t to);

/* Run SQL on the database of a cache that is closed, or idle. */
void scene_sql(struct scene *s, const char *sql);

/* The number that is the result of a query; likewise. */
int64_t scene_sql_number(struct scene *s, const char *sql);

/* The first page of a table, or of an index, becomes garbage. Closed. */
void scene_spoil_table(struct scene *s, const char *name);

#endif
