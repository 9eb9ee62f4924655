/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files of bodies: cache_dir/xx/yyyy... for whole ones, named by their key,
 * and cache_dir/parts/ID for those that are arriving.
 *
 * The key is the keyed hash of the keyed hashes of a body's chunks and of its
 * size: so a body can be checked a chunk at a time, and the list of hashes is
 * checked by the key. The secret is the account's own: nobody who sends mail
 * can make two bodies meet.
 *
 * Files and rows may disagree after a kill, never dangerously: a row without
 * a file is put right when somebody opens the body, a file without a row is
 * removed by the sweep after the next start.
 */
#ifndef IMAPFS_CACHE_BLOB_H
#define IMAPFS_CACHE_BLOB_H

#include "cache/internal.h"

typedef unsigned char blob_hash[KEY_BYTES];

/* A whole body as its row tells. */
struct blob {
	blob_hash key;
	uint64_t size;
	size_t n_chunks;
	blob_hash *hash; /* yours to free */
};

size_t blob_chunks(uint64_t size);
/* Bytes of chunk `k` of a body of `size`. */
size_t blob_chunk_bytes(uint64_t size, size_t k);

/* --- hash.c --- */

/* Of `n` bytes of the file. -EIO: they cannot be read, or are not there. */
MUST_CHECK int blob_hash_file(const struct cache *c, int fd, uint64_t offset,
			      size_t n, blob_hash ret);
/* The same hash, of bytes in memory. */
void blob_hash_bytes(const struct cache *c, const void *bytes, size_t n,
		     blob_hash ret);
MUST_CHECK int blob_make_key(const struct cache *c, const blob_hash *hash,
			     size_t n, uint64_t size, blob_hash ret);

/* --- files; paths are yours to free, NULL: no memory --- */

char *blob_path(struct cache *c, const blob_hash key);
char *blob_part_path(struct cache *c, uint64_t id);
/* Make the folder of a file, and those above as far as they are gone. */
MUST_CHECK int blob_make_dir(const char *path);
/* Remove the file of `key`, if it still is the one that is open as `fd`. */
void blob_unlink_damaged(struct cache *c, const blob_hash key, int fd);
/* Remove partial bodies that no row knows. Before the writer runs. */
int blob_clean_parts(struct cache *c);
/* Have the writer remove files that no row knows. */
void blob_start_sweep(struct cache *c);

/* Microseconds since the epoch, ascending: the order of eviction. */
int64_t blob_read_stamp(struct cache *c);

/* --- rows, read from any thread --- */

/* The blob of a message, its own or that of another copy. -ENODATA. */
MUST_CHECK int blob_find(struct cache *c, uint64_t id, struct blob *ret);

struct part_chunk {
	uint64_t chunk;
	blob_hash hash;
	int64_t read_at; /* of one to be recorded: blob_read_stamp() */
};

/* What is recorded of a partial body; yours to free. -ENODATA. */
MUST_CHECK int parts_find(struct cache *c, uint64_t id, struct part_chunk **ret,
			  size_t *ret_n);

/*
 * --- rows, changed by queued operations; -ENOMEM ---
 * A body that is given comes with a reference, which is the operation's if
 * that could be queued.
 */

int blob_queue_publish(struct cache *c, struct body *b, uint64_t id,
		       const struct blob *blob);
/* The file was found missing or damaged. */
int blob_queue_gone(struct cache *c, const blob_hash key);
int parts_queue_chunk(struct cache *c, struct body *b, uint64_t size,
		      const struct part_chunk *chunk);
int parts_queue_drop_chunk(struct cache *c, struct body *b, uint64_t chunk);

/* --- for the writer thread, in a transaction --- */

/* The message goes: its details, its partial body, its blob if unshared. */
MUST_CHECK int blob_forget_message(struct cache *c, uint64_t id);
/* Row and file of a blob, and all references to it. */
MUST_CHECK int blob_remove(struct cache *c, const blob_hash key);
MUST_CHECK int parts_remove(struct cache *c, uint64_t id);
/* Count what is stored. At open. */
MUST_CHECK int blob_count(struct cache *c);
void blob_begin_batch(struct cache *c);
/* After a commit: the statistics move, and an eviction may be due. */
void blob_end_batch(struct cache *c);

/* --- evict.c --- */

/* Have the writer evict, if the bodies are over their bound. */
void evict_if_over(struct cache *c);
/* The same, though the last time nothing more could go. */
void evict_again(struct cache *c);
/* Bodies are about to be written down (or, negative, have been). */
void evict_count_queued(struct cache *c, int64_t bytes);

/* --- body.c --- */

uint64_t body_id(const struct body *b);
/* Of another message than `id`; 0: of any. */
bool body_has_key_open(struct cache *c, uint64_t id, const blob_hash key);
bool body_is_open(struct cache *c, uint64_t id);

/* --- touch.c: when a body was read last, the order of eviction --- */

/* It was read now. Kept in memory until touches_write(); never fails. */
void blob_touch(struct cache *c, const blob_hash key);
/* Write what is in memory; in the writer's thread, in its transaction. */
MUST_CHECK int touches_write(struct cache *c);
/* Have the writer do that. */
void touches_queue(struct cache *c);

#endif
