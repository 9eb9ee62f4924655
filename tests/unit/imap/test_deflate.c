/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "imap/deflate.h"
#include "packed.h"

/* Compression by itself, against a peer that is zlib and nothing else. */

#define MB (1u << 20)

static struct deflate *d;
static struct packed *peer;

/* Bytes that cannot be packed, the same at every run. */
static void make_noise(unsigned char *p, size_t n)
{
	uint32_t x = 12345;

	for (size_t i = 0; i < n; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = (unsigned char)(x >> 24);
	}
}

/* What the peer reads of `n` bytes that are put. */
static size_t put_and_unpack(const void *in, size_t n, void *out, size_t size)
{
	size_t packed_n;
	const void *p;

	assert_int_equal(deflate_put(d, in, n), n);
	p = deflate_packed(d, &packed_n);
	n = packed_unpack(peer, p, packed_n, out, size);
	deflate_written(d, packed_n);
	(void)deflate_packed(d, &packed_n);
	assert_int_equal(packed_n, 0);
	return n;
}

static void each_put_can_be_read_at_once(void **state)
{
	static const char *const lines[] = {"A1 NOOP\r\n", "A2 NOOP\r\n", "A"};
	char out[64];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		size_t n = strlen(lines[i]);

		assert_int_equal(put_and_unpack(lines[i], n, out, sizeof(out)),
				 n);
		assert_memory_equal(out, lines[i], n);
	}
}

static void the_worst_case_fits(void **state)
{
	static unsigned char in[64 * DEFLATE_PIECE];
	static unsigned char out[sizeof(in)];
	size_t n = 0;

	(void)state;
	make_noise(in, sizeof(in));
	for (size_t at = 0; at < sizeof(in); at += DEFLATE_PIECE)
		n += put_and_unpack(in + at, DEFLATE_PIECE, out + n,
				    sizeof(out) - n + 1);
	assert_int_equal(n, sizeof(in));
	assert_memory_equal(in, out, n);
	/* More than a piece is not taken at once. */
	assert_int_equal(deflate_put(d, in, sizeof(in)), DEFLATE_PIECE);
}

static void feed(const void *bytes, size_t n)
{
	memcpy(deflate_room(d), bytes, n);
	deflate_came(d, n);
}

static void bytes_may_come_one_at_a_time(void **state)
{
	static const char text[] = "* OK hello hello hello\r\n";
	char packed[100];
	char out[100];
	size_t n = packed_pack(peer, text, strlen(text), packed, 100);
	size_t got = 0;

	(void)state;
	assert_false(deflate_has_more(d));
	assert_int_equal(deflate_take(d, out, 100), 0);
	for (size_t i = 0; i < n; i++) {
		long r;

		feed(packed + i, 1);
		assert_true(deflate_has_more(d));
		r = deflate_take(d, out + got, sizeof(out) - got);
		assert_true(r >= 0);
		got += (size_t)r;
		assert_false(deflate_has_more(d));
	}
	assert_int_equal(got, strlen(text));
	assert_memory_equal(out, text, got);
}

static void a_small_buffer_gets_all_of_it(void **state)
{
	char packed[100];
	char text[1000];
	char c;
	size_t n;

	(void)state;
	memset(text, 'x', sizeof(text));
	n = packed_pack(peer, text, sizeof(text), packed, sizeof(packed));
	feed(packed, n);
	for (size_t i = 0; i < sizeof(text); i++) {
		assert_true(deflate_has_more(d));
		assert_int_equal(deflate_take(d, &c, 1), 1);
		assert_int_equal(c, 'x');
	}
	assert_int_equal(deflate_take(d, &c, 1), 0);
	assert_false(deflate_has_more(d));
}

static size_t take_all(size_t step)
{
	static char out[2000];
	size_t n = 0;

	while (deflate_has_more(d)) {
		long r = deflate_take(d, out + n, step);

		assert_true(r >= 0);
		n += (size_t)r;
	}
	return n;
}

static void what_is_held_inside_counts_as_more(void **state)
{
	char packed[100];
	char text[1000];
	size_t n;
	size_t large;

	(void)state;
	memset(text, 'x', sizeof(text));
	/* Without its tail: the last match is known, no byte is left over. */
	n = packed_pack(peer, text, sizeof(text), packed, sizeof(packed)) - 5;
	feed(packed, n);
	large = take_all(sizeof(text));
	assert_true(large > 500);

	deflate_free(d);
	d = NULL;
	assert_int_equal(deflate_new(&d), 0);
	feed(packed, n);
	assert_int_equal(take_all(1), large);
}

static void a_bomb_comes_out_in_pieces_and_takes_no_memory(void **state)
{
	static char zeros[MB];
	static char out[2 * DEFLATE_OUT_MAX];
	static char packed[DEFLATE_IN_MAX];
	size_t before = 0;
	uint64_t sum = 0;

	(void)state;
	for (int i = 0; i < 64; i++) {
		size_t n = packed_pack(peer, zeros, MB, packed, sizeof(packed));
		long r;

		assert_true(n < MB / 500);
		feed(packed, n);
		while ((r = deflate_take(d, out, sizeof(out))) > 0) {
			assert_true(r <= DEFLATE_OUT_MAX);
			sum += (uint64_t)r;
		}
		assert_int_equal(r, 0);
		/* zlib makes its window when the first byte comes. */
		if (i == 0)
			before = mallinfo2().uordblks;
	}
	assert_int_equal(sum, 64 * MB);
	assert_true(mallinfo2().uordblks <= before);
}

static void what_is_no_deflate_is_refused_for_good(void **state)
{
	static const char text[] = "* OK this is in clear\r\n";
	char out[100];
	long r;

	(void)state;
	feed(text, strlen(text));
	/* The first bits may mean something by chance. */
	r = deflate_take(d, out, sizeof(out));
	if (r > 0)
		r = deflate_take(d, out, sizeof(out));
	assert_int_equal(r, -EBADMSG);
	assert_true(deflate_has_more(d));
	assert_int_equal(deflate_take(d, out, sizeof(out)), -EBADMSG);
}

static void what_came_before_the_garbage_is_handed_out(void **state)
{
	char packed[100];
	char out[100];
	size_t n = packed_pack(peer, "good", 4, packed, sizeof(packed));

	(void)state;
	packed[n++] = 0x07; /* a block of the reserved type */
	feed(packed, n);
	assert_int_equal(deflate_take(d, out, sizeof(out)), 4);
	assert_memory_equal(out, "good", 4);
	assert_int_equal(deflate_take(d, out, sizeof(out)), -EBADMSG);
}

static void the_end_of_the_stream_is_the_end(void **state)
{
	char packed[100];
	char out[100];
	size_t n = packed_finish(peer, "bye", 3, packed, sizeof(packed) - 3);

	(void)state;
	memset(packed + n, 7, 3);
	feed(packed, n + 3);
	assert_int_equal(deflate_take(d, out, sizeof(out)), 3);
	assert_int_equal(deflate_take(d, out, sizeof(out)), -ENOTCONN);
}

/* --- running --- */

static int open_codec(void **state)
{
	(void)state;
	peer = packed_new();
	return deflate_new(&d);
}

static int close_codec(void **state)
{
	(void)state;
	packed_free(peer);
	deflate_free(d);
	return 0;
}

#define CODEC(f) cmocka_unit_test_setup_teardown(f, open_codec, close_codec)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CODEC(each_put_can_be_read_at_once),
		CODEC(the_worst_case_fits),
		CODEC(bytes_may_come_one_at_a_time),
		CODEC(a_small_buffer_gets_all_of_it),
		CODEC(what_is_held_inside_counts_as_more),
		CODEC(a_bomb_comes_out_in_pieces_and_takes_no_memory),
		CODEC(what_is_no_deflate_is_refused_for_good),
		CODEC(what_came_before_the_garbage_is_handed_out),
		CODEC(the_end_of_the_stream_is_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
