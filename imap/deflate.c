/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/deflate.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include <zlib.h>

/*
 * zlib, with a fixed buffer on the side of the wire: one for what came and was
 * not unpacked yet, one for what was packed and not written yet. The other
 * side is the caller's memory, so a peer that sends a megabyte in a kilobyte
 * (a bomb) gets no memory of ours for it: its bytes come out piece by piece,
 * and the framer behind has limits for what they make.
 *
 * Runs on the thread of the connection, without locks. Never used before the
 * login: a password that shares a window with text of others could be guessed
 * by its length (RFC 4978 section 7).
 */

/*
 * RFC 4978 section 3: raw, no zlib header, window up to 32 KiB. Commands are
 * few and small: a small hash table packs them as well as a large one.
 */
#define WINDOW_BITS (-15)
#define PACK_LEVEL 6
#define PACK_MEMORY 5

/* A sync flush ends a byte, and adds an empty stored block. */
#define FLUSH_SLACK 64

struct deflate {
	z_stream in;
	bool in_open;
	bool in_full; /* the last call filled its buffer: there may be more */
	long in_error;
	unsigned char *came; /* DEFLATE_IN_MAX bytes */

	z_stream out;
	bool out_open;
	unsigned char *packed;
	size_t packed_size;
	size_t packed_n;
	size_t packed_sent;
};

int deflate_new(struct deflate **ret)
{
	struct deflate *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->in_open = inflateInit2(&d->in, WINDOW_BITS) == Z_OK;
	d->out_open = deflateInit2(&d->out, PACK_LEVEL, Z_DEFLATED, WINDOW_BITS,
				   PACK_MEMORY, Z_DEFAULT_STRATEGY) == Z_OK;
	if (!d->in_open || !d->out_open)
		goto fail;
	d->packed_size = deflateBound(&d->out, DEFLATE_PIECE) + FLUSH_SLACK;
	d->packed = malloc(d->packed_size);
	d->came = malloc(DEFLATE_IN_MAX);
	if (!d->packed || !d->came)
		goto fail;
	*ret = d;
	return 0;

fail:
	deflate_free(d);
	return -ENOMEM;
}

void deflate_free(struct deflate *d)
{
	if (!d)
		return;
	if (d->in_open)
		(void)inflateEnd(&d->in);
	/* Z_DATA_ERROR: it was not ended by Z_FINISH. Nobody would read it. */
	if (d->out_open)
		(void)deflateEnd(&d->out);
	free(d->came);
	free(d->packed);
	free(d);
}

/* --- in --- */

void *deflate_room(struct deflate *d)
{
	assert(d->in.avail_in == 0);
	return d->came;
}

void deflate_came(struct deflate *d, size_t n)
{
	assert(d->in.avail_in == 0 && n <= DEFLATE_IN_MAX);
	d->in.next_in = d->came;
	d->in.avail_in = (uInt)n;
}

static long in_error(int code)
{
	if (code == Z_MEM_ERROR)
		return -ENOMEM;
	/* The end is for good: RFC 4978 knows no way back to clear text. */
	if (code == Z_STREAM_END)
		return -ENOTCONN;
	/* Also Z_NEED_DICT, which a raw stream cannot ask for. */
	return -EBADMSG;
}

long deflate_take(struct deflate *d, void *buf, size_t n)
{
	uInt room = (uInt)(n < DEFLATE_OUT_MAX ? n : DEFLATE_OUT_MAX);
	int code;

	if (room == 0 || (d->in_error == 0 && !deflate_has_more(d)))
		return 0;
	if (d->in_error < 0)
		return d->in_error;

	d->in.next_out = buf;
	d->in.avail_out = room;
	code = inflate(&d->in, Z_SYNC_FLUSH);
	d->in_full = d->in.avail_out == 0;
	/* Z_BUF_ERROR: there was nothing more; no harm (zlib.h). */
	if (code != Z_OK && code != Z_BUF_ERROR)
		d->in_error = in_error(code);
	if (d->in.avail_out < room)
		return (long)(room - d->in.avail_out);
	return d->in_error;
}

bool deflate_has_more(const struct deflate *d)
{
	return d->in.avail_in > 0 || d->in_full || d->in_error < 0;
}

/* --- out --- */

size_t deflate_put(struct deflate *d, const void *buf, size_t n)
{
	int code;

	assert(d->packed_n == d->packed_sent);
	if (n > DEFLATE_PIECE)
		n = DEFLATE_PIECE;
	if (n == 0)
		return 0;
	d->out.next_in = (Bytef *)buf;
	d->out.avail_in = (uInt)n;
	d->out.next_out = d->packed;
	d->out.avail_out = (uInt)d->packed_size;
	code = deflate(&d->out, Z_SYNC_FLUSH);
	/* It has room for the worst case, so it takes and flushes all. */
	assert(code == Z_OK && d->out.avail_in == 0 && d->out.avail_out > 0);
	(void)code;
	d->packed_n = d->packed_size - d->out.avail_out;
	d->packed_sent = 0;
	return n;
}

const void *deflate_packed(const struct deflate *d, size_t *ret_n)
{
	*ret_n = d->packed_n - d->packed_sent;
	return d->packed + d->packed_sent;
}

void deflate_written(struct deflate *d, size_t n)
{
	assert(n <= d->packed_n - d->packed_sent);
	d->packed_sent += n;
}
