/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "packed.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <zlib.h>

/*
 * Two raw streams with a window of 32 KiB, as RFC 4978 has them; buffers are
 * the caller's, large enough for all that comes.
 */
struct packed {
	z_stream in;
	z_stream out;
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "packed: %s\n", what);
	abort();
}

struct packed *packed_new(void)
{
	struct packed *p = calloc(1, sizeof(*p));

	must(p && inflateInit2(&p->in, -15) == Z_OK &&
		     deflateInit2(&p->out, 9, Z_DEFLATED, -15, 8,
				  Z_DEFAULT_STRATEGY) == Z_OK,
	     "no memory");
	return p;
}

void packed_free(struct packed *p)
{
	if (!p)
		return;
	(void)inflateEnd(&p->in);
	(void)deflateEnd(&p->out);
	free(p);
}

static size_t pack(struct packed *p, const void *in, size_t n, void *out,
		   size_t size, int flush)
{
	int code;

	p->out.next_in = (Bytef *)in;
	p->out.avail_in = (uInt)n;
	p->out.next_out = out;
	p->out.avail_out = (uInt)size;
	code = deflate(&p->out, flush);
	must(code == (flush == Z_FINISH ? Z_STREAM_END : Z_OK) &&
		     p->out.avail_in == 0 && p->out.avail_out > 0,
	     "it does not fit");
	return size - p->out.avail_out;
}

size_t packed_pack(struct packed *p, const void *in, size_t n, void *out,
		   size_t size)
{
	return pack(p, in, n, out, size, Z_SYNC_FLUSH);
}

size_t packed_finish(struct packed *p, const void *in, size_t n, void *out,
		     size_t size)
{
	return pack(p, in, n, out, size, Z_FINISH);
}

size_t packed_unpack(struct packed *p, const void *in, size_t n, void *out,
		     size_t size)
{
	int code;

	p->in.next_in = (Bytef *)in;
	p->in.avail_in = (uInt)n;
	p->in.next_out = out;
	p->in.avail_out = (uInt)size;
	code = inflate(&p->in, Z_SYNC_FLUSH);
	must((code == Z_OK || code == Z_BUF_ERROR) && p->in.avail_in == 0,
	     "this is not what a server can read");
	return size - p->in.avail_out;
}
