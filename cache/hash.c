/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "cache/blob.h"

/*
 * The keyed hashes of bodies: XXH3 with 128 bits and the account's secret.
 * Bytes are read back from the file, not taken from the network's buffer, so
 * that what is hashed is what is stored. Runs in any thread, without locks.
 */

#define READ_BYTES (64u << 10)

size_t blob_chunks(uint64_t size)
{
	return (size_t)((size + CACHE_CHUNK - 1) / CACHE_CHUNK);
}

size_t blob_chunk_bytes(uint64_t size, size_t k)
{
	uint64_t left = size - (uint64_t)k * CACHE_CHUNK;

	return left < CACHE_CHUNK ? (size_t)left : CACHE_CHUNK;
}

static void finish(XXH3_state_t *state, blob_hash ret)
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
	memcpy(ret, canonical.digest, KEY_BYTES);
}

static int feed_file(XXH3_state_t *state, int fd, uint64_t offset, size_t n)
{
	size_t room = n < READ_BYTES ? n + 1 : READ_BYTES;
	char *buf = malloc(room);
	int r = buf ? 0 : -ENOMEM;

	while (r == 0 && n > 0) {
		ssize_t got =
			pread(fd, buf, n < room ? n : room, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			r = -EIO;
			break;
		}
		XXH3_128bits_update(state, buf, (size_t)got);
		offset += (uint64_t)got;
		n -= (size_t)got;
	}
	free(buf);
	return r;
}

int blob_hash_file(const struct cache *c, int fd, uint64_t offset, size_t n,
		   blob_hash ret)
{
	XXH3_state_t *state = XXH3_createState();
	int r;

	if (!state)
		return -ENOMEM;
	XXH3_128bits_reset_withSecret(state, c->secret, SECRET_BYTES);
	r = feed_file(state, fd, offset, n);
	if (r == 0)
		finish(state, ret);
	XXH3_freeState(state);
	return r;
}

void blob_hash_bytes(const struct cache *c, const void *bytes, size_t n,
		     blob_hash ret)
{
	XXH128_canonical_t hash;

	XXH128_canonicalFromHash(
		&hash,
		XXH3_128bits_withSecret(bytes, n, c->secret, SECRET_BYTES));
	memcpy(ret, hash.digest, KEY_BYTES);
}

int blob_make_key(const struct cache *c, const blob_hash *hash, size_t n,
		  uint64_t size, blob_hash ret)
{
	XXH3_state_t *state = XXH3_createState();
	unsigned char tail[8];

	if (!state)
		return -ENOMEM;
	for (int i = 0; i < 8; i++)
		tail[i] = (unsigned char)(size >> (8 * i));
	XXH3_128bits_reset_withSecret(state, c->secret, SECRET_BYTES);
	XXH3_128bits_update(state, hash, n * KEY_BYTES);
	XXH3_128bits_update(state, tail, sizeof(tail));
	finish(state, ret);
	XXH3_freeState(state);
	return 0;
}
